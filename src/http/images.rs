//! `/v1/images/generations`, `/edits` and `/variations`: from a request to a reply that streams.
//!
//! Must not know models or signatures, and holds no picture.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::access::Story;
use super::error::ApiError;
use super::extract::{App, Caller};
use super::fields::Fields;
use super::plan_headers::plan_headers;
use crate::image::Intent;
use crate::metrics::PictureLabels;
use crate::openai::{Answer, ImageRequest};
use crate::raster::Prints;
use crate::reply::{Event, JsonSink};
use crate::router::{Broken, Gallery, Job, Painting};

/// `POST /v1/images/generations`.
pub(super) async fn generations(
    State(app): State<Arc<App>>,
    _: Caller,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, headers, body, Intent::Generate).await
}

/// `POST /v1/images/edits`.
pub(super) async fn edits(
    State(app): State<Arc<App>>,
    _: Caller,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, headers, body, Intent::Edit).await
}

/// `POST /v1/images/variations`.
pub(super) async fn variations(
    State(app): State<Arc<App>>,
    _: Caller,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, ApiError> {
    create(app, headers, body, Intent::Vary).await
}

async fn create(app: Arc<App>, headers: HeaderMap, body: Fields, intent: Intent) -> Result<Response, ApiError> {
    let request = body.image_request(intent, |model| app.router.table().drops(model))?;
    paint(app, request, &headers).await
}

/// `POST /openai/deployments/{model}/images/...`, Azure's form; the path wins over the body.
pub(super) async fn of_deployment(
    State(app): State<Arc<App>>,
    Path(rest): Path<String>,
    _: Caller,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, ApiError> {
    let (model, intent) = match rest.trim_end_matches('/').rsplit_once("/images/") {
        Some((model, "generations")) => (model, Intent::Generate),
        Some((model, "edits")) => (model, Intent::Edit),
        Some((model, "variations")) => (model, Intent::Vary),
        _ => return Err(ApiError::no_route(&http::Method::POST, &format!("/openai/deployments/{rest}"))),
    };
    let request = body.image_request(intent, |_| app.router.table().drops(Some(model)))?;
    paint(app, ImageRequest { model: Some(model.to_owned()), ..request }, &headers).await
}

async fn paint(app: Arc<App>, request: ImageRequest, headers: &HeaderMap) -> Result<Response, ApiError> {
    let Answer::Base64 = request.answer;
    let job = job(&app, request, headers)?;
    let gallery = app.router.dispatch(&job).await?;
    let story = Arc::new(Story::new(app.router.table().label(&job.alias).to_owned(), &gallery.paintings));
    let headers = plan_headers(&gallery);
    let drain = Drain::new(app, gallery, story.clone());
    let body = stream::unfold(drain, |mut drain| async move { drain.next().await.map(|bytes| (bytes, drain)) });
    let mut response = Response::new(Body::from_stream(body));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(story);
    Ok(response)
}

/// What the router is to do for a request.
pub(super) fn job(app: &App, request: ImageRequest, headers: &HeaderMap) -> Result<Job, ApiError> {
    let ImageRequest { model, mut task, overrides, .. } = request;
    let overrides = overrides.with_headers(headers)?;
    task.strict = app.strict_params;
    Ok(Job {
        alias: app.router.table().alias(model.as_deref()).to_owned(),
        task,
        timeout: overrides.timeout,
        num_retries: overrides.num_retries,
        fallbacks: overrides.fallbacks,
        disable_fallbacks: overrides.disable_fallbacks,
        chance: app.draw(),
        prints: Prints::default(),
    })
}

/// Moves pictures from paintings to the caller, in order. Those that are not yet read wait in their sockets.
struct Drain {
    app: Arc<App>,
    paintings: VecDeque<Painting>,
    sink: JsonSink,
    warnings: Vec<String>,
    asked: u8,
    story: Arc<Story>,
    closed: bool,
}

impl Drain {
    fn new(app: Arc<App>, gallery: Gallery, story: Arc<Story>) -> Self {
        let Gallery { paintings, missing, asked } = gallery;
        let sink = JsonSink::new(app.clock.unix());
        Self { app, paintings: paintings.into(), sink, warnings: missing, asked, story, closed: false }
    }

    /// The next bytes of the reply. An error ends the caller's connection in the middle of a chunk, so that what has
    /// come of a picture cannot pass for a whole one.
    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Some(bytes) = self.sink.pop() {
                return Some(Ok(bytes));
            }
            if self.closed {
                return None;
            }
            match self.paintings.front_mut() {
                None => self.close(),
                Some(painting) => match painting.next().await {
                    Ok(Some(Event::PictureBegins)) => self.sink.begin(),
                    Ok(Some(Event::PictureBytes(bytes))) => self.sink.bytes(bytes),
                    Ok(Some(Event::PictureEnds)) => self.sink.end(),
                    Ok(Some(Event::End)) => {}
                    Ok(None) => self.settle(),
                    Err(error) => {
                        self.closed = true;
                        self.app.metrics.broken.inc();
                        tracing::warn!(detail = %error, "a reply broke in the middle of a picture");
                        return Some(Err(error));
                    }
                },
            }
        }
    }

    /// A painting has been handed over: what it cost, and what it lacks.
    fn settle(&mut self) {
        let Some(painting) = self.paintings.pop_front() else { return };
        let whole = painting.whole();
        let cost = painting.price(whole).unwrap_or_default();
        self.story.delivered(whole, cost);
        self.warnings.extend(painting.shortfall());
        let labels =
            PictureLabels { alias: self.story.alias().to_owned(), model: painting.deployment.model.id.clone() };
        self.app.metrics.pictures.get_or_create(&labels).inc_by(whole.into());
        self.app.metrics.cost.get_or_create(&labels).inc_by(cost);
    }

    fn close(&mut self) {
        self.closed = true;
        if !self.warnings.is_empty() {
            self.app.metrics.incomplete.inc();
            let pictures = self.sink.pictures();
            tracing::warn!(
                asked = self.asked,
                pictures,
                why = self.warnings.join("; "),
                "fewer pictures than asked for"
            );
        }
        self.sink.finish(&self.warnings);
    }
}
