//! What an operator sees: figures under our names and LiteLLM's, what dashboards and alerts ask for, the access line.
//! Must not hold a name of a figure that is not really there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use easel::metrics::{
    AliasLabels, CallLabels, DeploymentLabels, Ended, ErrorLabels, KeyLabels, Metrics, ModelLabels, PictureLabels,
    RequestLabels, RouteLabels,
};
use futures_util::future::join_all;
use regex_lite::Regex;
use serde_json::{Value, json};

use crate::support::child::Child;
use crate::support::{CORE, TestProxy, wish};

/// Every figure, each family with one member.
fn every_figure() -> String {
    let text = String::new;
    let metrics = Metrics::new();
    drop(metrics.requests.get_or_create(&RequestLabels { route: text(), status: 200 }));
    drop(metrics.errors.get_or_create(&ErrorLabels { code: "" }));
    drop(metrics.duration.get_or_create(&RouteLabels { route: text() }));
    drop(metrics.upstream.get_or_create(&ModelLabels { model: text(), region: text() }));
    drop(metrics.transfer.get_or_create(&AliasLabels { alias: text() }));
    drop(metrics.calls.get_or_create(&CallLabels { model: text(), region: text(), outcome: "" }));
    drop(metrics.pictures.get_or_create(&PictureLabels { alias: text(), model: text() }));
    drop(metrics.cost.get_or_create(&PictureLabels { alias: text(), model: text() }));
    drop(metrics.key_life.get_or_create(&KeyLabels { alias: text(), source: text() }));
    metrics.routing.tried_again("", true);
    metrics.routing.tried_again("", false);
    metrics.routing.refused("");
    let deployment = DeploymentLabels { alias: text(), deployment: text(), model: text(), region: text() };
    for family in [&metrics.routing.in_flight, &metrics.routing.waiting, &metrics.routing.resting] {
        drop(family.get_or_create(&deployment));
    }
    drop(metrics.routing.rests.get_or_create(&deployment));
    metrics.serving.refuse("");
    metrics.serving.reload("");
    let (total, upstream) = (Duration::ZERO, Duration::ZERO);
    let (alias, route, status, error, model, cost) = ("", "", 500, Some(""), Some(""), 0.0);
    metrics.litellm.count(Ended { alias, route, status, error, model, cost, total, upstream });
    metrics.render()
}

/// Kind, help and labels of each figure, by the name under which it is asked for.
fn figures() -> BTreeMap<String, (String, String, String)> {
    let text = every_figure();
    let mut found = BTreeMap::new();
    let word = |line: &str, at| line.split(' ').nth(at).unwrap_or_default().to_owned();
    let mut help = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap().1.trim_end_matches('.').to_owned();
        } else if line.starts_with("# TYPE ") {
            let (name, kind) = (word(line, 2), word(line, 3));
            let suffix = match &*kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let sample =
                text.lines().find(|line| !line.starts_with('#') && line.starts_with(&name)).unwrap_or_default();
            let labels = sample.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let labels = labels.split(',').filter_map(|pair| pair.split_once('=').map(|(name, _)| name));
            let labels: Vec<_> = labels.filter(|name| *name != "le").collect();
            found.insert(format!("{name}{suffix}"), (kind, help.clone(), labels.join(", ")));
        }
    }
    found
}

