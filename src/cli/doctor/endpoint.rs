//! Whether the endpoint is there, and what time it is there.
//!
//! Must not know who signs.

use std::time::Duration;

use super::{Check, State};
use crate::bedrock::{Client, Reach, Skew};

/// A clock that is off by more is worth a warning.
const MUCH: Duration = Duration::from_secs(60);

/// A clock that is off by more makes AWS refuse signatures.
const TOO_MUCH: Duration = Duration::from_secs(5 * 60);

const UNREACHED: &str = "Check the region, the network and the firewall, HTTPS_PROXY and NO_PROXY, or in a private \
                         network the VPC endpoint for bedrock-runtime";

/// The checks, and whether it answers at all.
pub(super) async fn check(client: &Client, endpoint: &str) -> (Vec<Check>, bool) {
    match client.reach(endpoint).await {
        Ok(reach) => (rows(&reach), reach.answered.is_ok()),
        Err(why) => (vec![Check::new("name", State::Failure, why).remedy(UNREACHED)], false),
    }
}

/// Where the client that paints gets an answer, it does not matter that nobody comes through without its proxy.
fn rows(reach: &Reach) -> Vec<Check> {
    let Reach { host, encrypted, resolved, connected, answered } = reach;
    let by_proxy = answered.is_ok();
    let failed = |what, why: String| match by_proxy {
        true => Check::new(what, State::Note, format!("not without the proxy: {why}")),
        false => Check::new(what, State::Failure, why).remedy(UNREACHED),
    };
    let name = match resolved {
        Ok((1, took)) => Check::new("name", State::Well, format!("{host} has 1 address")).took(*took),
        Ok((count, took)) => Check::new("name", State::Well, format!("{host} has {count} addresses")).took(*took),
        Err(why) => failed("name", format!("{host} has no address: {why}")),
    };
    let mut rows = vec![name];
    if resolved.is_ok() {
        rows.push(match connected {
            Ok(((), took)) => Check::new("connect", State::Well, "it takes connections").took(*took),
            Err(why) => failed("connect", format!("no connection to {host}: {why}")),
        });
    }
    match answered {
        Ok((skew, took)) => {
            let says =
                if *encrypted { "it answers, by a certificate that is trusted" } else { "it answers, without TLS" };
            rows.push(Check::new("tls", State::Well, says).took(*took));
            rows.push(clock(*skew));
        }
        // Without a connection there is nothing more to say.
        Err(_) if connected.is_err() => {}
        Err(why) => rows.push(no_answer(why, *encrypted)),
    }
    rows
}

fn no_answer(why: &str, encrypted: bool) -> Check {
    let certificate = encrypted && why.contains("certificate");
    let remedy = match certificate {
        true => {
            "If a proxy or an endpoint of your own signs with its own authority, put that into AWS_CA_BUNDLE (a PEM \
             file); in a container, mount it too"
        }
        false => UNREACHED,
    };
    let says = if certificate { "its certificate is not trusted" } else { "no answer" };
    Check::new("tls", State::Failure, format!("{says}: {why}")).remedy(remedy)
}

fn clock(skew: Option<Skew>) -> Check {
    let Some(skew) = skew else { return Check::new("clock", State::Note, "the endpoint does not tell the time") };
    let by = skew.size().as_secs();
    let says = match skew {
        Skew::Ahead(_) => format!("this machine's clock is {by} s ahead of the endpoint's"),
        Skew::Behind(_) => format!("this machine's clock is {by} s behind the endpoint's"),
    };
    let remedy = "Set the clock by the network: timedatectl set-ntp true. AWS refuses signatures that are more than 5 \
                  minutes off";
    match skew.size() {
        size if size > TOO_MUCH => Check::new("clock", State::Failure, says).remedy(remedy),
        size if size > MUCH => Check::new("clock", State::Warning, says).remedy(remedy),
        _ => Check::new("clock", State::Well, "right"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_a_minute() {
        let state = |seconds| clock(Some(Skew::Behind(Duration::from_secs(seconds)))).state;
        assert_eq!([0, 60, 61, 300, 301].map(state), {
            use State::{Failure, Warning, Well};
            [Well, Well, Warning, Warning, Failure]
        });
        assert_eq!(clock(None).state, State::Note);
    }

    #[test]
    fn behind_a_proxy_only_the_last_step_counts() {
        let took = Duration::from_millis(5);
        let reach =
            |resolved, connected, answered| Reach { host: "x".into(), encrypted: true, resolved, connected, answered };
        let states = |reach: Reach| rows(&reach).iter().map(|row| (row.what, row.state)).collect::<Vec<_>>();
        use State::{Failure, Note, Well};
        let no = || "no".to_owned();
        let behind = states(reach(Err(no()), Err(no()), Ok((None, took))));
        assert_eq!(behind, [("name", Note), ("tls", Well), ("clock", Note)]);
        assert_eq!(states(reach(Err(no()), Err(no()), Err(no()))), [("name", Failure)]);
        let refused = states(reach(Ok((1, took)), Err(no()), Err(no())));
        assert_eq!(refused, [("name", Well), ("connect", Failure)]);
        let silent = states(reach(Ok((1, took)), Ok(((), took)), Err(no())));
        assert_eq!(silent, [("name", Well), ("connect", Well), ("tls", Failure)]);
    }
}
