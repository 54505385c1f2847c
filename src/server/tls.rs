//! HTTPS without anything in front: handshakes beside each other, so that a slow one holds nobody back.
//!
//! Must not know what is served over the connections.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// So many handshakes go on at once; whoever is too many waits.
const HANDSHAKES: usize = 1000;

/// A handshake that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate with its key. Copies share what is read anew.
#[derive(Clone)]
pub struct Tls {
    certificates: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<TlsAcceptor>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads PEM files. The error is one line for a person.
    pub fn load(certificates: &Path, key: &Path) -> Result<Self, String> {
        let current = Arc::new(RwLock::new(acceptor(certificates, key)?));
        Ok(Self { certificates: certificates.to_owned(), key: key.to_owned(), current })
    }

    /// Where it comes from.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.certificates.clone(), self.key.clone()]
    }

    /// Reads the files again: certificates are renewed while servers run. Where they cannot be used, what there is goes on.
    pub(super) fn renew(&self) {
        match acceptor(&self.certificates, &self.key) {
            Ok(acceptor) => *self.current.write().unwrap_or_else(PoisonError::into_inner) = acceptor,
            Err(error) => {
                tracing::error!("the certificate that is in use goes on, for the new one is no good: {error}");
            }
        }
    }

    fn current(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let wrong = |path: &Path, what: &str| format!("{}: {what}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(certificates, &format!("no certificate can be read from it ({error})")))?;
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong(key, &format!("no private key can be read from it ({error})")))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| wrong(certificates, &format!("the certificate and its key cannot be used ({error})")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connections whose handshake is done.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Takes connections from `listener` and shakes hands, as long as somebody waits for them.
    pub(super) fn new(listener: impl Listener<Io = TcpStream, Addr = SocketAddr>, tls: Tls) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (hand_over, ready) = mpsc::channel(16);
        #[expect(clippy::disallowed_methods, reason = "it ends when the listener is dropped")]
        tokio::spawn(accept(listener, tls, hand_over));
        Ok(Self { ready, address })
    }
}

async fn accept(
    mut listener: impl Listener<Io = TcpStream, Addr = SocketAddr>,
    tls: Tls,
    hand_over: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            // Waits and goes on where the system has no more sockets for now.
            (listener.accept().await, place)
        };
        let ((stream, from), place) = tokio::select! {
            accepted = accepted => accepted,
            () = hand_over.closed() => return,
        };
        let (acceptor, hand_over) = (tls.current(), hand_over.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends after one handshake or its patience")]
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                let _ = hand_over.send((stream, from)).await;
            }
            drop(place);
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task only ends after this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
