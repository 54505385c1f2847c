//! Who would sign a deployment's calls, as far as it may be shown.
//!
//! Must not show a secret, nor call Bedrock.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;

use super::credentials::{Identity, NoCredentials};
use super::{Client, shortened, sts};
use crate::config::Deployment;

/// STS answers at once, or it is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Credentials, as far as they may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The access key's id in short, such as `AKIA…MPLE`.
    pub id: String,
    /// Where they come from in words, as far as they say: `environment`, `profile, SSO`.
    pub source: String,
    /// When their session ends, if they say so.
    pub expires: Option<SystemTime>,
}

/// Why it is not known whose credentials they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// STS refuses them; AWS's name for the reason, such as `InvalidClientTokenId`.
    Refused(String),
    /// STS was not to be reached; in words. Painting needs it only where a role is assumed.
    Unreached(String),
    /// There is nothing to ask with: an API key, or no credentials.
    Unasked,
}

impl Client {
    /// Finds the credentials of a deployment; none if it has an API key.
    pub async fn signer(&self, deployment: &Deployment) -> Result<Option<Signer>, NoCredentials> {
        match self.identities.get(deployment, self.clock.now()).await? {
            Identity::Bearer { .. } => Ok(None),
            Identity::Aws(credentials) => Ok(Some(Signer {
                id: shortened(credentials.access_key_id()),
                source: source(&credentials),
                expires: credentials.expiry(),
            })),
        }
    }

    /// Asks STS whose they are: an ARN.
    pub async fn caller(&self, deployment: &Deployment, sts_endpoint: Option<&str>) -> Result<String, Unknown> {
        let identity = self.identities.get(deployment, self.clock.now()).await;
        let Ok(Identity::Aws(credentials)) = identity else { return Err(Unknown::Unasked) };
        let asked = sts::caller(credentials, sts_endpoint, &deployment.region);
        let late = |_| Unknown::Unreached(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
    }
}

/// The links of the chain that the credentials went through.
fn source(credentials: &Credentials) -> String {
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>().into_iter().flatten();
    let mut words: Vec<_> = features.filter_map(word).collect();
    words.dedup();
    words.join(", ")
}

fn word(feature: &AwsCredentialFeature) -> Option<&'static str> {
    use AwsCredentialFeature as F;
    Some(match feature {
        F::CredentialsEnvVars => "environment",
        F::CredentialsProfile | F::CredentialsProfileSourceProfile | F::CredentialsProfileNamedProvider => "profile",
        F::CredentialsProfileSso | F::CredentialsSso => "SSO",
        F::CredentialsProfileProcess | F::CredentialsProcess => "process",
        F::CredentialsEnvVarsStsWebIdToken | F::CredentialsProfileStsWebIdToken | F::CredentialsStsAssumeRoleWebId => {
            "web identity"
        }
        F::CredentialsStsAssumeRole => "assumed role",
        F::CredentialsHttp => "container",
        F::CredentialsImds => "EC2 metadata",
        _ => return None,
    })
}
