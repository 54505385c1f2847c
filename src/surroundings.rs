//! What the program takes from its surroundings: environment, `.env`, files that they name.
//!
//! The only place that reads the environment. Must not decide what any of it means.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use easel::config::{self, Config, Environment};
use secrecy::ExposeSecret;

/// An empty variable is an unset one, also for the AWS chain, which takes an empty AWS_PROFILE for a profile without
/// a name. Variables cannot be unset safely in a running process, so it starts itself once more without them.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn without_empty_aws_variables() {
    let empty = |(name, value): &(OsString, OsString)| value.is_empty() && name.to_string_lossy().starts_with("AWS_");
    let names: Vec<_> = std::env::vars_os().filter(empty).map(|(name, _)| name).collect();
    let (false, Ok(program)) = (names.is_empty(), std::env::current_exe()) else { return };
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1));
    for name in names {
        again.env_remove(name);
    }
    // Only comes back if it fails, and then the variables stay.
    let _ = again.exec();
}

/// The environment with what `.env` adds to it. Loaded into the process before any thread starts, because the AWS
/// chain reads it there.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn environment() -> Result<Environment, String> {
    let loaded = dotenvy::from_path(".env");
    match loaded {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        Err(error) => return Err(unreadable(&error)),
    }
    Ok(with_profiles(Environment::new(std::env::vars())))
}

fn with_profiles(env: Environment) -> Environment {
    let home = || env.get("HOME").map(|home| PathBuf::from(home).join(".aws/config"));
    let profiles = env.get("AWS_CONFIG_FILE").map(PathBuf::from).or_else(home).map(std::fs::read_to_string);
    // A file that is missing or unreadable tells of no region; the AWS chain says more when it needs it.
    env.with_profiles(&profiles.and_then(Result::ok).unwrap_or_default())
}

/// The variables that the program was started with. A reload has to tell them from what `.env` said, so they are taken
/// before that is read.
#[derive(Clone)]
pub(crate) struct Original(Vec<(String, String)>);

impl Original {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn take() -> Self {
        Self(std::env::vars().collect())
    }

    /// The environment as it would be if the program started now: `.env` as it is, under what is set.
    pub(crate) fn again(&self) -> Result<Environment, String> {
        let mut variables = Vec::new();
        match dotenvy::from_path_iter(".env") {
            Ok(lines) => {
                for line in lines {
                    variables.push(line.map_err(|error| unreadable(&error))?);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(unreadable(&error)),
        }
        // The first of a name counts, as when the program starts; what is set counts over both.
        variables.reverse();
        variables.extend(self.0.iter().cloned());
        Ok(with_profiles(Environment::new(variables)))
    }
}

/// The error quotes the line, which may hold a key.
fn unreadable(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => {
            format!(".env: a line cannot be read, at character {at}. Write NAME=value, quoted if it has spaces")
        }
        error => format!(".env: {error}"),
    }
}

/// Puts the config's `environment_variables` into the process, where the AWS chain looks, before any thread starts.
/// dotenvy does it, as for `.env`; values are quoted so that they are taken word for word.
pub(crate) fn export(config: &Config) {
    for (name, value) in &config.exports {
        let mut quoted = String::new();
        for c in value.expose_secret().chars() {
            if matches!(c, '"' | '\\' | '$') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        let line = format!("{name}=\"{quoted}\"\n");
        if dotenvy::from_read_override(line.as_bytes()).is_err() {
            tracing::warn!("environment_variables.{name} cannot be set for the AWS chain");
        }
    }
}

/// LiteLLM's SERVER_ROOT_PATH, as `/easel`: a slash in front, none behind.
pub(crate) fn root_path(env: &Environment) -> Option<String> {
    let path = env.get("SERVER_ROOT_PATH")?.trim_matches('/');
    (!path.is_empty()).then(|| format!("/{path}"))
}

/// Whether standard output is a terminal whose owner minds no colours.
pub(crate) fn colourful(env: &Environment) -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout()) && env.get("NO_COLOR").is_none()
}

/// Where files go that are gone when the program is.
pub(crate) fn temporary_folder(env: &Environment) -> PathBuf {
    env.get("TMPDIR").unwrap_or("/tmp").into()
}

/// The config that is named, else the one that the environment holds, else the first that lies where configs usually do.
pub(crate) fn config_path(given: Option<PathBuf>, env: &Environment) -> Result<PathBuf, String> {
    if let Some(path) = given.or_else(|| env.get("CONFIG_FILE_PATH").map(PathBuf::from)) {
        return Ok(path);
    }
    if env.get(config::VARIABLE).is_some() {
        return Ok(config::IN_ENVIRONMENT.into());
    }
    let usual = ["litellm-config.yaml", "litellm_config.yaml", "config.yaml", "/app/config.yaml"];
    let found = usual.into_iter().map(PathBuf::from).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no config: looked for {}. Name one with --config", usual.join(", ")))
}

/// Certificates that are trusted beside the system's. SSL_CERT_FILE is read by the TLS library itself.
pub(crate) fn certificates(env: &Environment) -> Result<Vec<reqwest::Certificate>, String> {
    let mut certificates = Vec::new();
    for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
        let Some(path) = env.get(name) else { continue };
        let pem = std::fs::read(path).map_err(|error| format!("{name}: {path}: {error}"))?;
        let bundle = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|_| format!("{name}: {path} holds no PEM certificates"))?;
        certificates.extend(bundle);
    }
    Ok(certificates)
}
