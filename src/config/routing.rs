//! How deployments are chosen, tried again and put to rest, and how many calls they take at once.
//!
//! Must not choose: it only says what the operator wants.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fallbacks::Names;
use super::report::quote;
use super::section::{Field, Reader, Section, Text, Unset};

/// What of the config is about choosing and trying again.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Which deployment of an alias is asked first.
    pub strategy: Strategy,
    /// Tries after the first, where neither a deployment nor a policy says (default 2).
    pub num_retries: u32,
    /// Tries after the first by kind of failure (`retry_policy`).
    pub retries: ByClass,
    /// The same for single aliases (`model_group_retry_policy`).
    pub alias_retries: BTreeMap<String, ByClass>,
    /// Shortest wait between two tries (`retry_after`, default none).
    pub retry_after: Duration,
    /// How long a deployment rests that another can stand in for (`cooldown_time`, default 5 s).
    pub cooldown: Duration,
    /// `disable_cooldowns`: nobody rests, save those whose model is retired.
    pub no_cooldowns: bool,
    /// Failures in a minute that do not put a deployment to rest yet (`allowed_fails`), for every kind.
    pub allowed_fails: Option<u32>,
    /// The same by kind (`allowed_fails_policy`).
    pub allowed_by_class: ByClass,
    /// Calls of an alias that may be under way at once, all its deployments together.
    pub alias_parallel: BTreeMap<String, u32>,
    /// Requests that may wait for one deployment.
    pub queue_length: usize,
    /// How long one of them may wait.
    pub queue_time: Duration,
    /// Tries after the first that each request earns its alias (default 0.2).
    pub retry_budget: f64,
}

/// Which deployment of an alias is asked first, among those of the lowest `order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A draw by weight.
    SimpleShuffle,
    /// The one with the fewest calls under way.
    LeastBusy,
    /// The one that has been the quickest of late.
    LatencyBased,
}

/// A number for each kind of failure that may pass, in LiteLLM's classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByClass {
    /// 401 and 403.
    pub authentication: Option<u32>,
    /// No answer in time.
    pub timeout: Option<u32>,
    /// 429.
    pub rate_limit: Option<u32>,
    /// 408, 424, 5xx, and no connection.
    pub internal: Option<u32>,
}

/// When a deployment is asked, and how much it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Those of the lowest number are asked first (`order`); one without comes last.
    pub order: u32,
    /// Calls that may be under way at once.
    pub max_parallel: Option<u32>,
    /// Calls that may begin in any minute.
    pub rpm: Option<u32>,
    /// How long it rests, if it says so itself.
    pub cooldown: Option<Duration>,
}

/// LiteLLM's default.
const NUM_RETRIES: u32 = 2;

/// LiteLLM's default.
const COOLDOWN: Duration = Duration::from_secs(5);

/// More would only wait to be refused.
const QUEUE_LENGTH: usize = 1000;

/// SDKs wait no longer for a refused request, and proxies give up after as long.
const QUEUE_TIME: Duration = Duration::from_secs(60);

/// An outage costs a fifth more calls, not three times as many.
const RETRY_BUDGET: f64 = 0.2;

impl Default for Routing {
    fn default() -> Self {
        Self {
            strategy: Strategy::SimpleShuffle,
            num_retries: NUM_RETRIES,
            retries: ByClass::default(),
            alias_retries: BTreeMap::new(),
            retry_after: Duration::ZERO,
            cooldown: COOLDOWN,
            no_cooldowns: false,
            allowed_fails: None,
            allowed_by_class: ByClass::default(),
            alias_parallel: BTreeMap::new(),
            queue_length: QUEUE_LENGTH,
            queue_time: QUEUE_TIME,
            retry_budget: RETRY_BUDGET,
        }
    }
}

/// Reads it. Where both sections have a key, the router's counts.
pub(super) fn read(
    router: &mut Section,
    litellm: &mut Section,
    easel: &mut Section,
    names: &Names,
    reader: &mut Reader,
) -> Routing {
    let num_retries = [&mut *router, &mut *litellm].map(|section| reader.count(section.take("num_retries")));
    let allowed_fails = [&mut *router, &mut *litellm].map(|section| reader.count(section.take("allowed_fails")));
    let retry_after = reader.number(router.take("retry_after"), "seconds from 0 to 60", |s| (0.0..=60.0).contains(&s));
    let usual = Routing::default();
    let mut queue = reader.section(easel, "queue");
    let length = reader.number(queue.take("length"), "a whole number from 0 to 100000", |n| {
        n.fract() == 0.0 && (0.0..=100_000.0).contains(&n)
    });
    let queue_time = reader.seconds(queue.take("time")).unwrap_or(usual.queue_time);
    super::delivery::rest(queue, reader);
    let budget = reader
        .number(easel.take("retry_budget"), "a share from 0 to 1, such as 0.2", |share| (0.0..=1.0).contains(&share));
    Routing {
        strategy: strategy(router.take("routing_strategy"), reader),
        num_retries: num_retries.into_iter().flatten().next().unwrap_or(usual.num_retries),
        retries: retries(router.take("retry_policy"), reader),
        alias_retries: by_alias(router.take("model_group_retry_policy"), names, reader, retries),
        retry_after: retry_after.map_or(usual.retry_after, Duration::from_secs_f64),
        cooldown: cooldown(router.take("cooldown_time"), reader).unwrap_or(usual.cooldown),
        no_cooldowns: reader.switch(router.take("disable_cooldowns")).unwrap_or(false),
        allowed_fails: allowed_fails.into_iter().flatten().next(),
        allowed_by_class: allowed(router.take("allowed_fails_policy"), reader),
        alias_parallel: by_alias(easel.take("max_parallel_requests"), names, reader, parallel)
            .into_iter()
            .filter_map(|(alias, most)| Some((alias, most?)))
            .collect(),
        queue_length: length.map_or(usual.queue_length, whole),
        queue_time,
        retry_budget: budget.unwrap_or(usual.retry_budget),
    }
}

