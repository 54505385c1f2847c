//! How many tries an alias has left: an outage must not multiply the load on who is down.
//!
//! Must not know what is tried: each try after the first takes one, whatever it is for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Tries that an alias has at hand before it has earned any, so that few requests are tried again as often as many.
const RESERVE: f64 = 10.0;

/// Seconds in which an alias that used its reserve gets one try of it back.
const SECONDS_FOR_ONE: f64 = 1.0;

/// The most that an alias can save up.
const MOST: f64 = 100.0;

/// What each alias has left.
#[derive(Debug)]
pub(super) struct Budgets {
    /// What a request earns.
    share: f64,
    aliases: Mutex<HashMap<String, Account>>,
}

#[derive(Debug)]
struct Account {
    tries: f64,
    at: Instant,
}

impl Budgets {
    pub(super) fn new(share: f64) -> Self {
        Self { share, aliases: Mutex::default() }
    }

    /// A request has come.
    pub(super) fn earn(&self, alias: &str) {
        self.with(alias, |account| account.tries = (account.tries + self.share).min(MOST));
    }

    /// Takes one try, if there is one.
    pub(super) fn spend(&self, alias: &str) -> bool {
        self.with(alias, |account| {
            let has = account.tries >= 1.0;
            account.tries -= f64::from(u8::from(has));
            has
        })
    }

    fn with<T>(&self, alias: &str, then: impl FnOnce(&mut Account) -> T) -> T {
        let now = Instant::now();
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        if !aliases.contains_key(alias) {
            aliases.insert(alias.to_owned(), Account { tries: RESERVE, at: now });
        }
        let account = aliases.entry(alias.to_owned()).or_insert(Account { tries: RESERVE, at: now });
        let back = now.duration_since(account.at).as_secs_f64() / SECONDS_FOR_ONE;
        account.tries = account.tries.max((account.tries + back).min(RESERVE));
        account.at = now;
        then(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn tries_are_earned_by_requests_and_come_back_with_time() {
        let budgets = Budgets::new(0.2);
        let spent = |tries: usize| (0..tries).filter(|_| budgets.spend("a")).count();
        assert_eq!(spent(1000), 10, "the reserve");
        (0..1000).for_each(|_| budgets.earn("a"));
        assert_eq!(spent(1000), 100, "what can be saved up");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(spent(1000), 10, "only the reserve comes back by itself");
        assert!(budgets.spend("b"), "to each alias its own");
    }
}
