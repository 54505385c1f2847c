//! What a handler may ask for: the application, and the caller. `fields.rs` has the body.
//!
//! Must not know what a handler does with them; refusals already wear OpenAI's envelope.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::request::Parts;
use tokio_util::task::TaskTracker;

use super::base_url::base_url;
use super::crowd::Crowd;
use super::error::ApiError;
use super::once::{self, Book};
use super::standing::Standing;
use crate::auth::{CallerId, Door, key_in};
use crate::clock::Clock;
use crate::config::{Delivery, Serving};
use crate::fetch::Fetcher;
use crate::metrics::Metrics;
use crate::openai::Overrides;
use crate::raster::Raster;
use crate::router::Router;
use crate::store::Links;
use crate::traces::{Trace, Traces};

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
    /// What fetches those that are named by link.
    pub fetcher: Fetcher,
    /// Who may come in.
    pub door: Door,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where spans of requests go.
    pub traces: Traces,
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
    /// Headers by which a caller says whom it asks for (`user_header_name`, `user_header_mappings`).
    pub user_headers: Vec<String>,
    /// Calls that outlive their callers; none where nothing can be kept.
    pub book: Option<Arc<Book>>,
    /// Who is being served.
    pub crowd: Arc<Crowd>,
    /// How much is taken on at once.
    pub serving: Serving,
    /// Whether Easel is about to stop.
    pub standing: Arc<Standing>,
    /// What goes on when its request has ended, or Easel is told to stop.
    pub tasks: TaskTracker,
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
static KEY_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-litellm-api-key"),
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// Somebody who has shown the key, where there is one.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Which of them.
    pub(super) id: CallerId,
}

impl Caller {
    /// Who sends a request, if he may come in.
    pub(super) fn of(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // Asked for by layers and by handlers, and made out once.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let own = app.key_header.as_deref().and_then(|name| Some((name, parts.headers.get(name)?)));
        let usual = KEY_HEADERS.iter().filter_map(|name| Some((name.as_str(), parts.headers.get(name)?)));
        let shown = own.into_iter().chain(usual).find_map(|(name, value)| Some(key_in(name, value.to_str().ok()?)));
        app.door.admit(shown)?;
        let users = app.user_headers.iter().filter_map(|name| Some(parts.headers.get(name)?.as_bytes()));
        let caller = Self { id: app.door.caller(shown, users) };
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::of(parts, app)
    }
}

/// How a request came.
#[derive(Debug)]
pub(super) struct Asked {
    /// Those of its headers that say how it is to be carried out: [`once::HEADERS`] and [`Overrides::HEADERS`].
    pub(super) headers: HeaderMap,
    pub(super) caller: CallerId,
    /// What links begin with, if the request or the config says.
    pub(super) base_url: Option<String>,
    /// The span of the request.
    pub(super) trace: Trace,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let caller = Caller::of(parts, app)?.id;
        let trace = parts.extensions.get::<Trace>().cloned().unwrap_or_default();
        let mut headers = HeaderMap::new();
        for name in once::HEADERS.into_iter().chain(Overrides::HEADERS) {
            for value in parts.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        Ok(Self { headers, caller, base_url: base_url(app, parts), trace })
    }
}
