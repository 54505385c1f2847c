//! What is counted of calls that outlive their callers, and of the replies that are kept of them.
//!
//! Must not have labels: there is one store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// See above.
#[derive(Debug, Default)]
pub struct Keeping {
    /// Calls that go on without their caller.
    pub orphans: Gauge,
    /// Calls whose caller hung up before the first byte.
    pub abandoned: Counter,
    /// Replies that are kept now.
    pub kept: Gauge,
    /// What they take up.
    pub kept_bytes: Gauge,
    /// Replies that were finished and kept.
    pub stored: Counter,
    /// Replies that could not be kept: no room, or the disk failed.
    pub lost: Counter,
    /// Requests that joined a call under way.
    pub joined: Counter,
    /// Requests that were answered with a kept reply.
    pub replayed: Counter,
    /// Kept replies that nobody came back for.
    pub expired: Counter,
}

impl Keeping {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("calls_without_caller", "Calls that go on without their caller", self.orphans.clone());
        r.register("callers_gone", "Callers who hung up before the first byte", self.abandoned.clone());
        r.register("kept_replies", "Replies that wait for their callers", self.kept.clone());
        r.register_with_unit("kept_replies_size", "What kept replies take up", Unit::Bytes, self.kept_bytes.clone());
        r.register("replies_kept", "Replies that were finished and kept", self.stored.clone());
        r.register("replies_lost", "Replies that could not be kept", self.lost.clone());
        r.register("requests_joined", "Requests that joined a call under way", self.joined.clone());
        r.register("replies_replayed", "Requests answered with a kept reply", self.replayed.clone());
        r.register("kept_replies_expired", "Kept replies that nobody came back for", self.expired.clone());
    }
}
