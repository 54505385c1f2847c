//! The only place where things are built and joined: config and client to router, router and door to HTTP.
//!
//! Must not decide anything that one of them could decide.

mod accept;
mod answer;
mod beside;
mod build;
mod current;
mod orders;
mod patient;
mod reload;
mod room;
mod tls;
mod watch_keys;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use hyper_util::server::graceful::GracefulShutdown;
use reqwest::Certificate;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub use orders::{Orders, Stop};
pub use reload::{Read, Source, Unusable};
pub use tls::Tls;

use crate::blob::Spooler;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::raster::Raster;
use crate::traces::Traces;
use beside::{beside, report};
use build::Ground;
use current::Current;
use workers::Workers;

/// How long whoever asks for readiness needs to hear that Easel stops, and to send his requests elsewhere.
const GRACE: Duration = Duration::from_secs(5);

/// What works off the async threads may take so long to end with the program.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

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
    /// Where spans of requests go.
    pub traces: Traces,
    /// Threads that answer callers, each its own; with 0 it is done where the server runs.
    pub workers: usize,
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    ground: Ground,
    current: Arc<Current>,
    config: Arc<Config>,
    workers: usize,
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
        let Options { config, address, clock, chance, root_path, tls, certificates, spool, traces, workers } = options;
        let ground = Ground {
            address,
            clock,
            root_path,
            scheme: if tls.is_some() { "https" } else { "http" },
            tls,
            certificates,
            raster: Raster::new(Spooler::new(spool)),
            metrics: Arc::new(Metrics::new()),
            traces,
            tasks: TaskTracker::new(),
            crowd: Arc::default(),
            standing: Arc::default(),
            book: Mutex::default(),
            chance: Mutex::new(chance),
            started: clock.unix(),
        };
        let app = ground.build(&config, None)?;
        let listener = accept::listen(address).map_err(|error| StartError::Listen { address, error })?;
        report(&config, clock);
        Ok(Self { listener, ground, current: Current::new(app), config: Arc::new(config), workers })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is told to stop, then lets what is under way end. Every order is obeyed as it comes.
    pub async fn run(self, orders: Orders) -> io::Result<()> {
        let (scheme, address) = (self.ground.scheme, self.address()?);
        let Self { listener, ground, current, config, workers } = self;
        let workers = Workers::start(workers)?;
        let ground = Arc::new(ground);
        let Orders { stop, at_once, mut source } = orders;
        // What changes from here on is noticed.
        let seen = match &mut source {
            Some(source) => {
                source.files.extend(ground.tls.iter().flat_map(Tls::files));
                source.look(&config.files).await
            }
            None => Vec::new(),
        };
        tracing::info!("listening on {scheme}://{address}");
        #[expect(clippy::disallowed_methods, reason = "it is stopped when serving ends")]
        let beside = tokio::spawn(change(ground.clone(), current.clone(), config.clone(), source, seen));
        let at_once = at_once.shared();
        let stop = pause(ground.clone(), current.clone(), stop, at_once.clone());
        let most = config.serving.max_connections;
        let connections = accept::accept(listener, ground.tls.clone(), current.clone(), &workers, most, stop).await;
        beside.abort();
        end(&ground, connections, current.app().serving.deadline, at_once).await;
        Ok(())
    }
}

/// Serves one config after the other, with what goes on beside each.
async fn change(
    ground: Arc<Ground>,
    current: Arc<Current>,
    mut config: Arc<Config>,
    mut source: Option<Source>,
    mut seen: Vec<u8>,
) {
    let mut named = config.files.clone();
    loop {
        let _beside = Beside::start(current.app(), config.clone());
        config = match &mut source {
            Some(source) => next(&ground, &current, source, &config, &mut named, &mut seen).await,
            None => std::future::pending().await,
        };
    }
}

/// Waits for a config that can be used, and puts it in its place.
async fn next(
    ground: &Ground,
    current: &Current,
    source: &mut Source,
    before: &Config,
    named: &mut Vec<PathBuf>,
    seen: &mut Vec<u8>,
) -> Arc<Config> {
    loop {
        let read = source.next(named, seen).await.map_err(|unusable| unusable.mistakes);
        if let Some(tls) = &ground.tls {
            tls.renew();
        }
        let built = read.and_then(|config| match ground.build(&config, Some(&current.app())) {
            Ok(app) => Ok((config, app)),
            Err(error) => Err(vec![error.to_string()]),
        });
        match built {
            Ok((config, app)) => {
                report(&config, ground.clock);
                if config.serving.max_connections != before.serving.max_connections {
                    tracing::warn!(
                        "config: easel_settings.max_connections has changed, which counts from the next start"
                    );
                }
                current.replace(app);
                ground.metrics.serving.reload("ok");
                tracing::info!("the config has been read again; requests under way end with the one they began with");
                return Arc::new(config);
            }
            Err(mistakes) => {
                ground.metrics.serving.reload("mistakes");
                for mistake in mistakes {
                    tracing::error!("config: {mistake}");
                }
                tracing::error!("the config has changed and cannot be used, so nothing changes");
            }
        }
    }
}

/// What goes on beside serving, until this is dropped.
struct Beside(JoinHandle<()>);

impl Beside {
    fn start(app: Arc<crate::http::App>, config: Arc<Config>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "it is stopped with its config")]
        Self(tokio::spawn(beside(app, config)))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ready when connections are no longer taken: after the order, and a while in which those who ask hear of it.
async fn pause(
    ground: Arc<Ground>,
    current: Arc<Current>,
    stop: impl Future<Output = Stop>,
    at_once: impl Future<Output = ()>,
) {
    let order = stop.await;
    ground.standing.stop();
    ground.metrics.serving.stopping.set(1);
    let asked = ground.standing.is_asked(ground.clock.unix());
    let usual = if asked { GRACE } else { Duration::ZERO };
    let grace = match order {
        Stop::Interrupted => Duration::ZERO,
        Stop::Told => current.app().serving.grace.unwrap_or(usual),
    };
    let under_way = ground.crowd.size();
    tracing::info!(under_way, grace_ms = grace.as_millis(), "stopping: requests under way may end");
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = at_once => {}
    }
}

/// Waits for what is under way, with and without its caller, as long as it may take.
async fn end(ground: &Ground, connections: GracefulShutdown, deadline: Duration, at_once: impl Future<Output = ()>) {
    ground.tasks.close();
    let all = async {
        connections.shutdown().await;
        ground.tasks.wait().await;
    };
    let why = tokio::select! {
        () = all => return tracing::info!("stopped"),
        () = tokio::time::sleep(deadline) => "they took longer than easel_settings.shutdown.deadline",
        () = at_once => "a second order came",
    };
    let (with_caller, without) = (ground.crowd.size(), ground.tasks.len());
    tracing::warn!(with_caller, without, "stopped with requests under way: {why}");
}
