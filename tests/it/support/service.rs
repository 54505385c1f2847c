//! A small HTTP server that a test scripts and that remembers what it was asked: STS, ECS, IMDS, SSO, a proxy.
//! Must not check anything itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;

/// AWS's published example pair, which the emulator takes.
pub(crate) const ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// As it was sent: a path, or the whole address if it came to a proxy.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    /// The fields of a form, decoded.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8().unwrap().into_owned()
        };
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (decode(name), decode(value))).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        super::header(&self.headers, name)
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Service {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Service {
    /// Answers each request as `answer` says: status and body, which for a redirect is where it leads. It is told which
    /// request it is, from 1 on.
    pub(crate) async fn start(answer: impl Fn(&Received, usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::slow(Duration::ZERO, answer).await
    }

    /// The same after a while.
    pub(crate) async fn slow(
        after: Duration,
        answer: impl Fn(&Received, usize) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (answer, remembered) = (Arc::new(answer), received.clone());
        let app = axum::Router::new().fallback(move |request: Request| {
            let (answer, remembered) = (answer.clone(), remembered.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
                let (method, target) = (parts.method.to_string(), parts.uri.to_string());
                let one = Received { method, target, headers: parts.headers, body };
                let number = {
                    let mut all = remembered.lock().unwrap();
                    all.push(one.clone());
                    all.len()
                };
                tokio::time::sleep(after).await;
                let (status, body) = answer(&one, number);
                // EC2's metadata service says with a token how long it lives; nobody else minds the header.
                let life = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
                let leads = (300..400).contains(&status).then(|| [(LOCATION, body.clone())]);
                (StatusCode::from_u16(status).unwrap(), life, leads.map(AppendHeaders), body).into_response()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, received, serving }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request.
    #[track_caller]
    pub(crate) fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "one request was expected: {received:?}");
        received[0].clone()
    }
}

/// A time from now, as AWS writes it.
pub(crate) fn from_now(seconds: u64) -> String {
    let then = OffsetDateTime::from(SystemTime::now() + Duration::from_secs(seconds));
    then.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap()
}

/// Credentials as ECS, EKS and IMDS give them.
pub(crate) fn as_json(token: &str, life: u64) -> String {
    serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": from_now(0), "AccessKeyId": ID, "SecretAccessKey": SECRET,
        "Token": token, "Expiration": from_now(life),
    })
    .to_string()
}

/// Credentials as STS gives them; `action` is the request's.
pub(crate) fn as_xml(action: &str, token: &str) -> String {
    let expiry = from_now(3600);
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:easel</AssumedRoleId>\
         <Arn>arn:aws:sts::123456789012:assumed-role/painter/easel</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{ID}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{expiry}</Expiration></Credentials>\
         </{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    )
}
