//! What a reply comes to by serde_json, member by member, so that those that come twice are seen. Must not know the
//! scanner, nor its lexer.

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use super::{Read, Said};

/// Deepest nesting that serde_json reads into values.
const MAX_DEPTH: usize = 127;

/// Longest member that says anything, in bytes without the white space between tokens.
const MAX_MEMBER: usize = 64 * 1024;

/// Pictures in their order and what else is said, or `None` where there is no reading. Arrays of pictures may come once.
/// Of `error` and the guardrail the last counts, each finish reason and each `base64` of an artifact counts.
pub(super) fn plain(reply: &[u8]) -> Option<Read> {
    serde_json::from_slice::<IgnoredAny>(reply).ok()?;
    let reply = reply.trim_ascii();
    if reply[0] != b'{' || measure(reply).0 > MAX_DEPTH {
        return None;
    }
    let (mut pictures, mut said, mut come) = (Vec::new(), Said::default(), false);
    for (name, value) in members(reply) {
        match (&*name, value[0]) {
            ("images" | "artifacts", b'[') if come => return None,
            ("images" | "artifacts", b'[') => {
                come = true;
                for item in parts(value) {
                    match (&*name, item[0]) {
                        ("images", b'"') => pictures.extend(picture(item)?),
                        ("artifacts", b'{') => artifact(item, &mut pictures, &mut said)?,
                        (_, b'"' | b'[' | b'{') => return None,
                        // A word or a number stands for a picture that was filtered.
                        _ => {}
                    }
                }
            }
            ("images" | "artifacts", b'"' | b'{') => return None,
            ("error", _) => said.error = text(value).filter(|text| !text.is_empty()),
            ("finish_reasons", _) => {
                let value = read(value);
                let reasons = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                said.finish_reasons.extend(reasons.map(str::to_owned));
            }
            ("amazon-bedrock-guardrailAction", _) => {
                said.guardrail = text(value).is_some_and(|action| action.contains("INTERVENED"));
            }
            _ => {}
        }
    }
    Some((pictures, said))
}

fn artifact(object: &[u8], pictures: &mut Vec<String>, said: &mut Said) -> Option<()> {
    for (name, value) in members(object) {
        match (&*name, value[0]) {
            ("base64", b'"') => pictures.extend(picture(value)?),
            ("finishReason", _) => said.finish_reasons.extend(text(value).filter(|why| why != "SUCCESS")),
            _ => {}
        }
    }
    Some(())
}

/// A picture, or none in an empty string, unless it cannot stand in a string as it is.
fn picture(string: &[u8]) -> Option<Option<String>> {
    let text: String = serde_json::from_slice(string).ok()?;
    let plain = text.bytes().all(|b| matches!(b, b'#'..=0x7f) && b != b'\\');
    plain.then(|| Some(text).filter(|text| !text.is_empty()))
}

fn text(value: &[u8]) -> Option<String> {
    read(value).as_str().map(str::to_owned)
}

/// What a member is read as: one that is too long, or that serde_json has no value for, says nothing.
fn read(value: &[u8]) -> Value {
    if measure(value).1 > MAX_MEMBER { Value::Null } else { serde_json::from_slice(value).unwrap_or_default() }
}

/// The members of an object, each with its value as it is written. A name that is no text is nobody's.
fn members(object: &[u8]) -> Vec<(String, &[u8])> {
    let named = |pair: &[&'_ [u8]]| serde_json::from_slice(pair[0]).unwrap_or_default();
    parts(object).chunks(2).map(|pair| (named(pair), pair[1])).collect()
}

/// What stands in an array, or in an object: names and values by turns. serde_json says where each ends.
fn parts(text: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), text[1..].trim_ascii_start());
    while !rest.starts_with(b"}") && !rest.starts_with(b"]") {
        let mut values = Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        values.next().unwrap().unwrap();
        let (part, after) = rest.split_at(values.byte_offset());
        parts.push(part.trim_ascii());
        let after = after.trim_ascii_start();
        rest = after.strip_prefix(b",").or(after.strip_prefix(b":")).unwrap_or(after).trim_ascii_start();
    }
    parts
}

/// How deep a valid text is nested, and how long it is without the white space between tokens.
fn measure(text: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut length) = (0_usize, 0, 0);
    let (mut inside, mut escaped) = (false, false);
    for byte in text {
        length += usize::from(inside || !byte.is_ascii_whitespace());
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' if !inside => depth += 1,
            b'}' | b']' if !inside => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    (deepest, length)
}
