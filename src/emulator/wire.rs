//! Serves connections, and does by hand what an HTTP server refuses to do: to break them.
//! It must not know faults by name, only what is to be done to a connection.
use super::delivery::ByHand;
use axum::{Router, body::Body, response::Response};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::Service;

/// How long connections may take to end when the server does.
const GRACE: Duration = Duration::from_secs(1);
/// How long a client is given to read before a reset throws away what is under way.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// Answers until told to stop; then no new connection is taken and the open ones may end what they are doing.
pub(super) async fn serve(
    app: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((socket, _)) => drop(connections.spawn(connection(app.clone(), socket, stopped.clone()))),
            // Out of sockets, or a client already gone: the next may do better.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop((listener, stopped));
    drop(stop);
    let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// A response that has to be sent by hand, handed out of the HTTP server.
type Slot = Arc<Mutex<Option<Response>>>;

async fn connection(app: Router, socket: TcpStream, mut stopped: watch::Receiver<()>) {
    let slot = Slot::default();
    let _ = socket.set_nodelay(true);
    let answer = {
        let slot = Arc::clone(&slot);
        hyper::service::service_fn(move |request| answer(app.clone(), request, Arc::clone(&slot)))
    };
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|context| connection.poll_without_shutdown(context)) => break outcome,
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let by_hand = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut socket = connection.into_parts().io.into_inner();
    match by_hand {
        Some(response) => {
            if let Err(error) = send(&mut socket, response).await {
                tracing::debug!(%error, "the client went first");
            }
        }
        None => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended early");
            }
            let _ = socket.shutdown().await;
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = io::Result<Response>> + Send>>;

/// Answers a request, unless by hand: an error makes the HTTP server give the socket back unused.
fn answer(mut app: Router, request: Request<Incoming>, slot: Slot) -> Answer {
    Box::pin(async move {
        let response = app.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
        if response.extensions().get::<ByHand>().is_none() {
            return Ok(response);
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
        Err(io::Error::other("this response is sent by hand"))
    })
}

/// Writes a response as it stands, right or wrong, and ends the connection in the way it asks for.
async fn send(socket: &mut TcpStream, response: Response) -> io::Result<()> {
    let Some(by_hand) = response.extensions().get::<ByHand>().copied() else { return Ok(()) };
    if by_hand.answers {
        let (parts, mut body) = response.into_parts();
        let mut head = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
        for (name, value) in &parts.headers {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        socket.write_all(&head).await?;
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(piece) = frame.into_data() {
                socket.write_all(&piece).await?;
            }
        }
        socket.flush().await?;
    }
    if by_hand.resets {
        tokio::time::sleep(BEFORE_RESET).await;
        return socket.set_zero_linger();
    }
    socket.shutdown().await
}
