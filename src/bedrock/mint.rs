//! Short-term Bedrock API keys: a presigned request of the credentials' owner, in base64. Made without a call.
//!
//! Must not speak to Bedrock or read the clock.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::utf8_percent_encode;
use secrecy::SecretString;

use super::NoCredentials;
use super::sigv4::Unsignable;
use crate::config::Auth;

/// The request that a key stands for; the host is the same for every region.
const HOST: &str = "bedrock.amazonaws.com";
const ACTION: &str = "Action=CallWithBearerToken";

/// A key that was made.
#[derive(Debug)]
pub struct Minted {
    /// `bedrock-api-key-…`.
    pub key: SecretString,
    /// The access key that it is signed with, in short.
    pub signer: String,
    /// Until when it works: as long as was asked for, or as its session lives.
    pub expires: SystemTime,
    /// What is known of the session that it ends with.
    pub session: Session,
}

/// The life of the credentials that a key is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It ends then.
    Until(SystemTime),
    /// There is one, and nobody says when it ends.
    Unknown,
    /// They are an IAM user's own.
    Endless,
}

/// Makes a short-term key from what the AWS chain finds, or a profile of it.
pub async fn mint_key(
    profile: Option<&str>,
    region: &str,
    life: Duration,
    now: SystemTime,
) -> Result<Minted, NoCredentials> {
    let auth = Auth::Chain { profile: profile.map(str::to_owned), role: None };
    let credentials = super::chain::fetch(&auth, region, None).await?;
    let session = match (credentials.expiry(), credentials.session_token()) {
        (Some(end), _) => Session::Until(end),
        (None, Some(_)) => Session::Unknown,
        (None, None) => Session::Endless,
    };
    // Whole seconds: that is what the key says of itself.
    let left = credentials.expiry().map(|end| end.duration_since(now).unwrap_or_default());
    let life = Duration::from_secs(left.map_or(life, |left| life.min(left)).as_secs());
    if life.is_zero() {
        return Err(NoCredentials::new("the session of these credentials is over"));
    }
    let key = mint(&credentials, region, life, now).map_err(|error| NoCredentials::new(error.to_string()))?;
    Ok(Minted { key, signer: super::shortened(credentials.access_key_id()), expires: now + life, session })
}

/// A key for `region` that lives so long from `time` on. Equal to aws-bedrock-token-generator's for the same time (`tests/fixtures/sigv4-and-api-keys.json`).
pub(super) fn mint(
    credentials: &Credentials,
    region: &str,
    life: Duration,
    time: SystemTime,
) -> Result<SecretString, Unsignable> {
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(life);
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("bedrock")
        .time(time)
        .settings(settings)
        .build()
        .map_err(|_| Unsignable)?
        .into();
    let url = format!("https://{HOST}/?{ACTION}");
    let headers = [("host", HOST)].into_iter();
    let request = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(b"")).map_err(|_| Unsignable)?;
    let (instructions, _) = sign_request(request, &params).map_err(|_| Unsignable)?.into_parts();
    let mut query: Vec<_> = instructions
        .params()
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, super::MODEL_ID)))
        .collect();
    // AWS's own generator writes the signature last.
    query.sort_by_key(|pair| pair.starts_with("X-Amz-Signature="));
    let request = format!("{HOST}/?{ACTION}&{}&Version=1", query.join("&"));
    Ok(format!("bedrock-api-key-{}", STANDARD.encode(request)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn equals_aws_own_generator() {
        let file = include_str!("../../tests/fixtures/sigv4-and-api-keys.json");
        let vectors: serde_json::Value = serde_json::from_str(file).unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let tokens = vectors["tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), 4);
        for vector in tokens {
            let (id, secret) = (text(&vectors["access_key"]).unwrap(), text(&vectors["secret_key"]).unwrap());
            let credentials = Credentials::from_keys(id, secret, text(&vector["session_token"]));
            let life = Duration::from_secs(vector["expires"].as_u64().unwrap());
            let time = time::macros::datetime!(2026-11-22 12:00 UTC).into();
            let key = mint(&credentials, vector["region"].as_str().unwrap(), life, time).unwrap();
            assert_eq!(key.expose_secret(), vector["token"].as_str().unwrap());
        }
    }
}
