//! How the bucket's requests go out: by the HTTP client that everything else goes by.
//!
//! Must not sign or try again; it only says whether that may be.

use std::iter::successors;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

/// A request takes no longer, from the first packet to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of its own, through the system's proxies.
#[derive(Debug)]
pub(super) struct Wire {
    /// Nothing goes out in the clear.
    pub(super) https_only: bool,
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let builder = reqwest::Client::builder()
            .https_only(self.https_only)
            .retry(reqwest::retry::never())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("easel/", env!("CARGO_PKG_VERSION")));
        let client = builder.build();
        let client = client.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(Connected(client)))
    }
}

#[derive(Debug)]
struct Connected(reqwest::Client);

// Without the macro that its trait is written with, so it has to return a boxed future.
impl HttpService for Connected {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = async {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap)).map_err(sorted)?;
            let answer: http::Response<reqwest::Body> = self.0.execute(request).await.map_err(sorted)?.into();
            Ok(answer.map(|body| HttpResponseBody::new(body.map_err(sorted))))
        };
        sent.boxed()
    }
}

/// What went wrong, as the library sorts it to see whether it may try again. It names the address itself.
fn sorted(error: reqwest::Error) -> HttpError {
    let kind = if error.is_builder() {
        HttpErrorKind::Unknown
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if went_nowhere(&error) {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}

/// Whether a connection that had been kept was found closed.
fn went_nowhere(error: &reqwest::Error) -> bool {
    successors(std::error::Error::source(error), |cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(|error| error.is_canceled() || error.is_closed() || error.is_incomplete_message())
}
