//! What time it is, as an argument.
//!
//! Must not read the system's clock itself: `server.rs` and the tests hand one in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, OffsetDateTime};

/// A clock that is handed down.
#[derive(Clone, Copy, Debug)]
pub struct Clock(fn() -> SystemTime);

impl Clock {
    /// A clock that asks `now`.
    pub const fn new(now: fn() -> SystemTime) -> Self {
        Self(now)
    }

    /// The time.
    pub fn now(self) -> SystemTime {
        (self.0)()
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// The date in UTC.
    pub fn today(self) -> Date {
        OffsetDateTime::from(self.now()).date()
    }
}
