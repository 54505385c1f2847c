//! A reply's body on its way to its connection: asked for more when there is room, and what is there at once is sent at once.
//! The beginning of a document, a picture and its end come as pieces of their own; each alone would be a chunk, and the end
//! a packet.
//!
//! Must not know what a reply says, nor wait for more of it while there is something to send.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::patient::Answering;
use super::room::Room;

/// With so much nothing more is asked for before it is sent, in bytes. hyper reads 408 KB of a long picture at once, which
/// goes out alone; but its end goes with the last of it.
const ENOUGH: usize = 384 * 1024;

/// See above. Its connection is busy until it is dropped.
pub(super) struct Answer {
    body: Body,
    room: Room,
    _answering: Answering,
    /// Why it broke, to be said when what came before is sent.
    broken: Option<axum::Error>,
    has_ended: bool,
}

impl Answer {
    pub(super) fn new(body: Body, room: Room, answering: Answering) -> Self {
        Self { body, room, _answering: answering, broken: None, has_ended: false }
    }
}

impl HttpBody for Answer {
    type Data = Pieces;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, axum::Error>>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        ready!(self.room.poll(context));
        let mut pieces = Pieces::default();
        while pieces.remaining() < ENOUGH && !self.is_end_stream() {
            match Pin::new(&mut self.body).poll_frame(context) {
                // Nothing here has trailers.
                Poll::Ready(Some(Ok(frame))) => pieces.push(frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(broken))) if pieces.has_remaining() => {
                    self.broken = Some(broken);
                    break;
                }
                Poll::Ready(Some(Err(broken))) => return Poll::Ready(Some(Err(broken))),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if pieces.has_remaining() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(pieces.has_remaining().then(|| Ok(Frame::data(pieces))))
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Pieces of a reply that are sent as one, uncopied; none is empty.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    /// The bytes in them: a picture with escapes comes in thousands.
    length: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "no more is taken than there is");
        self.length -= count;
        while let Some(piece) = self.pieces.front_mut().filter(|_| count > 0) {
            let taken = count.min(piece.len());
            piece.advance(taken);
            count -= taken;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::patient::Busy;
    use futures_util::FutureExt;
    use futures_util::stream::{self, Stream, StreamExt};
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use std::io;

    fn answer<S>(body: S) -> Answer
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Answer::new(Body::from_stream(body), Room::default(), Busy::default().begin())
    }

    /// What is sent next, if that is there at once.
    fn next(answer: &mut Answer) -> Option<Option<Result<Vec<u8>, String>>> {
        let frame = answer.frame().now_or_never()?;
        Some(frame.map(|frame| {
            let mut pieces = frame.map_err(|error| error.to_string())?.into_data().unwrap();
            Ok(pieces.copy_to_bytes(pieces.remaining()).to_vec())
        }))
    }

    fn piece(bytes: &'static str) -> io::Result<Bytes> {
        Ok(bytes.into())
    }

    #[test]
    fn what_is_there_goes_together_and_nobody_waits_for_more() {
        let later = stream::once(tokio::task::yield_now()).map(|()| piece(" and"));
        let body = stream::iter(["one", "", " two"].map(piece)).chain(later).chain(stream::iter([" three"].map(piece)));
        let mut answer = answer(body);
        assert_eq!(next(&mut answer), Some(Some(Ok(b"one two".to_vec()))));
        assert!(!answer.is_end_stream());
        assert_eq!(next(&mut answer), Some(Some(Ok(b" and three".to_vec()))));
        assert!(answer.is_end_stream());
        assert_eq!(next(&mut answer), Some(None));
    }

    #[test]
    fn long_pieces_go_alone() {
        let long = || Ok(Bytes::from(vec![7; ENOUGH]));
        let mut answer = answer(stream::iter([long(), long(), piece("end")]));
        let lengths = std::iter::from_fn(|| next(&mut answer)?).map(|sent| sent.unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [ENOUGH, ENOUGH, 3]);
    }

    #[test]
    fn what_came_before_a_break_is_sent_before_it_is_said() {
        let mut answer = answer(stream::iter([piece("half"), Err(io::ErrorKind::Other.into()), piece("never")]));
        assert_eq!(next(&mut answer), Some(Some(Ok(b"half".to_vec()))));
        assert!(!answer.is_end_stream(), "a caller must not take it for whole");
        assert!(matches!(next(&mut answer), Some(Some(Err(_)))));
    }

    #[test]
    fn an_empty_body_has_nothing_to_send() {
        assert_eq!(next(&mut answer(stream::empty())), Some(None));
        assert_eq!(next(&mut answer(stream::pending())), None);
    }

    proptest! {
        #[test]
        fn pieces_are_taken_in_any_steps(texts in prop::collection::vec("[a-z]{0,9}", 0..9), steps in prop::collection::vec(1..12_usize, 1..90)) {
            let mut pieces = Pieces::default();
            texts.iter().for_each(|text| pieces.push(text.clone().into()));
            let (all, mut taken) = (texts.concat(), Vec::new());
            for step in steps {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = pieces.chunks_vectored(&mut slices);
                let there: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
                prop_assert!(pieces.chunk().len() <= there.len() && there.starts_with(pieces.chunk()));
                let step = step.min(there.len());
                taken.extend_from_slice(&there[..step]);
                pieces.advance(step);
                prop_assert_eq!(pieces.remaining(), all.len() - taken.len());
            }
            prop_assert!(all.as_bytes().starts_with(&taken));
        }
    }
}
