//! What a handler may ask for: the application, the caller, a body.
//!
//! Must not know what a handler does with them; refusals already wear OpenAI's envelope.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::base_url::base_url;
use super::error::ApiError;
use crate::auth::{Door, key_in};
use crate::clock::Clock;
use crate::config::Delivery;
use crate::metrics::Metrics;
use crate::openai::{ImageRequest, Invalid};
use crate::raster::Raster;
use crate::router::Router;
use crate::store::Links;

/// Bedrock takes 25,000,000 bytes, so nothing longer can be of use.
const MAX_JSON_BODY: usize = 25_000_000;

/// Everything that handlers share.
#[derive(Debug)]
pub struct App {
    /// Who paints.
    pub router: Arc<Router>,
    /// What keeps pictures and makes links to them, where that can be.
    pub links: Option<Links>,
    /// How pictures are handed over.
    pub delivery: Delivery,
    /// How callers speak to Easel itself: `http` or `https`.
    pub scheme: &'static str,
    /// What reads the pictures of requests.
    pub raster: Raster,
    /// Who may come in.
    pub door: Door,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Where chance comes from; a test seeds it.
    pub chance: Mutex<fastrand::Rng>,
    /// `/metrics` answers without the key.
    pub open_metrics: bool,
    /// Unknown members are refused.
    pub strict_params: bool,
    /// A header of the operator's choice for the key (`litellm_key_header_name`).
    pub key_header: Option<String>,
    /// A prefix under which everything answers too (`SERVER_ROOT_PATH`), such as `/easel`.
    pub root_path: Option<String>,
    /// When serving began, Unix seconds.
    pub started: i64,
}

impl App {
    /// A random number.
    pub fn draw(&self) -> u64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }
}

/// Where callers show their key, as in LiteLLM; the first that is there counts.
const KEY_HEADERS: [&str; 6] =
    ["x-litellm-api-key", "authorization", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key"];

/// Somebody who has shown the key, where there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let own = app.key_header.as_deref();
        let shown = own.into_iter().chain(KEY_HEADERS).find_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(key_in(name, value))
        });
        app.door.admit(shown)?;
        Ok(Self)
    }
}

/// How a request came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) headers: HeaderMap,
    /// What links begin with, if the request or the config says.
    pub(super) base_url: Option<String>,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self { headers: parts.headers.clone(), base_url: base_url(app, parts) })
    }
}

/// A body that is short enough to be held. JSON is read whatever its content type says: curl calls it a form.
#[derive(Debug)]
pub(super) struct JsonBody {
    bytes: Bytes,
    /// What the caller calls it, if that is a form.
    form: Option<String>,
}

impl JsonBody {
    /// The request in it, or what is wrong with it; `drops` are the members left out for the model it names.
    pub(super) fn image_request(
        self,
        drops: impl FnOnce(Option<&str>) -> Vec<String>,
    ) -> Result<ImageRequest, ApiError> {
        match (ImageRequest::from_json(&self.bytes, drops), self.form) {
            (Ok(request), _) => Ok(request),
            // Not JSON at all, and it does not pretend to be.
            (Err(Invalid { param: None, .. }), Some(form)) => Err(ApiError::not_json(&form)),
            (Err(invalid), _) => Err(invalid.into()),
        }
    }
}

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let form = (kind.starts_with("multipart/") || kind == "application/x-www-form-urlencoded").then_some(kind);
        match Limited::new(request.into_body(), MAX_JSON_BODY).collect().await {
            Ok(body) => Ok(Self { bytes: body.to_bytes(), form }),
            Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(MAX_JSON_BODY)),
            Err(_) => Err(ApiError::unreadable_body()),
        }
    }
}
