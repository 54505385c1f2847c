//! What the operator wants: the YAML as written (`file.rs`), then what it means (`resolve.rs`).
//!
//! Must not read the environment or the clock by itself, speak to anyone, or know any request.

mod aliases;
mod delivery;
mod deployment;
mod fallbacks;
mod file;
mod headers;
mod include;
mod keeping;
pub mod keys;
mod known;
mod leftovers;
mod life;
mod model;
mod models;
mod profile;
mod region;
mod report;
mod resolve;
mod role;
mod routing;
mod section;
mod serving;
mod signing;
mod wildcard;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use ipnet::IpNet;
use secrecy::SecretString;
use time::Date;

pub use keeping::Keeping;
pub use region::is_region;
pub use routing::{Bounds, ByClass, Routing, Strategy};
pub use serving::Serving;
pub use wildcard::Wildcard;

use crate::catalog::{Catalog, Model};
use crate::image::{Quality, Size};
use crate::wishes::Wishes;

/// The variable that may hold a whole config, for platforms where a file is hard to bring.
pub const VARIABLE: &str = "EASEL_CONFIG_YAML";

/// Stands where a config's path does, for the one in [`VARIABLE`].
pub const IN_ENVIRONMENT: &str = "$EASEL_CONFIG_YAML";

/// The environment as a value, so that tests and reloads can bring their own. An empty variable is an unset one.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Which region the profiles of AWS's files prefer.
    regions: BTreeMap<String, String>,
}

/// The whole configuration, resolved: what it means, not how it was written.
#[derive(Debug)]
pub struct Config {
    /// In the order of the file; several may share an alias. At least one, or a wildcard.
    pub deployments: Vec<Arc<Deployment>>,
    /// Entries for every alias of a form, in the order of the file.
    pub wildcards: Vec<Arc<Wildcard>>,
    /// Other names for aliases.
    pub aliases: BTreeMap<String, Alias>,
    /// Aliases to try, in order, after all deployments of an alias have failed; by alias, or a wildcard's pattern.
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// Aliases to try after a content filter, which moves nowhere else.
    pub content_fallbacks: BTreeMap<String, Vec<String>>,
    /// How many fallback aliases are tried at most.
    pub max_fallbacks: usize,
    /// `general_settings.litellm_key_header_name`, in small letters: where callers may show their key too.
    pub key_header: Option<String>,
    /// What is known of each model, with what the config adds.
    pub catalog: Arc<Catalog>,
    /// Names of entries that LiteLLM would serve and Easel does not: text models above all.
    pub not_served: BTreeSet<String>,
    /// The key that callers must show.
    pub master_key: Option<SecretString>,
    /// LiteLLM's own switch: serve beyond loopback without a key, or with a published one.
    pub permit_weak_key: bool,
    /// The alias for requests that name no model: `easel_settings.default_model`, else the first alias.
    pub default_model: String,
    /// `/metrics` answers without the key (`litellm_settings.require_auth_for_metrics_endpoint: false`).
    pub open_metrics: bool,
    /// The log is written as JSON (`litellm_settings.json_logs`, JSON_LOGS).
    pub json_logs: bool,
    /// Hosts that pictures are fetched from when a request names them by link (`easel_settings.picture_hosts`), in small
    /// letters; `*.example.com` is all below one.
    pub picture_hosts: Vec<String>,
    /// Refuse members that nobody knows (`easel_settings.strict_params`).
    pub strict_params: bool,
    /// How pictures are handed over.
    pub delivery: Delivery,
    /// Headers by which a caller names the user it asks for (`user_header_name`, `user_header_mappings`).
    pub user_headers: Vec<String>,
    /// How much is taken on at once, and how Easel stops.
    pub serving: Serving,
    /// The files that the config names, beside its own.
    pub files: Vec<PathBuf>,
    /// How deployments are chosen and tried again.
    pub routing: Routing,
    /// What becomes of calls whose callers are gone.
    pub keeping: Keeping,
    /// `AWS_ACCESS_KEY_ID` and its secret in the environment, which the AWS chain asks first.
    pub env_keys: Option<AwsKeys>,
    /// What `environment_variables` sets, over the environment as it was: the AWS chain has to see it too.
    pub exports: BTreeMap<String, SecretString>,
    /// What the operator should know but need not mend: path and sentence.
    pub warnings: Vec<Notice>,
}

/// How pictures are handed over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where what outlives a request is kept: `easel_settings.data_dir`, else by the environment. Absent where there
    /// is no home either.
    pub data_dir: Option<PathBuf>,
    /// `easel_settings.links`.
    pub links: Links,
    /// `easel_settings.events`.
    pub events: EventTimes,
    /// `easel_settings.trusted_proxies`: whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<IpNet>,
}

