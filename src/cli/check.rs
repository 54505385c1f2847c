//! `easel check`: says everything about a config without serving it, for a person or as JSON.
//!
//! Must not paint, call AWS or show a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use time::Date;

use crate::bedrock;
use crate::catalog::{Catalog, Life};
use crate::clock::Clock;
use crate::config::{Alias, Auth, Config, Deployment, Environment, Mistakes, Notice, Wildcard};

/// The exit status of a config that cannot be used, as in BSD's `sysexits.h`.
pub const UNUSABLE: u8 = 64;

/// Reads the config at `path` and writes what it means on the clock's day to `out`. Answers the exit status: 0, 1 for warnings if
/// `strict`, 64 for mistakes.
pub fn run(
    path: &Path,
    env: &Environment,
    catalog: &Catalog,
    clock: Clock,
    json: bool,
    strict: bool,
    out: &mut dyn Write,
) -> Result<u8> {
    let findings = Findings::of(path, env, catalog, clock);
    if json {
        writeln!(out, "{:#}", findings.to_json())?;
    } else {
        findings.print(out)?;
    }
    Ok(match (findings.mistakes.is_empty(), findings.warnings.is_empty()) {
        (false, _) => UNUSABLE,
        (true, false) if strict => 1,
        (true, _) => 0,
    })
}

/// Everything there is to say.
struct Findings {
    path: String,
    today: Date,
    config: Option<Config>,
    mistakes: Vec<Notice>,
    warnings: Vec<Notice>,
}

impl Findings {
    fn of(path: &Path, env: &Environment, catalog: &Catalog, clock: Clock) -> Self {
        let today = clock.today();
        let (config, mistakes, warnings) = match Config::load(path, env, catalog) {
            Ok(mut config) => {
                let mut warnings = std::mem::take(&mut config.warnings);
                warnings.extend(config.life(today));
                warnings.extend(key_problems(&config, clock));
                (Some(config), Vec::new(), warnings)
            }
            Err(Mistakes { mistakes, warnings, .. }) => (None, mistakes, warnings),
        };
        Self { path: path.display().to_string(), today, config, mistakes, warnings }
    }

    fn print(&self, out: &mut dyn Write) -> Result<()> {
        match &self.config {
            Some(config) => {
                let counts = [(config.deployments.len(), "deployment"), (config.wildcards.len(), "wildcard")];
                let counts =
                    counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(count, what));
                writeln!(out, "{}: {}\n", self.path, counts.collect::<Vec<_>>().join(", "))?;
                print_config(config, self.today, out)?;
            }
            None => writeln!(out, "{}: cannot be used\n", self.path)?,
        }
        print_notices("mistake", &self.mistakes, out)?;
        print_notices("warning", &self.warnings, out)?;
        if self.mistakes.is_empty() && self.warnings.is_empty() {
            writeln!(out, "No mistakes, no warnings.")?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let notices = |notices: &[Notice]| {
            notices.iter().map(|n| json!({ "path": n.path, "message": n.message })).collect::<Vec<_>>()
        };
        let mut findings = json!({ "file": self.path, "date": self.today.to_string() });
        if let Some(config) = &self.config {
            let deployments = config.deployments.iter().map(|d| deployment_json(d, self.today)).collect();
            findings["deployments"] = Value::Array(deployments);
            let wildcard = |w: &Arc<Wildcard>| json!({ "pattern": w.pattern, "path": w.path, "aliases": w.aliases() });
            findings["wildcards"] = config.wildcards.iter().map(wildcard).collect();
            let alias = |(name, alias): (&String, &Alias)| {
                (name.clone(), json!({ "target": alias.target, "hidden": alias.hidden }))
            };
            findings["aliases"] = Value::Object(config.aliases.iter().map(alias).collect());
            findings["fallbacks"] = json!(config.fallbacks);
            findings["content_policy_fallbacks"] = json!(config.content_fallbacks);
            findings["default_model"] = json!(config.default_model);
            findings["master_key"] = json!(config.master_key.is_some());
        }
        findings["mistakes"] = json!(notices(&self.mistakes));
        findings["warnings"] = json!(notices(&self.warnings));
        findings
    }
}

