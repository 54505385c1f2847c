//! A caller who hangs up finds his picture when he comes back, and pays once; keys, and replies that are collected later.
//! Must not look at how a reply is kept: only at who gets it, and how often Bedrock was asked.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::form::Form;
use crate::support::{Builder, CORE, NOVA, ReadJson, TestProxy, header, pictures, wish};

const SECOND: Duration = Duration::from_secs(1);

/// A proxy that can keep replies, and the folder in which it does.
async fn keeping(yaml: &str, script: &[&str]) -> (TestProxy, TempDir) {
    let data = TempDir::new().unwrap();
    let proxy = builder(yaml, &data).script(script.iter().copied()).start().await;
    (proxy, data)
}

fn builder(yaml: &str, data: &TempDir) -> Builder {
    TestProxy::with(yaml).data_dir(data.path())
}

async fn ask(proxy: &TestProxy, body: &Value, headers: &[(&str, &str)]) -> Response {
    let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).body(body.to_string());
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

/// Asks, and hangs up after a while without a reply.
async fn hang_up(proxy: &TestProxy, body: &Value, headers: &[(&str, &str)]) {
    let patience = tokio::time::timeout(SECOND, ask(proxy, body, headers)).await;
    assert!(patience.is_err(), "there is a reply already");
    until(proxy, "easel_callers_gone_total", 1.0).await;
}

