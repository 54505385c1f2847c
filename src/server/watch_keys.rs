//! Says in the log when API keys are about to end, and goes on saying it.
//!
//! Must not show a key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::api_key::{ApiKey, utc};
use crate::bedrock::Shown;
use crate::http::App;

/// A key that lives less than this is worth a warning.
const SOON: Duration = Duration::from_secs(60 * 60);

/// Between two warnings.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// Looks at every key that is in use, now and then.
pub(super) async fn watch(app: Arc<App>) {
    loop {
        let mut warnings = BTreeSet::new();
        for deployment in app.router.table().deployments().filter(|deployment| !deployment.mock) {
            let keys = app.router.client().keys(deployment).await;
            warnings.extend(keys.first().and_then(|key| warning(key, app.clock.now())));
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is to be said of a key, if its end is near or past.
fn warning(key: &Shown, now: SystemTime) -> Option<String> {
    let ApiKey::ShortTerm { expires, .. } = key.says else { return None };
    let left = key.says.left(now).filter(|left| *left < SOON)?;
    let when = match left.as_secs() / 60 {
        0 if left.is_zero() => format!("expired at {}", utc(expires)),
        0 => format!("expires within a minute, at {}", utc(expires)),
        1 => format!("expires in 1 minute, at {}", utc(expires)),
        minutes => format!("expires in {minutes} minutes, at {}", utc(expires)),
    };
    let hint = match key.in_file {
        true => "Write a new one into the file; it is read without a restart",
        false => {
            "Make a new one (easel token) and set it there: .env is read without a restart, other variables are not"
        }
    };
    Some(format!("the API key from {} {when}. {hint}", key.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn only_a_near_end_is_worth_a_word() {
        let made: SystemTime = datetime!(2026-11-22 00:00 UTC).into();
        let expires: SystemTime = datetime!(2026-11-22 12:00 UTC).into();
        let says = ApiKey::ShortTerm { region: "us-west-2".into(), made, expires };
        let mut key = Shown { source: "os.environ/KEY".into(), says, in_file: false };
        let said = |key: &Shown, before: u64| warning(key, expires - Duration::from_secs(before));
        assert_eq!(said(&key, 3600), None);
        let most = "the API key from os.environ/KEY expires in 59 minutes, at 2026-11-22 12:00 UTC. Make a new one \
                    (easel token) and set it there: .env is read without a restart, other variables are not";
        assert_eq!(said(&key, 3599).as_deref(), Some(most));
        assert!(said(&key, 119).unwrap().contains("expires in 1 minute, at"));
        assert!(said(&key, 59).unwrap().contains("expires within a minute, at"));
        assert!(said(&key, 0).unwrap().contains("expired at 2026-11-22 12:00 UTC"));
        key.in_file = true;
        assert!(said(&key, 60).unwrap().ends_with("it is read without a restart"));
        key.says = ApiKey::LongTerm;
        assert_eq!(said(&key, 60), None);
    }
}
