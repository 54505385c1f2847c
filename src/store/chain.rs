//! Credentials for the bucket, where the config has none: AWS's chain, asked again before they expire.
//!
//! Must not keep credentials beyond their life, nor show them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use futures_util::future::{BoxFuture, FutureExt};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use crate::aws_http;
use crate::clock::Clock;

/// Credentials are fetched anew this long before they expire, and after this if they do not say when.
const MARGIN: Duration = Duration::from_secs(300);

/// The chain, and what it last gave.
#[derive(Debug)]
pub(super) struct Chain {
    region: String,
    clock: Clock,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    credential: Arc<AwsCredential>,
    until: SystemTime,
}

impl Chain {
    pub(super) fn new(region: &str, clock: Clock) -> Self {
        Self { region: region.to_owned(), clock, held: Mutex::new(None) }
    }

    async fn fetch(&self) -> object_store::Result<Held> {
        let config = ProviderConfig::default().with_http_client(aws_http::client());
        let region = Region::new(self.region.clone());
        let chain = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
        let found = chain.provide_credentials().await;
        let found = found.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        let credential = AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        };
        let until = found.expiry().map_or_else(|| self.clock.now() + MARGIN, |expiry| expiry - MARGIN);
        Ok(Held { credential: Arc::new(credential), until })
    }
}

// Without the macro that its trait is written with, so it has to return a boxed future.
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        let fresh = async {
            let mut held = self.held.lock().await;
            if let Some(fresh) = held.as_ref().filter(|held| self.clock.now() < held.until) {
                return Ok(fresh.credential.clone());
            }
            Ok(held.insert(self.fetch().await?).credential.clone())
        };
        fresh.boxed()
    }
}
