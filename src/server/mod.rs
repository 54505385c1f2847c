//! The only place where things are built and joined: config and client to router, router and door to HTTP.
//!
//! Must not decide anything that one of them could decide.

mod tls;
mod watch_keys;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::serve::ListenerExt;
use futures_util::future::join_all;
use reqwest::Certificate;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use tls::Tls;
use tls::TlsListener;

use crate::auth::Door;
use crate::bedrock::{Client, describe_auth, key_problems};
use crate::blob::Spooler;
use crate::clock::Clock;
use crate::config::{Auth, Config};
use crate::fetch::Fetcher;
use crate::http::{App, Book, app};
use crate::metrics::Metrics;
use crate::raster::Raster;
use crate::router::Router;
use crate::store::Links;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const FORGETTING: Duration = Duration::from_secs(30);

const CLEANING: Duration = Duration::from_secs(10 * 60);

/// What a server is built from.
#[derive(Debug)]
pub struct Options {
    /// What the operator wants.
    pub config: Config,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What time it is.
    pub clock: Clock,
    /// Where chance begins; a test gives a number to repeat it.
    pub chance: fastrand::Rng,
    /// A prefix under which everything answers too, such as `/easel`.
    pub root_path: Option<String>,
    /// A certificate to answer HTTPS with, instead of HTTP.
    pub tls: Option<Tls>,
    /// Certificates to trust beside the system's.
    pub certificates: Vec<Certificate>,
    /// Where uploads are kept while their requests last.
    pub spool: PathBuf,
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: Option<Tls>,
    app: Arc<App>,
    config: Config,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody could spend: the door is weak, and the address is not loopback.
    #[error(
        "there is no master key of your own (the published examples do not count), and other machines could reach \
         {address}.\n  \
         Set one:           LITELLM_MASTER_KEY=sk-$(openssl rand -hex 24)\n  \
         Or listen here:    HOST=127.0.0.1, or --host 127.0.0.1 (not in a container: nobody could reach it)\n  \
         Or let anybody in: LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true"
    )]
    WeakKey {
        /// Where it would have listened.
        address: SocketAddr,
    },
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {error}. Choose another with --port or --host")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
}

/// The system's clock, the only place that reads it.
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn system_clock() -> Clock {
    Clock::new(SystemTime::now)
}

