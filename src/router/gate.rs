//! The gate of a deployment, or of an alias: how many calls go through at once and in a minute, who waits, who rests.
//!
//! Must not decide whose fault a failure is, or who has to rest: that is `paint`'s.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::blame::Class;

/// `rpm` counts over this long, and so do failures.
const MINUTE: Duration = Duration::from_secs(60);

/// A deployment that has taken so many calls at once since it was throttled is sound again.
const SOUND: u32 = 32;

/// How much the latest call counts in the latency.
const NEWEST: f64 = 0.3;

/// What a gate lets through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Calls under way at once.
    pub(super) parallel: Option<u32>,
    /// Calls that begin in any minute.
    pub(super) rpm: Option<u32>,
    /// Who may wait.
    pub(super) waiting: usize,
}

/// See above. Those who wait go through in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Held by the first of those who wait; a fair lock, so the others stand in line for it.
    turn: tokio::sync::Mutex<()>,
    /// Something has changed for the first in line.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    in_flight: u32,
    waiting: usize,
    /// When the calls of the last minute began, as far as `rpm` has to know.
    begun: VecDeque<Instant>,
    /// Nobody goes through before: it was throttled.
    shut_until: Option<Instant>,
    /// How many calls at once it is trusted with after that; grows with each that succeeds. `None` is as many as the
    /// limits say.
    trusted: Option<u32>,
    /// Others are asked first until then.
    rests_until: Option<Instant>,
    /// After its rest one call finds out how it is, and others are asked first as long.
    probed: bool,
    /// Seconds to the first byte of a picture, of late.
    latency: Option<f64>,
    /// Failures of the last minute.
    failures: BTreeMap<Class, VecDeque<Instant>>,
}

/// Whether a call may go through.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    Now,
    /// Not before then.
    At(Instant),
    /// When a call ends.
    Full,
}

/// Somebody would have to wait longer than he can. How long, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) Duration);

/// A call that has gone through; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Passage {
    gate: Arc<Gate>,
    /// How long it waited.
    pub(super) waited: Duration,
    probe: bool,
    begun: Instant,
}

