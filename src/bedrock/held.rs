//! What one source of credentials last gave, and when to ask it again: one refresh at a time, ahead of the expiry.
//!
//! Must not know what a source is. Callers with live credentials never wait here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

use super::credentials::NoCredentials;

/// Credentials are fetched anew this long before they expire, while calls go on with the old ones.
const EARLY: Duration = Duration::from_secs(300);

/// Credentials that expire sooner than this are dead: a call takes time to arrive, and clocks differ.
const SLACK: Duration = Duration::from_secs(5);

/// Between two refreshes, so that a source whose credentials are always short of life is not hammered.
const PAUSE: Duration = Duration::from_secs(10);

/// After a refresh that failed, while the old credentials live.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Credentials without an expiry are looked up again after this, so that a changed file counts.
const STATIC_LIFE: Duration = Duration::from_secs(300);

/// The cache of one source.
#[derive(Debug, Default)]
pub(super) struct Source {
    state: Mutex<State>,
    /// Whoever holds it fetches.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// Failed fetches so far, and the last one's words: those who waited for it share it.
    failures: u64,
    failure: Option<NoCredentials>,
}

#[derive(Debug)]
struct Held {
    credentials: Credentials,
    refresh_at: SystemTime,
}

enum Look {
    Fresh(Credentials),
    Ageing(Credentials),
    Nothing { failures: u64 },
}

