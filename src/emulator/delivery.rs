//! How a reply goes out: whole, late, in part, or broken.
//! It must not know what the reply says.
use super::{
    fault::Fault,
    reply::{Pieces, Reply},
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use std::{io, time::Duration};

/// What `wire.rs` has to do by hand because no HTTP server would do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByHand {
    /// Whether the head and the body are sent at all.
    pub(super) answers: bool,
    /// The end of the connection is a reset, not an orderly close.
    pub(super) resets: bool,
}

/// What happens at the place in the middle of the first picture.
#[derive(Debug, Clone, Copy)]
enum Turn {
    GoOn,
    Pause(Duration),
    Stall,
    /// The message ends there, as if it were whole.
    End,
    /// The connection breaks there.
    Break,
}

/// Makes a response of status 200 out of a reply, with the fault's way of sending it.
pub(super) fn deliver(reply: Reply, fault: Option<Fault>) -> Response {
    let (length, middle) = (reply.length(), reply.middle());
    let turn = match fault {
        Some(Fault::SlowBody(pause)) => Turn::Pause(pause),
        Some(Fault::Stall) => Turn::Stall,
        Some(Fault::TruncatedJson) => Turn::End,
        Some(Fault::ResetMidBody | Fault::ShortLength) => Turn::Break,
        _ => Turn::GoOn,
    };
    let mut response = Response::new(stream_of(reply.pieces(), middle, turn));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let declared = match fault {
        Some(Fault::TruncatedJson) => None,
        Some(Fault::LongLength) => Some(middle),
        _ => length,
    };
    if let Some(length) = declared {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let resets = fault == Some(Fault::ResetMidBody);
    if resets || matches!(fault, Some(Fault::ShortLength | Fault::LongLength)) {
        response.extensions_mut().insert(ByHand { answers: true, resets });
    }
    response
}

/// The response that is never sent.
pub(super) fn silence() -> Response {
    let mut response = Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(broken()) })));
    response.extensions_mut().insert(ByHand { answers: false, resets: true });
    response
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the emulator breaks the connection, as it was asked to")
}

/// A reply being sent.
struct Sending {
    pieces: Pieces,
    /// What a cut left of a piece.
    rest: Option<Bytes>,
    /// How far it is to the turn; none when it lies behind.
    left: Option<usize>,
    turn: Turn,
}

fn stream_of(pieces: Pieces, middle: usize, turn: Turn) -> Body {
    let left = (!matches!(turn, Turn::GoOn)).then_some(middle);
    let sending = Sending { pieces, rest: None, left, turn };
    Body::from_stream(stream::unfold(sending, step))
}

async fn step(mut sending: Sending) -> Option<(io::Result<Bytes>, Sending)> {
    if sending.left == Some(0) {
        sending.left = None;
        match sending.turn {
            Turn::GoOn => {}
            Turn::Pause(pause) => tokio::time::sleep(pause).await,
            Turn::Stall => std::future::pending().await,
            Turn::End => return None,
            Turn::Break => return Some((Err(broken()), sending)),
        }
    }
    let mut piece = sending.rest.take().or_else(|| sending.pieces.next())?;
    if let Some(left) = &mut sending.left {
        if piece.len() > *left {
            sending.rest = Some(piece.split_off(*left));
        }
        *left -= piece.len();
    }
    Some((Ok(piece), sending))
}
