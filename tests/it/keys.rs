//! Keys that end, that are changed while calls go on, and that stand in files.
//! Must not wait for an end: short lives are given out instead.

use std::path::Path;
use std::process::Command;

use easel::config::{Auth, BearerKey, Config, Environment};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::child::{Child, message};
use crate::support::service::{ID, SECRET};
use crate::support::{API_KEY, NOVA, ReadJson, TestProxy, wish};

const FIRST: &str = "AWS_BEARER_TOKEN_BEDROCK";
const NEXT: &str = "AWS_BEARER_TOKEN_BEDROCK_NEXT";

/// A key that was minted at the tests' own time, for so many seconds: an hour or twelve.
fn vector(region: &str) -> String {
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/sigv4-and-api-keys.json")).unwrap();
    let tokens = vectors["tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["region"] == region && token["session_token"].is_null()).unwrap();
    token["token"].as_str().unwrap().to_owned()
}

/// The keys of the calls so far.
fn shown(proxy: &TestProxy) -> Vec<String> {
    let key = |call: &easel::emulator::Call| call.headers["authorization"].to_str().unwrap().replace("Bearer ", "");
    proxy.calls().iter().map(key).collect()
}

/// A key from now on.
fn minted(life: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_easel"))
        .args(["token", "--region", "us-east-1", "--expires", life])
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn keys(config: &Config) -> Vec<(String, String)> {
    let Auth::Bearer { key, next } = &config.deployments[0].auth else { panic!("it has keys") };
    let told = |key: &BearerKey| (key.key.expose_secret().to_owned(), key.source.clone());
    std::iter::once(key).chain(next).map(told).collect()
}

fn parse(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let env = Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Config::parse(yaml, &env, &easel::catalog::Catalog::builtin()).map_err(|mistakes| mistakes.to_string())
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_next_key_takes_the_place_of_one_that_is_refused() {
    let proxy = TestProxy::with(NOVA).env(FIRST, "ABSK-deleted").env(NEXT, API_KEY).script(["tiny", "tiny"]);
    let proxy = proxy.start().await;
    for _ in 0..2 {
        // Not a try that the caller has to allow, nor one of the deployment's.
        let reply = proxy.generate(wish(json!({"num_retries": 0}))).await;
        assert_eq!(reply.status(), 200);
    }
    // The emulator keeps only the calls that it lets in.
    assert_eq!(shown(&proxy), [API_KEY, API_KEY]);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("outcome=\"denied\"} 1\n"), "the refused key is shown once only: {metrics}");
    let health: Value = proxy.get("/health").await.json().await.unwrap();
    assert_eq!(health["unhealthy_endpoints"][0]["error"], "the model has been retired", "and it never rested");
}

#[tokio::test]
async fn two_bad_keys_cost_two_calls_and_are_told_by_the_last() {
    let proxy = TestProxy::with(NOVA).env(FIRST, "ABSK-deleted").env(NEXT, "ABSK-mistyped").start().await;
    for source in ["os.environ/AWS_BEARER_TOKEN_BEDROCK_NEXT", "os.environ/AWS_BEARER_TOKEN_BEDROCK_NEXT"] {
        let reply = proxy.generate(wish(json!({}))).await;
        assert_eq!(reply.status(), 500);
        let said = message(reply).await;
        assert!(said.starts_with("invalid bearer token: ") && said.contains(&format!("({source})")), "{said}");
    }
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("outcome=\"denied\"} 4\n"), "{metrics}");
    // The same key twice is one.
    let proxy = TestProxy::with(NOVA).env(FIRST, "ABSK-deleted").env(NEXT, "ABSK-deleted").start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 500);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("outcome=\"denied\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_key_that_knows_itself_unfit_is_not_shown_while_there_is_another() {
    // The first works in another region only.
    let proxy = TestProxy::with(NOVA).env(FIRST, &vector("us-west-2")).env(NEXT, "emulated").script(["tiny"]);
    let proxy = proxy.start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
    assert_eq!(shown(&proxy), ["emulated"]);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(!metrics.contains("denied"), "{metrics}");
}

#[test]
fn the_next_key_is_named_like_the_first() {
    let mine = NOVA.replace("us-east-1", "us-east-1, api_key: os.environ/MY_KEY");
    let pair = |key: &str, source: &str| (key.to_owned(), source.to_owned());
    for (yaml, variables, expected) in [
        (
            NOVA,
            &[(FIRST, "a"), (NEXT, "b")][..],
            vec![
                pair("a", "os.environ/AWS_BEARER_TOKEN_BEDROCK"),
                pair("b", "os.environ/AWS_BEARER_TOKEN_BEDROCK_NEXT"),
            ],
        ),
        (NOVA, &[(NEXT, "b")], vec![pair("b", "os.environ/AWS_BEARER_TOKEN_BEDROCK_NEXT")]),
        (
            &mine,
            &[("MY_KEY", "a"), ("MY_KEY_NEXT", "b"), (NEXT, "c")],
            vec![pair("a", "os.environ/MY_KEY"), pair("b", "os.environ/MY_KEY_NEXT")],
        ),
        (&mine, &[(FIRST, "a")], vec![pair("a", "os.environ/AWS_BEARER_TOKEN_BEDROCK")]),
    ] {
        assert_eq!(keys(&parse(yaml, variables).unwrap()), expected);
    }
}

#[test]
fn secrets_stand_in_files_too() {
    let folder = TempDir::new().unwrap();
    let (key, master) = (file(&folder, "key", "ABSK-of-a-file\n"), file(&folder, "master", "sk-of-a-file\n"));
    let files = [("AWS_BEARER_TOKEN_BEDROCK_FILE", &*key), ("LITELLM_MASTER_KEY_FILE", &*master)];
    let config = parse(NOVA, &files).unwrap();
    let source = format!("the file {key} (AWS_BEARER_TOKEN_BEDROCK_FILE)");
    assert_eq!(keys(&config), [("ABSK-of-a-file".to_owned(), source)]);
    assert_eq!(config.master_key.unwrap().expose_secret(), "sk-of-a-file");
    // A variable that is set wins, and an empty one is not set.
    let set = [files[0], (FIRST, "ABSK-set")];
    assert_eq!(keys(&parse(NOVA, &set).unwrap())[0].0, "ABSK-set");
    assert_eq!(keys(&parse(NOVA, &[files[0], (FIRST, "")]).unwrap())[0].0, "ABSK-of-a-file");
    // Any variable that the config names.
    let yaml = NOVA.replace("us-east-1", "os.environ/WHERE, api_key: os.environ/MY_KEY");
    let region = file(&folder, "region", "eu-west-1");
    let config = parse(&yaml, &[("WHERE_FILE", &*region), ("MY_KEY_FILE", &key)]).unwrap();
    assert_eq!((&*config.deployments[0].region, &*keys(&config)[0].0), ("eu-west-1", "ABSK-of-a-file"));
    // AWS's own variable of such a name is a token that is renewed there, and no key of ours.
    let pod = [("AWS_WEB_IDENTITY_TOKEN_FILE", &*key), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/painter")];
    let yaml = NOVA.replace("us-east-1", "us-east-1, aws_web_identity_token: os.environ/AWS_WEB_IDENTITY_TOKEN");
    for yaml in [NOVA, &yaml] {
        let config = parse(yaml, &pod).unwrap();
        assert!(matches!(&config.deployments[0].auth, Auth::Chain { .. }), "{:?}", config.deployments[0].auth);
    }
    for (path, why) in [
        ("/nowhere/key".to_owned(), "cannot be read: No such file"),
        (file(&folder, "odd", "two words"), "holds spaces"),
    ] {
        let mistake = parse(NOVA, &[("AWS_BEARER_TOKEN_BEDROCK_FILE", &path)]).unwrap_err();
        assert!(mistake.contains(&path) && mistake.contains(why) && !mistake.contains("two words"), "{mistake}");
    }
}

#[tokio::test]
async fn a_key_in_a_file_is_read_again_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "key", "emulated\n");
    let proxy = TestProxy::with(NOVA).env(FIRST, "").env("AWS_BEARER_TOKEN_BEDROCK_FILE", &path);
    let proxy = proxy.script(["tiny"; 5]).start().await;
    let paint = async |expected: &str| {
        assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
        assert_eq!(shown(&proxy).last().unwrap(), expected);
    };
    paint("emulated").await;
    // As Kubernetes does it: another file in its place.
    std::fs::rename(file(&folder, "new", API_KEY), &path).unwrap();
    paint(API_KEY).await;
    // Half written, or gone for a moment.
    std::fs::write(&path, "").unwrap();
    paint(API_KEY).await;
    std::fs::remove_file(Path::new(&path)).unwrap();
    paint(API_KEY).await;
    std::fs::write(&path, "emulated").unwrap();
    paint("emulated").await;
}

