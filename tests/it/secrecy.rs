//! A key, a prompt and a picture are in no log, at any level.
//! Must not share a process-wide subscriber with other tests: it sets its own for its thread.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{API_KEY, CORE, NOVA, ReadJson, TestProxy};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const PROMPT: &str = "an otter that nobody may hear of";
const NEGATIVE: &str = "herons that nobody may hear of";
const KEY: &str = "sk-master-that-nobody-may-see";

/// Requests that go well, that are refused, and that fail in every way that quotes something.
async fn requests(yaml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let faults =
        ["tiny", "validation", "filter-input", "bearer-invalid", "access-denied", "reset-before-head", "not-json"];
    let mut proxy =
        TestProxy::with(yaml).env("LITELLM_MASTER_KEY", KEY).env("AWS_BEARER_TOKEN_BEDROCK", API_KEY).script(faults);
    for (name, value) in env {
        proxy = proxy.env(name, value);
    }
    let proxy = proxy.start().await;
    let mut pictures = Vec::new();
    let body = json!({"prompt": PROMPT, "negative_prompt": NEGATIVE, "user": "u", "num_retries": 0});
    let mut bodies = vec![body; faults.len()];
    bodies.push(json!({"prompt": PROMPT, "size": "banana"}));
    bodies.push(json!({"prompt": format!("{PROMPT}{}", "x".repeat(20_000))}));
    for body in bodies {
        let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).bearer_auth(KEY);
        let reply = request.body(body.to_string()).send().await.unwrap().json().await.unwrap();
        pictures.extend(reply["data"][0]["b64_json"].as_str().map(str::to_owned));
    }
    let wrong = proxy.client.get(format!("{}/v1/models", proxy.url)).bearer_auth("sk-wrong-that-nobody-may-see");
    wrong.send().await.unwrap();
    pictures
}

/// Everything that Easel says at TRACE, and what other crates say as far as the program lets them.
#[test]
fn nothing_secret_is_logged() {
    let log = Log::default();
    let easel = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("easel", LevelFilter::TRACE);
    let lines = tracing_subscriber::fmt::layer().with_writer(log.clone()).with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(lines).with(easel);
    // While there is only one subscriber, tracing asks the thread that comes first whether it listens, and remembers
    // that for all: a test beside this one would silence it.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signed = NOVA.replace(
        "us-east-1",
        "us-east-1, api_key: '', aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    );
    let pictures = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut pictures = requests(NOVA, &[]).await;
            pictures.extend(requests(CORE, &[]).await);
            pictures.extend(requests(&signed, &[("AWS_BEARER_TOKEN_BEDROCK", "")]).await);
            pictures
        })
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a call to Bedrock failed") && log.contains("status=200"), "the log speaks: {log}");
    assert_eq!(pictures.len(), 3);
    let secrets = [PROMPT, NEGATIVE, KEY, API_KEY, "sk-wrong", "wJalrXUtnFEMI", "nobody may", "Signature="];
    for secret in secrets.into_iter().chain(pictures.iter().map(|p| &p[..40])) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
