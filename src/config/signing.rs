//! How a deployment proves who it is to AWS, read from its params and the environment.
//!
//! Must not look for AWS credentials itself, nor let one into a message.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::report::join;
use super::role::{self, Ambient};
use super::section::{Field, Reader, Secret, Section, Text, Unset};
use super::{Auth, BearerKey};

/// Where AWS's own tools look for a Bedrock API key.
const ENV_KEY: &str = "AWS_BEARER_TOKEN_BEDROCK";

/// Texts that stand in guides where a key belongs.
const PLACEHOLDERS: [&str; 8] =
    ["your_api_key_here", "your_key_here", "your-api-key", "your_api_key", "changeme", "sk-xxxxx", "xxx", "todo"];

/// Who pays: a Bedrock API key wins over everything, as in LiteLLM and AWS's own tools.
pub(super) fn auth(params: &mut Section, reader: &mut Reader) -> Option<Auth> {
    let mistakes = reader.report.mistakes.len();
    // Written and empty says that this entry has none, whatever the environment holds: LiteLLM's way to sign.
    let none = params.members.get("api_key").and_then(Value::as_str).is_some_and(|text| text.trim().is_empty());
    let written = bearer_in_config(params, reader);
    let bearer = written.or_else(|| if none { None } else { bearer_of_variable("", ENV_KEY, reader) });
    let idle: Vec<_> = ["aws_access_key_id", "aws_profile_name", "aws_role_name", "aws_web_identity_token"]
        .into_iter()
        .filter(|name| params.members.get(*name).is_some_and(|value| !value.is_null()))
        .collect();
    let keys = keys(params, reader);
    let ambient = if bearer.is_some() { Ambient::Left } else { Ambient::Read };
    let profile = role::text(params, "aws_profile_name", ambient, reader).map(|text| text.value);
    let token = role::token(params, ambient, reader);
    let role = role::role(params, token.is_some(), ambient, reader);
    if reader.report.mistakes.len() > mistakes {
        return None;
    }
    if let Some((key, next)) = bearer {
        let source = &key.source;
        if let Some(first) = idle.first() {
            let names = idle.join(", ");
            let message = format!("{names} goes unused: the API key from {source} comes first. Remove one of them");
            reader.warn(&join(&params.path, first), message);
        }
        return Some(Auth::Bearer { key, next });
    }
    Some(match (token, role, keys) {
        // LiteLLM's order: a token comes before keys and profiles.
        (Some(token), Some(role), _) => Auth::WebIdentity { token, role },
        (_, role, Some((id, secret, session))) => Auth::Keys {
            access_key_id: id.value,
            secret_access_key: secret.value,
            session_token: session.map(|secret| secret.value),
            role,
        },
        (_, Some(role), None) if profile.is_none() => match role::own(&role, &reader.env) {
            Some(token) => Auth::WebIdentity { token, role },
            None => Auth::Chain { profile, role: Some(role) },
        },
        (_, role, None) => Auth::Chain { profile, role },
    })
}

/// A key, and the one that takes its place.
type Bearer = (BearerKey, Option<BearerKey>);

/// `api_key`; an unset variable means that there is none, which LiteLLM users rely on.
fn bearer_in_config(params: &mut Section, reader: &mut Reader) -> Option<Bearer> {
    let field = params.take("api_key")?;
    let path = field.path.clone();
    let Some(name) = field.value.as_str().and_then(|text| text.trim().strip_prefix("os.environ/")) else {
        return reader.secret(Some(field), Unset::Silent).map(|secret| (bearer_key(secret, reader), None));
    };
    let (name, mistakes) = (name.trim(), reader.report.mistakes.len());
    let bearer = bearer_of_variable(&path, name, reader);
    if name != ENV_KEY && bearer.is_none() && reader.report.mistakes.len() == mistakes {
        reader.warn(&path, format!("the variable '{name}' is not set, so it signs without this key"));
    }
    bearer
}

/// What a variable holds, and the one beside it that ends in `_NEXT`.
fn bearer_of_variable(path: &str, name: &str, reader: &mut Reader) -> Option<Bearer> {
    let keys = [name.to_owned(), format!("{name}_NEXT")].map(|name| {
        let field = Field { path: path.to_owned(), value: format!("os.environ/{name}").into() };
        reader.secret(Some(field), Unset::Silent).map(|secret| bearer_key(secret, reader))
    });
    let mut keys = keys.into_iter().flatten();
    let key = keys.next()?;
    Some((key, keys.next()))
}

fn bearer_key(secret: Secret, reader: &mut Reader) -> BearerKey {
    let Secret { path, value, source, file } = secret;
    placeholder(&path, value.expose_secret(), &source, reader);
    BearerKey { key: value, source, file }
}

fn placeholder(path: &str, key: &str, source: &str, reader: &mut Reader) {
    let lower = key.to_ascii_lowercase();
    if PLACEHOLDERS.contains(&lower.as_str()) || lower.starts_with('<') {
        reader.warn(
            path,
            format!(
                "the API key from {source} is only the placeholder of a guide, and AWS will refuse it. Put a Bedrock \
                 API key there, or leave it out to sign with AWS credentials"
            ),
        );
    }
}

fn keys(params: &mut Section, reader: &mut Reader) -> Option<(Text, Secret, Option<Secret>)> {
    let id = reader.text(params.take("aws_access_key_id"), Unset::Warning);
    let secret = reader.secret(params.take("aws_secret_access_key"), Unset::Warning);
    let session = reader.secret(params.take("aws_session_token"), Unset::Warning);
    let missing = |name: &str, other: &str, reader: &mut Reader| {
        reader.mistake(&join(&params.path, name), format!("is missing beside {other}. Write both or neither"));
    };
    match (id, secret) {
        (Some(id), Some(secret)) => {
            if id.value.starts_with("ASIA") && session.is_none() {
                let message = "is missing: an access key that begins with ASIA is temporary and works only with it";
                reader.warn(&join(&params.path, "aws_session_token"), message);
            }
            return Some((id, secret, session));
        }
        (Some(_), None) => missing("aws_secret_access_key", "aws_access_key_id", reader),
        (None, Some(_)) => missing("aws_access_key_id", "aws_secret_access_key", reader),
        (None, None) => {
            if let Some(session) = session {
                reader.warn(&session.path, "goes unused without aws_access_key_id and aws_secret_access_key");
            }
        }
    }
    None
}
