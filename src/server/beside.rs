//! What goes on beside serving, for one config: keys and models that end, credentials that are missing, what is to be
//! removed.
//!
//! Must not answer anyone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::watch_keys;
use crate::bedrock::{describe_auth, key_problems};
use crate::clock::Clock;
use crate::config::{Auth, Config};
use crate::http::App;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const FORGETTING: Duration = Duration::from_secs(30);

const CLEANING: Duration = Duration::from_secs(10 * 60);

/// What goes on beside serving.
pub(super) async fn beside(app: Arc<App>, config: Arc<Config>) {
    let clock = app.clock;
    let looking = look_for_credentials(app.clone());
    tokio::join!(looking, remind_daily(config, clock), watch_keys::watch(app.clone()), forget(app.clone()), clean(app));
}

/// Removes pictures whose links have expired, at once and then now and again.
async fn clean(app: Arc<App>) {
    let Some(links) = &app.links else { return };
    loop {
        if let Err(error) = links.clean().await {
            tracing::warn!(detail = %error, "the place of pictures behind links cannot be cleaned: see easel_settings.links");
        }
        tokio::time::sleep(CLEANING).await;
    }
}

/// Forgets kept replies that nobody has come back for.
async fn forget(app: Arc<App>) {
    let Some(book) = &app.book else { return };
    loop {
        book.clean().await;
        tokio::time::sleep(FORGETTING).await;
    }
}

/// Says once a day which models have ended or soon will: nobody reads the start of a log that is months old.
async fn remind_daily(config: Arc<Config>, clock: Clock) {
    loop {
        tokio::time::sleep(DAY).await;
        for notice in config.life(clock.today()) {
            tracing::warn!("config: {notice}");
        }
    }
}

/// What an operator should know at start: one line for each deployment, and what is wrong with it.
pub(super) fn report(config: &Config, clock: Clock) {
    for notice in config.warnings.iter().chain(&config.life(clock.today())) {
        tracing::warn!("config: {notice}");
    }
    for deployment in &config.deployments {
        let how = describe_auth(deployment, clock);
        tracing::info!("{} paints with {} in {}, {how}", deployment.alias, deployment.model_id, deployment.region);
        for problem in key_problems(deployment, clock.now()) {
            tracing::warn!("{problem}");
        }
    }
    for wildcard in &config.wildcards {
        let models: Vec<_> = wildcard.deployments().map(|deployment| deployment.model.id.as_str()).collect();
        tracing::info!("{} paints with {}, as a request says", wildcard.pattern, models.join(", "));
    }
    if config.master_key.is_none() {
        tracing::warn!("there is no master key: callers need none, and only this machine's are answered");
    }
}

/// Looks once whether there are credentials to sign with, so that a start without any says so before the first
/// request. All at once: deployments that share a source share its answer, and a slow one holds nobody up.
async fn look_for_credentials(app: Arc<App>) {
    let deployments = app.router.table().deployments();
    let signing = deployments.filter(|d| !d.mock && !matches!(d.auth, Auth::Bearer { .. }));
    let lookups = signing.map(|deployment| {
        let client = app.router.client();
        async move { (deployment.alias.clone(), client.find_credentials(deployment).await) }
    });
    let mut missing = BTreeMap::<String, BTreeSet<String>>::new();
    for (alias, found) in join_all(lookups).await {
        if let Err(error) = found {
            missing.entry(error.to_string()).or_default().insert(format!("'{alias}'"));
        }
    }
    for (detail, aliases) in missing {
        let aliases = aliases.into_iter().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            detail,
            "missing credentials: {aliases} cannot be signed for. Set AWS_BEARER_TOKEN_BEDROCK, or AWS access keys, or \
             run with a profile or a role"
        );
    }
}
