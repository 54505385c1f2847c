//! What the operator says to a server that runs.
//!
//! Must not hear signals by itself: `main.rs` does, and a test says what it likes.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

use super::Source;

/// How it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// By whoever runs it (SIGTERM): others may have to hear of it first.
    Told,
    /// By somebody who waits (Ctrl-C).
    Interrupted,
}

/// All of it.
pub struct Orders {
    /// Ready when no more is to be taken on.
    pub stop: BoxFuture<'static, Stop>,
    /// Ready when what is under way is to be cut.
    pub at_once: BoxFuture<'static, ()>,
    /// Where a changed config comes from, if it may change.
    pub source: Option<Source>,
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Orders {
    /// None, ever.
    pub fn none() -> Self {
        Self { stop: pending().boxed(), at_once: pending().boxed(), source: None }
    }
}
