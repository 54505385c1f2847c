//! `/files/{pass}/{name}`: pictures behind links. The link is the key, so no other is asked for.
//!
//! Must not show a link in a log or an error.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderName, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use tower_http::services::ServeFile;

use super::error::ApiError;
use super::extract::App;
use crate::store::{DeadLink, Error, Found, Links, LiveLink};

/// `GET` and `HEAD`, with ranges.
pub(super) async fn file(
    State(app): State<Arc<App>>,
    Path((pass, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let links = app.links.as_ref().ok_or_else(ApiError::no_file)?;
    let link = links.check(&pass, &name).map_err(|dead| match dead {
        DeadLink::Unknown => ApiError::no_file(),
        DeadLink::Expired => ApiError::expired_link(),
    })?;
    match found(links, link, request).await {
        Ok(Some(response)) => Ok(dressed(response, link)),
        // It made room for others, or somebody has cleaned up.
        Ok(None) => Err(ApiError::expired_link()),
        Err(error) => {
            tracing::error!(detail = %error, "a kept picture cannot be read");
            Err(ApiError::internal())
        }
    }
}

async fn found(links: &Links, link: LiveLink, request: Request) -> Result<Option<Response>, Error> {
    let method = if request.method() == Method::HEAD { Method::HEAD } else { Method::GET };
    match links.find(link, method).await? {
        None => Ok(None),
        Some(Found::Elsewhere(url)) => Ok(Some(redirect(&url))),
        Some(Found::File(path)) => Ok(serve(&path, request).await),
    }
}

fn redirect(url: &str) -> Response {
    match HeaderValue::from_str(url) {
        Ok(url) => (StatusCode::FOUND, [(LOCATION, url)]).into_response(),
        Err(_) => ApiError::internal().into_response(),
    }
}

/// The file, or the part of it that is asked for; `None` if it has gone meanwhile.
async fn serve(path: &FilePath, request: Request) -> Option<Response> {
    let served = ServeFile::new(path).try_call(request).await.ok()?;
    (served.status() != StatusCode::NOT_FOUND).then(|| served.map(Body::new))
}

/// Headers for a browser: nothing but a picture, kept no longer than the link lives.
fn dressed(mut response: Response, link: LiveLink) -> Response {
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    put(CACHE_CONTROL, format!("private, max-age={}, immutable", link.left.as_secs()));
    put(CONTENT_DISPOSITION, format!("inline; filename=\"{}\"", link.name));
    put(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    response
}
