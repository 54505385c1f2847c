//! Whose calls there are: those with a key, those that wait to be collected, and those whose callers have gone.
//!
//! Never gives one caller's reply to another. Must not outgrow its bounds: what is oldest goes first.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::response::Response;
use http::response::Parts;
use http::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::super::error::ApiError;
use super::call::{Call, End, Outcome, Progress, WhoAndWhat};
use super::{Ticket, Work};
use crate::clock::Clock;
use crate::config::Keeping;
use crate::metrics::Metrics;
use crate::store::{Body, Kept, Label};

/// All calls that are carried out apart from their callers, and the replies that are kept of them.
#[derive(Debug)]
pub struct Book {
    kept: Kept,
    settings: RwLock<Keeping>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// What goes on when Easel is told to stop.
    tasks: TaskTracker,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    calls: HashMap<String, Arc<Call>>,
    /// By caller and key.
    keys: HashMap<(String, String), Arc<Call>>,
    /// By caller; those that nobody has taken over.
    abandoned: HashMap<String, Vec<Arc<Call>>>,
}

/// A call to follow.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is this request's own.
    New(Arc<Call>),
    /// Its caller has asked before.
    Joined(Arc<Call>),
}

impl Book {
    /// What is kept in a data folder, with what an earlier run has left whole. Blocks.
    pub fn open(
        data_dir: &Path,
        settings: Keeping,
        clock: Clock,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> io::Result<Arc<Self>> {
        let kept = Kept::open(data_dir)?;
        let mut pages = Pages::default();
        for (id, label) in kept.load()? {
            if let Some(call) = revived(id, label) {
                pages.enter(&call);
            }
        }
        let settings = RwLock::new(settings);
        Ok(Arc::new(Self { kept, settings, clock, metrics, tasks, pages: Mutex::new(pages) }))
    }

    /// What the operator wants from now on.
    pub fn set(&self, settings: Keeping) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> Keeping {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether calls whose callers go are finished.
    pub(super) fn finishes(&self) -> bool {
        self.settings().finish
    }

    /// The call of a request with a key: the one that its caller has begun with it, or a new one, which begins now.
    pub(super) async fn begin(self: &Arc<Self>, ticket: &Ticket, work: Work) -> Result<Begun, ApiError> {
        let request = ticket.print.digest().await.map_err(|error| ApiError::storage(&error))?;
        let asked = WhoAndWhat { later: ticket.later, ..who_and_what(ticket, request, false) };
        let call = {
            let mut pages = self.pages();
            if let Some(call) = pages.with_key(&asked).filter(|call| self.is_there(call)) {
                if call.asked.request != asked.request {
                    return Err(ApiError::key_reused());
                }
                self.count_taking(&call);
                return Ok(Begun::Joined(call));
            }
            let call = Call::new(random_id()?, asked);
            pages.enter(&call);
            call
        };
        let (book, begun) = (self.clone(), call.clone());
        self.tasks.spawn(async move { book.carry_out(begun, work).await });
        Ok(Begun::New(call))
    }

    /// The call of a caller who has gone and come back with the same request. It is his once.
    pub(super) async fn take_over(&self, ticket: &Ticket) -> Option<Arc<Call>> {
        if !self.pages().abandoned.contains_key(ticket.caller.as_str()) {
            return None;
        }
        let request = ticket.print.digest().await.ok()?;
        let mut pages = self.pages();
        let calls = pages.abandoned.get_mut(ticket.caller.as_str())?;
        let place = calls.iter().position(|call| call.asked.request == request && self.is_there(call))?;
        let call = calls.remove(place);
        self.count_taking(&call);
        Some(call)
    }

    /// Goes on with the work of a caller who has gone.
    pub(super) fn adopt(self: &Arc<Self>, ticket: Ticket, work: Work) {
        // Without a runtime everything ends.
        let Ok(runtime) = Handle::try_current() else { return };
        self.metrics.keeping.abandoned.inc();
        let book = self.clone();
        let adopted = async move {
            let (Ok(request), Ok(id)) = (ticket.print.digest().await, random_id()) else { return };
            let call = Call::new(id, who_and_what(&ticket, request, true));
            book.pages().enter(&call);
            book.metrics.keeping.orphans.inc();
            book.carry_out(call.clone(), work).await;
            book.metrics.keeping.orphans.dec();
            let reply = if call.is_broken() { "broken" } else { "whole" };
            tracing::info!(
                alias = call.asked.alias,
                reply,
                size_bytes = call.length(),
                "a caller hung up, his call was finished"
            );
        };
        self.tasks.spawn_on(adopted, &runtime);
    }

    /// The call of this id, if it is this caller's.
    pub(super) fn find(&self, id: &str, caller: &str) -> Option<Arc<Call>> {
        let call = self.pages().calls.get(id).cloned()?;
        (call.asked.later && call.asked.caller == caller && (call.expires() == 0 || self.is_fresh(&call)))
            .then_some(call)
    }

    /// Ends a call and forgets its reply.
    pub(super) async fn cancel(&self, call: &Arc<Call>) {
        call.stop.cancel();
        self.forget(call).await;
    }

    async fn carry_out(&self, call: Arc<Call>, work: Work) {
        let ending = Ending(&call);
        let outcome = call.carry_out(work, &self.kept).await;
        let until = self.clock.unix().saturating_add_unsigned(self.settings().window.as_secs());
        call.expires.store(u64::try_from(until).unwrap_or_default().max(1), Ordering::Relaxed);
        let keeping = &self.metrics.keeping;
        let stays = match outcome {
            Outcome::Painted(head, body) => match self.keep(&call, &head, body, until).await {
                Ok(()) => {
                    keeping.stored.inc();
                    call.progress.send_modify(|progress| progress.body = None);
                    call.end(End::Whole);
                    true
                }
                Err(error) => {
                    self.lost(&error);
                    call.end(End::Whole);
                    false
                }
            },
            // What may have been billed is not tried again: whoever comes back is told what became of it.
            Outcome::Answered => {
                call.end(End::Whole);
                !call.is_in_vain()
            }
            Outcome::Broken => !call.stop.is_cancelled(),
            Outcome::Unkept(why) => {
                self.lost(&why);
                false
            }
        };
        drop(ending);
        if !stays {
            self.forget(&call).await;
        }
        self.trim().await;
    }

    async fn keep(&self, call: &Call, head: &Parts, body: Body, expires: i64) -> io::Result<()> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = head.headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        let WhoAndWhat { caller, request, key, abandoned, alias, .. } = call.asked.clone();
        let (headers, length) = (headers.collect(), call.length());
        let label = Label { caller, request, key, abandoned, later: call.asked.later, alias, headers, length, expires };
        self.kept.keep(&call.id, body, label).await
    }

    fn lost(&self, why: &dyn std::fmt::Display) {
        self.metrics.keeping.lost.inc();
        tracing::error!(detail = %why, "a reply could not be kept: is there room in easel_settings.data_dir?");
    }

    /// Forgets what nobody has come back for.
    pub async fn clean(&self) {
        let calls: Vec<_> = self.pages().calls.values().cloned().collect();
        for call in calls.iter().filter(|call| call.expires() > 0 && !self.is_fresh(call)) {
            self.metrics.keeping.expired.inc();
            self.forget(call).await;
        }
    }

    /// Makes room, the oldest first.
    async fn trim(&self) {
        let mut done: Vec<_> = self.pages().calls.values().filter(|call| call.expires() > 0).cloned().collect();
        let mut held: u64 = done.iter().map(|call| call.length()).sum();
        done.sort_by_key(|call| call.expires());
        let most = self.settings().max_bytes;
        for call in done {
            if held <= most {
                break;
            }
            held -= call.length();
            self.metrics.keeping.lost.inc();
            self.forget(&call).await;
        }
    }

    async fn forget(&self, call: &Arc<Call>) {
        self.pages().strike(call);
        if let Err(error) = self.kept.remove(&call.id).await {
            tracing::warn!(detail = %error, "a kept reply cannot be removed");
        }
    }

    /// Sets what can be seen of the book, for `/metrics`.
    pub fn measure(&self) {
        let (count, bytes) = {
            let pages = self.pages();
            let done = pages.calls.values().filter(|call| call.expires() > 0);
            done.fold((0, 0), |(count, bytes), call| (count + 1, bytes + call.length()))
        };
        self.metrics.keeping.kept.set(count);
        self.metrics.keeping.kept_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn count_taking(&self, call: &Call) {
        let keeping = &self.metrics.keeping;
        if call.is_under_way() { &keeping.joined } else { &keeping.replayed }.inc();
    }

    fn is_there(&self, call: &Call) -> bool {
        (call.expires() == 0 || self.is_fresh(call)) && !call.is_in_vain()
    }

    fn is_fresh(&self, call: &Call) -> bool {
        call.expires() > u64::try_from(self.clock.unix()).unwrap_or_default()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn enter(&mut self, call: &Arc<Call>) {
        self.calls.insert(call.id.clone(), call.clone());
        let WhoAndWhat { caller, key, abandoned, .. } = &call.asked;
        if let Some(key) = key {
            self.keys.insert((caller.clone(), key.clone()), call.clone());
        }
        if *abandoned {
            self.abandoned.entry(caller.clone()).or_default().push(call.clone());
        }
    }

    fn with_key(&self, asked: &WhoAndWhat) -> Option<Arc<Call>> {
        self.keys.get(&(asked.caller.clone(), asked.key.clone()?)).cloned()
    }

    fn strike(&mut self, call: &Arc<Call>) {
        self.calls.remove(&call.id);
        self.keys.retain(|_, other| !Arc::ptr_eq(other, call));
        self.abandoned.retain(|_, calls| {
            calls.retain(|other| !Arc::ptr_eq(other, call));
            !calls.is_empty()
        });
    }
}

/// However a call ends, those who follow it hear of it.
struct Ending<'a>(&'a Call);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end(End::Broken);
    }
}

