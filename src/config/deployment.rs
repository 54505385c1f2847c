//! One entry of `model_list`: what it means, alone.
//!
//! Must not know its neighbours: shares, ids and fallbacks are `resolve.rs`'s.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Map;

use super::headers;
use super::keys;
use super::known;
use super::leftovers;
use super::model::{Named, Refusal, Target, target};
use super::region;
use super::report::{did_you_mean, join};
use super::routing;
use super::section::{Field, Reader, Section, Text, Unset};
use super::signing;
use super::wildcard::{self, WildDraft};
use super::{Auth, Bounds, Deployment};
use crate::catalog::Catalog;
use crate::wishes::{Wishes, drop_members};

/// What counts where an entry does not say.
pub(super) struct Defaults {
    pub(super) timeout: Duration,
    pub(super) drop_params: bool,
    /// `router_settings.default_max_parallel_requests`.
    pub(super) max_parallel: Option<u32>,
    /// `litellm_settings.additional_drop_params`.
    pub(super) drops: Vec<String>,
    /// `easel_settings.allowed_models`; empty allows all.
    pub(super) allowed_models: Vec<String>,
}

/// A deployment whose id and share depend on its neighbours.
pub(super) struct Draft {
    pub(super) deployment: Deployment,
    pub(super) id: Option<Text>,
    pub(super) weight: Option<f64>,
    pub(super) rpm: Option<f64>,
    pub(super) tpm: Option<f64>,
    /// `fallbacks` of its own.
    pub(super) fallbacks: Option<Field>,
}

/// What an entry came to.
pub(super) enum Entry {
    /// It is served.
    Served(Box<Draft>),
    /// It is served under every name that its pattern matches.
    Wild(WildDraft),
    /// It may be sound, but Easel does not serve it.
    Skipped(String),
    /// It is wrong; the report says how.
    Wrong(Option<String>),
}

/// Reads one entry and reports everything about it.
pub(super) fn read(mut entry: Section, defaults: &Defaults, catalog: &Catalog, reader: &mut Reader) -> Entry {
    let mistakes = reader.report.mistakes.len();
    let alias = reader.text(entry.take("model_name"), Unset::Mistake);
    if alias.is_none() && reader.report.mistakes.len() == mistakes {
        let message = "is missing. Write the name that callers use, such as 'nova-canvas'";
        reader.mistake(&join(&entry.path, "model_name"), message);
    }
    let name = alias.as_ref().map(|text| text.value.clone());
    let Some(field) = entry.take("litellm_params") else {
        let message = "is missing. It holds at least 'model: bedrock/amazon.nova-canvas-v1:0'";
        reader.mistake(&join(&entry.path, "litellm_params"), message);
        // Where they were misspelt, the hint is there.
        leftovers::report(entry, &[], reader);
        return Entry::Wrong(name);
    };
    let mut info = reader.section(&mut entry, "model_info");
    let path = entry.path.clone();
    leftovers::report(entry, &[], reader);
    let Some(mut params) = reader.map(field) else { return Entry::Wrong(name) };
    if let Some(alias) = alias.as_ref().filter(|alias| alias.value.contains('*')) {
        let result = wild(params, info, alias, &path, defaults, catalog, reader);
        return if reader.report.mistakes.len() > mistakes { Entry::Wrong(name) } else { result };
    }
    let target = match find_model(&mut params, &mut info, catalog, reader) {
        Ok(target) => target,
        Err(Refusal::NotServed(message)) => {
            reader.warn(&join(&params.path, "model"), message);
            return Entry::Skipped(name.unwrap_or_default());
        }
        Err(Refusal::Mistake { path, message }) => {
            reader.mistake(&path, message);
            None
        }
    };
    let draft = settle(params, info, &path, target, defaults, reader);
    match (draft, name) {
        (Some(mut draft), Some(name)) if reader.report.mistakes.len() == mistakes => {
            draft.deployment.alias = name;
            Entry::Served(Box::new(draft))
        }
        (_, name) => Entry::Wrong(name),
    }
}

