//! How AWS's crates speak HTTP when they ask for credentials: by the client that everything else goes by.
//!
//! Must not sign, try again or follow anywhere: the former two are theirs to do, and the last would show a secret around.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

/// A client of its own, through the system's proxies.
pub(crate) fn client() -> SharedHttpClient {
    SharedHttpClient::new(Clients::default())
}

/// One for each bound on how long a connection may take to come about. Made when first asked, for that reads the system's
/// certificates.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<Option<Duration>, Built>>);

/// A client, or why there is none.
type Built = Result<reqwest::Client, String>;

impl HttpClient for Clients {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let mut built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = settings.connect_timeout();
        let http = built.entry(bound).or_insert_with(|| build(bound)).clone();
        SharedHttpConnector::new(Connector { http, patience: settings.read_timeout() })
    }
}

fn build(connect_timeout: Option<Duration>) -> Built {
    let mut builder =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never());
    if let Some(bound) = connect_timeout {
        builder = builder.connect_timeout(bound);
    }
    builder.build().map_err(|error| error.to_string())
}

#[derive(Clone, Debug)]
struct Connector {
    http: Built,
    /// From the request to the head of its answer.
    patience: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let http = self.http.map_err(|why| ConnectorError::user(why.into()))?;
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap));
        let sent = http.execute(request.map_err(|error| ConnectorError::user(error.into()))?);
        let answer = match self.patience {
            Some(patience) => {
                tokio::time::timeout(patience, sent).await.map_err(|e| ConnectorError::timeout(e.into()))?
            }
            None => sent.await,
        };
        let answer: http::Response<reqwest::Body> = answer.map_err(sorted)?.into();
        let answer = HttpResponse::try_from(answer.map(SdkBody::from_body_1_x));
        answer.map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// AWS's crates try again what the network did. The path of a container's endpoint is nobody else's to know.
fn sorted(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
