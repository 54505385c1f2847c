//! What an operator has to do when a deployment is turned away, in two sentences.
//!
//! Must hold no secret, no ARN and no account: callers see these sentences.

use std::time::SystemTime;

use secrecy::ExposeSecret;

use super::Denial;
use crate::api_key::{ApiKey, utc};
use crate::config::{Auth, Deployment};

/// What is wrong and what to do. The first words are those of AWS's own guide: invalid bearer token, access denied,
/// missing credentials.
pub fn remedy(denial: Denial, deployment: &Deployment, now: SystemTime) -> String {
    let alias = &deployment.alias;
    match denial {
        Denial::KeyInvalid | Denial::Expired if matches!(deployment.auth, Auth::Bearer { .. }) => {
            let problem = key_problem(deployment, now).unwrap_or_else(|| refused_key(deployment, denial));
            format!("invalid bearer token: {problem}")
        }
        Denial::KeyInvalid | Denial::SignatureRefused => format!(
            "access denied: AWS does not accept the credentials of '{alias}'. Check the access key and its secret, and \
             that this machine's clock is right"
        ),
        Denial::Expired => format!(
            "access denied: the AWS session of '{alias}' has expired. Sign in again (aws sso login, or new session keys)"
        ),
        Denial::BearerNotAllowed => format!(
            "access denied: the API key of '{alias}' may not be used. Allow its user bedrock:CallWithBearerToken on '*' \
             beside bedrock:InvokeModel"
        ),
        Denial::AccessDenied => format!(
            "access denied: '{alias}' may not use {} in {}. Allow bedrock:InvokeModel for it, and for a third-party \
             model the AWS Marketplace subscription",
            deployment.model.id, deployment.region
        ),
        Denial::NoCredentials => format!(
            "missing credentials: there is nobody to sign as for '{alias}'. Set AWS_BEARER_TOKEN_BEDROCK, or AWS access \
             keys, or run with a profile or a role"
        ),
    }
}

fn refused_key(deployment: &Deployment, denial: Denial) -> String {
    let Auth::Bearer { source, .. } = &deployment.auth else { return String::new() };
    let what = if denial == Denial::Expired { "has expired" } else { "is not accepted by Bedrock" };
    format!(
        "the API key of '{}' ({source}) {what}. Make a new one in the Bedrock console and set it there",
        deployment.alias
    )
}

/// What a bearer key itself says is wrong with it: expired, or for another region.
pub fn key_problem(deployment: &Deployment, now: SystemTime) -> Option<String> {
    let Auth::Bearer { key, source } = &deployment.auth else { return None };
    let ApiKey::ShortTerm { region, expires, .. } = ApiKey::read(key.expose_secret()) else { return None };
    let alias = &deployment.alias;
    if expires <= now {
        let when = utc(expires);
        return Some(format!("the API key of '{alias}' ({source}) expired at {when}. Make a new one and set it there"));
    }
    (region != deployment.region).then(|| {
        format!(
            "the API key of '{alias}' ({source}) works in {region} only, and the deployment is in {}. Make a key for \
             that region, or change aws_region_name",
            deployment.region
        )
    })
}
