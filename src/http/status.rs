//! How it goes: liveliness, readiness, metrics, the models, and a page that says what this is.
//!
//! Must not call Bedrock: LiteLLM's `/health` pays for a picture each time.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::error::ApiError;
use super::extract::{App, Caller};
use super::key_life;
use crate::openai::{ModelList, ModelObject};

/// LiteLLM's words, which probes compare.
pub(super) async fn liveliness() -> Response {
    json("\"I'm alive!\"".into())
}

/// 503 once Easel is about to stop, so that balancers send requests elsewhere.
pub(super) async fn readiness(State(app): State<Arc<App>>) -> Response {
    app.standing.ask(app.clock.unix());
    match app.standing.is_stopping() {
        false => json("{\"status\":\"healthy\"}".into()),
        true => (StatusCode::SERVICE_UNAVAILABLE, json("{\"status\":\"stopping\"}".into())).into_response(),
    }
}

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    caller: Result<Caller, ApiError>,
) -> Result<Response, ApiError> {
    if !app.open_metrics {
        caller?;
    }
    app.metrics.began.set(app.started);
    key_life::measure(&app).await;
    app.router.measure();
    app.metrics.serving.painting.set(app.crowd.size().into());
    if let Some(book) = &app.book {
        book.measure();
    }
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, open_metrics)], app.metrics.render()).into_response())
}

pub(super) async fn models(State(app): State<Arc<App>>, _: Caller) -> Result<Response, ApiError> {
    encode(&ModelList::new(app.router.table().aliases().iter().map(|alias| object(&app, alias)).collect()))
}

pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Caller,
) -> Result<Response, ApiError> {
    // A route's catch-all takes a slash at the end along.
    let id = id.trim_end_matches('/');
    if app.router.table().group(id).is_none() {
        return Err(ApiError::no_model(id));
    }
    encode(&object(&app, id))
}

/// An alias as a model; with the last day of its longest living deployment, if all of them end.
fn object(app: &App, alias: &str) -> ModelObject {
    let deployments = app.router.table().group(alias).unwrap_or_default();
    let ends: Option<Vec<_>> = deployments.iter().map(|deployment| deployment.model.life.end).collect();
    let last = ends.and_then(|ends| ends.into_iter().max()).map(|date| date.to_string());
    ModelObject::new(alias.to_owned(), app.started, last)
}

pub(super) async fn front_page(State(app): State<Arc<App>>) -> Html<String> {
    let key = if app.door.is_weak() { "" } else { " -H \"Authorization: Bearer $LITELLM_MASTER_KEY\"" };
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Easel</title>\n\
         <body style=\"font: 16px/1.5 system-ui; max-width: 44em; margin: 4em auto; padding: 0 1em\">\n\
         <h1>Easel {version}</h1>\n<p>OpenAI's image API on Amazon Bedrock. It is running.</p>\n\
         <pre>curl http://localhost:4000/v1/images/generations{key} \\\n  -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"prompt\": \"A sunset over mountains\"}}'</pre>\n\
         <p>Also here: <code>/v1/models</code>, <code>/metrics</code>, <code>/health/liveliness</code>, \
         <code>/health/readiness</code>.</p>\n</body></html>\n",
        version = env!("CARGO_PKG_VERSION"),
    ))
}

pub(super) fn encode(value: &impl serde::Serialize) -> Result<Response, ApiError> {
    serde_json::to_string(value).map(json).map_err(|_| ApiError::internal())
}

fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
