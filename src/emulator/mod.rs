//! A Bedrock that paints offline: the same wire, the same errors, pictures by hash, and faults on demand.
//! It must not import anything of ours: a mistake shared with the code that speaks to Bedrock would cancel out.
mod amazon;
mod auth;
mod banner;
mod control;
mod darkroom;
mod delivery;
mod fault;
mod font;
mod invoke;
mod models;
mod page;
mod paint;
mod palette;
mod picture;
mod problem;
mod refusal;
mod region;
mod reply;
mod scene;
mod schema;
mod sigv4;
mod stability;
mod sts;
mod studio;
mod wire;

pub use fault::{Fault, UnknownFault};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header::DATE},
    middleware::map_response_with_state,
    response::Response,
    routing::get,
};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::{OffsetDateTime, macros::format_description};
use tokio::{net::TcpListener, sync::Semaphore};

/// What an emulator is made with.
#[derive(Clone)]
pub struct Options {
    /// The long-term API keys that are let in.
    pub api_keys: Vec<String>,
    /// Half of the pair that requests and short-term API keys are signed with.
    pub access_key_id: String,
    /// The other half.
    pub secret_access_key: String,
    /// What goes wrong with every call that nothing else is said of.
    pub fault: Option<Fault>,
    /// The clock that signatures are checked by.
    pub now: fn() -> OffsetDateTime,
    /// Whether calls are kept for `Emulator::calls`.
    pub record: bool,
}

impl Options {
    /// The key `emulated`, AWS's published example pair, no faults, no record.
    pub fn new(now: fn() -> OffsetDateTime) -> Self {
        Self {
            api_keys: vec!["emulated".to_owned()],
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            fault: None,
            now,
            record: false,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("fault", &self.fault).field("record", &self.record).finish_non_exhaustive()
    }
}

/// A call that was let in, as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The model id of the path, decoded.
    pub model_id: String,
    /// The path as it was sent.
    pub raw_path: String,
    /// The region that the signature, the short-term key or `x-emulated-region` names.
    pub region: Option<String>,
    /// `bearer` or `sigv4`.
    pub auth: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body; null if it was not JSON.
    pub body: serde_json::Value,
}

/// An emulated Bedrock. Clones are the same emulator.
#[derive(Clone, Debug)]
pub struct Emulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    script: Mutex<VecDeque<Option<Fault>>>,
    calls: Mutex<Vec<Call>>,
    easels: Arc<Semaphore>,
}

impl Emulator {
    /// Makes one; nothing runs until it is served.
    pub fn new(options: Options) -> Self {
        let easels = Arc::new(Semaphore::new(studio::EASELS));
        Self(Arc::new(Inner { options, script: Mutex::default(), calls: Mutex::default(), easels }))
    }

    /// The emulator as a service. Under another server than `serve`, the faults that break a connection are only
    /// approximated.
    pub fn app(&self) -> Router {
        let page = async |headers: HeaderMap| {
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
            page::page(host)
        };
        Router::new()
            .route("/", get(page).post(sts::answer))
            .route("/foundation-models", get(control::models))
            .route("/health", get(async || "ok\n"))
            .fallback(invoke::invoke)
            .layer(map_response_with_state(self.clone(), dated))
            .with_state(self.clone())
    }

    /// The calls so far, if they are recorded.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0.calls).clone()
    }

    /// Queues what happens to the next calls, one each, before whatever their prompts or the options ask for; `None`
    /// is a call that goes well. A call that is not let in takes nothing from the queue.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        lock(&self.0.script).extend(faults);
    }

    /// Answers on a socket until `shutdown` is done.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        wire::serve(self.app(), listener, shutdown).await
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn easels(&self) -> &Arc<Semaphore> {
        &self.0.easels
    }

    fn record(&self, call: Call) {
        lock(&self.0.calls).push(call);
    }

    fn next_fault(&self, prompt: Option<&str>) -> Result<Option<Fault>, UnknownFault> {
        if let Some(scripted) = lock(&self.0.script).pop_front() {
            return Ok(scripted);
        }
        match prompt.and_then(Fault::in_prompt) {
            Some(asked) => asked.map(Some),
            None => Ok(self.0.options.fault),
        }
    }
}

/// Tells its own time, by which signatures are checked too.
async fn dated(State(emulator): State<Emulator>, mut response: Response) -> Response {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let now = (emulator.options().now)().format(form).ok();
    if let Some(now) = now.and_then(|now| HeaderValue::from_str(&now).ok()) {
        response.headers_mut().insert(DATE, now);
    }
    response
}

/// A panic elsewhere leaves a list no worse than it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
