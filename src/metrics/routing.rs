//! What is counted of the router: tries, rests, who waits.
//!
//! Must not take a label from a request: aliases, deployments and models come from the config.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AliasLabels {
    /// The alias that was asked for; a pattern for what a wildcard serves.
    pub alias: String,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeploymentLabels {
    /// Its alias.
    pub alias: String,
    /// `x-litellm-model-id`.
    pub deployment: String,
    /// The catalogue's model id.
    pub model: String,
    /// The region called.
    pub region: String,
}

/// See above.
#[derive(Debug)]
pub struct Routing {
    /// Tries after the first.
    pub retries: Family<AliasLabels, Counter>,
    /// Tries that were left out because the budget of their alias was used up.
    pub over_budget: Family<AliasLabels, Counter>,
    /// Calls that would have had to wait for too long.
    pub refused: Family<AliasLabels, Counter>,
    /// How long calls waited for their turn.
    pub queued: Histogram,
    /// Calls that have no picture yet.
    pub in_flight: Family<DeploymentLabels, Gauge>,
    /// Calls that wait for their turn.
    pub waiting: Family<DeploymentLabels, Gauge>,
    /// 1 while others are asked first.
    pub resting: Family<DeploymentLabels, Gauge>,
    /// Times that a deployment was put to rest, or left alone after it was throttled.
    pub rests: Family<DeploymentLabels, Counter>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            retries: Family::default(),
            over_budget: Family::default(),
            refused: Family::default(),
            // 10 ms to 80 s; nobody waits longer than a minute unless he is told to.
            queued: Histogram::new(exponential_buckets(0.01, 2.0, 14)),
            in_flight: Family::default(),
            waiting: Family::default(),
            resting: Family::default(),
            rests: Family::default(),
        }
    }
}

impl Routing {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("retries", "Calls made again after a failure that may pass", self.retries.clone());
        let help = "Calls not made again because the retry budget of their alias was used up";
        r.register("retries_over_budget", help, self.over_budget.clone());
        let help = "Calls refused because they would have waited too long for a deployment";
        r.register("queue_refusals", help, self.refused.clone());
        let help = "How long calls waited for a deployment before they were made";
        r.register_with_unit("queue_duration", help, Unit::Seconds, self.queued.clone());
        r.register("deployment_calls_in_flight", "Calls that have no picture yet", self.in_flight.clone());
        r.register("deployment_queue_length", "Calls that wait for the deployment", self.waiting.clone());
        let help = "1 while a deployment rests, has been throttled or has ended: others are asked first";
        r.register("deployment_resting", help, self.resting.clone());
        r.register("deployment_rests", "Times that a deployment was put to rest or throttled", self.rests.clone());
    }

    /// An alias is served: its counters stand at zero until something happens, so that a first time is seen as a rise.
    pub fn serve(&self, alias: &str) {
        for family in [&self.retries, &self.over_budget, &self.refused] {
            drop(family.get_or_create(&AliasLabels { alias: alias.to_owned() }));
        }
    }

    /// A call was to be made again, and was, if the budget allowed it.
    pub fn tried_again(&self, alias: &str, within_budget: bool) {
        let family = if within_budget { &self.retries } else { &self.over_budget };
        family.get_or_create(&AliasLabels { alias: alias.to_owned() }).inc();
    }

    /// A call would have waited too long.
    pub fn refused(&self, alias: &str) {
        self.refused.get_or_create(&AliasLabels { alias: alias.to_owned() }).inc();
    }
}
