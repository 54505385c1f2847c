//! How long API keys still live, for `/health` and `/metrics`: only those that say so themselves.
//!
//! Must not show a key.

use serde_json::{Value, json};

use super::extract::App;
use crate::api_key::{ApiKey, utc};
use crate::config::Deployment;
use crate::metrics::KeyLabels;

/// The key that a deployment shows now, if it has an end: for its line in `/health`, with what is wrong if it is over.
pub(super) async fn in_use(app: &App, deployment: &Deployment) -> Option<(Value, Option<String>)> {
    let key = app.router.client().keys(deployment).await.into_iter().next()?;
    let ApiKey::ShortTerm { expires, .. } = key.says else { return None };
    let left = key.says.left(app.clock.now())?;
    let ended = left.is_zero().then(|| format!("its API key expired at {}", utc(expires)));
    Some((json!({ "source": key.source, "expires": utc(expires), "seconds_left": left.as_secs() }), ended))
}

/// Sets the figure of each key, the one in use and the one after it. Of keys that share a source the least counts.
pub(super) async fn measure(app: &App) {
    let mut least: Vec<(KeyLabels, i64)> = Vec::new();
    for deployment in app.router.table().deployments() {
        for key in app.router.client().keys(deployment).await {
            let Some(left) = key.says.left(app.clock.now()) else { continue };
            let left = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            let labels = KeyLabels { alias: deployment.alias.clone(), source: key.source };
            match least.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, known)) => *known = left.min(*known),
                None => least.push((labels, left)),
            }
        }
    }
    // A key without an end may have come in the place of one with an end.
    app.metrics.key_life.clear();
    for (labels, left) in least {
        app.metrics.key_life.get_or_create(&labels).set(left);
    }
}
