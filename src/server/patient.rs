//! A connection that gives up on callers who neither write nor read: a request's head has to come within a while once it
//! has begun, and what is sent has to be taken. Its reply learns whether there is room for more.
//!
//! Must not mind a connection that rests between two requests: that is hyper's, which ends it later.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::room::{HasRoom, Room};

/// From the first byte of a request's head to its last.
const HEAD: Duration = Duration::from_secs(30);

/// How long nothing may be taken of a reply: a reader may pause, but not for ever.
const WRITE: Duration = Duration::from_secs(300);

/// So much is written between two looks at the room there is, in bytes: a small reply takes none.
const STEP: usize = 64 * 1024;

/// The requests of a connection: whether one is being answered, and how many there have been.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    now: AtomicUsize,
    ever: AtomicUsize,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Answering(Busy);

impl Busy {
    pub(super) fn begin(&self) -> Answering {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn is(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See above.
pub(super) struct Patient<S> {
    stream: S,
    busy: Busy,
    /// How many requests there had been when it was last read from.
    requests: usize,
    /// Until when the head of a request has to be there.
    head: Option<Pin<Box<Sleep>>>,
    /// Until when something has to be taken.
    write: Option<Pin<Box<Sleep>>>,
    room: Room,
    /// Since there was room for certain, in bytes.
    written: usize,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, busy: Busy, room: Room) -> Self {
        Self { stream, busy, requests: 0, head: None, write: None, room, written: 0 }
    }

    /// Counts what is written.
    fn count(&mut self, polled: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = polled {
            self.written += written;
        }
        self.watch(polled, context)
    }

    /// Watches a write: it may wait, but not for too long.
    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write = None;
            return polled;
        }
        let sleep = self.write.get_or_insert_with(|| after(WRITE));
        if sleep.as_mut().poll(context).is_ready() { Poll::Ready(Err(too_slow())) } else { Poll::Pending }
    }
}

fn after(patience: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + patience))
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the caller is too slow")
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let requests = this.busy.0.ever.load(Ordering::Relaxed);
        if this.requests != requests {
            // The head that was being waited for has come.
            this.requests = requests;
            this.head = None;
        }
        if this.busy.is() {
            // What comes now is a body, which its own reader watches.
            return polled;
        }
        if polled.is_ready() && buffer.filled().len() > before {
            this.head.get_or_insert_with(|| after(HEAD));
        }
        let mut is_late = || this.head.as_mut().is_some_and(|head| head.as_mut().poll(context).is_ready());
        if polled.is_pending() && is_late() { Poll::Ready(Err(too_slow())) } else { polled }
    }
}

impl<S: AsyncWrite + HasRoom + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// What was written is the kernel's then, and waits for room.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut polled = Pin::new(&mut self.stream).poll_flush(context);
        if self.written >= STEP && matches!(polled, Poll::Ready(Ok(()))) {
            polled = self.stream.poll_room(context);
            self.room.learn(polled.is_pending());
            if polled.is_ready() {
                self.written = 0;
            }
        }
        self.watch(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    impl HasRoom for DuplexStream {
        fn poll_room(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_has_to_end() {
        let (mut caller, stream) = duplex(64);
        let mut patient = Patient::new(stream, Busy::default(), Room::default());
        let begun = Instant::now();
        let idle = tokio::time::timeout(Duration::from_secs(200), patient.read_u8()).await;
        assert!(idle.is_err(), "a connection may rest");
        caller.write_all(b"G").await.unwrap();
        assert_eq!(patient.read_u8().await.unwrap(), b'G');
        let error = patient.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, Duration::from_secs(230)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_ended_is_not_waited_for() {
        let (mut caller, stream) = duplex(64);
        let busy = Busy::default();
        let mut patient = Patient::new(stream, busy.clone(), Room::default());
        caller.write_all(b"G").await.unwrap();
        assert_eq!(patient.read_u8().await.unwrap(), b'G');
        drop(busy.begin());
        assert!(tokio::time::timeout(Duration::from_secs(100), patient.read_u8()).await.is_err(), "it rests again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_and_a_reply_has_to_be_taken() {
        let (mut caller, stream) = duplex(64);
        let busy = Busy::default();
        let mut patient = Patient::new(stream, busy.clone(), Room::default());
        let answering = busy.begin();
        caller.write_all(b"b").await.unwrap();
        assert_eq!(patient.read_u8().await.unwrap(), b'b');
        assert!(tokio::time::timeout(Duration::from_secs(100), patient.read_u8()).await.is_err());
        let error = patient.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(answering);
        assert!(!busy.is());
    }
}
