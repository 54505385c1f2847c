//! What the whole file means: its sections in turn, then what deployments are to each other.
//!
//! Must not know how a value was written: `section.rs` reads those.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::deployment::{self, Defaults, Draft, Entry};
use super::fallbacks::{self, Fallbacks, Names};
use super::file::Budget;
use super::include::{self, Folder, Top};
use super::report::{Report, join, quote};
use super::section::{Field, Reader, Section, Text, Unset, truth};
use super::wildcard::{WildDraft, Wildcard};
use super::{Auth, AwsKeys, Config, Deployment, Environment, Mistakes};
use super::{aliases, delivery, keeping, known, leftovers, models, routing, serving};
use crate::catalog::Catalog;

/// Longest silence of the upstream: AWS advises at least this for pictures.
const TIMEOUT: Duration = Duration::from_secs(300);

/// LiteLLM's switch for serving without a key of one's own, as a variable.
const PERMIT_WEAK: &str = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY";

/// The sections besides the list.
struct Settings {
    litellm: Section,
    router: Section,
    general: Section,
    easel: Section,
}

/// Says what the text means, or every mistake in it. `folder` is where other files may be.
pub(super) fn resolve(
    yaml: &str,
    folder: Option<Folder>,
    env: &Environment,
    catalog: &Catalog,
) -> Result<Config, Mistakes> {
    let mut reader =
        Reader { env: env.clone(), report: Report::default(), folder, files: Vec::new(), budget: Budget::default() };
    let config = include::gather(yaml, &mut reader).and_then(|top| whole(top, catalog, &mut reader));
    let (files, Report { mistakes, warnings }) = (reader.files, reader.report);
    match config {
        Some(config) if mistakes.is_empty() => Ok(Config { warnings, files, ..config }),
        _ => Err(Mistakes { mistakes, warnings, files }),
    }
}

fn whole(mut top: Top, catalog: &Catalog, reader: &mut Reader) -> Option<Config> {
    let mut section = |top: &mut Top, key: &str| reader.section_at(key.to_owned(), top.take(key));
    let variables = section(&mut top, "environment_variables");
    let mut settings = Settings {
        litellm: section(&mut top, "litellm_settings"),
        router: section(&mut top, "router_settings"),
        general: section(&mut top, "general_settings"),
        easel: section(&mut top, "easel_settings"),
    };
    let exports = environment_variables(variables, reader);
    let env_keys = env_keys(&reader.env);
    let credentials = credentials(top.take_all("credential_list"), reader);
    let list = top.take_all("model_list");
    let has_list = !list.is_empty();
    // Keys that begin with x- are where people keep their anchors.
    let rest = top.rest().into_iter().filter(|(key, _)| !key.starts_with("x-"));
    leftovers::fields(rest, "", known::TOP, reader);
    let defaults = defaults(&mut settings, reader);
    let catalog = models::catalogue(&mut settings.easel, catalog, reader);
    let Entries { drafts, wild, mut names } = entries(list, &credentials, &defaults, &catalog, reader);
    if !has_list {
        reader
            .mistake("model_list", "is missing. It holds the models to serve, each with model_name and litellm_params");
    } else if drafts.is_empty() && wild.is_empty() && reader.report.mistakes.is_empty() {
        let hint = "Add one with 'model: bedrock/stability.stable-image-core-v1:1'";
        reader.mistake("model_list", format!("holds no model that Easel serves. {hint}"));
    }
    let (deployments, own) = join_up(drafts, wild, &mut names, reader);
    let config = finish(settings, deployments, own, names, Arc::new(catalog), reader)?;
    Some(Config { exports, env_keys, ..config })
}

