//! Bytes that may be too many for memory: held while they are few, else spooled into a file without a name.
//!
//! The file is gone when the last copy of its blob is. Must not know what the bytes mean.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::spawn_blocking;

/// Blobs of at most this many bytes stay in memory, and no more of a longer one while it is written.
const MAX_HELD: usize = 64 * 1024;

/// What is read from a file at once.
const STRIDE: usize = 192 * 1024;

/// Bytes, cheap to copy.
#[derive(Clone)]
pub struct Blob(Arc<Content>);

enum Content {
    Memory(Bytes),
    File { file: File, length: u64 },
}

/// Shows the length only: what is in it is the caller's.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

/// Whether they are copies of one another.
impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Blob {}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(Arc::new(Content::Memory(bytes)))
    }
}

impl Blob {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        match &*self.0 {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File { length, .. } => *length,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader for code that blocks, each with a place of its own.
    pub fn reader(&self) -> Reader {
        Reader { blob: self.clone(), at: 0 }
    }

    /// The bytes, in pieces of at most `STRIDE`, which is a multiple of three.
    pub fn pieces(&self) -> Pieces {
        Pieces { blob: self.clone(), at: 0 }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match &*self.0 {
            Content::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
            Content::File { file, .. } => file.read_at(buffer, at),
        }
    }
}

/// Reads a blob from front to back, or anywhere.
#[derive(Debug)]
pub struct Reader {
    blob: Blob,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.blob.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Reads a blob piece by piece, away from the async threads.
#[derive(Debug)]
pub struct Pieces {
    blob: Blob,
    at: u64,
}

impl Pieces {
    /// The next piece; `None` after the last. Each but the last is as long as can be.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.blob.len().saturating_sub(self.at);
        let length = usize::try_from(left).unwrap_or(STRIDE).min(STRIDE);
        if length == 0 {
            return Ok(None);
        }
        let at = self.at;
        self.at += length as u64;
        if let Content::Memory(bytes) = &*self.blob.0 {
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            return Ok(Some(bytes.slice(from..from + length)));
        }
        let blob = self.blob.clone();
        let read = move || {
            let mut piece = BytesMut::zeroed(length);
            if let Content::File { file, .. } = &*blob.0 {
                file.read_exact_at(&mut piece, at)?;
            }
            Ok(piece.freeze())
        };
        spawn_blocking(read).await.map_err(io::Error::other)?.map(Some)
    }
}

/// Where blobs are spooled: a folder for files without names.
#[derive(Clone, Debug)]
pub struct Spooler(Arc<Path>);

impl Spooler {
    /// Spools into this folder, which has to exist.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder.into())
    }

    /// A blob about to be written.
    pub fn spool(&self) -> Spool {
        Spool { folder: self.0.clone(), file: None, held: BytesMut::new(), length: 0 }
    }
}

/// A blob being written. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Spool {
    folder: Arc<Path>,
    /// Where the bytes before `held` are, once they were too many.
    file: Option<File>,
    held: BytesMut,
    length: u64,
}

impl Spool {
    /// How many bytes so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes, as long as they are few enough to be held.
    pub fn held(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(&self.held[..])
    }

    /// Adds bytes. An error is the folder's: it is full, or not there.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.held.extend_from_slice(bytes);
        if self.held.len() > MAX_HELD { self.flush().await } else { Ok(()) }
    }

    /// The blob.
    pub async fn finish(mut self) -> io::Result<Blob> {
        if self.file.is_some() {
            self.flush().await?;
        }
        let content = match self.file {
            None => Content::Memory(self.held.freeze()),
            Some(file) => Content::File { file, length: self.length },
        };
        Ok(Blob(Arc::new(content)))
    }

    async fn flush(&mut self) -> io::Result<()> {
        let (held, file, folder) = (self.held.split().freeze(), self.file.take(), self.folder.clone());
        let write = move || {
            let mut file = file.map_or_else(|| tempfile::tempfile_in(folder), Ok)?;
            file.write_all(&held)?;
            Ok::<_, io::Error>(file)
        };
        self.file = Some(spawn_blocking(write).await.map_err(io::Error::other)??);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn spooled(length: usize) -> (Vec<u8>, Blob) {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut spool = Spooler::new(folder.path().to_owned()).spool();
        for piece in bytes.chunks(10_007) {
            spool.write(piece).await.unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file without a name");
        (bytes, spool.finish().await.unwrap())
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        for length in [0, 1, MAX_HELD, MAX_HELD + 1, STRIDE, 3 * STRIDE + 5] {
            let (bytes, blob) = spooled(length).await;
            assert_eq!((blob.len(), blob.is_empty()), (length as u64, length == 0));
            let (mut pieces, mut read) = (blob.pieces(), Vec::new());
            while let Some(piece) = pieces.next().await.unwrap() {
                assert!(piece.len() == STRIDE || read.len() + piece.len() == length);
                read.extend_from_slice(&piece);
            }
            assert_eq!(read, bytes);
            let mut reader = blob.reader();
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert_eq!(all, bytes);
            reader.seek(SeekFrom::End(0)).unwrap();
            assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error() {
        let mut spool = Spooler::new("/nowhere/at/all".into()).spool();
        assert!(spool.write(&[0; MAX_HELD]).await.is_ok());
        assert!(spool.write(&[0]).await.is_err());
    }
}
