//! The one table from our errors to OpenAI's: status, type, code, param, and whether to try again.
//!
//! Must have no side effects: errors are logged by the access line.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Method, StatusCode};
use hyper::ext::ReasonPhrase;

use super::crowd::TooMany;
use crate::auth::Rejection;
use crate::openai::{ErrorBody, Invalid};
use crate::router::Failure;
use crate::wishes::excerpt;

/// An error as a caller gets it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// When to come back.
    retry_after: Option<Duration>,
    /// Set where SDKs must not try again although the status tempts them.
    never_again: bool,
    /// AWS may bill what brought no picture.
    paid: bool,
}

/// An error's mark: the same request may not be sent again for the same money.
#[derive(Clone, Copy, Debug)]
pub(super) struct MayBeBilled;

/// What the access line says of an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorCode(pub(super) &'static str);

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            kind,
            code: Some(code),
            param: None,
            message,
            retry_after: None,
            never_again: false,
            paid: false,
        }
    }

    /// No such route.
    pub fn no_route(method: &Method, path: &str) -> Self {
        let path: String = path.chars().take(120).collect();
        let message = format!("invalid URL ({method} {path}). Pictures are made by POST /v1/images/generations");
        Self { code: None, ..Self::new(StatusCode::NOT_FOUND, INVALID, "", message) }
    }

    /// The route is there, for another method.
    pub fn wrong_method(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not take {method}");
        Self { code: None, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, "", message) }
    }

    /// No model of this name.
    pub fn no_model(model: &str) -> Self {
        Failure::UnknownModel { alias: model.to_owned(), served: Vec::new() }.into()
    }

    /// The body is longer than a route takes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {} MB, the most that is taken here", limit / 1_000_000);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", message)
    }

    /// A form where JSON is read.
    pub fn not_json(kind: &str) -> Self {
        let kind: String = kind.chars().take(60).collect();
        let message = format!("the body is {kind}. Send a JSON object such as {{\"prompt\": \"a cat\"}}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, "unsupported_media_type", message)
    }

    /// A form that cannot be read.
    pub fn bad_form(why: &str) -> Self {
        let message = format!("the form cannot be read: {why}. Send multipart/form-data as curl -F does");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_form", message)
    }

    /// An upload cannot be kept, for a reason that is the operator's to hear.
    pub fn storage(why: &impl std::fmt::Display) -> Self {
        tracing::error!(error = %why, "an upload could not be kept");
        Failure::Storage.into()
    }

    /// The body broke off.
    pub fn unreadable_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "incomplete_body", "the body ended before it was whole")
    }

    /// No such link.
    pub fn no_file() -> Self {
        let message = "there is no such file. Links are good as they were given, to the last letter";
        Self::new(StatusCode::NOT_FOUND, INVALID, "file_not_found", message)
    }

    /// The link was good once.
    pub fn expired_link() -> Self {
        let message = "the link has expired, and the picture is gone. Ask for it again";
        Self::new(StatusCode::GONE, INVALID, "link_expired", message)
    }

    /// Links are asked for, and there are none.
    pub fn links_are_off() -> Self {
        let message = "'response_format' is 'url', and Easel has no folder to keep pictures in. Use 'b64_json', or set \
                       easel_settings.data_dir";
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_value", message);
        Self { param: Some("response_format".into()), ..error }
    }

    /// A link has to begin with something.
    pub fn no_host() -> Self {
        let message = "the request has no Host header, so no link can be made. Send one, or set \
                       easel_settings.links.base_url";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "missing_host", message)
    }

    /// A key that cannot be one.
    pub fn bad_idempotency_key(most: usize) -> Self {
        let message = format!("the header Idempotency-Key takes 1 to {most} printable characters");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_idempotency_key", message)
    }

    /// The key stands for another request.
    pub fn key_reused() -> Self {
        let message = "this Idempotency-Key has been sent with another request. Send a new key with a new request";
        let error = Self::new(StatusCode::CONFLICT, INVALID, "idempotency_key_reused", message);
        Self { never_again: true, ..error }
    }

    /// The reply cannot be collected later.
    pub fn nothing_is_kept() -> Self {
        let message = "'Prefer: respond-async' needs a place for the reply, and Easel has none. Leave it out, or set \
                       easel_settings.data_dir";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "respond_async_is_off", message)
    }

    /// No such request to be collected.
    pub fn no_request() -> Self {
        let message = "there is no such request, or its reply has been forgotten";
        Self::new(StatusCode::NOT_FOUND, INVALID, "request_not_found", message)
    }

    /// What was joined brought no answer.
    pub fn lost_call() -> Self {
        let message = "the call that this request has joined broke in the middle of its picture. It may have been billed, so \
                       it is not tried again";
        Self { never_again: true, paid: true, ..Self::new(StatusCode::BAD_GATEWAY, SERVER, "upstream_error", message) }
    }

    /// There are as many requests under way as may be.
    pub(super) fn too_many(too_many: TooMany) -> Self {
        let error = match too_many {
            TooMany::InAll => {
                let message = "Easel has as many requests under way as it takes. Try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, "overloaded", message)
            }
            TooMany::OfCaller => {
                let message = "you have as many requests under way as you may have at once. Wait for one to end";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
            }
        };
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }

    /// The body comes too slowly, or not at all.
    pub fn slow_body(patience: Duration, slowest: usize) -> Self {
        let seconds = patience.as_secs();
        let message = format!("the body came too slowly: nothing for {seconds} s, or less than {slowest} KB a second");
        Self::new(StatusCode::REQUEST_TIMEOUT, INVALID, "body_timeout", message)
    }

    /// A bug of ours.
    pub fn internal() -> Self {
        let message = "something went wrong inside Easel. The log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "internal_error", message)
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let Invalid { param, code, message } = invalid;
        Self { param, code, ..Self::new(StatusCode::BAD_REQUEST, INVALID, "", message) }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let forbidden = |message: &str| Self::new(StatusCode::FORBIDDEN, INVALID, "forbidden", message);
        let no_key = |message: &str| Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message);
        match rejection {
            Rejection::NoKey => no_key("no API key was sent. Send the master key as 'Authorization: Bearer ...'"),
            Rejection::WrongKey => no_key("incorrect API key. Send the master key as 'Authorization: Bearer ...'"),
            Rejection::ForeignHost => forbidden(
                "without a key of its own Easel answers to localhost only. Set LITELLM_MASTER_KEY to a key of your own",
            ),
            Rejection::ForeignOrigin => forbidden(
                "without a key of its own Easel answers no web page. Set LITELLM_MASTER_KEY to a key of your own",
            ),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let server = |status, code, message: &str| Self::new(status, SERVER, code, message);
        match failure {
            Failure::UnknownModel { alias, served } => unknown_model(&alias, &served),
            Failure::NotServed(alias) => not_served(&alias),
            Failure::Unsupported(unsupported) => {
                let error = Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", unsupported.message);
                Self { param: Some(unsupported.param), ..error }
            }
            Failure::Invalid(words) => Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", words),
            Failure::Refused => Self::new(
                StatusCode::BAD_REQUEST,
                INVALID,
                "content_policy_violation",
                "the request was rejected by the model's safety system. Change the prompt and try again",
            ),
            Failure::Throttled(wait) => {
                let message = "Bedrock takes no more requests for now. Try again later, or ask AWS for a higher quota";
                rate_limited(message.to_owned(), wait)
            }
            Failure::Busy { alias, wait } => {
                let alias = excerpt(&alias);
                let why = "has as many requests as it takes, and too many wait already. Try again later";
                rate_limited(format!("'{alias}' {why}"), wait)
            }
            Failure::Unavailable(wait) => {
                let message = "Bedrock is not available for now. Try again later";
                Self { retry_after: Some(wait), ..server(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
            }
            Failure::Upstream { paid: false } => {
                server(StatusCode::BAD_GATEWAY, "upstream_error", "the model failed to paint. Try again")
            }
            Failure::Upstream { paid: true } => {
                let message = "Bedrock's answer was not whole. It may have been billed, so it is not tried again";
                Self { never_again: true, paid: true, ..server(StatusCode::BAD_GATEWAY, "upstream_error", message) }
            }
            Failure::TimedOut => {
                let message = "Bedrock did not answer in time. It may have been billed, so it is not tried again";
                Self {
                    never_again: true,
                    paid: true,
                    ..server(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message)
                }
            }
            Failure::Denied(remedy) => {
                Self { never_again: true, ..server(StatusCode::INTERNAL_SERVER_ERROR, "upstream_auth", &remedy) }
            }
            Failure::Storage => {
                not_stored("Easel could not keep an upload. The log says why: the folder for uploads may be full")
            }
            Failure::Unkept => Self { never_again: true, paid: true, ..not_stored(UNKEPT) },
            Failure::Unspooled => Self { never_again: true, paid: true, ..not_stored(UNSPOOLED) },
            Failure::Gone(remedy) => {
                let error = Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", remedy);
                Self { param: Some("model".into()), ..error }
            }
        }
    }
}

impl ApiError {
    /// What the access line says of it.
    pub(super) fn code(&self) -> ErrorCode {
        ErrorCode(self.code.unwrap_or(self.kind))
    }

    /// OpenAI's envelope.
    pub(super) fn body(self) -> ErrorBody {
        ErrorBody::new(self.message, self.kind, self.param, self.code)
    }
}

fn rate_limited(message: String, wait: Duration) -> ApiError {
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message);
    ApiError { retry_after: Some(wait), ..error }
}

