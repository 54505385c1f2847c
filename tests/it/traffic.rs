//! Which deployment gets how many calls at once, who waits, who rests, and how often is tried again in all.
//! Must not depend on how long anything takes: time is paused.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{CORE, ReadJson, TestProxy, header, wish};

/// Stable Image Core in two regions, each with more of its own.
fn pair(west: &str, east: &str, settings: &str) -> String {
    format!(
        "
model_list:
  - model_name: core
    litellm_params: {{model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2{west}}}
  - model_name: core
    litellm_params: {{model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-east-1{east}}}
router_settings: {{{settings}}}
"
    )
}

/// One deployment, with more of its own, and Easel's settings.
fn one(params: &str, easel: &str) -> String {
    CORE.replace("us-west-2", &format!("us-west-2{params}")) + &format!("easel_settings: {{{easel}}}\n")
}

/// The ids of deployments that painted, as callers see them, for so many requests one after the other.
async fn painters(proxy: &TestProxy, requests: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..requests {
        ids.push(painter(&ask(proxy).await));
    }
    ids
}

async fn ask(proxy: &TestProxy) -> Response {
    proxy.generate(wish(json!({}))).await
}

fn painter(response: &Response) -> String {
    assert_eq!(response.status(), 200);
    header(response.headers(), "x-litellm-model-id").to_owned()
}

/// Milliseconds that a request has waited.
fn queued(response: &Response) -> u64 {
    header(response.headers(), "x-easel-queue-ms").parse().unwrap_or_default()
}

