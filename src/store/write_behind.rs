//! Writes a file away from the async threads. A thread that writes goes on with the end if that has come meanwhile, for to
//! wake one takes longer than to write.
//!
//! Must not know what is written, nor copy it; holds two batches at most.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Seek, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{JoinHandle, spawn_blocking};

use super::buffer::Buffer;

/// Bytes that are handed over at once, at least. File systems take long stretches more cheaply, too.
const BATCH: usize = 1024 * 1024;

/// What is done with a file that is whole.
type Ending = Box<dyn FnOnce(&File) -> io::Result<()> + Send>;

/// A file being written.
pub(super) struct WriteBehind {
    work: Arc<Work>,
    /// What has not been handed over.
    held: Vec<Buffer>,
    /// The bytes in it.
    length: usize,
    /// The thread that does the work.
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Work {
    file: File,
    left: Mutex<Left>,
}

/// What no thread has begun with.
#[derive(Default)]
struct Left {
    pieces: Vec<Buffer>,
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
        let work = Arc::new(Work { file, left: Mutex::default() });
        Self { work, held: Vec::new(), length: 0, thread: None }
    }

    /// Takes a piece; where that makes a batch, waits until the one before is written. An error may be that of a piece before,
    /// and is said once: nothing is written after it.
    pub(super) async fn write(&mut self, piece: Buffer) -> io::Result<()> {
        self.length += piece.filled().len();
        self.held.push(piece);
        if self.length < BATCH {
            return Ok(());
        }
        self.done().await?;
        self.hand_over(None).await
    }

    /// Takes the last piece, and waits until all are written and the ending is done.
    pub(super) async fn finish(
        mut self,
        last: Buffer,
        ending: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.held.push(last);
        self.hand_over(Some(Box::new(ending))).await?;
        self.done().await
    }

    async fn hand_over(&mut self, ending: Option<Ending>) -> io::Result<()> {
        self.length = 0;
        if self.work.add(mem::take(&mut self.held), ending) {
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
    fn add(&self, mut pieces: Vec<Buffer>, ending: Option<Ending>) -> bool {
        let mut left = self.left();
        left.pieces.append(&mut pieces);
        left.ending = ending;
        !mem::replace(&mut left.is_under_way, true)
    }

    /// Where nothing is left, the next piece needs another thread.
    fn next(&self) -> Option<(Vec<Buffer>, Option<Ending>)> {
        let mut left = self.left();
        left.is_under_way = !left.pieces.is_empty();
        left.is_under_way.then(|| (mem::take(&mut left.pieces), left.ending.take()))
    }

    fn write(&self, pieces: &[Buffer]) -> io::Result<()> {
        let mut file = &self.file;
        // A file system that can find the room for all of it at once need not look for each page's. Where there is none,
        // or it cannot, writing will tell.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            let length = pieces.iter().map(|piece| piece.filled().len() as u64).sum();
            let _ = fallocate(file, FallocateFlags::KEEP_SIZE, file.stream_position()?, length);
        }
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece.filled())).collect();
        let mut left = &mut slices[..];
        // Lets go of those that are empty.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn carry_out(&self) -> io::Result<()> {
        while let Some((pieces, ending)) = self.next() {
            self.write(&pieces)?;
            if let Some(ending) = ending {
                ending(&self.file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Spare;
    use super::*;
    use std::io::Read;

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Spare::default().buffer();
        buffer.put(bytes);
        buffer
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_the_ending_last() {
        let mut file = tempfile::tempfile().unwrap();
        let mut behind = WriteBehind::new(file.try_clone().unwrap());
        // Some are empty; all of them make three batches.
        let pieces: Vec<_> = (0..40_u8).map(|piece| vec![piece; BATCH / 128 * (usize::from(piece) % 20)]).collect();
        for piece in &pieces {
            behind.write(buffer(piece)).await.unwrap();
        }
        let (said, length) = tokio::sync::oneshot::channel();
        let ending = |file: &File| {
            said.send(file.metadata()?.len()).unwrap();
            Ok(())
        };
        behind.finish(buffer(b"the end"), ending).await.unwrap();
        let (mut written, expected) = (Vec::new(), [&pieces.concat()[..], b"the end"].concat());
        assert_eq!(length.await.unwrap(), expected.len() as u64);
        file.rewind().unwrap();
        file.read_to_end(&mut written).unwrap();
        assert!(written == expected);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let read_only = || WriteBehind::new(File::open(place.path()).unwrap());
        assert!(read_only().finish(buffer(&[1]), |_| Ok(())).await.is_err());
        let mut behind = read_only();
        let mut write = async || {
            for _ in 0..3 * 16 {
                behind.write(buffer(&[1; BATCH / 16])).await?;
            }
            Ok::<_, io::Error>(())
        };
        assert!(write().await.is_err());
        let failing = |_: &File| Err(io::ErrorKind::StorageFull.into());
        let error = WriteBehind::new(tempfile::tempfile().unwrap()).finish(buffer(&[1]), failing).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
