//! Reads the config again when it has changed, or when the operator says so.
//!
//! A config with mistakes changes nothing. Must not know what a config means.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::config::Config;

/// Between two looks at the files. They are small; and an editor's half-written file is not read, for it changes again.
const LOOK: Duration = Duration::from_secs(2);

/// A file that has not changed for so long has been written.
const STILL: Duration = Duration::from_millis(100);

/// Reads a config, or says why it cannot be used. Blocks.
pub type Read = Arc<dyn Fn() -> Result<Config, Unusable> + Send + Sync>;

/// A config that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// Every mistake, a line each.
    pub mistakes: Vec<String>,
    /// The files that it names: whoever mends one of them is to be noticed.
    pub files: Vec<PathBuf>,
}

/// Where the config comes from.
pub struct Source {
    /// Reads it anew.
    pub read: Read,
    /// The files that it comes from, beside those that the config names itself.
    pub files: Vec<PathBuf>,
    /// The operator's wish to have it read (SIGHUP).
    pub wishes: mpsc::Receiver<()>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Source {
    /// Waits for the next change, then hands over what has been read. `named` are the files that were named by the config
    /// that was read last, and `seen` is what the files looked like then.
    pub(super) async fn next(&mut self, named: &mut Vec<PathBuf>, seen: &mut Vec<u8>) -> Result<Config, Unusable> {
        loop {
            let wished = tokio::select! {
                Some(()) = self.wishes.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let looks = self.look(named).await;
            if !wished && looks == *seen {
                continue;
            }
            tokio::time::sleep(STILL).await;
            if self.look(named).await != looks {
                continue;
            }
            let read = self.read.clone();
            let failed =
                |error| Unusable { mistakes: vec![format!("it cannot be read: {error}")], files: named.clone() };
            let config = spawn_blocking(move || read()).await.unwrap_or_else(|error| Err(failed(error)));
            match &config {
                Ok(Config { files, .. }) | Err(Unusable { files, .. }) => named.clone_from(files),
            }
            *seen = self.look(named).await;
            return config;
        }
    }

    /// A digest of the files' contents: a file that is mounted alone keeps its inode, and not every copy its time.
    pub(super) async fn look(&self, named: &[PathBuf]) -> Vec<u8> {
        let files: Vec<_> = self.files.iter().chain(named).cloned().collect();
        let look = move || {
            let mut hasher = Sha256::new();
            for file in files {
                let text = std::fs::read(&file).unwrap_or_default();
                hasher.update(text.len().to_le_bytes());
                hasher.update(text);
            }
            hasher.finalize().to_vec()
        };
        spawn_blocking(look).await.unwrap_or_default()
    }
}
