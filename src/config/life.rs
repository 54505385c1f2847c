//! What the calendar says about a config: models that have ended or soon will, and what to write instead.
//!
//! Must not read a clock: the day is an argument.

use time::{Date, Duration};

use super::{Config, Deployment, Notice};

/// How long before its end a model is worth a warning.
const AHEAD: Duration = Duration::days(90);

/// One warning for each deployment whose model has ended or will within 90 days.
pub(super) fn notices(config: &Config, today: Date) -> Vec<Notice> {
    config.deployments.iter().filter_map(|deployment| notice(config, deployment, today)).collect()
}

fn notice(config: &Config, deployment: &Deployment, today: Date) -> Option<Notice> {
    if deployment.is_own_model() {
        return None;
    }
    let life = deployment.model.life;
    let ended = life.ended(today);
    let when = match life.end.filter(|end| *end <= today.saturating_add(AHEAD)) {
        Some(end) if ended => format!("ended on {end}"),
        Some(end) => format!("ends on {end}"),
        None if ended => "has been retired".to_owned(),
        None => return None,
    };
    let falls = config.fallbacks.get(&deployment.alias).is_some_and(|aliases| !aliases.is_empty());
    let meanwhile = match (ended, falls) {
        (true, true) => ", so requests go to its fallbacks",
        (true, false) => ", so AWS refuses its requests unless your account has an arrangement",
        (false, true) => "; from then on requests go to its fallbacks",
        (false, false) => "; from then on AWS refuses its requests",
    };
    let alive = config.catalog.living(today.saturating_add(AHEAD));
    let instead = alive.map(|model| {
        let region = model.regions.first().map(|r| format!(" and 'aws_region_name: {r}'")).unwrap_or_default();
        format!(". Write 'model: bedrock/{}'{region}", model.id)
    });
    let path = format!("{}.litellm_params.model", deployment.path);
    let message = format!("{} {when}{meanwhile}{}", deployment.model.id, instead.unwrap_or_default());
    Some(Notice { path, message })
}
