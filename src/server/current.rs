//! What answers at the moment: a reload puts another in its place, and requests under way end with what they began with.
//!
//! Must not build it.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;

use crate::http::{App, app};

/// See above.
#[derive(Debug)]
pub(super) struct Current(RwLock<(Arc<App>, Router)>);

impl Current {
    pub(super) fn new(built: Arc<App>) -> Arc<Self> {
        let routes = app(&built);
        Arc::new(Self(RwLock::new((built, routes))))
    }

    pub(super) fn replace(&self, built: Arc<App>) {
        let routes = app(&built);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (built, routes);
    }

    pub(super) fn app(&self) -> Arc<App> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(super) fn routes(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}
