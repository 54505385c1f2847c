//! Whose turn it is, how long to wait for it, and whether there is a next one.
//!
//! Must not call anyone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blame::{self, Class};
use super::gate::{Seen, TooLong};
use super::gates::Passages;
use super::table::ended;
use super::{Failure, Job, MAX_WAIT, Router};
use crate::bedrock::{Error, Kind};
use crate::config::{Deployment, Strategy};
use crate::image::Part;
use crate::metrics::DeploymentLabels;

/// Waits between tries are at least this, and grow from it.
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Router {
    /// What a deployment costs by the strategy: the less, the sooner it is asked.
    pub(super) fn cost(&self, deployment: &Deployment) -> f64 {
        let gate = self.gates.of(deployment);
        match self.routing.strategy {
            Strategy::SimpleShuffle => 0.0,
            Strategy::LeastBusy => gate.load() as f64,
            // One that nobody knows is tried first.
            Strategy::LatencyBased => gate.latency().unwrap_or_default(),
        }
    }

    /// Takes out who is asked next: the first whose gate is open. Where those of an alias are all closed, the one of
    /// them that opens first, if that is soon enough; else the same of the next alias. A model that has ended does not
    /// stand in for one that is only busy.
    pub(super) fn take_next(&self, next: &mut Vec<Arc<Deployment>>, job: &Job) -> Option<Arc<Deployment>> {
        let (now, today) = (Instant::now(), self.clock.today());
        let alike = |a: &Arc<Deployment>, b: &Arc<Deployment>| a.alias == b.alias && ended(a, today) == ended(b, today);
        let (mut before, mut chosen) = (0, 0);
        for run in next.chunk_by(alike) {
            let open = run.iter().position(|deployment| self.gates.of(deployment).is_open(now));
            let soonest = || {
                let wait = |deployment: &Arc<Deployment>| self.gates.of(deployment).wait(now);
                let in_time = |deployment: &Arc<Deployment>| {
                    wait(deployment).filter(|wait| now + *wait <= self.latest(deployment, job, now))
                };
                let waits = run.iter().enumerate().filter_map(|(i, deployment)| Some((i, in_time(deployment)?)));
                waits.min_by_key(|(_, wait)| *wait).map(|(i, _)| i)
            };
            if let Some(place) = open.or_else(soonest) {
                chosen = before + place;
                break;
            }
            before += run.len();
        }
        (chosen < next.len()).then(|| next.remove(chosen))
    }

    /// Waits until a call may be made, if that is soon enough.
    pub(super) async fn enter(&self, deployment: &Deployment, job: &Job, group: &str) -> Result<Passages, Failure> {
        let latest = self.latest(deployment, job, Instant::now());
        let passages = self.gates.enter(deployment, group, latest).await;
        match passages {
            Ok(passages) => {
                self.metrics.routing.queued.observe(passages.waited().as_secs_f64());
                Ok(passages)
            }
            Err(TooLong(wait)) => {
                self.metrics.routing.refused(group);
                Err(Failure::busy(group, wait))
            }
        }
    }

    /// The latest moment for a call to begin that is to end in time: as long as calls take of late before the request's
    /// deadline. And nobody waits longer than the queue allows.
    fn latest(&self, deployment: &Deployment, job: &Job, now: Instant) -> Instant {
        let timeout = job.timeout.map_or(deployment.timeout, |wanted| wanted.min(deployment.timeout));
        let takes = Duration::from_secs_f64(self.gates.of(deployment).latency().unwrap_or_default());
        (job.came + timeout.saturating_sub(takes)).min(now + self.routing.queue_time)
    }

    /// How often a call may be tried again after a failure of this kind.
    pub(super) fn retries(&self, deployment: &Deployment, job: &Job, kind: Kind, group: &str) -> u32 {
        let of_class = |policy| Class::of(kind).and_then(|class| class.number(policy));
        let configured = (self.routing.alias_retries.get(group).copied().and_then(of_class))
            .or_else(|| of_class(self.routing.retries))
            .or(deployment.num_retries)
            .unwrap_or(self.routing.num_retries);
        job.num_retries.map_or(configured, |wanted| wanted.min(configured))
    }

    /// Whether one more try can end in time and is within the budget of its alias.
    pub(super) fn may_try_again(&self, deployment: &Deployment, job: &Job, wait: Duration, group: &str) -> bool {
        let now = Instant::now();
        if now + wait > self.latest(deployment, job, now) {
            return false;
        }
        let may = self.budgets.spend(group);
        self.metrics.routing.tried_again(group, may);
        may
    }

    /// How long to wait before the next try: as long as Bedrock asks for, else decorrelated jitter, so that those who
    /// failed together do not come back together.
    pub(super) fn wait_after(&self, kind: Kind, before: Duration, job: &Job, part: Part, attempt: u32) -> Duration {
        if let Kind::Throttled(Some(asked_for)) | Kind::Unavailable(Some(asked_for)) = kind {
            return asked_for.max(self.routing.retry_after);
        }
        let salt = u64::from(part.first) << 32 | u64::from(attempt);
        let draw = fastrand::Rng::with_seed(job.chance ^ salt).f64();
        let most = (before * 3).max(FIRST_WAIT * 2);
        (FIRST_WAIT + (most - FIRST_WAIT).mul_f64(draw)).min(MAX_WAIT).max(self.routing.retry_after)
    }

    /// What can be seen of a deployment's gate.
    pub fn seen(&self, deployment: &Deployment) -> Seen {
        self.gates.of(deployment).seen(Instant::now())
    }

    /// Sets what can be seen of the gates, for `/metrics`.
    pub fn measure(&self) {
        for deployment in self.table.deployments() {
            let (seen, labels) = (self.seen(deployment), labels(deployment));
            let routing = &self.metrics.routing;
            routing.in_flight.get_or_create(&labels).set(seen.in_flight.into());
            // It stands at zero until the first.
            drop(routing.rests.get_or_create(&labels));
            routing.waiting.get_or_create(&labels).set(i64::try_from(seen.waiting).unwrap_or(i64::MAX));
            routing.resting.get_or_create(&labels).set(self.ailment(deployment).is_some().into());
        }
    }

    /// Lets a failure have its consequences for the deployment.
    pub(super) fn blame(&self, deployment: &Deployment, error: &Error, wait: Duration, replaceable: bool) {
        let (gate, today) = (self.gates.of(deployment), self.clock.today());
        if blame::blame(gate, deployment, error, wait, replaceable, &self.routing, today) {
            self.metrics.routing.rests.get_or_create(&labels(deployment)).inc();
        }
    }
}

fn labels(deployment: &Deployment) -> DeploymentLabels {
    let Deployment { alias, id, region, .. } = deployment;
    DeploymentLabels {
        alias: alias.clone(),
        deployment: id.clone(),
        model: deployment.model.id.clone(),
        region: region.clone(),
    }
}