/// Links to pictures.
#[derive(Clone, Debug)]
pub struct Links {
    /// How long one lives (default an hour).
    pub expires_in: Duration,
    /// What links begin with, without a slash at its end; else they begin as the request did.
    pub base_url: Option<String>,
    /// Aliases that begin with `dall-e` answer links where nobody says otherwise.
    pub dall_e_links: bool,
    /// What the folder may hold, in bytes (default 2048 MB).
    pub max_bytes: u64,
    /// What links are signed with, at least 32 characters; else a key that is kept in the folder.
    pub secret: Option<SecretString>,
    /// Where pictures go instead of the folder.
    pub bucket: Option<Bucket>,
}

/// An S3-compatible bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Another address than AWS's own.
    pub endpoint: Option<String>,
    /// What names in it begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Keys to sign with; else the AWS chain.
    pub keys: Option<AwsKeys>,
}

/// Keys to sign with.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// `aws_access_key_id`.
    pub id: String,
    /// `aws_secret_access_key`.
    pub secret: SecretString,
    /// `aws_session_token`.
    pub token: Option<SecretString>,
}

/// When something is said by server-sent events.
#[derive(Clone, Copy, Debug)]
pub struct EventTimes {
    /// The status line waits for a picture no longer than this (default and most 10 s).
    pub status_after: Duration,
    /// A comment is sent after each silence of this length (default 10 s).
    pub keep_alive: Duration,
}

/// Another name for an alias (`model_group_alias`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The alias that serves it.
    pub target: String,
    /// Not listed among the models.
    pub hidden: bool,
}

/// One entry of `model_list`: a model in a region, with who pays.
#[derive(Debug)]
pub struct Deployment {
    /// The name that callers use (`model_name`).
    pub alias: String,
    /// Stable and free of secrets: `model_info.id`, else a digest of what sets it apart.
    pub id: String,
    /// Where it stands in the file, such as `model_list[2]`, for messages.
    pub path: String,
    /// What the catalogue knows of the model.
    pub model: Arc<Model>,
    /// What goes into the URL: a model id, an inference profile id or an ARN, not encoded.
    pub model_id: String,
    /// Where it is called, and what it is signed for.
    pub region: String,
    /// Base URL without a trailing slash, such as `https://bedrock-runtime.us-east-1.amazonaws.com`.
    pub endpoint: String,
    /// Where InvokeModel is, once `bedrock` has made it out.
    pub invoke_url: OnceLock<reqwest::Url>,
    /// Who pays.
    pub auth: Auth,
    /// Longest silence of the upstream, before its head and between its bytes (default 300 s).
    pub timeout: Duration,
    /// Tries after the first, if it says so itself.
    pub num_retries: Option<u32>,
    /// Whether its alias has no other model.
    pub alone: bool,
    /// Its share among the deployments of its alias (default 1); 0 is drawn only when nothing else is left.
    pub weight: f64,
    /// When it is asked, and how much it takes.
    pub bounds: Bounds,
    /// Leave out what the model cannot honour instead of refusing.
    pub drop_params: bool,
    /// Members of a request that are left out before anything is made of them (`additional_drop_params`).
    pub drops: Vec<String>,
    /// Generation defaults; a request's own wishes win.
    pub defaults: Wishes,
    /// What each call carries beside the body: `extra_headers`, guardrails, service tier. Values are not shown.
    pub headers: HeaderMap,
    /// Answers with a made-up picture and calls nobody (`mock_response`).
    pub mock: bool,
    /// `model_info.output_cost_per_image`, which replaces the catalogue's price, in US dollars.
    pub price: Option<f64>,
}

/// How a deployment proves who it is to Bedrock.
#[derive(Clone, Debug)]
pub enum Auth {
    /// A Bedrock API key, and while keys are changed a second one.
    Bearer {
        /// The key.
        key: BearerKey,
        /// The one that takes its place once it is refused or has expired: `NAME_NEXT` beside `os.environ/NAME`.
        next: Option<BearerKey>,
    },
    /// SigV4 with keys that stand in the config.
    Keys {
        /// `aws_access_key_id`.
        access_key_id: String,
        /// `aws_secret_access_key`.
        secret_access_key: SecretString,
        /// `aws_session_token`.
        session_token: Option<SecretString>,
        /// A role to assume with them.
        role: Option<Role>,
    },
    /// SigV4 with whatever the AWS chain finds: environment, profile, SSO, web identity, ECS, IMDSv2.
    Chain {
        /// `aws_profile_name`.
        profile: Option<String>,
        /// A role to assume with them.
        role: Option<Role>,
    },
    /// SigV4 with what STS gives for a web identity token; needs no other credentials.
    WebIdentity {
        /// `aws_web_identity_token`.
        token: WebToken,
        /// The role to assume with it.
        role: Role,
    },
}

