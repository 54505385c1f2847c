//! Entries whose `model_name` holds a `*`: one deployment for each model that a request may name through them.
//!
//! All are made when the config is read, so a request only looks one up. Must not let a request choose a region, an
//! ARN or a model that the catalogue does not know.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Deployment;
use super::deployment::{Defaults, Draft, settle};
use super::model::{Named, PROFILES, Refusal, routed, target};
use super::report::{Report, quote};
use super::section::{Reader, Section, Text, Unset};
use crate::catalog::Catalog;

/// An entry for every alias that its pattern matches.
#[derive(Debug)]
pub struct Wildcard {
    /// `model_name` as written, such as `bedrock/*`: what it is listed and counted as.
    pub pattern: String,
    /// Where it stands in the file, such as `model_list[2]`.
    pub path: String,
    /// `model`, if that holds a `*` too.
    template: Option<Template>,
    /// By the id that is asked for; the only one stands under the empty id where `model` has no `*`.
    made: BTreeMap<String, Arc<Deployment>>,
}

/// A `model` with a `*` in it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: String,
    region: Option<String>,
}

/// A wildcard whose deployments have no ids yet: each with the id that asks for it.
pub(super) struct WildDraft {
    pub(super) template: Option<Template>,
    pub(super) drafts: Vec<(String, Draft)>,
}

impl Wildcard {
    /// Joins what one entry has come to.
    pub(super) fn new(template: Option<Template>, made: BTreeMap<String, Arc<Deployment>>) -> Option<Self> {
        let first = made.values().next()?;
        Some(Self { pattern: first.alias.clone(), path: first.path.clone(), template, made })
    }

    /// Whether an alias is of this form, served or not.
    pub fn matches(&self, alias: &str) -> bool {
        capture(&self.pattern, alias).is_some()
    }

    /// The deployment that serves an alias, if it is of this form and names a model that the catalogue knows.
    pub fn deployment(&self, alias: &str) -> Option<&Arc<Deployment>> {
        let star = capture(&self.pattern, alias)?;
        let Some(template) = &self.template else { return self.made.get("") };
        let model = template.text.replacen('*', star, 1);
        let (id, region) = routed(model.strip_prefix("bedrock/").unwrap_or(&model));
        // A region of the request's own choosing is none of the entry's.
        self.made.get(id).filter(|_| region == template.region.as_deref())
    }

    /// A deployment for each model that may be asked for: of those that differ by profile the shortest id.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.shortest().map(|(_, deployment)| deployment)
    }

    fn shortest(&self) -> impl Iterator<Item = (&String, &Arc<Deployment>)> {
        let shorter = |id: &str, model: &str| {
            self.made.iter().any(|(other, deployment)| deployment.model.id == model && other.len() < id.len())
        };
        self.made.iter().filter(move |(id, deployment)| !shorter(id, &deployment.model.id))
    }

    /// Aliases that can be asked for, one for each of those deployments.
    pub fn aliases(&self) -> Vec<String> {
        let Some(template) = &self.template else { return vec![self.pattern.clone()] };
        let rest = template.text.strip_prefix("bedrock/").unwrap_or(&template.text);
        let (before, after) = routed(rest).0.split_once('*').unwrap_or_default();
        let name = |id: &str| {
            let star = id.strip_prefix(before).and_then(|id| id.strip_suffix(after)).unwrap_or(id);
            let provider = if template.text == "*" { "bedrock/" } else { "" };
            self.pattern.replacen('*', &format!("{provider}{star}"), 1)
        };
        self.shortest().map(|(id, _)| name(id)).collect()
    }

    /// How much of an alias it fixes: before the `*`, then in all. Of several that match, the greatest wins.
    pub fn precision(&self) -> (usize, usize) {
        (self.pattern.find('*').unwrap_or_default(), self.pattern.len())
    }
}

/// What stands for the `*`, if an alias is of this form: letters, digits and what ids hold besides.
pub(super) fn capture<'a>(pattern: &str, alias: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once('*')?;
    let star = alias.strip_prefix(before)?.strip_suffix(after)?;
    let fit = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    let sound = !star.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    (star.len() <= 256 && star.chars().all(fit) && sound).then_some(star)
}

