//! Which deployment paints, and what to do when it fails.
//!
//! Must not know HTTP's surface: it is given a job and answers paintings or a failure.

mod arrivals;
mod cooldown;
mod explain;
mod failure;
mod mock;
mod painting;
mod table;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};

pub use arrivals::Arrivals;
use arrivals::Outcomes;
pub use explain::Explanation;
pub use failure::Failure;
pub use painting::{Broken, Painting};
use table::{Instead, Plan};
pub use table::{Table, ended};

use crate::bedrock::{Client, Error, Kind, Reply};
use crate::clock::Clock;
use crate::config::{Config, Deployment};
use crate::image::{Part, Task, Unsupported};
use crate::metrics::{CallLabels, Metrics};
use crate::payload::Payload;
use crate::provider::{Asked, Order, Request};
use crate::raster::{self, Prints, Raster};
use cooldown::Cooldowns;

/// A deployment that was turned away, throttled or unreachable rests this long if another can take its place.
const REST: Duration = Duration::from_secs(5);

/// A retired model is not asked again for an hour, or until a reload.
const RETIRED_REST: Duration = Duration::from_secs(3600);

/// Waits between tries grow from this by doubling, up to `MAX_BACKOFF`.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

const MAX_BACKOFF: Duration = Duration::from_secs(8);

/// What one request wants from the router.
#[derive(Clone, Debug)]
pub struct Job {
    /// The alias that is asked for.
    pub alias: String,
    /// What to paint.
    pub task: Task,
    /// The caller's bound on each silence of the upstream.
    pub timeout: Option<Duration>,
    /// The caller's bound on tries after the first.
    pub num_retries: Option<u32>,
    /// The caller's fallbacks instead of the configured ones. What is not served is left out, and said.
    pub fallbacks: Option<Vec<String>>,
    /// The caller wants no fallbacks at all.
    pub disable_fallbacks: bool,
    /// Chance for this request: the seed that is drawn, the deployment, the jitter.
    pub chance: u64,
    /// What has been made of its pictures so far.
    pub prints: Prints,
}

/// Sends jobs to deployments.
#[derive(Debug)]
pub struct Router {
    table: Table,
    client: Client,
    raster: Raster,
    cooldowns: Cooldowns,
    num_retries: u32,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// Who is still to be asked.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    /// The alias whose deployments the caller asked for; the others are fallbacks.
    group: &'a str,
    next: &'a [Arc<Deployment>],
    /// Those who are asked after a content filter, instead of the rest.
    after_filter: &'a [Arc<Deployment>],
}

/// Enough to see whether a deployment can honour a task.
const FIRST: Part = Part { first: 0, count: 1 };

/// What to do after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The same deployment once more, up to this many tries; then the next.
    Again { at_most: u32, wait: Option<Duration> },
    /// The next deployment.
    Next,
    /// Only those that the config names for a content filter.
    AfterFilter,
    /// Nothing would help, or it may have been paid for.
    Stop,
}

impl Router {
    /// A router for the deployments of a config.
    pub fn new(config: &Config, client: Client, raster: Raster, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let num_retries = config.num_retries;
        let (table, cooldowns) = (Table::new(config), Cooldowns::default());
        Self { table, client, raster, cooldowns, num_retries, clock, metrics }
    }