async fn metric(proxy: &TestProxy, start: &str) -> f64 {
    let text = proxy.get("/metrics").await.text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn script(proxy: &TestProxy, faults: &[&str]) {
    proxy.emulator.script(faults.iter().map(|fault| (!fault.is_empty()).then(|| fault.parse().unwrap())));
}

fn named(yaml: &str) -> String {
    yaml.replace("}\n  - model_name", "}\n    model_info: {id: west}\n  - model_name")
        .replace("}\nrouter_settings", "}\n    model_info: {id: east}\nrouter_settings")
}

#[tokio::test(start_paused = true)]
async fn the_lowest_order_is_asked_first() {
    let yaml = named(&pair(", order: 2, weight: 9", ", order: 1, weight: 1", ""));
    let proxy = TestProxy::with(&yaml).script(["tiny"; 8]).start().await;
    assert_eq!(painters(&proxy, 8).await, ["east"; 8]);
    // What is first and fails hands over to what is second.
    script(&proxy, &["throttle", "tiny", "tiny"]);
    assert_eq!(painters(&proxy, 1).await, ["west"]);
    assert_eq!(painters(&proxy, 1).await, ["west"], "the first rests");
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_is_asked_first() {
    let yaml = named(&pair("", "", "routing_strategy: least-busy"));
    let proxy = TestProxy::with(&yaml).script(["slow=2"; 6]).start().await;
    let ids: Vec<_> = join_all((0..6).map(|_| ask(&proxy))).await.iter().map(painter).collect();
    assert_eq!(ids.iter().filter(|id| *id == "west").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_quickest_is_asked_first_once_it_is_known() {
    let yaml = named(&pair("", "", "routing_strategy: latency-based-routing"));
    let proxy = TestProxy::with(&yaml).script(["slow=3", "slow=1"]).start().await;
    let first = painters(&proxy, 2).await;
    assert_ne!(first[0], first[1], "one that nobody knows is tried first");
    script(&proxy, &["tiny"; 5]);
    assert_eq!(painters(&proxy, 5).await, vec![first[1].clone(); 5]);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_at_once_than_a_deployment_takes() {
    let proxy = TestProxy::with(&one(", max_parallel_requests: 1", "")).script(["slow=1"; 3]).start().await;
    let mut waits: Vec<_> = join_all((0..3).map(|_| ask(&proxy))).await.iter().map(queued).collect();
    waits.sort_unstable();
    assert!(waits[0] == 0 && (1000..1500).contains(&waits[1]) && (2000..3000).contains(&waits[2]), "{waits:?}");
    assert_eq!(metric(&proxy, "easel_queue_duration_seconds_count").await, 3.0);
    assert!(metric(&proxy, "easel_queue_duration_seconds_sum").await > 2.9);
    assert_eq!(metric(&proxy, "easel_deployment_calls_in_flight").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_at_once_than_an_alias_takes() {
    let yaml = pair("", "", "") + "easel_settings: {max_parallel_requests: {core: 1}}\n";
    let proxy = TestProxy::with(&yaml).script(["slow=1"; 2]).start().await;
    let waits: Vec<_> = join_all((0..2).map(|_| ask(&proxy))).await.iter().map(queued).collect();
    assert_eq!(waits.iter().filter(|wait| **wait >= 1000).count(), 1, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sibling_takes_over_before_anybody_waits() {
    let yaml = named(&pair(", order: 1, max_parallel_requests: 1", ", order: 2", ""));
    let proxy = TestProxy::with(&yaml).script(["slow=1"; 3]).start().await;
    let responses = join_all((0..3).map(|_| ask(&proxy))).await;
    let mut ids: Vec<_> = responses.iter().map(painter).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["east", "east", "west"]);
    assert!(responses.iter().all(|response| queued(response) == 0));
}

#[tokio::test(start_paused = true)]
async fn rpm_is_a_bound() {
    let proxy = TestProxy::with(&one(", rpm: 2", "")).script(["tiny"; 3]).start().await;
    let waits = [queued(&ask(&proxy).await), queued(&ask(&proxy).await), queued(&ask(&proxy).await)];
    assert!(waits[..2] == [0, 0] && (58_000..=60_000).contains(&waits[2]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_told_when_to_come_back() {
    let proxy = TestProxy::with(&one(", rpm: 1", "queue: {time: 5}")).script(["tiny"; 2]).start().await;
    assert_eq!(ask(&proxy).await.status(), 200);
    let begun = Instant::now();
    let response = ask(&proxy).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "at once");
    assert_eq!(response.status(), 429);
    let seconds: u64 = header(response.headers(), "retry-after").parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["error"]["code"], "rate_limit_exceeded");
    let message = "'core' has as many requests as it takes, and too many wait already. Try again later";
    assert_eq!(reply["error"]["message"], message);
    assert_eq!(proxy.calls().len(), 1);
    assert_eq!(metric(&proxy, "easel_queue_refusals_total").await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded_and_a_deadline_counts() {
    let queue = "queue: {length: 1}";
    let proxy = TestProxy::with(&one(", max_parallel_requests: 1", queue)).script(["slow=1"; 9]).start().await;
    let mut statuses: Vec<_> = join_all((0..4).map(|_| ask(&proxy))).await.iter().map(|r| r.status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429]);
    // A call takes a second here, so the second of two cannot be done in a second and a half.
    let hurried = || proxy.generate(wish(json!({"timeout": 1.5})));
    let mut statuses: Vec<_> = join_all([hurried(), hurried()]).await.iter().map(|r| r.status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert_eq!(proxy.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_try_starts_that_cannot_end_in_time() {
    let proxy = TestProxy::with(CORE).script(["slow=2", "throttle-retry-after=3", "tiny"]).start().await;
    assert_eq!(ask(&proxy).await.status(), 200, "it takes two seconds");
    let begun = Instant::now();
    let response = proxy.generate(wish(json!({"timeout": 4}))).await;
    assert_eq!((response.status().as_u16(), proxy.calls().len()), (429, 2));
    assert!(begun.elapsed() < Duration::from_secs(1), "it does not wait for what would come too late");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_deployment_is_asked_by_one_first_and_then_by_more() {
    let proxy = TestProxy::with(CORE).script(["throttle-retry-after=4"]).start().await;
    let first = proxy.generate(wish(json!({"num_retries": 0}))).await;
    assert_eq!((first.status().as_u16(), header(first.headers(), "retry-after")), (429, "4"));
    script(&proxy, &["slow=1"; 7]);
    let begun = Instant::now();
    let responses = join_all((0..7).map(|_| ask(&proxy))).await;
    assert!(responses.iter().all(|response| response.status() == 200), "they queue instead of failing");
    assert_eq!(proxy.calls().len(), 8, "and nobody is asked in vain");
    let mut waits: Vec<_> = responses.iter().map(|response| (queued(response) + 100) / 1000).collect();
    waits.sort_unstable();
    assert_eq!(waits, [4, 5, 5, 6, 6, 6, 6], "one, then two, then four at a time");
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn one_request_finds_out_whether_a_deployment_is_well_again() {
    let yaml = named(&pair(", order: 1", ", order: 2", "cooldown_time: 10"));
    let proxy = TestProxy::with(&yaml).script(["throttle", "tiny", "tiny"]).start().await;
    assert_eq!(painters(&proxy, 2).await, ["east", "east"]);
    assert_eq!(metric(&proxy, "easel_deployment_resting{").await, 1.0);
    assert_eq!(metric(&proxy, "easel_deployment_rests_total{").await, 1.0);
    tokio::time::advance(Duration::from_secs(10)).await;
    script(&proxy, &["slow=1"; 4]);
    let mut ids: Vec<_> = join_all((0..4).map(|_| ask(&proxy))).await.iter().map(painter).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["east", "east", "east", "west"]);
    script(&proxy, &["tiny"; 2]);
    assert_eq!(painters(&proxy, 2).await, ["west", "west"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_multiply_the_load() {
    let proxy = TestProxy::with(&one("", "retry_budget: 0")).script(["internal"; 90]).start().await;
    let responses = join_all((0..30).map(|_| ask(&proxy))).await;
    assert!(responses.iter().all(|response| response.status() == 502));
    // The reserve, and what comes back of it while they wait.
    assert!((40..=42).contains(&proxy.calls().len()), "{}", proxy.calls().len());
    assert_eq!(metric(&proxy, "easel_retries_total").await + 30.0, proxy.calls().len() as f64);
    assert_eq!(metric(&proxy, "easel_retries_over_budget_total").await, 70.0 - proxy.calls().len() as f64 - 10.0);
}

#[tokio::test(start_paused = true)]
async fn policies_say_how_often_by_kind() {
    let policy = "retry_policy: {RateLimitErrorRetries: 4, InternalServerErrorRetries: 0}";
    let yaml = format!("{CORE}router_settings: {{{policy}}}\n");
    for (fault, calls) in [("throttle", 5), ("unavailable", 1), ("internal", 1)] {
        let proxy = TestProxy::with(&yaml).script([fault; 9]).start().await;
        assert!(ask(&proxy).await.status().is_server_error() || fault == "throttle");
        assert_eq!(proxy.calls().len(), calls, "{fault}");
    }
    let of_alias =
        yaml.replace("retry_policy", "model_group_retry_policy: {core: {RateLimitErrorRetries: 1}}, retry_policy");
    let proxy = TestProxy::with(&of_alias).script(["throttle"; 9]).start().await;
    assert_eq!((ask(&proxy).await.status().as_u16(), proxy.calls().len()), (429, 2));
}

#[tokio::test(start_paused = true)]
async fn failures_are_allowed_before_a_rest() {
    for (settings, fault, first) in [
        ("", "throttle", "east"),
        ("allowed_fails: 1", "throttle", "west"),
        ("allowed_fails_policy: {RateLimitErrorAllowedFails: 2}", "throttle", "west"),
        ("disable_cooldowns: true", "access-denied", "west"),
        ("cooldown_time: 0", "access-denied", "west"),
        ("", "model-error", "west"),
        ("allowed_fails: 0", "model-error", "east"),
    ] {
        let yaml = named(&pair(", order: 1", ", order: 2", settings));
        let proxy = TestProxy::with(&yaml).script([fault, "tiny", "tiny"]).start().await;
        assert_eq!(painters(&proxy, 1).await, ["east"]);
        // Beyond the moment for which whoever was throttled is left alone.
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(painters(&proxy, 1).await, [first], "{settings} {fault}");
    }
}
