//! Who may come in: keys, hosts and origins.
//! Must not paint: a closed door answers before anything is asked of Bedrock.

use easel::catalog::Catalog;
use easel::config::{Config, Environment};
use easel::server::{Options, Server, StartError, Tls};
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};
use serde_json::Value;

use crate::support::{NOVA, ReadJson, TestProxy, client, clock, header};

const KEY: &str = "sk-of-our-own-0001";

#[tokio::test]
async fn the_master_key_opens_and_nothing_else_does() {
    let proxy = TestProxy::with(NOVA).env("LITELLM_MASTER_KEY", KEY).start().await;
    for path in ["/v1/models", "/metrics", "/v1/models/nova-canvas"] {
        let url = format!("{}{path}", proxy.url);
        assert_eq!(proxy.client.get(&url).bearer_auth(KEY).send().await.unwrap().status(), 200);
        for wrong in [None, Some("Bearer sk-other"), Some(KEY), Some("Bearer"), Some("Basic eDp5")] {
            let mut request = proxy.client.get(&url);
            if let Some(wrong) = wrong {
                request = request.header(AUTHORIZATION, wrong);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401);
            let reply: Value = response.json().await.unwrap();
            assert_eq!(reply["error"]["code"], "invalid_api_key");
            assert_eq!(reply["error"]["type"], "invalid_request_error");
        }
    }
    let response = proxy.post("/v1/images/generations", r#"{"prompt":"a cat"}"#).await;
    assert_eq!(response.status(), 401);
    for open in ["/health/liveliness", "/health/readiness", "/"] {
        assert_eq!(proxy.get(open).await.status(), 200, "{open}");
    }
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn with_a_key_of_ones_own_any_page_may_ask() {
    let proxy = TestProxy::with(NOVA).env("LITELLM_MASTER_KEY", KEY).start().await;
    let url = format!("{}/v1/images/generations", proxy.url);
    let preflight = proxy.client.request(reqwest::Method::OPTIONS, &url).header(ORIGIN, "https://app.example");
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "access-control-allow-origin"), "*");
    assert_eq!(header(response.headers(), "access-control-allow-headers"), "authorization,content-type");
    assert_eq!(header(response.headers(), "access-control-allow-credentials"), "");
}

#[tokio::test]
async fn without_one_no_page_and_no_other_name_may_ask() {
    for key in ["", "sk-1234", "sk-test-1234567890"] {
        let proxy = TestProxy::with(NOVA).env("LITELLM_MASTER_KEY", key).start().await;
        let ask = |host: &'static str, origin: Option<String>| {
            let mut request = proxy.client.get(format!("{}/v1/models", proxy.url)).bearer_auth(key);
            if !host.is_empty() {
                request = request.header(HOST, host);
            }
            match origin {
                Some(origin) => request.header(ORIGIN, origin).send(),
                None => request.send(),
            }
        };
        assert_eq!(ask("", None).await.unwrap().status(), 200);
        assert_eq!(ask("", Some(proxy.url.clone())).await.unwrap().status(), 200);
        for (host, origin) in [("evil.example", None), ("", Some("https://evil.example")), ("", Some("null"))] {
            let response = ask(host, origin.map(str::to_owned)).await.unwrap();
            assert_eq!(response.status(), 403, "{host} {origin:?}");
            assert_eq!(header(response.headers(), "access-control-allow-origin"), "");
        }
    }
}

async fn start(host: &str, variables: &[(&str, &str)]) -> Result<Server, StartError> {
    let env = Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config = Config::parse(NOVA, &env, &Catalog::builtin()).unwrap();
    let address = format!("{host}:0").parse().unwrap();
    let (chance, certificates) = (fastrand::Rng::new(), Vec::new());
    Server::bind(Options {
        config,
        address,
        clock: clock(),
        chance,
        root_path: None,
        tls: None,
        certificates,
        spool: std::env::temp_dir(),
        traces: Default::default(),
        workers: 0,
    })
    .await
}

