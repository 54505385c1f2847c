//! AWS Signature Version 4 from the verifier's side, written anew on SHA-256 alone.
//! It must not lean on the signing crate that the client uses: a mistake shared would cancel out.
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What a path keeps as it is when it is encoded once more.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The block of SHA-256, which HMAC pads its key to.
const BLOCK: usize = 64;

/// Where and when a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// An `Authorization: AWS4-HMAC-SHA256 …` header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) scope: Scope<'a>,
    pub(super) headers: Vec<&'a str>,
    pub(super) signature: &'a str,
}

impl<'a> Signed<'a> {
    /// Takes the header's value after the name of the algorithm.
    pub(super) fn parse(parameters: &'a str) -> Option<Self> {
        let find = |name: &str| {
            let mut all = parameters.split(',').filter_map(|part| part.trim().split_once('='));
            all.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let (access_key_id, scope) = credential(find("Credential")?, '/')?;
        let headers = find("SignedHeaders")?.split(';').collect();
        Some(Self { access_key_id, scope, headers, signature: find("Signature")? })
    }
}

/// Takes `key/date/region/service/aws4_request` apart.
pub(super) fn credential(text: &str, separator: char) -> Option<(&str, Scope<'_>)> {
    let mut parts = text.split(separator);
    let key = parts.next()?;
    let scope = Scope { date: parts.next()?, region: parts.next()?, service: parts.next()? };
    (parts.next() == Some("aws4_request") && parts.next().is_none()).then_some((key, scope))
}

/// The canonical request, as text. The path arrives encoded and is encoded again, as every service but S3 wants it.
pub(super) fn canonical_request(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    signed: &[&str],
    body: &[u8],
) -> String {
    let path = percent_encode(path.as_bytes(), PATH);
    let mut lines = String::new();
    for name in signed {
        let values: Vec<String> = headers.get_all(*name).iter().map(|value| tidy(value.as_bytes())).collect();
        lines += &format!("{name}:{}\n", values.join(","));
    }
    format!("{method}\n{path}\n{}\n{lines}\n{}\n{}", sorted(query), signed.join(";"), hex(&Sha256::digest(body)))
}

/// A query's parameters by name, as they are written.
pub(super) fn sorted(query: &str) -> String {
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.sort_unstable();
    parameters.join("&")
}

pub(super) fn string_to_sign(time: &str, scope: &Scope<'_>, canonical_request: &str) -> String {
    let Scope { date, region, service } = scope;
    let hash = hex(&Sha256::digest(canonical_request.as_bytes()));
    format!("AWS4-HMAC-SHA256\n{time}\n{date}/{region}/{service}/aws4_request\n{hash}")
}

pub(super) fn signature(secret: &str, scope: &Scope<'_>, string_to_sign: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [scope.date, scope.region, scope.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes()).to_vec();
    }
    hex(&hmac(&key, string_to_sign.as_bytes()))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A header's value without white space at its ends and with single spaces inside.
fn tidy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn hmac_of_rfc_4231() {
        let expect = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), expect);
        let expect = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")), expect);
    }

    #[test]
    fn every_header_vector() {
        let all: Value = serde_json::from_str(include_str!("../../tests/fixtures/sigv4-and-api-keys.json")).unwrap();
        let secret = all["secret_key"].as_str().unwrap();
        for case in all["sigv4"].as_array().unwrap() {
            let text = |name: &str| case[name].as_str().unwrap();
            let url: http::Uri = text("url").parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("accept", "application/json".parse().unwrap());
            headers.insert("content-type", "application/json".parse().unwrap());
            headers.insert("host", url.host().unwrap().parse().unwrap());
            headers.insert("x-amz-date", text("x-amz-date").parse().unwrap());
            if let Some(token) = case["session_token"].as_str() {
                headers.insert("x-amz-security-token", token.parse().unwrap());
            }
            let header = text("authorization").strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
            let signed = Signed::parse(header).unwrap();
            let body = text("body").as_bytes();
            let request = canonical_request("POST", url.path(), "", &headers, &signed.headers, body);
            assert_eq!(request, text("canonical_request"));
            let to_sign = string_to_sign(text("x-amz-date"), &signed.scope, &request);
            assert_eq!(to_sign, text("string_to_sign"));
            assert_eq!(signature(secret, &signed.scope, &to_sign), signed.signature);
        }
    }

    #[test]
    fn a_credential_has_five_parts() {
        assert!(credential("AKIDEXAMPLE/20261122/us-west-2/bedrock/aws4_request", '/').is_some());
        for bad in ["", "a/b/c/d", "a/b/c/d/aws4", "a/b/c/d/aws4_request/e"] {
            assert_eq!(credential(bad, '/'), None);
        }
    }
}
