//! The only code that speaks to Bedrock: endpoint, headers, send, classify.
//!
//! Must not know OpenAI's API, aliases or fallbacks, and never sends a request twice.

mod chain;
mod control;
mod credentials;
mod error;
mod held;
mod keys;
mod mint;
mod reach;
mod remedy;
mod reply;
mod sending;
mod signer;
mod sigv4;
mod sts;

use std::fmt;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Certificate;
use secrecy::ExposeSecret;
use thread_local::ThreadLocal;

pub use control::{Listed, control_endpoint};
use credentials::{Identities, Identity};
pub use credentials::{Lack, NoCredentials};
pub use error::{Denial, Error, Kind};
use keys::Key;
pub use keys::Shown;
pub use mint::{Minted, Session, mint_key};
pub use reach::{Reach, Skew, Step};
pub use remedy::{key_problem, key_problems, remedy};
pub use reply::Reply;
pub use signer::{Signer, Unknown};
use sigv4::Parts;

use crate::api_key::ApiKey;
use crate::clock::Clock;
use crate::config::{Auth, AwsKeys, BearerKey, Deployment};
use crate::loopback::names_this_machine;
use crate::payload::Payload;

/// Unreserved characters stay as they are; `:` and `/` of model ids and ARNs do not.
const MODEL_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// NAT gateways and VPC endpoints drop connections that are silent for 350 s.
const KEEPALIVE: Duration = Duration::from_secs(60);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are given up before Bedrock's front door gives them up.
const POOL_IDLE: Duration = Duration::from_secs(45);

/// An error's body is read up to this.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Speaks to Bedrock for every deployment.
pub struct Client {
    clock: Clock,
    identities: Identities,
    certificates: Vec<Certificate>,
    /// Through the system's proxies.
    outward: PerThread,
    /// To loopback, where a proxy would not find us.
    loopback: PerThread,
}

/// A client for each thread, for connections stay with the runtime that opened them, and each thread that answers callers
/// has its own. Made when first used: reading the CA certificates takes longer than starting.
type PerThread = ThreadLocal<Result<reqwest::Client, String>>;

/// A request before it is signed.
struct Outgoing<'a> {
    method: Method,
    url: &'a reqwest::Url,
    /// What it carries beside what every request does.
    more: &'a HeaderMap,
    body: &'a Payload,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that trusts the system's certificates and these (PEM).
    pub fn new(clock: Clock, extra_certificates: Vec<Certificate>) -> Self {
        Self {
            clock,
            identities: Identities::default(),
            certificates: extra_certificates,
            outward: ThreadLocal::new(),
            loopback: ThreadLocal::new(),
        }
    }

    /// The same, with keys that the environment holds: they come before the rest of the AWS chain.
    #[must_use]
    pub fn with_env_keys(mut self, keys: Option<&AwsKeys>) -> Self {
        self.identities.env_keys = keys.map(|keys| chain::fixed(&keys.id, &keys.secret, keys.token.as_ref()));
        self
    }

    /// Calls InvokeModel once, and returns when the head of a success is there. Errors are sorted into [`Kind`]s.
    /// `unsigned` are headers that no signature covers.
    pub async fn invoke(
        &self,
        deployment: &Deployment,
        body: Payload,
        timeout: Duration,
        unsigned: HeaderMap,
    ) -> Result<Reply, Error> {
        let url = address(deployment)?;
        let outgoing = Outgoing { method: Method::POST, url, more: &deployment.headers, body: &body };
        let (mut headers, identity) = self.headers(deployment, outgoing).await?;
        headers.extend(unsigned);
        let mut request = reqwest::Request::new(Method::POST, url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(sending::body(body));
        let sent = self.http(url)?.execute(request);
        let answer = tokio::time::timeout(timeout, sent)
            .await
            .map_err(|_| Error::local(Kind::TimedOut, format!("no answer within {} s", timeout.as_secs_f64())))?
            .map_err(|error| network_error(&error))?;
        if answer.status() == http::StatusCode::OK {
            return Ok(Reply::new(answer, timeout));
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = reply::read_up_to(answer, MAX_ERROR_BODY, timeout).await;
        Err(self.denied(deployment, identity, Error::from_answer(status, &headers, &body)))
    }

    /// The HTTP client for an address.
    fn http(&self, url: &reqwest::Url) -> Result<&reqwest::Client, Error> {
        let here = url.host_str().is_some_and(names_this_machine);
        let clients = if here { &self.loopback } else { &self.outward };
        let http = clients.get_or(|| http_client(self.certificates.clone(), !here));
        http.as_ref().map_err(|error| Error::local(Kind::Unreached, error))
    }

    /// Not sent again with other credentials: that is for the router to decide. But the next call shall have them.
    fn denied(&self, deployment: &Deployment, identity: Identity<'_>, mut error: Error) -> Error {
        match (identity, error.kind) {
            (Identity::Aws(credentials), Kind::Denied(Denial::Expired | Denial::SignatureRefused)) => {
                self.identities.forget(deployment, &credentials);
            }
            (Identity::Bearer { key, another }, Kind::Denied(denial)) => {
                if matches!(denial, Denial::KeyInvalid | Denial::Expired) {
                    self.identities.keys.refuse(&key.secret, &deployment.region);
                    error.another_key = another;
                }
                error.shown = Some(Box::new(key.shown()));
            }
            _ => {}
        }
        error
    }

    /// The headers of a call, and by whom it is made.
    async fn headers<'a>(
        &self,
        deployment: &'a Deployment,
        outgoing: Outgoing<'_>,
    ) -> Result<(HeaderMap, Identity<'a>), Error> {
        let Outgoing { method, url, more, body } = outgoing;
        let now = self.clock.now();
        let identity = self.identities.get(deployment, now).await;
        let identity = identity.map_err(|e| Error::local(Kind::Denied(Denial::NoCredentials), e.to_string()))?;
        let headers = match &identity {
            Identity::Bearer { key, .. } => bearer(key.secret.expose_secret(), more)?,
            Identity::Aws(credentials) => {
                // Must be what the client sends: the port only where it is not the scheme's own.
                let host = match (url.host_str().unwrap_or_default(), url.port()) {
                    (host, Some(port)) => format!("{host}:{port}"),
                    (host, None) => host.to_owned(),
                };
                let region = &deployment.region;
                let parts = Parts { method: method.as_str(), url: url.as_str(), host: &host, region, headers: more };
                let digest = body.sha256().await;
                let digest = digest.map_err(|e| Error::local(Kind::Unreached, format!("an upload is lost: {e}")))?;
                sigv4::sign(parts, digest, credentials, now)
                    .map_err(|e| Error::local(Kind::Denied(Denial::SignatureRefused), e.to_string()))?
            }
        };
        Ok((headers, identity))
    }

    /// The API keys of a deployment as they are now, the one in use first; none if it signs otherwise.
    pub async fn keys(&self, deployment: &Deployment) -> Vec<Shown> {
        let Auth::Bearer { key, next } = &deployment.auth else { return Vec::new() };
        let keys = self.identities.keys.in_order(key, next.as_ref(), &deployment.region, self.clock.now()).await;
        keys.iter().map(Key::shown).collect()
    }

    /// Looks for the credentials of a deployment that signs, without calling Bedrock.
    pub async fn find_credentials(&self, deployment: &Deployment) -> Result<(), NoCredentials> {
        self.identities.get(deployment, self.clock.now()).await.map(drop)
    }
}

