//! Replies that wait for their callers, in the folder `kept`: a file for the body and, once that is whole, one that
//! says what it answers. What has only a body was cut short, and is removed.
//!
//! Must not know who may have a reply, or hold one in memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;
use tokio::task::spawn_blocking;

use super::disk::{make, remove};

/// How names of bodies end.
const BODY: &str = ".body";

/// How names of labels end.
const LABEL: &str = ".json";

/// How names of files end that are not whole.
const PART: &str = ".part";

/// What is read at once.
const STRIDE: u64 = 192 * 1024;

/// What a kept reply answers, and its head. Digests are in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Who asked.
    pub caller: String,
    /// What for.
    pub request: String,
    /// His `Idempotency-Key`, if he sent one.
    pub key: Option<String>,
    /// Whether whoever asks the same may have it, once: its caller had gone.
    pub abandoned: bool,
    /// Whether it is collected by its id.
    pub later: bool,
    /// The alias that painted.
    pub alias: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// How long the body is, in bytes.
    pub length: u64,
    /// Until when it is kept, Unix seconds.
    pub expires: i64,
}

/// The folder of kept replies.
#[derive(Clone, Debug)]
pub struct Kept {
    path: Arc<Path>,
}

/// A body under way. Dropped, it leaves nothing behind, save for those who are reading it.
#[derive(Debug)]
pub struct Body {
    file: Arc<File>,
    path: TempPath,
    length: u64,
}

/// A body being read, whole or under way.
#[derive(Clone, Debug)]
pub struct Reader(Arc<File>);

impl Kept {
    /// The folder, made where it is missing, for its owner only; what a crash has left half is removed. Tries whether it
    /// can be written.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("kept");
        make(&path)?;
        tempfile::tempfile_in(&path)?;
        Ok(Self { path: path.into() })
    }

    /// Every reply that is whole, with its name. Blocks.
    pub fn load(&self) -> io::Result<Vec<(String, Label)>> {
        let mut found = Vec::new();
        let mut bodies = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let (path, name) = {
                let entry = entry?;
                (entry.path(), entry.file_name())
            };
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(PART) {
                remove(&path)?;
            } else if let Some(name) = name.strip_suffix(BODY) {
                bodies.push(name.to_owned());
            }
        }
        for name in bodies {
            let label = fs::read(self.file(&name, LABEL)).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let length = fs::metadata(self.file(&name, BODY))?.len();
            match label.filter(|label: &Label| label.length == length) {
                Some(label) => found.push((name, label)),
                None => self.remove_now(&name)?,
            }
        }
        Ok(found)
    }

    /// A new body.
    pub async fn body(&self) -> io::Result<Body> {
        let folder = self.path.clone();
        let make = move || tempfile::Builder::new().suffix(PART).tempfile_in(folder);
        let (file, path) = spawn_blocking(make).await.map_err(io::Error::other)??.into_parts();
        Ok(Body { file: Arc::new(file), path, length: 0 })
    }

    /// Keeps a whole body under a name. It is there for good, or not at all.
    pub async fn keep(&self, name: &str, body: Body, label: Label) -> io::Result<()> {
        let (folder, target) = (self.path.clone(), self.file(name, BODY));
        let label_target = self.file(name, LABEL);
        let keep = move || {
            let mut written = tempfile::Builder::new().suffix(PART).tempfile_in(folder)?;
            serde_json::to_writer(&mut written, &label)?;
            body.path.persist(target)?;
            written.persist(label_target)?;
            Ok::<_, io::Error>(())
        };
        spawn_blocking(keep).await.map_err(io::Error::other)?
    }

    /// The body of a kept reply.
    pub async fn read(&self, name: &str) -> io::Result<Reader> {
        let path = self.file(name, BODY);
        let file = spawn_blocking(move || File::open(path)).await.map_err(io::Error::other)??;
        Ok(Reader(Arc::new(file)))
    }

    /// Forgets a reply. Whoever reads it reads on.
    pub async fn remove(&self, name: &str) -> io::Result<()> {
        let (kept, name) = (self.clone(), name.to_owned());
        spawn_blocking(move || kept.remove_now(&name)).await.map_err(io::Error::other)?
    }

    fn remove_now(&self, name: &str) -> io::Result<()> {
        // The label first: a body alone is nothing.
        remove(&self.file(name, LABEL))?;
        remove(&self.file(name, BODY))
    }

    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.path.join(format!("{name}{end}"))
    }
}

impl Body {
    /// Adds bytes; how many there are now.
    pub async fn write(&mut self, bytes: Bytes) -> io::Result<u64> {
        let (file, at) = (self.file.clone(), self.length);
        self.length += bytes.len() as u64;
        spawn_blocking(move || file.write_all_at(&bytes, at)).await.map_err(io::Error::other)??;
        Ok(self.length)
    }

    /// Reads what has been written, while more is.
    pub fn reader(&self) -> Reader {
        Reader(self.file.clone())
    }
}

impl Reader {
    /// Up to 192 KB of what stands from `at` on, where there are bytes up to `end`.
    pub async fn read(&self, at: u64, end: u64) -> io::Result<Bytes> {
        let length = usize::try_from(end.saturating_sub(at).min(STRIDE)).unwrap_or_default();
        let file = self.0.clone();
        let read = move || {
            let mut piece = BytesMut::zeroed(length);
            file.read_exact_at(&mut piece, at)?;
            Ok(piece.freeze())
        };
        spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(length: u64) -> Label {
        let (caller, request, alias) = ("c".into(), "r".into(), "nova".into());
        let headers = vec![("content-type".into(), "application/json".into())];
        Label { caller, request, key: None, abandoned: true, later: false, alias, headers, length, expires: 7 }
    }

    #[tokio::test]
    async fn only_what_is_whole_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        let mut body = kept.body().await.unwrap();
        assert_eq!(body.write("half".into()).await.unwrap(), 4);
        let reader = body.reader();
        assert_eq!(reader.read(1, 4).await.unwrap(), "alf");
        body.write(" and half".into()).await.unwrap();
        kept.keep("a", body, label(13)).await.unwrap();
        let mut cut = kept.body().await.unwrap();
        cut.write("cut".into()).await.unwrap();
        // As a crash leaves it.
        cut.path.disable_cleanup(true);
        fs::write(folder.path().join("kept/b.body"), "no label").unwrap();
        let again = Kept::open(folder.path()).unwrap();
        assert_eq!(again.load().unwrap(), [("a".to_owned(), label(13))]);
        assert_eq!(fs::read_dir(folder.path().join("kept")).unwrap().count(), 2);
        assert_eq!(again.read("a").await.unwrap().read(0, 13).await.unwrap(), "half and half");
        again.remove("a").await.unwrap();
        assert_eq!(reader.read(0, 4).await.unwrap(), "half", "who reads, reads on");
        assert_eq!(again.load().unwrap(), []);
    }
}
