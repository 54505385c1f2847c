//! Comments between server-sent events while there is nothing to say, so that nobody on the way hangs up.
//!
//! Must not break into an event: a comment comes only where one has ended, or before the first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

/// What parsers pass over.
const COMMENT: Bytes = Bytes::from_static(b": \n\n");

/// Events with comments between them.
pub(super) struct KeepAlive<S> {
    events: Pin<Box<S>>,
    every: Duration,
    silence: Pin<Box<Sleep>>,
    between: bool,
}

impl<S> KeepAlive<S> {
    /// `events`, with a comment after each silence of `every`.
    pub(super) fn new(events: S, every: Duration) -> Self {
        Self { events: Box::pin(events), every, silence: Box::pin(sleep(every)), between: true }
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for KeepAlive<S> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.events.as_mut().poll_next(context);
        let polled = match polled {
            Poll::Pending if self.between && self.silence.as_mut().poll(context).is_ready() => {
                Poll::Ready(Some(Ok(COMMENT)))
            }
            polled => polled,
        };
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            // No stretch of a picture ends with a line break.
            self.between = bytes.ends_with(b"\n\n");
            let next = Instant::now() + self.every;
            self.silence.as_mut().reset(next);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn comments_fill_silences_between_events_and_no_others() {
        let pieces = [(7, "data: "), (12, "x"), (4, "\n\n"), (5, "data: y\n\n"), (1, "")];
        let events = stream::iter(pieces).then(|(wait, piece)| async move {
            sleep(Duration::from_secs(wait)).await;
            Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))
        });
        let all: Vec<_> = KeepAlive::new(events, Duration::from_secs(3)).map(Result::unwrap).collect().await;
        assert_eq!(all.concat(), b": \n\n: \n\ndata: x\n\n: \n\ndata: y\n\n");
    }
}
