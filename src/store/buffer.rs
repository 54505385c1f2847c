//! Memory that a picture is gathered in for the store, used over and over. Memory that is new is filled with zeros before
//! anything can be written there, which takes as long as to decode a picture into it.
//!
//! Must not know what is gathered, or where it goes.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of a buffer, in bytes: whole groups of base64, and whole pages.
const SIZE: usize = 192 * 1024;

/// No more wait to be used again: 6 MB.
const SPARE: usize = 32;

/// A stretch of a picture. Its memory is used again once it is dropped.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    /// How many bytes of it count.
    filled: usize,
    spare: Spare,
}

/// The memory that waits, the last used first: it is the likeliest to be in the cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    pub(super) fn buffer(&self) -> Buffer {
        let waiting = self.waiting().pop();
        let memory = waiting.unwrap_or_else(|| vec![0; SIZE]);
        Buffer { memory, filled: 0, spare: self.clone() }
    }

    /// What is one too many is let go, when others can go on.
    fn give_back(&self, memory: Vec<u8>) {
        let mut waiting = self.waiting();
        if waiting.len() < SPARE {
            waiting.push(memory);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// What it holds.
    pub fn filled(&self) -> &[u8] {
        &self.memory[..self.filled]
    }

    /// Where more can be written, for [`Buffer::advance`] to count.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.filled..]
    }

    /// Adds these. Panics where there is no room for them.
    pub fn put(&mut self, bytes: &[u8]) {
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// So many more bytes count. Panics where there is no room for them.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.memory.len() - self.filled, "no more is filled than there is");
        self.filled += count;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.spare.give_back(mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_up_to_a_bound() {
        let spare = Spare::default();
        let mut first = spare.buffer();
        first.put(b"one");
        assert_eq!(first.filled(), b"one");
        assert_eq!(first.room().len(), SIZE - 3);
        let place = first.memory.as_ptr();
        drop(first);
        let mut again = spare.buffer();
        assert_eq!((again.memory.as_ptr(), again.filled()), (place, &b""[..]));
        again.advance(SIZE);
        assert!(again.room().is_empty());
        drop((0..2 * SPARE).map(|_| spare.buffer()).collect::<Vec<_>>());
        drop(again);
        assert_eq!(spare.waiting().len(), SPARE);
    }
}
