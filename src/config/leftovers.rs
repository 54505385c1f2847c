//! Says what becomes of the keys that nobody read: known to LiteLLM and unused, or known to nobody.
//!
//! Must not read a value, only see whether it is switched off.

use serde_json::Value;

use super::keys;
use super::known::Unused;
use super::report::did_you_mean;
use super::section::{Field, Reader, Section};

/// Reports the rest of a section.
pub(super) fn report(rest: Section, unused: &[Unused], reader: &mut Reader) {
    let place = rest.path.clone();
    fields(rest.rest(), &place, unused, reader);
}

/// The same for fields that come from several files.
pub(super) fn fields(
    rest: impl IntoIterator<Item = (String, Field)>,
    place: &str,
    unused: &[Unused],
    reader: &mut Reader,
) {
    for (key, field) in rest {
        if !known(&key, &field, unused, reader) {
            let known = keys::members(place).into_iter().chain(unused.iter().flat_map(|u| u.keys).copied());
            let near = did_you_mean(&key, known);
            reader.warn(&field.path, format!("neither LiteLLM nor Easel knows this key, so it goes unused{near}"));
        }
    }
}

/// Whether LiteLLM knows the key; a warning if it does something there.
pub(super) fn known(key: &str, field: &Field, unused: &[Unused], reader: &mut Reader) -> bool {
    let Some(entry) = unused.iter().find(|u| u.keys.contains(&key)) else { return false };
    if !is_off(&field.value) {
        reader.warn(&field.path, format!("goes unused: {}", entry.why));
    }
    true
}

/// What is switched off or empty does nothing in LiteLLM either, and is not worth a line.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