impl Source {
    /// Live credentials: those that are held, else what `fetch` brings. Ageing ones are fetched anew behind the call.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        now: SystemTime,
        fetch: impl FnOnce() -> F + Send,
    ) -> Result<Credentials, NoCredentials>
    where
        F: Future<Output = Result<Credentials, NoCredentials>> + Send + 'static,
    {
        let before = match self.look(now) {
            Look::Fresh(credentials) => return Ok(credentials),
            Look::Ageing(credentials) => {
                self.refresh_behind(now, fetch);
                return Ok(credentials);
            }
            Look::Nothing { failures } => failures,
        };
        let _turn = self.turn.lock().await;
        match self.look(now) {
            Look::Fresh(credentials) | Look::Ageing(credentials) => return Ok(credentials),
            Look::Nothing { failures } if failures != before => {
                if let Some(failure) = self.state().failure.clone() {
                    return Err(failure);
                }
            }
            Look::Nothing { .. } => {}
        }
        let fetched = fetch().await;
        self.keep(now, &fetched);
        fetched
    }

    /// Forgets credentials that were refused, if they are still the ones that are held.
    pub(super) fn forget(&self, refused: &Credentials) {
        let mut state = self.state();
        let same = |held: &Held| {
            let (held, refused) = (&held.credentials, refused);
            held.access_key_id() == refused.access_key_id() && held.session_token() == refused.session_token()
        };
        if state.held.as_ref().is_some_and(same) {
            state.held = None;
        }
    }

    fn look(&self, now: SystemTime) -> Look {
        let state = self.state();
        let alive = |held: &&Held| held.credentials.expiry().is_none_or(|expiry| now + SLACK < expiry);
        match state.held.as_ref().filter(alive) {
            Some(held) if now < held.refresh_at => Look::Fresh(held.credentials.clone()),
            Some(held) => Look::Ageing(held.credentials.clone()),
            None => Look::Nothing { failures: state.failures },
        }
    }

    #[expect(clippy::disallowed_methods, reason = "no request waits for it; it ends when the source answers or fails")]
    fn refresh_behind<F>(self: &Arc<Self>, now: SystemTime, fetch: impl FnOnce() -> F)
    where
        F: Future<Output = Result<Credentials, NoCredentials>> + Send + 'static,
    {
        let Ok(turn) = self.turn.clone().try_lock_owned() else { return };
        let (source, fetching) = (self.clone(), fetch());
        tokio::spawn(async move {
            let fetched = fetching.await;
            source.keep(now, &fetched);
            drop(turn);
        });
    }

    fn keep(&self, now: SystemTime, fetched: &Result<Credentials, NoCredentials>) {
        let mut state = self.state();
        match fetched {
            Ok(credentials) => {
                let early = credentials.expiry().map(|expiry| expiry - EARLY);
                let refresh_at = early.map_or(now + STATIC_LIFE, |early| early.max(now + PAUSE));
                state.held = Some(Held { credentials: credentials.clone(), refresh_at });
            }
            Err(error) => {
                state.failures += 1;
                state.failure = Some(error.clone());
                if let Some(held) = &mut state.held {
                    held.refresh_at = now + PAUSE_AFTER_FAILURE;
                    let alive = held.credentials.expiry().is_none_or(|expiry| now + SLACK < expiry);
                    if alive {
                        tracing::warn!(
                            detail = %error,
                            "AWS credentials could not be refreshed, so the old ones serve as long as they live"
                        );
                    }
                }
            }
        }
    }

    /// A panic elsewhere leaves it no worse than it was.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::UNIX_EPOCH;

    /// A source whose fetches are counted, give keys that live for so long (or fail), and take a moment.
    struct Counted {
        source: Arc<Source>,
        fetches: Arc<AtomicU32>,
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    impl Counted {
        fn new() -> Self {
            Self { source: Arc::default(), fetches: Arc::default() }
        }

        /// The id of the key that a call at `now` gets: the number of the fetch that brought it.
        async fn get(&self, now: u64, life: Option<u64>) -> Result<String, String> {
            let fetches = self.fetches.clone();
            let fetch = || async move {
                let number = fetches.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                let life = life.ok_or_else(|| NoCredentials::new(format!("failure {number}")))?;
                Ok(Credentials::new(number.to_string(), "secret", None, Some(at(now + life)), "test"))
            };
            let got = self.source.get(at(now), fetch).await;
            got.map(|credentials| credentials.access_key_id().to_owned()).map_err(|error| error.to_string())
        }

        /// Lets a refresh behind a call come to its end.
        async fn settle(&self) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(self.source.turn.lock().await);
        }

        fn count(&self) -> u32 {
            self.fetches.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_cause_one_fetch_and_share_a_failure() {
        let source = Counted::new();
        let calls = (0..20).map(|_| source.get(0, Some(3600)));
        let got = futures_util::future::join_all(calls).await;
        assert!(got.iter().all(|key| key.as_deref() == Ok("1")) && source.count() == 1);

        let source = Counted::new();
        let got = futures_util::future::join_all((0..20).map(|_| source.get(0, None))).await;
        assert!(got.iter().all(|key| *key == Err("failure 1".to_owned())) && source.count() == 1);
        assert_eq!(source.get(0, None).await, Err("failure 2".into()), "the next asks again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_comes_ahead_of_the_expiry_and_nobody_waits_for_it() {
        let source = Counted::new();
        assert_eq!(source.get(0, Some(3600)).await.unwrap(), "1");
        assert_eq!(source.get(3299, Some(3600)).await.unwrap(), "1");
        assert_eq!(source.count(), 1);
        let started = tokio::time::Instant::now();
        for _ in 0..5 {
            assert_eq!(source.get(3300, Some(3600)).await.unwrap(), "1");
        }
        assert!(started.elapsed() < Duration::from_millis(5));
        source.settle().await;
        assert_eq!((source.get(3301, Some(3600)).await.unwrap().as_str(), source.count()), ("2", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_refresh_keeps_what_still_lives() {
        let source = Counted::new();
        source.get(0, Some(3600)).await.unwrap();
        assert_eq!(source.get(3400, None).await.unwrap(), "1");
        source.settle().await;
        assert_eq!(source.get(3420, None).await.unwrap(), "1");
        source.settle().await;
        assert_eq!(source.count(), 2, "it waits before it asks again");
        assert_eq!(source.get(3431, None).await.unwrap(), "1");
        source.settle().await;
        assert_eq!(source.count(), 3);
        assert_eq!(source.get(3596, None).await, Err("failure 4".into()), "in the end they are dead");
        assert_eq!(source.get(3597, Some(3600)).await.unwrap(), "5");
    }

    #[tokio::test(start_paused = true)]
    async fn short_lives_are_not_a_reason_to_hammer() {
        let source = Counted::new();
        for now in [0, 1, 9] {
            assert_eq!(source.get(now, Some(60)).await.unwrap(), "1");
        }
        assert_eq!(source.count(), 1);
        let dying = Counted::new();
        for call in ["1", "2", "3"] {
            assert_eq!(dying.get(0, Some(4)).await.unwrap(), call, "too short to keep");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_forgotten_unless_there_are_newer_ones() {
        let source = Counted::new();
        source.get(0, Some(3600)).await.unwrap();
        let old = Credentials::new("1", "secret", None, None, "test");
        source.source.forget(&Credentials::new("other", "secret", None, None, "test"));
        assert_eq!(source.get(1, Some(3600)).await.unwrap(), "1");
        source.source.forget(&old);
        assert_eq!(source.get(1, Some(3600)).await.unwrap(), "2");
        source.source.forget(&old);
        assert_eq!(source.get(1, Some(3600)).await.unwrap(), "2");
    }
}
