//! The command line: serve (the default), check, doctor, token, emulate, health; and exit codes.
//!
//! The only place that ends the program. Must not know how anything is done.

mod ciphers;
mod logging;
mod otlp;
mod signals;
mod surroundings;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use easel::bedrock::Client;
use easel::catalog::Catalog;
use easel::cli::{check, doctor, health, litellm_flags, token};
use easel::config::{Config, Environment};
use easel::emulator::{self, Emulator, Fault};
use easel::server::{LAST_WORDS, Options, Server, StartError, Tls, system_clock};
use easel::traces::Traces;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tracing::level_filters::LevelFilter;

/// Bad configuration or usage, as in BSD's `sysexits.h`.
const UNUSABLE: u8 = check::UNUSABLE;

/// Threads that answer callers, at most. So many fill a network card; and each has connections of its own to Bedrock, which
/// stay warm only where they are asked for often.
const WORKERS: usize = 8;

/// OpenAI's image API on Amazon Bedrock, from the LiteLLM config you already have.
#[derive(Debug, Parser)]
#[command(name = "easel", version, args_conflicts_with_subcommands = true)]
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
    /// Try everything that painting needs, without painting; exit status 0, 1 if something fails, 64 for the config
    Doctor(Doctor),
    /// Make a short-term Bedrock API key from AWS credentials, without calling anybody
    Token(Token),
    /// Be a Bedrock that paints offline, for trying things out and for tests
    Emulate(Emulate),
    /// Ask a running Easel whether it is alive; exit status 0 or 1
    Health(Address),
    /// Write a shell's completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to standard output, in roff
    Man,
}

