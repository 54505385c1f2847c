//! What signs links, so that nobody can make one or prolong one.
//!
//! Must not be shown: neither the key nor what it signs goes into a log.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::Name;

/// Where the key is kept, beside the folder of pictures.
const FILE: &str = "links.key";

/// 256 bits.
pub(super) struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A key that all who know the secret share.
    pub(super) fn from_secret(secret: &SecretString) -> Self {
        Self(Sha256::digest(secret.expose_secret()).into())
    }

    /// The key of a data folder, made and kept there the first time, so that links outlive this process.
    pub(super) fn kept_in(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match Self::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        // Readable to its owner only, from the beginning.
        let mut file = NamedTempFile::new_in(data_dir)?;
        file.write_all(&key)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(Self(key)),
            // Somebody else was quicker.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Self::read(&path),
            Err(error) => Err(error.error),
        }
    }

    fn read(path: &Path) -> io::Result<Self> {
        let key = std::fs::read(path)?;
        let broken =
            |_| io::Error::other(format!("{FILE} in it holds no key: remove it, and links that were given end"));
        key.try_into().map(Self).map_err(broken)
    }

    /// What lets a link to `name` through until `expiry` (Unix seconds): `{expiry}.{mac}`.
    pub(super) fn pass(&self, name: Name, expiry: i64) -> String {
        format!("{expiry}.{}", URL_SAFE_NO_PAD.encode(self.mac(name, expiry).finalize().into_bytes()))
    }

    /// When a pass for `name` expires, if it is one of ours. In constant time.
    pub(super) fn expiry(&self, pass: &str, name: Name) -> Option<i64> {
        let (digits, mac) = pass.split_once('.')?;
        let expiry: i64 = digits.parse().ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac(name, expiry).verify_slice(&mac).ok()?;
        Some(expiry)
    }

    fn mac(&self, name: Name, expiry: i64) -> Hmac<Sha256> {
        // A key shorter than a block counts as filled up with zeros.
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(format!("{expiry}/{name}").as_bytes());
        mac
    }
}
