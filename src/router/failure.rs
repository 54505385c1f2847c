//! Why a request brought no picture, in the words that its caller may hear.
//!
//! Must not hold a secret, an ARN, or an upstream's text save where the mistake is the caller's own.

use std::time::Duration;

use crate::bedrock::{Error, Kind, remedy};
use crate::clock::Clock;
use crate::config::Deployment;
use crate::image::Unsupported;

/// A request without a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's: no such alias. Those that are served.
    UnknownModel {
        /// What was asked for.
        alias: String,
        /// What could have been.
        served: Vec<String>,
    },
    /// The caller's: the model stands in the config, but paints nothing.
    NotServed(String),
    /// The caller's: no deployment can honour a wish.
    Unsupported(Unsupported),
    /// The caller's: Bedrock finds the wish invalid, in these words.
    Invalid(String),
    /// The caller's: prompt or pictures were filtered.
    Refused,
    /// Nobody's: too many requests for now.
    Throttled(Duration),
    /// Nobody's: too many requests wait for the alias already.
    Busy {
        /// Whom they wait for.
        alias: String,
        /// When to come back.
        wait: Duration,
    },
    /// Bedrock's: not available for now.
    Unavailable(Duration),
    /// Bedrock's: it failed, or its answer broke; `paid` if it may be billed.
    Upstream {
        /// Whether sending it again may pay twice.
        paid: bool,
    },
    /// Bedrock's: no answer in time; may be billed.
    TimedOut,
    /// The operator's: a deployment is turned away; with the remedy.
    Denied(String),
    /// The operator's: the model is gone, or was never there; with the remedy.
    Gone(String),
    /// The operator's: an upload could not be kept. The log says why.
    Storage,
    /// The operator's: a picture was painted and could not be put behind a link. The log says why.
    Unkept,
    /// The operator's: a picture was painted and could not be spooled, to be encoded anew. The log says why.
    Unspooled,
}

/// How long a caller is told to wait when Bedrock does not say.
const WAIT: Duration = Duration::from_secs(5);

/// Nobody has to come back sooner.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// SDKs do not wait longer than this.
const MAX_WAIT: Duration = Duration::from_secs(60);

impl Failure {
    /// Too many wait for an alias already; one more would wait so long.
    pub(super) fn busy(alias: &str, wait: Duration) -> Self {
        Self::Busy { alias: alias.to_owned(), wait: wait.clamp(SHORTEST_WAIT, MAX_WAIT) }
    }

    /// The one to report when this came after `earlier`: the last, unless it only says that a model is gone, which
    /// hides that the living ones are merely busy.
    pub(super) fn after(self, earlier: Option<Self>) -> Self {
        match (earlier, &self) {
            (Some(earlier), Self::Gone(_)) if !matches!(earlier, Self::Unsupported(_)) => earlier,
            // That it has to wait tells less than why it is not painted at once.
            (Some(earlier @ (Self::Throttled(_) | Self::Busy { .. })), Self::Busy { .. }) => earlier,
            _ => self,
        }
    }

    /// What a call's error means for its request.
    pub(super) fn from_call(error: &Error, deployment: &Deployment, clock: Clock) -> Self {
        let wait = |after: Option<Duration>| after.unwrap_or(WAIT).min(MAX_WAIT);
        match error.kind {
            Kind::Invalid => Self::Invalid(error.words().to_owned()),
            Kind::Filtered => Self::Refused,
            Kind::Throttled(after) => Self::Throttled(wait(after)),
            Kind::Unavailable(after) => Self::Unavailable(wait(after)),
            Kind::Unreached => Self::Unavailable(WAIT),
            Kind::Faulty | Kind::Odd | Kind::InferenceFailed => Self::Upstream { paid: false },
            Kind::Broken | Kind::NoPicture => Self::Upstream { paid: true },
            Kind::TimedOut => Self::TimedOut,
            Kind::Denied(denial) => Self::Denied(remedy(denial, deployment, error.shown.as_deref(), clock.now())),
            // After its end Bedrock may no longer know the id at all.
            Kind::NotFound if super::ended(deployment, clock.today()) => Self::Gone(retired(deployment)),
            Kind::NotFound => Self::Gone(format!(
                "Bedrock has no model {} in {}. Check model and aws_region_name of '{}'",
                deployment.model.id, deployment.region, deployment.alias
            )),
            Kind::Retired => Self::Gone(retired(deployment)),
        }
    }

    /// Why a call's pictures are missing from a reply that has others.
    pub fn shortfall(&self) -> &'static str {
        match self {
            Self::Refused => "a picture did not come: it was filtered",
            Self::Throttled(_) | Self::Busy { .. } => "a picture did not come: too many requests for now",
            Self::TimedOut => "a picture did not come: no answer in time",
            Self::Denied(_) | Self::Gone(_) => "a picture did not come: a deployment is set up wrongly, see the log",
            Self::Unavailable(_) | Self::Upstream { .. } => "a picture did not come: Bedrock failed",
            Self::Storage => "a picture did not come: an upload could not be kept, see the log",
            Self::Unkept => "a picture did not come: it could not be kept, see the log",
            Self::Unspooled => "a picture did not come: it could not be encoded anew, see the log",
            Self::UnknownModel { .. } | Self::NotServed(_) | Self::Unsupported(_) | Self::Invalid(_) => {
                "a picture did not come: it could not be asked for"
            }
        }
    }
}

fn retired(deployment: &Deployment) -> String {
    let (id, alias) = (&deployment.model.id, &deployment.alias);
    let when = deployment.model.life.end.map_or_else(String::new, |end| format!(" on {end}"));
    format!(
        "the model {id} of '{alias}' was retired{when}. Use model: bedrock/stability.stable-image-core-v1:1 with \
         aws_region_name: us-west-2, or add fallbacks to such a deployment"
    )
}
