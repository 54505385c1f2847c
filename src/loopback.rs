//! Which host names mean this machine and no other.
//!
//! Must not ask a resolver: a name that somebody else may point here is not this machine's.

use std::net::IpAddr;

/// Whether `host`, with or without a port, is `localhost` or a loopback address (`[::1]` in brackets).
pub fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for host in ["localhost", "LOCALHOST:4000", "127.0.0.1", "127.0.0.2:80", "[::1]", "[::1]:4000"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["", "127.evil.example", "localhost.evil.example", "192.168.1.2:4000", "[2001:db8::1]", "0.0.0.0"] {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
