//! One line and one set of figures for each request, at its end; and the ids that go with it.
//!
//! Must not log a prompt, a picture or a key: only what is named here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tracing::Instrument;

use super::error::ErrorCode;
use super::extract::App;
use crate::metrics::RequestLabels;
use crate::router::Painting;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");

/// What is known of a request that paints; told further as pictures leave.
#[derive(Debug)]
pub(super) struct Story {
    alias: String,
    delivered: Mutex<Delivered>,
}

/// What has left so far.
#[derive(Clone, Debug, Default)]
struct Delivered {
    /// Who painted first.
    model: Option<String>,
    pictures: u32,
    cost_usd: f64,
    /// An error that came too late for the status line.
    error: Option<&'static str>,
}

impl Story {
    pub(super) fn new(alias: String) -> Self {
        Self { alias, delivered: Mutex::default() }
    }

    pub(super) fn alias(&self) -> &str {
        &self.alias
    }

    /// A painting is about to leave.
    pub(super) fn begins(&self, painting: &Painting) {
        self.so_far().model.get_or_insert_with(|| painting.deployment.model.id.clone());
    }

    /// Whether a painting has been about to leave.
    pub(super) fn has_begun(&self) -> bool {
        self.so_far().model.is_some()
    }

    /// Pictures that have left whole, and what they cost in US dollars.
    pub(super) fn delivered(&self, pictures: u8, cost: f64) {
        let mut delivered = self.so_far();
        delivered.pictures += u32::from(pictures);
        delivered.cost_usd += cost;
    }

    /// The reply ends with an error.
    pub(super) fn failed(&self, error: ErrorCode) {
        self.so_far().error = Some(error.0);
    }

    fn so_far(&self) -> MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the request its ids, and its reply a watch that tells its story at the end.
pub(super) async fn access(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = uuid::Uuid::new_v4().to_string();
    let id_value = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"));
    let call_id = request.headers().get(&CALL_ID).filter(|value| value.len() <= 200).cloned();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".into(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let span = tracing::info_span!("request", id);
    app.metrics.in_flight.inc();
    let (status, ending) = (CALLER_GONE, Ending::Cut);
    // It watches from here on: a caller may go before there is a reply.
    let (error, story, size_bytes) = (None, None, 0);
    let mut watch = Watch { app, span: span.clone(), started, method, route, status, error, story, size_bytes, ending };
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(CALL_ID, call_id.unwrap_or_else(|| id_value.clone()));
    response.headers_mut().insert(REQUEST_ID, id_value);
    if watch.app.standing.is_stopping() {
        // Its caller takes another connection next time, which leads to whoever goes on.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    watch.status = response.status();
    watch.error = response.extensions().get::<ErrorCode>().map(|code| code.0);
    watch.story = response.extensions().get::<Arc<Story>>().cloned();
    response.map(|body| Body::new(Watched { body, watch }))
}

/// What the line says of a request without a reply, as nginx does; nobody is sent it.
const CALLER_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::REQUEST_TIMEOUT,
};

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All of it was handed over.
    Whole,
    /// The upstream broke.
    Broken,
    /// The caller went away.
    Cut,
}

struct Watch {
    app: Arc<App>,
    span: tracing::Span,
    started: Instant,
    method: Method,
    route: String,
    status: StatusCode,
    error: Option<&'static str>,
    story: Option<Arc<Story>>,
    size_bytes: u64,
    ending: Ending,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let metrics = &self.app.metrics;
        metrics.in_flight.dec();
        metrics.duration.observe(duration.as_secs_f64());
        metrics
            .requests
            .get_or_create(&RequestLabels { route: self.route.clone(), status: self.status.as_u16() })
            .inc();
        let reply = match self.ending {
            Ending::Whole => "whole",
            Ending::Broken => "broken",
            Ending::Cut => "cut",
        };
        let (method, status, duration_ms) = (self.method.as_str(), self.status.as_u16(), duration.as_millis());
        let story = self.story.as_deref();
        let delivered = story.map(|story| story.so_far().clone());
        let delivered = delivered.as_ref();
        let _entered = self.span.enter();
        // Probes come every few seconds and say nothing new.
        if self.route.starts_with("/health") {
            tracing::debug!(method, route = self.route, status, duration_ms, "request");
            return;
        }
        // What is absent is left out of the line.
        tracing::info!(
            method,
            route = self.route,
            status,
            duration_ms,
            size_bytes = self.size_bytes,
            reply,
            alias = story.map(|story| story.alias.as_str()),
            model = delivered.and_then(|delivered| delivered.model.as_deref()),
            pictures = delivered.map(|delivered| delivered.pictures),
            cost_usd = delivered.map(|delivered| delivered.cost_usd),
            error = self.error.or(delivered.and_then(|delivered| delivered.error)),
            "request"
        );
    }
}

/// A reply's body, watched.
struct Watched {
    body: Body,
    watch: Watch,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // What is logged while the reply streams belongs to the request.
        let polled = this.watch.span.in_scope(|| Pin::new(&mut this.body).poll_frame(context));
        match &polled {
            Poll::Ready(None) => self.watch.ending = Ending::Whole,
            Poll::Ready(Some(Err(_))) => self.watch.ending = Ending::Broken,
            Poll::Ready(Some(Ok(frame))) => {
                self.watch.size_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if self.body.is_end_stream() {
                    self.watch.ending = Ending::Whole;
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