/// What can be seen of a gate from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Calls that have no picture yet.
    pub in_flight: u32,
    /// Calls that wait to begin.
    pub waiting: usize,
    /// Others are asked first for so long.
    pub rests: Option<Duration>,
    /// It was throttled, and nobody asks it for so long.
    pub shut: Option<Duration>,
    /// Seconds to the first byte of a picture, of late.
    pub latency: Option<f64>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let state = Mutex::new(State { limits, ..State::default() });
        let (turn, changed) = Default::default();
        Arc::new(Self { state, turn, changed })
    }

    /// Goes on with the limits of another: what is under way and who waits still counts, and nobody rests any more.
    pub(super) fn take_over(&self, other: &Self) {
        let limits = other.lock().limits;
        let mut state = self.lock();
        state.limits = limits;
        (state.shut_until, state.trusted, state.rests_until, state.probed) = (None, None, None, false);
        state.failures.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for its turn, if it can come by `latest`.
    pub(super) async fn enter(self: &Arc<Self>, latest: Instant) -> Result<Passage, TooLong> {
        let came = Instant::now();
        if let Some(passage) = self.pass_at_once(came) {
            return Ok(passage);
        }
        let wait = self.lock().wait(came);
        if self.is_full() || came + wait > latest {
            return Err(TooLong(wait));
        }
        let _in_line = InLine::join(self);
        match timeout_at(latest, self.turn(came)).await {
            Ok(passage) => Ok(passage),
            Err(_) => Err(TooLong(self.lock().wait(Instant::now()))),
        }
    }

    /// Goes through before anybody has to wait.
    fn pass_at_once(self: &Arc<Self>, now: Instant) -> Option<Passage> {
        let mut state = self.lock();
        let free = state.waiting == 0 && state.pass(now) == Pass::Now;
        free.then(|| self.begin(&mut state, now, now))
    }

    /// Stands in line, then waits until it may pass.
    async fn turn(self: &Arc<Self>, came: Instant) -> Passage {
        let _turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let pass = {
                let mut state = self.lock();
                match state.pass(now) {
                    Pass::Now => return self.begin(&mut state, came, now),
                    other => other,
                }
            };
            let changed = self.changed.notified();
            match pass {
                Pass::At(when) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(when) => {}
                },
                Pass::Now | Pass::Full => changed.await,
            }
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, came: Instant, now: Instant) -> Passage {
        let probe = state.rests_until.is_some() && !state.probed;
        state.in_flight += 1;
        state.probed |= probe;
        if state.limits.rpm.is_some() {
            state.begun.push_back(now);
        }
        Passage { gate: self.clone(), waited: now - came, probe, begun: now }
    }

    /// Whether nobody else may wait.
    fn is_full(&self) -> bool {
        let state = self.lock();
        state.waiting >= state.limits.waiting
    }

    /// Whether a call would go through at once.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.waiting == 0 && state.pass(now) == Pass::Now
    }

    /// How long one more would wait; `None` if there is no room to wait.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let state = self.lock();
        (state.waiting < state.limits.waiting).then(|| state.wait(now))
    }

    /// Whether others are asked first: it rests, or one call is finding out whether it has to.
    pub(super) fn rests(&self, now: Instant) -> bool {
        let state = self.lock();
        state.shut_until.is_some_and(|until| now < until)
            || state.rests_until.is_some_and(|until| now < until || state.probed)
    }

    /// Others are asked first for so long.
    pub(super) fn rest(&self, now: Instant, how_long: Duration) {
        let mut state = self.lock();
        state.rests_until = state.rests_until.max(Some(now + how_long));
        state.probed = false;
    }

    /// It was throttled: nobody goes through for so long, and then one at a time until that goes well.
    pub(super) fn shut(&self, now: Instant, how_long: Duration) {
        let mut state = self.lock();
        state.shut_until = state.shut_until.max(Some(now + how_long));
        state.trusted = Some(1);
    }

    /// One more failure of this class; how many there were in the last minute.
    pub(super) fn fail(&self, now: Instant, class: Class) -> usize {
        let mut state = self.lock();
        let failures = state.failures.entry(class).or_default();
        failures.retain(|when| now.duration_since(*when) < MINUTE);
        failures.push_back(now);
        failures.len()
    }

    /// Seconds to the first byte of a picture, of late.
    pub(super) fn latency(&self) -> Option<f64> {
        self.lock().latency
    }

    /// Calls under way and calls that wait.
    pub(super) fn load(&self) -> usize {
        let state = self.lock();
        state.waiting + state.in_flight as usize
    }

    pub(super) fn seen(&self, now: Instant) -> Seen {
        let state = self.lock();
        let left = |until: Option<Instant>| until.filter(|until| now < *until).map(|until| until - now);
        Seen {
            in_flight: state.in_flight,
            waiting: state.waiting,
            rests: left(state.rests_until),
            shut: left(state.shut_until),
            latency: state.latency,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pass(&mut self, now: Instant) -> Pass {
        if let Some(until) = self.shut_until.filter(|until| now < *until) {
            return Pass::At(until);
        }
        while self.begun.front().is_some_and(|first| now.duration_since(*first) >= MINUTE) {
            self.begun.pop_front();
        }
        let rpm = self.limits.rpm.map_or(usize::MAX, |rpm| rpm as usize);
        match self.begun.front() {
            Some(first) if self.begun.len() >= rpm => Pass::At(*first + MINUTE),
            _ if self.in_flight >= self.most() => Pass::Full,
            _ => Pass::Now,
        }
    }

    fn most(&self) -> u32 {
        let parallel = self.limits.parallel.unwrap_or(u32::MAX);
        self.trusted.map_or(parallel, |trusted| trusted.min(parallel))
    }

    /// How long one more would wait behind those who wait already: until it opens, and until enough calls have ended.
    fn wait(&self, now: Instant) -> Duration {
        let shut = self.shut_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let by_rpm = self.limits.rpm.map_or(Duration::ZERO, |rpm| {
            let rpm = rpm as usize;
            let recent = self.begun.iter().filter(|begun| now.duration_since(**begun) < MINUTE);
            let recent: Vec<_> = recent.collect();
            let Some(over) = (recent.len() + self.waiting).checked_sub(rpm) else { return Duration::ZERO };
            let minutes = u32::try_from(over / rpm).unwrap_or(u32::MAX);
            let first = recent.get(over % rpm).or(recent.last()).map_or(now, |begun| **begun);
            (first + MINUTE).saturating_duration_since(now) + MINUTE.saturating_mul(minutes)
        });
        let most = self.most();
        let ahead = self.in_flight as usize + self.waiting;
        let calls = match usize::try_from(most) {
            Ok(most) if ahead >= most => (ahead - most) as f64 / most as f64 + 1.0,
            _ => 0.0,
        };
        let by_calls = Duration::from_secs_f64((calls * self.latency.unwrap_or_default()).min(3600.0));
        shut.max(by_rpm).max(by_calls)
    }
}

impl Passage {
    /// The call has brought the first byte of a picture: nothing is wrong with the deployment.
    pub(super) fn succeeded(self) {
        let mut state = self.gate.lock();
        state.rests_until = None;
        state.failures.clear();
        state.trusted = state.trusted.map(|trusted| trusted + 1).filter(|trusted| *trusted < SOUND);
        let took = self.begun.elapsed().as_secs_f64();
        state.latency = Some(state.latency.map_or(took, |before| before + NEWEST * (took - before)));
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.in_flight -= 1;
        state.probed &= !self.probe;
        drop(state);
        self.gate.changed.notify_one();
    }
}

/// One of those who wait.
struct InLine<'a>(&'a Gate);

impl<'a> InLine<'a> {
    fn join(gate: &'a Gate) -> Self {
        gate.lock().waiting += 1;
        Self(gate)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}
