//! Every link of AWS's chain, asked by the program itself; the emulator judges the signature.
//! Must not share an environment with the tests: each program gets its own.

use std::time::Duration;

use crate::support::NOVA;
use crate::support::child::{Builder, Child, message};
use crate::support::service::{ID, SECRET, Service, as_json, from_now};

/// Paints one picture by what this start has, and checks whose session signed it.
async fn paints_by(builder: Builder, token: Option<&str>) -> Child {
    let easel = builder.start().await;
    let reply = easel.generate().await;
    assert_eq!(reply.status(), 200, "{}", easel.said());
    easel.assert_signed(token);
    easel
}

#[tokio::test]
async fn keys_in_the_environment() {
    let start = || Child::with(NOVA).env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    paints_by(start(), None).await;
    paints_by(start().env("AWS_SESSION_TOKEN", "of-the-environment"), Some("of-the-environment")).await;
}

#[tokio::test]
async fn a_profile_with_keys() {
    let keys = |token: &str| {
        format!("aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\naws_session_token = {token}\n")
    };
    let files = format!("[default]\n{}[painter]\n{}", keys("of-default"), keys("of-painter"));
    let start = |yaml: &str| Child::with(yaml).file(".aws/credentials", &files);
    paints_by(start(NOVA), Some("of-default")).await;
    paints_by(start(NOVA).env("AWS_PROFILE", "painter"), Some("of-painter")).await;
    // The file may be elsewhere, and LiteLLM's own variable names a profile too.
    let elsewhere = Child::with(NOVA).file("elsewhere", &files);
    let path = elsewhere.path("elsewhere");
    let elsewhere = elsewhere.env("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap());
    paints_by(elsewhere.env("AWS_PROFILE_NAME", "painter"), Some("of-painter")).await;
    // A profile that the config names comes before keys in the environment, which are another's.
    let named = NOVA.replace("us-east-1", "us-east-1, aws_profile_name: painter");
    let strangers = start(&named).env("AWS_ACCESS_KEY_ID", "AKIDSTRANGER").env("AWS_SECRET_ACCESS_KEY", "x");
    paints_by(strangers, Some("of-painter")).await;
}

#[tokio::test]
async fn a_profile_with_a_credential_process() {
    let start = Child::with(NOVA);
    let answer = serde_json::json!({
        "Version": 1, "AccessKeyId": ID, "SecretAccessKey": SECRET, "SessionToken": "of-a-process",
        "Expiration": from_now(3600),
    });
    let path = start.path("answer.json").display().to_string();
    let start = start.file("answer.json", &answer.to_string());
    let start = start.file(".aws/config", &format!("[default]\ncredential_process = cat {path}\n"));
    paints_by(start, Some("of-a-process")).await;
}

#[tokio::test]
async fn a_container_by_its_full_address() {
    let ecs = Service::start(|_, _| (200, as_json("of-eks", 3600))).await;
    let start = Child::with(NOVA).file("token", "token-of-the-pod");
    let token = start.path("token");
    let start = start
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", ecs.url))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap());
    paints_by(start, Some("of-eks")).await;
    let asked = ecs.only();
    assert_eq!((&*asked.target, asked.header("authorization")), ("/v1/credentials", "token-of-the-pod"));
}

/// What asks for credentials shows a secret, so nobody is to be sent elsewhere with it.
#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Service::start(|_, _| (200, as_json("of-elsewhere", 3600))).await;
    let there = format!("{}/v1/credentials", elsewhere.url);
    let ecs = Service::start(move |_, _| (307, there.clone())).await;
    let start = Child::with(NOVA)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", ecs.url))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-the-pod");
    let easel = start.start().await;
    assert_eq!(easel.generate().await.status(), 500);
    assert!(!ecs.received().is_empty() && elsewhere.received().is_empty());
}

/// The address of ECS is fixed, so a proxy has to stand in for it.
#[tokio::test]
async fn a_container_by_its_relative_address() {
    let ecs = Service::start(|_, _| (200, as_json("of-ecs", 3600))).await;
    let start = Child::with(NOVA)
        .env("HTTP_PROXY", &ecs.url)
        .env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-the-task");
    paints_by(start, Some("of-ecs")).await;
    let asked = ecs.only();
    assert_eq!(asked.target, "http://169.254.170.2/v2/credentials/1");
    assert_eq!(asked.header("authorization"), "token-of-the-task");
}

#[tokio::test]
async fn a_machine_by_its_metadata_service() {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let imds = Service::start(|asked, _| match (&*asked.method, &*asked.target) {
        ("PUT", "/latest/api/token") => (200, "token-of-the-machine".into()),
        ("GET", ROLES) => (200, "painter".into()),
        ("GET", path) if path == format!("{ROLES}painter") => (200, as_json("of-ec2", 3600)),
        _ => (404, String::new()),
    })
    .await;
    let start = |disabled: &str| {
        let start = Child::with(NOVA).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url);
        start.env("AWS_EC2_METADATA_DISABLED", disabled)
    };
    let disabled = start("true").start().await;
    disabled.says("missing credentials").await;
    assert_eq!(imds.received().len(), 0);
    paints_by(start("false"), Some("of-ec2")).await;
    let asked = imds.received();
    assert_eq!(asked.len(), 3);
    assert!(!asked[0].header("x-aws-ec2-metadata-token-ttl-seconds").is_empty());
    assert!(asked[1..].iter().all(|one| one.header("x-aws-ec2-metadata-token") == "token-of-the-machine"));
}

