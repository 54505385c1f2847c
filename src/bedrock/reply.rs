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
    Network { answer: reqwest::Response, request_id: Option<Box<str>>, timeout: Duration, growth: Growth },
    Memory(Bytes),
}

impl Reply {
    /// Lets go of the head: its values are slices of what hyper read it into, 400 KB where the connection has brought a
    /// picture before, and would keep that for as long as the body takes.
    pub(super) fn new(mut answer: reqwest::Response, timeout: Duration) -> Self {
        let headers = std::mem::take(answer.headers_mut());
        let request_id = headers.get("x-amzn-requestid").and_then(|id| id.to_str().ok()).map(Box::from);
        Self(Source::Network { answer, request_id, timeout, growth: Growth::default() })
    }

    /// A reply that is there already.
    pub fn in_memory(body: Bytes) -> Self {
        Self(Source::Memory(body))
    }

    /// `x-amzn-RequestId`, for the log.
    pub fn request_id(&self) -> Option<&str> {
        match &self.0 {
            Source::Network { request_id, .. } => request_id.as_deref(),
            Source::Memory(_) => None,
        }
    }

    /// The next piece, never empty; `None` after the last. A silence longer than the deployment's timeout is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let (answer, timeout, growth) = match &mut self.0 {
            Source::Network { answer, timeout, growth, .. } => (answer, *timeout, growth),
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
                growth.see(piece.as_ref());
                return Ok(piece);
            }
        }
    }
}

/// Holds a piece until the next is there, as long as they grow. hyper reads into a buffer that grows with what comes: one
/// that is in use it replaces by one of the length it wants, and one that is free it makes twice as long and more, and
/// keeps.
#[derive(Debug, Default)]
struct Growth {
    longest: usize,
    held: Option<Bytes>,
}

impl Growth {
    /// hyper wants 417,792 bytes at the most.
    const ENOUGH: usize = 400_000;

    fn see(&mut self, piece: Option<&Bytes>) {
        let length = piece.map_or(0, Bytes::len);
        self.held = piece.filter(|_| length > self.longest && length < Self::ENOUGH).cloned();
        self.longest = self.longest.max(length);
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::sync::Arc;

    /// As hyper reads it: each value of the head a slice of the one buffer.
    struct Buffer(Arc<[u8]>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[tokio::test]
    async fn what_the_head_was_read_into_is_let_go() {
        let read: Arc<[u8]> = b"abc-123".as_slice().into();
        let id = HeaderValue::from_maybe_shared(Bytes::from_owner(Buffer(read.clone()))).unwrap();
        let answer = http::Response::builder().header("x-amzn-requestid", id).body("a picture").unwrap();
        assert_eq!(Arc::strong_count(&read), 2);
        let mut reply = Reply::new(answer.into(), Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&read), 1);
        assert_eq!(reply.request_id(), Some("abc-123"));
        assert_eq!(reply.next().await.unwrap().unwrap(), "a picture");
    }

    #[test]
    fn a_piece_is_held_while_they_grow() {
        let mut growth = Growth::default();
        let lengths = [8_000, 16_000, 12_000, 16_000, 300_000, 417_792, 417_792];
        let held = lengths.map(|length| {
            growth.see(Some(&vec![0; length].into()));
            growth.held.as_ref().map(Bytes::len)
        });
        assert_eq!(held, [Some(8_000), Some(16_000), None, None, Some(300_000), None, None]);
    }

    #[test]
    fn nothing_is_held_at_the_end() {
        let mut growth = Growth::default();
        growth.see(Some(&Bytes::from_static(b"all")));
        growth.see(None);
        assert_eq!(growth.held, None);
    }
}
