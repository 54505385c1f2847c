//! Start, change, stop: a config that is read again, an end that loses nothing, replicas that take turns.
//! Must not stop a process that it has not started.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::RwLock;

use crate::support::child::Child;
use crate::support::service::{ID, SECRET};
use crate::support::{CORE, ReadJson, client, header};

/// Core, with what Easel's settings say.
fn core(settings: &str) -> String {
    format!("{CORE}easel_settings: {{{settings}}}\n")
}

/// A program that paints on its emulator.
async fn started(yaml: &str) -> Child {
    Child::with(yaml).env("AWS_BEARER_TOKEN_BEDROCK", "emulated").start().await
}

async fn paint(url: &str, prompt: &str) -> reqwest::Result<Response> {
    let body = json!({"prompt": prompt}).to_string();
    client().post(format!("{url}/v1/images/generations")).body(body).send().await
}

/// Asks for a picture that takes a while; it is under way when this is done.
async fn begin(
    child: &Child,
    seconds: &str,
    prompt: &'static str,
) -> tokio::task::JoinHandle<reqwest::Result<Response>> {
    let (url, before) = (child.url.clone(), child.emulator.calls().len());
    child.emulator.script([Some(format!("slow={seconds}").parse().unwrap())]);
    let painting = tokio::spawn(async move { paint(&url, prompt).await });
    until(|| child.emulator.calls().len() > before).await;
    painting
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it is never so");
}

async fn models(child: &Child) -> Vec<String> {
    let reply: Value = client().get(format!("{}/v1/models", child.url)).send().await.unwrap().json().await.unwrap();
    reply["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn whole(response: reqwest::Result<Response>) -> bool {
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    let reply: Value = response.json().await.unwrap();
    reply["data"].as_array().unwrap().len() == 1
}

async fn readiness(url: &str) -> Option<u16> {
    Some(client().get(format!("{url}/health/readiness")).send().await.ok()?.status().as_u16())
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_is_under_way() {
    let mut child = started(&core("shutdown: {grace: 3}")).await;
    assert_eq!(readiness(&child.url).await, Some(200));
    let painting = begin(&child, "1", "a cat").await;
    child.signal("TERM");
    child.says("stopping").await;
    assert_eq!(readiness(&child.url).await, Some(503));
    let late = paint(&child.url, "a cat emulate:tiny").await.unwrap();
    assert_eq!((late.status().as_u16(), header(late.headers(), "connection")), (200, "close"));
    assert!(whole(painting.await.unwrap()).await);
    assert_eq!(child.end().await, Some(0));
    assert!(child.said().contains("stopped"), "{}", child.said());
    assert_eq!(readiness(&child.url).await, None);
}

#[tokio::test]
async fn nobody_who_asks_means_no_grace_and_a_caller_who_has_gone_is_waited_for() {
    let data = TempDir::new().unwrap();
    let builder = Child::with(&core("")).env("AWS_BEARER_TOKEN_BEDROCK", "emulated");
    let mut child = builder.env("EASEL_DATA_DIR", data.path().to_str().unwrap()).start().await;
    let painting = begin(&child, "1", "a cat").await;
    painting.abort();
    child.says("a caller hung up").await;
    assert_eq!(kept(&data), 2, "a body and its label");
    let painting = begin(&child, "1", "a dog").await;
    painting.abort();
    let _ = painting.await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0));
    assert!(child.said().contains("grace_ms=0"), "{}", child.said());
    assert_eq!(kept(&data), 4);
}

fn kept(data: &TempDir) -> usize {
    std::fs::read_dir(data.path().join("kept")).unwrap().count()
}

#[tokio::test]
async fn a_second_order_or_the_deadline_ends_it_at_once() {
    let mut child = started(&core("")).await;
    let _painting = begin(&child, "60", "a cat").await;
    child.signal("INT");
    child.says("stopping").await;
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0));
    assert!(child.said().contains("stopped with requests under way: a second order came"), "{}", child.said());

    let mut child = started(&core("shutdown: {grace: 3600}")).await;
    child.signal("TERM");
    child.says("stopping").await;
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0), "it waits for nobody to hear of it");

    let mut child = started(&core("shutdown: {deadline: 0.1}")).await;
    let painting = begin(&child, "60", "a cat").await;
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0));
    assert!(child.said().contains("longer than easel_settings.shutdown.deadline"), "{}", child.said());
    assert!(painting.await.unwrap().is_err());
}

