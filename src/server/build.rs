//! Builds what answers from a config: at start, and again at each reload with what outlives it.
//!
//! Must not listen or answer.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Certificate;
use tokio_util::task::TaskTracker;

use super::{StartError, Tls};
use crate::auth::Door;
use crate::bedrock::Client;
use crate::clock::Clock;
use crate::config::Config;
use crate::fetch::Fetcher;
use crate::http::{App, Book, Crowd, Standing};
use crate::metrics::Metrics;
use crate::raster::Raster;
use crate::router::Router;
use crate::store::Links;
use crate::traces::Traces;

/// What no reload changes.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) root_path: Option<String>,
    pub(super) scheme: &'static str,
    pub(super) tls: Option<Tls>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) raster: Raster,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traces: Traces,
    pub(super) tasks: TaskTracker,
    pub(super) crowd: Arc<Crowd>,
    pub(super) standing: Arc<Standing>,
    /// The book and the folder that it keeps replies in, once there is one.
    pub(super) book: Mutex<Option<(PathBuf, Arc<Book>)>>,
    /// Where chance begins for each config.
    pub(super) chance: Mutex<fastrand::Rng>,
    /// When serving began, Unix seconds.
    pub(super) started: i64,
}

impl Ground {
    /// What answers with this config, in the place of `before`. Where the door is weak, nobody else may be able to reach it.
    pub(super) fn build(&self, config: &Config, before: Option<&App>) -> Result<Arc<App>, StartError> {
        let door = Door::new(config.master_key.clone(), config.permit_weak_key);
        if !door.may_listen(self.address.ip()) {
            return Err(StartError::WeakKey { address: self.address });
        }
        let (clock, metrics) = (self.clock, self.metrics.clone());
        let client = Client::new(clock, self.certificates.clone()).with_env_keys(config.env_keys.as_ref());
        let router = Router::new(config, client, self.raster.clone(), clock, metrics.clone());
        let router = match before {
            Some(before) => router.after(&before.router),
            None => router,
        };
        let links = match Links::open(&config.delivery, clock) {
            Ok(links) => Some(links),
            Err(why) => {
                tracing::warn!("pictures are handed over as base64 only, for links are off: {why}");
                None
            }
        };
        let chance = self.chance.lock().map(|mut chance| chance.fork()).unwrap_or_default();
        metrics.serving.read_at.set(clock.unix());
        Ok(Arc::new(App {
            router: Arc::new(router),
            links,
            book: self.book(config),
            tasks: self.tasks.clone(),
            crowd: self.crowd.clone(),
            serving: config.serving,
            standing: self.standing.clone(),
            user_headers: config.user_headers.clone(),
            delivery: config.delivery.clone(),
            scheme: self.scheme,
            raster: self.raster.clone(),
            fetcher: Fetcher::new(config.picture_hosts.clone()),
            door,
            metrics,
            traces: self.traces.clone(),
            clock,
            chance: Mutex::new(chance),
            open_metrics: config.open_metrics,
            strict_params: config.strict_params,
            key_header: config.key_header.clone(),
            root_path: self.root_path.clone(),
            started: self.started,
        }))
    }

    /// What is kept of calls whose callers are gone, where that can be. The same as before, as long as its folder is.
    fn book(&self, config: &Config) -> Option<Arc<Book>> {
        if !config.keeping.enabled {
            return None;
        }
        let hint = "Set easel_settings.data_dir or EASEL_DATA_DIR to a folder that Easel may write";
        let opened = match &config.delivery.data_dir {
            Some(folder) => {
                self.book_in(folder, config).map_err(|error| format!("{}: {error}. {hint}", folder.display()))
            }
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

    fn book_in(&self, folder: &Path, config: &Config) -> io::Result<Arc<Book>> {
        let mut known = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, book)) = known.as_ref().filter(|(path, _)| path == folder) {
            book.set(config.keeping.clone());
            return Ok(book.clone());
        }
        let (metrics, tasks) = (self.metrics.clone(), self.tasks.clone());
        let book = Book::open(folder, config.keeping.clone(), self.clock, metrics, tasks)?;
        *known = Some((folder.to_owned(), book.clone()));
        Ok(book)
    }
}
