//! AWS Signature Version 4 for Bedrock: parts in, headers out.
//!
//! Pure. Must not fetch credentials or read the clock.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};

/// What is signed beside the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// `POST` to paint.
    pub(super) method: &'a str,
    /// The whole URL, the model id in it percent-encoded once. The canonical path encodes it again.
    pub(super) url: &'a str,
    /// Host, with the port where it is not the scheme's own: exactly as the client will send it.
    pub(super) host: &'a str,
    /// The region of the credential scope.
    pub(super) region: &'a str,
    /// What else is signed and sent.
    pub(super) headers: &'a HeaderMap,
}

/// The headers of a signed request whose body has this SHA-256: accept, content-type and host, then what the signature
/// adds. Equal to botocore's
/// for the same time (`tests/fixtures/sigv4-and-api-keys.json`).
pub(super) fn sign(
    parts: Parts<'_>,
    digest: String,
    credentials: &Credentials,
    time: SystemTime,
) -> Result<HeaderMap, Unsignable> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(parts.region)
        .name("bedrock")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| Unsignable)?
        .into();
    let json = "application/json";
    let mut signed_headers = vec![("accept", json), ("content-type", json), ("host", parts.host)];
    for (name, value) in parts.headers {
        signed_headers.push((name.as_str(), value.to_str().map_err(|_| Unsignable)?));
    }
    let request =
        SignableRequest::new(parts.method, parts.url, signed_headers.into_iter(), SignableBody::Precomputed(digest))
            .map_err(|_| Unsignable)?;
    let (instructions, _) = sign_request(request, &params).map_err(|_| Unsignable)?.into_parts();
    let mut headers = parts.headers.clone();
    headers.insert(ACCEPT, HeaderValue::from_static(json));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(json));
    headers.insert(HOST, HeaderValue::from_str(parts.host).map_err(|_| Unsignable)?);
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(|_| Unsignable)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unsignable)?, value);
    }
    Ok(headers)
}

/// The parts hold something that cannot stand in a request, such as a line break in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed. Look for line breaks or spaces in the credentials")]
pub(super) struct Unsignable;

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[derive(serde::Deserialize)]
    struct Vectors {
        access_key: String,
        secret_key: String,
        sigv4: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        model_id: String,
        region: String,
        session_token: Option<String>,
        url: String,
        body: String,
        authorization: String,
        #[serde(rename = "x-amz-date")]
        date: String,
    }

    #[test]
    fn equals_botocore() {
        let file = include_str!("../../tests/fixtures/sigv4-and-api-keys.json");
        let vectors: Vectors = serde_json::from_str(file).unwrap();
        let time = time::macros::datetime!(2026-11-22 12:00 UTC).into();
        assert_eq!(vectors.sigv4.len(), 6);
        for vector in vectors.sigv4 {
            let host = format!("bedrock-runtime.{}.amazonaws.com", vector.region);
            let url = super::super::invoke_url(&format!("https://{host}"), &vector.model_id);
            assert_eq!(url, vector.url);
            let credentials =
                Credentials::from_keys(&vectors.access_key, &vectors.secret_key, vector.session_token.clone());
            let parts =
                Parts { method: "POST", url: &url, host: &host, region: &vector.region, headers: &HeaderMap::new() };
            let digest = hex::encode(Sha256::digest(vector.body.as_bytes()));
            let headers = sign(parts, digest, &credentials, time).unwrap();
            assert_eq!(headers["authorization"], vector.authorization);
            assert_eq!(headers["x-amz-date"], vector.date);
            let token = headers.get("x-amz-security-token").map(|t| t.to_str().unwrap().to_owned());
            assert_eq!(token, vector.session_token);
            assert!(!format!("{headers:?}").contains("Signature="));
        }
    }
}