/// Waits for a figure of `/metrics`.
async fn until(proxy: &TestProxy, name: &str, at_least: f64) {
    for _ in 0..500 {
        if metric(proxy, name).await >= at_least {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{name} stays at {}", metric(proxy, name).await);
}

async fn metric(proxy: &TestProxy, name: &str) -> f64 {
    let text = proxy.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is missing"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Whether it was paid for by another request; and the pictures.
async fn reply(response: Response) -> (bool, Vec<Vec<u8>>) {
    assert_eq!(response.status(), 200);
    let replayed = header(response.headers(), "x-easel-replayed") == "true";
    assert_eq!(header(response.headers(), "x-litellm-response-cost") == "0", replayed);
    let reply: Value = response.json().await.unwrap();
    (replayed, pictures(&reply))
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_time_joins_his_call() {
    let (proxy, _data) = keeping(NOVA, &["slow=5"]).await;
    let body = wish(json!({"size": "512x320", "n": 2}));
    hang_up(&proxy, &body, &[]).await;
    let (replayed, pictures) = reply(ask(&proxy, &body, &[]).await).await;
    assert_eq!((replayed, pictures.len(), proxy.calls().len()), (true, 2, 1));
    assert_eq!(metric(&proxy, "easel_requests_joined_total").await, 1.0);
    // It was his once: the next has a picture of its own.
    let (replayed, _) = reply(ask(&proxy, &body, &[]).await).await;
    assert_eq!((replayed, proxy.calls().len()), (false, 2));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_late_finds_his_picture_kept() {
    let (proxy, data) = keeping(NOVA, &["slow=2"]).await;
    let body = wish(json!({"size": "512x320"}));
    hang_up(&proxy, &body, &[]).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    assert_eq!(metric(&proxy, "easel_kept_replies").await, 1.0);
    let (replayed, pictures) = reply(ask(&proxy, &body, &[]).await).await;
    assert_eq!((replayed, pictures.len(), proxy.calls().len()), (true, 1, 1));
    assert_eq!(metric(&proxy, "easel_replies_replayed_total").await, 1.0);
    until_empty(&data).await;
}

/// Nothing is left of what was kept.
async fn until_empty(data: &TempDir) {
    for _ in 0..500 {
        if std::fs::read_dir(data.path().join("kept")).unwrap().count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("something is left in the folder");
}

#[tokio::test(start_paused = true)]
async fn another_caller_or_another_wish_gets_nothing_of_it() {
    let yaml = NOVA.to_owned() + "general_settings: {user_header_name: x-user}\n";
    let (proxy, _data) = keeping(&yaml, &["slow=2"]).await;
    let body = wish(json!({"size": "512x320", "user": "ann"}));
    hang_up(&proxy, &body, &[("x-user", "1")]).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    let of_bob = wish(json!({"size": "512x320", "user": "bob"}));
    for (body, user) in [(&of_bob, "1"), (&body, "2"), (&wish(json!({"size": "320x512", "user": "ann"})), "1")] {
        assert!(!reply(ask(&proxy, body, &[("x-user", user)]).await).await.0);
    }
    assert!(reply(ask(&proxy, &body, &[("x-user", "1")]).await).await.0);
    assert_eq!(proxy.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn callers_who_stay_have_a_picture_each() {
    let (proxy, data) = keeping(CORE, &["slow=1"; 3]).await;
    let body = wish(json!({}));
    let replies = join_all((0..3).map(|_| async { reply(ask(&proxy, &body, &[]).await).await.0 })).await;
    assert_eq!((replies, proxy.calls().len()), (vec![false; 3], 3));
    until_empty(&data).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_names_one_picture() {
    let (proxy, _data) = keeping(NOVA, &["slow=2"]).await;
    let (body, key) = (wish(json!({"size": "512x320"})), [("idempotency-key", "order-7")]);
    let both = join_all((0..2).map(|_| async { reply(ask(&proxy, &body, &key).await).await })).await;
    assert_eq!(both.iter().filter(|(replayed, _)| *replayed).count(), 1);
    assert_eq!(both[0].1, both[1].1);
    let later = reply(ask(&proxy, &body, &key).await).await;
    assert_eq!((later.0, &later.1, proxy.calls().len()), (true, &both[0].1, 1));

    let other = ask(&proxy, &wish(json!({"size": "320x512"})), &key).await;
    assert_eq!((other.status().as_u16(), header(other.headers(), "x-should-retry")), (409, "false"));
    let envelope: Value = other.json().await.unwrap();
    assert_eq!(envelope["error"]["code"], "idempotency_key_reused");
    // The same key of another end user is another key.
    let of_ann = wish(json!({"size": "512x320", "user": "ann"}));
    assert!(!reply(ask(&proxy, &of_ann, &key).await).await.0);
    let empty = ask(&proxy, &body, &[("idempotency-key", "")]).await;
    assert_eq!(empty.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_key_survives_a_caller_who_hangs_up_and_an_error() {
    let (proxy, _data) = keeping(NOVA, &["throttle", "slow=3"]).await;
    let (body, key) = (wish(json!({"size": "512x320", "num_retries": 0})), [("idempotency-key", "k")]);
    assert_eq!(ask(&proxy, &body, &key).await.status(), 429);
    let patience = tokio::time::timeout(SECOND, ask(&proxy, &body, &key)).await;
    assert!(patience.is_err(), "what failed is done again");
    let (replayed, _) = reply(ask(&proxy, &body, &key).await).await;
    assert_eq!((replayed, proxy.calls().len()), (true, 2));
}

#[tokio::test(start_paused = true)]
async fn events_are_taken_over_too() {
    let yaml = NOVA.to_owned() + "easel_settings: {events: {status_after: 0.1, keep_alive: 0.2}}\n";
    let (proxy, _data) = keeping(&yaml, &["slow=4"]).await;
    let body = wish(json!({"size": "512x320", "stream": true}));
    let mut response = ask(&proxy, &body, &[]).await;
    assert_eq!(&response.chunk().await.unwrap().unwrap()[..], b": \n\n", "events have begun, a picture has not");
    drop(response);
    until(&proxy, "easel_callers_gone_total", 1.0).await;
    let response = ask(&proxy, &body, &[]).await;
    assert_eq!(header(response.headers(), "x-easel-replayed"), "true");
    let text = response.text().await.unwrap();
    assert_eq!(text.matches("event: image_generation.completed").count(), 1);
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_form_is_known_again_whatever_its_boundary() {
    let (proxy, _data) = keeping(NOVA, &["slow=3"]).await;
    let picture = picture(&proxy).await;
    let form = Form::new().text("prompt", "a hat").text("model", "nova-canvas").file("image", &picture);
    let (body, kind) = form.clone().bounded_by("first");
    let post = |body: Vec<u8>, kind: String| {
        let request = proxy.client.post(format!("{}/v1/images/edits", proxy.url)).body(body);
        request.header("content-type", kind).send()
    };
    // Not by the clock, which may run ahead of a form that is on its way.
    let asked = async {
        while proxy.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        early = post(body, kind) => panic!("there is a reply already: {early:?}"),
        () = asked => {}
    }
    until(&proxy, "easel_callers_gone_total", 1.0).await;
    let (body, kind) = form.bounded_by("second");
    assert!(reply(post(body, kind).await.unwrap()).await.0);
    assert_eq!(proxy.calls().len(), 2, "with the one that painted what is edited");
}

/// A picture to be edited, painted first.
async fn picture(proxy: &TestProxy) -> Vec<u8> {
    proxy.emulator.script([]);
    let painted = reply(ask(proxy, &wish(json!({"size": "512x512"})), &[("idempotency-key", "first")]).await).await;
    proxy.emulator.script([Some("slow=3".parse().unwrap())]);
    painted.1.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_whole_outlives_easel() {
    let (proxy, data) = keeping(NOVA, &["slow=2"]).await;
    let body = wish(json!({"size": "512x320"}));
    hang_up(&proxy, &body, &[]).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    drop(proxy);
    let proxy = builder(NOVA, &data).start().await;
    let (replayed, pictures) = reply(ask(&proxy, &body, &[]).await).await;
    assert_eq!((replayed, pictures.len(), proxy.calls().len()), (true, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn bounds_hold_and_the_operator_may_want_none_of_it() {
    // Past its time at once.
    let (proxy, _data) = keeping(&(NOVA.to_owned() + "easel_settings: {takeover_window: 0.5}\n"), &["slow=2"]).await;
    let body = wish(json!({"size": "512x320"}));
    hang_up(&proxy, &body, &[]).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    assert!(!reply(ask(&proxy, &body, &[]).await).await.0);
    // More than there is room for.
    let (proxy, data) = keeping(&(NOVA.to_owned() + "easel_settings: {kept: {max_size_mb: 1}}\n"), &["slow=2"]).await;
    let large = wish(json!({"size": "1024x1024"}));
    hang_up(&proxy, &large, &[]).await;
    until(&proxy, "easel_replies_lost_total", 1.0).await;
    until_empty(&data).await;
    // `cancel` ends the call with its caller; and without a folder nothing is kept.
    let (cancelling, _data) =
        keeping(&(NOVA.to_owned() + "easel_settings: {on_disconnect: cancel}\n"), &["slow=2"]).await;
    let without = TestProxy::with(NOVA).script(["slow=2"]).start().await;
    let off = builder(&(NOVA.to_owned() + "easel_settings: {kept: {enabled: false}}\n"), &TempDir::new().unwrap());
    let off = off.script(["slow=2"]).start().await;
    for proxy in [cancelling, without, off] {
        assert!(tokio::time::timeout(SECOND, ask(&proxy, &body, &[])).await.is_err());
        assert!(!reply(ask(&proxy, &body, &[]).await).await.0);
        assert_eq!((proxy.calls().len(), metric(&proxy, "easel_callers_gone_total").await), (2, 0.0));
    }
}

async fn at(proxy: &TestProxy, method: Method, address: &str) -> Response {
    proxy.client.request(method, address).header("x-user", "1").send().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reply_can_be_collected_later() {
    let yaml = NOVA.to_owned() + "general_settings: {user_header_name: x-user}\n";
    let (proxy, data) = keeping(&yaml, &["slow=5"]).await;
    let prefer = [("prefer", "wait=5, respond-async"), ("x-user", "1")];
    let response = ask(&proxy, &wish(json!({"size": "512x320"})), &prefer).await;
    assert_eq!(response.status(), 202);
    assert_eq!(header(response.headers(), "preference-applied"), "respond-async");
    let address = header(response.headers(), "location").to_owned();
    let told: Value = response.json().await.unwrap();
    assert_eq!(address, format!("{}/v1/images/requests/{}", proxy.url, told["id"].as_str().unwrap()));
    assert_eq!((&told["object"], &told["status"]), (&json!("image.request"), &json!("in_progress")));
    let early = at(&proxy, Method::GET, &address).await;
    assert_eq!((early.status().as_u16(), header(early.headers(), "retry-after")), (202, "2"));
    assert_eq!(proxy.client.get(&address).send().await.unwrap().status(), 404, "another caller's");
    tokio::time::sleep(5 * SECOND).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    for _ in 0..2 {
        assert_eq!(reply(at(&proxy, Method::GET, &address).await).await.1.len(), 1);
    }
    assert_eq!(at(&proxy, Method::DELETE, &address).await.status(), 200);
    assert_eq!(at(&proxy, Method::GET, &address).await.status(), 404);
    until_empty(&data).await;
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_are_collected_too_and_a_call_can_be_ended() {
    let (proxy, _data) = keeping(NOVA, &["filter-input", "slow=9"]).await;
    let later = [("prefer", "respond-async")];
    let response = ask(&proxy, &wish(json!({})), &later).await;
    let address = header(response.headers(), "location").to_owned();
    let refused = loop {
        let response = proxy.client.get(&address).send().await.unwrap();
        if response.status() != 202 {
            break response;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(refused.status(), 400);
    let envelope: Value = refused.json().await.unwrap();
    assert_eq!(envelope["error"]["code"], "content_policy_violation");

    let response = ask(&proxy, &wish(json!({"size": "512x320"})), &later).await;
    let address = header(response.headers(), "location").to_owned();
    let ended: Value = proxy.client.delete(&address).send().await.unwrap().json().await.unwrap();
    assert_eq!(ended["deleted"], true);
    assert_eq!(proxy.client.get(&address).send().await.unwrap().status(), 404);

    let without = TestProxy::with(NOVA).start().await;
    let response = ask(&without, &wish(json!({})), &later).await;
    assert_eq!(response.status(), 400);
    let envelope: Value = response.json().await.unwrap();
    assert_eq!(envelope["error"]["code"], "respond_async_is_off");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_is_in_the_log_and_the_figures() {
    let (proxy, _data) = keeping(NOVA, &["slow=2"]).await;
    hang_up(&proxy, &wish(json!({"size": "512x320"})), &[]).await;
    until(&proxy, "easel_replies_kept_total", 1.0).await;
    let text = proxy.get("/metrics").await.text().await.unwrap();
    let line = "easel_requests_total{route=\"/v1/images/generations\",status=\"499\"} 1";
    assert!(text.contains(line), "{text}");
    assert_eq!(metric(&proxy, "easel_requests_in_flight").await, 1.0, "the one that asks for it");
    assert_eq!(metric(&proxy, "easel_calls_without_caller").await, 0.0);
}