fn page() -> String {
    let row = |(name, (kind, help, labels)): (String, (String, String, String))| {
        format!("| `{name}` | {kind} | {labels} | {help} |\n")
    };
    figures().into_iter().map(row).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> PathBuf {
    root().join("docs/OBSERVABILITY.md")
}

const HEAD: &str = "| figure | kind | labels | what |\n|---|---|---|---|\n";

/// The page with the table as it is now.
fn renewed() -> String {
    let written = std::fs::read_to_string(document()).unwrap();
    let (before, rest) = written.split_once(HEAD).expect("the page has its table");
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    format!("{before}{HEAD}{}\n{after}", page())
}

#[test]
fn the_page_lists_every_figure() {
    let same = std::fs::read_to_string(document()).unwrap() == renewed();
    assert!(
        same,
        "docs/OBSERVABILITY.md is out of date. Write it: cargo test --test it write_observability -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/OBSERVABILITY.md"]
fn write_observability() {
    std::fs::write(document(), renewed()).unwrap();
}

/// What `every_figure` forgets would be missing from the page.
#[test]
fn every_registered_name_is_a_figure() {
    let figures = figures();
    let mut names = 0;
    for file in ["mod", "keeping", "litellm", "process", "routing", "serving"] {
        let text = std::fs::read_to_string(root().join(format!("src/metrics/{file}.rs"))).unwrap();
        let pattern = Regex::new(r#"(?s)\.register(?:_with_unit)?\(\s*"([a-z_]+)""#).unwrap();
        for found in pattern.captures_iter(&text) {
            let name = &found[1];
            names += 1;
            assert!(figures.keys().any(|figure| figure.contains(name)), "{name} is not among {:?}", figures.keys());
        }
    }
    assert!(names > 35, "{names}");
}

/// The figures that an expression asks for.
fn asked(expression: &str) -> Vec<String> {
    let pattern = Regex::new(r"\b(easel|litellm|process)_[a-z_]+\b").unwrap();
    pattern.find_iter(expression).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn dashboards_and_alerts_ask_for_figures_that_are_there() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("infrastructure/grafana/dashboards/easel.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let alerts = read("infrastructure/prometheus/alerts.yml");
    let expressions: Vec<_> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).chain([alerts]).collect();
    let figures = figures();
    let series = |name: &str| {
        figures.iter().any(|(figure, (kind, ..))| match &**kind {
            "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| format!("{figure}{end}") == name),
            _ => figure == name,
        })
    };
    let names: BTreeSet<_> = expressions.iter().flat_map(|expression| asked(expression)).collect();
    assert!(names.len() > 20, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !series(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[tokio::test]
async fn requests_are_counted_under_our_names_and_litellms() {
    let proxy = TestProxy::with(CORE).script(["tiny", "filter-input"]).start().await;
    proxy.generate(wish(json!({"n": 1}))).await.bytes().await.unwrap();
    proxy.generate(wish(json!({"num_retries": 0}))).await.bytes().await.unwrap();
    proxy.generate(wish(json!({"model": "somebody's own words"}))).await.bytes().await.unwrap();
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    let route = r#"route="/v1/images/generations""#;
    let model = r#"requested_model="core",model="stability.stable-image-core-v1:1",api_provider="bedrock""#;
    for line in [
        format!(r#"litellm_proxy_total_requests_metric_total{{requested_model="core",status_code="200",{route}}} 1"#),
        format!(r#"litellm_proxy_total_requests_metric_total{{requested_model="core",status_code="400",{route}}} 1"#),
        format!(
            r#"litellm_proxy_total_requests_metric_total{{requested_model="unknown",status_code="404",{route}}} 1"#
        ),
        format!(
            r#"litellm_proxy_failed_requests_metric_total{{requested_model="core",exception_status="400",exception_class="ContentPolicyViolationError",{route}}} 1"#
        ),
        format!("litellm_spend_metric_total{{{model}}} 0.04"),
        format!("litellm_request_total_latency_metric_count{{{model}}} 1"),
        format!("litellm_llm_api_latency_metric_count{{{model}}} 1"),
        r#"easel_errors_total{code="content_policy_violation"} 1"#.to_owned(),
        r#"easel_errors_total{code="model_not_found"} 1"#.to_owned(),
        format!("easel_request_duration_seconds_count{{{route}}} 3"),
        r#"easel_upstream_duration_seconds_count{model="stability.stable-image-core-v1:1",region="us-west-2"} 1"#
            .to_owned(),
        r#"easel_transfer_duration_seconds_count{alias="core"} 1"#.to_owned(),
        format!(r#"easel_build_info{{version="{}"}} 1"#, env!("CARGO_PKG_VERSION")),
        "process_start_time_seconds 1".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("somebody"), "labels come from the config: {metrics}");
    #[cfg(target_os = "linux")]
    for name in ["cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds"] {
        assert!(metrics.contains(&format!("\nprocess_{name} ")), "{name} in {metrics}");
    }
}

/// A line of the log for each request, as JSON where LiteLLM's switch says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_line_is_an_object_where_the_config_wants_json() {
    let json = format!("{CORE}\nlitellm_settings: {{json_logs: true}}\n");
    for builder in [Child::with(&json), Child::with(CORE).env("JSON_LOGS", "true")] {
        let easel = builder.env("AWS_BEARER_TOKEN_BEDROCK", "emulated").start().await;
        let body = r#"{"prompt": "a cat"}"#;
        let request = crate::support::client().post(format!("{}/v1/images/generations", easel.url));
        let reply = request.header("x-litellm-call-id", "order \"7\"").body(body).send().await.unwrap();
        let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
        reply.bytes().await.unwrap();
        easel.says("\"duration_ms\"").await;
        let said = easel.said();
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let line = lines.iter().find(|line| line["message"] == "request").unwrap();
        let exact = json!({
            "level": "INFO", "message": "request", "method": "POST", "route": "/v1/images/generations", "status": 200,
            "reply": "whole", "alias": "core", "model": "stability.stable-image-core-v1:1", "pictures": 1,
            "cost_usd": 0.04, "call_id": "order \"7\"", "span": {"name": "request", "id": id},
        });
        for (name, value) in exact.as_object().unwrap() {
            assert_eq!(&line[name], value, "{name} in {line}");
        }
        for name in ["duration_ms", "queue_ms", "upstream_ms", "transfer_ms", "size_bytes"] {
            assert!(line[name].is_number(), "{name} in {line}");
        }
        assert!(!said.contains("a cat"));
    }
}

/// Threads do not wait for each other to write, and their lines stay apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_the_log_is_whole_however_many_come_at_once() {
    const CALLERS: usize = 32;
    const EACH: usize = 16;
    let easel = Child::with(CORE).env("JSON_LOGS", "true").start().await;
    let client = crate::support::client();
    let id = |caller: usize, call: usize| format!("caller {caller} call {call} {}", "x".repeat(100));
    let caller = async |caller: usize| {
        for call in 0..EACH {
            // Refused at once, and told like any other.
            let request = client.post(format!("{}/v1/images/generations", easel.url)).body("{}");
            assert_eq!(request.header("x-litellm-call-id", id(caller, call)).send().await.unwrap().status(), 400);
        }
    };
    join_all((0..CALLERS).map(caller)).await;
    for caller in 0..CALLERS {
        for call in 0..EACH {
            easel.says(&format!("\"{}\"", id(caller, call))).await;
        }
    }
    for line in easel.said().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
