//! Writes a file away from the async threads. A thread that writes goes on with what has come meanwhile, for to wake one
//! takes longer than to write.
//!
//! Must not know what is written; holds three pieces at most.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{JoinHandle, spawn_blocking};

/// What is done with a file that is whole.
type Ending = Box<dyn FnOnce(&File) -> io::Result<()> + Send>;

/// A file being written.
pub(super) struct WriteBehind {
    work: Arc<Work>,
    /// The thread that does it.
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Work {
    file: File,
    left: Mutex<Left>,
}

/// What no thread has begun with.
#[derive(Default)]
struct Left {
    pieces: Vec<Vec<u8>>,
    ending: Option<Ending>,
    /// Whether a thread will come back for more. Stays so where one has failed: no other begins.
    is_under_way: bool,
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").field("file", &self.work.file).finish_non_exhaustive()
    }
}

impl WriteBehind {
    pub(super) fn new(file: File) -> Self {
        Self { work: Arc::new(Work { file, left: Mutex::default() }), thread: None }
    }

    /// Hands over a piece; waits as long as one waits already. An error may be that of a piece before, and is said once:
    /// nothing is written after it.
    pub(super) async fn write(&mut self, piece: Vec<u8>) -> io::Result<()> {
        if !self.work.left().pieces.is_empty() {
            self.done().await?;
        }
        self.hand_over(piece, None).await
    }

    /// Hands over the last piece, and waits until all are written and the ending is done.
    pub(super) async fn finish(
        mut self,
        last: Vec<u8>,
        ending: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.hand_over(last, Some(Box::new(ending))).await?;
        self.done().await
    }

    async fn hand_over(&mut self, piece: Vec<u8>, ending: Option<Ending>) -> io::Result<()> {
        if self.work.add(piece, ending) {
            // Whoever wrote before found nothing left.
            self.done().await?;
            let work = Arc::clone(&self.work);
            self.thread = Some(spawn_blocking(move || work.carry_out()));
        }
        Ok(())
    }

    async fn done(&mut self) -> io::Result<()> {
        match self.thread.take() {
            Some(thread) => thread.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}

impl Work {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread has to begin.
    fn add(&self, piece: Vec<u8>, ending: Option<Ending>) -> bool {
        let mut left = self.left();
        left.pieces.push(piece);
        left.ending = ending;
        !mem::replace(&mut left.is_under_way, true)
    }

    /// Where nothing is left, the next piece needs another thread.
    fn next(&self) -> Option<(Vec<Vec<u8>>, Option<Ending>)> {
        let mut left = self.left();
        left.is_under_way = !left.pieces.is_empty();
        left.is_under_way.then(|| (mem::take(&mut left.pieces), left.ending.take()))
    }

    /// Asks the file system for the room of all pieces at once, where it can tell. Else it looks for each page's when it is
    /// written, which takes longer; and where there is none, writing will say so.
    fn reserve(&self, pieces: &[Vec<u8>]) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            let length = pieces.iter().map(|piece| piece.len() as u64).sum();
            let _ = fallocate(&self.file, FallocateFlags::KEEP_SIZE, (&self.file).stream_position()?, length);
        }
        Ok(())
    }

    fn carry_out(&self) -> io::Result<()> {
        while let Some((pieces, ending)) = self.next() {
            self.reserve(&pieces)?;
            for piece in pieces {
                (&self.file).write_all(&piece)?;
            }
            if let Some(ending) = ending {
                ending(&self.file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn pieces_come_in_order_and_the_ending_last() {
        let mut file = tempfile::tempfile().unwrap();
        let mut behind = WriteBehind::new(file.try_clone().unwrap());
        for piece in 0..100_u8 {
            behind.write(vec![piece; 1000]).await.unwrap();
        }
        let (said, length) = tokio::sync::oneshot::channel();
        let ending = |file: &File| {
            said.send(file.metadata()?.len()).unwrap();
            Ok(())
        };
        behind.finish(vec![100; 1000], ending).await.unwrap();
        assert_eq!(length.await.unwrap(), 101_000);
        let (mut written, expected) = (Vec::new(), (0..=100_u8).flat_map(|piece| [piece; 1000]));
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut written).unwrap();
        assert!(written.into_iter().eq(expected));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let read_only = || WriteBehind::new(File::open(place.path()).unwrap());
        assert!(read_only().finish(vec![1], |_| Ok(())).await.is_err());
        let mut behind = read_only();
        let mut write = async || {
            behind.write(vec![1]).await?;
            behind.write(vec![2]).await?;
            behind.write(vec![3]).await
        };
        assert!(write().await.is_err());
        let failing = |_: &File| Err(io::ErrorKind::StorageFull.into());
        let error = WriteBehind::new(tempfile::tempfile().unwrap()).finish(vec![1], failing).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
