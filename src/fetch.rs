//! Fetches pictures that callers name by link, from hosts that the operator has opened.
//!
//! Must not reach the operator's own network: addresses are checked after names are resolved, and redirects are not
//! followed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

/// A fetch takes no longer, from the first packet to the last byte.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a picture was not fetched, in words for its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// The operator has not opened this host.
    #[error("its host is not among those that pictures are fetched from. Send the file, or a data URL")]
    Closed,
    /// The name leads to an address that is not public.
    #[error("its host is no public address. Send the file, or a data URL")]
    Private,
    /// The host did not answer with a picture.
    #[error("it cannot be fetched: {0}. Send the file, or a data URL")]
    Failed(String),
}

/// Fetches from these hosts.
#[derive(Clone, Debug)]
pub struct Fetcher {
    hosts: Vec<String>,
    client: Option<Client>,
}

impl Fetcher {
    /// A fetcher for hosts by name, `*.example.com` for all below one, or by address. With none it fetches nothing.
    pub fn new(hosts: Vec<String>) -> Self {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(5))
            .dns_resolver(PublicOnly)
            .no_proxy()
            .user_agent(concat!("easel/", env!("CARGO_PKG_VERSION")));
        let client = if hosts.is_empty() { None } else { builder.build().ok() };
        Self { hosts, client }
    }

    /// Begins to fetch a picture: the reply, if there is one of status 200.
    pub async fn fetch(&self, link: &str) -> Result<Fetched, NotFetched> {
        let url = Url::parse(link).map_err(|_| NotFetched::Failed("it is no URL".into()))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let (true, Some(client)) = (self.opens(&host), &self.client) else { return Err(NotFetched::Closed) };
        let answer = client.get(url).send().await.map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => Ok(Fetched(answer)),
            status => Err(NotFetched::Failed(format!("its host answers with status {status}"))),
        }
    }

    /// Whether the operator has named this host. An address counts only where it is named as such.
    fn opens(&self, host: &str) -> bool {
        self.hosts.iter().any(|open| match open.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below) && host.parse::<IpAddr>().is_err(),
            None => open == host,
        })
    }
}

/// A picture on its way.
#[derive(Debug)]
pub struct Fetched(reqwest::Response);

impl Fetched {
    /// The next bytes; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, NotFetched> {
        self.0.chunk().await.map_err(|error| failed(&error))
    }
}

fn failed(error: &reqwest::Error) -> NotFetched {
    let causes = || std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if causes().any(|cause| cause.to_string() == PRIVATE) {
        return NotFetched::Private;
    }
    let why = if error.is_timeout() {
        "it takes too long"
    } else if error.is_connect() {
        "its host does not answer"
    } else {
        "it breaks off"
    };
    NotFetched::Failed(why.into())
}

const PRIVATE: &str = "no address of this name is public";

/// Resolves names to public addresses only. What is connected to is what was checked.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = all.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::other(PRIVATE).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the internet at large.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            // Global unicast is 2000::/3; documentation and Teredo lie within it.
            None => address.segments()[0] & 0xe000 == 0x2000 && !matches!(address.segments(), [0x2001, 0 | 0xdb8, ..]),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let special = matches!((a, b, c), (0, ..) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _) | (240.., ..));
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || shared
        || special)
}

/// The IPv4 address within an IPv6 one: mapped, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_at_large_is_public() {
        for address in
            ["8.8.8.8", "99.255.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn hosts_are_opened_by_name() {
        let fetcher = Fetcher::new(vec!["cdn.example.com".into(), "*.images.example".into(), "127.0.0.1".into()]);
        for host in ["cdn.example.com", "a.images.example", "a.b.images.example", "127.0.0.1"] {
            assert!(fetcher.opens(host), "{host}");
        }
        for host in ["example.com", "xcdn.example.com", "images.example", ".images.example", "127.0.0.2", "::1", ""] {
            assert!(!fetcher.opens(host), "{host}");
        }
    }

    #[tokio::test]
    async fn names_that_lead_inside_are_refused() {
        let fetcher = Fetcher::new(vec!["localhost".into()]);
        assert_eq!(fetcher.fetch("http://localhost:9/a.png").await.unwrap_err(), NotFetched::Private);
        assert_eq!(fetcher.fetch("http://elsewhere.example/a.png").await.unwrap_err(), NotFetched::Closed);
        assert_eq!(Fetcher::new(Vec::new()).fetch("http://localhost/").await.unwrap_err(), NotFetched::Closed);
    }
}
