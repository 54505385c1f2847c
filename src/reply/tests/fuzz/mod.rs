//! Replies that nobody has thought of, cut anywhere, against a plain reading of the same bytes.
//! Must not depend on the clock unless `EASEL_FUZZ_SECONDS` says how long to go on; `EASEL_FUZZ_SEED` repeats a case.

mod replies;

use std::any::Any;
use std::fmt;
use std::panic::{self, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::plain::plain;
use super::*;

const SEED: u64 = 20_261_125;

/// Without a time, as many cases as take about a second.
const CASES: u64 = 2000;

/// Into how many slices a failing case is cut at most to see which it can do without.
const FINEST: usize = 512;

/// A reply and where it is cut. Two cuts in one place leave an empty piece between them.
#[derive(Clone, PartialEq, Eq)]
struct Case {
    bytes: Bytes,
    /// In order.
    cuts: Vec<usize>,
}

impl Case {
    fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let begins = std::iter::once(&0).chain(&self.cuts);
        let ends = self.cuts.iter().chain(std::iter::once(&usize::MAX));
        begins.zip(ends).map(|(begin, end)| self.bytes.slice(*begin..self.bytes.len().min(*end)))
    }

    fn fails(&self) -> bool {
        catch_unwind(|| scan(self.pieces()).ok() != plain(&self.bytes)).unwrap_or(true)
    }

    /// The same without some of its bytes.
    fn without(&self, begin: usize, end: usize) -> Self {
        let bytes = [&self.bytes[..begin], &self.bytes[end..]].concat().into();
        let moved = |cut: &usize| if *cut < end { *cut.min(&begin) } else { cut - (end - begin) };
        Self { bytes, cuts: self.cuts.iter().map(moved).collect() }
    }

    /// The same with nothing remarkable in a slice.
    fn filled(&self, begin: usize, end: usize) -> Self {
        let filling = vec![b'A'; end - begin];
        let bytes = [&self.bytes[..begin], &filling, &self.bytes[end..]].concat().into();
        Self { bytes, cuts: self.cuts.clone() }
    }

    /// What is left of a failing case when slices are taken out of it as long as it fails.
    fn shortened(self) -> Self {
        let case = self.try_slices(|case| case.cuts.len(), Self::without_cuts);
        let case = case.try_slices(|case| case.bytes.len(), Self::without);
        let case = case.try_slices(|case| case.bytes.len(), Self::filled);
        // What is the same all along goes as a whole, so that the little that is left beside it can be tried byte by byte.
        case.try_runs()
    }

    fn without_cuts(&self, begin: usize, end: usize) -> Self {
        Self { bytes: self.bytes.clone(), cuts: [&self.cuts[..begin], &self.cuts[end..]].concat() }
    }

    /// Tries a change to each half, each quarter and so on, and keeps what still fails.
    fn try_slices(mut self, length: impl Fn(&Self) -> usize, change: impl Fn(&Self, usize, usize) -> Self) -> Self {
        let mut size = length(&self);
        let finest = size / FINEST;
        while size > finest {
            let mut at = 0;
            while at < length(&self) {
                let end = length(&self).min(at + size);
                let (before, changed) = (length(&self), change(&self, at, end));
                if changed != self && changed.fails() {
                    self = changed;
                }
                at = if length(&self) < before { at } else { end };
            }
            size /= 2;
        }
        self
    }

    fn try_runs(mut self) -> Self {
        let mut at = 0;
        while at < self.bytes.len() {
            let run = self.bytes[at..].iter().take_while(|byte| **byte == self.bytes[at]).count();
            let shorter = self.without(at, at + run);
            if shorter.fails() {
                self = shorter;
            } else {
                at += run;
            }
        }
        self
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"")?;
        for run in self.bytes.chunk_by(|a, b| a == b) {
            match run.len() {
                0..40 => write!(f, "{}", run.escape_ascii())?,
                many => write!(f, "<{many} times {}>", run[..1].escape_ascii())?,
            }
        }
        write!(f, "\" cut at {:?}", self.cuts)
    }
}

/// Where to cut a reply: nowhere, everywhere, in equal pieces, or at random.
fn cuts(rng: &mut Rng, length: usize) -> Vec<usize> {
    match rng.u8(..8) {
        0 => Vec::new(),
        // So many pieces take their time.
        1 | 2 if length < 4096 || rng.u8(..16) == 0 => (1..length).collect(),
        3 => {
            let size = *rng.choice(&[2, 3, 31, 32, 63, 64, 65, 4096, 16 * 1024]).unwrap_or(&1);
            (rng.usize(1..=size)..length).step_by(size).collect()
        }
        _ => {
            let mut cuts: Vec<_> = (0..rng.usize(1..8)).map(|_| rng.usize(..=length)).collect();
            cuts.sort_unstable();
            cuts
        }
    }
}

/// Whether the reply of this seed has a reading, or how it is read wrong.
fn case(seed: u64) -> Result<bool, Case> {
    let mut rng = Rng::with_seed(seed);
    let bytes = Bytes::from(replies::reply(&mut rng));
    let readable = plain(&bytes);
    for _ in 0..3 {
        let cuts = cuts(&mut rng, bytes.len());
        let case = Case { bytes: bytes.clone(), cuts };
        if catch_unwind(|| scan(case.pieces()).ok() != readable).unwrap_or(true) {
            return Err(case);
        }
    }
    Ok(readable.is_some())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test may be told by its caller how long to go on, and with which seed"
)]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn any_reply_cut_anywhere_reads_as_serde_json_reads_it() {
    let end = told("EASEL_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = told("EASEL_FUZZ_SEED").unwrap_or_else(|| if end.is_some() { fastrand::u64(..) } else { SEED });
    let (mut cases, mut readable) = (0, 0);
    while end.map_or(cases < CASES, |end| Instant::now() < end) {
        let seed = first.wrapping_add(cases);
        match case(seed) {
            Ok(reads) => readable += u64::from(reads),
            Err(case) => {
                // Each shorter try that panics would say so.
                let hook = panic::take_hook();
                panic::set_hook(Box::new(|_| {}));
                let case = case.shortened();
                let read = catch_unwind(|| scan(case.pieces()));
                panic::set_hook(hook);
                let panicked = |why: Box<dyn Any + Send>| format!("a panic: {:?}", why.downcast_ref::<String>());
                let read = read.map_or_else(panicked, |read| format!("{read:?}"));
                let wanted = format!("{:?}", plain(&case.bytes));
                panic!("EASEL_FUZZ_SEED={seed}: {case:?}\nis read as {read:.300}\nand not as {wanted:.300}");
            }
        }
        cases += 1;
    }
    println!("{cases} replies from EASEL_FUZZ_SEED={first} on, {readable} of them with a reading");
    assert!(readable > cases / 8, "too few of {cases} replies have a reading: {readable}");
}
