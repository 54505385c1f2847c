//! An answer that is not a picture, in the dress of Bedrock's errors.
//! It must not decide when to be given.
use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// What follows the type in `x-amzn-ErrorType`; clients have to cut it off.
const NAMESPACE: &str = ":http://internal.amazon.com/coral/com.amazon.bedrock/";

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// The front door, which checks keys and signatures, spells the member `Message`.
    pub(super) front_door: bool,
    pub(super) retry_after: Option<u32>,
}

impl Problem {
    /// An error of the service itself.
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), front_door: false, retry_after: None }
    }

    /// An error of the front door.
    pub(super) fn front_door(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { front_door: true, ..Self::new(status, kind, message) }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// What is said of a body that breaks one rule of a model's schema.
    pub(super) fn malformed(violation: &str) -> Self {
        Self::validation(format!("Malformed input request: {violation}, please reformat your input and try again."))
    }

    pub(super) fn invalid_model() -> Self {
        Self::validation("The provided model identifier is invalid.")
    }

    /// What is said of a model that only answers through an inference profile.
    pub(super) fn needs_profile(id: &str) -> Self {
        Self::validation(format!(
            "Invocation of model ID {id} with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."
        ))
    }

    pub(super) fn end_of_life() -> Self {
        let message = "This model version has reached the end of its life. Please refer to the AWS documentation for more details.";
        Self::new(404, "ResourceNotFoundException", message)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            500,
            "InternalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        )
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new(404, "UnknownOperationException", "")
    }

    pub(super) fn into_response(self) -> Response {
        let body = match self.kind {
            "UnknownOperationException" => json!({
                "Output": {"__type": "com.amazon.coral.service#UnknownOperationException", "message": null},
                "Version": "1.0",
            }),
            "ModelErrorException" => {
                json!({"message": self.message, "originalStatusCode": 500, "resourceName": "emulated"})
            }
            "overloaded_error" => {
                json!({"type": "error", "error": {"type": self.kind, "message": self.message}, "message": self.message})
            }
            _ if self.front_door => json!({"Message": self.message}),
            _ => json!({"message": self.message}),
        };
        let mut response = json_response(body.to_string());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Ok(kind) = HeaderValue::from_str(&format!("{}{NAMESPACE}", self.kind)) {
            response.headers_mut().insert("x-amzn-errortype", kind);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A whole reply of JSON.
pub(super) fn json_response(body: String) -> Response {
    typed(body, "application/json")
}

/// A whole reply of HTML, as load balancers give it.
pub(super) fn html_response(body: String) -> Response {
    typed(body, "text/html")
}

fn typed(body: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
