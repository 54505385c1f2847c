//! What is counted, for `/metrics`.
//!
//! Labels are bounded: aliases and model ids come from the config, never from a request.

mod keeping;
mod routing;
mod serving;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use keeping::Keeping;
pub use routing::{AliasLabels, DeploymentLabels, Routing};
pub use serving::Serving;

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern.
    pub route: String,
    /// HTTP status.
    pub status: u16,
}

/// A call to Bedrock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The catalogue's model id.
    pub model: String,
    /// The region called.
    pub region: String,
    /// `ok`, or the kind of error.
    pub outcome: &'static str,
}

/// Pictures handed over, and what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PictureLabels {
    /// The alias that was asked for.
    pub alias: String,
    /// The catalogue's model id.
    pub model: String,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KeyLabels {
    /// The alias that is painted for with it.
    pub alias: String,
    /// Where it comes from, such as `os.environ/AWS_BEARER_TOKEN_BEDROCK`.
    pub source: String,
}

/// All of it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests that have ended.
    pub requests: Family<RequestLabels, Counter>,
    /// Requests under way.
    pub in_flight: Gauge,
    /// From the first byte of a request to the last of its reply.
    pub duration: Histogram,
    /// Calls to Bedrock.
    pub calls: Family<CallLabels, Counter>,
    /// Pictures handed over whole.
    pub pictures: Family<PictureLabels, Counter>,
    /// US dollars for the pictures handed over.
    pub cost: Family<PictureLabels, Counter<f64, AtomicU64>>,
    /// Replies that ended before they were whole.
    pub broken: Counter,
    /// Replies that brought fewer pictures than asked for.
    pub incomplete: Counter,
    /// Seconds that API keys with an end still live; set when it is asked for.
    pub key_life: Family<KeyLabels, Gauge>,
    /// Of the router.
    pub routing: Routing,
    /// Of calls that outlive their callers.
    pub keeping: Keeping,
    /// Of Easel itself.
    pub serving: Serving,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("easel"),
            requests: Family::default(),
            in_flight: Gauge::default(),
            // 5 ms to 5 minutes.
            duration: Histogram::new(exponential_buckets(0.005, 2.5, 13)),
            calls: Family::default(),
            pictures: Family::default(),
            cost: Family::default(),
            broken: Counter::default(),
            incomplete: Counter::default(),
            key_life: Family::default(),
            routing: Routing::default(),
            keeping: Keeping::default(),
            serving: Serving::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("requests", "Requests that have ended", self.requests.clone());
        r.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        let help = "From the first byte of a request to the last of its reply";
        r.register_with_unit("request_duration", help, Unit::Seconds, self.duration.clone());
        r.register("bedrock_calls", "Calls to Bedrock", self.calls.clone());
        r.register("pictures", "Pictures handed over whole", self.pictures.clone());
        let help = "US dollars for the pictures handed over, by list price";
        r.register("cost_dollars", help, self.cost.clone());
        r.register("replies_broken", "Replies that ended before they were whole", self.broken.clone());
        r.register("replies_incomplete", "Replies with fewer pictures than asked for", self.incomplete.clone());
        r.register("key_seconds_left", "Life of Bedrock API keys that have an end", self.key_life.clone());
        self.routing.register(r);
        self.keeping.register(r);
        self.serving.register(r);
        self
    }

    /// In OpenMetrics' text form.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
