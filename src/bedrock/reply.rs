//! The body of a success, piece by piece, with a bound on each silence; or one that was never on the network.
//!
//! Must not look into the pieces.

use std::time::Duration;

use bytes::Bytes;

use super::error::{Error, Kind};

/// A reply whose head has come.
#[derive(Debug)]
pub struct Reply(Source);

#[derive(Debug)]
enum Source {
    Network { answer: reqwest::Response, timeout: Duration },
    Memory(Bytes),
}

impl Reply {
    pub(super) fn new(answer: reqwest::Response, timeout: Duration) -> Self {
        Self(Source::Network { answer, timeout })
    }

    /// A reply that is there already.
    pub fn in_memory(body: Bytes) -> Self {
        Self(Source::Memory(body))
    }

    /// `x-amzn-RequestId`, for the log.
    pub fn request_id(&self) -> Option<&str> {
        match &self.0 {
            Source::Network { answer, .. } => answer.headers().get("x-amzn-requestid")?.to_str().ok(),
            Source::Memory(_) => None,
        }
    }

    /// The next piece, never empty; `None` after the last. A silence longer than the deployment's timeout is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let (answer, timeout) = match &mut self.0 {
            Source::Network { answer, timeout } => (answer, *timeout),
            Source::Memory(body) => return Ok(Some(std::mem::take(body)).filter(|body| !body.is_empty())),
        };
        loop {
            let piece = tokio::time::timeout(timeout, answer.chunk())
                .await
                .map_err(|_| {
                    Error::local(Kind::TimedOut, format!("the reply was silent for {} s", timeout.as_secs_f64()))
                })?
                .map_err(|error| Error::local(Kind::Broken, super::chain(&error)))?;
            if piece.as_ref().is_none_or(|piece| !piece.is_empty()) {
                return Ok(piece);
            }
        }
    }
}

/// The first `most` bytes of a body, as far as they come.
pub(super) async fn read_up_to(answer: reqwest::Response, most: usize, timeout: Duration) -> Vec<u8> {
    let (mut body, mut reply) = (Vec::new(), Reply::new(answer, timeout.min(Duration::from_secs(10))));
    while let Ok(Some(piece)) = reply.next().await {
        body.extend_from_slice(&piece[..piece.len().min(most - body.len())]);
        if body.len() == most {
            break;
        }
    }
    body
}
