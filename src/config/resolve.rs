//! What the whole file means: its sections in turn, then what deployments are to each other.
//!
//! Must not know how a value was written: `section.rs` reads those.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::deployment::{self, Defaults, Draft, Entry};
use super::fallbacks::{self, Names};
use super::report::{Report, join, quote};
use super::section::{Field, Reader, Section, Unset, truth};
use super::{Auth, Config, Deployment, Environment, Mistakes};
use super::{file, known, leftovers};
use crate::catalog::Catalog;

/// Longest silence of the upstream: AWS advises at least this for pictures.
const TIMEOUT: Duration = Duration::from_secs(300);

/// LiteLLM's default.
const NUM_RETRIES: u32 = 2;

/// LiteLLM's switch for serving without a key of one's own, as a variable.
const PERMIT_WEAK: &str = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY";

/// The sections besides the list.
struct Settings {
    litellm: Section,
    router: Section,
    general: Section,
    easel: Section,
}

/// Says what the text means, or every mistake in it.
pub(super) fn resolve(yaml: &str, env: &Environment, catalog: &Catalog) -> Result<Config, Mistakes> {
    let mut reader = Reader { env: env.clone(), report: Report::default() };
    let config = file::parse(yaml, &mut reader.report).and_then(|tree| whole(tree, catalog, &mut reader));
    let Report { mistakes, warnings } = reader.report;
    match config {
        Some(config) if mistakes.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(Mistakes { mistakes, warnings }),
    }
}

fn whole(members: Map<String, Value>, catalog: &Catalog, reader: &mut Reader) -> Option<Config> {
    let mut top = Section { path: String::new(), members };
    let exports = environment_variables(&mut top, reader);
    let credentials = credentials(&mut top, reader);
    let list = top.take("model_list");
    let has_list = list.is_some();
    let mut settings = Settings {
        litellm: reader.section(&mut top, "litellm_settings"),
        router: reader.section(&mut top, "router_settings"),
        general: reader.section(&mut top, "general_settings"),
        easel: reader.section(&mut top, "easel_settings"),
    };
    // Keys that begin with x- are where people keep their anchors.
    top.members.retain(|key, _| !key.starts_with("x-"));
    leftovers::report(top, known::read::TOP, known::TOP, reader);
    let defaults = defaults(&mut settings, reader);
    let (drafts, mut names) = entries(list, &credentials, &defaults, catalog, reader);
    if !has_list {
        reader
            .mistake("model_list", "is missing. It holds the models to serve, each with model_name and litellm_params");
    } else if drafts.is_empty() && reader.report.mistakes.is_empty() {
        let hint = "Add one with 'model: bedrock/stability.stable-image-core-v1:1'";
        reader.mistake("model_list", format!("holds no model that Easel serves. {hint}"));
    }
    names.skipped.extend(aliases_of_groups(&settings.router));
    let deployments = join_up(drafts, reader);
    let config = finish(settings, deployments, &names, reader)?;
    Some(Config { exports, ..config })
}

/// Sets variables for everything that is read later; like LiteLLM, over what the environment had.
fn environment_variables(top: &mut Section, reader: &mut Reader) -> BTreeMap<String, SecretString> {
    let section = reader.section(top, "environment_variables");
    let mut exports = BTreeMap::new();
    for (name, mut field) in section.rest() {
        if field.value.is_number() || field.value.is_boolean() {
            field.value = field.value.to_string().into();
        }
        let path = field.path.clone();
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.mistake(&path, format!("{} is no name of a variable", quote(&name)));
        } else if !field.value.is_string() && !field.value.is_null() {
            reader.mistake(&path, "expected a text, a number or a boolean");
        } else if let Some(text) = reader.text(Some(field), Unset::Warning) {
            reader.env = std::mem::take(&mut reader.env).with(&name, &text.value);
            exports.insert(name, text.value.into());
        }
    }
    exports
}

