//! Where credentials come from: AWS's chain, one profile of it, and what STS makes of them.
//!
//! Must not keep anything: each fetch reads files and asks services anew, so that a changed profile counts.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, imds};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures_util::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};

use super::credentials::{Lack, NoCredentials};
use super::sts;
use crate::aws_http;
use crate::config::Auth;

/// A source that has not answered by then has failed. Signing in by a process or over a slow proxy takes a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each of the two questions to EC2's metadata service; where there is none, the address often swallows packets.
const IMDS_PATIENCE: Duration = Duration::from_millis(2400);

/// Credentials that stand in the config.
pub(super) fn fixed(id: &str, secret: &SecretString, token: Option<&SecretString>) -> Credentials {
    Credentials::from_keys(id, secret.expose_secret(), token.map(|t| t.expose_secret().to_owned()))
}

/// Credentials for a deployment in this region. `env_keys` come first in the whole chain, where they are known better
/// than the process's own environment knows them.
///
/// An answer in any case: aws-config panics where a metadata service names a role that cannot stand in an address. In a box
/// from here on: what AWS's crates do is long, would be compiled again wherever this is awaited, and no call that has an API
/// key needs room for it.
pub(super) fn fetch<'a>(
    auth: &'a Auth,
    region: &'a str,
    env_keys: Option<Credentials>,
) -> BoxFuture<'a, Result<Credentials, NoCredentials>> {
    async move {
        let asked = AssertUnwindSafe(ask(auth, region, env_keys)).catch_unwind();
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(_)) => Err(NoCredentials::new("the source answered what cannot be understood")),
            Err(_) => Err(NoCredentials::new(format!("the source gave no answer within {} s", PATIENCE.as_secs()))),
        }
    }
    .boxed()
}

async fn ask(auth: &Auth, region: &str, env_keys: Option<Credentials>) -> Result<Credentials, NoCredentials> {
    let profile = match auth {
        Auth::Chain { profile, .. } => profile.as_deref(),
        Auth::Bearer { .. } | Auth::Keys { .. } | Auth::WebIdentity { .. } => None,
    };
    let (base, role) = match auth {
        Auth::Bearer { .. } => return Err(NoCredentials::new("a bearer key needs no AWS credentials")),
        Auth::WebIdentity { token, role } => return sts::assume_by_token(role, token, region).await,
        Auth::Keys { access_key_id, secret_access_key, session_token, role } => {
            let credentials = fixed(access_key_id, secret_access_key, session_token.as_ref());
            (SharedCredentialsProvider::new(credentials), role)
        }
        Auth::Chain { profile: Some(profile), role } => (one_profile(profile, region), role),
        Auth::Chain { profile: None, role } => match env_keys {
            Some(keys) => (SharedCredentialsProvider::new(keys), role),
            None => (whole_chain(region).await, role),
        },
    };
    match role {
        Some(role) => sts::assume(role, base, region).await,
        None => base.provide_credentials().await.map_err(|error| explain(&error, profile)),
    }
}

/// AWS's words, or plainer ones where those say nothing.
fn explain(error: &CredentialsError, profile: Option<&str>) -> NoCredentials {
    let said = NoCredentials::caused_by(error);
    let text = said.to_string();
    match (error, profile) {
        (CredentialsError::CredentialsNotLoaded(_), Some(profile)) => {
            NoCredentials::new(format!("the profile '{profile}' is not there, or holds nothing to sign with"))
                .lacking(Lack::Profile)
        }
        (CredentialsError::CredentialsNotLoaded(_), None) => said.lacking(Lack::Credentials),
        _ if text.contains("was not defined") => said.lacking(Lack::Profile),
        _ if text.contains("sts:AssumeRole") => said.lacking(Lack::Role),
        _ => said,
    }
}

/// A profile that is asked for by name, without the chain around it: there, keys in the environment come first.
fn one_profile(name: &str, region: &str) -> SharedCredentialsProvider {
    let config = config(region);
    let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
    SharedCredentialsProvider::new(provider)
}

async fn whole_chain(region: &str) -> SharedCredentialsProvider {
    let config = config(region);
    let metadata = imds::Client::builder().configure(&config).max_attempts(2).operation_timeout(IMDS_PATIENCE).build();
    // Told once more, or the chain looks for a region of its own.
    let region = Region::new(region.to_owned());
    let chain = DefaultCredentialsChain::builder().configure(config).region(region).imds_client(metadata);
    SharedCredentialsProvider::new(chain.build().await)
}

fn config(region: &str) -> ProviderConfig {
    ProviderConfig::default().with_region(Some(Region::new(region.to_owned()))).with_http_client(aws_http::client())
}
