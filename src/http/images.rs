//! `/v1/images/generations`, `/edits` and `/variations`: from a request to a reply that streams.
//!
//! Must not know models or signatures, and holds no picture.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::access::Story;
use super::chat;
use super::drain::Drain;
use super::error::ApiError;
use super::extract::{App, Asked, Caller};
use super::fields::{Fields, Raw};
use super::keep_alive::KeepAlive;
use super::link_sink::LinkSink;
use super::once::{Print, Ticket, once};
use super::plan_headers::plan_headers;
use super::sink::Sink;
use crate::image::Intent;
use crate::openai::{Answer, ImageRequest};
use crate::raster::Prints;
use crate::reply::{EventSink, JsonSink};
use crate::router::Job;
use crate::traces::Trace;

/// `POST /v1/images/generations`.
pub(super) async fn generations(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, asked, body, Intent::Generate).await
}

/// `POST /v1/images/edits`.
pub(super) async fn edits(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, asked, body, Intent::Edit).await
}

/// `POST /v1/images/variations`.
pub(super) async fn variations(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, asked, body, Intent::Vary).await
}

async fn create(app: Arc<App>, asked: Asked, body: Fields, intent: Intent) -> Result<Response, ApiError> {
    let print = body.print.clone();
    let request = body.image_request(intent, |model| app.router.table().drops(model))?;
    paint_as_asked(app, request, asked, print).await
}

/// `POST /openai/deployments/{model}/images/...` and `/chat/completions`, Azure's form; the path wins over the body.
pub(super) async fn of_deployment(
    State(app): State<Arc<App>>,
    Path(rest): Path<String>,
    _: Caller,
    asked: Asked,
    body: Raw,
) -> Result<Response, ApiError> {
    let path = rest.trim_end_matches('/');
    if let Some(model) = path.strip_suffix("/chat/completions") {
        return chat::complete(app, asked, body, Some(model)).await;
    }
    let (model, intent) = match path.rsplit_once("/images/") {
        Some((model, "generations")) => (model, Intent::Generate),
        Some((model, "edits")) => (model, Intent::Edit),
        Some((model, "variations")) => (model, Intent::Vary),
        _ => return Err(ApiError::no_route(&http::Method::POST, &format!("/openai/deployments/{rest}"))),
    };
    let print = body.print().with(&[model]);
    let request = body.read(&app).await?.image_request(intent, |_| app.router.table().drops(Some(model)))?;
    paint_as_asked(app, ImageRequest { model: Some(model.to_owned()), ..request }, asked, print).await
}

async fn paint_as_asked(
    app: Arc<App>,
    request: ImageRequest,
    asked: Asked,
    print: Print,
) -> Result<Response, ApiError> {
    let sink = sink(&app, &request, asked.base_url.clone())?;
    paint(app, request, asked, print, sink).await
}

/// Paints into a sink, whatever form the request asks for; once, however often its caller asks.
pub(super) async fn paint(
    app: Arc<App>,
    request: ImageRequest,
    asked: Asked,
    print: Print,
    sink: Sink,
) -> Result<Response, ApiError> {
    let intent = format!("{:?}", request.task.intent);
    // Replies that hold links begin them as their request came.
    let base_url = asked.base_url.as_deref().filter(|_| sink.makes_links()).unwrap_or_default();
    let print = print.with(&[sink.form(), &intent, base_url]);
    let alias = app.router.table().alias(request.model.as_deref()).to_owned();
    let mut job = job(&app, request, &asked.headers)?;
    job.trace = asked.trace.clone();
    let ticket = Ticket::new(&asked, print, app.router.table().label(&alias))?;
    let work = work(app.clone(), job, sink).map(IntoResponse::into_response).boxed();
    let mut response = once(&app, ticket, work).await.into_response();
    // The access line names the alias of what fails, too.
    if response.extensions().get::<Arc<Story>>().is_none() {
        response.extensions_mut().insert(Arc::new(Story::new(app.router.table().label(&alias).to_owned())));
    }
    Ok(response)
}

/// The work itself: from a job to a reply that streams.
async fn work(app: Arc<App>, job: Box<Job>, sink: Sink) -> Result<Response, ApiError> {
    let story = Arc::new(Story::new(app.router.table().label(&job.alias).to_owned()));
    let mut arrivals = app.router.dispatch(job)?;
    let (streams, times) = (sink.streams(), app.delivery.events);
    match streams {
        true => arrivals.first(times.status_after).await?,
        false => arrivals.all().await?,
    }
    let headers = plan_headers(&arrivals);
    let is_short = sink.is_short();
    let drain = Drain::new(app, arrivals, sink, story.clone());
    let mut response = match streams {
        true => events(headers, Body::from_stream(KeepAlive::new(drain.into_stream(), times.keep_alive))),
        false if is_short => document(headers, drain.gather().await?.into()),
        false => document(headers, Body::from_stream(drain.into_stream())),
    };
    response.extensions_mut().insert(story);
    Ok(response)
}

/// What the router is to do for a request.
pub(super) fn job(app: &App, request: ImageRequest, headers: &HeaderMap) -> Result<Box<Job>, ApiError> {
    let ImageRequest { model, mut task, overrides, .. } = request;
    let overrides = overrides.with_headers(headers)?;
    task.strict = app.strict_params;
    Ok(Box::new(Job {
        alias: app.router.table().alias(model.as_deref()).to_owned(),
        task,
        timeout: overrides.timeout,
        num_retries: overrides.num_retries,
        fallbacks: overrides.fallbacks,
        disable_fallbacks: overrides.disable_fallbacks,
        came: Instant::now(),
        chance: app.draw(),
        prints: Prints::default(),
        trace: Trace::default(),
    }))
}

/// The form in which the pictures go out. Where nobody says, clients of `dall-e` models read links, and all others
/// base64.
pub(super) fn sink(app: &Arc<App>, request: &ImageRequest, base_url: Option<String>) -> Result<Sink, ApiError> {
    let alias = app.router.table().alias(request.model.as_deref());
    let can_be = app.links.is_some() && base_url.is_some();
    let by_name = alias.starts_with("dall-e") && app.delivery.links.dall_e_links && can_be;
    let now = app.clock.unix();
    match request.answer {
        Answer::Events => Ok(Sink::Events(EventSink::new(event_type(request.task.intent), now))),
        Answer::Links => Ok(Sink::Links(Box::new(LinkSink::new(app.clone(), base_url)?))),
        Answer::Unsaid if by_name => Ok(Sink::Links(Box::new(LinkSink::new(app.clone(), base_url)?))),
        Answer::Unsaid | Answer::Base64 => Ok(Sink::Base64(JsonSink::new(now))),
    }
}

fn event_type(intent: Intent) -> &'static str {
    match intent {
        Intent::Generate => "image_generation.completed",
        Intent::Edit | Intent::Vary => "image_edit.completed",
    }
}

pub(super) fn document(headers: HeaderMap, body: Body) -> Response {
    with_headers(headers, [(CONTENT_TYPE, "application/json")], body)
}

/// Nobody on the way may hold events back.
pub(super) fn events(headers: HeaderMap, body: Body) -> Response {
    let more = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache"), (ACCEL, "no")];
    with_headers(headers, more, body)
}

/// nginx's switch for holding back.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

fn with_headers<const N: usize>(mut headers: HeaderMap, more: [(HeaderName, &'static str); N], body: Body) -> Response {
    headers.extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
