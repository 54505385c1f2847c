//! Signals: what the operator or the container engine says to the program while it runs.
//!
//! Must not act on them: the server does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use easel::catalog::Catalog;
use easel::config::{Config, Environment, Mistakes, Notice};
use easel::server::{Orders, Source, Stop, Unusable};
use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::surroundings::Original;

/// What the operator may say to the server: stop, stop at once, read the config again.
/// `first` is the environment that the program was built from.
pub(crate) fn orders(config: PathBuf, original: Original, first: Environment) -> Orders {
    let (hurry, at_once) = oneshot::channel();
    let mut stops = Stops::new();
    let stop = async move {
        let stop = stops.next().await;
        #[expect(clippy::disallowed_methods, reason = "it ends with the program")]
        tokio::spawn(async move {
            stops.next().await;
            let _ = hurry.send(());
        });
        stop
    };
    let at_once = async move {
        if at_once.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let (wish, wishes) = mpsc::channel(1);
    // Heard from here on: before, it would end the program.
    let hangups = signal(SignalKind::hangup());
    #[expect(clippy::disallowed_methods, reason = "it ends with the program")]
    tokio::spawn(async move {
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() && wish.send(()).await.is_ok() {}
    });
    let files = vec![config.clone(), ".env".into()];
    let read = Arc::new(move || read_again(&config, &original, &first));
    Orders { stop: stop.boxed(), at_once: at_once.boxed(), source: Some(Source { read, files, wishes }) }
}

/// The config as it is now, with `.env` as it is now.
fn read_again(path: &Path, original: &Original, first: &Environment) -> Result<Config, Unusable> {
    let env = original.again().map_err(|error| Unusable { mistakes: vec![error], files: Vec::new() })?;
    let lines = |mistakes: Mistakes| Unusable {
        mistakes: mistakes.mistakes.iter().map(ToString::to_string).collect(),
        files: mistakes.files,
    };
    let mut config = Config::load(path, &env, &Catalog::builtin()).map_err(lines)?;
    for name in AT_START.iter().filter(|name| env.get(name) != first.get(name)) {
        let message = format!("{name} has changed, which counts from the next start");
        config.warnings.push(Notice { path: ".env".into(), message });
    }
    // The process itself still has them, where AWS's chain looks.
    if config.env_keys.is_none() && first.get("AWS_ACCESS_KEY_ID").is_some() {
        let message = "AWS_ACCESS_KEY_ID or its secret is gone, and the AWS chain goes on with it until the next start";
        config.warnings.push(Notice { path: ".env".into(), message: message.into() });
    }
    Ok(config)
}

/// Variables that are read when the program starts, by itself or by AWS's chain.
#[rustfmt::skip]
const AT_START: [&str; 22] = [
    "HOST", "PORT", "SERVER_ROOT_PATH", "TMPDIR", "LITELLM_LOG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_PROFILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_EC2_METADATA_DISABLED",
];

/// What the operator or the container engine says to stop, heard from when this is made.
struct Stops {
    terminate: io::Result<Signal>,
    interrupt: io::Result<Signal>,
}

impl Stops {
    fn new() -> Self {
        Self { terminate: signal(SignalKind::terminate()), interrupt: signal(SignalKind::interrupt()) }
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            () = heard(&mut self.terminate) => Stop::Told,
            () = heard(&mut self.interrupt) => Stop::Interrupted,
        }
    }
}

/// Never, where it cannot be heard.
async fn heard(signal: &mut io::Result<Signal>) {
    let heard = match signal {
        Ok(signal) => signal.recv().await,
        Err(_) => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Ready when the operator or the container engine says stop.
pub(crate) async fn stopped() {
    Stops::new().next().await;
}
