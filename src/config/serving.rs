//! How much is taken on at once, and how Easel stops.
//!
//! Must not know an address: that is the command line's.

use std::time::Duration;

use super::section::{Field, Reader, Section};

/// See above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Requests for pictures that may be under way at once (default 1000).
    pub max_in_flight: u32,
    /// The same for one caller, if he has a bound of his own.
    pub max_in_flight_per_caller: Option<u32>,
    /// Connections that may be open at once (default 10000).
    pub max_connections: u32,
    /// How long Easel goes on taking requests when it is told to stop; where nobody says, as long as whoever asks for
    /// its readiness needs to notice.
    pub grace: Option<Duration>,
    /// How long requests under way may take to end after that (default 330 s).
    pub deadline: Duration,
}

/// Half a gigabyte of memory with the largest pictures and slow readers.
const MAX_IN_FLIGHT: u32 = 1000;

const MAX_CONNECTIONS: u32 = 10_000;

/// The longest silence of Bedrock, and time to hand the picture over.
const DEADLINE: Duration = Duration::from_secs(330);

impl Default for Serving {
    fn default() -> Self {
        Self {
            max_in_flight: MAX_IN_FLIGHT,
            max_in_flight_per_caller: None,
            max_connections: MAX_CONNECTIONS,
            grace: None,
            deadline: DEADLINE,
        }
    }
}

/// Reads it; LiteLLM's bounds count where Easel's are absent.
pub(super) fn read(general: &mut Section, easel: &mut Section, reader: &mut Reader) -> Serving {
    let usual = Serving::default();
    let total = super::routing::parallel(easel.take("max_in_flight"), reader);
    let per_caller = super::routing::parallel(easel.take("max_in_flight_per_caller"), reader);
    let [global, worker, own] =
        ["global_max_parallel_requests", "max_in_flight_requests_per_worker", "max_parallel_requests"]
            .map(|key| of_litellm(general.take(key), reader));
    let connections = super::routing::parallel(easel.take("max_connections"), reader);
    let mut shutdown = reader.section(easel, "shutdown");
    let mut seconds = |key| {
        let accepts = |seconds: f64| (0.0..=86_400.0).contains(&seconds);
        let seconds = reader.number(shutdown.take(key), "seconds from 0 to 86400", accepts);
        seconds.map(Duration::from_secs_f64)
    };
    let (grace, deadline) = (seconds("grace"), seconds("deadline"));
    super::delivery::rest(shutdown, reader);
    Serving {
        max_in_flight: total.or(global).or(worker).unwrap_or(usual.max_in_flight),
        max_in_flight_per_caller: per_caller.or(own),
        max_connections: connections.unwrap_or(usual.max_connections),
        grace,
        deadline: deadline.unwrap_or(usual.deadline),
    }
}

/// A bound of LiteLLM's, where 0 stands for none.
fn of_litellm(field: Option<Field>, reader: &mut Reader) -> Option<u32> {
    let accepts = |most: f64| most.fract() == 0.0 && (0.0..=100_000.0).contains(&most);
    let most = reader.number(field, "a whole number from 1 on, or 0 for no bound", accepts)?;
    u32::try_from(super::routing::whole(most)).ok().filter(|most| *most > 0)
}
