//! Whether the kernel has room for more of a reply. No more of it is asked for before, so that of a picture that is read
//! slowly one piece is held and not two: hyper's client reads the next, of 400 KB and more, as soon as one is taken from it.
//!
//! Must not know what a reply says.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use futures_util::task::AtomicWaker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

/// So much is written between two looks at the room there is: a small reply takes none.
const STEP: usize = 64 * 1024;

/// So much the kernel may hold of a reply beyond what is under way to its caller, in bytes. It would take four times as much,
/// and with some hundred slow readers has no more memory for any of them. Half of it has to be free before more is asked
/// for, so that a piece fits.
const UNSENT: u32 = 1 << 20;

/// What a connection and the reply that goes over it know together.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_full: AtomicBool,
    reply: AtomicWaker,
}

impl Room {
    /// Ready when more can be written; for the reply.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.0.is_full.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.0.reply.register(context.waker());
        if self.0.is_full.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
    }

    fn learn(&self, is_full: bool) {
        let was_full = self.0.is_full.swap(is_full, Ordering::AcqRel);
        if was_full && !is_full {
            self.0.reply.wake();
        }
    }
}

/// A connection that has a [`Room`].
pub(super) trait HasRoom {
    /// What its replies are to know.
    fn room(&self) -> Room;
}

/// A caller's connection in the clear, or what is below TLS.
pub(super) struct Socket {
    stream: TcpStream,
    room: Room,
    /// Since there was room for certain, in bytes.
    written: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Small replies must not wait for the kernel to fill a packet.
        let _ = stream.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        Self { stream, room: Room::default(), written: 0 }
    }

    fn count(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = polled {
            self.written += written;
        }
        polled
    }

    /// Ready when a third of the kernel's buffer and half of [`UNSENT`] are free. Tokio takes a socket for writable until
    /// something does not fit, so the kernel is asked, who tells tokio when there is room again.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let asked = self.stream.try_io(Interest::WRITABLE, || match has_room(&self.stream) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        match asked {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => self.stream.poll_write_ready(context),
        }
    }
}

/// Where the kernel does not say, because a signal comes between, a write will show.
fn has_room(stream: &TcpStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())).map_or(true, |writable| writable > 0)
}

impl HasRoom for Socket {
    fn room(&self) -> Room {
        self.room.clone()
    }
}

impl HasRoom for TlsStream<Socket> {
    fn room(&self) -> Room {
        self.get_ref().0.room()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// What was written is the kernel's already, so this waits for room only.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.written >= STEP {
            let polled = self.poll_room(context);
            self.room.learn(polled.is_pending());
            ready!(polled)?;
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Takes connections in the clear.
pub(super) struct Clear(pub(super) TcpListener);

impl Listener for Clear {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Waits and goes on where the system has no more sockets for now.
        let (stream, from) = Listener::accept(&mut self.0).await;
        (Socket::new(stream), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    static PIECE: [u8; 100_000] = [7; 100_000];

    async fn pair() -> (Socket, TcpStream) {
        let mut clear = Clear(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let caller = TcpStream::connect(clear.local_addr().unwrap()).await.unwrap();
        (clear.accept().await.0, caller)
    }

    #[tokio::test]
    async fn more_is_asked_for_when_there_is_room() {
        let (mut socket, mut caller) = pair().await;
        let (room, mut held) = (socket.room(), 0);
        while socket.flush().now_or_never().is_some() {
            socket.write_all(&PIECE).await.unwrap();
            held += PIECE.len();
        }
        assert!(poll_fn(|context| room.poll(context)).now_or_never().is_none(), "{held} bytes are held");
        let wait = async {
            let reply = poll_fn(|context| room.poll(context));
            tokio::join!(reply, async { socket.flush().await.unwrap() });
        };
        let (mut taken, mut read) = (vec![0; held], 0);
        let take = async {
            while read < held {
                read += caller.read(&mut taken[read..]).await.unwrap();
            }
        };
        tokio::join!(wait, take);
        assert_eq!(taken, [7].repeat(held));
    }

    #[tokio::test]
    async fn who_has_gone_ends_the_wait() {
        let (mut socket, caller) = pair().await;
        while socket.flush().now_or_never().is_some() {
            socket.write_all(&PIECE).await.unwrap();
        }
        drop(caller);
        let ended = loop {
            let written = socket.write_all(&PIECE).await;
            if let Err(error) = written.and(socket.flush().await) {
                break error.kind();
            }
        };
        assert!(matches!(ended, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{ended}");
    }
}
