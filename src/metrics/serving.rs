//! What is counted of Easel's own state: reloads, refusals, whether it stops.
//!
//! Must not have labels that a request could choose.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// `in_flight` or `in_flight_of_caller`.
    pub reason: &'static str,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// `ok` or `mistakes`.
    pub outcome: &'static str,
}

/// See above.
#[derive(Debug, Default)]
pub struct Serving {
    /// Requests that were refused because there were too many.
    pub refused: Family<ReasonLabels, Counter>,
    /// Times that the config was read again.
    pub reloads: Family<OutcomeLabels, Counter>,
    /// When the config in use was read, Unix seconds.
    pub read_at: Gauge,
    /// Requests for pictures under way.
    pub painting: Gauge,
    /// Connections that are open.
    pub connections: Gauge,
    /// 1 once Easel has been told to stop.
    pub stopping: Gauge,
}

impl Serving {
    pub(super) fn register(&self, r: &mut Registry) {
        // They stand at zero until something happens.
        for reason in ["in_flight", "in_flight_of_caller"] {
            drop(self.refused.get_or_create(&ReasonLabels { reason }));
        }
        for outcome in ["ok", "mistakes"] {
            drop(self.reloads.get_or_create(&OutcomeLabels { outcome }));
        }
        r.register("requests_refused", "Requests refused because there were too many", self.refused.clone());
        r.register("config_reloads", "Times that the config was read again", self.reloads.clone());
        let help = "When the config in use was read, as a Unix time";
        r.register_with_unit("config_read_timestamp", help, Unit::Seconds, self.read_at.clone());
        r.register("picture_requests_in_flight", "Requests for pictures under way", self.painting.clone());
        r.register("connections", "Connections that are open", self.connections.clone());
        r.register("stopping", "1 once Easel has been told to stop", self.stopping.clone());
    }

    /// One request too many.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// The config has been read again.
    pub fn reload(&self, outcome: &'static str) {
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
