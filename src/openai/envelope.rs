//! What OpenAI's API answers besides pictures: errors, model lists, usage.
//!
//! Must not decide when to say it.

use serde::Serialize;

/// An error, `{"error": {...}}`. All four members are always there; SDKs and applications read them unguarded.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    error: ErrorMembers,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorMembers {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    /// A string or null, never a number: async-openai rejects a number.
    code: Option<&'static str>,
}

impl ErrorBody {
    /// The envelope around a message.
    pub fn new(message: String, r#type: &'static str, param: Option<String>, code: Option<&'static str>) -> Self {
        Self { error: ErrorMembers { message, r#type, param, code } }
    }
}

/// `GET /v1/models`.
#[derive(Clone, Debug, Serialize)]
pub struct ModelList {
    object: &'static str,
    data: Vec<ModelObject>,
}

impl ModelList {
    /// The list of these.
    pub fn new(data: Vec<ModelObject>) -> Self {
        Self { object: "list", data }
    }
}

/// One model that may be named in a request.
#[derive(Clone, Debug, Serialize)]
pub struct ModelObject {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    shutdown_date: Option<String>,
}

impl ModelObject {
    /// The alias `id`, served since `created` (Unix seconds), by models that end on `shutdown_date`.
    pub fn new(id: String, created: i64, shutdown_date: Option<String>) -> Self {
        Self { id, object: "model", created, owned_by: "easel", shutdown_date }
    }
}

/// Token counts of a chat, all zero.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ChatUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

/// Token counts, all zero: Bedrock's image models count none. Complete because Dify and async-openai read the
/// members unguarded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    total_tokens: u32,
    input_tokens: u32,
    input_tokens_details: TokenDetails,
    output_tokens: u32,
}

impl Usage {
    /// As it stands in a document.
    pub fn json(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct TokenDetails {
    image_tokens: u32,
    text_tokens: u32,
}
