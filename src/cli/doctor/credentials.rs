//! Who would sign, where that comes from, how long it lives and whose it is.
//!
//! Must not decide whether they suffice: that is `access.rs`'s.

use std::time::{Duration, SystemTime};

use super::{Check, Doctor, State, is_here};
use crate::api_key::{ApiKey, utc};
use crate::bedrock::{Lack, NoCredentials, Shown, Unknown, key_problem};
use crate::config::{Auth, Deployment, Role};

/// What lives less than this is worth a warning.
const SOON: Duration = Duration::from_secs(60 * 60);

/// What was found, and whether a call can be made with it at all.
pub(super) struct Signing {
    pub(super) checks: Vec<Check>,
    pub(super) can_sign: bool,
}

pub(super) async fn check(doctor: Doctor<'_>, deployment: &Deployment) -> Signing {
    if let Auth::Bearer { .. } = deployment.auth {
        let keys = doctor.client.keys(deployment).await;
        let now = doctor.clock.now();
        let checks = keys.iter().enumerate().map(|(place, shown)| key(deployment, shown, place, now)).collect();
        return Signing { checks, can_sign: true };
    }
    let now = doctor.clock.now();
    match doctor.client.signer(deployment).await {
        Err(error) => Signing { checks: vec![missing(doctor, &deployment.auth, &error)], can_sign: false },
        Ok(signer) => {
            let (id, source, expires) = signer.map_or_else(Default::default, |s| (s.id, s.source, s.expires));
            let from = if source.is_empty() { String::new() } else { format!(" ({source})") };
            let says = format!("{} {id}{from}", origin(&deployment.auth));
            let left = expires.map(|end| end.duration_since(now).unwrap_or_default());
            let says = match left {
                Some(left) => format!("{says}, for {} more", span(left)),
                None => says,
            };
            let identity = identity(doctor, deployment).await;
            let checks = std::iter::once(Check::new("credentials", State::Well, says)).chain(identity).collect();
            Signing { checks, can_sign: true }
        }
    }
}

/// Where signed calls have their credentials from, by the config.
fn origin(auth: &Auth) -> String {
    let with_role = |role: &Option<Role>, of: &str| match role {
        Some(role) => format!("the role {}, assumed with {of}:", role.arn),
        None => format!("{of}:"),
    };
    match auth {
        Auth::Keys { role, .. } => with_role(role, "the keys in the config"),
        Auth::Chain { profile: Some(profile), role } => with_role(role, &format!("the profile '{profile}'")),
        Auth::Chain { profile: None, role } => with_role(role, "the AWS chain"),
        Auth::WebIdentity { role, .. } => format!("the role {}, assumed with a web identity token:", role.arn),
        Auth::Bearer { .. } => "an API key".into(),
    }
}

/// An API key by its own words; the one in use comes first.
fn key(deployment: &Deployment, shown: &Shown, place: usize, now: SystemTime) -> Check {
    let what = if place == 0 { "credentials" } else { "next key" };
    let Shown { source, says, .. } = shown;
    if let Some(problem) = key_problem(deployment, shown, now) {
        return Check::told(what, State::Failure, &problem);
    }
    match says {
        ApiKey::LongTerm => Check::new(what, State::Well, format!("long-term API key, any region, from {source}")),
        ApiKey::ShortTerm { region, made, expires } => {
            let age = span(now.duration_since(*made).unwrap_or_default());
            let left = expires.duration_since(now).unwrap_or_default();
            let text = format!(
                "short-term API key for {region}, {age} old, {} left (until {}), from {source}",
                span(left),
                utc(*expires)
            );
            match left < SOON {
                true => Check::new(what, State::Warning, text)
                    .remedy(format!("Make a new one in time: easel token --region {region}, or a long-term key")),
                false => Check::new(what, State::Well, text),
            }
        }
        ApiKey::Unknown | ApiKey::Malformed => {
            let text = format!("API key of no known kind, from {source}");
            let hint = "Bedrock's keys begin with ABSK or bedrock-api-key-. Copy it again, whole";
            Check::new(what, State::Warning, text).remedy(hint)
        }
    }
}