/// Sets variables for everything that is read later; like LiteLLM, over what the environment had.
fn environment_variables(section: Section, reader: &mut Reader) -> BTreeMap<String, SecretString> {
    let mut exports = BTreeMap::new();
    for (name, mut field) in section.rest().filter(|(_, field)| !field.value.is_null()) {
        if field.value.is_number() || field.value.is_boolean() {
            field.value = field.value.to_string().into();
        }
        let path = field.path.clone();
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.mistake(&path, format!("{} is no name of a variable", quote(&name)));
        } else if !field.value.is_string() {
            reader.mistake(&path, "expected a text, a number or a boolean");
        } else if let Some(text) = reader.text(Some(field), Unset::Warning) {
            reader.env = std::mem::take(&mut reader.env).with(&name, &text.value);
            exports.insert(name, text.value.into());
        }
    }
    exports
}

/// Keys to sign with that the environment holds. The AWS chain would find them itself, but as they were at start.
fn env_keys(env: &Environment) -> Option<AwsKeys> {
    let id = env.get("AWS_ACCESS_KEY_ID")?.trim().to_owned();
    let secret = env.get("AWS_SECRET_ACCESS_KEY")?.trim().into();
    Some(AwsKeys { id, secret, token: env.get("AWS_SESSION_TOKEN").map(|token| token.trim().into()) })
}

