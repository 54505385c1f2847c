//! Which aliases are tried after an alias has failed, as `router_settings` and `litellm_settings` say.
//!
//! Must not know what a deployment is beyond its alias.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::report::{did_you_mean, quote};
use super::section::{Field, Reader, Section, Text, Unset};
use super::wildcard::Wildcard;

/// The names that a fallback may use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Aliases that Easel serves, in the order of the file.
    pub(super) served: Vec<String>,
    /// Entries for every alias of a form.
    pub(super) wildcards: Vec<Arc<Wildcard>>,
    /// Other names for those.
    pub(super) aliases: BTreeSet<String>,
    /// Aliases of text models: no mistake, and no use.
    pub(super) skipped: BTreeSet<String>,
    /// Aliases of entries with a mistake, which is reported where it is.
    pub(super) wrong: BTreeSet<String>,
}

impl Names {
    fn serves(&self, name: &str) -> bool {
        let wildcard = || self.wildcards.iter().any(|wildcard| wildcard.deployment(name).is_some());
        self.served.iter().any(|alias| alias == name) || self.aliases.contains(name) || wildcard()
    }

    /// Whether LiteLLM would find the name, and Easel does not.
    pub(super) fn skips(&self, name: &str) -> bool {
        let wildcard = self.wildcards.iter().any(|wildcard| wildcard.matches(name)) && !self.serves(name);
        wildcard
            || self.skipped.iter().any(|alias| match alias.split_once('*') {
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
            let known = self.served.iter().chain(&self.aliases).chain(&self.wrong).map(String::as_str);
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
        let patterns = self.wildcards.iter().map(|wildcard| &wildcard.pattern);
        self.served.iter().chain(patterns).map(|name| quote(name)).collect::<Vec<_>>().join(", ")
    }
}

/// LiteLLM's `max_fallbacks`, where nobody says another.
const MAX_FALLBACKS: u32 = 5;

/// Who steps in.
pub(super) struct Fallbacks {
    /// After all deployments of an alias have failed.
    pub(super) usual: BTreeMap<String, Vec<String>>,
    /// After a content filter.
    pub(super) content: BTreeMap<String, Vec<String>>,
    /// How many of them are tried at most.
    pub(super) most: usize,
}

/// All that the settings say, and what entries say for themselves: `own`, by alias.
pub(super) fn read(
    router: &mut Section,
    litellm: &mut Section,
    own: Vec<(String, Field)>,
    names: &Names,
    reader: &mut Reader,
) -> Fallbacks {
    let mut usual = settings(router, litellm, own, names, reader);
    let mut content = pairs(either(router, litellm, "content_policy_fallbacks", reader), names, reader);
    spread(&mut content, None, names);
    let most = [router, litellm].map(|section| reader.count(section.take("max_fallbacks")));
    let most = usize::try_from(most.into_iter().flatten().next().unwrap_or(MAX_FALLBACKS)).unwrap_or(usize::MAX);
    for list in [&mut usual, &mut content] {
        list.retain(|_, aliases| !aliases.is_empty());
    }
    Fallbacks { usual, content, most }
}

/// Router settings win over LiteLLM's as a whole, as in LiteLLM.
fn either(router: &mut Section, litellm: &mut Section, key: &str, reader: &mut Reader) -> Option<Field> {
    let first = router.take(key).or_else(|| litellm.take(key));
    if let Some(second) = litellm.take(key) {
        reader
            .warn(&second.path, format!("goes unused: LiteLLM reads router_settings.{key} instead. Keep one of them"));
    }
    first
}

/// An entry's own come first; `default_fallbacks` and `*` are for aliases that have none.
fn settings(
    router: &mut Section,
    litellm: &mut Section,
    own: Vec<(String, Field)>,
    names: &Names,
    reader: &mut Reader,
) -> BTreeMap<String, Vec<String>> {
    let mut fallbacks = pairs(either(router, litellm, "fallbacks", reader), names, reader);
    for (alias, field) in own.into_iter().rev() {
        let list = fallbacks.entry(alias.clone()).or_default();
        let others = aliases(field, names, reader).into_iter().filter(|other| *other != alias);
        let first: Vec<_> = others.filter(|other| !list.contains(other)).collect();
        list.splice(..0, first);
    }
    let everyone = router.take("default_fallbacks").or_else(|| litellm.take("default_fallbacks"));
    drop(litellm.take("default_fallbacks"));
    let everyone = everyone.map(|field| aliases(field, names, reader));
    spread(&mut fallbacks, everyone, names);
    fallbacks
}

/// Gives the list for everyone, else that of `*`, to each alias without one of its own.
fn spread(fallbacks: &mut BTreeMap<String, Vec<String>>, everyone: Option<Vec<String>>, names: &Names) {
    let star = fallbacks.remove("*");
    let everyone = everyone.or(star).unwrap_or_default();
    for alias in names.served.iter().chain(names.wildcards.iter().map(|wildcard| &wildcard.pattern)) {
        let others: Vec<_> = everyone.iter().filter(|other| *other != alias).cloned().collect();
        if !others.is_empty() && !fallbacks.contains_key(alias) {
            fallbacks.insert(alias.clone(), others);
        }
    }
}

/// A list of maps from an alias to a list of aliases.
fn pairs(field: Option<Field>, names: &Names, reader: &mut Reader) -> BTreeMap<String, Vec<String>> {
    let mut fallbacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in reader.list(field) {
        let Some(map) = reader.map(item) else { continue };
        for (key, field) in map.rest() {
            let text = Text { path: field.path.clone(), value: key.clone(), shown: quote(&key) };
            let as_it_is = key == "*" || names.wildcards.iter().any(|wildcard| wildcard.pattern == key);
            let from = if as_it_is { Some(key) } else { names.check(&text, reader) };
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
