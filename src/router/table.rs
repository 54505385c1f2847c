//! Aliases, their deployments and fallbacks; in which order they are asked.
//!
//! Chance and time are arguments. Must not call anyone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::Date;

use super::Drafted;
use crate::config::{Alias, Config, Deployment, Wildcard};
use crate::image::Unsupported;

/// Which deployments serve which alias.
#[derive(Debug)]
pub struct Table {
    groups: BTreeMap<String, Vec<Arc<Deployment>>>,
    /// Entries for every alias of a form; the most precise first.
    wildcards: Vec<Arc<Wildcard>>,
    /// Other names for aliases.
    others: BTreeMap<String, Alias>,
    fallbacks: BTreeMap<String, Vec<String>>,
    content_fallbacks: BTreeMap<String, Vec<String>>,
    max_fallbacks: usize,
    /// Aliases, patterns and other names that are listed.
    aliases: Vec<String>,
    not_served: BTreeSet<String>,
    default_model: String,
}

/// What a caller says of the fallbacks of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instead<'a> {
    /// Nothing.
    AsConfigured,
    /// These aliases, as far as they are served.
    These(&'a [String]),
    /// None at all.
    Nobody,
}

/// Whom to ask for one request.
#[derive(Debug)]
pub(super) struct Plan {
    /// The alias that the deployments of the request's own group have: its own, its target's, or a pattern.
    pub(super) group: String,
    /// In this order.
    pub(super) usual: Vec<Arc<Deployment>>,
    /// Instead of the rest, after a content filter.
    pub(super) after_filter: Vec<Arc<Deployment>>,
    /// What the caller asked for in vain, in the words of `x-easel-ignored`.
    pub(super) ignored: Vec<String>,
    /// Those that cannot honour the task, and why.
    pub(super) unable: Vec<(Arc<Deployment>, Unsupported)>,
    /// What the first that can was asked to find out, if anybody was.
    pub(super) drafted: Option<Drafted>,
}

impl Table {
    /// The table of a config.
    pub fn new(config: &Config) -> Self {
        let mut groups: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for deployment in &config.deployments {
            groups.entry(deployment.alias.clone()).or_default().push(deployment.clone());
        }
        let mut wildcards = config.wildcards.clone();
        let shown = config.aliases.iter().filter(|(_, alias)| !alias.hidden).map(|(name, _)| name);
        let all = config.deployments.iter().map(|deployment| &deployment.alias);
        let all = all.chain(wildcards.iter().map(|wildcard| &wildcard.pattern)).chain(shown);
        let mut seen = BTreeSet::new();
        let aliases = all.filter(|name| seen.insert(*name)).cloned().collect();
        wildcards.sort_by_key(|wildcard| std::cmp::Reverse(wildcard.precision()));
        Self {
            groups,
            wildcards,
            others: config.aliases.clone(),
            fallbacks: config.fallbacks.clone(),
            content_fallbacks: config.content_fallbacks.clone(),
            max_fallbacks: config.max_fallbacks,
            aliases,
            not_served: config.not_served.clone(),
            default_model: config.default_model.clone(),
        }
    }

    /// Whether the config has an entry of this name that Easel does not serve, such as a text model.
    pub fn is_not_served(&self, name: &str) -> bool {
        self.not_served.contains(name)
    }

