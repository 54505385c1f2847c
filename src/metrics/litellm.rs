//! LiteLLM's most used figures under LiteLLM's names, so that dashboards made for it go on working.
//!
//! Must not have a label that a request could choose, nor one of a key, a user or a team: where LiteLLM has those, they
//! are missing here, which to Prometheus is the same as empty.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds, as LiteLLM counts them.
const BUCKETS: [f64; 17] =
    [0.005, 0.025, 0.05, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// A request by its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    requested_model: String,
    status_code: u16,
    route: String,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExceptionLabels {
    requested_model: String,
    exception_status: u16,
    exception_class: &'static str,
    route: String,
}

/// Who painted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    requested_model: String,
    model: String,
    api_provider: &'static str,
}

/// See above.
#[derive(Debug)]
pub struct Litellm {
    requests: Family<StatusLabels, Counter>,
    failures: Family<ExceptionLabels, Counter>,
    spend: Family<ModelLabels, Counter<f64, AtomicU64>>,
    total: Family<ModelLabels, Histogram>,
    upstream: Family<ModelLabels, Histogram>,
}

/// A request for a picture, at its end.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The alias that was asked for; empty if the request did not come so far.
    pub alias: &'a str,
    /// The route's pattern.
    pub route: &'a str,
    /// HTTP status.
    pub status: u16,
    /// The code of the error, if there was one.
    pub error: Option<&'a str>,
    /// The catalogue's model that painted, if one did.
    pub model: Option<&'a str>,
    /// US dollars.
    pub cost: f64,
    /// From the first byte of the request to the last of the reply.
    pub total: Duration,
    /// From sending the call to the first byte of its picture.
    pub upstream: Duration,
}

impl Default for Litellm {
    fn default() -> Self {
        let histogram = || Histogram::new(BUCKETS);
        Self {
            requests: Family::default(),
            failures: Family::default(),
            spend: Family::default(),
            total: Family::new_with_constructor(histogram),
            upstream: Family::new_with_constructor(histogram),
        }
    }
}

impl Litellm {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Requests for pictures that have ended (LiteLLM's name)";
        r.register("litellm_proxy_total_requests_metric", help, self.requests.clone());
        let help = "Requests for pictures that have failed (LiteLLM's name)";
        r.register("litellm_proxy_failed_requests_metric", help, self.failures.clone());
        let help = "US dollars for the pictures handed over, by list price (LiteLLM's name)";
        r.register("litellm_spend_metric", help, self.spend.clone());
        let help = "Seconds from the first byte of a request to the last of its reply (LiteLLM's name)";
        r.register("litellm_request_total_latency_metric", help, self.total.clone());
        let help = "Seconds from sending a call to Bedrock to the first byte of its picture (LiteLLM's name)";
        r.register("litellm_llm_api_latency_metric", help, self.upstream.clone());
    }

    /// Counts a request for a picture.
    pub fn count(&self, ended: Ended<'_>) {
        let Ended { alias, route, status, error, model, cost, total, upstream } = ended;
        let (requested_model, route) = (alias.to_owned(), route.to_owned());
        if error.is_some() || status >= 400 {
            let exception_class = exception(status, error.unwrap_or_default());
            let labels = ExceptionLabels {
                requested_model: requested_model.clone(),
                exception_status: status,
                exception_class,
                route: route.clone(),
            };
            self.failures.get_or_create(&labels).inc();
        }
        if let Some(model) = model {
            let requested_model = requested_model.clone();
            let labels = ModelLabels { requested_model, model: model.to_owned(), api_provider: "bedrock" };
            self.spend.get_or_create(&labels).inc_by(cost);
            self.total.get_or_create(&labels).observe(total.as_secs_f64());
            self.upstream.get_or_create(&labels).observe(upstream.as_secs_f64());
        }
        self.requests.get_or_create(&StatusLabels { requested_model, status_code: status, route }).inc();
    }
}

/// What LiteLLM would have raised.
fn exception(status: u16, code: &str) -> &'static str {
    match (status, code) {
        (_, "content_policy_violation") => "ContentPolicyViolationError",
        (401, _) => "AuthenticationError",
        (403, _) => "PermissionDeniedError",
        (404, _) => "NotFoundError",
        (408 | 504, _) => "Timeout",
        (429, _) => "RateLimitError",
        (503, _) => "ServiceUnavailableError",
        (400..500, _) => "BadRequestError",
        _ => "InternalServerError",
    }
}