    /// Who serves what.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Why a deployment would be asked last, if it would: its model has ended, or it rests.
    pub fn ailment(&self, deployment: &Deployment) -> Option<&'static str> {
        if ended(deployment, self.clock.today()) {
            return Some("the model has been retired");
        }
        let resting = self.cooldowns.resting(&deployment.id, self.clock.now());
        resting.then_some("it failed a moment ago and rests")
    }

    /// The client behind it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a job on its way, or says at once why it cannot go. What comes of it, call by call, is waited for by its
    /// arrivals; dropped, they end the calls.
    pub fn dispatch(self: &Arc<Self>, job: Job) -> Result<Arrivals, Failure> {
        let mut plan = self.plan(&job)?;
        let count = count(&job, &plan.usual[0]);
        let (router, ignored) = (self.clone(), std::mem::take(&mut plan.ignored));
        let calls = move |outcomes: Outcomes| async move {
            let way = Way { group: &plan.group, next: &plan.usual, after_filter: &plan.after_filter };
            router.paint(way, &job, Part { first: 0, count }, &outcomes).await;
        };
        Ok(Arrivals::new(calls, count, ignored))
    }

    /// The deployments that can honour the task, in the order in which they are asked; those of the alias that need
    /// not drop a wish first. The refusal of the first if none can.
    fn plan(&self, job: &Job) -> Result<Plan, Failure> {
        let (now, mut chance) = (self.clock.now(), fastrand::Rng::with_seed(job.chance));
        let resting = |deployment: &Deployment| self.cooldowns.resting(&deployment.id, now);
        let instead = match (job.disable_fallbacks, &job.fallbacks) {
            (true, _) => Instead::Nobody,
            (false, Some(aliases)) => Instead::These(aliases),
            (false, None) => Instead::AsConfigured,
        };
        let plan = self.table.plan(&job.alias, instead, self.clock.today(), resting, &mut chance);
        let unknown = || match self.table.is_not_served(&job.alias) {
            true => Failure::NotServed(job.alias.clone()),
            false => Failure::UnknownModel { alias: job.alias.clone(), served: self.table.near(&job.alias) },
        };
        let Plan { group, usual, mut after_filter, ignored, mut unable } = plan.ok_or_else(unknown)?;
        let mut able = Vec::new();
        for deployment in usual {
            match request(&deployment, job, FIRST, &group) {
                Ok(request) => {
                    let ended = ended(&deployment, self.clock.today());
                    able.push(((ended, request.makeshift, request.dropped), deployment));
                }
                Err(unsupported) => unable.push((deployment, unsupported)),
            }
        }
        best_first(&mut able);
        after_filter.retain(|deployment| request(deployment, job, FIRST, &group).is_ok());
        if able.is_empty() {
            // What the alias itself cannot do says more than what its fallbacks cannot, and what a model that is made
            // for the task lacks says more than that another is not.
            let own = |(deployment, _): &&(Arc<Deployment>, Unsupported)| deployment.alias == group;
            let made_for_it = |(_, unsupported): &&(Arc<Deployment>, Unsupported)| !unsupported.elsewhere;
            let said = || unable.iter().rev().filter(own);
            let first = said().find(made_for_it).or_else(|| unable.iter().find(made_for_it));
            let own = first.or_else(|| said().next()).or(unable.first());
            return Err(own.map_or_else(unknown, |(_, unsupported)| Failure::Unsupported(unsupported.clone())));
        }
        let usual = able.into_iter().map(|(_, deployment)| deployment).collect();
        Ok(Plan { group, usual, after_filter, ignored, unable })
    }

    /// The whole loop of tries for one part of a job: each deployment of the plan in turn, some of them more than
    /// once, and never again once a call may have been paid for. A content filter leaves the usual way for the one
    /// that is named for it. A part that is too much for one call is cut, and each piece goes its own way from there.
    /// One outcome for each call, as it comes.
    fn paint<'a>(&'a self, mut way: Way<'a>, job: &'a Job, part: Part, outcomes: &'a Outcomes) -> BoxFuture<'a, ()> {
        async move {
            let mut last = None;
            let replaceable = way.next.len() > 1;
            while let Some((deployment, after)) = way.next.split_first() {
                let per_call = deployment.model.limits.pictures_per_call;
                if part.count > per_call {
                    let pieces = part.split(per_call).map(|piece| self.paint(way, job, piece, outcomes));
                    join_all(pieces).await;
                    return;
                }
                way.next = after;
                let (request, payload) = match self.ready(deployment, job, part, way.group).await {
                    Ok(ready) => ready,
                    Err(failure) => {
                        last = last.or(Some(failure));
                        continue;
                    }
                };
                let sibling = after.first().is_some_and(|next| next.alias == deployment.alias);
                let tries = if sibling { 1 } else { 1 + self.retries(deployment, job) };
                for attempt in 1..=tries {
                    let error = match self.call(deployment, &request, &payload, job, part).await {
                        Ok(painting) => return outcomes.give(part, Ok(painting)),
                        Err(error) => error,
                    };
                    let failure = Failure::from_call(&error, deployment, self.clock);
                    self.rest(deployment, &error, replaceable);
                    match next_step(error.kind) {
                        Step::Stop => return outcomes.give(part, Err(failure)),
                        Step::Again { at_most, wait } if attempt < tries.min(at_most) => {
                            tokio::time::sleep(wait.unwrap_or_else(|| backoff(job.chance, part, attempt))).await;
                            continue;
                        }
                        Step::AfterFilter => way.next = std::mem::take(&mut way.after_filter),
                        Step::Again { .. } | Step::Next => {}
                    }
                    last = Some(failure.after(last));
                    break;
                }
            }
            outcomes.give(part, Err(last.unwrap_or(Failure::Upstream { paid: false })));
        }
        .boxed()
    }

    /// One call, up to the first byte of a picture. Where its API key is refused and another stands ready, it is made
    /// with that one, once: nothing was painted, and nobody has to rest.
    async fn call(
        &self,
        deployment: &Arc<Deployment>,
        request: &Request,
        payload: &Payload,
        job: &Job,
        part: Part,
    ) -> Result<Painting, Error> {
        match self.call_once(deployment, request, payload, job, part).await {
            Err(error) if error.another_key => self.call_once(deployment, request, payload, job, part).await,
            outcome => outcome,
        }
    }

    async fn call_once(
        &self,
        deployment: &Arc<Deployment>,
        request: &Request,
        payload: &Payload,
        job: &Job,
        part: Part,
    ) -> Result<Painting, Error> {
        let timeout = job.timeout.map_or(deployment.timeout, |wanted| wanted.min(deployment.timeout));
        let begun = async {
            let reply = match deployment.mock {
                true => Reply::in_memory(mock::reply(part.count)),
                false => self.client.invoke(deployment, payload.clone(), timeout).await?,
            };
            Painting::begin(deployment.clone(), request.clone(), part, reply).await
        };
        let result = begun.await;
        let outcome = result.as_ref().map_or_else(|error| outcome(error.kind), |_| "ok");
        let (model, region) = (deployment.model.id.clone(), deployment.region.clone());
        self.metrics.calls.get_or_create(&CallLabels { model, region, outcome }).inc();
        match &result {
            Ok(painting) => tracing::debug!(
                alias = deployment.alias,
                deployment = deployment.path,
                model = deployment.model.id,
                amzn_request_id = painting.request_id(),
                "a picture begins"
            ),
            Err(error) => tracing::warn!(
                alias = deployment.alias,
                deployment = deployment.path,
                model = deployment.model.id,
                region = deployment.region,
                outcome,
                detail = loggable(error),
                amzn_request_id = error.request_id,
                "a call to Bedrock failed"
            ),
        }
        result
    }

    /// What a call will carry, its pictures made ready.
    async fn ready(
        &self,
        deployment: &Deployment,
        job: &Job,
        part: Part,
        group: &str,
    ) -> Result<(Request, Payload), Failure> {
        let request = request(deployment, job, part, group).map_err(Failure::Unsupported)?;
        let payload = self.raster.payload(&request.body, &job.prints).await.map_err(|error| match error {
            raster::Error::Picture(unsupported) => Failure::Unsupported(unsupported),
            raster::Error::Storage(error) => {
                tracing::error!(error, "an upload could not be kept");
                Failure::Storage
            }
        })?;
        Ok((request, payload))
    }

    fn retries(&self, deployment: &Deployment, job: &Job) -> u32 {
        let configured = deployment.num_retries.unwrap_or(self.num_retries);
        job.num_retries.map_or(configured, |wanted| wanted.min(configured))
    }

    /// Puts a deployment to rest where that helps the next request. One that stands alone rests only if its model
    /// is retired.
    fn rest(&self, deployment: &Deployment, error: &Error, replaceable: bool) {
        let how_long = match error.kind {
            Kind::Retired => RETIRED_REST,
            Kind::NotFound if ended(deployment, self.clock.today()) => RETIRED_REST,
            Kind::Throttled(after) | Kind::Unavailable(after) if replaceable => after.unwrap_or(REST),
            Kind::Denied(_) | Kind::NotFound | Kind::Unreached if replaceable => REST,
            _ => return,
        };
        self.cooldowns.rest(&deployment.id, self.clock.now(), how_long);
    }
}