/// LiteLLM's flags, so that a compose file written for it goes on working.
#[derive(Debug, Args)]
struct Serve {
    /// The config; else CONFIG_FILE_PATH, the text in EASEL_CONFIG_YAML, ./litellm-config.yaml, ./litellm_config.yaml, ./config.yaml, /app/config.yaml
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
struct Doctor {
    /// The config; else what serving would take
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same, in short
    #[arg(value_name = "CONFIG", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Token {
    /// The only region that the key will work in; else AWS_REGION, AWS_DEFAULT_REGION, that of the profile
    #[arg(long)]
    region: Option<String>,
    /// How long it lives: 12h at most, and no longer than the session that it is made from
    #[arg(long, value_name = "LIFE", default_value = "12h", value_parser = token::life)]
    expires: Duration,
    /// Write `export AWS_BEARER_TOKEN_BEDROCK=...`, for eval
    #[arg(long)]
    export: bool,
    /// A profile of ~/.aws; else what AWS's own tools would take
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
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

/// Why a command ends without success: its exit status and last words.
struct Failed(u8, String);

/// The status for bad configuration or usage.
fn unusable(message: impl ToString) -> Failed {
    Failed(UNUSABLE, message.to_string())
}

fn failed(message: impl ToString) -> Failed {
    Failed(1, message.to_string())
}

fn main() -> ExitCode {
    surroundings::without_empty_aws_variables();
    ciphers::prefer_the_quick();
    let (arguments, unused) = litellm_flags::sift(std::env::args_os());
    match run(CommandLine::parse_from(arguments), &unused) {
        Ok(status) => status,
        Err(Failed(status, message)) => {
            say(&message);
            ExitCode::from(status)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a command go to standard error")]
fn say(message: &str) {
    eprintln!("easel: {message}");
}

fn run(line: CommandLine, unused: &[String]) -> Result<ExitCode, Failed> {
    let original = surroundings::Original::take();
    let env = surroundings::environment().map_err(unusable)?;
    match line.command {
        Some(Command::Check(args)) => return run_check(args, &env),
        Some(Command::Doctor(args)) => return run_doctor(args, &env),
        Some(Command::Token(args)) => runtime()?.block_on(run_token(args, &env))?,
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut CommandLine::command(), "easel", &mut script);
            print(&script)?;
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(CommandLine::command()).render(&mut page).map_err(failed)?;
            print(&page)?;
        }
        Some(Command::Health(address)) => runtime()?.block_on(run_health(&address, &env))?,
        Some(Command::Emulate(args)) => {
            logging::start(LevelFilter::INFO, logging::Form::Text).map_err(no_log)?;
            threads()?.block_on(run_emulator(args))?;
        }
        Some(Command::Serve(args)) => run_server(args, unused, &env, original)?,
        None => run_server(line.serve, unused, &env, original)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &[u8]) -> Result<(), Failed> {
    std::io::stdout().write_all(text).map_err(|error| failed(format!("cannot write: {error}")))
}

/// This thread, which waits most of the time.
fn runtime() -> Result<Runtime, Failed> {
    started(Builder::new_current_thread().enable_all().build())
}

/// A thread for each core.
fn threads() -> Result<Runtime, Failed> {
    started(Runtime::new())
}

fn started(runtime: std::io::Result<Runtime>) -> Result<Runtime, Failed> {
    runtime.map_err(|error| failed(format!("cannot start threads: {error}")))
}

fn no_log(error: std::io::Error) -> Failed {
    failed(format!("cannot write a log: {error}"))
}

fn run_check(args: Check, env: &Environment) -> Result<ExitCode, Failed> {
    let path = surroundings::config_path(args.config.or(args.file), env).map_err(unusable)?;
    let (catalog, clock) = (Catalog::builtin(), system_clock());
    let status = check::run(&path, env, &catalog, clock, args.json, args.strict, &mut std::io::stdout());
    status.map(ExitCode::from).map_err(|error| failed(format!("cannot write: {error}")))
}

fn run_doctor(args: Doctor, env: &Environment) -> Result<ExitCode, Failed> {
    let path = surroundings::config_path(args.config.or(args.file), env).map_err(unusable)?;
    let (catalog, clock) = (Catalog::builtin(), system_clock());
    let mut out = std::io::stdout();
    let status = match Config::load(&path, env, &catalog) {
        // Says every mistake, and answers the status for it.
        Err(_) => check::run(&path, env, &catalog, clock, args.json, false, &mut out),
        Ok(config) => {
            surroundings::export(&config);
            let client = Client::new(clock, surroundings::certificates(env).map_err(unusable)?);
            let colour = surroundings::colourful(env);
            let form = if args.json { doctor::Form::Json } else { doctor::Form::Text { colour } };
            let file = path.display().to_string();
            runtime()?.block_on(doctor::run(&file, &config, env, &client, clock, form, &mut out))
        }
    };
    status.map(ExitCode::from).map_err(|error| failed(format!("cannot write: {error}")))
}

async fn run_token(args: Token, env: &Environment) -> Result<(), Failed> {
    let Token { region, expires: life, export, profile } = args;
    let wish = token::Wish { region, life, profile, export };
    let made = token::run(&wish, env, system_clock(), &mut std::io::stdout(), &mut std::io::stderr()).await;
    made.map_err(|error| match error {
        token::NoKey::Unusable(message) => unusable(message),
        token::NoKey::Failed(message) => failed(message),
    })
}

async fn run_health(address: &Address, env: &Environment) -> Result<(), Failed> {
    let (host, port) = address.resolve(env)?;
    let host = host.filter(|host| !host.is_unspecified()).unwrap_or([127, 0, 0, 1].into());
    health::run(SocketAddr::new(host, port)).await.map_err(failed)
}

async fn run_emulator(args: Emulate) -> Result<(), Failed> {
    let mut options = emulator::Options::new(|| system_clock().now().into());
    options.api_keys = args.api_keys;
    options.fault = args.fault;
    let address = SocketAddr::new(args.host, args.port);
    let taken = |error| failed(format!("cannot listen on {address}: {error}. Choose another --port"));
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(failed)?;
    let key = options.api_keys.join(", ");
    tracing::info!("an emulated Bedrock listens on http://{address}; nothing it paints is real");
    tracing::info!("point Easel to it: AWS_BEDROCK_RUNTIME_ENDPOINT=http://{address} AWS_BEARER_TOKEN_BEDROCK={key}");
    Emulator::new(options).serve(listener, signals::stopped()).await.map_err(failed)
}

fn run_server(
    args: Serve,
    unused: &[String],
    env: &Environment,
    original: surroundings::Original,
) -> Result<(), Failed> {
    let path = surroundings::config_path(args.config, env).map_err(unusable)?;
    let config = Config::load(&path, env, &Catalog::builtin()).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.mistakes.iter().map(|notice| format!("  {notice}")).collect();
        unusable(format!("{} cannot be used:\n{}", path.display(), lines.join("\n")))
    })?;
    let form = if config.json_logs { logging::Form::Json } else { logging::Form::Text };
    logging::start(logging::level(args.debug, args.detailed_debug, env), form).map_err(no_log)?;
    if let Some(workers) = args.num_workers {
        tracing::info!("--num_workers {workers} has no meaning here: one process uses every core");
    }
    for flag in unused {
        tracing::info!("{flag} has no meaning here, and is passed over");
    }
    surroundings::export(&config);
    let traces = otlp::traces(env).unwrap_or_else(|why| {
        tracing::warn!("traces are off: {why}");
        Traces::default()
    });
    let (host, port) = args.address.resolve(env)?;
    let tls = args.ssl_certfile_path.zip(args.ssl_keyfile_path).map(|(cert, key)| Tls::load(&cert, &key));
    let options = Options {
        address: SocketAddr::new(host.unwrap_or_else(|| default_host(&config)), port),
        config,
        clock: system_clock(),
        chance: fastrand::Rng::new(),
        root_path: surroundings::root_path(env),
        tls: tls.transpose().map_err(unusable)?,
        certificates: surroundings::certificates(env).map_err(unusable)?,
        spool: surroundings::temporary_folder(env),
        traces: traces.clone(),
        workers: std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS),
    };
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let server = Server::bind(options).await.map_err(|error| match error {
            StartError::WeakKey { .. } => unusable(error),
            StartError::Listen { .. } => failed(error),
        })?;
        server.run(signals::orders(path, original, env.clone())).await.map_err(failed)
    });
    // What is left has been cut, and said; a disk or a decoder that hangs holds nobody up.
    runtime.shutdown_timeout(LAST_WORDS);
    traces.end();
    served
}

/// Without a key worth the name only this machine may ask.
fn default_host(config: &Config) -> IpAddr {
    let door = easel::auth::Door::new(config.master_key.clone(), config.permit_weak_key);
    if door.is_weak() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0].into() }
}

impl Address {
    /// Flags, else the environment. No host means: decide by the key.
    fn resolve(&self, env: &Environment) -> Result<(Option<IpAddr>, u16), Failed> {
        let host = match self.host.as_deref().or(env.get("HOST")) {
            None => None,
            Some("localhost") => Some([127, 0, 0, 1].into()),
            Some(text) => {
                let plain = text.trim_start_matches('[').trim_end_matches(']');
                let hint = "Write 127.0.0.1 or 0.0.0.0";
                Some(plain.parse().map_err(|_| unusable(format!("'{text}' is no address to listen on. {hint}")))?)
            }
        };
        let wrong = |text| unusable(format!("PORT is '{text}'. Write a number up to 65535"));
        let port = match (self.port, env.get("PORT")) {
            (Some(port), _) => port,
            (None, Some(text)) => text.parse().map_err(|_| wrong(text))?,
            (None, None) => 4000,
        };
        Ok((host, port))
    }
}
