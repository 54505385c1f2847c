//! OpenAI's surface: every route and every layer on one screen.
//!
//! Knows HTTP and OpenAI's forms. Must not name Bedrock's endpoints, signatures or models.

mod access;
mod base_url;
mod chat;
mod chat_sink;
mod crowd;
mod drain;
mod error;
mod extract;
mod fields;
mod files;
mod form;
mod images;
mod info;
mod keep_alive;
mod keeper;
mod key_life;
mod layer;
mod link_sink;
mod once;
mod openapi;
mod pictures;
mod plan_headers;
mod sink;
mod standing;
mod status;
mod transcoding;
mod validate;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::Method;
use http::header::{HOST, ORIGIN};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any as AnyValue, CorsLayer};

use access::access;
pub use crowd::Crowd;
use crowd::crowd;
pub use error::ApiError;
pub use extract::App;
use layer::layer;
pub use once::Book;
pub use standing::Standing;

/// Every route. Each answers with a slash at its end too.
pub fn app(app: &Arc<App>) -> Router {
    // Pictures cost money and memory, so there are only so many at once.
    let paints = layer(app.clone(), crowd);
    let routes = [
        ("/", get(status::front_page)),
        ("/v1/images/generations", post(images::generations).layer(paints.clone())),
        ("/images/generations", post(images::generations).layer(paints.clone())),
        ("/v1/images/edits", post(images::edits).layer(paints.clone())),
        ("/images/edits", post(images::edits).layer(paints.clone())),
        ("/v1/images/variations", post(images::variations).layer(paints.clone())),
        ("/images/variations", post(images::variations).layer(paints.clone())),
        ("/v1/images/validate", post(validate::validate)),
        ("/images/validate", post(validate::validate)),
        ("/v1/images/requests/{id}", get(once::collect).delete(once::cancel)),
        ("/v1/chat/completions", post(chat::completions).layer(paints.clone())),
        ("/chat/completions", post(chat::completions).layer(paints.clone())),
        ("/openai/deployments/{*rest}", post(images::of_deployment).layer(paints)),
        ("/files/{pass}/{name}", get(files::file)),
        ("/v1/models", get(status::models)),
        ("/models", get(status::models)),
        ("/v1/models/{*id}", get(status::model)),
        ("/models/{*id}", get(status::model)),
        ("/model/info", get(info::models)),
        ("/v1/model/info", get(info::models)),
        ("/model_group/info", get(info::groups)),
        ("/openapi.json", get(openapi::document)),
        ("/docs", get(openapi::page)),
        ("/health", get(info::health)),
        ("/health/liveliness", get(status::liveliness)),
        ("/health/liveness", get(status::liveliness)),
        ("/health/readiness", get(status::readiness)),
        ("/metrics", get(status::metrics)),
    ];
    let router = routes.into_iter().fold(Router::new(), |router, (path, method)| match path.ends_with(['/', '}']) {
        true => router.route(path, method),
        false => router.route(path, method.clone()).route(&format!("{path}/"), method),
    });
    let router = match &app.root_path {
        Some(root) => Router::new().nest(root, router.clone()).merge(router),
        None => router,
    };
    layered(router.fallback(no_route).method_not_allowed_fallback(wrong_method), app).with_state(app.clone())
}

/// Every layer, the outermost first. They are given as one, for each that is given alone costs a request a box, and one made
/// of a function two.
fn layered(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    // A panic in one request is a 500 for that one alone.
    let panics = CatchPanicLayer::custom(panicked);
    // Ids, the access line and the figures are around everything.
    match app.door.is_weak() {
        // With a weak key, no web page may spend.
        true => routes.layer((layer(app.clone(), access), middleware::from_fn_with_state(app.clone(), origin), panics)),
        false => routes.layer((layer(app.clone(), access), cors(), panics)),
    }
}

/// Any origin, without credentials: the key is in a header that only its holder can send.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyValue)
        .allow_methods(AnyValue)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(AnyValue)
}

async fn origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, ApiError> {
    // Probes may come by any name, and learn nothing.
    if !request.uri().path().starts_with("/health/") {
        let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        // HTTP/1.0 has no Host; an absolute URI stands in for it.
        let host = text(HOST).or(request.uri().authority().map(http::uri::Authority::as_str));
        app.door.check_origin(host, text(ORIGIN))?;
    }
    Ok(next.run(request).await)
}

async fn no_route(method: Method, OriginalUri(uri): OriginalUri, request: Request) -> ApiError {
    fields::drain(request).await;
    ApiError::no_route(&method, uri.path())
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri, request: Request) -> ApiError {
    fields::drain(request).await;
    ApiError::wrong_method(&method, uri.path())
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(what = what.unwrap_or("unknown"), "a request panicked");
    ApiError::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_an_error_of_one_request() {
        let routes: Router = Router::new()
            .route("/bad", get(|| async { panic!("a bug") as Response }))
            .route("/good", get(|| async { "good" }))
            .layer(CatchPanicLayer::custom(panicked));
        let ask = |path: &str| routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
        let bad = ask("/bad").await.unwrap();
        assert_eq!(bad.status(), 500);
        let envelope = to_bytes(bad.into_body(), 1000).await.unwrap();
        let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
        assert_eq!(envelope["error"]["code"], "internal_error");
        assert!(!envelope.to_string().contains("a bug"), "it is for the log");
        assert_eq!(ask("/good").await.unwrap().status(), 200);
    }
}