/// An entry whose alias holds a `*`; its `model` holds one too, or is the same for all that match.
fn wild(
    mut params: Section,
    mut info: Section,
    alias: &Text,
    path: &str,
    defaults: &Defaults,
    catalog: &Catalog,
    reader: &mut Reader,
) -> Entry {
    let model_path = join(&params.path, "model");
    if alias.value.matches('*').count() > 1 {
        reader.mistake(&alias.path, format!("the wildcard {} holds more than one '*'. Write one", alias.shown));
    }
    let has_star = |value: &serde_json::Value| value.as_str().is_some_and(|model| model.matches('*').count() == 1);
    let made = if params.members.get("model").is_some_and(has_star) {
        match reader.text(params.take("model"), Unset::Mistake) {
            Some(model) => wildcard::every(params, info, path, &model, defaults, catalog, reader),
            None => return Entry::Wrong(Some(alias.value.clone())),
        }
    } else {
        find_model(&mut params, &mut info, catalog, reader).map(|target| {
            let draft = settle(params, info, path, target, defaults, reader);
            WildDraft { template: None, drafts: draft.map(|draft| (String::new(), draft)).into_iter().collect() }
        })
    };
    match made {
        Ok(mut made) => {
            made.drafts.iter_mut().for_each(|(_, draft)| draft.deployment.alias.clone_from(&alias.value));
            Entry::Wild(made)
        }
        Err(Refusal::NotServed(message)) => {
            reader.warn(&model_path, message);
            Entry::Skipped(alias.value.clone())
        }
        Err(Refusal::Mistake { path, message }) => {
            reader.mistake(&path, message);
            Entry::Wrong(Some(alias.value.clone()))
        }
    }
}

fn find_model(
    params: &mut Section,
    info: &mut Section,
    catalog: &Catalog,
    reader: &mut Reader,
) -> Result<Option<Target>, Refusal> {
    let (path, mistakes) = (join(&params.path, "model"), reader.report.mistakes.len());
    let model = reader.text(params.take("model"), Unset::Mistake);
    let model_id = reader.text(params.take("model_id"), Unset::Mistake);
    let base_model = info.take("base_model").or(params.take("base_model"));
    let base_model = reader.text(base_model, Unset::Mistake);
    let provider = params.members.get("custom_llm_provider").and_then(|value| value.as_str());
    let is_bedrock = provider == Some("bedrock");
    if is_bedrock {
        params.members.shift_remove("custom_llm_provider");
    }
    let Some(model) = model else {
        if reader.report.mistakes.len() == mistakes {
            reader.mistake(&path, "is missing. Write a model such as 'bedrock/amazon.nova-canvas-v1:0'");
        }
        return Ok(None);
    };
    let named = Named { model: &model, model_id: model_id.as_ref(), base_model: base_model.as_ref(), is_bedrock };
    target(&named, catalog).map(Some)
}

/// Reads everything but the model, also when that is wrong: all mistakes in one run.
pub(super) fn settle(
    mut params: Section,
    mut info: Section,
    path: &str,
    target: Option<Target>,
    defaults: &Defaults,
    reader: &mut Reader,
) -> Option<Draft> {
    let auth = signing::auth(&mut params, reader);
    let told = auth.as_ref().and_then(|auth| region::of_auth(auth, &reader.env));
    let region = region::region(&mut params, target.as_ref(), told.as_deref(), reader);
    let endpoint = region::endpoint(&mut params, region.as_deref(), reader);
    if matches!(auth, Some(Auth::Bearer { .. })) && region::in_the_clear(&endpoint) {
        reader.warn(&params.path, "the API key crosses the network in the clear. Use an https:// address");
    }
    let timeout = reader.seconds(params.take("timeout"));
    let num_retries = reader.count(params.take("num_retries"));
    let drop_params = reader.switch(params.take("drop_params"));
    let bounds = routing::bounds(&mut params, defaults.max_parallel, reader);
    let [weight, rpm, tpm] = ["weight", "rpm", "tpm"].map(|key| reader.amount(params.take(key)));
    let headers = headers::read(&mut params, reader);
    let fallbacks = params.take("fallbacks");
    let mock = mock(&mut params, reader);
    let drops = drops(&mut params, defaults, reader);
    // LiteLLM sends it to Bedrock, which refuses it; every guide writes it.
    drop(params.take("stream"));
    let price = [info.take("output_cost_per_image"), params.take("output_cost_per_image")];
    let price = price.map(|field| reader.amount(field)).into_iter().flatten().next();
    let id = identifier(&mut info, reader);
    check_mode(&mut info, target.is_some(), reader);
    report_info(info, reader);
    let defaults_of_pictures = wishes(params, &drops, reader);
    let target = target?;
    let deployment = Deployment {
        alias: String::new(),
        id: String::new(),
        path: path.to_owned(),
        model: target.model,
        model_id: target.model_id,
        region: region?,
        endpoint,
        invoke_url: OnceLock::new(),
        auth: auth?,
        timeout: timeout.unwrap_or(defaults.timeout),
        num_retries,
        alone: true,
        weight: 1.0,
        bounds: Bounds { rpm: rpm.and_then(routing::per_minute), ..bounds },
        drop_params: drop_params.unwrap_or(defaults.drop_params),
        drops,
        defaults: defaults_of_pictures?,
        headers,
        mock,
        price: if mock { Some(0.0) } else { price },
    };
    Some(Draft { deployment, id, weight, rpm, tpm, fallbacks })
}

