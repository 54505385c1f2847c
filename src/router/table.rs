//! Aliases, their deployments and fallbacks; in which order they are asked.
//!
//! Chance and time are arguments. Must not call anyone.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::Date;

use crate::config::{Config, Deployment};

/// Which deployments serve which alias.
#[derive(Debug)]
pub struct Table {
    groups: BTreeMap<String, Vec<Arc<Deployment>>>,
    fallbacks: BTreeMap<String, Vec<String>>,
    /// Aliases in the order of the file.
    aliases: Vec<String>,
    default_model: String,
}

impl Table {
    /// The table of a config.
    pub fn new(config: &Config) -> Self {
        let mut groups: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut aliases: Vec<String> = Vec::new();
        for deployment in &config.deployments {
            if !groups.contains_key(&deployment.alias) {
                aliases.push(deployment.alias.clone());
            }
            groups.entry(deployment.alias.clone()).or_default().push(deployment.clone());
        }
        Self { groups, fallbacks: config.fallbacks.clone(), aliases, default_model: config.default_model.clone() }
    }

    /// Aliases in the order of the file.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// Every deployment.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.groups.values().flatten()
    }

    /// The alias of a request.
    pub fn alias<'a>(&'a self, wanted: Option<&'a str>) -> &'a str {
        wanted.unwrap_or(&self.default_model)
    }

    /// The deployments of an alias, in the order of the file.
    pub fn group(&self, alias: &str) -> Option<&[Arc<Deployment>]> {
        self.groups.get(alias).map(Vec::as_slice)
    }

    /// The deployments to ask, in order: those of the alias as their weights are drawn, then those of its fallbacks
    /// (`instead` of the configured ones where a caller names some). What rests goes behind, and what has ended
    /// behind that. `None` for an alias that is not served.
    pub fn plan(
        &self,
        alias: &str,
        instead: Option<&[String]>,
        today: Date,
        resting: impl Fn(&Deployment) -> bool,
        chance: &mut fastrand::Rng,
    ) -> Option<Vec<Arc<Deployment>>> {
        self.groups.get(alias)?;
        let fallbacks = instead.or(self.fallbacks.get(alias).map(Vec::as_slice)).unwrap_or_default();
        let mut plan: Vec<Arc<Deployment>> = Vec::new();
        for alias in std::iter::once(alias).chain(fallbacks.iter().map(String::as_str)) {
            let group = self.groups.get(alias).map(Vec::as_slice).unwrap_or_default();
            for deployment in shuffle(group, chance) {
                if !plan.iter().any(|d| d.id == deployment.id) {
                    plan.push(deployment);
                }
            }
        }
        plan.sort_by_key(|deployment| (ended(deployment, today), resting(deployment)));
        Some(plan)
    }
}

/// Whether a deployment's model has been withdrawn. A custom or provisioned model may go on answering.
pub fn ended(deployment: &Deployment, today: Date) -> bool {
    !deployment.is_own_model() && deployment.model.life.ended(today)
}

/// A random order in which heavier ones tend to come first: each draws u^(1/weight) (Efraimidis and Spirakis).
fn shuffle(group: &[Arc<Deployment>], chance: &mut fastrand::Rng) -> Vec<Arc<Deployment>> {
    let mut drawn: Vec<_> = group
        .iter()
        .map(|deployment| {
            let key = if deployment.weight > 0.0 { chance.f64().powf(1.0 / deployment.weight) } else { -1.0 };
            (key, deployment.clone())
        })
        .collect();
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    drawn.into_iter().map(|(_, deployment)| deployment).collect()
}
