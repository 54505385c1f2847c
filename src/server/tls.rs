//! HTTPS without anything in front: handshakes beside each other, so that a slow one holds nobody back.
//!
//! Must not know what is served over the connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

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

    /// What a handshake begins with now.
    pub(super) fn current(&self) -> TlsAcceptor {
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

/// The connection that a caller's handshake leads to; `None` where it fails, takes too long, or nobody is `accepting` any more.
pub(super) async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    mut accepting: watch::Receiver<()>,
) -> Option<TlsStream<TcpStream>> {
    tokio::select! {
        shaken = tokio::time::timeout(PATIENCE, acceptor.accept(stream)) => shaken.ok()?.ok(),
        _ = accepting.changed() => None,
    }
}