/// Whether one of the patterns allows a model: by its base id or by what stands in the URL. No patterns allow all.
fn allowed(patterns: &[String], id: &str, base: &str) -> bool {
    let fits = |pattern: &String| {
        let pattern = pattern.strip_prefix("bedrock/").unwrap_or(pattern);
        [id, base].into_iter().any(|id| pattern == id || pattern == "*" || capture(pattern, id).is_some())
    };
    patterns.is_empty() || patterns.iter().any(fits)
}

/// Makes the deployments of an entry whose `model` holds a `*`: for each model of the catalogue and each of its
/// profiles. Says what is to be said of all of them once, and what only some of them would deserve not at all.
pub(super) fn every(
    mut params: Section,
    info: Section,
    path: &str,
    model: &Text,
    defaults: &Defaults,
    catalog: &Catalog,
    reader: &mut Reader,
) -> Result<WildDraft, Refusal> {
    let is_bedrock = params.members.get("custom_llm_provider").is_some_and(|provider| provider == "bedrock");
    if is_bedrock {
        params.members.shift_remove("custom_llm_provider");
    }
    let rest = match model.value.strip_prefix("bedrock/") {
        Some(rest) => rest,
        None if is_bedrock || model.value == "*" => &model.value,
        None => {
            let message = "is not on Bedrock; Easel serves pictures from there, so it skips this entry";
            return Err(Refusal::NotServed(format!("{} {message}", model.shown)));
        }
    };
    for key in ["model_id", "base_model"] {
        if let Some(text) = reader.text(params.take(key), Unset::Warning) {
            reader.warn(&text.path, "goes unused: the request names the model");
        }
    }
    let (around, region) = routed(rest);
    let (before, after) = around.split_once('*').unwrap_or_default();
    let template = Template { text: model.value.clone(), region: region.map(str::to_owned) };
    let outer = std::mem::take(&mut reader.report);
    let (mut drafts, mut said) = (Vec::new(), None);
    for known in catalog.models().filter(|model| !model.life.retired) {
        for id in [""].into_iter().chain(PROFILES).map(|profile| format!("{profile}{}", known.id)) {
            let fits = id.len() >= before.len() + after.len() && id.starts_with(before) && id.ends_with(after);
            if !fits || !allowed(&defaults.allowed_models, &id, &known.id) {
                continue;
            }
            let value = format!("bedrock/{}{id}", region.map(|r| format!("{r}/")).unwrap_or_default());
            let text = Text { path: model.path.clone(), shown: quote(&value), value };
            let named = Named { model: &text, model_id: None, base_model: None, is_bedrock: true };
            let Ok(target) = target(&named, catalog) else { continue };
            let draft = settle(params.clone(), info.clone(), path, Some(target), defaults, reader);
            drafts.extend(draft.map(|draft| (id, draft)));
            let report = std::mem::take(&mut reader.report);
            said = Some(match said {
                None => report,
                Some(before) => in_both(before, &report),
            });
        }
    }
    reader.report = outer;
    let Some(said) = said else {
        let message = format!("{} fits no model that may be asked for, so it skips this entry", model.shown);
        return Err(Refusal::NotServed(message));
    };
    said.mistakes.iter().for_each(|notice| reader.mistake(&notice.path, notice.message.clone()));
    said.warnings.iter().for_each(|notice| reader.warn(&notice.path, notice.message.clone()));
    Ok(WildDraft { template: Some(template), drafts })
}

fn in_both(mut left: Report, right: &Report) -> Report {
    left.mistakes.retain(|notice| right.mistakes.contains(notice));
    left.warnings.retain(|notice| right.warnings.contains(notice));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_what_ids_hold() {
        assert_eq!(capture("bedrock/*", "bedrock/amazon.nova-canvas-v1:0"), Some("amazon.nova-canvas-v1:0"));
        assert_eq!(capture("paint-*-eu", "paint-core-eu"), Some("core"));
        assert_eq!(capture("*", "a/b"), Some("a/b"));
        for alias in ["bedrock/", "bedrock/..", "bedrock/a/../b", "bedrock/a b", "bedrock/a%2fb", "bedrock/*", "x"] {
            assert_eq!(capture("bedrock/*", alias), None, "{alias}");
        }
        assert_eq!(capture("a-*-a", "a-a"), None, "before and after do not overlap");
    }
}
