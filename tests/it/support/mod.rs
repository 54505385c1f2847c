//! Easel and a Bedrock of its own, each on a free port, for one test.
//! Must not hide what goes over the wire: tests speak HTTP to Easel and read what the emulator received.

pub(crate) mod child;
pub(crate) mod form;
pub(crate) mod service;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use easel::catalog::Catalog;
use easel::clock::Clock;
use easel::config::{Config, Environment, Mistakes};
use easel::emulator::{Call, Emulator, Fault, Options as EmulatorOptions};
use easel::server::{Options, Server, Tls};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::net::TcpListener;

/// The clock of every test: Nova Canvas has ended, and the example keys have just been minted.
pub(crate) fn clock() -> Clock {
    Clock::new(|| SystemTime::from(datetime!(2026-11-22 12:00 UTC)))
}

/// Nova Canvas alone; it has ended, but there is nobody else to ask.
pub(crate) const NOVA: &str = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
";

/// Stable Image Core alone.
pub(crate) const CORE: &str = "
model_list:
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
";

/// An API key that the emulator takes beside its usual one, and that stands in no other word.
pub(crate) const API_KEY: &str = "ABSK-that-nobody-may-see";

/// What a proxy is made from.
pub(crate) struct Builder {
    yaml: String,
    /// Files beside the config, by name.
    files: Vec<(String, String)>,
    env: Environment,
    script: Vec<Option<Fault>>,
    upstream: Option<String>,
    root_path: Option<String>,
    tls: Option<Tls>,
    certificates: Vec<reqwest::Certificate>,
    spool: PathBuf,
    clock: Clock,
}

/// A running Easel with its emulator.
pub(crate) struct TestProxy {
    pub(crate) url: String,
    pub(crate) emulator: Emulator,
    /// Where Easel sends its calls.
    pub(crate) upstream: String,
    pub(crate) client: reqwest::Client,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.servers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// A client that follows nothing and decodes nothing.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Builder {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env = self.env.with(name, value);
        self
    }

    /// A file beside the config.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// What happens to the next calls at the emulator, by the faults' names; empty for a call that goes well.
    pub(crate) fn script<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let fault = |name: &str| (!name.is_empty()).then(|| name.parse().unwrap());
        self.script = names.into_iter().map(fault).collect();
        self
    }

    /// Another upstream than the emulator.
    pub(crate) fn upstream(mut self, url: &str) -> Self {
        self.upstream = Some(url.to_owned());
        self
    }

    pub(crate) fn root_path(mut self, path: &str) -> Self {
        self.root_path = Some(path.to_owned());
        self
    }

    /// Keeps pictures behind links in this folder.
    pub(crate) fn data_dir(self, path: &Path) -> Self {
        self.env("EASEL_DATA_DIR", path.to_str().unwrap())
    }

    /// Spools uploads, and pictures to be encoded anew, into this folder.
    pub(crate) fn spool(mut self, path: &Path) -> Self {
        self.spool = path.to_owned();
        self
    }

    /// Another time for Easel than the tests' own.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Answers HTTPS with this certificate.
    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(crate) fn certificate(mut self, pem: &str) -> Self {
        self.certificates.push(reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
        self
    }

    pub(crate) async fn start(self) -> TestProxy {
        let mut options = EmulatorOptions::new(|| clock().now().into());
        options.record = true;
        options.api_keys.push(API_KEY.to_owned());
        let emulator = Emulator::new(options);
        emulator.script(self.script);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = self.upstream.unwrap_or_else(|| format!("http://{}", listener.local_addr().unwrap()));
        let env = self.env.with("AWS_BEDROCK_RUNTIME_ENDPOINT", &upstream);
        let config = match self.files.is_empty() {
            true => Config::parse(&self.yaml, &env, &Catalog::builtin()),
            false => folder(&self.yaml, &self.files, &env),
        };
        let config = config.unwrap();
        let chance = fastrand::Rng::with_seed(7);
        let address = "127.0.0.1:0".parse().unwrap();
        let https = self.tls.is_some();
        let (root_path, certificates) = (self.root_path, self.certificates);
        let (tls, spool, clock) = (self.tls, self.spool, self.clock);
        let (traces, workers) = (Default::default(), 0);
        let options = Options { config, address, clock, chance, root_path, tls, certificates, spool, traces, workers };
        let server = Server::bind(options).await.unwrap();
        let scheme = if https { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.address().unwrap());
        let serving = emulator.clone();
        let servers = vec![
            tokio::spawn(async move { serving.serve(listener, std::future::pending()).await.unwrap() }),
            tokio::spawn(async move { server.run(easel::server::Orders::none()).await.unwrap() }),
        ];
        TestProxy { url, emulator, upstream, client: client(), servers }
    }
}

