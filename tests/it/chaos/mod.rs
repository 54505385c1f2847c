//! Everything goes wrong at once: thousands of requests, faults drawn from a printed seed at every point, callers who hang
//! up and come back. In the end an account is drawn up: each answered, each picture whole, none paid twice, nothing left.
//! Must not depend on the seed: `EASEL_CHAOS_SEED` and `EASEL_CHAOS_REQUESTS` choose others and more.

mod caller;
mod upstream;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use easel::clock::Clock;
use futures_util::StreamExt;
use futures_util::stream;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::support::{TestProxy, clock};
use caller::{Answer, call};
use upstream::{Fate, Upstream};

const SEED: u64 = 20_261_125;

const REQUESTS: usize = 2000;

/// Requests under way at once.
const CROWD: usize = 300;

/// Two deployments, a fallback that nobody listens for, and one that is well.
const YAML: &str = "
model_list:
  - model_name: core
    litellm_params: &core {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2, timeout: 90}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-east-1, timeout: 90}
  - model_name: dead
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2,
                     aws_bedrock_runtime_endpoint: 'http://127.0.0.1:1'}
  - model_name: last
    litellm_params: *core
router_settings: {fallbacks: [{core: [dead, last]}]}
easel_settings: {events: {status_after: 0.05, keep_alive: 1}}
";

#[expect(clippy::disallowed_methods, reason = "a test may be told by its caller how much to do")]
fn told<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The day goes on as paused time does.
fn paused_clock() -> SystemTime {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    clock().now() + BEGUN.get_or_init(Instant::now).elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_account_is_right() {
    let (seed, requests) = (told("EASEL_CHAOS_SEED", SEED), told("EASEL_CHAOS_REQUESTS", REQUESTS));
    println!("EASEL_CHAOS_SEED={seed} EASEL_CHAOS_REQUESTS={requests}");
    let data = TempDir::new().unwrap();
    let upstream = Upstream::start(seed).await;
    let builder = TestProxy::with(YAML).upstream(&upstream.url).data_dir(data.path());
    let proxy = builder.clock(Clock::new(paused_clock)).start().await;
    metric(&proxy, "easel_requests_in_flight").await;
    settle().await;
    let tasks = Handle::current().metrics().num_alive_tasks();

    let answers: Vec<(usize, Answer)> = stream::iter(0..requests)
        .map(|number| {
            let proxy = &proxy;
            async move { (number, call(proxy, number, seed).await) }
        })
        .buffer_unordered(CROWD)
        .collect()
        .await;

    draw_up(&upstream, &answers);
    assert_eq!(answers.len(), requests);
    let calls = upstream.calls();
    let retries = metric(&proxy, "easel_retries_total").await;
    // The reserve comes back with time, a try in a second.
    let passed = upstream.begun.elapsed().as_secs_f64();
    let most = 0.2 * caller::asked(&answers) as f64 + 10.0 + passed;
    assert!(retries <= most, "{retries} tries after the first, {most} may be");
    println!("{} calls, {retries} of them tries after the first; {passed} s have passed", calls.len());

    nothing_is_left(&proxy, &data).await;
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks, "a task is left behind");
}

/// Who got what, and what was paid for it.
fn draw_up(upstream: &Upstream, answers: &[(usize, Answer)]) {
    let mut paid: BTreeMap<usize, Vec<(usize, Fate)>> = BTreeMap::new();
    for (serial, (request, fate)) in upstream.calls().into_iter().enumerate() {
        if fate.is_paid() {
            paid.entry(request).or_default().push((serial, fate));
        }
    }
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for (request, answer) in answers {
        let paid = paid.get(request).map(Vec::as_slice).unwrap_or_default();
        assert!(
            paid.len() <= 1,
            "request {request} was paid for more than once: {paid:?}, and answered {}",
            answer.name()
        );
        match (paid, answer) {
            ([(serial, Fate::Painted)], Answer::Picture(picture)) => {
                assert_eq!(*picture, upstream::picture(*serial, *request), "request {request} has another's picture");
            }
            ([(_, Fate::Painted)], _) => panic!("the picture of request {request} is lost: {}", answer.name()),
            (_, Answer::Picture(_)) => panic!("request {request} has a picture that nobody has painted whole"),
            ([(_, fate)], Answer::Broken) => assert!(fate.has_begun(), "{fate:?} broke request {request}"),
            (_, Answer::Broken) => panic!("request {request} broke although nothing had begun"),
            (_, Answer::Error(..)) => {}
        }
        *tally.entry(answer.name()).or_default() += 1;
    }
    println!("{tally:?}");
    assert!(tally.get("picture").copied().unwrap_or_default() > answers.len() / 4, "many are painted after all");
}

async fn nothing_is_left(proxy: &TestProxy, data: &TempDir) {
    settle().await;
    for name in ["easel_calls_without_caller", "easel_deployment_calls_in_flight", "easel_deployment_queue_length"] {
        assert_eq!(metric(proxy, name).await, 0.0, "{name}");
    }
    assert_eq!(metric(proxy, "easel_picture_requests_in_flight").await, 0.0);
    assert_eq!(metric(proxy, "easel_requests_in_flight").await, 1.0);
    // What nobody comes back for goes with time.
    tokio::time::sleep(Duration::from_secs(700)).await;
    let left: Vec<_> =
        std::fs::read_dir(data.path().join("kept")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Longer than anybody keeps an idle connection.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(500)).await;
}

async fn metric(proxy: &TestProxy, name: &str) -> f64 {
    let text = proxy.get("/metrics").await.text().await.unwrap();
    let values = text.lines().filter(|line| line.starts_with(name)).map(|line| line.rsplit(' ').next().unwrap());
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}