/// What an entry says of it; `rpm` is a share too, and read with the others.
pub(super) fn bounds(params: &mut Section, max_parallel: Option<u32>, reader: &mut Reader) -> Bounds {
    Bounds {
        order: reader.count(params.take("order")).unwrap_or(u32::MAX),
        max_parallel: parallel(params.take("max_parallel_requests"), reader).or(max_parallel),
        rpm: None,
        cooldown: cooldown(params.take("cooldown_time"), reader),
    }
}

/// `max_parallel_requests`; none would serve nobody.
pub(super) fn parallel(field: Option<Field>, reader: &mut Reader) -> Option<u32> {
    let accepts = |most: f64| most.fract() == 0.0 && (1.0..=100_000.0).contains(&most);
    let most = reader.number(field, "a whole number from 1 on", accepts)?;
    u32::try_from(whole(most)).ok()
}

/// `cooldown_time`; LiteLLM takes 0 for no rest at all.
fn cooldown(field: Option<Field>, reader: &mut Reader) -> Option<Duration> {
    let accepts = |seconds: f64| (0.0..=86_400.0).contains(&seconds);
    reader.number(field, "seconds from 0 to 86400", accepts).map(Duration::from_secs_f64)
}

/// `rpm` as what is enforced: less than one a minute is a share, and no bound.
pub(super) fn per_minute(rpm: f64) -> Option<u32> {
    (1.0..=1e6).contains(&rpm).then(|| u32::try_from(whole(rpm)).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is inside bounds, none below 0")]
pub(super) fn whole(number: f64) -> usize {
    number as usize
}

fn strategy(field: Option<Field>, reader: &mut Reader) -> Strategy {
    let Some(Text { path, value, shown }) = reader.text(field, Unset::Warning) else { return Strategy::SimpleShuffle };
    match &*value {
        "simple-shuffle" => Strategy::SimpleShuffle,
        "least-busy" => Strategy::LeastBusy,
        "latency-based-routing" => Strategy::LatencyBased,
        _ => {
            let why = "Easel knows simple-shuffle, which it takes instead, least-busy and latency-based-routing";
            reader.warn(&path, format!("{shown} goes unused: {why}"));
            Strategy::SimpleShuffle
        }
    }
}

/// A map from aliases to something.
fn by_alias<T>(
    field: Option<Field>,
    names: &Names,
    reader: &mut Reader,
    read: impl Fn(Option<Field>, &mut Reader) -> T,
) -> BTreeMap<String, T> {
    let Some(section) = field.and_then(|field| reader.map(field)) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (alias, field) in section.rest() {
        let name = Text { path: field.path.clone(), shown: quote(&alias), value: alias };
        let Some(alias) = names.check(&name, reader) else { continue };
        found.insert(alias, read(Some(field), reader));
    }
    found
}

/// Why nothing is tried again in some cases, whatever a policy says.
const NEVER_AGAIN: &[(&str, &str)] = &[
    ("BadRequestErrorRetries", "what is wrong with a request stays wrong"),
    ("AuthenticationErrorRetries", "who is turned away is turned away again; the next deployment is asked"),
    ("TimeoutErrorRetries", "a call that timed out may have been paid for, so it is never sent again"),
    ("ContentPolicyViolationErrorRetries", "a filtered prompt is filtered again; see content_policy_fallbacks"),
];

fn retries(field: Option<Field>, reader: &mut Reader) -> ByClass {
    let Some(mut policy) = field.and_then(|field| reader.map(field)) else { return ByClass::default() };
    let by_class = ByClass {
        rate_limit: reader.count(policy.take("RateLimitErrorRetries")),
        internal: reader.count(policy.take("InternalServerErrorRetries")),
        ..ByClass::default()
    };
    rest_of_policy(policy, NEVER_AGAIN, "RateLimitErrorRetries and InternalServerErrorRetries", reader);
    by_class
}

/// Failures that say nothing of a deployment.
const NOT_ITS_FAULT: &[(&str, &str)] = &[
    ("BadRequestErrorAllowedFails", "a mistake of the caller's puts nobody to rest"),
    ("ContentPolicyViolationErrorAllowedFails", "a filtered prompt puts nobody to rest"),
];

fn allowed(field: Option<Field>, reader: &mut Reader) -> ByClass {
    let Some(mut policy) = field.and_then(|field| reader.map(field)) else { return ByClass::default() };
    let [authentication, timeout, rate_limit, internal] = ["Authentication", "Timeout", "RateLimit", "InternalServer"]
        .map(|class| reader.count(policy.take(&format!("{class}ErrorAllowedFails"))));
    let known = "AuthenticationErrorAllowedFails, TimeoutErrorAllowedFails, RateLimitErrorAllowedFails and \
                 InternalServerErrorAllowedFails";
    rest_of_policy(policy, NOT_ITS_FAULT, known, reader);
    ByClass { authentication, timeout, rate_limit, internal }
}

fn rest_of_policy(policy: Section, unused: &[(&str, &str)], known: &str, reader: &mut Reader) {
    for (key, field) in policy.rest() {
        match unused.iter().find(|(name, _)| *name == key) {
            Some((_, why)) => reader.warn(&field.path, format!("goes unused: {why}")),
            None => reader.warn(&field.path, format!("means nothing to Easel. It knows {known}")),
        }
    }
}