/// `credential_list`: named members of `litellm_params`, for several entries.
fn credentials(top: &mut Section, reader: &mut Reader) -> HashMap<String, Map<String, Value>> {
    let mut found = HashMap::new();
    for item in reader.list(top.take("credential_list")) {
        let Some(mut item) = reader.map(item) else { continue };
        let name = reader.text(item.take("credential_name"), Unset::Mistake);
        let values = reader.section(&mut item, "credential_values");
        match name {
            Some(name) => drop(found.insert(name.value, values.members)),
            None => reader.mistake(&join(&item.path, "credential_name"), "is missing. Entries refer to it by name"),
        }
    }
    found
}

fn defaults(settings: &mut Settings, reader: &mut Reader) -> Defaults {
    let router = reader.seconds(settings.router.take("timeout"));
    let litellm = reader.seconds(settings.litellm.take("request_timeout"));
    let drop_params = reader.switch(settings.litellm.take("drop_params"));
    Defaults { timeout: router.or(litellm).unwrap_or(TIMEOUT), drop_params: drop_params.unwrap_or(false) }
}

fn entries(
    list: Option<Field>,
    credentials: &HashMap<String, Map<String, Value>>,
    defaults: &Defaults,
    catalog: &Catalog,
    reader: &mut Reader,
) -> (Vec<Draft>, Names) {
    let (mut drafts, mut names) = (Vec::new(), Names::default());
    for item in reader.list(list) {
        let Some(mut entry) = reader.map(item) else { continue };
        fill_in(&mut entry, credentials, reader);
        match deployment::read(entry, defaults, catalog, reader) {
            Entry::Served(draft) => {
                if !names.served.contains(&draft.deployment.alias) {
                    names.served.push(draft.deployment.alias.clone());
                }
                drafts.push(*draft);
            }
            Entry::Skipped(alias) => drop(names.skipped.insert(alias)),
            Entry::Wrong(alias) => names.wrong.extend(alias),
        }
    }
    (drafts, names)
}

