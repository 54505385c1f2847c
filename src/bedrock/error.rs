//! What a failed call means: Bedrock's status, exception and words, sorted into kinds that can be acted on.
//!
//! The table is AWS's (InvokeModel, "Errors"), with what was seen in the field. Must not decide what to do about
//! it: that is the router's.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::keys::Shown;

/// A call that brought no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong, sorted.
    pub kind: Kind,
    /// Bedrock's or the network's words, for the log; a caller sees them only where the mistake is his.
    pub detail: String,
    /// `x-amzn-RequestId`, for the log and AWS's support.
    pub request_id: Option<String>,
    /// The API key that was shown, if one was.
    pub shown: Option<Box<Shown>>,
    /// The API key was refused, and another is there: the same call may be made with it, for this one painted nothing.
    pub another_key: bool,
}

/// Sorted by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller's wish is not valid for the model (400). The same would fail again.
    Invalid,
    /// The prompt was filtered (400).
    Filtered,
    /// Too many requests, or a quota used up (429, `ServiceQuotaExceededException`).
    Throttled(Option<Duration>),
    /// Not ready, overloaded or unavailable (429 `ModelNotReadyException`, 503, 529).
    Unavailable(Option<Duration>),
    /// The service or the model failed (408, 424, 500): worth one more try.
    Faulty,
    /// The deployment may not call the model, or cannot prove who it is (401, 403, no credentials).
    Denied(Denial),
    /// The model is not there: wrong id or wrong region (404, "The provided model identifier is invalid").
    NotFound,
    /// The model has been withdrawn, or is closed to this account (404).
    Retired,
    /// No connection: nothing was sent.
    Unreached,
    /// The connection broke after the request had gone: it may have been paid for.
    Broken,
    /// No answer in time, after the request had gone: it may have been paid for.
    TimedOut,
    /// An answer that means nothing here, such as a redirect.
    Odd,
    /// A success without a picture, for no reason that it tells. It may have been paid for.
    NoPicture,
    /// A success whose model says that painting failed (Stability's `Inference error`).
    InferenceFailed,
}

/// Why a deployment was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The API key is not valid (or for another region, which Bedrock does not tell apart).
    KeyInvalid,
    /// The API key or the session has expired.
    Expired,
    /// Signed, but not by keys that AWS knows, or wrongly.
    SignatureRefused,
    /// Known, but not allowed `bedrock:CallWithBearerToken`.
    BearerNotAllowed,
    /// Known, but not allowed to use this model.
    AccessDenied,
    /// Nobody to sign as: the AWS chain found no credentials.
    NoCredentials,
}

/// The beginning of every text by which Nova and Titan refuse a prompt or picture.
const FILTERED: &str = "This request has been blocked by our content filters";

impl Error {
    /// An error that no answer of Bedrock's stands behind.
    pub fn local(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), request_id: None, shown: None, another_key: false }
    }

    /// Reads an answer that is not a success. `body` may be cut short, empty or no JSON.
    pub fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let member = |name: &str| value.get(name).and_then(Value::as_str);
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        // Service errors say `message`, the front door that checks credentials says `Message`.
        let message = member("message").or(member("Message")).unwrap_or_default();
        // `ValidationException:http://internal…` in the header, `com.amazon…#ValidationException` in the body.
        let exception = text("x-amzn-errortype").or(member("__type")).unwrap_or_default();
        let exception = exception.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
        let retry_after = text("retry-after").and_then(|t| t.parse().ok()).map(Duration::from_secs);
        let kind = classify(status, exception, message, retry_after);
        let detail = format!("{} {exception}: {}", status.as_u16(), unnest(message));
        Self { request_id: text("x-amzn-requestid").map(str::to_owned), ..Self::local(kind, detail) }
    }

    /// Bedrock's own words about a wish that is not valid, without status and exception.
    pub fn words(&self) -> &str {
        self.detail.split_once(": ").map_or(&*self.detail, |(_, words)| words)
    }
}

/// Stability's errors are JSON inside the message: `{"detail":"Invalid field in request. …"}`.
fn unnest(message: &str) -> String {
    let nested: Value = serde_json::from_str(message).unwrap_or_default();
    nested.get("detail").and_then(Value::as_str).unwrap_or(message).to_owned()
}

fn classify(status: StatusCode, exception: &str, message: &str, retry_after: Option<Duration>) -> Kind {
    match (status.as_u16(), exception) {
        (_, "ModelNotReadyException") => Kind::Unavailable(retry_after),
        (_, "ThrottlingException" | "ServiceQuotaExceededException") | (429, _) => Kind::Throttled(retry_after),
        (503 | 529, _) => Kind::Unavailable(retry_after),
        (408 | 424 | 500, _) => Kind::Faulty,
        (401 | 403, _) => Kind::Denied(denial(exception, message)),
        (400, "ExpiredTokenException" | "RequestExpired") => Kind::Denied(Denial::Expired),
        (400, "UnrecognizedClientException" | "IncompleteSignatureException" | "IncompleteSignature") => {
            Kind::Denied(Denial::SignatureRefused)
        }
        (404, _) if is_retired(message) => Kind::Retired,
        (404, _) => Kind::NotFound,
        (400, _) if message.starts_with(FILTERED) => Kind::Filtered,
        (400, _) if is_unknown_model(message) => Kind::NotFound,
        (400 | 413 | 422, _) => Kind::Invalid,
        _ => Kind::Odd,
    }
}

