//! How long the model lives, by AWS's list and the catalogue.
//!
//! Must not decide whether it can be called: a withdrawn model may still answer under a private arrangement.

use super::{Check, Doctor, State, is_here};
use crate::bedrock::{Denial, Error, Kind, Listed};
use crate::config::Deployment;

/// What AWS lists in the deployment's region, if it was asked.
pub(super) type List = Result<Vec<Listed>, Error>;

pub(super) fn check(doctor: Doctor<'_>, deployment: &Deployment, list: Option<&List>) -> Check {
    let (model, today) = (&deployment.model, doctor.clock.today());
    if deployment.is_own_model() {
        return Check::new("model", State::Well, "a model of your own, on no list");
    }
    if model.life.ended(today) {
        let when = model.life.end.map_or_else(|| "has been retired".into(), |end| format!("ended on {end}"));
        return match doctor.falls_back(deployment) {
            true => Check::new("model", State::Note, format!("{when}; its fallbacks are asked first")),
            false => Check::new("model", State::Warning, when).remedy(instead(doctor, deployment)),
        };
    }
    let by_catalogue = match (model.life.end, model.life.legacy) {
        (Some(end), _) => format!("ends on {end}"),
        (None, Some(legacy)) if legacy <= today => format!("legacy since {legacy}"),
        (None, _) => "no end announced".to_owned(),
    };
    match list {
        Some(Ok(list)) => match list.iter().find(|listed| listed.id == model.id) {
            Some(Listed { legacy: true, end, .. }) => {
                let end = end.map(|end| format!(", ends on {end}")).unwrap_or_default();
                Check::new("model", State::Warning, format!("legacy{end}")).remedy(instead(doctor, deployment))
            }
            Some(Listed { legacy: false, end: Some(end), .. }) => {
                Check::new("model", State::Well, format!("active, ends on {end}"))
            }
            Some(_) => Check::new("model", State::Well, format!("active, {by_catalogue}")),
            None if model.regions.contains(&deployment.region) => {
                let says = format!("{by_catalogue}, though AWS does not list it in {}", deployment.region);
                Check::new("model", State::Note, says)
            }
            None => Check::new("model", State::Warning, format!("AWS does not list it in {}", deployment.region))
                .remedy(elsewhere(deployment)),
        },
        Some(Err(error)) => {
            Check::new("model", State::Note, format!("{by_catalogue}, by the catalogue; {}", unlisted(error)))
        }
        None if is_here(&deployment.endpoint) => {
            let says = "AWS_ENDPOINT_URL_BEDROCK names no list to ask";
            Check::new("model", State::Note, format!("{by_catalogue}, by the catalogue; {says}"))
        }
        None => Check::new("model", State::Note, format!("{by_catalogue}, by the catalogue; AWS's list was not asked")),
    }
}

/// Painting needs no list, so its absence is nothing to mend.
fn unlisted(error: &Error) -> &'static str {
    match error.kind {
        Kind::Denied(Denial::AccessDenied) => "bedrock:ListFoundationModels is not allowed, and not needed",
        Kind::Denied(_) => "the credentials do not open AWS's list",
        _ => "AWS's list is not to be had",
    }
}

/// What to write instead of a model that has gone or will go.
pub(super) fn instead(doctor: Doctor<'_>, deployment: &Deployment) -> String {
    let fallbacks = if doctor.falls_back(deployment) { "" } else { ", or add fallbacks" };
    match doctor.config.catalog.living(doctor.clock.today()) {
        Some(model) => {
            let region = model.regions.first().map(|region| format!(" and 'aws_region_name: {region}'"));
            format!("Write 'model: bedrock/{}'{}{fallbacks}", model.id, region.unwrap_or_default())
        }
        None => format!("Write another model{fallbacks}"),
    }
}

/// Where the model is offered, or through which profile.
pub(super) fn elsewhere(deployment: &Deployment) -> String {
    let model = &deployment.model;
    let regions = model.regions.join(", ");
    match model.profiles.first().filter(|_| model.profile_only && deployment.model_id == model.id) {
        Some(profile) => format!("It is called through a profile only: write 'model: bedrock/{profile}.{}'", model.id),
        None if regions.is_empty() => "Check model and aws_region_name".into(),
        None => format!("Write 'aws_region_name' with one of: {regions}"),
    }
}
