//! Pictures in a folder: written beside, then renamed, so that each is there whole or not at all.
//!
//! Must not remove what has a name of another kind, or hold a picture.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::task::spawn_blocking;

use super::Name;
use super::buffer::Buffer;
use super::disk::{make, remove};
use super::write_behind::WriteBehind;
use crate::clock::Clock;

/// How names of pictures end that are not whole.
const PART: &str = ".part";

/// A part that has not grown for so long was left by a crash.
const PART_LIFE: Duration = Duration::from_secs(3600);

/// A folder of pictures.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: Arc<Path>,
    life: Duration,
    clock: Clock,
    bounds: Arc<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    max_bytes: u64,
    /// What is in the folder, as far as this process knows.
    held: AtomicU64,
    /// Whoever holds it cleans.
    turn: Mutex<()>,
}

impl Bounds {
    fn are_passed(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.max_bytes
    }
}

impl Folder {
    /// The folder `links` of a data folder, both made where they are missing, for their owner only. Tries whether it
    /// can be written.
    pub(super) fn open(data_dir: &Path, max_bytes: u64, life: Duration, clock: Clock) -> io::Result<Self> {
        let path = data_dir.join("links");
        make(&path)?;
        tempfile::tempfile_in(&path)?;
        let bounds = Bounds { max_bytes, held: AtomicU64::new(0), turn: Mutex::new(()) };
        Ok(Self { path: path.into(), life, clock, bounds: Arc::new(bounds) })
    }

    pub(super) fn writer(&self) -> io::Result<Writer> {
        let part = match self.part() {
            // Somebody has cleared the data folder away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&self.path).and_then(|()| self.part()),
            part => part,
        };
        let (file, path) = part?.into_parts();
        Ok(Writer { folder: self.clone(), file: WriteBehind::new(file), path, length: 0 })
    }

    fn part(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().suffix(PART).tempfile_in(&self.path)
    }

    /// The file of a picture, if it is there.
    pub(super) async fn find(&self, name: Name) -> Option<PathBuf> {
        let path = self.path.join(name.to_string());
        tokio::fs::try_exists(&path).await.is_ok_and(|there| there).then_some(path)
    }

    pub(super) async fn read(&self, name: Name) -> io::Result<Option<File>> {
        match File::open(self.path.join(name.to_string())).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes what has expired and what a crash has left; then, if there is too much, the oldest.
    pub(super) async fn clean(&self) -> io::Result<()> {
        let folder = self.clone();
        spawn_blocking(move || folder.sweep_if(|_| true)).await.map_err(io::Error::other)?
    }

    /// Cleans where there is too much; waits for the disk.
    pub(super) fn make_room(&self) -> io::Result<()> {
        if self.bounds.are_passed() { self.sweep_if(Bounds::are_passed) } else { Ok(()) }
    }

    /// Sweeps, if that is still needed when its turn has come: those who find it out together wait for the first.
    fn sweep_if(&self, needed: fn(&Bounds) -> bool) -> io::Result<()> {
        let _turn = self.bounds.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if needed(&self.bounds) { self.sweep() } else { Ok(()) }
    }

    fn sweep(&self) -> io::Result<()> {
        let now = self.clock.now();
        let mut pictures = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let (path, file_name) = (entry.path(), entry.file_name());
            // What is gone by now was removed by another process that shares the folder.
            let Ok(known) = entry.metadata() else { continue };
            let modified = known.modified()?;
            let age = now.duration_since(modified).unwrap_or_default();
            let name = file_name.to_str().unwrap_or_default();
            match name.parse::<Name>() {
                Ok(_) if age < self.life => pictures.push((modified, known.len(), path)),
                Ok(_) => remove(&path)?,
                Err(()) if name.ends_with(PART) && age > PART_LIFE => remove(&path)?,
                Err(()) => {}
            }
        }
        self.trim(pictures)
    }

    /// Removes the oldest until some room is left, so that not every new picture has to make its own. Never the newest.
    fn trim(&self, mut pictures: Vec<(SystemTime, u64, PathBuf)>) -> io::Result<()> {
        let mut held: u64 = pictures.iter().map(|(_, length, _)| length).sum();
        pictures.sort();
        pictures.pop();
        if held > self.bounds.max_bytes {
            for (_, length, path) in pictures {
                if held <= self.bounds.max_bytes / 10 * 9 {
                    break;
                }
                remove(&path)?;
                held -= length;
            }
        }
        self.bounds.held.store(held, Ordering::Relaxed);
        Ok(())
    }
}

/// A picture being written; the file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    folder: Folder,
    file: WriteBehind,
    path: TempPath,
    /// In bytes.
    length: u64,
}

impl Writer {
    pub(super) async fn write(&mut self, piece: Buffer) -> io::Result<()> {
        self.length += piece.filled().len() as u64;
        self.file.write(piece).await
    }

    pub(super) async fn finish(self, last: Buffer, name: Name) -> io::Result<()> {
        let Self { folder, file, path, length } = self;
        let length = length + last.filled().len() as u64;
        let (target, now) = (folder.path.join(name.to_string()), folder.clock.now());
        let persist = move |file: &fs::File| {
            // Its age is told by the clock of this process, like that of its links.
            file.set_modified(now)?;
            // A machine that loses power must not find half a picture under a whole one's name.
            file.sync_all()?;
            path.persist(target)?;
            folder.bounds.held.fetch_add(length, Ordering::Relaxed);
            folder.make_room()
        };
        file.finish(last, persist).await
    }
}
