//! Whether the deployment may call its model, by a call that cannot paint: its body is valid for no model.
//!
//! Must not send anything that a model could make a picture of.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::model::{elsewhere, instead};
use super::{Check, Doctor, State};
use crate::bedrock::{Denial, Error, Kind, remedy};
use crate::config::Deployment;
use crate::payload::Payload;

/// Every model wants at least one member.
const NOTHING: &[u8] = b"{}";

const PATIENCE: Duration = Duration::from_secs(30);

/// Tries it. `refused` is what was answered to another question when the first of two API keys was refused.
pub(super) async fn check(doctor: Doctor<'_>, deployment: &Deployment, refused: Option<&Error>) -> Check {
    let nothing = || Payload::from(Bytes::from_static(NOTHING));
    let call = || doctor.client.invoke(deployment, nothing(), PATIENCE, HeaderMap::new());
    let (mut answer, mut own) = (call().await.err(), None);
    if answer.as_ref().is_some_and(|error| error.another_key) {
        // What painting does, too.
        own = std::mem::replace(&mut answer, call().await.err());
    }
    let check = explain(doctor, deployment, answer.as_ref());
    match own.as_ref().or(refused) {
        Some(refused) if check.state == State::Well => {
            let told = explain(doctor, deployment, Some(refused));
            let says = format!("{}, but not with the first key: {}", check.says, told.says);
            Check { state: State::Warning, says, ..told }
        }
        _ => check,
    }
}

/// What an answer means; none is a success, which this call cannot be.
fn explain(doctor: Doctor<'_>, deployment: &Deployment, answer: Option<&Error>) -> Check {
    let Some(error) = answer else {
        return Check::new("access", State::Warning, "a call without content was answered as if it had some");
    };
    let today = doctor.clock.today();
    let (model, region) = (&deployment.model, &deployment.region);
    let failure = |says: String| Check::new("access", State::Failure, says);
    let passing = |says: &str| Check::new("access", State::Warning, says).remedy("Try again in a moment");
    match error.kind {
        // A model that reads the body lets it be called.
        Kind::Invalid | Kind::Filtered => Check::new("access", State::Well, "it may be called"),
        Kind::Denied(denial) => denied(doctor, deployment, error, denial),
        Kind::Retired => gone(doctor, deployment, "Bedrock has withdrawn it, or closed it to this account"),
        Kind::NotFound if model.life.ended(today) => gone(doctor, deployment, "Bedrock does not have it any more"),
        Kind::NotFound => {
            failure(format!("there is no model {} in {region}", deployment.model_id)).remedy(elsewhere(deployment))
        }
        Kind::Throttled(_) => passing("Bedrock is busy (429), so it cannot be told"),
        Kind::Unavailable(_) | Kind::Faulty => passing("Bedrock failed, so it cannot be told"),
        Kind::Unreached | Kind::Broken | Kind::TimedOut => failure(format!("no answer: {}", error.detail))
            .remedy("The endpoint answered other questions, so try again; a firewall may cut longer requests off"),
        Kind::Odd | Kind::NoPicture | Kind::InferenceFailed => {
            let status = error.detail.split(':').next().unwrap_or_default();
            failure(format!("an answer that is not Bedrock's: {status}"))
                .remedy("Check aws_bedrock_runtime_endpoint and api_base")
        }
    }
}

/// With fallbacks a model may be gone: its alias goes on.
fn gone(doctor: Doctor<'_>, deployment: &Deployment, says: &str) -> Check {
    let remedy = instead(doctor, deployment);
    match doctor.falls_back(deployment) {
        true => Check::new("access", State::Warning, format!("{says}; requests go to its fallbacks")).remedy(remedy),
        false => Check::new("access", State::Failure, says).remedy(remedy),
    }
}

fn denied(doctor: Doctor<'_>, deployment: &Deployment, error: &Error, denial: Denial) -> Check {
    let told = remedy(denial, deployment, error.shown.as_deref(), doctor.clock.now());
    let check = Check::told("access", State::Failure, &told);
    match denial {
        // The words of other denials may hold what was signed.
        Denial::AccessDenied | Denial::BearerNotAllowed => match lacking(error.words()) {
            Some(remedy) => check.remedy(remedy),
            None => check,
        },
        Denial::KeyInvalid | Denial::Expired | Denial::SignatureRefused | Denial::NoCredentials => check,
    }
}

/// The permission that AWS says is missing.
fn lacking(words: &str) -> Option<String> {
    if words.contains("aws-marketplace:") {
        return Some(
            "Let somebody call the model once who may aws-marketplace:Subscribe and \
             aws-marketplace:ViewSubscriptions, then wait 15 minutes"
                .into(),
        );
    }
    let (_, rest) = words.split_once("not authorized to perform: ")?;
    let (action, rest) = rest.split_once(' ')?;
    let resource = rest.strip_prefix("on resource: ").and_then(|rest| rest.split(' ').next()).unwrap_or("*");
    let why = match () {
        () if words.contains("explicit deny") => {
            "A policy denies it, perhaps one of the organisation: that one has to change"
        }
        () if words.contains("service control policy") => {
            "A service control policy of the organisation has to allow it"
        }
        () => "Add it to the policy of who signs",
    };
    Some(format!("Allow {action} on {resource}. {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_names_is_named() {
        let words = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: bedrock:InvokeModel on \
                     resource: arn:aws:bedrock:us-west-2::foundation-model/y because no identity-based policy allows \
                     the bedrock:InvokeModel action";
        let expected = "Allow bedrock:InvokeModel on arn:aws:bedrock:us-west-2::foundation-model/y. Add it to the \
                        policy of who signs";
        assert_eq!(lacking(words).as_deref(), Some(expected));
        let denied = words.replace("no identity-based policy allows", "of an explicit deny in a policy for");
        assert!(lacking(&denied).unwrap().contains("A policy denies it"));
        assert!(
            lacking("… the required AWS Marketplace actions (aws-marketplace:Subscribe) …")
                .unwrap()
                .contains("15 minutes")
        );
        assert_eq!(lacking("You don't have access to the model with the specified model ID."), None);
    }
}
