//! Who is calling, and from where, when there is no key worth the name.
//!
//! Must not know a route or an answer's form.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::loopback::names_this_machine;

/// Keys that stand in documentation: everybody knows them, so they protect nothing.
const PUBLISHED: [&str; 2] = ["sk-1234", "sk-test-1234567890"];

/// The rules at the door.
#[derive(Debug)]
pub struct Door {
    key: Option<SecretString>,
    /// Who shows it and names no user.
    holder: Option<CallerId>,
    /// The operator serves beyond loopback although the key is weak.
    permit_weak: bool,
}

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No key was shown.
    NoKey,
    /// The key is not the right one.
    WrongKey,
    /// The request was made to a name that is not loopback's (a web page may have rebound its own).
    ForeignHost,
    /// The request was made by a web page of another origin.
    ForeignOrigin,
}

/// Whoever shows the same key, for the same user: a digest in hexadecimal, which tells nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(Arc<str>);

impl CallerId {
    /// The caller with this key, and the values of the headers that name the user.
    pub fn new<'a>(key: &'a str, users: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in [key.as_bytes()].into_iter().chain(users) {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        Self(hex::encode(hasher.finalize()).into())
    }

    /// The same at an address, where that is all that tells callers apart.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Self {
        Self::new(&self.0, [address.to_canonical().to_string().as_bytes()])
    }

    /// The digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Door {
    /// The door that this key opens.
    pub fn new(key: Option<SecretString>, permit_weak: bool) -> Self {
        let holder = key.as_ref().map(|key| CallerId::new(key.expose_secret(), []));
        Self { key, holder, permit_weak }
    }

    /// Whether nobody has to show a key.
    pub fn is_open(&self) -> bool {
        self.key.is_none()
    }

    /// Whether there is no key, or one that everybody knows.
    pub fn is_weak(&self) -> bool {
        self.key.as_ref().is_none_or(|key| PUBLISHED.contains(&key.expose_secret()))
    }

    /// Whether Easel may listen on this address.
    pub fn may_listen(&self, address: IpAddr) -> bool {
        !self.is_weak() || self.permit_weak || address.is_loopback()
    }

    /// Judges the key that a caller shows. In constant time.
    pub fn admit(&self, shown: Option<&str>) -> Result<(), Rejection> {
        let Some(key) = &self.key else { return Ok(()) };
        let shown = shown.filter(|shown| !shown.is_empty()).ok_or(Rejection::NoKey)?;
        let same: bool = shown.as_bytes().ct_eq(key.expose_secret().as_bytes()).into();
        if same { Ok(()) } else { Err(Rejection::WrongKey) }
    }

    /// Who has been let in with this key, and names these users.
    pub fn caller<'a>(&self, shown: Option<&'a str>, users: impl IntoIterator<Item = &'a [u8]>) -> CallerId {
        let mut users = users.into_iter().peekable();
        match &self.holder {
            Some(holder) if users.peek().is_none() => holder.clone(),
            _ => CallerId::new(shown.unwrap_or_default(), users),
        }
    }

    /// With a weak key no web page may spend: judges the `Host` and `Origin` headers.
    pub fn check_origin(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Rejection> {
        if !self.is_weak() {
            return Ok(());
        }
        let host = host.unwrap_or_default();
        if !self.permit_weak && !names_this_machine(host) {
            return Err(Rejection::ForeignHost);
        }
        let own =
            |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        if origin.is_none_or(own) { Ok(()) } else { Err(Rejection::ForeignOrigin) }
    }
}

/// The key in a header's value. `Authorization` needs its scheme; other headers may have it.
pub fn key_in<'a>(header: &str, value: &'a str) -> &'a str {
    let value = value.trim();
    let bearer = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    match (bearer, header.eq_ignore_ascii_case("authorization")) {
        (Some(_), _) => value[7..].trim(),
        (None, true) => "",
        (None, false) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(key: Option<&str>) -> Door {
        Door::new(key.map(SecretString::from), false)
    }

    #[test]
    fn keys_are_judged() {
        let door = door(Some("sk-own-key-1"));
        assert_eq!(door.admit(Some("sk-own-key-1")), Ok(()));
        for wrong in ["sk-own-key-2", "sk-own-key-1x", "SK-OWN-KEY-1"] {
            assert_eq!(door.admit(Some(wrong)), Err(Rejection::WrongKey), "{wrong}");
        }
        assert_eq!((door.admit(None), door.admit(Some(""))), (Err(Rejection::NoKey), Err(Rejection::NoKey)));
        assert_eq!(self::door(None).admit(None), Ok(()));
    }

    #[test]
    fn keys_stand_in_headers_with_and_without_a_scheme() {
        for (header, value, key) in [
            ("authorization", "Bearer sk-1", "sk-1"),
            ("Authorization", " bearer  sk-1 ", "sk-1"),
            ("authorization", "sk-1", ""),
            ("authorization", "Basic eDp5", ""),
            ("authorization", "Bearer", ""),
            ("x-litellm-api-key", "Bearer sk-1", "sk-1"),
            ("api-key", "sk-1", "sk-1"),
            ("api-key", "né", "né"),
        ] {
            assert_eq!(key_in(header, value), key, "{header}: {value}");
        }
    }

    #[test]
    fn weak_doors_open_to_loopback_only() {
        for key in [None, Some("sk-1234"), Some("sk-test-1234567890")] {
            let door = door(key);
            assert!(door.may_listen([127, 0, 0, 1].into()) && !door.may_listen([0, 0, 0, 0].into()));
            for host in ["localhost", "localhost:4000", "127.0.0.1:4000", "[::1]:4000"] {
                assert_eq!(door.check_origin(Some(host), None), Ok(()), "{host}");
            }
            for host in ["evil.example", "192.168.1.2:4000", "localhost.evil.example", ""] {
                assert_eq!(door.check_origin(Some(host), None), Err(Rejection::ForeignHost), "{host}");
            }
            assert_eq!(door.check_origin(Some("localhost:4000"), Some("http://localhost:4000")), Ok(()));
            for origin in ["https://evil.example", "null", "http://localhost:3000"] {
                assert_eq!(door.check_origin(Some("localhost:4000"), Some(origin)), Err(Rejection::ForeignOrigin));
            }
        }
    }

    #[test]
    fn the_operator_may_open_a_weak_door_to_hosts_but_not_to_pages() {
        let door = Door::new(None, true);
        assert!(door.may_listen([0, 0, 0, 0].into()));
        assert_eq!(door.check_origin(Some("easel:4000"), None), Ok(()));
        assert_eq!(door.check_origin(Some("easel:4000"), Some("https://evil.example")), Err(Rejection::ForeignOrigin));
        let own = Door::new(Some("sk-own".into()), false);
        assert!(own.may_listen([0, 0, 0, 0].into()));
        assert_eq!(own.check_origin(Some("easel.example"), Some("https://other.example")), Ok(()));
    }
}
