//! What makes two requests the same: their route, their members and their pictures.
//!
//! Must not read a picture before somebody has to know: an ordinary request only has its members hashed.

use std::io;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::blob::Blob;

/// What of a request is compared.
#[derive(Clone, Debug)]
pub(in super::super) struct Print {
    members: Sha256,
    /// Its pictures, where they are not among the members.
    files: Vec<Blob>,
    /// `user`, the end user that the caller names.
    user: String,
}

impl Print {
    /// The print of a body as it came.
    pub(in super::super) fn new(members: &Map<String, Value>, files: &[Blob]) -> Self {
        let mut hasher = Sha256::new();
        // Writing into a hasher does not fail.
        let _ = serde_json::to_writer(Writer(&mut hasher), members);
        let user = members.get("user").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { members: hasher, files: files.to_vec(), user }
    }

    /// With what else sets requests apart: their route, and what their links begin with.
    pub(in super::super) fn with(mut self, parts: &[&str]) -> Self {
        for part in parts {
            self.members.update(part.len().to_le_bytes());
            self.members.update(part);
        }
        self
    }

    /// A key that is the end user's own.
    pub(super) fn with_user(&self, key: &str) -> String {
        hex(Sha256::new().chain_update(self.user.len().to_le_bytes()).chain_update(&self.user).chain_update(key))
    }

    /// The digest of all of it, in hexadecimal.
    pub(super) async fn digest(&self) -> io::Result<String> {
        let mut hasher = self.members.clone();
        for file in &self.files {
            hasher.update(file.len().to_le_bytes());
            let mut pieces = file.pieces();
            while let Some(piece) = pieces.next().await? {
                hasher.update(&piece);
            }
        }
        Ok(hex(hasher))
    }
}

fn hex(hasher: Sha256) -> String {
    hex::encode(hasher.finalize())
}

struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn digest(members: Value, files: &[&'static str], route: &str) -> String {
        let files: Vec<Blob> =
            files.iter().map(|file| Blob::from(bytes::Bytes::from_static(file.as_bytes()))).collect();
        Print::new(members.as_object().unwrap(), &files).with(&[route]).digest().await.unwrap()
    }

    #[tokio::test]
    async fn what_differs_has_another_digest() {
        let base = digest(json!({"prompt": "a"}), &["x"], "edits").await;
        assert_eq!(base, digest(json!({"prompt": "a"}), &["x"], "edits").await);
        for other in [
            digest(json!({"prompt": "b"}), &["x"], "edits").await,
            digest(json!({"prompt": "a"}), &["y"], "edits").await,
            digest(json!({"prompt": "a"}), &["x", ""], "edits").await,
            digest(json!({"prompt": "a"}), &["x"], "variations").await,
        ] {
            assert_ne!(base, other);
        }
        let of = |user: &str| Print::new(json!({"user": user}).as_object().unwrap(), &[]).with_user("key");
        assert_ne!(of("ann"), of("bob"));
    }
}
