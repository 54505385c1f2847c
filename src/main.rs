//! The command line: serve (the default), check, emulate, health; and exit codes.
//!
//! The only place that reads the environment and ends the program. Must not know how anything is done.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use easel::catalog::Catalog;
use easel::cli::{check, health, litellm_flags};
use easel::config::{Config, Environment};
use easel::emulator::{self, Emulator, Fault};
use easel::server::{Options, Server, StartError, Tls, system_clock};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Bad configuration or usage, as in BSD's `sysexits.h`.
const UNUSABLE: u8 = check::UNUSABLE;

/// OpenAI's image API on Amazon Bedrock, from the LiteLLM config you already have.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer OpenAI's image API (the default)
    Serve(Serve),
    /// Read a config and say everything about it, without serving
    Check(Check),
    /// Be a Bedrock that paints offline, for trying things out and for tests
    Emulate(Emulate),
    /// Ask a running Easel whether it is alive; exit status 0 or 1
    Health(Address),
}

/// LiteLLM's flags, so that a compose file written for it goes on working.
#[derive(Debug, Args)]
struct Serve {
    /// The config; else CONFIG_FILE_PATH, ./litellm-config.yaml, ./config.yaml or /app/config.yaml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    address: Address,
    /// Accepted from LiteLLM's command line; one process uses every core
    #[arg(long = "num_workers", alias = "num-workers", value_name = "N")]
    num_workers: Option<u32>,
    /// Say more
    #[arg(long)]
    debug: bool,
    /// Say everything
    #[arg(long = "detailed_debug", alias = "detailed-debug")]
    detailed_debug: bool,
    /// A PEM file with the certificate, and those above it, to answer HTTPS with
    #[arg(long = "ssl_certfile_path", alias = "ssl-certfile-path", value_name = "FILE", requires = "ssl_keyfile_path")]
    ssl_certfile_path: Option<PathBuf>,
    /// A PEM file with the certificate's key
    #[arg(long = "ssl_keyfile_path", alias = "ssl-keyfile-path", value_name = "FILE", requires = "ssl_certfile_path")]
    ssl_keyfile_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Address {
    /// The address to listen on; else HOST, else every address if there is a master key of your own, else 127.0.0.1
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// The port to listen on; else PORT, else 4000
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct Check {
    /// The config; else what serving would take
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same, as LiteLLM users write it
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
struct Emulate {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// The API key to accept; may be given again
    #[arg(long = "api-key", value_name = "KEY", default_value = "emulated")]
    api_keys: Vec<String>,
    /// What goes wrong with every call; a prompt can ask for it too, by the words emulate:NAME
    #[arg(long, value_name = "NAME", help = fault_help())]
    fault: Option<Fault>,
}

fn fault_help() -> String {
    let names: Vec<_> = Fault::names().iter().map(|(name, what)| format!("  {name}: {what}")).collect();
    format!(
        "What goes wrong with every call; a prompt can ask for it too, by the words emulate:NAME\n{}",
        names.join("\n")
    )
}

fn main() -> ExitCode {
    let (arguments, unused) = litellm_flags::sift(std::env::args_os());
    let line = CommandLine::parse_from(arguments);
    let env = match environment() {
        Ok(env) => env,
        Err(message) => return fail(UNUSABLE, &message),
    };
    match line.command {
        Some(Command::Check(args)) => run_check(args, &env),
        Some(Command::Health(address)) => with_runtime(run_health(address, env)),
        Some(Command::Emulate(args)) => {
            log_to_stderr(LevelFilter::INFO);
            with_runtime(run_emulator(args))
        }
        Some(Command::Serve(args)) => run_server(args, &unused, env),
        None => run_server(line.serve, &unused, env),
    }
}

/// The environment with what `.env` adds to it. Loaded into the process before any thread starts, because the AWS
/// chain reads it there.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Result<Environment, String> {
    let loaded = dotenvy::from_path(".env");
    match loaded {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        // The error quotes the line, which may hold a key.
        Err(dotenvy::Error::LineParse(_, at)) => {
            return Err(format!(
                ".env: a line cannot be read, at character {at}. Write NAME=value, quoted if it has spaces"
            ));
        }
        Err(error) => return Err(format!(".env: {error}")),
    }
    let env = Environment::new(std::env::vars());
    let home = || env.get("HOME").map(|home| PathBuf::from(home).join(".aws/config"));
    let profiles = env.get("AWS_CONFIG_FILE").map(PathBuf::from).or_else(home).map(std::fs::read_to_string);
    // A file that is missing or unreadable tells of no region; the AWS chain says more when it needs it.
    Ok(env.with_profiles(&profiles.and_then(Result::ok).unwrap_or_default()))
}

fn run_check(args: Check, env: &Environment) -> ExitCode {
    let path = match config_path(args.config.or(args.file), env) {
        Ok(path) => path,
        Err(message) => return fail(UNUSABLE, &message),
    };
    let (catalog, today) = (Catalog::builtin(), system_clock().today());
    match check::run(&path, env, &catalog, today, args.json, args.strict, &mut std::io::stdout()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => fail(1, &format!("cannot write: {error}")),
    }
}

async fn run_health(address: Address, env: Environment) -> ExitCode {
    let (host, port) = match address.resolve(&env) {
        Ok((host, port)) => (host.filter(|host| !host.is_unspecified()).unwrap_or([127, 0, 0, 1].into()), port),
        Err(message) => return fail(UNUSABLE, &message),
    };
    match health::run(SocketAddr::new(host, port)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

async fn run_emulator(args: Emulate) -> ExitCode {
    let mut options = emulator::Options::new(|| system_clock().now().into());
    options.api_keys = args.api_keys;
    options.fault = args.fault;
    let listener = match TcpListener::bind((args.host, args.port)).await {
        Ok(listener) => listener,
        Err(error) => {
            return fail(1, &format!("cannot listen on {}:{}: {error}. Choose another --port", args.host, args.port));
        }
    };
    if let Ok(address) = listener.local_addr() {
        let key = options.api_keys.join(", ");
        tracing::info!("an emulated Bedrock listens on http://{address}; nothing it paints is real");
        tracing::info!(
            "point Easel to it: AWS_BEDROCK_RUNTIME_ENDPOINT=http://{address} AWS_BEARER_TOKEN_BEDROCK={key}"
        );
    }
    match Emulator::new(options).serve(listener, stopped()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

fn run_server(args: Serve, unused: &[String], env: Environment) -> ExitCode {
    log_to_stderr(log_level(&args, &env));
    if let Some(workers) = args.num_workers {
        tracing::info!("--num_workers {workers} has no meaning here: one process uses every core");
    }
    for flag in unused {
        tracing::info!("{flag} has no meaning here, and is passed over");
    }
    let path = match config_path(args.config, &env) {
        Ok(path) => path,
        Err(message) => return fail(UNUSABLE, &message),
    };
    let config = match Config::load(&path, &env, &Catalog::builtin()) {
        Ok(config) => config,
        Err(mistakes) => {
            let lines: Vec<_> = mistakes.mistakes.iter().map(|notice| format!("  {notice}")).collect();
            return fail(UNUSABLE, &format!("{} cannot be used:\n{}", path.display(), lines.join("\n")));
        }
    };
    export(&config);
    let address = match args.address.resolve(&env) {
        Ok((host, port)) => SocketAddr::new(host.unwrap_or_else(|| default_host(&config)), port),
        Err(message) => return fail(UNUSABLE, &message),
    };
    let certificates = match certificates(&env) {
        Ok(certificates) => certificates,
        Err(message) => return fail(UNUSABLE, &message),
    };
    let root_path = root_path(&env);
    let tls =
        match args.ssl_certfile_path.zip(args.ssl_keyfile_path).map(|(cert, key)| Tls::load(&cert, &key)).transpose() {
            Ok(tls) => tls,
            Err(message) => return fail(UNUSABLE, &message),
        };
    let (clock, chance) = (system_clock(), fastrand::Rng::new());
    let options = Options { config, address, clock, chance, root_path, tls, certificates };
    with_runtime(async {
        match Server::bind(options).await {
            Ok(server) => match server.run(stopped()).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(1, &error.to_string()),
            },
            Err(error @ StartError::WeakKey { .. }) => fail(UNUSABLE, &error.to_string()),
            Err(error @ StartError::Listen { .. }) => fail(1, &error.to_string()),
        }
    })
}

/// Puts the config's `environment_variables` into the process, where the AWS chain looks, before any thread starts.
/// dotenvy does it, as for `.env`; values are quoted so that they are taken word for word.
fn export(config: &Config) {
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
fn root_path(env: &Environment) -> Option<String> {
    let path = env.get("SERVER_ROOT_PATH")?.trim_matches('/');
    (!path.is_empty()).then(|| format!("/{path}"))
}

fn default_host(config: &Config) -> IpAddr {
    let door = easel::auth::Door::new(config.master_key.clone(), config.permit_weak_key);
    if door.is_weak() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0].into() }
}

impl Address {
    /// Flags, else the environment. No host means: decide by the key.
    fn resolve(&self, env: &Environment) -> Result<(Option<IpAddr>, u16), String> {
        let host = match self.host.as_deref().or(env.get("HOST")) {
            None => None,
            Some("localhost") => Some([127, 0, 0, 1].into()),
            Some(text) => Some(
                text.parse().map_err(|_| format!("'{text}' is no address to listen on. Write 127.0.0.1 or 0.0.0.0"))?,
            ),
        };
        let port = match (self.port, env.get("PORT")) {
            (Some(port), _) => port,
            (None, Some(text)) => text.parse().map_err(|_| format!("PORT is '{text}'. Write a number up to 65535"))?,
            (None, None) => 4000,
        };
        Ok((host, port))
    }
}

fn config_path(given: Option<PathBuf>, env: &Environment) -> Result<PathBuf, String> {
    if let Some(path) = given.or_else(|| env.get("CONFIG_FILE_PATH").map(PathBuf::from)) {
        return Ok(path);
    }
    let usual = ["litellm-config.yaml", "litellm_config.yaml", "config.yaml", "/app/config.yaml"];
    let found = usual.into_iter().map(PathBuf::from).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no config: looked for {}. Name one with --config", usual.join(", ")))
}

/// Certificates that are trusted beside the system's. SSL_CERT_FILE is read by the TLS library itself.
fn certificates(env: &Environment) -> Result<Vec<reqwest::Certificate>, String> {
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

/// Flags win over LITELLM_LOG (DEBUG, INFO, WARNING, ERROR).
fn log_level(args: &Serve, env: &Environment) -> LevelFilter {
    let named = env.get("LITELLM_LOG").map(|name| if name.eq_ignore_ascii_case("warning") { "warn" } else { name });
    match (args.detailed_debug, args.debug) {
        (true, _) => LevelFilter::TRACE,
        (false, true) => LevelFilter::DEBUG,
        (false, false) => named.and_then(|name| name.parse().ok()).unwrap_or(LevelFilter::INFO),
    }
}

/// Other crates' words are held to INFO at most: some of them log whole requests below that.
fn log_to_stderr(level: LevelFilter) {
    let others = if level > LevelFilter::INFO { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(false);
    // AWS's crates write answers of credential sources into warnings, secrets and all. What they fail with is said
    // by `bedrock` in its own words.
    let targets = Targets::new().with_default(others).with_target("aws_", LevelFilter::OFF).with_target("easel", level);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

/// Runs one command on a runtime with a thread for each core.
fn with_runtime(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(1, &format!("cannot start threads: {error}")),
    }
}

/// Ready when the operator or the container engine says stop.
async fn stopped() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
    tracing::info!("stopping: requests under way may end");
}

#[expect(clippy::print_stderr, reason = "the last words of a command go to standard error")]
fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("easel: {message}");
    ExitCode::from(status)
}