/// How a deployment will prove who it is, in words for a log line; no secret in them.
pub fn describe_auth(deployment: &Deployment, clock: Clock) -> String {
    let with_role = |role: &Option<crate::config::Role>| match role {
        Some(role) => format!(", assuming the role {}", role.arn),
        None => String::new(),
    };
    match &deployment.auth {
        Auth::Bearer { key, next } => {
            let describe = |key: &BearerKey| {
                let kind = ApiKey::read(key.key.expose_secret()).describe(clock.now());
                format!("{kind}, from {}", key.source)
            };
            let next = next.as_ref().map(|next| format!("; after it a {}", describe(next))).unwrap_or_default();
            format!("bearer, {}{next}", describe(key))
        }
        Auth::Keys { role, .. } => format!("SigV4 with the keys in the config{}", with_role(role)),
        Auth::WebIdentity { role, .. } => format!("SigV4 with a web identity token, assuming the role {}", role.arn),
        Auth::Chain { profile: Some(profile), role } => {
            format!("SigV4 with the AWS profile '{profile}'{}", with_role(role))
        }
        Auth::Chain { profile: None, role } => {
            format!(
                "SigV4 with what the AWS chain finds (environment, profile, SSO, web identity, ECS, EC2){}",
                with_role(role)
            )
        }
    }
}

/// Enough of an access key's id to know it again: `AKIA…MPLE`.
fn shortened(id: &str) -> String {
    let tail = id.char_indices().nth_back(3).filter(|(at, _)| *at >= 8).map_or("", |(at, _)| &id[at..]);
    format!("{}…{tail}", id.chars().take(4).collect::<String>())
}

/// `{endpoint}/model/{model id}/invoke`. AWS's clients encode everything but unreserved characters, once.
fn invoke_url(endpoint: &str, model_id: &str) -> String {
    format!("{endpoint}/model/{}/invoke", utf8_percent_encode(model_id, MODEL_ID))
}

/// Where a deployment is called: parsed at its first call.
fn address(deployment: &Deployment) -> Result<&reqwest::Url, Error> {
    let Deployment { endpoint, model_id, invoke_url: address, .. } = deployment;
    if let Some(url) = address.get() {
        return Ok(url);
    }
    let url = reqwest::Url::parse(&invoke_url(endpoint, model_id))
        .map_err(|_| Error::local(Kind::NotFound, format!("the endpoint {endpoint} is no URL")))?;
    Ok(address.get_or_init(|| url))
}

fn bearer(key: &str, more: &HeaderMap) -> Result<HeaderMap, Error> {
    let mut value = HeaderValue::try_from(["Bearer ", key.trim()].concat()).map_err(|_| {
        Error::local(Kind::Denied(Denial::KeyInvalid), "the key holds a line break or a control character")
    })?;
    value.set_sensitive(true);
    let json = HeaderValue::from_static("application/json");
    let mut headers = more.clone();
    headers.extend([(AUTHORIZATION, value), (ACCEPT, json.clone()), (CONTENT_TYPE, json)]);
    Ok(headers)
}

fn http_client(certificates: Vec<Certificate>, proxies: bool) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        // A retry that pays twice is a bug, and reqwest has its own idea of what may be sent again.
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEPALIVE)
        .pool_idle_timeout(POOL_IDLE)
        .user_agent(concat!("easel/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(certificates);
    if !proxies {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| format!("the HTTP client cannot be made: {}", chain(&error)))
}

fn network_error(error: &reqwest::Error) -> Error {
    let kind = if error.is_connect() { Kind::Unreached } else { Kind::Broken };
    Error::local(kind, chain(error))
}

/// An error and its causes, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let first = std::error::Error::source(error);
    let causes: Vec<_> = std::iter::successors(first, |e| e.source()).map(ToString::to_string).collect();
    if causes.is_empty() { "the request failed".into() } else { causes.join(": ") }
}
