//! Which deployment paints, and what to do when it fails.
//!
//! Must not know HTTP's surface: it is given a job and answers paintings or a failure.

mod arrivals;
mod blame;
mod budget;
mod explain;
mod failure;
mod gate;
mod gates;
mod mock;
mod painting;
mod spans;
mod table;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::time::Instant;

pub use arrivals::Arrivals;
use arrivals::Outcomes;
pub use explain::Explanation;
pub use failure::Failure;
pub use painting::{Broken, Painting};
use table::{Instead, Plan};
pub use table::{Table, ended};

use crate::bedrock::{Client, Error, Kind, Reply};
use crate::clock::Clock;
use crate::config::{Config, Deployment, Routing};
use crate::image::{Part, Task, Unsupported};
use crate::metrics::{CallLabels, Metrics, ModelLabels};
use crate::payload::Payload;
use crate::picture::Draft;
use crate::provider::{Asked, Order, Request};
use crate::raster::{self, Prints, Raster};
use crate::traces::Trace;
use budget::Budgets;
pub use gate::Seen;
use gates::Gates;

/// Nobody waits longer than this between two tries.
const MAX_WAIT: Duration = Duration::from_secs(8);

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
    /// When the request came: its deadline counts from here.
    pub came: Instant,
    /// Chance for this request: the seed that is drawn, the deployment, the jitter.
    pub chance: u64,
    /// What has been made of its pictures so far.
    pub prints: Prints,
    /// The span of the request.
    pub trace: Trace,
}

/// Sends jobs to deployments.
#[derive(Debug)]
pub struct Router {
    table: Table,
    client: Client,
    raster: Raster,
    gates: Gates,
    budgets: Budgets,
    routing: Routing,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// Who is still to be asked.
#[derive(Clone, Debug)]
struct Way<'a> {
    /// The alias whose deployments the caller asked for; the others are fallbacks.
    group: &'a str,
    next: Vec<Arc<Deployment>>,
    /// Those who are asked after a content filter, instead of the rest.
    after_filter: Vec<Arc<Deployment>>,
    /// What one of them is asked, where one picture is wanted: made when it was found out whether it can be.
    drafted: Option<Drafted>,
}

/// A deployment, and what it is asked for the first picture.
type Drafted = (Arc<Deployment>, Request);

/// Enough to see whether a deployment can honour a task.
const FIRST: Part = Part { first: 0, count: 1 };

