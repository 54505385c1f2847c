//! Roles: credentials that STS gives in exchange for others, or for a web identity token.
//!
//! Must not keep a token: its file is read for each exchange, because it is renewed there.

use std::time::SystemTime;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::Client;
use aws_sdk_sts::error::ProvideErrorMetadata;
use futures_util::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};

use super::credentials::{Lack, NoCredentials};
use super::signer::Unknown;
use crate::aws_http;
use crate::config::{Role, WebToken};

/// The session's name in CloudTrail, where the config gives none.
const SESSION_NAME: &str = "easel";

/// Where AWS's one global STS signs for.
const GLOBAL_REGION: &str = "us-east-1";

/// Assumes a role with other credentials; they serve themselves if they are that role's already.
pub(super) async fn assume(
    role: &Role,
    base: SharedCredentialsProvider,
    region: &str,
) -> Result<Credentials, NoCredentials> {
    let loader = loader(role, region).credentials_provider(base.clone());
    let config = Box::pin(loader.load()).await;
    let mut builder = AssumeRoleProvider::builder(&role.arn).session_name(session_name(role));
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    if let Some(duration) = role.duration {
        builder = builder.session_length(duration);
    }
    if !role.tags.is_empty() {
        builder = builder.tags(role.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }
    let provider = Box::pin(builder.configure(&config).build()).await;
    let refusal = match provider.provide_credentials().await {
        Ok(credentials) => return Ok(credentials),
        Err(error) => NoCredentials::caused_by(&error).lacking(Lack::Role),
    };
    if is_own(role, &config).await { base.provide_credentials().await.map_err(|_| refusal) } else { Err(refusal) }
}

/// Whether the credentials are a session of this very role: a task on ECS or a machine on EC2 whose role is written
/// out. Few roles may assume themselves, so LiteLLM asks this too.
async fn is_own(role: &Role, config: &SdkConfig) -> bool {
    let answer = Box::pin(Client::new(config).get_caller_identity().send()).await;
    let arn = answer.ok().and_then(|answer| answer.arn);
    arn.as_deref().and_then(role_of).is_some_and(|own| role_of(&role.arn) == Some(own))
}

/// Partition, account and name of the role in an ARN, of the role itself or of a session of it, which knows no path.
fn role_of(arn: &str) -> Option<[&str; 3]> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [_, partition, _, _, account, resource] = parts[..] else { return None };
    let name = match resource.split_once('/')? {
        ("role", path) => path.rsplit('/').next()?,
        ("assumed-role", session) => session.split('/').next()?,
        _ => return None,
    };
    Some([partition, account, name])
}

/// Assumes a role with a web identity token, which needs no credentials.
pub(super) async fn assume_by_token(role: &Role, token: &WebToken, region: &str) -> Result<Credentials, NoCredentials> {
    let token = read(token).await?;
    let config: SdkConfig = Box::pin(loader(role, region).no_credentials().load()).await;
    let request = Client::new(&config)
        .assume_role_with_web_identity()
        .role_arn(&role.arn)
        .role_session_name(session_name(role))
        .set_duration_seconds(role.duration.and_then(|duration| i32::try_from(duration.as_secs()).ok()))
        .web_identity_token(token.expose_secret());
    let answer = Box::pin(request.send()).await;
    let answer = answer.map_err(|error| NoCredentials::caused_by(&error).lacking(Lack::Role))?;
    let given = answer.credentials.ok_or_else(|| NoCredentials::new("STS gave no credentials"))?;
    let expiry = SystemTime::try_from(given.expiration).ok();
    let (id, secret) = (given.access_key_id, given.secret_access_key);
    Ok(Credentials::new(id, secret, Some(given.session_token), expiry, "WebIdentityToken"))
}

async fn read(token: &WebToken) -> Result<SecretString, NoCredentials> {
    let path = match token {
        WebToken::Text(token) => return Ok(token.clone()),
        WebToken::File(path) => path,
    };
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| {
        NoCredentials::new(format!("the web identity token in {} cannot be read: {error}", path.display()))
    })?;
    Ok(text.trim().into())
}

fn session_name(role: &Role) -> &str {
    role.session_name.as_deref().unwrap_or(SESSION_NAME)
}

/// Who credentials belong to: an ARN. In a box, as in [`super::chain::fetch`].
pub(super) fn caller<'a>(
    credentials: Credentials,
    endpoint: Option<&'a str>,
    region: &'a str,
) -> BoxFuture<'a, Result<String, Unknown>> {
    ask(credentials, endpoint, region).boxed()
}

async fn ask(credentials: Credentials, endpoint: Option<&str>, region: &str) -> Result<String, Unknown> {
    let loader = to(endpoint, region).credentials_provider(SharedCredentialsProvider::new(credentials));
    let config = Box::pin(loader.retry_config(RetryConfig::disabled()).load()).await;
    let answer = Box::pin(Client::new(&config).get_caller_identity().send()).await;
    match answer {
        Ok(answer) => answer.arn.ok_or_else(|| Unknown::Unreached("STS did not say".into())),
        // The message beside the code may hold what was signed.
        Err(error) => Err(match error.as_service_error().and_then(|error| error.code()) {
            Some(code) => Unknown::Refused(code.to_owned()),
            None => Unknown::Unreached(NoCredentials::caused_by(&error).to_string()),
        }),
    }
}

fn loader(role: &Role, region: &str) -> aws_config::ConfigLoader {
    to(role.sts_endpoint.as_deref(), region)
}

fn to(endpoint: Option<&str>, region: &str) -> aws_config::ConfigLoader {
    let region = endpoint.and_then(region_of).unwrap_or(region).to_owned();
    let loader =
        aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region)).http_client(aws_http::client());
    match endpoint {
        Some(endpoint) => loader.endpoint_url(endpoint),
        None => loader,
    }
}

/// The region that one of AWS's own STS endpoints signs for, also behind a VPC endpoint's name.
fn region_of(endpoint: &str) -> Option<&str> {
    let host = endpoint.split_once("://")?.1.split(['/', ':']).next()?;
    let mut labels = host.split('.').skip_while(|label| !matches!(*label, "sts" | "sts-fips"));
    labels.next()?;
    let next = labels.next()?;
    match next {
        "amazonaws" => Some(GLOBAL_REGION),
        region => labels.next().is_some().then_some(region),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_known_by_its_sessions() {
        let painter = Some(["aws", "123456789012", "painter"]);
        assert_eq!(role_of("arn:aws:iam::123456789012:role/studio/night/painter"), painter);
        assert_eq!(role_of("arn:aws:sts::123456789012:assumed-role/painter/i-0a/b"), painter);
        assert_ne!(role_of("arn:aws:sts::210987654321:assumed-role/painter/x"), painter);
        for other in ["arn:aws:iam::123456789012:user/painter", "painter", "arn:aws:iam::123456789012:root"] {
            assert_eq!(role_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_endpoint_names_the_region_it_signs_for() {
        for (endpoint, region) in [
            ("https://sts.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://sts-fips.us-east-2.amazonaws.com/", Some("us-east-2")),
            ("https://sts.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("https://vpce-0a.sts.ap-south-1.vpce.amazonaws.com:443", Some("ap-south-1")),
            ("https://sts.amazonaws.com", Some("us-east-1")),
            ("http://127.0.0.1:4566", None),
            ("http://sts.internal", None),
        ] {
            assert_eq!(region_of(endpoint), region, "{endpoint}");
        }
    }
}
