//! What a Bedrock API key says of itself, without asking AWS: kind, region, expiry.
//!
//! Must not keep the key or call anyone.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// A key's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKey {
    /// `ABSK…`: the secret of an IAM service-specific credential; works in every region until it is deleted or expires.
    LongTerm,
    /// `bedrock-api-key-…`: a presigned URL in base64; works in one region, for 12 hours at most.
    ShortTerm {
        /// The only region that takes it.
        region: String,
        /// When it was made.
        made: SystemTime,
        /// Until when. The session behind it may end sooner.
        expires: SystemTime,
    },
    /// Begins like a short-term key and cannot be read: cut off or changed on its way.
    Malformed,
    /// None of these. AWS will most likely refuse it.
    Unknown,
}

impl ApiKey {
    /// Reads a key.
    pub fn read(key: &str) -> Self {
        if key.starts_with("ABSK") {
            return Self::LongTerm;
        }
        match key.strip_prefix("bedrock-api-key-") {
            Some(encoded) => short_term(encoded).unwrap_or(Self::Malformed),
            None => Self::Unknown,
        }
    }

    /// The only region that takes it, if there is but one.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::ShortTerm { region, .. } => Some(region),
            Self::LongTerm | Self::Malformed | Self::Unknown => None,
        }
    }

    /// How long it still lives at `now`, if it says so; nothing once it has expired.
    pub fn left(&self, now: SystemTime) -> Option<std::time::Duration> {
        match self {
            Self::ShortTerm { expires, .. } => Some(expires.duration_since(now).unwrap_or_default()),
            Self::LongTerm | Self::Malformed | Self::Unknown => None,
        }
    }

    /// Whether it has expired at `now`.
    pub fn expired(&self, now: SystemTime) -> bool {
        matches!(self, Self::ShortTerm { expires, .. } if *expires <= now)
    }

    /// In words for a log line, such as `short-term key for us-east-1, expires 2026-11-23 00:00 UTC`.
    pub fn describe(&self, now: SystemTime) -> String {
        match self {
            Self::LongTerm => "long-term key".into(),
            Self::ShortTerm { region, expires, .. } => {
                let verb = if *expires <= now { "expired" } else { "expires" };
                format!("short-term key for {region}, {verb} {}", utc(*expires))
            }
            Self::Malformed => "short-term key that cannot be read".into(),
            Self::Unknown => "key of an unknown kind".into(),
        }
    }
}

/// A time as `2026-11-23 00:00 UTC`.
pub fn utc(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

fn short_term(encoded: &str) -> Option<ApiKey> {
    let url = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (_, query) = url.split_once('?')?;
    let parameter = |name: &str| {
        let raw = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        percent_encoding::percent_decode_str(raw).decode_utf8().ok()
    };
    // AKID/20261122/us-west-2/bedrock/aws4_request
    let region = parameter("X-Amz-Credential")?.split('/').nth(2)?.to_owned();
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = PrimitiveDateTime::parse(&parameter("X-Amz-Date")?, format).ok()?.assume_utc();
    let life = Duration::seconds(parameter("X-Amz-Expires")?.parse().ok()?);
    Some(ApiKey::ShortTerm { region, made: date.into(), expires: date.checked_add(life)?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn reads_every_vector() {
        let file = include_str!("../tests/fixtures/sigv4-and-api-keys.json");
        let vectors: serde_json::Value = serde_json::from_str(file).unwrap();
        let minted: SystemTime = datetime!(2026-11-22 12:00 UTC).into();
        let tokens = vectors["tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), 4);
        for vector in tokens {
            let life = std::time::Duration::from_secs(vector["expires"].as_u64().unwrap());
            let region = vector["region"].as_str().unwrap().to_owned();
            let key = ApiKey::read(vector["token"].as_str().unwrap());
            assert_eq!(key, ApiKey::ShortTerm { region, made: minted, expires: minted + life });
            assert_eq!((key.left(minted), key.left(minted + 2 * life)), (Some(life), Some(Default::default())));
            assert!(!key.expired(minted) && key.expired(minted + life));
        }
    }

    #[test]
    fn says_what_it_is() {
        let now: SystemTime = datetime!(2026-11-22 12:00 UTC).into();
        assert_eq!(ApiKey::read("ABSKexample").describe(now), "long-term key");
        for odd in ["", "sk-xxxxx"] {
            assert_eq!(ApiKey::read(odd), ApiKey::Unknown, "{odd}");
        }
        for cut in ["bedrock-api-key-", "bedrock-api-key-%%", "bedrock-api-key-aGVsbG8="] {
            assert_eq!(ApiKey::read(cut), ApiKey::Malformed, "{cut}");
        }
        let (made, expires) = (datetime!(2026-11-22 10:00 UTC).into(), datetime!(2026-11-22 11:00 UTC).into());
        let key = ApiKey::ShortTerm { region: "us-east-1".into(), made, expires };
        assert_eq!(key.describe(now), "short-term key for us-east-1, expired 2026-11-22 11:00 UTC");
    }
}
