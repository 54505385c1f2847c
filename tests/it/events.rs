//! `stream: true`: one event for each picture, as it comes; comments while nothing does; errors that are late.
//! Must not wait for anything longer than the moment that a test's config asks for.

use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{CORE, NOVA, ReadJson, TestProxy, header, wish};

/// Where the status line does not wait, and comments come often.
const HASTY: &str = "easel_settings: {events: {status_after: 0.02, keep_alive: 0.02}}";

/// The events of a stream, in order; comments are passed over, as SDKs do.
#[track_caller]
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split_terminator("\n\n").filter(|block| !block.starts_with(':'));
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    assert!(text.ends_with("\n\n"), "the last event is closed: {text}");
    blocks.map(event).collect()
}

async fn stream(proxy: &TestProxy, members: Value) -> Response {
    let mut body = wish(members);
    body["stream"] = true.into();
    proxy.generate(body).await
}

/// Reads until `enough` of what has come.
async fn read_until(response: &mut Response, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !enough(&text) {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
    text
}

/// Width and height of an event's picture.
fn size(event: &Value) -> (usize, usize) {
    let base64 = event["b64_json"].as_str().unwrap();
    let picture = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap();
    imagesize::blob_size(&picture).map(|size| (size.width, size.height)).unwrap()
}

#[tokio::test]
async fn each_picture_is_an_event_with_every_member() {
    let proxy = TestProxy::with(NOVA).start().await;
    let response = stream(&proxy, json!({"n": 2, "size": "512x320", "seed": 7})).await;
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("x-easel-model", "amazon.nova-canvas-v1:0"),
        ("x-easel-seed", "7"),
        ("x-litellm-response-cost", "0.08"),
    ] {
        assert_eq!(header(response.headers(), name), value);
    }
    let mut events = events(&response.text().await.unwrap());
    assert_eq!(events.len(), 2);
    for (name, event) in &mut events {
        assert_eq!(name, "image_generation.completed");
        assert_eq!(size(event), (512, 320));
        event["b64_json"].take();
        assert!(event["created_at"].take().is_i64());
        let usage = json!({"total_tokens": 0, "input_tokens": 0, "output_tokens": 0,
                           "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}});
        let expected = json!({
            "type": "image_generation.completed", "created_at": null, "b64_json": null, "background": "auto",
            "output_format": "png", "quality": "auto", "size": "512x320", "usage": usage,
        });
        assert_eq!(*event, expected);
    }
}

#[tokio::test]
async fn a_picture_does_not_wait_for_a_slower_one() {
    let proxy = TestProxy::with(CORE).script(["tiny", "slow=600"]).start().await;
    let mut response = stream(&proxy, json!({"n": 2, "response_format": "url", "partial_images": 2})).await;
    assert_eq!(header(response.headers(), "x-litellm-response-cost"), "", "nobody knows yet what the other will cost");
    assert_eq!(header(response.headers(), "x-easel-ignored"), "partial_images");
    let first = read_until(&mut response, |text| text.contains("\n\n")).await;
    let events = events(&first);
    assert_eq!((events.len(), size(&events[0].1)), (1, (64, 64)));
}

#[tokio::test]
async fn comments_come_while_nothing_else_does() {
    let proxy = TestProxy::with(&format!("{CORE}\n{HASTY}\n")).script(["slow=600"]).start().await;
    let mut response = stream(&proxy, json!({})).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-model"), "", "nobody has painted yet");
    let begun = read_until(&mut response, |text| text.len() >= 8).await;
    assert!(begun.starts_with(": \n\n: \n\n"), "{begun}");
}

#[tokio::test]
async fn a_picture_that_comes_after_the_status_is_an_event_all_the_same() {
    let proxy = TestProxy::with(&format!("{CORE}\n{HASTY}\n")).script(["slow=0.2"]).start().await;
    let response = stream(&proxy, json!({})).await;
    assert_eq!(header(response.headers(), "x-easel-model"), "");
    let text = response.text().await.unwrap();
    let events = events(&text);
    assert!(text.starts_with(": \n\n"));
    assert_eq!((events.len(), size(&events[0].1)), (1, (1024, 1024)));
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    let counted = r#"easel_pictures_total{alias="core",model="stability.stable-image-core-v1:1"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn what_fails_at_once_is_no_stream() {
    let proxy = TestProxy::with(CORE).script(["filter-input"; 2]).start().await;
    let response = stream(&proxy, json!({"n": 2})).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["error"]["code"], "content_policy_violation");
    let unknown = stream(&proxy, json!({"model": "nobody"})).await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn what_fails_later_is_an_event() {
    let core = CORE.replace("us-west-2", "us-west-2, timeout: 0.3");
    let proxy = TestProxy::with(&format!("{core}\n{HASTY}\n")).script(["slow=600"]).start().await;
    let response = stream(&proxy, json!({})).await;
    assert_eq!(response.status(), 200);
    let events = events(&response.text().await.unwrap());
    let message = "Bedrock did not answer in time. It may have been billed, so it is not tried again";
    let error =
        json!({"error": {"message": message, "type": "server_error", "param": null, "code": "upstream_timeout"}});
    assert_eq!(events, [("error".to_owned(), error)]);
}

#[tokio::test]
async fn a_failure_before_the_last_picture_is_its_warning() {
    let proxy = TestProxy::with(CORE).script(["filter-all", "slow=0.2"]).start().await;
    let response = stream(&proxy, json!({"n": 2, "size": "1024x1024"})).await;
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1["easel"]["warnings"], json!(["a picture did not come: it was filtered"]));
}

#[tokio::test]
async fn a_failure_after_the_last_picture_is_an_event_of_its_own() {
    let core = CORE.replace("us-west-2", "us-west-2, timeout: 0.3");
    let proxy = TestProxy::with(&core).script(["tiny", "slow=600"]).start().await;
    let response = stream(&proxy, json!({"n": 2})).await;
    let events = events(&response.text().await.unwrap());
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["image_generation.completed", "error"]);
    assert_eq!(events[1].1["error"]["code"], "upstream_timeout");
    assert!(events[0].1.get("easel").is_none());
}

#[tokio::test]
async fn pictures_that_are_filtered_at_the_end_are_told_by_the_last_event() {
    let proxy = TestProxy::with(NOVA).script(["filter-some"]).start().await;
    let response = stream(&proxy, json!({"n": 3, "size": "320x320"})).await;
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.len(), 2);
    assert!(events[0].1.get("easel").is_none());
    let warning = events[1].1["easel"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("1 of 3 pictures did not come. The model says: "), "{warning}");
}

#[tokio::test]
async fn a_break_in_a_picture_breaks_the_stream() {
    for fault in ["reset-mid-body", "truncated-json"] {
        let proxy = TestProxy::with(CORE).script([fault]).start().await;
        let response = stream(&proxy, json!({})).await;
        assert_eq!(response.status(), 200);
        assert!(response.text().await.is_err(), "{fault}");
    }
}

#[tokio::test]
async fn events_are_configured_within_bounds() {
    let env = easel::config::Environment::default();
    let yaml = format!("{CORE}\neasel_settings: {{events: {{status_after: 11, keep_alife: 3}}}}\n");
    let mistakes = easel::config::Config::parse(&yaml, &env, &easel::catalog::Catalog::builtin()).unwrap_err();
    let expected = "easel_settings.events.status_after: the value 11 is not accepted. Write seconds above 0, at most 10\n\
                    easel_settings.events.keep_alife: easel_settings.events has no 'keep_alife'. Accepted are \
                    'status_after', 'keep_alive'";
    assert_eq!(mistakes.to_string(), expected);
}