/// How many pictures are asked for, where `leader` is asked first.
fn count(job: &Job, leader: &Deployment) -> u8 {
    let dropped = leader.drops.iter().any(|name| matches!(&**name, "n" | "numberOfImages"));
    let wanted = job.task.wishes.count.filter(|_| !dropped);
    wanted.or(leader.defaults.count).unwrap_or(1)
}

/// What is worse with a deployment than with another: its model has ended, it is a makeshift, a wish is dropped.
type Worse = (bool, bool, bool);

/// Sorts those of the group that leads, the best first. Only them, for a fallback that can do more is still a fallback.
/// Where one of them is made for the task, those that are a makeshift are not asked at all: another kind of picture is no
/// second try.
fn best_first(able: &mut Vec<(Worse, Arc<Deployment>)>) {
    let Some(alias) = able.first().map(|(_, deployment)| deployment.alias.clone()) else { return };
    let lead = able.iter().take_while(|(_, deployment)| deployment.alias == alias).count();
    able[..lead].sort_by_key(|(worse, _)| *worse);
    if matches!(able[0].0, (false, false, _)) {
        able.retain(|((_, makeshift, _), deployment)| !makeshift || deployment.alias != alias);
    }
}

fn request(deployment: &Deployment, job: &Job, part: Part, group: &str) -> Result<Request, Unsupported> {
    let pruned = (!deployment.drops.is_empty()).then(|| job.task.without(&deployment.drops));
    let order = Order {
        task: pruned.as_ref().unwrap_or(&job.task),
        part,
        defaults: &deployment.defaults,
        limits: &deployment.model.limits,
        drop_params: deployment.drop_params,
        drawn_seed: job.chance,
        asked: match deployment.alias == group {
            true if deployment.alone => Asked::Alone,
            true => Asked::Among,
            false => Asked::Fallback,
        },
    };
    deployment.model.dialect.request(order)
}

