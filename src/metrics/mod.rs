//! What is counted, for `/metrics`.
//!
//! Labels are bounded: aliases and model ids come from the config, never from a request.

mod keeping;
mod litellm;
mod process;
mod routing;
mod serving;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use keeping::Keeping;
pub use litellm::{Ended, Litellm};
use process::Process;
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

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route's pattern.
    pub route: String,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabels {
    /// The code of its error, as the caller reads it.
    pub code: &'static str,
}

/// Calls to one model in one region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabels {
    /// The catalogue's model id.
    pub model: String,
    /// The region called.
    pub region: String,
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
    /// Requests that failed.
    pub errors: Family<ErrorLabels, Counter>,
    /// From the first byte of a request to the last of its reply.
    pub duration: Family<RouteLabels, Histogram>,
    /// From sending a call to the first byte of its picture.
    pub upstream: Family<ModelLabels, Histogram>,
    /// From the first byte of a reply with pictures to its last.
    pub transfer: Family<AliasLabels, Histogram>,
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
    /// By LiteLLM's names.
    pub litellm: Litellm,
    /// When the process began to serve, Unix seconds.
    pub began: Gauge,
}

/// 5 ms to 5 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.5, 13))
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
            registry: Registry::default(),
            requests: Family::default(),
            in_flight: Gauge::default(),
            errors: Family::default(),
            duration: Family::new_with_constructor(seconds),
            upstream: Family::new_with_constructor(seconds),
            transfer: Family::new_with_constructor(seconds),
            calls: Family::default(),
            pictures: Family::default(),
            cost: Family::default(),
            broken: Counter::default(),
            incomplete: Counter::default(),
            key_life: Family::default(),
            routing: Routing::default(),
            keeping: Keeping::default(),
            serving: Serving::default(),
            litellm: Litellm::default(),
            began: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register_collector(Box::new(Process));
        let help = "When the process began to serve, as a Unix time";
        r.register_with_unit("process_start_time", help, Unit::Seconds, self.began.clone());
        self.litellm.register(r);
        let r = r.sub_registry_with_prefix("easel");
        r.register("build", "What is running", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        r.register("requests", "Requests that have ended", self.requests.clone());
        r.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        let help = "From the first byte of a request to the last of its reply";
        r.register_with_unit("request_duration", help, Unit::Seconds, self.duration.clone());
        let help = "From sending a call to Bedrock to the first byte of its picture";
        r.register_with_unit("upstream_duration", help, Unit::Seconds, self.upstream.clone());
        let help = "From the first byte of a reply with pictures to its last";
        r.register_with_unit("transfer_duration", help, Unit::Seconds, self.transfer.clone());
        r.register("errors", "Requests that failed, by the code that the caller reads", self.errors.clone());
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
