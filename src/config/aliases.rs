//! Other names for what `model_list` serves: `router_settings.model_group_alias` and LiteLLM's `model_alias_map`.
//!
//! Must not know what a deployment is beyond its alias.

use std::collections::BTreeMap;

use super::Alias;
use super::fallbacks::Names;
use super::report::quote;
use super::section::{Field, Reader, Section, Text, Unset};

/// An alias as it was written.
struct Written {
    path: String,
    target: Text,
    hidden: bool,
}

/// Every alias with the name that serves it in the end. Those that lead nowhere are reported.
pub(super) fn read(
    router: &mut Section,
    litellm: &mut Section,
    names: &mut Names,
    reader: &mut Reader,
) -> BTreeMap<String, Alias> {
    let mut written: BTreeMap<String, Written> = BTreeMap::new();
    for section in [reader.section(litellm, "model_alias_map"), reader.section(router, "model_group_alias")] {
        for (name, field) in section.rest() {
            let path = field.path.clone();
            if let Some((target, hidden)) = target(field, reader) {
                written.insert(name, Written { path, target, hidden });
            }
        }
    }
    let mut aliases = BTreeMap::new();
    for (name, Written { path, hidden, .. }) in &written {
        let Some(end) = follow(name, &written, names, reader) else { continue };
        if end.value == *name {
            continue;
        }
        if names.skips(&end.value) {
            names.skipped.insert(name.clone());
        }
        let Some(target) = names.check(end, reader) else { continue };
        if names.served.contains(name) {
            let message = format!("model_list has {} too. Its requests go to {}", quote(name), quote(&target));
            reader.warn(path, message);
        }
        aliases.insert(name.clone(), Alias { target, hidden: *hidden });
    }
    names.aliases = aliases.keys().cloned().collect();
    aliases
}

/// A name, or a map with `model` and `hidden`.
fn target(field: Field, reader: &mut Reader) -> Option<(Text, bool)> {
    if !field.value.is_object() {
        return reader.text(Some(field), Unset::Mistake).map(|text| (text, false));
    }
    let mut map = reader.map(field)?;
    let hidden = reader.switch(map.take("hidden")).unwrap_or(false);
    let model = map.take("model");
    if model.is_none() {
        reader.mistake(&map.path, "needs 'model' beside 'hidden': the name that serves it");
    }
    let text = reader.text(model, Unset::Mistake)?;
    for (_, field) in map.rest() {
        reader.warn(&field.path, "neither LiteLLM nor Easel knows this key, so it goes unused");
    }
    Some((text, hidden))
}

/// The last name that an alias leads to: an entry of the list ends the way. `None` for a circle, which is reported.
fn follow<'w>(
    name: &str,
    written: &'w BTreeMap<String, Written>,
    names: &Names,
    reader: &mut Reader,
) -> Option<&'w Text> {
    let first = written.get(name)?;
    let (mut way, mut at) = (vec![name], first);
    loop {
        let target = &at.target;
        let next = written.get(&target.value).filter(|_| !names.served.contains(&target.value));
        let Some(next) = next else { return Some(target) };
        if way.contains(&target.value.as_str()) {
            let message = format!("the alias {} leads back to itself. Name an entry of model_list", quote(name));
            reader.mistake(&first.path, message);
            return None;
        }
        way.push(&target.value);
        at = next;
    }
}
