//! How much memory the program takes while many large pictures go through it, or would. Must not measure time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use image::{ImageFormat, RgbImage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::signing::tls_in_front_of;
use crate::support::child::{Builder, Child};
use crate::support::service::{ID, SECRET};

const SD35: &str = "
model_list:
  - model_name: sd35
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";

const UPLOADS: usize = 64;

/// Of each picture, in bytes: as base64 it is almost all that Bedrock takes.
const LENGTH: usize = 18_000_000;

/// More resident memory than this above idle is too much.
const MOST_KB: u64 = 200 * 1024;

/// The same for callers who are slow.
const SLOW: usize = 64;

const MOST_OF_SLOW_KB: u64 = 100 * 1024;

/// What a slow reader takes at once, and how often he goes on.
const STEP: usize = 16 * 1024;
const STEPS: usize = 64;

/// Of a painted picture, in characters of base64: 20 MB.
const PAINTED: usize = 667 * 40_000;

/// A JPEG of so many bytes: a picture behind comments.
fn jpeg(length: usize) -> Bytes {
    let mut file = std::io::Cursor::new(Vec::new());
    RgbImage::new(1024, 1024).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let mut file = file.into_inner();
    let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &[7; 0xffff - 2]].concat();
    let comments = (length - file.len()) / comment.len();
    file.splice(2..2, comment.repeat(comments));
    file.into()
}

/// What a line of a process's status says, in KB.
fn status_kb(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// Takes bodies as they come and answers each with the smallest of pictures.
async fn bedrock(received: Arc<AtomicU64>) -> String {
    async fn answer(State(received): State<Arc<AtomicU64>>, body: Body) -> &'static str {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            received.fetch_add(piece.unwrap().len() as u64, Ordering::Relaxed);
        }
        r#"{"seeds":[1],"finish_reasons":[null],"images":["iVBORw0KGgo="]}"#
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(received);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn upload(picture: &Bytes) -> reqwest::Body {
    let head = "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na hat\r\n\
                --x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
    let (picture, step) = (picture.clone(), 256 * 1024);
    let pieces = (0..picture.len()).step_by(step).map(move |at| picture.slice(at..picture.len().min(at + step)));
    let all = std::iter::once(Bytes::from_static(head.as_bytes()))
        .chain(pieces)
        .chain([Bytes::from_static(b"\r\n--x--\r\n")]);
    reqwest::Body::wrap_stream(stream::iter(all.map(Ok::<_, std::io::Error>)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_uploads_do_not_stay_in_memory() {
    let received = Arc::new(AtomicU64::new(0));
    let upstream = bedrock(received.clone()).await;
    let child = Child::with(SD35)
        .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &upstream)
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .start()
        .await;
    let idle = status_kb(child.id(), "VmRSS");
    let picture = jpeg(LENGTH);
    let client = crate::support::client();
    let uploads = (0..UPLOADS).map(|_| {
        let request = client.post(format!("{}/v1/images/edits", child.url));
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        request.body(upload(&picture)).send()
    });
    for response in join_all(uploads).await {
        let response = response.unwrap();
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
        response.bytes().await.unwrap();
    }
    let pictures = u64::try_from(picture.len().div_ceil(3) * 4 * UPLOADS).unwrap();
    assert!(received.load(Ordering::Relaxed) > pictures, "each picture arrives whole");
    let peak = status_kb(child.id(), "VmHWM").saturating_sub(idle);
    println!("{UPLOADS} uploads of {LENGTH} bytes: {peak} KB above idle ({idle} KB)");
    assert!(peak < MOST_KB, "{peak} KB above idle");
}

/// Paints pictures of 20 MB, of which only the beginning is one.
async fn painter() -> String {
    async fn answer(body: Body) -> Body {
        axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let begin = br#"{"seeds":[1],"finish_reasons":[null],"images":["iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"#;
        let painted = (0..PAINTED / 40_000).map(|_| Bytes::from_static(&[b'A'; 40_000]));
        let all = std::iter::once(Bytes::from_static(begin)).chain(painted).chain([Bytes::from_static(b"\"]}")]);
        Body::from_stream(stream::iter(all.map(Ok::<_, std::io::Error>)))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    url
}

/// A connection whose buffers hold next to nothing.
async fn connect(child: &Child) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket.connect(child.url.trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

/// Asks for a picture, and reads the beginning of it.
async fn slow_reader(child: &Child) -> TcpStream {
    let mut stream = connect(child).await;
    let body = r#"{"prompt":"a hat"}"#;
    let head = "POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 18\r\n\r\n";
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut begun = vec![0; STEP];
    stream.read_exact(&mut begun).await.unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 200 OK"));
    stream
}

/// Sends the first four megabytes of an upload, and no more.
async fn slow_writer(child: &Child) -> TcpStream {
    let mut stream = connect(child).await;
    let head = "POST /v1/images/edits HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; \
                boundary=x\r\ncontent-length: 18000000\r\n\r\n--x\r\nContent-Disposition: form-data; \
                name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; 4 << 20]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_and_slow_writers_hold_back_only_themselves() {
    hold_back_only_themselves(Child::with(SD35), &painter().await).await;
}

/// The same where the pictures come encrypted, as Bedrock's do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_of_pictures_that_come_by_tls_hold_back_only_themselves() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let painter = painter().await.trim_start_matches("http://").to_owned();
    let upstream = tls_in_front_of(painter, &certificate).await;
    let start = Child::with(SD35).file("ca.pem", &certificate.cert.pem());
    let pem = start.path("ca.pem");
    hold_back_only_themselves(start.env("AWS_CA_BUNDLE", pem.to_str().unwrap()), &upstream).await;
}

async fn hold_back_only_themselves(start: Builder, upstream: &str) {
    let start = start.env("AWS_BEDROCK_RUNTIME_ENDPOINT", upstream).env("AWS_BEARER_TOKEN_BEDROCK", "emulated");
    let child = start.start().await;
    let idle = status_kb(child.id(), "VmRSS");
    let mut readers = join_all((0..SLOW).map(|_| slow_reader(&child))).await;
    // They go on, a little each in turn.
    let mut piece = vec![0; STEP];
    for _ in 0..STEPS {
        for reader in &mut readers {
            reader.read_exact(&mut piece).await.unwrap();
        }
    }
    let writers = join_all((0..SLOW).map(|_| slow_writer(&child))).await;
    // Somebody who is neither has his picture meanwhile.
    let request = crate::support::client().post(format!("{}/v1/images/generations", child.url));
    let response = request.body(r#"{"prompt":"a hat"}"#).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.unwrap().len() > PAINTED);
    let peak = status_kb(child.id(), "VmHWM").saturating_sub(idle);
    println!("{SLOW} slow readers and {SLOW} slow writers: {peak} KB above idle ({idle} KB)");
    assert!(peak < MOST_OF_SLOW_KB, "{peak} KB above idle");
    // Nobody has been cut off: one of the readers reads on, to the end.
    let mut reader = readers.into_iter().next().unwrap();
    let (mut read, mut piece) = (STEP * (STEPS + 1), vec![0; 1 << 20]);
    while read < PAINTED {
        let more = reader.read(&mut piece).await.unwrap();
        assert!(more > 0, "it ends after {read} bytes");
        read += more;
    }
    drop(writers);
}
