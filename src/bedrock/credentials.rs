//! Who pays: a bearer key, keys from the config, or a source that AWS's chain or STS stands behind, cached.
//!
//! Must not sign, and never touches the AWS chain for a deployment that has a key of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::chain;
use super::held::Source;
use super::keys::{Key, Keys};
use crate::config::{Auth, Deployment, WebToken};

/// Longer explanations are cut.
const MAX_DETAIL: usize = 1000;

/// How one call proves who it is.
pub(super) enum Identity<'a> {
    /// `Authorization: Bearer`, and whether another key could take its place.
    Bearer { key: Key<'a>, another: bool },
    /// SigV4 with these.
    Aws(Credentials),
}

/// The AWS chain found nothing, or what it found does not work. For the log: never shown to a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct NoCredentials {
    /// What is missing.
    pub lack: Lack,
    detail: String,
}

/// What is missing where there are no credentials, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody has any: no variable, file, container or machine.
    Credentials,
    /// There is no such profile, or it holds nothing to sign with.
    Profile,
    /// STS does not give the role.
    Role,
    /// A source is there and failed.
    Answer,
}

impl NoCredentials {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { lack: Lack::Answer, detail: message.into() }
    }

    pub(super) fn lacking(self, lack: Lack) -> Self {
        Self { lack, ..self }
    }

    /// An error with all its causes on one line, each said once.
    pub(super) fn caused_by(error: &dyn std::error::Error) -> Self {
        let mut said: Vec<String> = Vec::new();
        for cause in std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string) {
            if !said.iter().any(|before| before.contains(&cause)) {
                said.push(cause);
            }
        }
        // What a credential process writes on standard error is in it, at whatever length.
        let line: String = said.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
        Self::new(line.chars().take(MAX_DETAIL).collect::<String>())
    }
}

/// Hands out identities; one cache for each source.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub(super) keys: Keys,
    /// What the AWS chain finds first, as it is now.
    pub(super) env_keys: Option<Credentials>,
    sources: Mutex<HashMap<String, Arc<Source>>>,
}

impl Identities {
    /// The identity for a call of this deployment at `now`.
    pub(super) async fn get<'a>(
        &self,
        deployment: &'a Deployment,
        now: SystemTime,
    ) -> Result<Identity<'a>, NoCredentials> {
        let source = match &deployment.auth {
            Auth::Bearer { key, next } => {
                let mut keys = self.keys.in_order(key, next.as_ref(), &deployment.region, now).await;
                let (another, key) = (keys.len() > 1, keys.swap_remove(0));
                return Ok(Identity::Bearer { key, another });
            }
            Auth::Keys { role: None, access_key_id, secret_access_key, session_token } => {
                let credentials = chain::fixed(access_key_id, secret_access_key, session_token.as_ref());
                return Ok(Identity::Aws(credentials));
            }
            auth => self.source(auth),
        };
        let fetch = || {
            let (auth, region) = (deployment.auth.clone(), deployment.region.clone());
            let env_keys = self.env_keys.clone();
            async move { chain::fetch(&auth, &region, env_keys).await }
        };
        source.get(now, fetch).await.map(Identity::Aws)
    }

    /// Forgets credentials that AWS has refused, so that the next call fetches anew.
    pub(super) fn forget(&self, deployment: &Deployment, refused: &Credentials) {
        if !matches!(deployment.auth, Auth::Bearer { .. } | Auth::Keys { role: None, .. }) {
            self.source(&deployment.auth).forget(refused);
        }
    }

    /// The cache of a source. Its name holds no secret: keys are told apart by their ids, tokens by their digests.
    fn source(&self, auth: &Auth) -> Arc<Source> {
        let name = match auth {
            Auth::Bearer { .. } => String::new(),
            Auth::Keys { access_key_id, role, .. } => format!("keys {access_key_id} {role:?}"),
            Auth::Chain { profile, role } => format!("chain {profile:?} {role:?}"),
            Auth::WebIdentity { token: WebToken::File(path), role } => format!("file {path:?} {role:?}"),
            Auth::WebIdentity { token: WebToken::Text(token), role } => {
                format!("token {:?} {role:?}", Sha256::digest(token.expose_secret()))
            }
        };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_shared_by_what_they_are() {
        let identities = Identities::default();
        let chain = |profile: Option<&str>| Auth::Chain { profile: profile.map(str::to_owned), role: None };
        let (a, b, c) =
            (identities.source(&chain(None)), identities.source(&chain(None)), identities.source(&chain(Some("dev"))));
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
    }

    #[test]
    fn causes_are_said_once_on_one_line() {
        let inner = std::io::Error::other("the session\nis over");
        let outer = std::io::Error::other(inner);
        assert_eq!(NoCredentials::caused_by(&outer).to_string(), "the session is over");
    }
}
