//! Who pays: a bearer key, keys from the config, or the AWS chain, cached until shortly before they expire.
//!
//! Must not sign, and never touches the AWS chain for a deployment that has a key of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Auth, Deployment, Role};

/// Credentials are fetched anew this long before they expire, and calls under way keep the old ones.
const EARLY: Duration = Duration::from_secs(300);

/// Credentials without an expiry are looked up again after this, so that a changed file counts.
const STATIC_LIFE: Duration = Duration::from_secs(300);

/// How one call proves who it is.
#[derive(Debug)]
pub(super) enum Identity {
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// SigV4 with these.
    Aws(Credentials),
}

/// The AWS chain found nothing, or what it found does not work. For the log: never shown to a caller.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoCredentials(String);

/// Hands out identities; one cache for each source.
#[derive(Debug, Default)]
pub(super) struct Identities {
    sources: Mutex<HashMap<String, Arc<Source>>>,
}

/// One source and what it last gave. The lock is held while fetching: one refresh at a time.
#[derive(Debug, Default)]
struct Source {
    held: tokio::sync::Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    credentials: Credentials,
    until: SystemTime,
}

impl Identities {
    /// The identity for a call of this deployment at `now`.
    pub(super) async fn get(&self, deployment: &Deployment, now: SystemTime) -> Result<Identity, NoCredentials> {
        let source = match &deployment.auth {
            Auth::Bearer { key, .. } => return Ok(Identity::Bearer(key.clone())),
            Auth::Keys { role: None, access_key_id, secret_access_key, session_token } => {
                let credentials = fixed(access_key_id, secret_access_key, session_token.as_ref());
                return Ok(Identity::Aws(credentials));
            }
            auth => self.source(auth),
        };
        let mut held = source.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| now < held.until) {
            return Ok(Identity::Aws(held.credentials.clone()));
        }
        let credentials = fetch(&deployment.auth, &deployment.region).await?;
        let until = credentials.expiry().map_or(now + STATIC_LIFE, |expiry| expiry - EARLY);
        *held = Some(Held { credentials: credentials.clone(), until });
        Ok(Identity::Aws(credentials))
    }

    /// The cache of a source. Its name holds no secret: keys are told apart by their ids.
    fn source(&self, auth: &Auth) -> Arc<Source> {
        let name = match auth {
            Auth::Bearer { .. } => String::new(),
            Auth::Keys { access_key_id, role, .. } => format!("keys {access_key_id} {role:?}"),
            Auth::Chain { profile, role } => format!("chain {profile:?} {role:?}"),
        };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name).or_default().clone()
    }
}

fn fixed(id: &str, secret: &SecretString, token: Option<&SecretString>) -> Credentials {
    Credentials::from_keys(id, secret.expose_secret(), token.map(|t| t.expose_secret().to_owned()))
}

async fn fetch(auth: &Auth, region: &str) -> Result<Credentials, NoCredentials> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    let role = match auth {
        Auth::Bearer { .. } => return Err(NoCredentials("a bearer key needs no AWS credentials".into())),
        Auth::Keys { access_key_id, secret_access_key, session_token, role } => {
            loader = loader.credentials_provider(fixed(access_key_id, secret_access_key, session_token.as_ref()));
            role
        }
        Auth::Chain { profile, role } => {
            if let Some(profile) = profile {
                loader = loader.profile_name(profile);
            }
            role
        }
    };
    let config = Box::pin(loader.load()).await;
    let provider = match role {
        Some(role) => SharedCredentialsProvider::new(Box::pin(assume(role, &config)).await),
        None => {
            config.credentials_provider().ok_or_else(|| NoCredentials("there is no credentials provider".into()))?
        }
    };
    provider.provide_credentials().await.map_err(|error| NoCredentials(sources_of(&error)))
}

async fn assume(role: &Role, config: &SdkConfig) -> AssumeRoleProvider {
    let mut builder =
        AssumeRoleProvider::builder(&role.arn).session_name(role.session_name.as_deref().unwrap_or("easel"));
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    builder.configure(config).build().await
}

/// An error with all its causes on one line.
fn sources_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
}
