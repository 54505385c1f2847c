//! LiteLLM's command line flags that have no meaning here: taken out of the command line, so that one written for
//! LiteLLM goes on working.
//!
//! Must not take out a flag that Easel has itself.

use std::ffi::OsString;

/// Flags that stand alone.
const ALONE: &[&str] = &[
    "drop_params",
    "add_function_to_prompt",
    "test",
    "test_async",
    "health",
    "run_gunicorn",
    "run_hypercorn",
    "run_granian",
    "skip_server_startup",
    "use_prisma_db_push",
    "use_prisma_migrate",
    "iam_token_db_auth",
    "reload",
    "setup",
    "save",
    "local",
    "use_queue",
];

/// Flags with a value behind them.
const WITH_VALUE: &[&str] = &[
    "model",
    "alias",
    "api_base",
    "api_version",
    "headers",
    "temperature",
    "max_tokens",
    "request_timeout",
    "max_budget",
    "telemetry",
    "log_config",
    "keepalive_timeout",
    "timeout_worker_healthcheck",
    "max_requests_before_restart",
    "limit_concurrency",
    "prometheus_metrics_port",
    "num_requests",
    "ciphers",
];

/// Splits a command line into what Easel understands and the names of LiteLLM's flags that it passes over. A
/// subcommand's own flags are left alone.
pub fn sift(arguments: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut kept, mut unused) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter().peekable();
    kept.extend(arguments.next());
    let serves = arguments.peek().is_none_or(|first| first == "serve" || first.to_string_lossy().starts_with('-'));
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let flag = if text == "-m" { "--model" } else { text.as_str() };
        let (name, joined) = match flag.strip_prefix("--").map(|name| name.split_once('=').unwrap_or((name, ""))) {
            Some((name, value)) => (name.replace('-', "_"), !value.is_empty()),
            None => (String::new(), false),
        };
        match (serves, ALONE.contains(&&*name), WITH_VALUE.contains(&&*name)) {
            (true, true, _) => unused.push(format!("--{name}")),
            (true, _, true) => {
                unused.push(format!("--{name}"));
                if !joined {
                    arguments.next();
                }
            }
            _ => kept.push(argument),
        }
    }
    (kept, unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, kept: &str, unused: &[&str]) {
        let (rest, passed_over) = sift(line.split(' ').map(OsString::from));
        let rest: Vec<_> = rest.iter().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(
            (rest.join(" ").as_str(), passed_over.iter().map(String::as_str).collect::<Vec<_>>()),
            (kept, unused.to_vec())
        );
    }

    #[test]
    fn flags_of_litellm_are_taken_out() {
        check("easel --config c.yaml --port 4000", "easel --config c.yaml --port 4000", &[]);
        check("easel --run_gunicorn --port 4000", "easel --port 4000", &["--run_gunicorn"]);
        check(
            "easel -m gpt-4o --config c.yaml --telemetry False",
            "easel --config c.yaml",
            &["--model", "--telemetry"],
        );
        check("easel serve --max-budget=5 --debug", "easel serve --debug", &["--max_budget"]);
        check("easel", "easel", &[]);
    }

    #[test]
    fn other_commands_keep_theirs() {
        check("easel emulate --api-key x", "easel emulate --api-key x", &[]);
        check("easel check --json", "easel check --json", &[]);
        check("easel --nonsense", "easel --nonsense", &[]);
    }
}