fn next_step(kind: Kind) -> Step {
    match kind {
        Kind::Throttled(wait) | Kind::Unavailable(wait) if wait.is_none_or(|wait| wait <= MAX_BACKOFF) => {
            Step::Again { at_most: u32::MAX, wait }
        }
        Kind::Unreached => Step::Again { at_most: u32::MAX, wait: None },
        Kind::Faulty => Step::Again { at_most: 2, wait: None },
        // Waiting longer than MAX_BACKOFF is left to the caller.
        Kind::Throttled(_) | Kind::Unavailable(_) => Step::Next,
        Kind::Denied(_) | Kind::NotFound | Kind::Retired | Kind::Odd | Kind::InferenceFailed => Step::Next,
        Kind::Filtered => Step::AfterFilter,
        Kind::Invalid | Kind::Broken | Kind::TimedOut | Kind::NoPicture => Step::Stop,
    }
}

/// Half to the whole of a wait that doubles with each try.
fn backoff(chance: u64, part: Part, attempt: u32) -> Duration {
    let most = FIRST_BACKOFF.saturating_mul(1 << (attempt - 1).min(8)).min(MAX_BACKOFF);
    let salt = u64::from(part.first) << 32 | u64::from(attempt);
    most.mul_f64(0.5 + fastrand::Rng::with_seed(chance ^ salt).f64() / 2.0)
}

fn outcome(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Filtered => "filtered",
        Kind::Throttled(_) => "throttled",
        Kind::Unavailable(_) => "unavailable",
        Kind::Faulty => "faulty",
        Kind::Denied(_) => "denied",
        Kind::NotFound => "not_found",
        Kind::Retired => "retired",
        Kind::Unreached => "unreached",
        Kind::Broken => "broken",
        Kind::TimedOut => "timed_out",
        Kind::Odd => "odd",
        Kind::NoPicture => "no_picture",
        Kind::InferenceFailed => "inference_failed",
    }
}

/// Bedrock quotes parts of an invalid request, which may be the prompt; everything else may be logged.
fn loggable(error: &Error) -> &str {
    if error.kind == Kind::Invalid { "" } else { &error.detail }
}
