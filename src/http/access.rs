//! One line and one set of figures for each request, at its end; and the ids that go with it.
//!
//! Must not log a prompt, a picture or a key: only what is named here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::KeyValue;
use tokio::time::Instant;
use tower::Service;
use tracing::Instrument;

use super::error::ErrorCode;
use super::extract::App;
use crate::metrics::{AliasLabels, Ended, ErrorLabels, RequestLabels, RouteLabels};
use crate::router::Painting;
use crate::traces::Trace;

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
    /// The longest that a call of it waited for its turn.
    queued: Duration,
    /// The longest that a call of it took to the first byte of its picture.
    upstream: Duration,
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
        let mut so_far = self.so_far();
        so_far.model.get_or_insert_with(|| painting.deployment.model.id.clone());
        so_far.queued = so_far.queued.max(painting.queued);
        so_far.upstream = so_far.upstream.max(painting.upstream);
    }

    /// Whether a painting has been about to leave.
    pub(super) fn has_begun(&self) -> bool {
        self.so_far().model.is_some()
    }

    /// Pictures that have left whole, and what they cost in US dollars.
    pub(super) fn delivered(&self, pictures: u32, cost: f64) {
        let mut delivered = self.so_far();
        delivered.pictures += pictures;
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

/// The layer that gives each request its ids, and its reply a watch that tells its story at the end.
pub(super) fn access<S>(
    app: &Arc<App>,
    inner: &mut S,
    mut request: Request,
) -> BoxFuture<'static, Result<Response, S::Error>>
where
    S: Service<Request>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    let id = uuid::Uuid::new_v4().to_string();
    let id_value = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"));
    let call_id = request.headers().get(&CALL_ID).filter(|value| value.len() <= 200).cloned();
    // It watches from here on: a caller may go before there is a reply.
    let mut watch = Watch::new(app.clone(), &request, &id, call_id.clone());
    request.extensions_mut().insert(watch.trace.clone());
    let reply = watch.span.in_scope(|| inner.call(request)).instrument(watch.span.clone());
    let begin = move |response: S::Response| {
        let mut response = response.into_response();
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
    };
    reply.map_ok(begin).boxed()
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
    trace: Trace,
    started: Instant,
    /// When the first byte of the reply was there.
    first: Option<Instant>,
    method: Method,
    route: String,
    /// The id that the caller gave the request.
    told: Option<HeaderValue>,
    status: StatusCode,
    error: Option<&'static str>,
    story: Option<Arc<Story>>,
    size_bytes: u64,
    ending: Ending,
}

impl Watch {
    /// Of a request that has just come.
    fn new(app: Arc<App>, request: &Request, id: &str, told: Option<HeaderValue>) -> Self {
        let route =
            request.extensions().get::<MatchedPath>().map_or_else(|| "none".into(), |path| path.as_str().to_owned());
        let method = request.method().clone();
        // Probes and figures are asked for every few seconds, and are nobody's trace.
        let trace = match route.starts_with("/health") || route.starts_with("/metrics") {
            true => Trace::default(),
            false => app.traces.request(method.as_str(), &route, request.headers()),
        };
        let span = tracing::info_span!("request", id, trace_id = trace.id());
        trace.add(|| vec![KeyValue::new("easel.request_id", id.to_owned())]);
        app.metrics.in_flight.inc();
        Self {
            app,
            span,
            trace,
            started: Instant::now(),
            first: None,
            method,
            route,
            told,
            status: CALLER_GONE,
            error: None,
            story: None,
            size_bytes: 0,
            ending: Ending::Cut,
        }
    }

    /// What its span says at the end.
    fn trace(&self, delivered: Option<&Delivered>, error: Option<&'static str>) {
        self.trace.add(|| {
            let mut all = vec![KeyValue::new("http.response.status_code", i64::from(self.status.as_u16()))];
            let alias = self.story.as_deref().map(|story| story.alias.clone());
            all.extend(alias.map(|alias| KeyValue::new("easel.alias", alias)));
            if let Some(delivered) = delivered {
                all.push(KeyValue::new("easel.pictures", i64::from(delivered.pictures)));
                all.push(KeyValue::new("easel.cost_usd", delivered.cost_usd));
            }
            all.extend(error.map(|code| KeyValue::new("error.type", code)));
            all
        });
        if self.status.is_server_error() || self.ending == Ending::Broken {
            self.trace.fail();
        }
        self.trace.end();
    }

    /// The figures of the request.
    fn count(&self, duration: Duration, delivered: Option<&Delivered>, error: Option<&'static str>) {
        let (metrics, route, status) = (&self.app.metrics, &self.route, self.status.as_u16());
        metrics.in_flight.dec();
        metrics.duration.get_or_create(&RouteLabels { route: route.clone() }).observe(duration.as_secs_f64());
        metrics.requests.get_or_create(&RequestLabels { route: route.clone(), status }).inc();
        if let Some(code) = error {
            metrics.errors.get_or_create(&ErrorLabels { code }).inc();
        }
        if !paints(route) {
            return;
        }
        let alias = self.story.as_deref().map_or("", Story::alias);
        let model = delivered.and_then(|delivered| delivered.model.as_deref());
        if let (Some(_), Some(first)) = (model, self.first) {
            let transfer = first.elapsed().as_secs_f64();
            metrics.transfer.get_or_create(&AliasLabels { alias: alias.to_owned() }).observe(transfer);
        }
        let cost = delivered.map_or(0.0, |delivered| delivered.cost_usd);
        let upstream = delivered.map_or(Duration::ZERO, |delivered| delivered.upstream);
        metrics.litellm.count(Ended { alias, route, status, error, model, cost, total: duration, upstream });
    }
}

/// Whether a route is asked for pictures.
fn paints(route: &str) -> bool {
    let route = route.trim_end_matches('/');
    ["/images/generations", "/images/edits", "/images/variations", "/chat/completions", "/deployments/{*rest}"]
        .iter()
        .any(|end| route.ends_with(end))
}

/// A number in JSON, too, which has none of 128 bits.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Watch {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let story = self.story.as_deref();
        let delivered = story.map(|story| story.so_far().clone());
        let delivered = delivered.as_ref();
        let error = self.error.or(delivered.and_then(|delivered| delivered.error));
        self.count(duration, delivered, error);
        self.trace(delivered, error);
        let reply = match self.ending {
            Ending::Whole => "whole",
            Ending::Broken => "broken",
            Ending::Cut => "cut",
        };
        let (method, status, duration_ms) = (self.method.as_str(), self.status.as_u16(), millis(duration));
        let _entered = self.span.enter();
        // Probes come every few seconds and say nothing new.
        if self.route.starts_with("/health") {
            tracing::debug!(method, route = self.route, status, duration_ms, "request");
            return;
        }
        let painted = delivered.filter(|delivered| delivered.model.is_some());
        // What is absent is left out of the line.
        tracing::info!(
            method,
            route = self.route,
            status,
            duration_ms,
            queue_ms = painted.map(|painted| millis(painted.queued)),
            upstream_ms = painted.map(|painted| millis(painted.upstream)),
            transfer_ms = painted.and(self.first).map(|first| millis(first.elapsed())),
            size_bytes = self.size_bytes,
            reply,
            alias = story.map(Story::alias),
            model = painted.and_then(|painted| painted.model.as_deref()),
            pictures = painted.map(|painted| painted.pictures),
            cost_usd = painted.map(|painted| painted.cost_usd),
            error,
            call_id = self.told.as_ref().and_then(|id| id.to_str().ok()),
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
                self.watch.first.get_or_insert_with(Instant::now);
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