impl Server {
    /// Builds everything and listens.
    pub async fn bind(options: Options) -> Result<Self, StartError> {
        let Options { config, address, clock, chance, root_path, tls, certificates, spool } = options;
        let door = Door::new(config.master_key.clone(), config.permit_weak_key);
        if !door.may_listen(address.ip()) {
            return Err(StartError::WeakKey { address });
        }
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        report(&config, clock);
        let metrics = Arc::new(Metrics::new());
        let raster = Raster::new(Spooler::new(spool));
        let client = Client::new(clock, certificates);
        let router = Router::new(&config, client, raster.clone(), clock, metrics.clone());
        let (strict_params, open_metrics, started) = (config.strict_params, config.open_metrics, clock.unix());
        let chance = Mutex::new(chance);
        let key_header = config.key_header.clone();
        let links = match Links::open(&config.delivery, clock) {
            Ok(links) => Some(links),
            Err(why) => {
                tracing::warn!("pictures are handed over as base64 only, for links are off: {why}");
                None
            }
        };
        let tasks = TaskTracker::new();
        let book = book(&config, clock, &metrics, &tasks);
        let app = Arc::new(App {
            book,
            tasks,
            user_headers: config.user_headers.clone(),
            router: Arc::new(router),
            links,
            delivery: config.delivery.clone(),
            scheme: if tls.is_some() { "https" } else { "http" },
            raster,
            fetcher: Fetcher::new(config.picture_hosts.clone()),
            door,
            metrics,
            clock,
            chance,
            open_metrics,
            strict_params,
            key_header,
            root_path,
            started,
        });
        Ok(Self { listener, tls, app, config })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown` is ready, then lets requests under way end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tracing::info!("listening on {}://{}", self.app.scheme, self.address()?);
        #[expect(clippy::disallowed_methods, reason = "it is stopped when serving ends")]
        let beside = tokio::spawn(beside(self.app.clone(), self.config));
        let routes = app(&self.app).into_make_service_with_connect_info::<SocketAddr>();
        let served = match self.tls {
            Some(tls) => {
                // Tapped for its addresses: axum knows them of no other listener but its own.
                let listener = TlsListener::new(self.listener, tls)?.tap_io(|_| ());
                axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
            }
            None => {
                // Small replies must not wait for the kernel to fill a packet.
                let listener = self.listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
            }
        };
        beside.abort();
        served
    }
}

/// What goes on beside serving.
async fn beside(app: Arc<App>, config: Config) {
    let clock = app.clock;
    let looking = look_for_credentials(app.clone());
    tokio::join!(looking, remind_daily(config, clock), watch_keys::watch(app.clone()), forget(app.clone()), clean(app));
}

/// Removes pictures whose links have expired, at once and then now and again.
async fn clean(app: Arc<App>) {
    let Some(links) = &app.links else { return };
    loop {
        if let Err(error) = links.clean().await {
            tracing::warn!(detail = %error, "the place of pictures behind links cannot be cleaned: see easel_settings.links");
        }
        tokio::time::sleep(CLEANING).await;
    }
}

/// What is kept of calls whose callers are gone, where that can be.
fn book(config: &Config, clock: Clock, metrics: &Arc<Metrics>, tasks: &TaskTracker) -> Option<Arc<Book>> {
    if !config.keeping.enabled {
        return None;
    }
    let hint = "Set easel_settings.data_dir or EASEL_DATA_DIR to a folder that Easel may write";
    let opened = match &config.delivery.data_dir {
        Some(data_dir) => Book::open(data_dir, config.keeping.clone(), clock, metrics.clone(), tasks.clone())
            .map_err(|error| format!("{}: {error}. {hint}", data_dir.display())),
        None => Err(format!("there is no folder for them. {hint}")),
    };
    match opened {
        Ok(book) => Some(book),
        Err(why) => {
            tracing::warn!("a caller who hangs up loses his picture, for replies are not kept: {why}");
            None
        }
    }
}

/// Forgets kept replies that nobody has come back for.
async fn forget(app: Arc<App>) {
    let Some(book) = &app.book else { return };
    loop {
        book.clean().await;
        tokio::time::sleep(FORGETTING).await;
    }
}

/// Says once a day which models have ended or soon will: nobody reads the start of a log that is months old.
async fn remind_daily(config: Config, clock: Clock) {
    loop {
        tokio::time::sleep(DAY).await;
        for notice in config.life(clock.today()) {
            tracing::warn!("config: {notice}");
        }
    }
}

/// What an operator should know at start: one line for each deployment, and what is wrong with it.
fn report(config: &Config, clock: Clock) {
    for notice in config.warnings.iter().chain(&config.life(clock.today())) {
        tracing::warn!("config: {notice}");
    }
    for deployment in &config.deployments {
        let how = describe_auth(deployment, clock);
        tracing::info!("{} paints with {} in {}, {how}", deployment.alias, deployment.model_id, deployment.region);
        for problem in key_problems(deployment, clock.now()) {
            tracing::warn!("{problem}");
        }
    }
    for wildcard in &config.wildcards {
        let models: Vec<_> = wildcard.deployments().map(|deployment| deployment.model.id.as_str()).collect();
        tracing::info!("{} paints with {}, as a request says", wildcard.pattern, models.join(", "));
    }
    if config.master_key.is_none() {
        tracing::warn!("there is no master key: callers need none, and only this machine's are answered");
    }
}

/// Looks once whether there are credentials to sign with, so that a start without any says so before the first
/// request. All at once: deployments that share a source share its answer, and a slow one holds nobody up.
async fn look_for_credentials(app: Arc<App>) {
    let deployments = app.router.table().deployments();
    let signing = deployments.filter(|d| !d.mock && !matches!(d.auth, Auth::Bearer { .. }));
    let lookups = signing.map(|deployment| {
        let client = app.router.client();
        async move { (deployment.alias.clone(), client.find_credentials(deployment).await) }
    });
    let mut missing = BTreeMap::<String, BTreeSet<String>>::new();
    for (alias, found) in join_all(lookups).await {
        if let Err(error) = found {
            missing.entry(error.to_string()).or_default().insert(format!("'{alias}'"));
        }
    }
    for (detail, aliases) in missing {
        let aliases = aliases.into_iter().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            detail,
            "missing credentials: {aliases} cannot be signed for. Set AWS_BEARER_TOKEN_BEDROCK, or AWS access keys, or \
             run with a profile or a role"
        );
    }
}
