//! Which role a deployment assumes by STS, and the web identity token that it may do so with.
//!
//! Must not read the token's file: it is renewed behind our back, so whoever calls STS reads it each time.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::region::address;
use super::report::join;
use super::section::{Field, Reader, Section, Text, Unset};
use super::{Environment, Role, WebToken};

/// What STS accepts as the life of a session, in seconds.
const DURATION: std::ops::RangeInclusive<f64> = 900.0..=43_200.0;

/// Keys that mean nothing without a role.
const BESIDE: [&str; 5] =
    ["aws_session_name", "aws_external_id", "aws_session_duration", "aws_session_tags", "aws_sts_endpoint"];

/// Whether a key that the config lacks is looked for in the environment: LiteLLM does, if there is no API key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ambient {
    Read,
    Left,
}

/// A text of the config, else of the variable that LiteLLM reads in its place: the key in capitals.
pub(super) fn text(params: &mut Section, key: &str, ambient: Ambient, reader: &mut Reader) -> Option<Text> {
    match (params.take(key), ambient) {
        (Some(field), _) => reader.text(Some(field), Unset::Warning),
        (None, Ambient::Read) => reader.text(Some(of_env(key)), Unset::Silent),
        (None, Ambient::Left) => None,
    }
}

fn of_env(key: &str) -> Field {
    Field { path: String::new(), value: format!("os.environ/{}", key.to_ascii_uppercase()).into() }
}

/// `aws_web_identity_token`: the token, a file that holds it, or LiteLLM's `oidc/file/`, `oidc/env/` and
/// `oidc/env_path/`.
pub(super) fn token(params: &mut Section, ambient: Ambient, reader: &mut Reader) -> Option<WebToken> {
    let of_env = || (ambient == Ambient::Read).then(|| of_env("aws_web_identity_token"));
    let field = params.take("aws_web_identity_token").or_else(of_env)?;
    let unset = if field.path.is_empty() { Unset::Silent } else { Unset::Warning };
    let path = field.path.clone();
    let secret = reader.secret(Some(field), unset)?;
    let written = secret.value.expose_secret().to_owned();
    let variable = |name: &str, reader: &mut Reader| {
        let value = format!("os.environ/{name}").into();
        reader.secret(Some(Field { path: path.clone(), value }), Unset::Warning)
    };
    if let Some(file) = written.strip_prefix("oidc/file/") {
        // LiteLLM's guides write both `oidc/file//var/run/token` and `oidc/file/var/run/token`.
        let file = if file.starts_with('/') { file.to_owned() } else { format!("/{file}") };
        return Some(WebToken::File(file.into()));
    }
    if let Some(name) = written.strip_prefix("oidc/env_path/") {
        return variable(name, reader).map(|secret| WebToken::File(secret.value.expose_secret().into()));
    }
    if let Some(name) = written.strip_prefix("oidc/env/") {
        return variable(name, reader).map(|secret| WebToken::Text(secret.value));
    }
    if written.starts_with("oidc/") {
        let hint = "Write 'oidc/file/PATH', 'oidc/env/NAME', a path or 'os.environ/NAME'";
        reader.mistake(&path, format!("Easel cannot ask that provider for a token. {hint}"));
        return None;
    }
    let is_path = written.starts_with(['/', '.']);
    Some(if is_path { WebToken::File(written.into()) } else { WebToken::Text(secret.value) })
}

/// `aws_role_name` and what goes with it.
pub(super) fn role(params: &mut Section, has_token: bool, ambient: Ambient, reader: &mut Reader) -> Option<Role> {
    let Some(arn) = text(params, "aws_role_name", ambient, reader) else {
        for key in BESIDE.into_iter().filter(|key| *key != "aws_sts_endpoint") {
            if let Some(field) = params.take(key) {
                reader.warn(&field.path, "goes unused without aws_role_name");
            }
        }
        drop(params.take("aws_sts_endpoint"));
        if has_token {
            let path = join(&params.path, "aws_role_name");
            reader.mistake(&path, "is missing beside aws_web_identity_token. Write the role that the token is for");
        }
        return None;
    };
    if !(arn.value.starts_with("arn:") && arn.value.contains(":role/")) {
        let hint = "Write it like 'arn:aws:iam::123456789012:role/painter'";
        reader.mistake(&arn.path, format!("aws_role_name {} is no role ARN. {hint}", arn.shown));
    }
    let session_name = text(params, "aws_session_name", ambient, reader);
    if let Some(name) = session_name.as_ref().filter(|name| !is_session_name(&name.value)) {
        let hint = "Write 2 to 64 letters, digits or any of '+=,.@-_'";
        reader.mistake(&name.path, format!("aws_session_name {} is not accepted. {hint}", name.shown));
    }
    let external_id = text(params, "aws_external_id", ambient, reader).map(|text| text.value);
    let duration = params.take("aws_session_duration");
    let duration = reader.number(duration, "seconds from 900 to 43200", |seconds| DURATION.contains(&seconds));
    Some(Role {
        arn: arn.value,
        session_name: session_name.map(|text| text.value),
        external_id,
        duration: duration.map(Duration::from_secs_f64),
        tags: tags(params, reader),
        sts_endpoint: sts_endpoint(params, ambient, reader),
    })
}

fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c))
}

/// `aws_session_tags`: a list of maps with `Key` and `Value`, as STS and LiteLLM write them.
fn tags(params: &mut Section, reader: &mut Reader) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    for field in reader.list(params.take("aws_session_tags")) {
        let path = field.path.clone();
        let Some(mut tag) = reader.map(field) else { continue };
        let [key, value] = ["Key", "Value"].map(|name| reader.text(tag.take(name), Unset::Mistake));
        match key {
            // A value may be empty, a key may not.
            Some(key) => tags.push((key.value, value.map(|text| text.value).unwrap_or_default())),
            None => reader.mistake(&path, "a tag has no Key. Write it like '{Key: team, Value: design}'"),
        }
    }
    tags
}

fn sts_endpoint(params: &mut Section, ambient: Ambient, reader: &mut Reader) -> Option<String> {
    let text = text(params, "aws_sts_endpoint", ambient, reader)?;
    match address(&text.value) {
        Ok(address) => Some(address),
        Err(why) => {
            let hint = "Write it like 'https://sts.us-east-1.amazonaws.com'";
            reader.mistake(&text.path, format!("the address {} {why}. {hint}", text.shown));
            None
        }
    }
}

/// The token of this machine, if the role is its own: a pod on EKS has the role already, and may not assume it again
/// by what it got. LiteLLM finds that out too.
pub(super) fn own(role: &Role, env: &Environment) -> Option<WebToken> {
    let is_own = env.get("AWS_ROLE_ARN") == Some(&*role.arn) && env.get("AWS_ACCESS_KEY_ID").is_none();
    let file = env.get("AWS_WEB_IDENTITY_TOKEN_FILE").filter(|_| is_own)?;
    Some(WebToken::File(PathBuf::from(file)))
}
