//! A layer made of a function, for less than axum's own costs each request: that clones all below it and boxes a future twice.
//!
//! Must not know what the function does.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use tower::Service;
use tower::layer::{LayerFn, layer_fn};

use super::extract::App;

/// The layer of `call`, which is given the app, what is below it, and a request.
pub(super) fn layer<S, F, R>(app: Arc<App>, call: F) -> LayerFn<impl Fn(S) -> Layered<S, F> + Clone>
where
    F: Fn(&Arc<App>, &mut S, Request) -> R + Clone,
{
    layer_fn(move |inner| Layered { app: app.clone(), inner, call: call.clone() })
}

/// See [`layer`].
#[derive(Clone)]
pub(super) struct Layered<S, F> {
    app: Arc<App>,
    inner: S,
    call: F,
}

impl<S, F, R> Service<Request> for Layered<S, F>
where
    S: Service<Request>,
    F: Fn(&Arc<App>, &mut S, Request) -> R,
    R: Future<Output = Result<Response, S::Error>>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = R;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> R {
        (self.call)(&self.app, &mut self.inner, request)
    }
}
