//! A request's body on its way out: its length is told before, its pieces are made as the network takes them.
//!
//! Must not hold more than one piece.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use http_body::{Body, Frame, SizeHint};

use crate::payload::{Payload, Reading};

/// The body for the HTTP client.
pub(super) fn body(payload: Payload) -> reqwest::Body {
    match payload.text() {
        Some(text) => text.clone().into(),
        None => reqwest::Body::wrap(Sending::new(&payload)),
    }
}

struct Sending {
    /// Nobody waits for the lock: it only makes the body `Sync`, as the client wants it.
    pieces: Mutex<BoxStream<'static, io::Result<Bytes>>>,
    left: u64,
}

impl Sending {
    fn new(payload: &Payload) -> Self {
        let next = |mut reading: Reading| async move {
            let piece = reading.next().await.transpose()?;
            Some((piece, reading))
        };
        Self { pieces: Mutex::new(unfold(payload.read(), next).boxed()), left: payload.len() }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let pieces = self.pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = pieces.poll_next_unpin(context);
        polled.map_ok(|piece| {
            self.left = self.left.saturating_sub(piece.len() as u64);
            Frame::data(piece)
        })
    }

    /// Exact, so that the length is sent and not chunks, which Bedrock does not take.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