impl TestProxy {
    /// A proxy with this config, a bearer key that the emulator takes, and no master key.
    pub(crate) fn with(yaml: &str) -> Builder {
        let env = Environment::new([("AWS_BEARER_TOKEN_BEDROCK".to_owned(), "emulated".to_owned())]);
        Builder {
            yaml: yaml.to_owned(),
            files: Vec::new(),
            env,
            script: Vec::new(),
            upstream: None,
            root_path: None,
            tls: None,
            certificates: Vec::new(),
            spool: std::env::temp_dir(),
            clock: clock(),
        }
    }

    /// `POST /v1/images/generations`.
    pub(crate) async fn generate(&self, body: Value) -> Response {
        self.post("/v1/images/generations", body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.client.post(format!("{}{path}", self.url)).body(body).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.emulator.calls()
    }

    /// What the only call carried.
    #[track_caller]
    pub(crate) fn sent(&self) -> Value {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "one call was expected");
        calls[0].body.clone()
    }
}

/// A config in a folder of its own, with files beside it.
pub(crate) fn folder(yaml: &str, files: &[(String, String)], env: &Environment) -> Result<Config, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app/config.yaml");
    for (name, text) in files.iter().map(|(name, text)| (&**name, &**text)).chain([("config.yaml", yaml)]) {
        let path = folder.path().join("app").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Config::load(&path, env, &Catalog::builtin())
}

/// A generation request for a small picture; members are added to it.
pub(crate) fn wish(members: Value) -> Value {
    let mut body = json!({"prompt": "a cat"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// The bytes of each picture of a reply.
pub(crate) fn pictures(reply: &Value) -> Vec<Vec<u8>> {
    let decode = |datum: &Value| {
        let base64 = datum["b64_json"].as_str().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap()
    };
    reply["data"].as_array().unwrap().iter().map(decode).collect()
}

/// Width and height of each picture of a reply.
pub(crate) fn sizes(reply: &Value) -> Vec<(usize, usize)> {
    let size = |picture: &Vec<u8>| imagesize::blob_size(picture).map(|s| (s.width, s.height)).unwrap();
    pictures(reply).iter().map(size).collect()
}

/// Reads JSON; reqwest's own needs a feature that the program has no use for.
pub(crate) trait ReadJson {
    async fn json(self) -> Result<Value, reqwest::Error>;
}

impl ReadJson for Response {
    async fn json(self) -> Result<Value, reqwest::Error> {
        let body = self.bytes().await?;
        Ok(serde_json::from_slice(&body).unwrap_or_else(|_| panic!("the body is JSON: {body:?}")))
    }
}

/// A header's text, empty if it is not there.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// A whole response for a snapshot: status, headers but those that differ each time, body with pictures abbreviated.
pub(crate) async fn whole(response: Response) -> String {
    let mut text = format!("{}\n", response.status().as_u16());
    let varying =
        ["date", "x-request-id", "x-litellm-call-id", "x-litellm-model-id", "transfer-encoding", "content-length"];
    for (name, value) in response.headers().iter().filter(|(name, _)| !varying.contains(&name.as_str())) {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    let body = response.text().await.unwrap();
    let mut value: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("the body is JSON: {body}"));
    for datum in value.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(picture) = datum.get_mut("b64_json") {
            *picture = format!("{}...", &picture.as_str().unwrap()[..16]).into();
        }
    }
    text + &format!("\n{value:#}")
}
