//! Which API key a call shows: the one in use, or the one that takes its place once it is refused or has expired.
//!
//! Keys in files are read for each call, because they change there. Must not log a key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::api_key::ApiKey;
use crate::config::BearerKey;

/// A key as its holder may speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it comes from in words, such as `os.environ/AWS_BEARER_TOKEN_BEDROCK`.
    pub source: String,
    /// What it says of itself.
    pub says: ApiKey,
    /// It stands in a file, which may change without a restart.
    pub in_file: bool,
}

impl Shown {
    /// A key as the config has it.
    pub(super) fn of(key: &BearerKey) -> Self {
        Self::new(key, &key.key)
    }

    fn new(key: &BearerKey, secret: &SecretString) -> Self {
        let says = ApiKey::read(secret.expose_secret());
        Self { source: key.source.clone(), says, in_file: key.file.is_some() }
    }
}

/// A key as it is now.
pub(super) struct Key<'a> {
    pub(super) secret: SecretString,
    configured: &'a BearerKey,
}

impl Key<'_> {
    /// What may be said of it.
    pub(super) fn shown(&self) -> Shown {
        Shown::new(self.configured, &self.secret)
    }
}

/// Which refusal was a key's last, counted from 1, by the key's digest and the region.
#[derive(Debug, Default)]
struct Refusals {
    last: HashMap<([u8; 32], String), u64>,
    count: u64,
}

/// What is known of keys besides what the config says.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What each file held when it last held a key.
    files: Mutex<HashMap<PathBuf, SecretString>>,
    refusals: Mutex<Refusals>,
}

impl Keys {
    /// The keys of a deployment in this region, the one to show first. A key that is not fit, by its own words, stands
    /// behind; then one that was refused, the latest last, so that of two bad keys each is tried in turn.
    pub(super) async fn in_order<'a>(
        &self,
        key: &'a BearerKey,
        next: Option<&'a BearerKey>,
        region: &str,
        now: SystemTime,
    ) -> Vec<Key<'a>> {
        let mut keys: Vec<Key<'a>> = Vec::new();
        for key in std::iter::once(key).chain(next) {
            let secret = self.current(key).await;
            // The same key twice is one.
            if keys.iter().any(|key| key.secret.expose_secret() == secret.expose_secret()) {
                continue;
            }
            keys.push(Key { secret, configured: key });
        }
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        // Of one alone nothing is asked.
        keys.sort_by_cached_key(|key| {
            let refused = refusals.last.get(&name(&key.secret, region)).copied();
            (!fit(&ApiKey::read(key.secret.expose_secret()), region, now), refused)
        });
        keys
    }

    /// AWS has not accepted a key.
    pub(super) fn refuse(&self, key: &SecretString, region: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.count += 1;
        let number = refusals.count;
        refusals.last.insert(name(key, region), number);
    }

    async fn current(&self, key: &BearerKey) -> SecretString {
        let Some(path) = &key.file else { return key.key.clone() };
        let read = read(path).await;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(secret) => {
                files.insert(path.clone(), secret.clone());
                secret
            }
            Err(why) => {
                tracing::warn!("the file {} {why}, so the key that it held before serves", path.display());
                files.get(path).unwrap_or(&key.key).clone()
            }
        }
    }
}

/// Whether a key can be right, by its own words.
fn fit(says: &ApiKey, region: &str, now: SystemTime) -> bool {
    !says.expired(now) && says.region().is_none_or(|only| only == region) && *says != ApiKey::Malformed
}

async fn read(path: &Path) -> Result<SecretString, String> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| format!("cannot be read ({error})"))?;
    let key = text.trim();
    match !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(key.into()),
        false => Err("holds no key".into()),
    }
}

fn name(key: &SecretString, region: &str) -> ([u8; 32], String) {
    (Sha256::digest(key.expose_secret()).into(), region.to_owned())
}
