//! Which deployments rest, until when.
//!
//! Must not decide who has to rest: that is `dispatch`'s.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Deployments by id, with the time at which they are asked again.
#[derive(Debug, Default)]
pub(super) struct Cooldowns(Mutex<HashMap<String, SystemTime>>);

impl Cooldowns {
    pub(super) fn rest(&self, id: &str, now: SystemTime, how_long: Duration) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = now + how_long;
        until.entry(id.to_owned()).and_modify(|old| *old = end.max(*old)).or_insert(end);
    }

    pub(super) fn resting(&self, id: &str, now: SystemTime) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_rest_counts() {
        let (cooldowns, now) = (Cooldowns::default(), SystemTime::UNIX_EPOCH);
        cooldowns.rest("a", now, Duration::from_secs(3600));
        cooldowns.rest("a", now, Duration::from_secs(5));
        assert!(cooldowns.resting("a", now + Duration::from_secs(3599)));
        assert!(!cooldowns.resting("a", now + Duration::from_secs(3600)));
        assert!(!cooldowns.resting("b", now));
    }
}
