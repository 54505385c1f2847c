//! Whether the kernel has room for more of a reply. No more of it is asked for before, so that of a picture that is read
//! slowly one piece is held and not two: hyper's client reads the next, of 400 KB and more, as soon as one is taken from it.
//!
//! Must not know what a reply says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// So much the kernel may hold of a reply beyond what is under way to its caller, in bytes. It would take four times as much,
/// and with some hundred slow readers has no more memory for any of them. Half of it has to be free before more is asked
/// for, so that a piece fits.
const UNSENT: u32 = 1 << 20;

/// A congestion control that sends as soon as it may. Linux has this one always, and gives it to everybody.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNTIMED: &str = "reno";

/// Where more connections are open, to send at once takes more than to send by the clock.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FEW: i64 = 32;

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

    /// What the connection has found out.
    pub(super) fn learn(&self, is_full: bool) {
        let was_full = self.0.is_full.swap(is_full, Ordering::AcqRel);
        if was_full && !is_full {
            self.0.reply.wake();
        }
    }
}

/// What ends in a socket of the kernel's.
pub(super) trait HasRoom {
    /// Ready when more can be written.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl HasRoom for TcpStream {
    /// Ready when a third of the kernel's buffer and half of [`UNSENT`] are free. Tokio takes a socket for writable until
    /// something does not fit, so the kernel is asked, who tells tokio when there is room again.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let asked = self.try_io(Interest::WRITABLE, || match is_writable(self) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        match asked {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => self.poll_write_ready(context),
        }
    }
}

impl HasRoom for TlsStream<TcpStream> {
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_room(context)
    }
}

/// Where the kernel does not say, because a signal comes between, a write will show.
fn is_writable(stream: &TcpStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())).map_or(true, |writable| writable > 0)
}

/// Sets up a caller's connection, beside which so many others are open.
pub(super) fn prepare(stream: &TcpStream, others: i64) {
    // Small replies must not wait for the kernel to fill a packet.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let socket = socket2::SockRef::from(stream);
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
        // Where the system's is BBR, which suits a network, it would set a timer for each packet.
        if others < FEW && is_of_this_machine(stream) {
            let _ = socket.set_tcp_congestion(UNTIMED.as_bytes());
        }
    }
}

/// Whether what is sent stays on this machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_of_this_machine(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(here), Ok(there)) => here.ip() == there.ip(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::patient::{Busy, Patient};
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    static PIECE: [u8; 100_000] = [7; 100_000];

    async fn pair() -> (Patient<TcpStream>, Room, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, room) = (listener.accept().await.unwrap().0, Room::default());
        prepare(&stream, 0);
        (Patient::new(stream, Busy::default(), room.clone()), room, caller)
    }

    #[tokio::test]
    async fn more_is_asked_for_when_there_is_room() {
        let (mut socket, room, mut caller) = pair().await;
        let mut held = 0;
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn callers_elsewhere_and_crowds_are_sent_to_as_the_system_says() {
        let control = |socket: socket2::SockRef<'_>| String::from_utf8(socket.tcp_congestion().unwrap()).unwrap();
        // From 127.0.0.1: the other is another address, as if it were another machine's.
        for (address, others, at_once) in
            [("127.0.0.1:0", 0, true), ("127.0.0.1:0", FEW, false), ("127.0.0.2:0", 0, false)]
        {
            let listener = TcpListener::bind(address).await.unwrap();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let _caller = socket.connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            prepare(&stream, others);
            let expected = if at_once { UNTIMED.to_owned() } else { control((&listener).into()) };
            assert_eq!(control((&stream).into()).trim_end_matches('\0'), expected.trim_end_matches('\0'));
        }
    }

    #[tokio::test]
    async fn who_has_gone_ends_the_wait() {
        let (mut socket, _, caller) = pair().await;
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