/// Somebody's right to the reply of a call whose caller had gone: it is his alone. Met, the reply is forgotten; else the
/// next may have it.
pub(super) struct Claim {
    book: Arc<Book>,
    call: Arc<Call>,
    met: bool,
}

impl Claim {
    pub(super) fn new(book: Arc<Book>, call: Arc<Call>) -> Self {
        Self { book, call, met: false }
    }

    pub(super) fn is_met(&mut self) {
        self.met = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.call.asked.abandoned {
            return;
        }
        let (book, call) = (self.book.clone(), self.call.clone());
        match (self.met, Handle::try_current()) {
            (true, Ok(runtime)) => drop(self.book.tasks.spawn_on(async move { book.forget(&call).await }, &runtime)),
            (true, Err(_)) => {}
            (false, _) => {
                let mut pages = self.book.pages();
                if pages.calls.contains_key(&call.id) {
                    pages.abandoned.entry(call.asked.caller.clone()).or_default().push(call);
                }
            }
        }
    }
}

fn who_and_what(ticket: &Ticket, request: String, abandoned: bool) -> WhoAndWhat {
    let (caller, key, alias) = (ticket.caller.as_str().to_owned(), ticket.key.clone(), ticket.alias.clone());
    WhoAndWhat { caller, request, key, abandoned, later: false, alias }
}

/// A call that an earlier run has finished.
fn revived(id: String, label: Label) -> Option<Arc<Call>> {
    let mut response = Response::new(());
    for (name, value) in label.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        response.headers_mut().append(name, HeaderValue::from_str(&value).ok()?);
    }
    let Label { caller, request, key, abandoned, later, alias, length, expires, .. } = label;
    let call = Call::new(id, WhoAndWhat { caller, request, key, abandoned, later, alias });
    let head = Some(response.into_parts().0);
    call.progress.send_replace(Progress { head, body: None, length, end: Some(End::Whole) });
    call.expires.store(u64::try_from(expires).ok()?, Ordering::Relaxed);
    Some(call)
}

fn random_id() -> Result<String, ApiError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| ApiError::storage(&error))?;
    Ok(format!("{:032x}", u128::from_be_bytes(id)))
}