#[tokio::test]
async fn a_weak_key_does_not_leave_loopback() {
    for key in ["", "sk-1234", "sk-test-1234567890"] {
        let refused = start("0.0.0.0", &[("LITELLM_MASTER_KEY", key)]).await.unwrap_err();
        assert!(matches!(refused, StartError::WeakKey { .. }));
        assert!(refused.to_string().contains("LITELLM_MASTER_KEY=sk-"), "{refused}");
        assert!(start("127.0.0.1", &[("LITELLM_MASTER_KEY", key)]).await.is_ok());
    }
    let permitted = [("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true")];
    assert!(start("127.0.0.2", &permitted).await.is_ok());
    assert!(start("127.0.0.1", &[("LITELLM_MASTER_KEY", KEY)]).await.is_ok());
}

#[tokio::test]
async fn every_header_that_litellm_takes_a_key_from() {
    let proxy = TestProxy::with(NOVA).env("LITELLM_MASTER_KEY", KEY).start().await;
    let bearer = format!("Bearer {KEY}");
    let ask = |headers: Vec<(&'static str, String)>| {
        let request = proxy.client.get(format!("{}/v1/models", proxy.url));
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    for name in ["api-key", "x-api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key", "x-litellm-api-key"] {
        assert_eq!(ask(vec![(name, KEY.to_owned())]).await.unwrap().status(), 200, "{name}");
        assert_eq!(ask(vec![(name, "sk-other".to_owned())]).await.unwrap().status(), 401, "{name}");
    }
    let litellm = ask(vec![("x-litellm-api-key", bearer.clone()), ("authorization", "Bearer sk-of-somebody".into())]);
    assert_eq!(litellm.await.unwrap().status(), 200, "LiteLLM's own header wins");
}

#[tokio::test]
async fn https_by_certificate_and_key() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let proxy = TestProxy::with(NOVA).tls(Tls::load(&cert, &key).unwrap()).start().await;
    let trusted = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_merge([trusted]).build().unwrap();
    let url = format!("{}/health/liveliness", proxy.url.replace("127.0.0.1", "localhost"));
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);

    let missing = Tls::load(&folder.path().join("nothing.pem"), &key).unwrap_err();
    assert!(missing.contains("nothing.pem: no certificate can be read from it"), "{missing}");
    assert!(Tls::load(&cert, &cert).unwrap_err().contains("no private key can be read from it"));
}

#[tokio::test]
async fn a_key_header_of_the_operators_choice() {
    let yaml = format!("{NOVA}\ngeneral_settings: {{litellm_key_header_name: X-My-Key}}\n");
    let proxy = TestProxy::with(&yaml).env("LITELLM_MASTER_KEY", KEY).start().await;
    let ask = |name: &'static str, value: String| {
        proxy.client.get(format!("{}/v1/models", proxy.url)).header(name, value).send()
    };
    assert_eq!(ask("x-my-key", KEY.to_owned()).await.unwrap().status(), 200);
    assert_eq!(ask("x-my-key", format!("Bearer {KEY}")).await.unwrap().status(), 200);
    assert_eq!(ask("x-my-key", "sk-other".to_owned()).await.unwrap().status(), 401);
    assert_eq!(ask("authorization", format!("Bearer {KEY}")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn metrics_may_be_opened() {
    let yaml = format!("{NOVA}\nlitellm_settings: {{require_auth_for_metrics_endpoint: false}}\n");
    let proxy = TestProxy::with(&yaml).env("LITELLM_MASTER_KEY", KEY).start().await;
    assert_eq!(proxy.get("/metrics").await.status(), 200);
    assert_eq!(proxy.get("/health").await.status(), 401);
}

#[tokio::test]
async fn version_six_of_the_internet_protocol() {
    // Some machines have it switched off.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = start("[::1]", &[]).await.unwrap();
    let url = format!("http://{}/health/liveliness", server.address().unwrap());
    let serving = tokio::spawn(server.run(easel::server::Orders::none()));
    assert_eq!(client().get(url).send().await.unwrap().status(), 200);
    serving.abort();
}
