//! How calls are signed over a real socket: by bearer key, by keys in the config, for ids and ARNs; and by TLS.
//! Must not use Easel's own signer to judge it: the emulator has one of its own.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{NOVA, ReadJson, TestProxy, wish};

const KEYS: &str = "aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[tokio::test]
async fn keys_in_the_config_sign_for_ids_and_arns() {
    for (model_id, path) in [
        ("amazon.nova-canvas-v1:0", "/model/amazon.nova-canvas-v1%3A0/invoke"),
        ("us.amazon.nova-canvas-v1:0", "/model/us.amazon.nova-canvas-v1%3A0/invoke"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-canvas-v1:0",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-canvas-v1%3A0/invoke",
        ),
    ] {
        let yaml = NOVA.replace("us-east-1", &format!("us-east-1, model_id: '{model_id}', {KEYS}"));
        let proxy = TestProxy::with(&yaml).env("AWS_BEARER_TOKEN_BEDROCK", "").script(["tiny"]).start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert_eq!(response.status(), 200, "{model_id}");
        let call = &proxy.calls()[0];
        assert_eq!((&*call.auth, call.region.as_deref(), &*call.raw_path), ("sigv4", Some("us-east-1"), path));
    }
}

#[tokio::test]
async fn wrong_keys_are_told_as_access_denied() {
    let yaml = NOVA.replace("us-east-1", &format!("us-east-1, {}", KEYS.replace("wJalr", "other")));
    let proxy = TestProxy::with(&yaml).env("AWS_BEARER_TOKEN_BEDROCK", "").start().await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(response.status(), 500);
    let reply: Value = response.json().await.unwrap();
    let said = reply["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("access denied: AWS does not accept the credentials of 'nova-canvas'."), "{said}");
}

#[tokio::test]
async fn a_key_of_the_deployment_wins_over_keys_and_an_empty_one_does_not_count() {
    let bearer = NOVA.replace("us-east-1", &format!("us-east-1, api_key: emulated, {KEYS}"));
    let proxy = TestProxy::with(&bearer).env("AWS_BEARER_TOKEN_BEDROCK", "").script(["tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
    assert_eq!(proxy.calls()[0].auth, "bearer");

    let empty = NOVA.replace("us-east-1", &format!("us-east-1, api_key: os.environ/UNSET, {KEYS}"));
    let proxy = TestProxy::with(&empty).env("AWS_BEARER_TOKEN_BEDROCK", "").script(["tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
    assert_eq!(proxy.calls()[0].auth, "sigv4");
}

#[tokio::test]
async fn a_short_term_key_says_what_is_wrong_with_it() {
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/sigv4-and-api-keys.json")).unwrap();
    let token = |region: &str| {
        let tokens = vectors["tokens"].as_array().unwrap();
        let found = tokens.iter().find(|t| t["region"] == region && t["session_token"].is_null()).unwrap();
        found["token"].as_str().unwrap().to_owned()
    };
    let proxy =
        TestProxy::with(NOVA).env("AWS_BEARER_TOKEN_BEDROCK", &token("us-east-1")).script(["tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200, "the emulator verifies it");

    let proxy = TestProxy::with(NOVA)
        .env("AWS_BEARER_TOKEN_BEDROCK", &token("us-west-2"))
        .script(["bearer-invalid"])
        .start()
        .await;
    let reply: Value = proxy.generate(wish(json!({}))).await.json().await.unwrap();
    let said = reply["error"]["message"].as_str().unwrap();
    let expected = "works in us-west-2 only, and the deployment is in us-east-1. Make a key for that region, or change aws_region_name";
    assert!(said.starts_with("invalid bearer token: ") && said.ends_with(expected), "{said}");
}

/// TLS in front of a plain server on this machine; answers its address.
pub(crate) async fn tls_in_front_of(plain: String, certificate: &CertifiedKey<rcgen::KeyPair>) -> String {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let chain = vec![certificate.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                let Ok(mut secured) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(&plain).await.unwrap();
                let _ = copy_bidirectional(&mut secured, &mut plain).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn tls_with_a_certificate_of_ones_own() {
    let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let behind = TestProxy::with(NOVA).script(["tiny"]).start().await;
    // The emulator of the first proxy is the upstream of the second, behind TLS.
    let emulator = behind.upstream.trim_start_matches("http://").to_owned();
    let upstream = tls_in_front_of(emulator, &certificate).await;

    let trusting = TestProxy::with(NOVA).upstream(&upstream).certificate(&certificate.cert.pem()).start().await;
    assert_eq!(trusting.generate(wish(json!({}))).await.status(), 200);
    assert_eq!(behind.calls().len(), 1);

    let wary = TestProxy::with(NOVA).upstream(&upstream).start().await;
    assert_eq!(wary.generate(wish(json!({"num_retries": 0}))).await.status(), 503);
    assert_eq!(behind.calls().len(), 1, "nothing is sent to a server that is not trusted");
}