/// What to do after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The same deployment once more, up to this many tries; then the next.
    Again { at_most: u32 },
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
        let routing = config.routing.clone();
        let (gates, budgets) = (Gates::new(config), Budgets::new(routing.retry_budget));
        let table = Table::new(config);
        table.aliases().iter().for_each(|alias| metrics.routing.serve(alias));
        Self { table, client, raster, gates, budgets, routing, clock, metrics }
    }

    /// The same in another's place, whose calls go on: bounds count them too, and nobody rests any more.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        Self { gates: self.gates.after(&before.gates), ..self }
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
        self.gates.of(deployment).rests(Instant::now()).then_some("it failed a moment ago and rests")
    }

    /// The client behind it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a job on its way, or says at once why it cannot go. What comes of it, call by call, is waited for by its
    /// arrivals; dropped, they end the calls. A job goes from one to the next, so in a box.
    pub fn dispatch(self: &Arc<Self>, job: Box<Job>) -> Result<Arrivals, Failure> {
        let mut plan = self.plan(&job)?;
        let count = count(&job, &plan.usual[0]);
        self.budgets.earn(&plan.group);
        let (router, ignored) = (self.clone(), std::mem::take(&mut plan.ignored));
        let calls = move |outcomes: Outcomes| async move {
            let Plan { group, usual: next, after_filter, drafted, .. } = plan;
            // A draft is of one picture, and not to be copied for each of many.
            let drafted = drafted.filter(|_| count == FIRST.count);
            let way = Way { group: &group, next, after_filter, drafted };
            router.paint(way, &job, Part { first: 0, count }, &outcomes).await;
        };
        Ok(Arrivals::new(calls, count, ignored))
    }

    /// The deployments that can honour the task, in the order in which they are asked; those of the alias that need
    /// not drop a wish first. The refusal of the first if none can.
    fn plan(&self, job: &Job) -> Result<Plan, Failure> {
        let (now, mut chance) = (Instant::now(), fastrand::Rng::with_seed(job.chance));
        let resting = |deployment: &Deployment| self.gates.of(deployment).rests(now);
        let cost = |deployment: &Deployment| self.cost(deployment);
        let instead = match (job.disable_fallbacks, &job.fallbacks) {
            (true, _) => Instead::Nobody,
            (false, Some(aliases)) => Instead::These(aliases),
            (false, None) => Instead::AsConfigured,
        };
        let plan = self.table.plan(&job.alias, instead, self.clock.today(), resting, cost, &mut chance);
        let unknown = || match self.table.is_not_served(&job.alias) {
            true => Failure::NotServed(job.alias.clone()),
            false => Failure::UnknownModel { alias: job.alias.clone(), served: self.table.near(&job.alias) },
        };
        let Plan { group, usual, mut after_filter, ignored, mut unable, .. } = plan.ok_or_else(unknown)?;
        let (mut able, mut drafted) = (Vec::new(), None);
        for deployment in usual {
            match request(&deployment, job, FIRST, &group) {
                Ok(request) => {
                    let ended = ended(&deployment, self.clock.today());
                    able.push(((ended, request.makeshift, request.dropped), deployment.clone()));
                    drafted.get_or_insert((deployment, request));
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
        Ok(Plan { group, usual, after_filter, ignored, unable, drafted })
    }

    /// The whole loop of tries for one part of a job: each deployment of the plan in turn, some of them more than
    /// once, and never again once a call may have been paid for. A content filter leaves the usual way for the one
    /// that is named for it. A part that is too much for one call is cut, and each piece goes its own way from there.
    /// One outcome for each call, as it comes.
    async fn paint(&self, mut way: Way<'_>, job: &Job, part: Part, outcomes: &Outcomes) {
        let mut last = None;
        let replaceable = way.next.len() > 1;
        while let Some(deployment) = self.take_next(&mut way.next, job) {
            let per_call = deployment.model.limits.pictures_per_call;
            if part.count > per_call {
                way.next.insert(0, deployment);
                let pieces = part.split(per_call).map(|piece| self.paint_piece(way.clone(), job, piece, outcomes));
                join_all(pieces).await;
                return;
            }
            let drafted = way.drafted.take();
            let (request, payload) = match self.ready(&deployment, job, part, way.group, drafted).await {
                // What goes out is the payload; the rest is told of later, and copied for it.
                Ok((request, payload)) => (Request { body: Draft::default(), ..request }, payload),
                Err(failure) => {
                    last = last.or(Some(failure));
                    continue;
                }
            };
            let sibling = way.next.iter().any(|next| next.alias == deployment.alias);
            let mut wait = Duration::ZERO;
            for attempt in 1.. {
                let passage = match self.enter(&deployment, job, way.group).await {
                    Ok(passage) => passage,
                    Err(busy) => {
                        last = Some(busy.after(last));
                        break;
                    }
                };
                let error = match self.call(&deployment, &request, &payload, job, part).await {
                    Ok(painting) => return outcomes.give(part, Ok(passage.with(painting))),
                    Err(error) => error,
                };
                let failure = Failure::from_call(&error, &deployment, self.clock);
                wait = self.wait_after(error.kind, wait, job, part, attempt);
                self.blame(&deployment, &error, wait, replaceable);
                drop(passage);
                match next_step(error.kind) {
                    Step::Stop => return outcomes.give(part, Err(failure)),
                    Step::Again { at_most }
                        if !sibling
                            && attempt < at_most.min(1 + self.retries(&deployment, job, error.kind, way.group))
                            && self.may_try_again(&deployment, job, wait, way.group) =>
                    {
                        tokio::time::sleep(wait).await;
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

    /// The loop from within itself: only what has a known size can be.
    fn paint_piece<'a>(&'a self, way: Way<'a>, job: &'a Job, part: Part, outcomes: &'a Outcomes) -> BoxFuture<'a, ()> {
        self.paint(way, job, part, outcomes).boxed()
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
    ) -> Result<Box<Painting>, Error> {
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
    ) -> Result<Box<Painting>, Error> {
        let timeout = job.timeout.map_or(deployment.timeout, |wanted| wanted.min(deployment.timeout));
        let (started, trace) = (Instant::now(), spans::of_call(&job.trace, deployment, part));
        let begun = async {
            let reply = match deployment.mock {
                true => Reply::in_memory(mock::reply(part.count)),
                false => self.client.invoke(deployment, payload.clone(), timeout, trace.headers()).await?,
            };
            Painting::begin(deployment.clone(), request.clone(), part, reply).await
        };
        let mut result = begun.await;
        let labels = ModelLabels { model: deployment.model.id.clone(), region: deployment.region.clone() };
        if let Ok(painting) = &mut result {
            painting.upstream = started.elapsed();
            painting.trace = trace.clone();
            self.metrics.upstream.get_or_create(&labels).observe(painting.upstream.as_secs_f64());
        }
        let outcome = result.as_ref().map_or_else(|error| outcome(error.kind), |_| "ok");
        spans::tell(&trace, &result, outcome);
        let ModelLabels { model, region } = labels;
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
        deployment: &Arc<Deployment>,
        job: &Job,
        part: Part,
        group: &str,
        drafted: Option<Drafted>,
    ) -> Result<(Request, Payload), Failure> {
        let request = match drafted.filter(|(of, _)| Arc::ptr_eq(of, deployment)) {
            Some((_, request)) => request,
            None => request(deployment, job, part, group).map_err(Failure::Unsupported)?,
        };
        let payload = self.raster.payload(&request.body, &job.prints).await.map_err(|error| match error {
            raster::Error::Picture(unsupported) => Failure::Unsupported(unsupported),
            raster::Error::Storage(error) => {
                tracing::error!(error, "an upload could not be kept");
                Failure::Storage
            }
        })?;
        Ok((request, payload))
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
        Kind::Throttled(wait) | Kind::Unavailable(wait) if wait.is_none_or(|wait| wait <= MAX_WAIT) => {
            Step::Again { at_most: u32::MAX }
        }
        Kind::Unreached => Step::Again { at_most: u32::MAX },
        Kind::Faulty => Step::Again { at_most: 2 },
        // Waiting longer is left to the caller.
        Kind::Throttled(_) | Kind::Unavailable(_) => Step::Next,
        Kind::Denied(_) | Kind::NotFound | Kind::Retired | Kind::Odd | Kind::InferenceFailed => Step::Next,
        Kind::Filtered => Step::AfterFilter,
        Kind::Invalid | Kind::Broken | Kind::TimedOut | Kind::NoPicture => Step::Stop,
    }
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