    /// What is listed: aliases in the order of the file, then patterns, then other names.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// Every deployment; of a wildcard one, for they differ only by model.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.groups.values().flatten().chain(self.wildcards.iter().filter_map(|wildcard| wildcard.deployments().next()))
    }

    /// The alias of a request.
    pub fn alias<'a>(&'a self, wanted: Option<&'a str>) -> &'a str {
        wanted.unwrap_or(&self.default_model)
    }

    /// What an alias is counted as: itself, or the pattern that it was served by, of which there are only so many.
    pub fn label<'a>(&'a self, alias: &'a str) -> &'a str {
        if self.groups.contains_key(alias) || self.others.contains_key(alias) {
            return alias;
        }
        self.wildcard(alias).map_or("unknown", |wildcard| &wildcard.pattern)
    }

    /// The deployments of an alias, in the order of the file; for a pattern all that it may be.
    pub fn group(&self, alias: &str) -> Option<Vec<Arc<Deployment>>> {
        let pattern = || {
            let of_pattern = self.wildcards.iter().filter(|wildcard| wildcard.pattern == alias);
            let all: Vec<_> = of_pattern.flat_map(|wildcard| wildcard.deployments().cloned()).collect();
            (!all.is_empty()).then_some(all)
        };
        self.serving(alias).or_else(pattern)
    }

    /// Members of requests for this alias that are left out whoever serves it (`additional_drop_params`).
    pub fn drops(&self, wanted: Option<&str>) -> Vec<String> {
        let Some(group) = self.serving(self.alias(wanted)) else { return Vec::new() };
        let Some((first, rest)) = group.split_first() else { return Vec::new() };
        first.drops.iter().filter(|name| rest.iter().all(|other| other.drops.contains(name))).cloned().collect()
    }

    /// What can be asked for instead of an alias that is not served: for a pattern that it fits, what that serves.
    pub(super) fn near(&self, alias: &str) -> Vec<String> {
        let known = |name: &String| {
            let of_pattern = self.wildcards.iter().find(|wildcard| wildcard.pattern == *name);
            match of_pattern.filter(|wildcard| wildcard.matches(alias)) {
                Some(wildcard) => wildcard.aliases(),
                None => vec![name.clone()],
            }
        };
        self.aliases.iter().flat_map(known).collect()
    }

    /// The most precise wildcard that serves an alias.
    fn wildcard(&self, alias: &str) -> Option<&Arc<Wildcard>> {
        self.wildcards.iter().find(|wildcard| wildcard.deployment(alias).is_some())
    }

    /// Who serves an alias, as it is written: another name first, as in LiteLLM, then an entry, then a wildcard.
    fn serving(&self, alias: &str) -> Option<Vec<Arc<Deployment>>> {
        let alias = self.others.get(alias).map_or(alias, |other| &other.target);
        if let Some(group) = self.groups.get(alias) {
            return Some(group.clone());
        }
        let pattern = &self.wildcard(alias)?.pattern;
        let same = self.wildcards.iter().filter(|wildcard| wildcard.pattern == *pattern);
        Some(same.filter_map(|wildcard| wildcard.deployment(alias).cloned()).collect())
    }

    /// The deployments to ask, in order: those of the alias by their `order`, then by `cost`, then as their weights are
    /// drawn; then those of its fallbacks
    /// (`instead` of the configured ones where a caller names some). What rests goes behind, and what has ended
    /// behind that. `None` for an alias that is not served.
    pub(super) fn plan(
        &self,
        alias: &str,
        instead: Instead<'_>,
        today: Date,
        resting: impl Fn(&Deployment) -> bool,
        cost: impl Fn(&Deployment) -> f64,
        chance: &mut fastrand::Rng,
    ) -> Option<Plan> {
        let own = self.serving(alias)?;
        let group = own.first()?.alias.clone();
        let configured = |all: &BTreeMap<String, Vec<String>>| {
            let target = self.others.get(alias).map(|other| &other.target);
            let names = [Some(alias), target.map(String::as_str), Some(&*group)];
            names.into_iter().flatten().find_map(|name| all.get(name)).cloned().unwrap_or_default()
        };
        let mut ignored = Vec::new();
        let (fallbacks, after_filter) = match instead {
            Instead::AsConfigured => (configured(&self.fallbacks), configured(&self.content_fallbacks)),
            Instead::Nobody => (Vec::new(), Vec::new()),
            Instead::These(wanted) => {
                let served = |name: &&String| self.serving(name).is_some();
                ignored.extend(wanted.iter().filter(|name| !served(name)).map(|name| format!("fallbacks={name}")));
                (wanted.iter().filter(served).cloned().collect(), configured(&self.content_fallbacks))
            }
        };
        let own = shuffle(&own, &cost, chance);
        let mut in_order = |aliases: &[String], mut plan: Vec<Arc<Deployment>>| {
            for alias in aliases.iter().take(self.max_fallbacks) {
                for deployment in shuffle(&self.serving(alias).unwrap_or_default(), &cost, chance) {
                    if !plan.iter().any(|d| d.id == deployment.id) {
                        plan.push(deployment);
                    }
                }
            }
            plan.sort_by_key(|deployment| (ended(deployment, today), resting(deployment)));
            plan
        };
        let usual = in_order(&fallbacks, own);
        let after_filter = in_order(&after_filter, Vec::new());
        Some(Plan { group, usual, after_filter, ignored, unable: Vec::new(), drafted: None })
    }
}

/// Whether a deployment's model has been withdrawn. A custom or provisioned model may go on answering.
pub fn ended(deployment: &Deployment, today: Date) -> bool {
    !deployment.is_own_model() && deployment.model.life.ended(today)
}

/// By `order`, then by `cost`, then a random order in which heavier ones tend to come first: each draws u^(1/weight)
/// (Efraimidis and Spirakis).
fn shuffle(
    group: &[Arc<Deployment>],
    cost: impl Fn(&Deployment) -> f64,
    chance: &mut fastrand::Rng,
) -> Vec<Arc<Deployment>> {
    let mut drawn: Vec<_> = group
        .iter()
        .map(|deployment| {
            let key = if deployment.weight > 0.0 { chance.f64().powf(1.0 / deployment.weight) } else { -1.0 };
            (deployment.bounds.order, cost(deployment), key, deployment.clone())
        })
        .collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(b.2.total_cmp(&a.2)));
    drawn.into_iter().map(|(_, _, _, deployment)| deployment).collect()
}