/// Puts the members of the credential that an entry names beside its own, which win.
fn fill_in(entry: &mut Section, credentials: &HashMap<String, Map<String, Value>>, reader: &mut Reader) {
    let path = join(&entry.path, "litellm_params");
    let Some(Value::Object(params)) = entry.members.get_mut("litellm_params") else { return };
    let mut section = Section { path, members: std::mem::take(params) };
    let name = reader.text(section.take("litellm_credential_name"), Unset::Mistake);
    *params = section.members;
    let Some(name) = name else { return };
    match credentials.get(&name.value) {
        Some(values) => {
            for (key, value) in values {
                params.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        None => reader.mistake(&name.path, format!("credential_list has no credential {}", name.shown)),
    }
}

/// The names that `model_group_alias` gives: LiteLLM would find them, Easel does not yet.
fn aliases_of_groups(router: &Section) -> Vec<String> {
    let groups = router.members.get("model_group_alias").and_then(Value::as_object);
    groups.map(|groups| groups.keys().cloned().collect()).unwrap_or_default()
}

/// Gives each deployment its id and its share.
fn join_up(mut drafts: Vec<Draft>, reader: &mut Reader) -> Vec<Arc<Deployment>> {
    let mut said: HashMap<String, String> = HashMap::new();
    let mut equals: HashMap<String, usize> = HashMap::new();
    for draft in &mut drafts {
        draft.deployment.id = match &draft.id {
            Some(id) => {
                if let Some(first) = said.insert(id.value.clone(), id.path.clone()) {
                    reader
                        .mistake(&id.path, format!("the id {} already stands at {first}. Give each its own", id.shown));
                }
                id.value.clone()
            }
            None => {
                let equal = equals.entry(digest(&draft.deployment, 0)).or_default();
                *equal += 1;
                digest(&draft.deployment, *equal)
            }
        };
    }
    share(&mut drafts);
    drafts.into_iter().map(|draft| Arc::new(draft.deployment)).collect()
}

/// `weight` where it is written; else `rpm` or `tpm`, as in LiteLLM's simple-shuffle, if all of an alias have it.
fn share(drafts: &mut [Draft]) {
    for i in 0..drafts.len() {
        let group = drafts.iter().filter(|draft| draft.deployment.alias == drafts[i].deployment.alias);
        let group: Vec<_> = group.collect();
        let all = |by: fn(&Draft) -> Option<f64>| group.iter().all(|draft| by(draft).is_some_and(|n| n > 0.0));
        let weight = match () {
            () if group.iter().any(|draft| draft.weight.is_some()) => drafts[i].weight,
            () if all(|draft| draft.rpm) => drafts[i].rpm,
            () if all(|draft| draft.tpm) => drafts[i].tpm,
            () => None,
        };
        drafts[i].deployment.weight = weight.unwrap_or(1.0);
    }
}

/// What sets a deployment apart, without any secret; `position` counts those that are equal in all of it.
fn digest(deployment: &Deployment, position: usize) -> String {
    let auth = match &deployment.auth {
        Auth::Bearer { source, .. } => format!("bearer {source}"),
        Auth::Keys { role, .. } => format!("keys {role:?}"),
        Auth::Chain { profile, role } => format!("chain {profile:?} {role:?}"),
        Auth::WebIdentity { role, .. } => format!("web identity {role:?}"),
    };
    let Deployment { alias, model_id, region, endpoint, .. } = deployment;
    let parts = [alias, &deployment.model.id, model_id, region, endpoint, &auth, &position.to_string()];
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Everything besides the list, and the whole.
fn finish(
    mut settings: Settings,
    deployments: Vec<Arc<Deployment>>,
    names: &Names,
    reader: &mut Reader,
) -> Option<Config> {
    let Settings { litellm, router, general, easel } = &mut settings;
    let fallbacks = fallbacks::read(router, litellm, names, reader);
    let num_retries = [&mut *router, &mut *litellm].map(|section| reader.count(section.take("num_retries")));
    let strategy = reader.text(router.take("routing_strategy"), Unset::Warning);
    if let Some(strategy) = strategy.filter(|strategy| strategy.value != "simple-shuffle") {
        reader.warn(&strategy.path, format!("{} goes unused: {}", strategy.shown, known::STRATEGY));
    }
    let of_env = || Field { path: String::new(), value: "os.environ/LITELLM_MASTER_KEY".into() };
    let master_key = reader
        .secret(general.take("master_key"), Unset::Silent)
        .or_else(|| reader.secret(Some(of_env()), Unset::Silent))
        .map(|secret| secret.value);
    let permit = reader.switch(general.take("dangerously_permit_weak_or_unset_master_key"));
    let permit_weak_key = permit.or_else(|| reader.env.get(PERMIT_WEAK).and_then(truth)).unwrap_or(false);
    let default_model = reader.text(easel.take("default_model"), Unset::Mistake);
    let default_model = default_model.and_then(|text| names.check(&text, reader));
    let strict_params = reader.switch(easel.take("strict_params")).unwrap_or(false);
    let Settings { litellm, router, general, easel } = settings;
    leftovers::report(litellm, known::read::LITELLM, known::LITELLM, reader);
    leftovers::report(router, known::read::ROUTER, known::ROUTER, reader);
    leftovers::report(general, known::read::GENERAL, known::GENERAL, reader);
    for (key, field) in easel.rest() {
        let accepted = known::read::EASEL.map(|key| format!("'{key}'")).join(", ");
        reader.mistake(&field.path, format!("easel_settings has no {}. Accepted are {accepted}", quote(&key)));
    }
    let first = deployments.first()?.alias.clone();
    Some(Config {
        deployments,
        fallbacks,
        master_key,
        permit_weak_key,
        default_model: default_model.unwrap_or(first),
        strict_params,
        num_retries: num_retries.into_iter().flatten().next().unwrap_or(NUM_RETRIES),
        exports: BTreeMap::new(),
        warnings: Vec::new(),
    })
}
