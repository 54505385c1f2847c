//! Which aliases are tried after an alias has failed, as `router_settings` and `litellm_settings` say.
//!
//! Must not know what a deployment is beyond its alias.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{did_you_mean, quote};
use super::section::{Field, Reader, Section, Text, Unset};

/// The names that a fallback may use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Aliases that Easel serves, in the order of the file.
    pub(super) served: Vec<String>,
    /// Aliases of text models and wildcards: no mistake, and no use.
    pub(super) skipped: BTreeSet<String>,
    /// Aliases of entries with a mistake, which is reported where it is.
    pub(super) wrong: BTreeSet<String>,
}

impl Names {
    fn serves(&self, name: &str) -> bool {
        self.served.iter().any(|alias| alias == name)
    }

    /// Whether LiteLLM would find the name, and Easel does not.
    fn skips(&self, name: &str) -> bool {
        self.skipped.iter().any(|alias| match alias.split_once('*') {
            Some((before, after)) => name.starts_with(before) && name.ends_with(after),
            None => alias == name,
        })
    }

    /// The name if it is served; else says why not.
    pub(super) fn check(&self, text: &Text, reader: &mut Reader) -> Option<String> {
        let name = &text.value;
        if self.serves(name) {
            return Some(name.clone());
        }
        if self.skips(name) {
            reader.warn(&text.path, format!("{} is not served by Easel, so it is left out here", text.shown));
        } else if !self.wrong.contains(name) {
            let known = self.served.iter().chain(&self.wrong).map(String::as_str);
            let near = did_you_mean(name, known);
            let hint = match near.is_empty() {
                true => format!(". Names are {}", self.list()),
                false => near,
            };
            reader.mistake(&text.path, format!("no entry of model_list is named {}{hint}", text.shown));
        }
        None
    }

    fn list(&self) -> String {
        self.served.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
    }
}

/// Router settings win over LiteLLM's as a whole, as in LiteLLM; `default_fallbacks` and `*` are for everyone else.
pub(super) fn read(
    router: &mut Section,
    litellm: &mut Section,
    names: &Names,
    reader: &mut Reader,
) -> BTreeMap<String, Vec<String>> {
    let first = router.take("fallbacks").or_else(|| litellm.take("fallbacks"));
    if let Some(second) = litellm.take("fallbacks") {
        reader.warn(&second.path, "goes unused: LiteLLM reads router_settings.fallbacks instead. Keep one of them");
    }
    let mut fallbacks = pairs(first, names, reader);
    let everyone = router.take("default_fallbacks").or_else(|| litellm.take("default_fallbacks"));
    drop(litellm.take("default_fallbacks"));
    let everyone = match everyone {
        Some(field) => aliases(field, names, reader),
        None => fallbacks.remove("*").unwrap_or_default(),
    };
    fallbacks.remove("*");
    for alias in &names.served {
        let others: Vec<_> = everyone.iter().filter(|other| *other != alias).cloned().collect();
        if !others.is_empty() && !fallbacks.contains_key(alias) {
            fallbacks.insert(alias.clone(), others);
        }
    }
    fallbacks
}

/// A list of maps from an alias to a list of aliases.
fn pairs(field: Option<Field>, names: &Names, reader: &mut Reader) -> BTreeMap<String, Vec<String>> {
    let mut fallbacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in reader.list(field) {
        let Some(map) = reader.map(item) else { continue };
        for (key, field) in map.rest() {
            let text = Text { path: field.path.clone(), value: key.clone(), shown: quote(&key) };
            let from = if key == "*" { Some(key) } else { names.check(&text, reader) };
            let to = aliases(field, names, reader);
            if let Some(from) = from {
                let list = fallbacks.entry(from.clone()).or_default();
                list.extend(to.into_iter().filter(|to| *to != from));
            }
        }
    }
    fallbacks
}

fn aliases(field: Field, names: &Names, reader: &mut Reader) -> Vec<String> {
    let mut found = Vec::new();
    for item in reader.list(Some(field)) {
        if item.value.is_object() {
            reader.warn(&item.path, "a fallback with its own parameters goes unused. Write the name of an alias");
        } else if let Some(name) = reader.text(Some(item), Unset::Mistake).and_then(|text| names.check(&text, reader))
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    found
}
