//! Hands the reply of a call over, as far as it has come and as it goes on.
//!
//! Must not hold more of it than one piece.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{HeaderName, HeaderValue};
use tokio::sync::watch;

use super::super::access::Story;
use super::super::error::ApiError;
use super::book::{Book, Claim};
use super::call::{Call, End, Progress};
use crate::router::Broken;
use crate::store::BodyReader;

const REPLAYED: HeaderName = HeaderName::from_static("x-easel-replayed");

const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");

/// Somebody who reads the reply of a call.
struct Follower {
    book: Arc<Book>,
    call: Arc<Call>,
    progress: watch::Receiver<Progress>,
    body: Option<BodyReader>,
    at: u64,
    /// Given back if the reply does not reach its reader whole.
    claim: Claim,
    done: bool,
}

impl Book {
    /// The reply of a call. `replayed` is said to whoever did not ask first: he pays nothing.
    pub(super) async fn follow(self: &Arc<Self>, call: Arc<Call>, replayed: bool) -> Result<Response, ApiError> {
        let mut claim = Claim::new(self.clone(), call.clone());
        let mut progress = call.progress.subscribe();
        let begun = progress.wait_for(|progress| progress.head.is_some() || progress.end.is_some()).await;
        let head = begun.ok().and_then(|progress| progress.head.clone()).ok_or_else(ApiError::lost_call)?;
        if call.is_broken() {
            claim.is_met();
            return Err(ApiError::lost_call());
        }
        let (status, alias) = (head.status, call.asked.alias.clone());
        let follower = Follower { book: self.clone(), call, progress, body: None, at: 0, claim, done: false };
        let mut response = Response::from_parts(head, Body::from_stream(follower.into_stream()));
        if replayed {
            let headers = response.headers_mut();
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
            if headers.contains_key(&COST) {
                headers.insert(COST, HeaderValue::from_static("0"));
            }
            if status.is_success() {
                // Who came first has been told of its pictures and their price.
                response.extensions_mut().insert(Arc::new(Story::new(alias)));
            }
        }
        Ok(response)
    }
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Broken>> {
        unfold(self, |mut follower| async move { follower.next().await.map(|piece| (piece, follower)) })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        if self.done {
            return None;
        }
        let at = self.at;
        let more = self.progress.wait_for(|progress| progress.length > at || progress.end.is_some());
        // The sender lives as long as the call.
        let progress = more.await.map(|progress| progress.clone()).unwrap_or_default();
        if progress.length > at {
            let piece = self.read(&progress).await;
            self.done = piece.is_err();
            return Some(piece);
        }
        self.done = true;
        match progress.end {
            Some(End::Whole) => {
                self.claim.is_met();
                None
            }
            Some(End::Broken) | None => {
                // He has seen it, and pays for no second one by coming back.
                self.claim.is_met();
                Some(Err(Broken::new("the call that is followed broke")))
            }
        }
    }

    async fn read(&mut self, progress: &Progress) -> Result<Bytes, Broken> {
        let failed = |error: std::io::Error| Broken::new(format!("a kept reply cannot be read: {error}"));
        let body = match self.body.take().or(progress.body.clone()) {
            Some(body) => body,
            None => self.book.kept().read(&self.call.id).await.map_err(failed)?,
        };
        let piece = body.read(self.at, progress.length).await.map_err(failed)?;
        self.body = Some(body);
        self.at += piece.len() as u64;
        Ok(piece)
    }
}