/// `mock_response`: whatever it says, nothing is called. LiteLLM's users test with it, and forget it there.
fn mock(params: &mut Section, reader: &mut Reader) -> bool {
    let Some(field) = params.take("mock_response").filter(|field| field.value != false) else { return false };
    reader.warn(
        &field.path,
        "Bedrock is never called here, and every picture is the same grey pixel. Remove it to paint",
    );
    true
}

/// Members of requests that are left out: those of all deployments, and its own.
fn drops(params: &mut Section, defaults: &Defaults, reader: &mut Reader) -> Vec<String> {
    let mut drops = defaults.drops.clone();
    let own = reader.texts(params.take("additional_drop_params"));
    drops.extend(own.into_iter().map(|text| text.value));
    drops
}

/// `model_info.id`; LiteLLM takes a number too.
fn identifier(info: &mut Section, reader: &mut Reader) -> Option<Text> {
    let mut field = info.take("id");
    if let Some(field) = &mut field
        && field.value.is_number()
    {
        field.value = field.value.to_string().into();
    }
    let text = reader.text(field, Unset::Mistake)?;
    if text.value.len() > 128 || !text.value.chars().all(|c| c.is_ascii_graphic()) {
        // It goes into a header of every answer.
        reader.mistake(&text.path, format!("the id {} is not accepted. Write up to 128 plain characters", text.shown));
    }
    Some(text)
}

fn check_mode(info: &mut Section, known: bool, reader: &mut Reader) {
    let Some(mode) = reader.text(info.take("mode"), Unset::Warning) else { return };
    if known && !["image_generation", "image_edit"].contains(&mode.value.as_str()) {
        reader.warn(&mode.path, format!("the mode {} is not this model's. Write 'image_generation'", mode.shown));
    }
}

/// `model_info` may hold anything, so only what is nearly a key of ours is worth a line.
fn report_info(info: Section, reader: &mut Reader) {
    let read = keys::members(&info.path);
    for (key, field) in info.rest() {
        let near = did_you_mean(&key, read.iter().copied());
        if !leftovers::known(&key, &field, known::INFO, reader) && !near.is_empty() {
            reader.warn(&field.path, format!("means nothing to Easel{near}"));
        }
    }
}

/// What nobody else has taken: generation defaults, and what goes unused.
fn wishes(mut params: Section, drops: &[String], reader: &mut Reader) -> Option<Wishes> {
    let path = params.path.clone();
    // As in LiteLLM, what is left out of requests is left out of the config's own words too.
    for name in drop_members(&mut params.members, drops) {
        reader.warn(&join(&path, &name), "goes unused: additional_drop_params leaves it out. Remove one of them");
    }
    let (mut members, mut from_env) = (Map::new(), Vec::new());
    for (key, mut field) in params.rest() {
        if leftovers::known(&key, &field, known::PARAMS, reader) {
            continue;
        }
        if known::WISHES.contains(&&*key) || known::NATIVE.contains(&&*key) {
            let names = reader.expand(&field.path, &mut field.value);
            from_env.extend(names.first().map(|name| (key.clone(), name.clone())));
            members.insert(key, field.value);
        } else {
            unknown(&key, &field, &path, reader);
        }
    }
    let mut wishes = match Wishes::read(members) {
        Ok(wishes) => wishes,
        Err(faults) => {
            for fault in faults {
                let top = fault.param.split('.').next().unwrap_or_default();
                // What came from the environment may be a secret put in the wrong place, so it is not quoted.
                let message = match from_env.iter().find(|(key, _)| key == top) {
                    Some((_, name)) => format!("the value of os.environ/{name} is not accepted here"),
                    None => fault.message,
                };
                reader.mistake(&format!("{path}.{}", fault.param), message);
            }
            return None;
        }
    };
    // Members of a nested object that nobody knows come up under their path.
    let stray = wishes.native.keys().filter(|key| !known::NATIVE.contains(&key.as_str())).cloned().collect::<Vec<_>>();
    for key in stray {
        wishes.native.shift_remove(&key);
        let last = key.rsplit('.').next().unwrap_or_default();
        let near = did_you_mean(last, known::WISHES.iter().chain(known::NATIVE).copied());
        reader.warn(&format!("{path}.{key}"), format!("no model knows this member, so it goes unused{near}"));
    }
    Some(wishes)
}

fn unknown(key: &str, field: &Field, place: &str, reader: &mut Reader) {
    let tables = [known::WISHES, known::NATIVE].into_iter().flatten();
    let tables = tables.chain(known::PARAMS.iter().flat_map(|u| u.keys)).copied();
    let near = did_you_mean(key, keys::members(place).into_iter().chain(tables));
    reader.warn(&field.path, format!("neither LiteLLM nor any model knows this key, so it goes unused{near}"));
}
