//! How far two cores are from each other: the ns that a word takes from one to the other and back.
//!
//! Must not load anything. A hypervisor may move a machine's cores from under one cache to under two, whatever runs on them.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

/// A fortieth of a second, where cores are near.
const TURNS: u32 = 300_000;

static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits until the word is `this`, and makes it the next.
fn answer(this: u32) {
    while WORD.load(Ordering::Acquire) != this {
        spin_loop();
    }
    WORD.store(this + 1, Ordering::Release);
}

fn main() {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        println!("0");
        return;
    }
    let other = thread::spawn(|| (0..TURNS).for_each(|turn| answer(2 * turn + 1)));
    answer(0);
    // The other has begun when it has answered once.
    answer(2);
    let begun = Instant::now();
    (2..TURNS).for_each(|turn| answer(2 * turn));
    println!("{:.0}", begun.elapsed().as_nanos() as f64 / f64::from(TURNS - 2));
    drop(other.join());
}
