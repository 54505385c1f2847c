//! The headers that tell what was planned: who paints, with which seed, what was mapped or ignored, at what price.
//!
//! Must not say what only the end of the reply will show.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::router::{Arrivals, Painting};

/// A reply has about so many, with those that come after the plan's.
const HEADERS: usize = 12;

/// Callers' words are cut at this many bytes.
const MAX_VALUE: usize = 1024;

/// Headers for a reply that is about to stream, as far as its paintings have come.
pub(super) fn plan_headers(arrivals: &Arrivals) -> HeaderMap {
    let paintings: Vec<&Painting> = arrivals.paintings().collect();
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let mut put = |name: &'static str, value: String| {
        if !value.is_empty() {
            headers.insert(HeaderName::from_static(name), printable(value));
        }
    };
    put("x-litellm-model-id", distinct(paintings.iter().map(|p| p.deployment.id.as_str()), ","));
    put("x-easel-model", distinct(paintings.iter().map(|p| p.deployment.model.id.as_str()), ","));
    let seeds: Vec<_> = paintings.iter().filter_map(|p| Some(p.request.seed?.to_string())).collect();
    put("x-easel-seed", seeds.join(","));
    put("x-easel-mapped", distinct(paintings.iter().flat_map(|p| &p.request.mapped).map(String::as_str), ", "));
    put("x-easel-ignored", distinct(paintings.iter().flat_map(|p| &p.request.ignored).map(String::as_str), ", "));
    if paintings.iter().any(|p| p.deployment.mock) {
        put("x-easel-mock", "true".into());
    }
    let queued = paintings.iter().map(|p| p.queued.as_millis()).max().unwrap_or_default();
    put("x-easel-queue-ms", if queued > 0 { queued.to_string() } else { String::new() });
    let cost = paintings.iter().map(|p| p.price(p.part.count.into())).sum::<Option<f64>>();
    // What is still to come will cost too.
    if let Some(usd) = cost.filter(|_| arrivals.is_complete()) {
        put("x-litellm-response-cost", dollars(usd));
        // Pictures of one call that are filtered are not known before its end.
        if paintings.iter().any(|p| p.part.count > 1) {
            put("x-easel-cost-estimated", "true".into());
        }
    }
    headers
}

/// Dollars without trailing zeros, such as `0.04`.
fn dollars(usd: f64) -> String {
    let text = format!("{usd:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>, separator: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.join(separator)
}

/// A header value of printable ASCII, other characters escaped, cut at 1 KB.
fn printable(text: String) -> HeaderValue {
    let is_printable = |c: char| matches!(c, ' '..='~');
    if text.len() <= MAX_VALUE && text.chars().all(is_printable) {
        return HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    }
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            value.push(c);
        } else {
            value.extend(c.escape_unicode());
        }
        if value.len() >= MAX_VALUE {
            value.truncate(MAX_VALUE);
            break;
        }
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printable_and_bounded() {
        assert_eq!(printable("size=é\n->x".into()), r"size=\u{e9}\u{a}->x");
        assert_eq!(printable("size=1:1, ~".into()), "size=1:1, ~");
        assert_eq!(printable("é".repeat(1000)).len(), MAX_VALUE);
        assert_eq!(printable("e".repeat(2000)).len(), MAX_VALUE);
        assert_eq!((dollars(0.04), dollars(0.3), dollars(2.0)), ("0.04".into(), "0.3".into(), "2".into()));
    }
}
