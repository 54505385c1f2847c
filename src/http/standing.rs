//! Whether Easel is about to stop, and whether anybody asks.
//!
//! Must not stop anything: `server/` does.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Shared by everything that serves, across reloads.
#[derive(Debug, Default)]
pub struct Standing {
    stopping: AtomicBool,
    /// When somebody asked last whether it is ready, Unix seconds.
    asked: AtomicI64,
}

/// Whoever has asked within so many seconds goes on asking, and has to hear that it stops.
const LATELY: i64 = 60;

impl Standing {
    /// From now on it is not ready, and connections are not used again.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn ask(&self, now: i64) {
        self.asked.store(now, Ordering::Relaxed);
    }

    /// Whether somebody asks for its readiness.
    pub fn is_asked(&self, now: i64) -> bool {
        now.saturating_sub(self.asked.load(Ordering::Relaxed)) < LATELY
    }
}
