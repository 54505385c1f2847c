//! Takes connections and answers on them, until it is told to stop; then lets what is under way end.
//!
//! Must not know what is answered.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::answer::Answer;
use super::current::Current;
use super::patient::{Busy, Patient};
use super::room::{self, HasRoom, Room};
use super::tls::{Tls, shake_hands};
use super::workers::Workers;
use crate::metrics::Metrics;

/// A connection between two requests is kept this long: longer than load balancers keep theirs, which would else send a
/// request into one that is just being closed. AWS's wait up to 350 s where `infrastructure/` has its way.
const IDLE: Duration = Duration::from_secs(400);

/// What a connection reads ahead, and what it holds of a reply that is not taken. A head may be as long.
const BUFFER: usize = 64 * 1024;

/// Connections that may wait to be accepted, if the kernel allows so many (`net.core.somaxconn`). Whoever finds no room asks
/// again after a second.
const BACKLOG: u32 = 4096;

/// Listens on an address.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A start must not wait for the connections of the last to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// An open connection, until this is dropped.
struct Open {
    metrics: Arc<Metrics>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Open {
    fn new(permit: Option<OwnedSemaphorePermit>, metrics: &Arc<Metrics>) -> Self {
        metrics.serving.connections.inc();
        Self { metrics: metrics.clone(), _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.serving.connections.dec();
    }
}

/// Answers on every connection until `stop` is ready. What is under way then is waited for by the answer.
pub(super) async fn accept(
    mut listener: TcpListener,
    tls: Option<Tls>,
    current: Arc<Current>,
    workers: &Workers,
    most: u32,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let (graceful, metrics) = (GracefulShutdown::new(), current.app().metrics.clone());
    let places = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
    // Nothing is ever said: that it is gone tells those who still shake hands.
    let accepting = watch::Sender::new(());
    let mut stop = std::pin::pin!(stop);
    loop {
        // Whoever is too many waits in the kernel's queue.
        let accepted = async {
            let permit = places.clone().acquire_owned().await.ok();
            // Waits and goes on where the system has no more sockets for now.
            (Listener::accept(&mut listener).await, permit)
        };
        let ((stream, from), permit) = tokio::select! {
            biased;
            () = &mut stop => return graceful,
            accepted = accepted => accepted,
        };
        room::prepare(&stream, metrics.serving.connections.get());
        let open = Open::new(permit, &metrics);
        // A runtime has to be told of what it shall wait for.
        let Ok(stream) = stream.into_std() else { continue };
        let (tls, current, watcher) = (tls.as_ref().map(Tls::current), current.clone(), graceful.watcher());
        let accepting = accepting.subscribe();
        workers.seat().spawn(async move {
            let _open = open;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            // A connection that breaks has had its say in the access line.
            let _ = match tls {
                None => connection(stream, from, current, watcher).await,
                Some(tls) => match shake_hands(tls, stream, accepting).await {
                    Some(stream) => connection(stream, from, current, watcher).await,
                    None => return,
                },
            };
        });
    }
}

/// One connection, with as many requests as its caller makes until it is to end.
fn connection<S>(
    stream: S,
    from: SocketAddr,
    current: Arc<Current>,
    watcher: Watcher,
) -> impl Future<Output = Result<(), hyper::Error>> + Send + use<S>
where
    S: AsyncRead + AsyncWrite + HasRoom + Unpin + Send + 'static,
{
    let (busy, room) = (Busy::default(), Room::default());
    let stream = TokioIo::new(Patient::new(stream, busy.clone(), room.clone()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (answering, room, routes) = (busy.begin(), room.clone(), current.routes());
        request.extensions_mut().insert(ConnectInfo(from));
        async move {
            let response = routes.oneshot(request.map(Body::new)).await;
            response.map(|response| response.map(|body| Answer::new(body, room, answering)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(BUFFER);
    watcher.watch(builder.serve_connection(stream, service))
}

// Other systems may let no more than 128 wait.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test]
    async fn a_burst_of_callers_is_let_in() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // None is accepted meanwhile, so that all have to wait.
        let callers = join_all((0..300).map(|_| TcpStream::connect(address))).await;
        assert!(callers.iter().all(Result::is_ok), "some ask in vain for two minutes");
    }
}
