//! A key, a prompt and a picture are in no log, at any level.
//! Must run the program itself: which crates may say what is decided in `main.rs`.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{API_KEY, CORE, NOVA, ReadJson, TestProxy, client};

const PROMPT: &str = "an otter that nobody may hear of";
const NEGATIVE: &str = "herons that nobody may hear of";
const KEY: &str = "sk-master-that-nobody-may-see";

/// The program at its most talkative, with what it has said so far.
struct Talker {
    program: Child,
    folder: TempDir,
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Talker {
    fn start(yaml: &str, upstream: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("config.yaml");
        fs::write(&config, yaml).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_easel"))
            .args(["--host", "127.0.0.1", "--port", "0", "--detailed_debug", "--config"])
            .arg(config)
            .current_dir(folder.path())
            .env_clear()
            .env("LITELLM_MASTER_KEY", KEY)
            .env("AWS_BEARER_TOKEN_BEDROCK", API_KEY)
            .env("AWS_BEDROCK_RUNTIME_ENDPOINT", upstream)
            .env("EASEL_DATA_DIR", folder.path())
            .env("RUST_LOG", "trace")
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self { program, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Where it listens, once it does.
    async fn url(&self) -> String {
        for _ in 0..500 {
            if let Some((_, rest)) = self.log().split_once("listening on ") {
                return rest.lines().next().unwrap().trim().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not start: {}", self.log());
    }
}

/// Requests that go well, that are refused, and that fail in every way that quotes something. Answers the pictures.
async fn requests(proxy: &TestProxy, url: &str) -> Vec<String> {
    let faults =
        ["tiny", "validation", "filter-input", "bearer-invalid", "access-denied", "reset-before-head", "not-json"];
    proxy.emulator.script(faults.map(|name| Some(name.parse().unwrap())));
    let body = json!({"prompt": PROMPT, "negative_prompt": NEGATIVE, "user": "u", "num_retries": 0});
    let mut bodies = vec![body; faults.len()];
    bodies.push(json!({"prompt": PROMPT, "size": "banana"}));
    bodies.push(json!({"prompt": format!("{PROMPT}{}", "x".repeat(20_000))}));
    let mut pictures = Vec::new();
    for body in bodies {
        let request = client().post(format!("{url}/v1/images/generations")).bearer_auth(KEY);
        let reply: Value = request.body(body.to_string()).send().await.unwrap().json().await.unwrap();
        pictures.extend(reply["data"][0]["b64_json"].as_str().map(str::to_owned));
    }
    let wrong = client().get(format!("{url}/v1/models")).bearer_auth("sk-wrong-that-nobody-may-see");
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    pictures
}

/// A link to a picture, followed; its path.
async fn link(proxy: &TestProxy, url: &str) -> String {
    proxy.emulator.script([Some("tiny".parse().unwrap())]);
    let request = client().post(format!("{url}/v1/images/generations")).bearer_auth(KEY);
    let body = json!({"prompt": PROMPT, "response_format": "url"}).to_string();
    let reply: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    let link = reply["data"][0]["url"].as_str().unwrap();
    assert_eq!(client().get(link).send().await.unwrap().status(), 200);
    assert_eq!(client().get(format!("{link}x")).send().await.unwrap().status(), 404);
    link.strip_prefix(url).unwrap().to_owned()
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    for yaml in [NOVA, CORE] {
        let proxy = TestProxy::with(yaml).start().await;
        let talker = Talker::start(yaml, &proxy.upstream);
        let pictures = requests(&proxy, &talker.url().await).await;
        assert_eq!(pictures.len(), 1);
        let link = link(&proxy, &talker.url().await).await;
        let [pass, name] = [2, 3].map(|part| link.split('/').nth(part).unwrap());
        let log = talker.log();
        for spoken in [
            "a call to Bedrock failed",
            "a picture begins",
            "status=200",
            "status=401",
            "route=\"/files/",
            "outcome=\"denied\"",
        ] {
            assert!(log.contains(spoken), "the log does not speak of {spoken}: {log}");
        }
        for secret in [PROMPT, NEGATIVE, KEY, API_KEY, "sk-wrong", "nobody may", &pictures[0][..40], pass, name] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}
