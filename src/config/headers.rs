//! Headers that a deployment adds to each call: the operator's own, guardrails, service tier, latency and metadata.
//!
//! Must not let one of them replace what authenticates or describes the request, nor quote a value: it may be a secret.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::report::{join, quote};
use super::section::{Field, Reader, Section, Text, Unset};

/// What belongs to the signature, the body or the connection.
const OURS: [&str; 12] = [
    "accept",
    "authorization",
    "connection",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "cookie",
    "proxy-authorization",
];

/// How the names of the rest of those begin.
const OURS_BEGIN: [&str; 2] = ["content-", "x-amz-"];

const GUARDRAIL: &str = "x-amzn-bedrock-guardrailidentifier";
const VERSION: &str = "x-amzn-bedrock-guardrailversion";
const TRACE: &str = "x-amzn-bedrock-trace";
const TIER: &str = "x-amzn-bedrock-service-tier";
const LATENCY: &str = "x-amzn-bedrock-performanceconfig-latency";
const METADATA: &str = "x-amzn-bedrock-request-metadata";

const TRACES: [&str; 3] = ["ENABLED", "DISABLED", "ENABLED_FULL"];

/// Takes everything that becomes a header out of `litellm_params`.
pub(super) fn read(params: &mut Section, reader: &mut Reader) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, field) in reader.section(params, "extra_headers").rest() {
        extra(&name, field, &mut headers, reader);
    }
    guardrail(params, &mut headers, reader);
    let tier = params.take("serviceTier").into_iter().chain(params.take("service_tier")).next();
    let tier = tier.map(|field| inner(field, "type"));
    word(tier, TIER, &["priority", "default", "flex", "reserved"], &mut headers, reader);
    let latency = params.take("performanceConfig").map(|field| inner(field, "latency"));
    word(latency, LATENCY, &["standard", "optimized"], &mut headers, reader);
    metadata(params, &mut headers, reader);
    headers
}

fn extra(name: &str, mut field: Field, headers: &mut HeaderMap, reader: &mut Reader) {
    let lower = name.to_ascii_lowercase();
    let ours = OURS.contains(&&*lower) || OURS_BEGIN.iter().any(|beginning| lower.starts_with(beginning));
    let Some(header) = HeaderName::from_bytes(lower.as_bytes()).ok().filter(|_| !ours) else {
        let message = match ours {
            true => "belongs to the request itself, so it cannot be set here. Remove it",
            false => "is no name of a header",
        };
        reader.mistake(&field.path, format!("{} {message}", quote(name)));
        return;
    };
    plain(&mut field);
    if let Some(text) = reader.text(Some(field), Unset::Warning) {
        put(headers, header, &text, reader);
    }
}

/// A number or a truth value as the text that a header carries.
fn plain(field: &mut Field) {
    if field.value.is_number() || field.value.is_boolean() {
        field.value = field.value.to_string().into();
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &Text, reader: &mut Reader) {
    let fit = text.value.len() <= 4096 && text.value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    match HeaderValue::from_str(&text.value) {
        Ok(mut value) if fit => {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        _ => reader.mistake(&text.path, "holds characters that no header can carry. Write plain ASCII on one line"),
    }
}

/// `guardrailIdentifier` and `guardrailVersion`, also inside `guardrailConfig`; AWS takes both or neither.
fn guardrail(params: &mut Section, headers: &mut HeaderMap, reader: &mut Reader) {
    let mut config = reader.section(params, "guardrailConfig");
    let mut take = |key: &str| params.take(key).into_iter().chain(config.take(key)).next();
    let (identifier, version, trace) = (take("guardrailIdentifier"), take("guardrailVersion"), take("trace"));
    let beside = |name: &str| join(&params.path, name);
    match (&identifier, &version) {
        (Some(_), None) => {
            let message = "is missing beside guardrailIdentifier. Write its number, or 'DRAFT'";
            reader.mistake(&beside("guardrailVersion"), message);
        }
        (None, Some(_)) => {
            let message = "is missing beside guardrailVersion. Write the id of the guardrail, or remove both";
            reader.mistake(&beside("guardrailIdentifier"), message);
        }
        _ => {}
    }
    for (field, name) in [(identifier, GUARDRAIL), (version, VERSION)] {
        let field = field.map(|mut field| {
            plain(&mut field);
            field
        });
        if let Some(text) = reader.text(field, Unset::Mistake) {
            put(headers, HeaderName::from_static(name), &text, reader);
        }
    }
    let trace = trace.map(|mut field| {
        // LiteLLM's documentation has it in small letters, and as a truth value.
        field.value = match &field.value {
            Value::String(text) if TRACES.contains(&&*text.to_ascii_uppercase()) => text.to_ascii_uppercase().into(),
            Value::Bool(on) => if *on { "ENABLED" } else { "DISABLED" }.into(),
            other => other.clone(),
        };
        field
    });
    word(trace, TRACE, &TRACES, headers, reader);
    for (key, field) in config.rest() {
        reader.warn(&field.path, format!("goes unused: Bedrock takes no {} for pictures", quote(&key)));
    }
}

/// The member of a map with that one member, else the field itself.
fn inner(field: Field, key: &str) -> Field {
    match field.value {
        Value::Object(mut members) if members.contains_key(key) => {
            Field { path: join(&field.path, key), value: members.shift_remove(key).unwrap_or_default() }
        }
        value => Field { path: field.path, value },
    }
}

fn word(
    field: Option<Field>,
    name: &'static str,
    accepted: &[&'static str],
    headers: &mut HeaderMap,
    reader: &mut Reader,
) {
    let Some(text) = reader.text(field, Unset::Warning) else { return };
    if accepted.contains(&text.value.as_str()) {
        put(headers, HeaderName::from_static(name), &text, reader);
    } else {
        let accepted: Vec<_> = accepted.iter().map(|word| quote(word)).collect();
        let message = format!("the value {} is not accepted. Write one of {}", text.shown, accepted.join(", "));
        reader.mistake(&text.path, message);
    }
}

/// `requestMetadata`, which AWS writes into its invocation log.
fn metadata(params: &mut Section, headers: &mut HeaderMap, reader: &mut Reader) {
    let mut members = serde_json::Map::new();
    let section = reader.section(params, "requestMetadata");
    let path = section.path.clone();
    for (name, mut field) in section.rest() {
        plain(&mut field);
        if let Some(text) = reader.text(Some(field), Unset::Warning) {
            members.insert(name, text.value.into());
        }
    }
    if !members.is_empty() {
        let text = Text { path, value: Value::Object(members).to_string(), shown: String::new() };
        put(headers, HeaderName::from_static(METADATA), &text, reader);
    }
}
