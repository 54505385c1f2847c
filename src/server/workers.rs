//! Threads that answer callers, each with a runtime of its own: what a request passes through stays on one core, as with
//! nginx's workers. Where threads take over each other's work, a small reply takes up to 40 % more CPU, for what both use
//! has to go from one core's cache to the other's.
//!
//! Must not know what is answered.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::LAST_WORDS;

/// Sockets a thread asks the kernel about at once. Those that few of them wake are done with while what they read is in the
/// cache: with a thousand in flight a picture of 0.1 MB takes 8 % less CPU than with tokio's 1,024.
const SOCKETS_AT_ONCE: usize = 8;

/// See above. Dropped, they end what is under way.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Held by each of its connections, too.
    taken: Arc<()>,
    thread: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

/// One connection's place at a worker, until it is dropped.
pub(super) struct Seat {
    runtime: Handle,
    taken: Arc<()>,
}

impl Seat {
    /// Does this there, and is taken as long as it takes.
    pub(super) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        let Self { runtime, taken } = self;
        #[expect(clippy::disallowed_methods, reason = "it ends with its caller, and is waited for when Easel stops")]
        runtime.spawn(async move {
            work.await;
            drop(taken);
        });
    }
}

impl Workers {
    /// Starts so many. With none the runtime that this is called on does all the work, its time too: so do tests.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        if count == 0 {
            return Ok(Self(vec![Worker { runtime: Handle::current(), taken: Arc::default(), thread: None }]));
        }
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// A place where there are fewest connections.
    pub(super) fn seat(&self) -> Seat {
        let freest = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.taken));
        #[expect(clippy::expect_used, reason = "there is one at the least")]
        let Worker { runtime, taken, .. } = freest.expect("a worker");
        Seat { runtime: runtime.clone(), taken: taken.clone() }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_io_events_per_tick(SOCKETS_AT_ONCE).build()?;
        let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel());
        let work = move || {
            // Dropped counts as told.
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(LAST_WORDS);
        };
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
        Ok(Self { runtime: handle, taken: Arc::default(), thread: Some((end, thread)) })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // All are told before any is waited for.
        let threads = self.0.iter_mut().filter_map(|worker| worker.thread.take());
        let threads: Vec<_> = threads.map(|(end, thread)| (end.send(()), thread)).collect();
        for (_, thread) in threads {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_and_stay() {
        let workers = Workers::start(2).unwrap();
        let thread = |seat: &Seat| {
            let (tell, told) = std::sync::mpsc::channel();
            #[expect(clippy::disallowed_methods, reason = "it ends at once")]
            seat.runtime.spawn(async move { tell.send(thread::current().id()) });
            told.recv().unwrap()
        };
        let (first, second) = (workers.seat(), workers.seat());
        assert_ne!(thread(&first), thread(&second));
        let freed = thread(&first);
        drop(first);
        assert_eq!(thread(&workers.seat()), freed);
    }
}