const UNKEPT: &str = "the picture was painted, but could not be kept for its link. The log says why: the folder of links may \
                      be full, or their bucket out of reach. Ask for 'b64_json', which needs neither";

const UNSPOOLED: &str = "the picture was painted, but could not be encoded anew. The log says why: the folder for uploads \
                         may be full. Leave out 'output_format' and 'output_compression' to have it as it is painted";

fn not_stored(message: &str) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "storage_error", message)
}

fn unknown_model(alias: &str, served: &[String]) -> ApiError {
    let served = if served.is_empty() { "GET /v1/models lists them".into() } else { served.join(", ") };
    let message = format!("the model '{}' does not exist here. Served are: {served}", excerpt(alias));
    let error = ApiError::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message);
    ApiError { param: Some("model".into()), ..error }
}

fn not_served(alias: &str) -> ApiError {
    let message = format!(
        "Easel serves pictures, and the model '{}' of its config is none of those that paint. GET /v1/models lists them",
        excerpt(alias)
    );
    let error = ApiError::new(StatusCode::BAD_REQUEST, INVALID, "model_not_supported", message);
    ApiError { param: Some("model".into()), ..error }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (reason, code) = (reason_phrase(&self.message), self.code());
        let Self { status, retry_after, never_again, paid, .. } = self;
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.extensions_mut().insert(code);
        if paid {
            response.extensions_mut().insert(MayBeBilled);
        }
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = retry_after {
            // Whole seconds for the standard header, never zero.
            headers.insert(RETRY_AFTER, wait.as_secs().max(1).into());
            headers.insert(HeaderName::from_static("retry-after-ms"), (wait.as_secs().max(1) * 1000).into());
        }
        if never_again {
            headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
        }
        response
    }
}

/// The message as an HTTP/1.1 reason phrase: all that Open WebUI shows. Printable ASCII, at most 200 characters.
fn reason_phrase(message: &str) -> Option<ReasonPhrase> {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let text: String = message.chars().take(200).map(printable).collect();
    ReasonPhrase::try_from(text.into_bytes()).ok()
}
