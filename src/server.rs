//! The only place where things are built and joined: config and client to router, router and door to HTTP.
//!
//! Must not decide anything that one of them could decide.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::serve::ListenerExt;
use reqwest::Certificate;
use tokio::net::TcpListener;

use crate::auth::Door;
use crate::bedrock::{Client, describe_auth, key_problem};
use crate::clock::Clock;
use crate::config::{Auth, Config};
use crate::http::{App, app};
use crate::metrics::Metrics;
use crate::router::Router;

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
    /// Certificates to trust beside the system's.
    pub certificates: Vec<Certificate>,
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody could spend: the door is weak, and the address is not loopback.
    #[error(
        "{address} can be reached from other machines, and there is no master key of your own (the published examples \
         do not count). Set LITELLM_MASTER_KEY, for instance to the output of: echo \"sk-$(openssl rand -hex 24)\". Or \
         listen on 127.0.0.1 with --host"
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
        let Options { config, address, clock, chance, certificates } = options;
        let door = Door::new(config.master_key.clone(), config.permit_weak_key);
        if !door.may_listen(address.ip()) {
            return Err(StartError::WeakKey { address });
        }
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        report(&config, clock);
        let metrics = Arc::new(Metrics::new());
        let router = Router::new(&config, Client::new(clock, certificates), clock, metrics.clone());
        let (strict_params, started) = (config.strict_params, clock.unix());
        let app = Arc::new(App { router, door, metrics, clock, chance: Mutex::new(chance), strict_params, started });
        Ok(Self { listener, app })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown` is ready, then lets requests under way end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tracing::info!("listening on http://{}", self.address()?);
        #[expect(clippy::disallowed_methods, reason = "it is stopped when serving ends")]
        let looking = tokio::spawn(look_for_credentials(self.app.clone()));
        // Small replies must not wait for the kernel to fill a packet.
        let listener = self.listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let served = axum::serve(listener, app(&self.app)).with_graceful_shutdown(shutdown).await;
        looking.abort();
        served
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
        if let Some(problem) = key_problem(deployment, clock.now()) {
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

/// Looks once whether the AWS chain finds credentials, so that a start without any says so before the first request.
async fn look_for_credentials(app: Arc<App>) {
    for deployment in app.router.table().deployments() {
        if deployment.mock || matches!(deployment.auth, Auth::Bearer { .. }) {
            continue;
        }
        if let Err(error) = app.router.client().find_credentials(deployment).await {
            let alias = &deployment.alias;
            tracing::warn!(
                detail = %error,
                "missing credentials: '{alias}' cannot be signed for. Set AWS_BEARER_TOKEN_BEDROCK, or AWS access keys, \
                 or run with a profile or a role"
            );
        }
    }
}