fn deployment_json(deployment: &Deployment, today: Date) -> Value {
    let Life { legacy, end, retired: _ } = deployment.model.life;
    json!({
        "alias": deployment.alias,
        "id": deployment.id,
        "path": deployment.path,
        "model": deployment.model.id,
        "model_id": deployment.model_id,
        "region": deployment.region,
        "endpoint": deployment.endpoint,
        "signs_with": signs_with(&deployment.auth),
        "usd_per_picture": deployment.usual_price(),
        "legacy": legacy.map(|date| date.to_string()),
        "end": end.map(|date| date.to_string()),
        "ended": deployment.model.life.ended(today) && !deployment.is_own_model(),
        "timeout_seconds": deployment.timeout.as_secs_f64(),
        "num_retries": deployment.num_retries,
        "weight": deployment.weight,
        "order": (deployment.bounds.order != u32::MAX).then_some(deployment.bounds.order),
        "rpm": deployment.bounds.rpm,
        "max_parallel_requests": deployment.bounds.max_parallel,
    })
}

/// What the API keys say is wrong with themselves, told at the entry that uses them.
fn key_problems(config: &Config, clock: Clock) -> Vec<Notice> {
    let problems = |deployment: &Arc<Deployment>| {
        let path = format!("{}.litellm_params.api_key", deployment.path);
        let problems = bedrock::key_problems(deployment, clock.now()).into_iter();
        problems.map(move |message| Notice { path: path.clone(), message })
    };
    config.deployments.iter().flat_map(problems).collect()
}