#[tokio::test]
async fn killed_it_loses_no_reply_that_was_whole() {
    let data = TempDir::new().unwrap();
    let start = || {
        let builder = Child::with(CORE).env("AWS_BEARER_TOKEN_BEDROCK", "emulated");
        builder.env("EASEL_DATA_DIR", data.path().to_str().unwrap()).start()
    };
    let mut child = start().await;
    begin(&child, "0.5", "a cat").await.abort();
    child.says("a caller hung up").await;
    let cut = begin(&child, "60", "a dog").await;
    child.signal("KILL");
    assert_eq!(child.end().await, None);
    assert!(cut.await.unwrap().is_err());
    let child = start().await;
    let response = paint(&child.url, "a cat").await.unwrap();
    assert_eq!(header(response.headers(), "x-easel-replayed"), "true");
    assert!(whole(Ok(response)).await);
    assert_eq!(child.emulator.calls().len(), 0);
}

#[tokio::test]
async fn a_changed_config_takes_over_and_one_with_mistakes_does_not() {
    let child = started(CORE).await;
    assert_eq!(models(&child).await, ["core"]);
    let painting = begin(&child, "1", "a cat").await;
    child.rewrite("config.yaml", &CORE.replace("model_name: core", "model_name: renamed"));
    child.signal("HUP");
    child.says("the config has been read again").await;
    assert_eq!(models(&child).await, ["renamed"]);
    assert!(whole(painting.await.unwrap()).await, "it ends with the config it began with");

    child.rewrite("config.yaml", &CORE.replace("aws_region_name: us-west-2", "aws_region_name: nowhere"));
    child.signal("HUP");
    child.says("so nothing changes").await;
    let said = child.said();
    assert!(said.contains("model_list[0].litellm_params.aws_region_name"), "{said}");
    assert_eq!(models(&child).await, ["renamed"]);
    assert!(whole(paint(&child.url, "a cat emulate:tiny").await).await);
    let text = client().get(format!("{}/metrics", child.url)).send().await.unwrap().text().await.unwrap();
    for line in ["easel_config_reloads_total{outcome=\"ok\"} 1", "easel_config_reloads_total{outcome=\"mistakes\"} 1"] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn bounds_go_on_counting_over_a_reload_and_rests_end() {
    let bound = |rpm: u32, queue: f64| {
        let entry = CORE.replace("aws_region_name", &format!("rpm: {rpm}, aws_region_name"));
        format!("{entry}easel_settings: {{queue: {{time: {queue}}}}}\n")
    };
    let child = started(&bound(2, 1.0)).await;
    for _ in 0..2 {
        assert!(whole(paint(&child.url, "a cat emulate:tiny").await).await);
    }
    child.rewrite("config.yaml", &bound(2, 1.5));
    child.signal("HUP");
    child.says("the config has been read again").await;
    assert_eq!(paint(&child.url, "a cat emulate:tiny").await.unwrap().status(), 429, "the minute is not over");
    child.rewrite("config.yaml", &bound(3, 1.5));
    child.signal("HUP");
    for _ in 0..1000 {
        if paint(&child.url, "a cat emulate:tiny").await.unwrap().status() == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(child.emulator.calls().len(), 3, "{}", child.said());

    // A retired model rests for an hour, or until then.
    let child = started(CORE).await;
    child.emulator.script(["end-of-life".parse().ok()]);
    assert_eq!(paint(&child.url, "a cat").await.unwrap().status(), 404);
    let resting = async || {
        let text = client().get(format!("{}/metrics", child.url)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("easel_deployment_resting{")).unwrap();
        line.ends_with(" 1")
    };
    assert!(resting().await);
    child.signal("HUP");
    child.says("the config has been read again").await;
    assert!(!resting().await);
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_without_a_signal() {
    let yaml = format!("include: [more.yaml]\n{CORE}");
    let more = "general_settings: {litellm_key_header_name: x-one}\n";
    let builder = Child::with(&yaml).file("more.yaml", more).file(".env", "AWS_BEARER_TOKEN_BEDROCK=first\n");
    let child = builder.start().await;
    assert_eq!(paint(&child.url, "a cat").await.unwrap().status(), 500, "the emulator does not know this key");
    // In place, as a file that is mounted alone has to be.
    child.rewrite(".env", "AWS_BEARER_TOKEN_BEDROCK=emulated\n");
    child.says("the config has been read again").await;
    assert!(whole(paint(&child.url, "a cat emulate:tiny").await).await);
    child.rewrite("more.yaml", "general_settings: {master_key: sk-of-our-own}\n");
    for _ in 0..1000 {
        let status = paint(&child.url, "a cat emulate:tiny").await.unwrap().status();
        if status == 401 {
            return;
        }
        assert_eq!(status, 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the included file is not read again: {}", child.said());
}

#[tokio::test]
async fn an_included_file_that_is_mended_is_noticed_too() {
    let child = started(CORE).await;
    child.rewrite("more.yaml", "router_settings: {num_retries: many}\n");
    child.rewrite(
        "config.yaml",
        &format!("include: [more.yaml]\n{}", CORE.replace("model_name: core", "model_name: new")),
    );
    child.says("so nothing changes").await;
    child.rewrite("more.yaml", "router_settings: {num_retries: 1}\n");
    child.says("the config has been read again").await;
    assert_eq!(models(&child).await, ["new"]);
}

#[tokio::test]
async fn a_reload_opens_no_door() {
    let yaml = format!("{CORE}general_settings: {{master_key: sk-of-our-own}}\n");
    let builder = Child::with(&yaml).env("AWS_BEARER_TOKEN_BEDROCK", "emulated");
    let child = builder.everywhere().start().await;
    child.rewrite("config.yaml", CORE);
    child.signal("HUP");
    child.says("there is no master key of your own").await;
    let url = child.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(paint(&url, "a cat").await.unwrap().status(), 401);
}

#[tokio::test]
async fn keys_that_sign_are_read_again_and_what_is_not_is_said() {
    let env = |id: &str, more: &str| format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={SECRET}\n{more}");
    let child = Child::with(CORE).file(".env", &env("AKIDOFYESTERDAY", "")).start().await;
    assert_eq!(paint(&child.url, "a cat").await.unwrap().status(), 500, "the emulator does not know this key");
    child.rewrite(".env", &env(ID, "PORT=4321\nAWS_PROFILE=other\n"));
    child.says("the config has been read again").await;
    assert!(whole(paint(&child.url, "a cat emulate:tiny").await).await);
    child.assert_signed(None);
    for name in ["PORT", "AWS_PROFILE"] {
        let words = format!(".env: {name} has changed, which counts from the next start");
        assert!(child.said().contains(&words), "{}", child.said());
    }
    child.rewrite(".env", "");
    child.says("AWS_ACCESS_KEY_ID or its secret is gone").await;
}

#[tokio::test]
async fn a_secret_that_stands_in_a_file_of_its_own_is_read_again() {
    let builder = Child::with(CORE).env("AWS_BEARER_TOKEN_BEDROCK", "emulated").file("master", "sk-of-today");
    let path = builder.path("master");
    let child = builder.env("LITELLM_MASTER_KEY_FILE", path.to_str().unwrap()).start().await;
    let ask = |key: &'static str| {
        let request = client().get(format!("{}/v1/models", child.url)).bearer_auth(key);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!((ask("sk-of-today").await, ask("sk-of-tomorrow").await), (200, 401));
    child.rewrite("master", "sk-of-tomorrow\n");
    child.says("the config has been read again").await;
    assert_eq!((ask("sk-of-today").await, ask("sk-of-tomorrow").await), (401, 200));
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart() {
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (old, new) = (made(), made());
    let child = Child::with(CORE)
        .file("cert.pem", &old.cert.pem())
        .file("key.pem", &old.signing_key.serialize_pem())
        .arguments(&["--ssl_certfile_path", "cert.pem", "--ssl_keyfile_path", "key.pem"])
        .start()
        .await;
    let url = format!("{}/health/liveliness", child.url.replace("127.0.0.1", "localhost"));
    let trusting = |pem: String| {
        let pem = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([pem]).build().unwrap()
    };
    let (of_old, of_new) = (trusting(old.cert.pem()), trusting(new.cert.pem()));
    assert_eq!(of_old.get(&url).send().await.unwrap().status(), 200);
    assert!(of_new.get(&url).send().await.is_err());
    // First one that does not go with the key.
    child.rewrite("cert.pem", &new.cert.pem());
    child.says("the certificate that is in use goes on").await;
    assert_eq!(trusting(old.cert.pem()).get(&url).send().await.unwrap().status(), 200);
    child.rewrite("key.pem", &new.signing_key.serialize_pem());
    for _ in 0..1000 {
        if of_new.get(&url).send().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(of_new.get(&url).send().await.unwrap().status(), 200, "{}", child.said());
    assert!(trusting(old.cert.pem()).get(&url).send().await.is_err());
    assert_eq!(of_old.get(&url).send().await.unwrap().status(), 200, "its connection goes on");
}

#[tokio::test]
async fn connections_that_rest_do_not_hold_up_the_end() {
    let mut child = started(&core("")).await;
    let address = child.url.trim_start_matches("http://").to_owned();
    let mut resting = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        resting.push(stream);
    }
    // One that has asked nothing at all.
    resting.push(TcpStream::connect(&address).await.unwrap());
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0));
    assert!(child.said().contains("grace_ms=0") && child.said().contains("stopped"), "{}", child.said());
    for mut stream in resting {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_does_not_hold_up_the_end() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut child = Child::with(CORE)
        .file("cert.pem", &certificate.cert.pem())
        .file("key.pem", &certificate.signing_key.serialize_pem())
        .arguments(&["--ssl_certfile_path", "cert.pem", "--ssl_keyfile_path", "key.pem"])
        .start()
        .await;
    let address = child.url.trim_start_matches("https://").to_owned();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let trusted = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let url = format!("https://localhost:{}/health/liveliness", address.rsplit(':').next().unwrap());
    assert_eq!(client.get(url).send().await.unwrap().status(), 200, "others are answered meanwhile");
    child.signal("TERM");
    assert_eq!(child.end().await, Some(0));
    let closed = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut [0])).await.unwrap();
    assert!(!matches!(closed, Ok(1..)), "{closed:?}");
}

/// Two replicas and whoever sends requests to those that say they are ready.
struct Balancer(RwLock<Vec<String>>);

impl Balancer {
    async fn ready(&self, turn: usize) -> String {
        for _ in 0..1000 {
            let urls = self.0.read().await.clone();
            for i in 0..urls.len() {
                let url = &urls[(turn + i) % urls.len()];
                if readiness(url).await == Some(200) {
                    return url.clone();
                }
            }
        }
        panic!("nobody is ready");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_lose_no_request() {
    // Long enough for a caller on a busy machine to send what he was about to send.
    let yaml = core("shutdown: {grace: 3}");
    let mut replicas = [started(&yaml).await, started(&yaml).await];
    let balancer = Balancer(RwLock::new(replicas.iter().map(|child| child.url.clone()).collect()));
    let (balancer, on, asked) = (Arc::new(balancer), Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let callers = (0..8).map(|_| {
        let (balancer, on, asked) = (balancer.clone(), on.clone(), asked.clone());
        tokio::spawn(async move {
            let mut answers = 0;
            while on.load(Ordering::Relaxed) {
                let url = balancer.ready(asked.fetch_add(1, Ordering::Relaxed)).await;
                assert!(whole(paint(&url, "a cat emulate:tiny").await).await);
                answers += 1;
            }
            answers
        })
    });
    let callers: Vec<_> = callers.collect();
    for (i, replica) in replicas.iter_mut().enumerate() {
        let before = asked.load(Ordering::Relaxed);
        until(|| asked.load(Ordering::Relaxed) > before + 20).await;
        replica.signal("TERM");
        assert_eq!(replica.end().await, Some(0));
        *replica = started(&yaml).await;
        balancer.0.write().await[i].clone_from(&replica.url);
    }
    on.store(false, Ordering::Relaxed);
    let answers: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(answers, asked.load(Ordering::Relaxed), "each was answered once");
    assert!(answers > 40);
}