#[tokio::test]
async fn the_life_of_a_key_is_in_health_and_metrics() {
    let proxy = TestProxy::with(NOVA).env(FIRST, &vector("us-east-1")).start().await;
    let health: Value = proxy.get("/health").await.json().await.unwrap();
    let source = "os.environ/AWS_BEARER_TOKEN_BEDROCK";
    let expected = json!({"source": source, "expires": "2026-11-22 13:00 UTC", "seconds_left": 3600});
    assert_eq!(health["unhealthy_endpoints"][0]["api_key"], expected);
    let figure = format!("easel_key_seconds_left{{alias=\"nova-canvas\",source=\"{source}\"}}");
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(&format!("{figure} 3600\n")), "{metrics}");
    // Of a key without an end there is nothing to say.
    let proxy = TestProxy::with(NOVA).env(FIRST, API_KEY).start().await;
    let health: Value = proxy.get("/health").await.json().await.unwrap();
    assert_eq!(health["unhealthy_endpoints"][0].get("api_key"), None);
    assert!(!proxy.get("/metrics").await.text().await.unwrap().contains("key_seconds_left{"));
}

#[tokio::test]
async fn an_expired_key_is_unhealthy_and_says_when_it_expired() {
    let core = crate::support::CORE.replace("us-west-2", "us-east-1");
    let late = easel::clock::Clock::new(|| time::macros::datetime!(2026-11-22 14:00 UTC).into());
    let proxy = TestProxy::with(&core).env(FIRST, &vector("us-east-1")).clock(late).script(["bearer-expired"]);
    let proxy = proxy.start().await;
    let health: Value = proxy.get("/health").await.json().await.unwrap();
    let endpoint = &health["unhealthy_endpoints"][0];
    assert_eq!(endpoint["error"], "its API key expired at 2026-11-22 13:00 UTC");
    assert_eq!(endpoint["api_key"]["seconds_left"], 0);
    let said = message(proxy.generate(wish(json!({}))).await).await;
    assert!(said.contains("expired at 2026-11-22 13:00 UTC. Make a new one and set it there"), "{said}");
}

#[tokio::test]
async fn a_near_end_is_said_in_the_log() {
    let easel = Child::with(NOVA).env(FIRST, &minted("59m")).start().await;
    easel.says("the API key from os.environ/AWS_BEARER_TOKEN_BEDROCK expires in 58 minutes, at ").await;
    assert!(!easel.said().contains("bedrock-api-key-"));
    let easel = Child::with(NOVA).env(FIRST, &minted("2h")).start().await;
    assert_eq!(easel.generate().await.status(), 200);
    assert!(!easel.said().contains("expires in"), "{}", easel.said());
}
