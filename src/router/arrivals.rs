//! What comes of a job, call by call: paintings that have begun, and failures.
//!
//! Must not decide what is tried again: that is the loop's. Calls go on only while somebody waits here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};

use super::{Failure, Painting};
use crate::image::Part;

/// A call that has brought the first byte of a picture, or has failed for good.
type Outcome = Result<Box<Painting>, Failure>;

/// Where the calls of a job hand over what comes of them. One outcome for each, so there are never many. Nobody has to be
/// woken: whoever takes them out is who lets the calls go on.
#[derive(Clone, Debug)]
pub(super) struct Outcomes(Arc<Mutex<VecDeque<(u8, Outcome)>>>);

impl Outcomes {
    fn of(calls: u8) -> Self {
        Self(Arc::new(Mutex::new(VecDeque::with_capacity(calls.into()))))
    }

    pub(super) fn give(&self, part: Part, outcome: Outcome) {
        self.lock().push_back((part.first, outcome));
    }

    fn take(&self) -> Option<(u8, Outcome)> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u8, Outcome)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job under way.
pub struct Arrivals {
    /// All calls of the job; gone when the last has been heard of.
    calls: Option<BoxFuture<'static, ()>>,
    outcomes: Outcomes,
    /// What has come and has not been taken, each with the place of its first picture.
    come: VecDeque<(u8, Outcome)>,
    asked: u8,
    /// What the caller asked for in vain; the first painting tells it.
    ignored: Vec<String>,
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("come", &self.come).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Arrivals {
    pub(super) fn new<F>(calls: impl FnOnce(Outcomes) -> F, asked: u8, ignored: Vec<String>) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (outcomes, come) = (Outcomes::of(asked), VecDeque::with_capacity(asked.into()));
        Self { calls: Some(calls(outcomes.clone()).boxed()), outcomes, come, asked, ignored }
    }

    /// How many pictures were asked for.
    pub fn asked(&self) -> u8 {
        self.asked
    }

    /// The paintings that have come and have not been taken.
    pub fn paintings(&self) -> impl Iterator<Item = &Painting> {
        self.come.iter().filter_map(|(_, outcome)| outcome.as_deref().ok())
    }

    /// Whether every call has been heard of.
    pub fn is_complete(&self) -> bool {
        self.calls.is_none() && self.outcomes.lock().is_empty()
    }

    /// Waits until every call has been heard of, and puts the paintings in the order of the pictures. The failure of
    /// the first call if all have failed.
    pub async fn all(&mut self) -> Result<(), Failure> {
        while self.hear().await {}
        self.come.make_contiguous().sort_by_key(|(first, _)| *first);
        self.verdict()
    }

    /// Waits until a painting has begun, but no longer than `patience`. The failure of the first call if all have
    /// failed.
    pub async fn first(&mut self, patience: Duration) -> Result<(), Failure> {
        let first = async { while self.paintings().next().is_none() && self.hear().await {} };
        match tokio::time::timeout(patience, first).await {
            Ok(()) => self.verdict(),
            Err(_) => Ok(()),
        }
    }

    /// What came next; `None` after the last.
    pub async fn next(&mut self) -> Option<Outcome> {
        if self.come.is_empty() {
            self.hear().await;
        }
        self.come.pop_front().map(|(_, outcome)| outcome)
    }

    /// Lets the calls go on, as long as it is waited for.
    pub async fn go_on(&mut self) -> Infallible {
        poll_fn(|context| {
            self.poll_calls(context);
            Poll::Pending
        })
        .await
    }

    /// Waits for one more outcome; whether there is one.
    async fn hear(&mut self) -> bool {
        let heard = poll_fn(|context| {
            self.poll_calls(context);
            match self.outcomes.take() {
                None if self.calls.is_some() => Poll::Pending,
                outcome => Poll::Ready(outcome),
            }
        });
        let Some((first, mut outcome)) = heard.await else { return false };
        if let Ok(painting) = &mut outcome {
            painting.request.ignored.append(&mut self.ignored);
        }
        self.come.push_back((first, outcome));
        true
    }

    fn poll_calls(&mut self, context: &mut Context<'_>) {
        if let Some(calls) = &mut self.calls
            && calls.poll_unpin(context).is_ready()
        {
            self.calls = None;
        }
    }

    fn verdict(&self) -> Result<(), Failure> {
        if self.paintings().next().is_some() {
            return Ok(());
        }
        let failures = self.come.iter().filter_map(|(first, outcome)| Some((first, outcome.as_ref().err()?)));
        let failure = failures.min_by_key(|(first, _)| **first).map(|(_, failure)| failure.clone());
        Err(failure.unwrap_or(Failure::Upstream { paid: false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(after: u64, part: u8, failure: Failure) -> Arrivals {
        let calls = move |outcomes: Outcomes| async move {
            outcomes.give(Part { first: 1, count: 1 }, Err(Failure::TimedOut));
            tokio::time::sleep(Duration::from_secs(after)).await;
            outcomes.give(Part { first: part, count: 1 }, Err(failure));
        };
        Arrivals::new(calls, 2, Vec::new())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_call_speaks_for_all_that_failed() {
        let mut arrivals = failing(5, 0, Failure::Refused);
        assert_eq!(arrivals.first(Duration::from_secs(10)).await, Err(Failure::Refused));
        assert!(arrivals.is_complete());
        assert_eq!(failing(5, 2, Failure::Refused).all().await, Err(Failure::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_patience() {
        let (begun, mut arrivals) = (tokio::time::Instant::now(), failing(60, 0, Failure::Refused));
        assert_eq!(arrivals.first(Duration::from_secs(10)).await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        assert!(!arrivals.is_complete());
        let late = [arrivals.next().await, arrivals.next().await].map(|outcome| outcome.unwrap().unwrap_err());
        assert_eq!((late, begun.elapsed()), ([Failure::TimedOut, Failure::Refused], Duration::from_secs(60)));
        assert!(arrivals.next().await.is_none());
    }
}