/// `credential_list`: named members of `litellm_params`, for several entries.
fn credentials(lists: Vec<Field>, reader: &mut Reader) -> HashMap<String, Map<String, Value>> {
    let mut found = HashMap::new();
    for item in items(lists, reader) {
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

/// The items of one list that stands in several files.
fn items(lists: Vec<Field>, reader: &mut Reader) -> Vec<Field> {
    lists.into_iter().flat_map(|list| reader.list(Some(list))).collect()
}

fn defaults(settings: &mut Settings, reader: &mut Reader) -> Defaults {
    let router = reader.seconds(settings.router.take("timeout"));
    let litellm = reader.seconds(settings.litellm.take("request_timeout"));
    let drop_params = reader.switch(settings.litellm.take("drop_params"));
    let max_parallel = routing::parallel(settings.router.take("default_max_parallel_requests"), reader);
    let mut texts = |field| reader.texts(field).into_iter().map(|text| text.value).collect();
    Defaults {
        timeout: router.or(litellm).unwrap_or(TIMEOUT),
        drop_params: drop_params.unwrap_or(false),
        max_parallel,
        drops: texts(settings.litellm.take("additional_drop_params")),
        allowed_models: texts(settings.easel.take("allowed_models")),
    }
}

/// What the entries of the list have come to.
#[derive(Default)]
struct Entries {
    drafts: Vec<Draft>,
    wild: Vec<WildDraft>,
    names: Names,
}

fn entries(
    list: Vec<Field>,
    credentials: &HashMap<String, Map<String, Value>>,
    defaults: &Defaults,
    catalog: &Catalog,
    reader: &mut Reader,
) -> Entries {
    let Entries { mut drafts, mut wild, mut names } = Entries::default();
    for item in items(list, reader) {
        let Some(mut entry) = reader.map(item) else { continue };
        fill_in(&mut entry, credentials, reader);
        match deployment::read(entry, defaults, catalog, reader) {
            Entry::Served(draft) => {
                if !names.served.contains(&draft.deployment.alias) {
                    names.served.push(draft.deployment.alias.clone());
                }
                drafts.push(*draft);
            }
            Entry::Wild(draft) => wild.push(draft),
            Entry::Skipped(alias) => drop(names.skipped.insert(alias)),
            Entry::Wrong(alias) => names.wrong.extend(alias),
        }
    }
    Entries { drafts, wild, names }
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

/// Gives each deployment its id and its share; those of wildcards go to the names. Besides, the fallbacks that
/// entries name for themselves.
fn join_up(
    mut drafts: Vec<Draft>,
    wild: Vec<WildDraft>,
    names: &mut Names,
    reader: &mut Reader,
) -> (Vec<Arc<Deployment>>, Vec<(String, Field)>) {
    let exact = drafts.len();
    let mut shapes = Vec::new();
    for WildDraft { template, drafts: made } in wild {
        let (asked, made): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        shapes.push((template, asked));
        drafts.extend(made);
    }
    identify(&mut drafts, reader);
    share(&mut drafts);
    let mut own: Vec<(String, Field)> = Vec::new();
    for draft in &mut drafts {
        // All deployments of a wildcard come from one entry.
        if let Some(field) = draft.fallbacks.take().filter(|field| !own.iter().any(|(_, of)| of.path == field.path)) {
            own.push((draft.deployment.alias.clone(), field));
        }
    }
    let mut deployments: Vec<_> = drafts.into_iter().map(|draft| Arc::new(draft.deployment)).collect();
    let mut rest = deployments.split_off(exact).into_iter();
    for (template, asked) in shapes {
        let made = asked.into_iter().zip(rest.by_ref()).collect();
        names.wildcards.extend(Wildcard::new(template, made).map(Arc::new));
    }
    (deployments, own)
}

fn identify(drafts: &mut [Draft], reader: &mut Reader) {
    let mut said: HashMap<String, String> = HashMap::new();
    let mut equals: HashMap<String, usize> = HashMap::new();
    for Draft { id, deployment, .. } in drafts {
        deployment.id = match id {
            Some(id) => {
                let first = said.entry(id.value.clone()).or_insert_with(|| id.path.clone());
                if *first != id.path {
                    let message = format!("the id {} already stands at {first}. Give each its own", id.shown);
                    reader.mistake(&id.path, message);
                }
                // One rests without the others that a wildcard has made.
                let model = if deployment.alias.contains('*') { &*deployment.model_id } else { "" };
                format!("{}{}{model}", id.value, if model.is_empty() { "" } else { "/" })
            }
            None => {
                let equal = equals.entry(digest(deployment, 0)).or_default();
                *equal += 1;
                digest(deployment, *equal)
            }
        };
    }
}

/// `weight` where it is written; else `rpm` or `tpm`, as in LiteLLM's simple-shuffle, if all of an alias have it. And
/// whether an alias has one model only.
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
        // Those of a wildcard have one alias, and are asked for by model.
        let same = |draft: &&Draft| draft.deployment.model.id == drafts[i].deployment.model.id;
        let alone = drafts[i].deployment.alias.contains('*') || group.iter().all(same);
        drafts[i].deployment.weight = weight.unwrap_or(1.0);
        drafts[i].deployment.alone = alone;
    }
}

/// What sets a deployment apart, without any secret; `position` counts those that are equal in all of it.
fn digest(deployment: &Deployment, position: usize) -> String {
    let auth = match &deployment.auth {
        Auth::Bearer { key, .. } => format!("bearer {}", key.source),
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
    hex::encode(hasher.finalize())
}

/// Everything besides the list, and the whole.
fn finish(
    mut settings: Settings,
    deployments: Vec<Arc<Deployment>>,
    own: Vec<(String, Field)>,
    mut names: Names,
    catalog: Arc<Catalog>,
    reader: &mut Reader,
) -> Option<Config> {
    let Settings { litellm, router, general, easel } = &mut settings;
    let aliases = aliases::read(router, litellm, &mut names, reader);
    let Fallbacks { usual, content, most } = fallbacks::read(router, litellm, own, &names, reader);
    let routing = routing::read(router, litellm, easel, &names, reader);
    let of_env = || Field { path: String::new(), value: "os.environ/LITELLM_MASTER_KEY".into() };
    let master_key = reader
        .secret(general.take("master_key"), Unset::Silent)
        .or_else(|| reader.secret(Some(of_env()), Unset::Silent))
        .map(|secret| secret.value);
    let key_header = key_header(general, reader);
    let user_headers = user_headers(general, reader);
    let permit = reader.switch(general.take("dangerously_permit_weak_or_unset_master_key"));
    let permit_weak_key = permit.or_else(|| reader.env.get(PERMIT_WEAK).and_then(truth)).unwrap_or(false);
    let default_model = reader.text(easel.take("default_model"), Unset::Mistake);
    let default_model = default_model.and_then(|text| names.check(&text, reader));
    let metrics_need_key = reader.switch(litellm.take("require_auth_for_metrics_endpoint"));
    let json_logs = reader.switch(litellm.take("json_logs"));
    let picture_hosts = picture_hosts(easel, reader);
    let strict_params = reader.switch(easel.take("strict_params")).unwrap_or(false);
    let delivery = delivery::read(easel, reader);
    let keeping = keeping::read(easel, reader);
    let serving = serving::read(general, easel, reader);
    report_rest(settings, reader);
    let first = first_alias(&deployments, default_model.is_some(), &names, reader);
    Some(Config {
        deployments,
        wildcards: names.wildcards,
        aliases,
        fallbacks: usual,
        content_fallbacks: content,
        max_fallbacks: most,
        not_served: names.skipped,
        master_key,
        permit_weak_key,
        key_header,
        user_headers,
        default_model: default_model.or(first)?,
        open_metrics: metrics_need_key == Some(false),
        json_logs: json_logs.unwrap_or_else(|| reader.env.get("JSON_LOGS").and_then(truth).unwrap_or(false)),
        picture_hosts,
        strict_params,
        delivery,
        routing,
        keeping,
        serving,
        files: Vec::new(),
        env_keys: None,
        exports: BTreeMap::new(),
        catalog,
        warnings: Vec::new(),
    })
}

/// The alias of requests that name none, where the config does not say.
fn first_alias(deployments: &[Arc<Deployment>], said: bool, names: &Names, reader: &mut Reader) -> Option<String> {
    let first = deployments.first().map(|deployment| deployment.alias.clone());
    if first.is_none() && !said && !names.wildcards.is_empty() {
        let message = "requests that name no model find none: every entry is a wildcard. Name one for them";
        reader.warn("easel_settings.default_model", message);
    }
    first.or_else(|| names.wildcards.first().map(|wildcard| wildcard.pattern.clone()))
}

/// Hosts by name or address, without scheme, port or path.
fn picture_hosts(easel: &mut Section, reader: &mut Reader) -> Vec<String> {
    let is_host = |host: &str| {
        let name = host.strip_prefix("*.").unwrap_or(host);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c)) && !name.contains("..")
    };
    let mut hosts = Vec::new();
    for text in reader.texts(easel.take("picture_hosts")) {
        let host = text.value.to_ascii_lowercase();
        match is_host(&host) {
            true => hosts.push(host),
            false => reader.mistake(
                &text.path,
                format!("{} is no host. Write it like 'images.example.com' or '*.example.com'", text.shown),
            ),
        }
    }
    hosts
}

