//! `easel health`: asks a running Easel whether it is alive, for a container's healthcheck.
//!
//! Must not need a key, a config or a shell.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A healthcheck that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the Easel that listens on `address`. The error is one line for a person.
pub async fn run(address: SocketAddr) -> Result<(), String> {
    let answer = timeout(PATIENCE, ask(address)).await.map_err(|_| format!("{address} does not answer"))?;
    let answer = answer.map_err(|error| format!("{address}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("{address} answers {answer:?}")) }
}

/// The first line of the answer.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(1024).read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
