//! The gates of all deployments, and those of aliases that have bounds of their own.
//!
//! Must not hold anything of a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Painting;
use super::gate::{Gate, Limits, Passage, TooLong};
use crate::config::{Bounds, Config, Deployment};

/// See above.
#[derive(Debug)]
pub(super) struct Gates {
    /// By the deployment's id.
    deployments: HashMap<String, Arc<Gate>>,
    aliases: HashMap<String, Arc<Gate>>,
    /// For what the config does not have.
    open: Arc<Gate>,
}

/// A call that has gone through the gate of its alias, if there is one, and that of its deployment.
#[derive(Debug)]
pub(super) struct Passages {
    alias: Option<Passage>,
    own: Passage,
}

impl Gates {
    pub(super) fn new(config: &Config) -> Self {
        let waiting = config.routing.queue_length;
        let of_wildcards = config.wildcards.iter().flat_map(|wildcard| wildcard.deployments());
        let deployments = config.deployments.iter().chain(of_wildcards).map(|deployment| {
            let Bounds { max_parallel: parallel, rpm, .. } = deployment.bounds;
            (deployment.id.clone(), Gate::new(Limits { parallel, rpm, waiting }))
        });
        let aliases = config.routing.alias_parallel.iter().map(|(alias, most)| {
            let target = config.aliases.get(alias).map_or(alias, |other| &other.target);
            (target.clone(), Gate::new(Limits { parallel: Some(*most), rpm: None, waiting }))
        });
        let open = Gate::new(Limits { waiting, ..Limits::default() });
        Self { deployments: deployments.collect(), aliases: aliases.collect(), open }
    }

    /// The same, with the gates that there were before: they keep their counts, and take the limits that hold now.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let all = [(&mut self.deployments, &before.deployments), (&mut self.aliases, &before.aliases)];
        for (gates, before) in all {
            for (id, gate) in gates {
                if let Some(known) = before.get(id) {
                    known.take_over(gate);
                    *gate = known.clone();
                }
            }
        }
        self
    }

    pub(super) fn of(&self, deployment: &Deployment) -> &Arc<Gate> {
        self.deployments.get(&deployment.id).unwrap_or(&self.open)
    }

    /// Waits at both gates, if that can be over by `latest`.
    pub(super) async fn enter(
        &self,
        deployment: &Deployment,
        group: &str,
        latest: Instant,
    ) -> Result<Passages, TooLong> {
        let alias = match self.aliases.get(group) {
            Some(gate) => Some(gate.enter(latest).await?),
            None => None,
        };
        let own = self.of(deployment).enter(latest).await?;
        Ok(Passages { alias, own })
    }
}

impl Passages {
    /// How long the call waited.
    pub(super) fn waited(&self) -> Duration {
        self.alias.as_ref().map_or(Duration::ZERO, |passage| passage.waited) + self.own.waited
    }

    /// The call has brought the first byte of a picture. Its place is free again: the model has done its work, and how
    /// quickly the picture is read is the caller's affair.
    pub(super) fn with(self, mut painting: Box<Painting>) -> Box<Painting> {
        painting.queued = self.waited();
        self.alias.into_iter().chain([self.own]).for_each(Passage::succeeded);
        painting
    }
}
