//! Replies that are collected later: `Prefer: respond-async` (RFC 7240), for callers behind short timeouts.
//!
//! Must not tell anyone but its caller that a request exists.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::extract::{App, Caller};
use super::call::Call;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A picture takes some seconds.
const COME_BACK: u64 = 2;

/// Where the reply of a request is.
const PATH: &str = "/v1/images/requests/";

/// The request goes its way; its reply will be at the `Location`.
pub(super) fn accepted(call: &Call, base_url: &str) -> Response {
    let mut response = state(call, "in_progress");
    let headers = response.headers_mut();
    headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    if let Ok(location) = HeaderValue::from_str(&format!("{base_url}{PATH}{}", call.id)) {
        headers.insert(LOCATION, location);
    }
    response
}

/// `GET /v1/images/requests/{id}`: 202 while it is painted, then the reply as it would have been.
pub(in super::super) async fn collect(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let book = app.book.as_ref().ok_or_else(ApiError::no_request)?;
    let call = book.find(&id, caller.id.as_str()).ok_or_else(ApiError::no_request)?;
    if call.is_under_way() { Ok(state(&call, "in_progress")) } else { book.follow(call, true).await }
}

/// `DELETE /v1/images/requests/{id}`: ends it, and forgets its reply.
pub(in super::super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let book = app.book.as_ref().ok_or_else(ApiError::no_request)?;
    let call = book.find(&id, caller.id.as_str()).ok_or_else(ApiError::no_request)?;
    book.cancel(&call).await;
    let body = json!({ "id": call.id, "object": "image.request", "deleted": true });
    Ok(answer(StatusCode::OK, &body, HeaderMap::new()))
}

fn state(call: &Call, status: &str) -> Response {
    let body = json!({ "id": call.id, "object": "image.request", "status": status, "model": call.asked.alias });
    answer(StatusCode::ACCEPTED, &body, HeaderMap::from_iter([(RETRY_AFTER, COME_BACK.into())]))
}

fn answer(status: StatusCode, body: &Value, headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
