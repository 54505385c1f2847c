//! What an operator has to do when a deployment is turned away, in two sentences.
//!
//! Must hold no secret, no ARN and no account: callers see these sentences.

use std::time::SystemTime;

use super::{Denial, Shown};
use crate::api_key::{ApiKey, utc};
use crate::config::{Auth, Deployment};

/// What is wrong and what to do; `shown` is the API key that was refused, if it was one. The first words are those of AWS's own guide: invalid bearer token, access denied,
/// missing credentials.
pub fn remedy(denial: Denial, deployment: &Deployment, shown: Option<&Shown>, now: SystemTime) -> String {
    let alias = &deployment.alias;
    match (denial, shown) {
        (Denial::KeyInvalid | Denial::Expired, Some(shown)) => {
            let problem = key_problem(deployment, shown, now);
            let problem = problem.unwrap_or_else(|| refused_key(alias, shown, denial));
            format!("invalid bearer token: {problem}")
        }
        (Denial::KeyInvalid | Denial::SignatureRefused, _) => format!(
            "access denied: AWS does not accept the credentials of '{alias}'. Check the access key and its secret, and \
             that this machine's clock is right"
        ),
        (Denial::Expired, _) => format!(
            "access denied: the AWS session of '{alias}' has expired. Sign in again (aws sso login, or new session keys)"
        ),
        (Denial::BearerNotAllowed, _) => format!(
            "access denied: the API key of '{alias}' may not be used. Allow its user bedrock:CallWithBearerToken on '*' \
             beside bedrock:InvokeModel"
        ),
        (Denial::AccessDenied, _) => format!(
            "access denied: '{alias}' may not use {} in {}. Allow bedrock:InvokeModel for it, and for a third-party \
             model the AWS Marketplace subscription",
            deployment.model.id, deployment.region
        ),
        (Denial::NoCredentials, _) => format!(
            "missing credentials: there is nobody to sign as for '{alias}'. Set AWS_BEARER_TOKEN_BEDROCK, or AWS access \
             keys, or run with a profile or a role"
        ),
    }
}

fn refused_key(alias: &str, shown: &Shown, denial: Denial) -> String {
    let what = if denial == Denial::Expired { "has expired" } else { "is not accepted by Bedrock" };
    format!(
        "the API key of '{alias}' ({}) {what}. Make a new one in the Bedrock console and set it there",
        shown.source
    )
}

/// What the bearer keys of the config themselves say is wrong with them.
pub fn key_problems(deployment: &Deployment, now: SystemTime) -> Vec<String> {
    let Auth::Bearer { key, next } = &deployment.auth else { return Vec::new() };
    let shown = std::iter::once(key).chain(next).map(Shown::of);
    shown.filter_map(|shown| key_problem(deployment, &shown, now)).collect()
}

/// What a bearer key itself says is wrong with it: expired, for another region, or cut off.
pub fn key_problem(deployment: &Deployment, shown: &Shown, now: SystemTime) -> Option<String> {
    let (alias, Shown { source, says, .. }) = (&deployment.alias, shown);
    match says {
        ApiKey::ShortTerm { expires, .. } if *expires <= now => {
            let when = utc(*expires);
            Some(format!("the API key of '{alias}' ({source}) expired at {when}. Make a new one and set it there"))
        }
        ApiKey::ShortTerm { region, .. } if *region != deployment.region => Some(format!(
            "the API key of '{alias}' ({source}) works in {region} only, and the deployment is in {}. Make a key for \
             that region, or change aws_region_name",
            deployment.region
        )),
        ApiKey::Malformed => Some(format!(
            "the API key of '{alias}' ({source}) begins like a short-term key and cannot be read. Copy it again, whole"
        )),
        ApiKey::ShortTerm { .. } | ApiKey::LongTerm | ApiKey::Unknown => None,
    }
}