#[tokio::test]
async fn a_profile_that_signs_in_by_sso() {
    let portal = Service::start(|_, _| {
        let expiration = std::time::SystemTime::now() + Duration::from_secs(3600);
        let expiration = expiration.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() * 1000;
        let credentials = serde_json::json!({
            "accessKeyId": ID, "secretAccessKey": SECRET, "sessionToken": "of-sso", "expiration": expiration,
        });
        (200, serde_json::json!({"roleCredentials": credentials}).to_string())
    })
    .await;
    let token = serde_json::json!({
        "accessToken": "token-of-the-portal", "expiresAt": from_now(3600), "region": "us-east-1",
        "startUrl": "https://painters.example/start",
    });
    let role = "sso_account_id = 123456789012\nsso_role_name = painter\n";
    let place = "sso_region = us-east-1\nsso_start_url = https://painters.example/start\n";
    // The name of a token's file is the SHA-1 of the session's name, or of the address if there is none.
    for (config, file) in [
        (format!("[default]\n{role}{place}"), "a4fc98d4bbbb52973475d1779cf98a3c7503f75c"),
        (
            format!("[default]\nsso_session = painters\n{role}[sso-session painters]\n{place}"),
            "d93ff40aa39a1a73c87444eb6eabc001a1316c9e",
        ),
    ] {
        let start = Child::with(NOVA).file(".aws/config", &config).env("AWS_ENDPOINT_URL_SSO", &portal.url);
        let start = start.file(&format!(".aws/sso/cache/{file}.json"), &token.to_string());
        paints_by(start, Some("of-sso")).await;
    }
    let asked = portal.received();
    assert_eq!(asked.len(), 2);
    for one in asked {
        assert!(one.target.starts_with("/federation/credentials?"), "{}", one.target);
        assert!(one.target.contains("role_name=painter") && one.target.contains("account_id=123456789012"));
        assert_eq!(one.header("x-amz-sso_bearer_token"), "token-of-the-portal");
    }
    // Nobody has signed in: said in words, at start and in the log of the request, and the caller learns no more.
    let config = format!("[default]\n{role}{place}");
    let easel = Child::with(NOVA).file(".aws/config", &config).env("AWS_ENDPOINT_URL_SSO", &portal.url).start().await;
    easel.says("missing credentials: 'nova-canvas' cannot be signed for").await;
    let reply = easel.generate().await;
    assert_eq!(reply.status(), 500);
    assert!(message(reply).await.starts_with("missing credentials: "));
}

#[tokio::test]
async fn nobody_stops_the_start_and_it_is_said_once_for_all() {
    let yaml = format!(
        "{NOVA}  - model_name: again\n    litellm_params: {{model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-west-2}}\n"
    );
    let easel = Child::with(&yaml).start().await;
    easel.says("missing credentials: 'again', 'nova-canvas' cannot be signed for").await;
    assert_eq!(easel.said().matches("missing credentials").count(), 1);
    assert_eq!(easel.generate().await.status(), 500);
    assert_eq!(easel.emulator.calls().len(), 0);
}

#[tokio::test]
async fn a_bearer_key_leaves_the_chain_alone() {
    let slow = Service::slow(Duration::from_secs(60), |_, _| (500, String::new())).await;
    let start = Child::with(NOVA)
        .env("AWS_BEARER_TOKEN_BEDROCK", "emulated")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &slow.url)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &slow.url)
        .env("AWS_PROFILE", "not-there")
        .file(".aws/config", "this is no INI file\n[");
    let easel = start.start().await;
    assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
    assert_eq!(easel.emulator.calls()[0].auth, "bearer");
    assert_eq!(slow.received().len(), 0);
}

/// AWS's own crates log what a source answered; the program does not let them.
#[tokio::test]
async fn what_a_broken_source_answers_is_not_logged() {
    let half = format!("{{\"AccessKeyId\": \"{ID}\", \"SecretAccessKey\": \"{SECRET}\", \"Token\": ");
    let broken = Service::start(move |_, _| (200, half.clone())).await;
    let named = NOVA.replace("us-east-1", "us-east-1, aws_profile_name: painter");
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*broken.url);
    let machine = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*broken.url);
    for (yaml, (name, value)) in [(NOVA, container), (NOVA, machine), (&named, ("LITELLM_LOG", "DEBUG"))] {
        let start = Child::with(yaml).env("AWS_EC2_METADATA_DISABLED", "false").env(name, value);
        let answer = start.path("answer.json").display().to_string();
        let start = start
            .file("answer.json", &format!("{{\"Version\": 1, \"SecretAccessKey\": \"{SECRET}\""))
            .file(".aws/config", &format!("[profile painter]\ncredential_process = cat {answer}\n"));
        let easel = start.start().await;
        easel.says("missing credentials: 'nova-canvas' cannot be signed for").await;
        assert_eq!(easel.generate().await.status(), 500);
        assert!(!easel.said().contains("wJalrXUtnFEMI"), "{}", easel.said());
    }
}
