//! How many requests for pictures are under way, in all and for each caller, and no more than that.
//!
//! Must not make anyone wait: whoever is too many is told so at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::Service;

use super::error::ApiError;
use super::extract::{App, Caller};
use super::fields::drain;
use crate::auth::CallerId;
use crate::config::Serving;

/// Everybody who is being served.
#[derive(Debug, Default)]
pub struct Crowd(Mutex<Heads>);

#[derive(Debug, Default)]
struct Heads {
    all: u32,
    callers: HashMap<CallerId, u32>,
}

/// Why one more is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// For Easel.
    InAll,
    /// Of this caller.
    OfCaller,
}

/// A place in the crowd, until it is dropped.
struct Place {
    crowd: Arc<Crowd>,
    caller: CallerId,
}

impl Crowd {
    fn enter(self: &Arc<Self>, caller: CallerId, bounds: &Serving) -> Result<Place, TooMany> {
        let mut heads = self.heads();
        let own = heads.callers.get(&caller).copied().unwrap_or_default();
        if heads.all >= bounds.max_in_flight {
            return Err(TooMany::InAll);
        }
        if bounds.max_in_flight_per_caller.is_some_and(|most| own >= most) {
            return Err(TooMany::OfCaller);
        }
        heads.all += 1;
        heads.callers.insert(caller.clone(), own + 1);
        Ok(Place { crowd: self.clone(), caller })
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.heads().all
    }

    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut heads = self.crowd.heads();
        heads.all -= 1;
        if let Some(own) = heads.callers.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                heads.callers.remove(&self.caller);
            }
        }
    }
}

/// The layer that lets a request in if there is a place for it, before anything of its body is read.
pub(super) fn crowd<S>(
    app: &Arc<App>,
    inner: &mut S,
    request: Request,
) -> BoxFuture<'static, Result<Response, S::Error>>
where
    S: Service<Request, Response = Response>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    match place(app, &mut parts) {
        Ok(place) => {
            let reply = inner.call(Request::from_parts(parts, body));
            reply.map_ok(|response| response.map(|body| Body::new(InPlace { body, _place: place }))).boxed()
        }
        Err(error) => async move {
            drain(Request::from_parts(parts, body)).await;
            Ok(error.into_response())
        }
        .boxed(),
    }
}

/// A place for whoever asks, if he may come in and there is one.
fn place(app: &App, parts: &mut Parts) -> Result<Place, ApiError> {
    let caller = Caller::of(parts, app)?.id;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().filter(|_| app.door.is_open());
    let caller = peer.map_or(caller.clone(), |peer| caller.at(peer.0.ip()));
    app.crowd.enter(caller, &app.serving).map_err(|too_many| {
        app.metrics.serving.refuse(match too_many {
            TooMany::InAll => "in_flight",
            TooMany::OfCaller => "in_flight_of_caller",
        });
        ApiError::too_many(too_many)
    })
}

/// A reply that takes a place as long as it is being read.
struct InPlace {
    body: Body,
    _place: Place,
}

impl HttpBody for InPlace {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let bounds = Serving { max_in_flight: 3, max_in_flight_per_caller: Some(2), ..Serving::default() };
        let crowd = Arc::new(Crowd::default());
        let enter = |key: &str| crowd.enter(CallerId::new(key, []), &bounds);
        let (first, _second) = (enter("a"), enter("a"));
        assert_eq!(enter("a").err(), Some(TooMany::OfCaller));
        let _third = enter("b");
        assert_eq!((enter("c").err(), crowd.size()), (Some(TooMany::InAll), 3));
        drop(first);
        assert!(enter("a").is_ok());
        assert_eq!(crowd.heads().callers.len(), 2);
    }
}
