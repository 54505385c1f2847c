//! `easel doctor`: tries everything that painting needs, deployment by deployment, and says what to do about what fails.
//!
//! Must not paint, nor show a secret.

mod access;
mod credentials;
mod endpoint;
mod model;
mod page;

use std::io::{Result, Write};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};

use crate::bedrock::{Client, Error, control_endpoint};
use crate::clock::Clock;
use crate::config::{Config, Deployment, Environment};
use crate::loopback::names_this_machine;

/// How many deployments, and how many models of a wildcard, are looked at side by side.
const AT_ONCE: usize = 4;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Text {
        /// For a terminal that knows colours.
        colour: bool,
    },
    /// For a program.
    Json,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// Worth knowing, and nothing to mend.
    Note,
    /// It works, or may work, and should be looked at.
    Warning,
    /// It does not work.
    Failure,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    /// What was tried, such as `credentials`.
    what: &'static str,
    state: State,
    says: String,
    /// What to do about it.
    remedy: Option<String>,
    took: Option<Duration>,
}

/// Everything about one deployment, or one wildcard.
struct Section {
    /// The alias, or the pattern.
    name: String,
    path: String,
    model: String,
    region: String,
    checks: Vec<Check>,
}

/// What is asked about, and by what.
#[derive(Clone, Copy)]
struct Doctor<'a> {
    config: &'a Config,
    env: &'a Environment,
    client: &'a Client,
    clock: Clock,
}

/// Examines every deployment and wildcard of a config and writes a report on them. Answers the exit status: 1 if
/// anything failed. `file` is how the config is called in it.
pub async fn run(
    file: &str,
    config: &Config,
    env: &Environment,
    client: &Client,
    clock: Clock,
    form: Form,
    out: &mut (dyn Write + Send),
) -> Result<u8> {
    let doctor = Doctor { config, env, client, clock };
    let single = config.deployments.iter().map(|d| (d.alias.clone(), vec![d]));
    // Nobody has to ask for a model that has ended.
    let alive = |d: &&Arc<Deployment>| !d.model.life.ended(clock.today());
    let wild = config.wildcards.iter().map(|w| (w.pattern.clone(), w.deployments().filter(alive).collect::<Vec<_>>()));
    let subjects: Vec<_> = single.chain(wild).collect();
    let examined = iter(subjects).map(|(name, deployments)| doctor.examine(name, deployments));
    let sections: Vec<Section> = examined.buffered(AT_ONCE).filter_map(async |section| section).collect().await;
    match form {
        Form::Text { colour } => {
            page::print(file, &sections, colour, out)?;
            if !config.warnings.is_empty() {
                writeln!(out, "The config itself deserves a look too: easel check {file}")?;
            }
        }
        Form::Json => writeln!(out, "{:#}", page::json(file, &sections, clock))?,
    }
    Ok(u8::from(count(&sections, State::Failure) > 0))
}

fn count(sections: &[Section], state: State) -> usize {
    sections.iter().flat_map(|section| &section.checks).filter(|check| check.state == state).count()
}

impl Doctor<'_> {
    /// All that there is to say of deployments that share everything but the model.
    async fn examine(self, name: String, deployments: Vec<&Arc<Deployment>>) -> Option<Section> {
        let first: &Deployment = deployments.first()?;
        let model = match &deployments[..] {
            [only] => only.model_id.clone(),
            several => format!("{} models", several.len()),
        };
        let (path, region) = (first.path.clone(), first.region.clone());
        let mut section = Section { name, path, model, region, checks: Vec::new() };
        if first.mock {
            let says = "nobody is called: mock_response answers a grey pixel".to_owned();
            section.checks.push(Check::new("model", State::Note, says));
            return Some(section);
        }
        let (signing, (endpoint, answers)) =
            tokio::join!(credentials::check(self, first), endpoint::check(self.client, &first.endpoint));
        let can_call = signing.can_sign && answers;
        section.checks.extend(signing.checks.into_iter().chain(endpoint));
        let (list, refused) = match (can_call, self.control_endpoint(first)) {
            (true, Some(control)) => self.list(first, &control).await,
            _ => (None, None),
        };
        let several = deployments.len() > 1;
        let models = iter(deployments).map(async |deployment: &Arc<Deployment>| {
            let life = model::check(self, deployment, list.as_ref());
            let access = if can_call { Some(access::check(self, deployment, refused.as_ref()).await) } else { None };
            let named = |check: Check| match several {
                true => Check { says: format!("{}: {}", deployment.model_id, check.says), ..check },
                false => check,
            };
            std::iter::once(life).chain(access).map(named).collect::<Vec<_>>()
        });
        let models: Vec<_> = models.buffered(AT_ONCE).collect().await;
        let mut models: Vec<_> = models.into_iter().flatten().collect();
        // Not every region has every model: a wildcard works if one of them can be called.
        if several && models.iter().any(|check| check.what == "access" && check.state == State::Well) {
            models
                .iter_mut()
                .filter(|check| check.state == State::Failure)
                .for_each(|check| check.state = State::Warning);
        }
        section.checks.extend(models);
        Some(section)
    }

    /// AWS's list; and the refusal of the first of two keys, if it took the second to get it.
    async fn list(self, deployment: &Deployment, control: &str) -> (Option<model::List>, Option<Error>) {
        match self.client.list_models(deployment, control).await {
            Err(refused) if refused.another_key => {
                (Some(self.client.list_models(deployment, control).await), Some(refused))
            }
            list => (Some(list), None),
        }
    }

    /// A variable as the config's own `environment_variables` leave it.
    fn variable(self, name: &str) -> Option<String> {
        use secrecy::ExposeSecret;
        let exported = self.config.exports.get(name).map(|value| value.expose_secret().to_owned());
        exported.or_else(|| self.env.get(name).map(str::to_owned))
    }

    fn first_of(self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// Whether an alias goes on when its model has gone.
    fn falls_back(self, deployment: &Deployment) -> bool {
        self.config.fallbacks.get(&deployment.alias).is_some_and(|aliases| !aliases.is_empty())
    }

    fn control_endpoint(self, deployment: &Deployment) -> Option<String> {
        let given = self.first_of(&["AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL"]);
        control_endpoint(&deployment.endpoint, given.as_deref())
    }
}

/// Whether an endpoint is on this machine: then it is no Bedrock, and AWS is not asked about it.
fn is_here(endpoint: &str) -> bool {
    let host = endpoint.parse::<http::Uri>().ok();
    host.and_then(|uri| uri.host().map(names_this_machine)).unwrap_or(false)
}

impl Check {
    fn new(what: &'static str, state: State, says: impl Into<String>) -> Self {
        Self { what, state, says: says.into(), remedy: None, took: None }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    fn took(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }

    /// A message in two sentences: what is wrong, and what to do.
    fn told(what: &'static str, state: State, message: &str) -> Self {
        match message.split_once(". ") {
            Some((says, remedy)) => Self::new(what, state, says).remedy(remedy),
            None => Self::new(what, state, message),
        }
    }
}
