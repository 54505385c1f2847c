//! How much is said on standard error, by whom, and in which form.
//!
//! Must not let other crates say more than INFO: some of them log whole requests below that.

mod plain;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use easel::config::Environment;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use plain::Plain;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// To be read by people.
    Text,
    /// An object for each line.
    Json,
}

/// Flags win over LITELLM_LOG (DEBUG, INFO, WARNING, ERROR).
pub(crate) fn level(debug: bool, detailed_debug: bool, env: &Environment) -> LevelFilter {
    let named = env.get("LITELLM_LOG").map(|name| if name.eq_ignore_ascii_case("warning") { "warn" } else { name });
    match (detailed_debug, debug) {
        (true, _) => LevelFilter::TRACE,
        (false, true) => LevelFilter::DEBUG,
        (false, false) => named.and_then(|name| name.parse().ok()).unwrap_or(LevelFilter::INFO),
    }
}

/// Starts the log. An error where standard error cannot be opened once more.
pub(crate) fn start(level: LevelFilter, form: Form) -> io::Result<()> {
    let others = if level > LevelFilter::INFO { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    let ansi = io::stderr().is_terminal();
    // As a file, without the lock that std takes for each line, so that a thread that has one to write does not wait for
    // another: the kernel keeps lines apart, and promises it for a pipe up to 4 KB.
    let lines = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let lines = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(ansi).with_target(false);
    let lines = match form {
        Form::Text => lines.fmt_fields(Plain).boxed(),
        Form::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // AWS's crates write answers of credential sources into warnings, secrets and all. What they fail with is said
    // by `bedrock` in its own words.
    let targets = Targets::new().with_default(others).with_target("aws_", LevelFilter::OFF).with_target("easel", level);
    tracing_subscriber::registry().with(lines).with(targets).init();
    Ok(())
}
