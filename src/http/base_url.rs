//! What links begin with: as the operator says, else as the request came.
//!
//! Must not believe what a header says of the way, unless it comes from a proxy that the operator trusts.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, OriginalUri};
use http::header::HOST;
use http::request::Parts;
use ipnet::IpNet;

use super::extract::App;

/// Without a slash at its end, such as `https://easel.example/pictures`; `None` if the request does not say.
pub(super) fn base_url(app: &App, parts: &Parts) -> Option<String> {
    if let Some(url) = &app.delivery.links.base_url {
        return Some(url.clone());
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let trusted = peer.is_some_and(|peer| is_trusted(&app.delivery.trusted_proxies, peer));
    let forwarded = |name: &str| {
        let value = parts.headers.get(name).filter(|_| trusted)?.to_str().ok()?;
        // The first is what the caller's own request said.
        Some(value.split(',').next().unwrap_or_default().trim()).filter(|value| !value.is_empty())
    };
    let scheme = forwarded("x-forwarded-proto").filter(|proto| ["http", "https"].contains(proto));
    let own = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    // HTTP/1.0 has no Host; an absolute URI stands in for it.
    let own = own.or(parts.uri.authority().map(http::uri::Authority::as_str));
    let host = forwarded("x-forwarded-host").or(own).filter(|host| is_host(host))?;
    // The root path is taken off before a handler sees it.
    let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path());
    let prefix = match forwarded("x-forwarded-prefix").filter(|prefix| is_path(prefix)) {
        Some(prefix) => prefix.trim_end_matches('/'),
        None => app.root_path.as_deref().filter(|root| is_below(path, root)).unwrap_or_default(),
    };
    Some([scheme.unwrap_or(app.scheme), "://", host, prefix].concat())
}

fn is_trusted(proxies: &[IpNet], peer: IpAddr) -> bool {
    // An IPv4 peer of a socket for both.
    let peer = peer.to_canonical();
    proxies.iter().any(|network| network.contains(&peer))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "/.-_~".contains(c))
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}