fn missing(doctor: Doctor<'_>, auth: &Auth, error: &NoCredentials) -> Check {
    let profile = match auth {
        Auth::Chain { profile, .. } => profile.as_deref(),
        Auth::Bearer { .. } | Auth::Keys { .. } | Auth::WebIdentity { .. } => None,
    };
    let ambient = doctor.variable("AWS_PROFILE");
    let role = match auth {
        Auth::Keys { role, .. } | Auth::Chain { role, .. } => role.as_ref(),
        Auth::WebIdentity { role, .. } => Some(role),
        Auth::Bearer { .. } => None,
    };
    let (says, remedy) = match (error.lack, profile, role) {
        (Lack::Credentials, _, _) if let Some(profile) = ambient => (
            format!("the profile '{profile}' (AWS_PROFILE) is not there, or holds nothing to sign with"),
            "Change or unset AWS_PROFILE".to_owned(),
        ),
        (Lack::Credentials, _, _) => (
            "missing credentials: there is nobody to sign as".to_owned(),
            "Set AWS_BEARER_TOKEN_BEDROCK, or AWS access keys, or run with a profile or a role".to_owned(),
        ),
        (Lack::Profile, Some(profile), _) => (
            error.to_string(),
            format!(
                "Write one of 'aws configure list-profiles' as aws_profile_name, or make it: aws configure --profile \
                 {profile}"
            ),
        ),
        (Lack::Profile, None, _) => (error.to_string(), "Change or unset AWS_PROFILE".into()),
        (Lack::Role, _, Some(role)) => (
            format!("the role {} is not given: {error}", role.arn),
            "Check that the role exists, that its trust policy names who assumes it, and that they may sts:AssumeRole"
                .into(),
        ),
        (Lack::Role, _, None) => {
            (error.to_string(), "Check role_arn of the profile, and that its keys may sts:AssumeRole".into())
        }
        (Lack::Answer, _, _) => {
            (error.to_string(), "Sign in again (aws sso login), or see to the source that it names".into())
        }
    };
    Check::new("credentials", State::Failure, says).remedy(remedy)
}

/// Whose the credentials are.
async fn identity(doctor: Doctor<'_>, deployment: &Deployment) -> Option<Check> {
    let of_role = match &deployment.auth {
        Auth::Keys { role: Some(role), .. } | Auth::Chain { role: Some(role), .. } | Auth::WebIdentity { role, .. } => {
            role.sts_endpoint.clone()
        }
        Auth::Bearer { .. } | Auth::Keys { .. } | Auth::Chain { .. } => None,
    };
    let of_env = || doctor.first_of(&["AWS_STS_ENDPOINT", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]);
    let endpoint = of_role.or_else(of_env);
    let note = |says: String| Check::new("identity", State::Note, says);
    if endpoint.is_none() && is_here(&deployment.endpoint) {
        return Some(note("not asked: Bedrock is on this machine, and AWS_ENDPOINT_URL_STS names no STS".into()));
    }
    Some(match doctor.client.caller(deployment, endpoint.as_deref()).await {
        Ok(arn) => Check::new("identity", State::Well, arn),
        Err(Unknown::Unasked) => return None,
        Err(Unknown::Unreached(why)) => note(format!("not known, for STS is not to be reached: {why}")),
        Err(Unknown::Refused(code)) => match refused(&code) {
            Some(remedy) => {
                Check::new("identity", State::Failure, format!("STS does not take them: {code}")).remedy(remedy)
            }
            None => note(format!("not known, for STS does not say: {code}")),
        },
    })
}

/// What to do where STS refuses credentials themselves.
fn refused(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "The session is over. Sign in again (aws sso login), or set new session keys"
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" => {
            "AWS does not know this access key. Check it, whether it was deleted, and AWS_SESSION_TOKEN beside it"
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "The secret access key is not this access key's, or this machine's clock is wrong. Check both"
        }
        _ => return None,
    })
}

/// A length of time in its two greatest units: `3 h 12 min`.
fn span(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match (minutes / 60 / 24, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