/// `user_header_name`, and the headers of `user_header_mappings`, whatever LiteLLM makes of their users.
fn user_headers(general: &mut Section, reader: &mut Reader) -> Vec<String> {
    let mut texts: Vec<_> = reader.text(general.take("user_header_name"), Unset::Warning).into_iter().collect();
    for item in reader.list(general.take("user_header_mappings")) {
        let Some(mut mapping) = reader.map(item) else { continue };
        texts.extend(reader.text(mapping.take("header_name"), Unset::Mistake));
    }
    texts.into_iter().filter_map(|text| header_name(&text, reader)).collect()
}

/// `litellm_key_header_name`, if it can be a header's name.
fn key_header(general: &mut Section, reader: &mut Reader) -> Option<String> {
    let text = reader.text(general.take("litellm_key_header_name"), Unset::Warning)?;
    header_name(&text, reader)
}

fn header_name(text: &Text, reader: &mut Reader) -> Option<String> {
    let name = text.value.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        reader.mistake(&text.path, format!("{} is no name of a header. Write it like 'x-my-key'", text.shown));
    }
    Some(name)
}

/// What nobody has read in the sections besides the list.
fn report_rest(settings: Settings, reader: &mut Reader) {
    let Settings { litellm, router, general, easel } = settings;
    leftovers::report(litellm, known::LITELLM, reader);
    leftovers::report(router, known::ROUTER, reader);
    leftovers::report(general, known::GENERAL, reader);
    delivery::rest(easel, reader);
}
