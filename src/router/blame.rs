//! Whose fault a failure is, and what it means for who failed: to rest, to be left alone for a while, or nothing.
//!
//! Must not decide what the request does next: that is `paint`'s.

use std::time::Duration;

use time::Date;
use tokio::time::Instant;

use super::gate::Gate;
use super::table::ended;
use crate::bedrock::{Error, Kind};
use crate::config::{ByClass, Deployment, Routing};

/// Failures by what an operator counts them as, in LiteLLM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Authentication,
    Timeout,
    RateLimit,
    Internal,
}

/// A retired model is not asked again for an hour, or until a reload.
const RETIRED: Duration = Duration::from_secs(3600);

/// Nobody is left alone for longer, whatever he asks for.
const MOST: Duration = Duration::from_secs(60);

/// Failures in a minute that may be bad luck, where the operator does not say: a model that fails now and then goes on.
const BAD_LUCK: u32 = 3;

impl Class {
    /// The class of a failure that tells something of its deployment; the caller's own mistakes do not.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Denied(_) | Kind::NotFound | Kind::Retired => Some(Self::Authentication),
            Kind::TimedOut => Some(Self::Timeout),
            Kind::Throttled(_) => Some(Self::RateLimit),
            Kind::Unavailable(_) | Kind::Faulty | Kind::Unreached | Kind::Broken | Kind::Odd => Some(Self::Internal),
            Kind::Invalid | Kind::Filtered | Kind::NoPicture | Kind::InferenceFailed => None,
        }
    }

    pub(super) fn number(self, of: ByClass) -> Option<u32> {
        match self {
            Self::Authentication => of.authentication,
            Self::Timeout => of.timeout,
            Self::RateLimit => of.rate_limit,
            Self::Internal => of.internal,
        }
    }
}

/// Draws the consequences of a failure. `wait` is how long whoever was throttled is left alone; `replaceable`, whether
/// another can step in: one who stands alone does not rest, save if his model is retired. Whether there are any.
pub(super) fn blame(
    gate: &Gate,
    deployment: &Deployment,
    error: &Error,
    wait: Duration,
    replaceable: bool,
    routing: &Routing,
    today: Date,
) -> bool {
    let now = Instant::now();
    let retired = error.kind == Kind::Retired || (error.kind == Kind::NotFound && ended(deployment, today));
    if retired {
        gate.rest(now, RETIRED);
        return true;
    }
    let Some(class) = Class::of(error.kind) else { return false };
    let throttled = matches!(error.kind, Kind::Throttled(_) | Kind::Unavailable(_));
    let asked_for = match error.kind {
        Kind::Throttled(after) | Kind::Unavailable(after) => after,
        _ => None,
    };
    if throttled {
        gate.shut(now, wait.min(MOST));
    }
    let cooldown = deployment.bounds.cooldown.unwrap_or(routing.cooldown);
    let rest = asked_for.map_or(cooldown, |asked_for| asked_for.min(MOST).max(cooldown));
    let failures = u32::try_from(gate.fail(now, class)).unwrap_or(u32::MAX);
    let may_fail = class.number(routing.allowed_by_class).or(routing.allowed_fails);
    let may_fail = may_fail.unwrap_or(match error.kind {
        Kind::Faulty | Kind::Odd | Kind::Broken | Kind::TimedOut => BAD_LUCK,
        _ => 0,
    });
    let rests = replaceable && !routing.no_cooldowns && !rest.is_zero() && failures > may_fail;
    if rests {
        gate.rest(now, rest);
    }
    rests || throttled
}
