//! `/v1/images/generations`: from a request to a reply that streams.
//!
//! Must not know models or signatures, and holds no picture.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::access::Story;
use super::drain::Drain;
use super::error::ApiError;
use super::extract::{App, Asked, Caller, JsonBody};
use super::keep_alive::KeepAlive;
use super::link_sink::LinkSink;
use super::plan_headers::plan_headers;
use super::sink::Sink;
use crate::openai::{Answer, ImageRequest};
use crate::raster::Prints;
use crate::reply::{EventSink, JsonSink};
use crate::router::Job;

/// `POST /v1/images/generations`.
pub(super) async fn generations(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let request = body.image_request(|model| app.router.table().drops(model))?;
    paint(app, request, asked).await
}

/// `POST /openai/deployments/{model}/images/generations`, Azure's form; the path wins over the body.
pub(super) async fn deployment_generations(
    State(app): State<Arc<App>>,
    Path(rest): Path<String>,
    _: Caller,
    asked: Asked,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let Some(model) = rest.trim_end_matches('/').strip_suffix("/images/generations") else {
        return Err(ApiError::no_route(&http::Method::POST, &format!("/openai/deployments/{rest}")));
    };
    let request = body.image_request(|_| app.router.table().drops(Some(model)))?;
    paint(app, ImageRequest { model: Some(model.to_owned()), ..request }, asked).await
}

async fn paint(app: Arc<App>, request: ImageRequest, asked: Asked) -> Result<Response, ApiError> {
    let ImageRequest { model, mut task, answer, overrides } = request;
    let overrides = overrides.with_headers(&asked.headers)?;
    task.strict = app.strict_params;
    let alias = app.router.table().alias(model.as_deref()).to_owned();
    let sink = sink(&app, answer, &alias, asked.base_url)?;
    let story = Arc::new(Story::new(app.router.table().label(&alias).to_owned()));
    let mut arrivals = app.router.dispatch(Job {
        alias,
        task,
        timeout: overrides.timeout,
        num_retries: overrides.num_retries,
        fallbacks: overrides.fallbacks,
        disable_fallbacks: overrides.disable_fallbacks,
        chance: app.draw(),
        prints: Prints::default(),
    })?;
    let (streams, times) = (matches!(sink, Sink::Events(_)), app.delivery.events);
    match streams {
        true => arrivals.first(times.status_after).await?,
        false => arrivals.all().await?,
    }
    let headers = plan_headers(&arrivals);
    let reply = Drain::new(app, arrivals, sink, story.clone()).into_stream();
    let mut response = match streams {
        true => events(headers, Body::from_stream(KeepAlive::new(reply, times.keep_alive))),
        false => document(headers, Body::from_stream(reply)),
    };
    response.extensions_mut().insert(story);
    Ok(response)
}

/// The form in which the pictures go out. Where nobody says, clients of `dall-e` models read links, and all others
/// base64.
fn sink(app: &Arc<App>, answer: Answer, alias: &str, base_url: Option<String>) -> Result<Sink, ApiError> {
    let can_be = app.links.is_some() && base_url.is_some();
    let by_name = alias.starts_with("dall-e") && app.delivery.links.dall_e_links && can_be;
    let now = app.clock.unix();
    match answer {
        Answer::Events => Ok(Sink::Events(EventSink::new("image_generation.completed", now))),
        Answer::Links => Ok(Sink::Links(LinkSink::new(app.clone(), base_url)?)),
        Answer::Unsaid if by_name => Ok(Sink::Links(LinkSink::new(app.clone(), base_url)?)),
        Answer::Unsaid | Answer::Base64 => Ok(Sink::Base64(JsonSink::new(now))),
    }
}

fn document(headers: HeaderMap, body: Body) -> Response {
    with_headers(headers, [(CONTENT_TYPE, "application/json")], body)
}

/// Nobody on the way may hold events back.
fn events(headers: HeaderMap, body: Body) -> Response {
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