/// The aliases in the order of the file, each with its deployments and fallbacks.
fn print_config(config: &Config, today: Date, out: &mut dyn Write) -> Result<()> {
    let rows: Vec<_> = config.deployments.iter().map(|deployment| row(deployment, today)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut aliases: Vec<&str> = Vec::new();
    for alias in config.deployments.iter().map(|deployment| deployment.alias.as_str()) {
        if !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    for alias in aliases {
        let default = if alias == config.default_model { "  (for requests that name no model)" } else { "" };
        writeln!(out, "{alias}{default}")?;
        let of_alias = config.deployments.iter().zip(&rows).filter(|(deployment, _)| deployment.alias == alias);
        for (deployment, row) in of_alias {
            let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(out, "  {}", cells.join("  ").trim_end())?;
            writeln!(out, "    signs with {}", signs_with(&deployment.auth))?;
            if deployment.model_id != deployment.model.id {
                writeln!(out, "    calls {}", deployment.model_id)?;
            }
            if !deployment.endpoint.contains(&format!(".{}.", deployment.region)) {
                writeln!(out, "    at {}", deployment.endpoint)?;
            }
        }
        print_fallbacks(config, alias, out)?;
    }
    print_names(config, today, out)?;
    let callers = match (&config.master_key, config.permit_weak_key) {
        (Some(_), _) => "Callers show the master key.",
        (None, false) => "There is no master key, so Easel listens on loopback only.",
        (None, true) => "There is no master key, and the config permits that: whoever reaches the port may paint.",
    };
    writeln!(out, "{callers}\nPrices are for one picture of 1024x1024 at standard quality.\n")
}

/// Other names, those of one alias together unless they have something of their own to say.
fn print_aliases(config: &Config, out: &mut dyn Write) -> Result<()> {
    let own = |name: &String, alias: &Alias| {
        let fallbacks = [&config.fallbacks, &config.content_fallbacks].iter().any(|f| f.contains_key(name));
        alias.hidden || fallbacks || *name == config.default_model
    };
    let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, alias) in &config.aliases {
        if !own(name, alias) {
            alike.entry(&alias.target).or_default().push(name);
            continue;
        }
        let default = if *name == config.default_model { "  (for requests that name no model)" } else { "" };
        let hidden = if alias.hidden { ", not listed" } else { "" };
        writeln!(out, "{name}{default}\n  another name for {}{hidden}", alias.target)?;
        print_fallbacks(config, name, out)?;
    }
    for (target, names) in alike {
        let what = if names.len() == 1 { "another name" } else { "other names" };
        writeln!(out, "{}\n  {what} for {target}\n", names.join(", "))?;
    }
    Ok(())
}

/// Wildcards with what may be asked for through them, then other names.
fn print_names(config: &Config, today: Date, out: &mut dyn Write) -> Result<()> {
    for wildcard in &config.wildcards {
        writeln!(out, "{}  (for every name of this form)", wildcard.pattern)?;
        let names = wildcard.aliases();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (deployment, name) in wildcard.deployments().zip(names) {
            writeln!(out, "  {name:width$}  {}", row(deployment, today)[1..].join("  "))?;
        }
        if let Some(deployment) = wildcard.deployments().next() {
            writeln!(out, "    signs with {}", signs_with(&deployment.auth))?;
        }
        print_fallbacks(config, &wildcard.pattern, out)?;
    }
    print_aliases(config, out)?;
    // Names that only a wildcard serves may have fallbacks of their own.
    let told = |name: &str| {
        config.aliases.contains_key(name)
            || config.deployments.iter().any(|deployment| deployment.alias == name)
            || config.wildcards.iter().any(|wildcard| wildcard.pattern == name)
    };
    let names: BTreeSet<_> = config.fallbacks.keys().chain(config.content_fallbacks.keys()).collect();
    for name in names.into_iter().filter(|name| !told(name)) {
        writeln!(out, "{name}")?;
        print_fallbacks(config, name, out)?;
    }
    Ok(())
}

fn print_fallbacks(config: &Config, alias: &str, out: &mut dyn Write) -> Result<()> {
    for (fallbacks, when) in [(&config.fallbacks, ""), (&config.content_fallbacks, " after a content filter")] {
        if let Some(fallbacks) = fallbacks.get(alias) {
            writeln!(out, "  falls back{when} to {}", fallbacks.join(", then "))?;
        }
    }
    writeln!(out)
}

/// Model, region, price and life of a deployment.
fn row(deployment: &Deployment, today: Date) -> [String; 4] {
    let price = deployment.usual_price().map_or_else(|| "no price".into(), |usd| format!("${usd:.2}"));
    let life =
        if deployment.is_own_model() { "a model of your own".into() } else { life(deployment.model.life, today) };
    [deployment.model.id.clone(), deployment.region.clone(), price, life]
}

fn life(life: Life, today: Date) -> String {
    match (life.end, life.legacy) {
        (None, _) if life.retired => "retired".into(),
        (Some(end), _) if end <= today => format!("ended on {end}"),
        (Some(end), _) => format!("ends on {end}, in {}", counted_days((end - today).whole_days())),
        (None, Some(legacy)) if legacy <= today => format!("legacy since {legacy}"),
        (None, _) => "no end announced".into(),
    }
}

fn signs_with(auth: &Auth) -> String {
    let (with, role) = match auth {
        Auth::Bearer { key, next: None } => (format!("the API key from {}", key.source), None),
        Auth::Bearer { key, next: Some(next) } => {
            (format!("the API key from {}, after it that from {}", key.source, next.source), None)
        }
        Auth::Keys { role, .. } => ("the AWS keys in the config".into(), role.as_ref()),
        Auth::Chain { profile: Some(profile), role } => (format!("the AWS profile '{profile}'"), role.as_ref()),
        Auth::Chain { profile: None, role } => ("the AWS credentials that the machine has".into(), role.as_ref()),
        Auth::WebIdentity { role, .. } => ("a web identity token".into(), Some(role)),
    };
    match role {
        Some(role) => format!("the role {}, assumed with {with}", role.arn),
        None => with,
    }
}

fn print_notices(kind: &str, notices: &[Notice], out: &mut dyn Write) -> Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}:", counted(notices.len(), kind))?;
    // Entries that are wrong in the same way share the sentence.
    for same in notices.chunk_by(|left, right| left.message == right.message) {
        for path in same.iter().map(|notice| &notice.path).filter(|path| !path.is_empty()) {
            writeln!(out, "  {path}")?;
        }
        let indent = if same[0].path.is_empty() { "  " } else { "    " };
        write_wrapped(&same[0].message, indent, out)?;
    }
    writeln!(out)
}

/// Breaks a message between words, so that it reads well in a terminal; what is quoted stays whole, to be copied.
fn write_wrapped(text: &str, indent: &str, out: &mut dyn Write) -> Result<()> {
    let mut units: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match units.last_mut() {
            Some(unit) if unit.starts_with('\'') && !unit[1..].contains('\'') => *unit = format!("{unit} {word}"),
            _ => units.push(word.to_owned()),
        }
    }
    let mut line = String::new();
    for unit in units {
        if !line.is_empty() && line.chars().count() + unit.chars().count() >= 96 {
            writeln!(out, "{indent}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&unit);
    }
    writeln!(out, "{indent}{line}")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn counted_days(days: i64) -> String {
    if days == 1 { "1 day".into() } else { format!("{days} days") }
}
