//! Easel as a program of its own, with an environment and a home of its own, in front of an emulator.
//! Must not inherit a variable: with one of AWS's, a test would spend money.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child as Process, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use easel::emulator::{Call, Emulator, Fault, Options};
use reqwest::Response;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What a program is started with.
pub(crate) struct Builder {
    /// Where it listens.
    host: &'static str,
    yaml: String,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
    home: TempDir,
}

/// A program that runs until it is dropped.
pub(crate) struct Child {
    pub(crate) url: String,
    pub(crate) emulator: Emulator,
    /// Where the emulator listens.
    pub(crate) upstream: String,
    process: Process,
    said: Arc<Mutex<String>>,
    serving: tokio::task::JoinHandle<()>,
    home: TempDir,
}

impl Drop for Child {
    fn drop(&mut self) {
        // This very process: the handle holds its id until it is waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.serving.abort();
    }
}

impl Builder {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes requests on every address of this machine; who tests with it asks loopback.
    pub(crate) fn everywhere(mut self) -> Self {
        self.host = "0.0.0.0";
        self
    }

    /// More on its command line.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Another config.
    pub(crate) fn yaml(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.yaml);
        self
    }

    /// A file in its home.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Where a file of its home is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    pub(crate) async fn start(self) -> Child {
        let mut options = Options::new(|| SystemTime::now().into());
        options.record = true;
        let emulator = Emulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let serving = emulator.clone();
        let serving = tokio::spawn(async move { serving.serve(listener, std::future::pending()).await.unwrap() });
        let config = self.path("config.yaml");
        std::fs::write(&config, &self.yaml).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_easel"))
            .args(["--port", "0", "--host", self.host, "--config"])
            .arg(&config)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &upstream)
            .envs(self.env)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let listening = lines.by_ref().map(Result::unwrap).find_map(|line| {
            *said.lock().unwrap() += &format!("{line}\n");
            // A line of JSON goes on behind the address.
            Some(line.split_once("listening on ")?.1.split('"').next()?.to_owned())
        });
        let Some(url) = listening else {
            panic!("it does not listen: {}", said.lock().unwrap());
        };
        let hearing = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *hearing.lock().unwrap() += &format!("{line}\n");
            }
        });
        Child { url, emulator, upstream, process, said, serving, home: self.home }
    }
}

impl Child {
    /// A program with this config, no credentials, and no metadata service to ask for them.
    pub(crate) fn with(yaml: &str) -> Builder {
        Builder {
            host: "127.0.0.1",
            yaml: yaml.to_owned(),
            arguments: Vec::new(),
            env: Vec::new(),
            home: TempDir::new().unwrap(),
        }
    }

    /// Asks for a small picture; nothing is tried again.
    pub(crate) async fn generate(&self) -> Response {
        let body = r#"{"prompt": "a cat", "num_retries": 0}"#;
        let request = super::client().post(format!("{}/v1/images/generations", self.url));
        self.emulator.script(["tiny".parse::<Fault>().ok()]);
        request.body(body).send().await.unwrap()
    }

    /// The call that a picture took, which is signed by the emulator's pair of keys with this session token.
    #[track_caller]
    pub(crate) fn assert_signed(&self, token: Option<&str>) -> Call {
        let call = self.emulator.calls().last().cloned().unwrap_or_else(|| panic!("no call: {}", self.said()));
        let header = call.headers.get("x-amz-security-token").map(|value| value.to_str().unwrap());
        assert_eq!((&*call.auth, header), ("sigv4", token));
        call
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until it has ended; with which status.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        for _ in 0..3000 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end: {}", self.said());
    }

    /// A file of its home.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Writes a file of its home anew.
    pub(crate) fn rewrite(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said this.
    pub(crate) async fn says(&self, words: &str) {
        for _ in 0..1000 {
            if self.said().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never says '{words}': {}", self.said());
    }
}

/// A reply's error message.
pub(crate) async fn message(reply: Response) -> String {
    let reply: Value = super::ReadJson::json(reply).await.unwrap();
    reply["error"]["message"].as_str().unwrap_or_default().to_owned()
}