/// Both texts of a model that is gone; neither names it.
fn is_retired(message: &str) -> bool {
    message.contains("end of its life") || message.contains("marked by provider as Legacy")
}

fn is_unknown_model(message: &str) -> bool {
    message.starts_with("The provided model identifier is invalid") || message.contains("on-demand throughput isn")
}

fn denial(exception: &str, message: &str) -> Denial {
    match exception {
        // "Signature expired" blames a clock, not a session.
        "InvalidSignatureException" => Denial::SignatureRefused,
        _ if message.contains("expired") => Denial::Expired,
        _ if message.contains("bedrock:CallWithBearerToken") => Denial::BearerNotAllowed,
        _ if message.contains("API Key is valid") => Denial::KeyInvalid,
        "ExpiredTokenException" | "RequestExpired" => Denial::Expired,
        "UnrecognizedClientException" | "InvalidClientTokenId" | "MissingAuthenticationTokenException" => {
            Denial::SignatureRefused
        }
        _ if message.contains("security token") => Denial::SignatureRefused,
        _ => Denial::AccessDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, exception: &str, body: &str, kind: Kind) {
        let mut headers = HeaderMap::new();
        if !exception.is_empty() {
            let value = format!("{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/");
            headers.insert("x-amzn-errortype", value.parse().unwrap());
        }
        let error = Error::from_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
        assert_eq!(error.kind, kind, "{status} {exception} {body}");
    }

    #[test]
    fn sorts_every_answer() {
        let filtered = r#"{"message":"This request has been blocked by our content filters. Please adjust your text prompt to submit a new request."}"#;
        check(400, "ValidationException", filtered, Kind::Filtered);
        check(400, "ValidationException", r#"{"message":"Malformed input request: x"}"#, Kind::Invalid);
        check(400, "ValidationException", r#"{"message":"The provided model identifier is invalid."}"#, Kind::NotFound);
        check(400, "ServiceQuotaExceededException", "{}", Kind::Throttled(None));
        check(
            429,
            "ThrottlingException",
            r#"{"message":"Too many requests, please wait before trying again."}"#,
            Kind::Throttled(None),
        );
        check(429, "ModelNotReadyException", "{}", Kind::Unavailable(None));
        check(503, "", "<html>", Kind::Unavailable(None));
        check(529, "", r#"{"error":{"type":"overloaded_error"}}"#, Kind::Unavailable(None));
        check(408, "ModelTimeoutException", "{}", Kind::Faulty);
        check(424, "ModelErrorException", "{}", Kind::Faulty);
        check(500, "InternalServerException", "", Kind::Faulty);
        check(
            404,
            "ResourceNotFoundException",
            r#"{"message":"This model version has reached the end of its life. Please refer to the AWS documentation for more details."}"#,
            Kind::Retired,
        );
        check(
            404,
            "ResourceNotFoundException",
            r#"{"message":"Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 30 days."}"#,
            Kind::Retired,
        );
        check(
            404,
            "ResourceNotFoundException",
            r#"{"message":"Could not resolve the foundation model"}"#,
            Kind::NotFound,
        );
        check(302, "", "", Kind::Odd);
    }

    #[test]
    fn sorts_every_denial() {
        let denied = |exception: &str, body: &str, denial| check(403, exception, body, Kind::Denied(denial));
        denied(
            "",
            r#"{"Message":"Authentication failed: Please make sure your API Key is valid."}"#,
            Denial::KeyInvalid,
        );
        denied("", r#"{"Message":"Bearer Token has expired"}"#, Denial::Expired);
        denied(
            "ExpiredTokenException",
            r#"{"message":"The security token included in the request is expired"}"#,
            Denial::Expired,
        );
        denied(
            "InvalidSignatureException",
            r#"{"Message":"Signature expired: 20261122T120000Z is now earlier than 20261122T120500Z"}"#,
            Denial::SignatureRefused,
        );
        denied(
            "UnrecognizedClientException",
            r#"{"message":"The security token included in the request is invalid."}"#,
            Denial::SignatureRefused,
        );
        denied(
            "AccessDeniedException",
            r#"{"Message":"User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:CallWithBearerToken on resource: *"}"#,
            Denial::BearerNotAllowed,
        );
        denied(
            "AccessDeniedException",
            r#"{"Message":"User: x is not authorized to perform: bedrock:InvokeModel"}"#,
            Denial::AccessDenied,
        );
        denied("AccessDeniedException", "", Denial::AccessDenied);
    }

    #[test]
    fn honours_retry_after_and_unnests_stability() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        let error = Error::from_answer(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
        assert_eq!(error.kind, Kind::Throttled(Some(Duration::from_secs(7))));
        let body = br#"{"message":"{\"detail\":\"Invalid field in request. Available fields: ['prompt']\"}"}"#;
        let error = Error::from_answer(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert_eq!(error.words(), "Invalid field in request. Available fields: ['prompt']");
    }
}