/// A Bedrock API key.
#[derive(Clone, Debug)]
pub struct BearerKey {
    /// The key, as it was when the config was read.
    pub key: SecretString,
    /// Where it comes from in words, such as `os.environ/AWS_BEARER_TOKEN_BEDROCK`.
    pub source: String,
    /// The file that it stands in, if it does: whoever writes it may change it.
    pub file: Option<PathBuf>,
}

/// A role to assume by STS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    /// `aws_role_name`, an ARN.
    pub arn: String,
    /// `aws_session_name`.
    pub session_name: Option<String>,
    /// `aws_external_id`.
    pub external_id: Option<String>,
    /// `aws_session_duration`, which LiteLLM does not have: how long a session lives (STS's default is an hour).
    pub duration: Option<Duration>,
    /// `aws_session_tags`: keys and values.
    pub tags: Vec<(String, String)>,
    /// `aws_sts_endpoint`, where it is not the region's own.
    pub sts_endpoint: Option<String>,
}

/// A web identity token.
#[derive(Clone, Debug)]
pub enum WebToken {
    /// The token itself.
    Text(SecretString),
    /// A file that is read each time: whoever writes it renews it.
    File(PathBuf),
}

/// A sentence about a place in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// YAML path, such as `model_list[2].litellm_params.aws_region_name`; empty for the file as a whole.
    pub path: String,
    /// What is wrong or worth knowing; a second sentence says what to write instead.
    pub message: String,
}

/// Why there is no configuration: every mistake of the file, with the warnings beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// At least one.
    pub mistakes: Vec<Notice>,
    /// The files that the config names, as far as they were read: the mistakes may be in them.
    pub files: Vec<PathBuf>,
    /// What else was noticed.
    pub warnings: Vec<Notice>,
}

impl Config {
    /// Reads the file (or, at [`IN_ENVIRONMENT`], the variable) and says what it means, or every mistake in it.
    pub fn load(path: &Path, env: &Environment, catalog: &Catalog) -> Result<Self, Mistakes> {
        if path == Path::new(IN_ENVIRONMENT) {
            return Self::parse(env.get(VARIABLE).unwrap_or_default(), env, catalog);
        }
        match file::read(path) {
            Ok(yaml) => resolve::resolve(&yaml, include::Folder::of(path), env, catalog),
            Err(notice) => Err(Mistakes { mistakes: vec![notice], warnings: Vec::new(), files: Vec::new() }),
        }
    }

    /// Says what the text of a config means, or every mistake in it. Without a place it can name no other files.
    pub fn parse(yaml: &str, env: &Environment, catalog: &Catalog) -> Result<Self, Mistakes> {
        resolve::resolve(yaml, None, env, catalog)
    }

    /// Warnings that depend on the day: models that have ended or soon will, and what to write instead.
    pub fn life(&self, today: Date) -> Vec<Notice> {
        life::notices(self, today)
    }
}

impl Deployment {
    /// Whether it calls a custom, imported or provisioned model, which may outlive the base model of the catalogue.
    pub fn is_own_model(&self) -> bool {
        let kinds = [":provisioned-model/", ":custom-model/", ":custom-model-deployment/", ":imported-model/"];
        kinds.iter().any(|kind| self.model_id.contains(kind))
    }

    /// List price in US dollars of so many pictures, if it is known.
    pub fn price_of(&self, size: Size, quality: Quality, pictures: u32) -> Option<f64> {
        let each = self.price.or_else(|| self.model.price(size, quality));
        each.map(|usd| usd * f64::from(pictures))
    }

    /// US dollars for what everybody asks for, one picture of 1024x1024 at standard quality, if that is known.
    pub fn usual_price(&self) -> Option<f64> {
        self.price_of(Size::new(1024, 1024), Quality::Standard, 1)
    }
}

impl Environment {
    /// The environment with these variables; empty values count as unset.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { variables, regions: BTreeMap::new() }
    }

    /// The same with one more variable, which wins over one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self.variables.retain(|_, value| !value.is_empty());
        self
    }

    /// The same with what AWS's config file (`~/.aws/config`) says of its profiles' regions.
    #[must_use]
    pub fn with_profiles(mut self, config_file: &str) -> Self {
        self.regions = profile::regions(config_file);
        self
    }

    /// The region of a profile, or of the one that AWS's tools would take.
    pub fn region_of_profile(&self, name: Option<&str>) -> Option<&str> {
        let name = name.or_else(|| self.get("AWS_PROFILE")).unwrap_or("default");
        self.regions.get(name).map(String::as_str)
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.mistakes.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}
