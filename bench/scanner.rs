//! How fast a reply is scanned, beside what no scanner can do without: looking for the closing quote, and copying the
//! bytes once. Judge by the ratio in one run; must not be compared across machines.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use easel::reply::{Event, Scanner};

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What comes before the picture.
const HEAD: &[u8] = br#"{"seeds":[42],"finish_reasons":[null],"images":[""#;

fn reply(picture: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut reply = HEAD.to_vec();
    reply.extend((0..picture).map(|_| BASE64[rng.usize(..BASE64.len())]));
    reply.extend_from_slice(b"\"]}");
    reply.into()
}

fn cut(reply: &Bytes, size: usize) -> Vec<Bytes> {
    (0..reply.len()).step_by(size).map(|at| reply.slice(at..reply.len().min(at + size))).collect()
}

/// How many bytes of pictures come out of the pieces.
fn scan(pieces: &[Bytes]) -> usize {
    let (mut scanner, mut length) = (Scanner::new(), 0);
    for piece in pieces {
        scanner.feed(piece.clone());
        while let Ok(Some(event)) = scanner.next_event() {
            if let Event::PictureBytes(bytes) = event {
                length += black_box(bytes).len();
            }
        }
    }
    length
}

fn measure(criterion: &mut Criterion, name: &str, picture: usize, sizes: &[(&str, usize)]) {
    let reply = reply(picture);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(reply.len() as u64));
    for (name, size) in sizes {
        let pieces = cut(&reply, *size);
        assert_eq!(scan(&pieces), picture, "the picture is read whole");
        group.bench_function(*name, |bencher| bencher.iter(|| scan(black_box(&pieces))));
    }
    group.bench_function("yardstick: memchr", |bencher| {
        bencher.iter(|| memchr::memchr(b'"', black_box(&reply[HEAD.len()..])));
    });
    let mut copy = vec![0; reply.len()];
    group.bench_function("yardstick: copy", |bencher| {
        bencher.iter(|| {
            copy.copy_from_slice(black_box(&reply));
            black_box(&mut copy);
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let sizes = [("whole", usize::MAX), ("pieces of 64 KB", 64 * 1024), ("pieces of 16 KB", 16 * 1024)];
    measure(&mut criterion, "2 MB", 2_000_000, &sizes);
    measure(&mut criterion, "4 KB", 4000, &sizes[..1]);
    criterion.final_summary();
}
