//! Whether an endpoint is there: its name, a connection, an answer over TLS; how long each takes, and what time it is there.
//!
//! Must not show a key: nothing that is sent here is signed.

use std::time::{Duration, SystemTime};

use http::header::DATE;
use time::PrimitiveDateTime;
use time::macros::format_description;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::Client;

/// A step that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a step came to, and how long it took; or why it failed, in words.
pub type Step<T> = Result<(T, Duration), String>;

/// How far it goes. Each step is tried whatever came of the one before: behind a proxy only the last succeeds.
#[derive(Debug)]
pub struct Reach {
    /// The host that was looked for.
    pub host: String,
    /// Whether the answer comes over TLS.
    pub encrypted: bool,
    /// How many addresses the name has.
    pub resolved: Step<usize>,
    /// A connection without a proxy.
    pub connected: Step<()>,
    /// An answer by the client that paints, whatever it says; with how far this machine's clock is ahead of it.
    pub answered: Step<Option<Skew>>,
}

/// How far a clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// It is later here than there.
    Ahead(Duration),
    /// It is earlier here than there.
    Behind(Duration),
}

impl Skew {
    fn between(here: SystemTime, there: SystemTime) -> Self {
        match here.duration_since(there) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    /// By how much, either way.
    pub fn size(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }
}

impl Client {
    /// Tries an endpoint, without a signature and without a model.
    pub async fn reach(&self, endpoint: &str) -> Result<Reach, String> {
        let url = reqwest::Url::parse(endpoint).map_err(|_| format!("'{endpoint}' is no URL"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let look = async {
            let found = lookup_host((&*host, port)).await.map_err(|error| error.to_string())?;
            Ok(found.count())
        };
        let resolved = timed(look).await;
        let connect = async { TcpStream::connect((&*host, port)).await.map(drop).map_err(|error| error.to_string()) };
        let connected = timed(connect).await;
        // Made before the watch runs: reading the certificates takes longer than many an answer.
        let http = self.http(&url).map_err(|error| error.detail)?;
        let ask = async {
            let answer = http.get(url.clone()).send().await.map_err(|error| super::chain(&error))?;
            let there = answer.headers().get(DATE).and_then(|date| read(date.to_str().ok()?));
            Ok(there.map(|there| Skew::between(self.clock.now(), there)))
        };
        let answered = timed(ask).await;
        Ok(Reach { encrypted: url.scheme() == "https", host, resolved, connected, answered })
    }
}

async fn timed<T>(step: impl Future<Output = Result<T, String>>) -> Step<T> {
    let begun = Instant::now();
    let outcome = timeout(PATIENCE, step).await.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    outcome.map(|value| (value, begun.elapsed()))
}

/// A date as HTTP writes it: `Sun, 22 Nov 2026 12:00:00 GMT`.
fn read(date: &str) -> Option<SystemTime> {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    Some(PrimitiveDateTime::parse(date, form).ok()?.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn dates_are_https_own() {
        let noon: SystemTime = datetime!(2026-11-22 12:00 UTC).into();
        assert_eq!(read("Sun, 22 Nov 2026 12:00:00 GMT"), Some(noon));
        for odd in ["", "2026-11-22", "Sun, 22 Nov 2026 12:00:00 +0000"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(Skew::between(noon, noon + PATIENCE), Skew::Behind(PATIENCE));
        assert_eq!(Skew::between(noon + PATIENCE, noon), Skew::Ahead(PATIENCE));
    }
}
