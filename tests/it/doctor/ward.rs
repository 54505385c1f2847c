//! A Bedrock and surroundings for one doctor, run as a library or as a program.
//! Must not let a report pass that shows a secret, or a call that asks for a picture.

use std::process::Command;
use std::time::SystemTime;

use easel::bedrock::Client;
use easel::catalog::Catalog;
use easel::cli::doctor::{self, Form};
use easel::clock::Clock;
use easel::config::{Config, Environment};
use easel::emulator::{Emulator, Options};
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::TcpListener;

use crate::support::service::SECRET;
use crate::support::{API_KEY, clock};

/// A Bedrock of its own and what a doctor is given beside the config.
pub(super) struct Ward {
    pub(super) emulator: Emulator,
    pub(super) url: String,
    /// Where Bedrock is said to be.
    pub(super) endpoint: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) certificates: Vec<reqwest::Certificate>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Ward {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Ward {
    pub(super) async fn at(now: fn() -> OffsetDateTime) -> Self {
        let mut options = Options::new(now);
        options.record = true;
        options.api_keys.push(API_KEY.to_owned());
        let emulator = Emulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = emulator.clone();
        let serving = tokio::spawn(async move { served.serve(listener, std::future::pending()).await.unwrap() });
        let ward = Self { emulator, endpoint: url.clone(), url, env: Vec::new(), certificates: Vec::new(), serving };
        let url = ward.url.clone();
        ward.env("AWS_ENDPOINT_URL_BEDROCK", &url)
    }

    /// At the tests' own time.
    pub(super) async fn new() -> Self {
        Self::at(|| clock().now().into()).await
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this API key.
    pub(super) fn key(self, key: &str) -> Self {
        self.env("AWS_BEARER_TOKEN_BEDROCK", key)
    }

    pub(super) fn script(self, name: &str) -> Self {
        self.emulator.script([name.parse().ok()]);
        self
    }

    /// Exit status and report, by the library: at the tests' own time.
    pub(super) async fn examine(&self, yaml: &str, form: Form) -> (u8, String) {
        self.examine_at(clock(), yaml, form).await
    }

    pub(super) async fn examine_at(&self, clock: Clock, yaml: &str, form: Form) -> (u8, String) {
        let env = Environment::new(self.env.iter().cloned()).with("AWS_BEDROCK_RUNTIME_ENDPOINT", &self.endpoint);
        let config = Config::parse(yaml, &env, &Catalog::builtin()).unwrap();
        let (client, mut out) = (Client::new(clock, self.certificates.clone()), Vec::new());
        let status = doctor::run("config.yaml", &config, &env, &client, clock, form, &mut out).await.unwrap();
        (status, self.sound(String::from_utf8(out).unwrap()))
    }

    /// The same by the program, which has an environment and a home: at the system's time.
    pub(super) async fn examined(&self, yaml: &str, home: &TempDir, args: &[&str]) -> (u8, String) {
        std::fs::write(home.path().join("config.yaml"), yaml).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_easel"));
        program
            .args(["doctor", "config.yaml"])
            .args(args)
            .env_clear()
            .env("HOME", home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &self.endpoint)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(home.path());
        let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(complained, "");
        (u8::try_from(output.status.code().unwrap()).unwrap(), self.sound(said))
    }

    /// What holds for every report: nothing secret stands in it, and nothing was painted for it.
    fn sound(&self, report: String) -> String {
        let keys = self.env.iter().filter(|(name, _)| name.contains("BEARER") || name.contains("SECRET"));
        for secret in keys.map(|(_, value)| value.as_str()).chain([SECRET]).filter(|secret| secret.len() > 8) {
            assert!(!report.contains(secret), "a secret is shown: {report}");
            assert!(!report.contains(&secret[..secret.len() / 2 + 1]), "half a secret is shown: {report}");
        }
        assert!(self.emulator.calls().iter().all(|call| call.body == json!({})), "it asks for a picture");
        report
    }

    /// At the program's own time, with an STS.
    pub(super) async fn present() -> Self {
        let ward = Self::at(|| SystemTime::now().into()).await;
        let url = ward.url.clone();
        ward.env("AWS_ENDPOINT_URL_STS", &url)
    }
}
