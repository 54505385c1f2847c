//! What a handler may ask for: the application, the caller, a body.
//!
//! Must not know what a handler does with them; refusals already wear OpenAI's envelope.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::ApiError;
use crate::auth::Door;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::router::Router;

/// Bedrock takes 25,000,000 bytes, so nothing longer can be of use.
const MAX_JSON_BODY: usize = 25_000_000;

/// Everything that handlers share.
#[derive(Debug)]
pub struct App {
    /// Who paints.
    pub router: Router,
    /// Who may come in.
    pub door: Door,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Where chance comes from; a test seeds it.
    pub chance: Mutex<fastrand::Rng>,
    /// Unknown members are refused.
    pub strict_params: bool,
    /// When serving began, Unix seconds.
    pub started: i64,
}

impl App {
    /// A random number.
    pub fn draw(&self) -> u64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }
}

/// Somebody who has shown the key, where there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        app.door.admit(authorization)?;
        Ok(Self)
    }
}

/// A body that is short enough to be held, whatever its content type says: clients are careless with it.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        match Limited::new(request.into_body(), MAX_JSON_BODY).collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(MAX_JSON_BODY)),
            Err(_) => Err(ApiError::unreadable_body()),
        }
    }
}
