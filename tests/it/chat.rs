//! Chats with a model that paints. Must not look at single bytes: `reply/chat_sink.rs` does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{CORE, ReadJson, TestProxy, header};

async fn chat(proxy: &TestProxy, body: Value) -> Response {
    proxy.post("/v1/chat/completions", body.to_string()).await
}

fn user(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

/// The picture of a data URL, which has to say what it is.
#[track_caller]
fn picture(image: &Value) -> Vec<u8> {
    assert_eq!(image["type"], "image_url");
    let url = image["image_url"]["url"].as_str().unwrap();
    STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap()
}

#[tokio::test]
async fn a_chat_paints_its_last_words() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut body = user("a fox emulate:tiny");
    body.as_object_mut().unwrap().extend(
        json!({"model": "core", "temperature": 1, "max_tokens": 9, "tools": [{"type": "function"}], "tool_choice": "auto",
               "aspect_ratio": "16:9", "seed": 5})
        .as_object()
        .unwrap()
        .clone(),
    );
    let response = chat(&proxy, body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-model"), "stability.stable-image-core-v1:1");
    let reply: Value = response.json().await.unwrap();
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("core")));
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = &reply["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["role"]), (&json!("stop"), &json!("assistant")));
    let size = imagesize::blob_size(&picture(&choice["message"]["images"][0])).unwrap();
    assert_eq!((size.width, size.height), (64, 64));
    let sent = proxy.sent();
    assert_eq!(
        sent,
        json!({"prompt": "a fox emulate:tiny", "aspect_ratio": "16:9", "seed": 5, "output_format": "png"})
    );
}

#[tokio::test]
async fn the_text_links_to_the_same_picture() {
    let data = tempfile::tempdir().unwrap();
    let proxy = TestProxy::with(CORE).data_dir(data.path()).start().await;
    let reply: Value = chat(&proxy, user("a fox emulate:tiny")).await.json().await.unwrap();
    let message = &reply["choices"][0]["message"];
    let link = message["content"].as_str().unwrap().strip_prefix("![picture](").unwrap().strip_suffix(')').unwrap();
    assert!(link.starts_with(&proxy.url) && link.ends_with(".png"), "{link}");
    let linked = proxy.client.get(link).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(linked, picture(&message["images"][0]));
}

#[tokio::test]
async fn a_stream_brings_the_picture_in_a_delta() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut body = user("a fox emulate:tiny");
    body["stream"] = true.into();
    let response = chat(&proxy, body).await;
    assert_eq!(header(response.headers(), "content-type"), "text/event-stream");
    let text = response.text().await.unwrap();
    let events: Vec<_> = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let read = |event: &&str| serde_json::from_str::<Value>(event).unwrap();
    let deltas: Vec<_> =
        events[..events.len() - 1].iter().map(read).map(|e| e["choices"][0]["delta"].clone()).collect();
    assert_eq!(deltas[0], json!({"role": "assistant", "content": ""}));
    assert_eq!(imagesize::blob_size(&picture(&deltas[1]["images"][0])).unwrap().width, 64);
    assert_eq!(deltas[2..], [json!({"content": "Painted by core."}), json!({})]);
}

/// Open WebUI keeps what a stream brings, and sends back of it only the text.
#[tokio::test]
async fn a_chat_goes_on_with_the_picture_that_a_stream_brought() {
    let data = tempfile::tempdir().unwrap();
    let large = CORE.replace("stable-image-core-v1:1", "sd3-5-large-v1:0");
    let proxy = TestProxy::with(&large).data_dir(data.path()).start().await;
    let mut body = user("a fox");
    body["stream"] = true.into();
    let events = chat(&proxy, body).await.text().await.unwrap();
    let read = |event: &str| serde_json::from_str::<Value>(event.strip_prefix("data: ").unwrap());
    let deltas: Vec<_> = events.split_terminator("\n\n").filter_map(|event| read(event).ok()).collect();
    let delta = |place: usize| &deltas[place]["choices"][0]["delta"];
    let painted = picture(&delta(1)["images"][0]);
    let answer = delta(2)["content"].as_str().unwrap();
    let note = answer.strip_prefix("Painted by core.\n\n[picture 1]: ").unwrap();
    assert!(note.starts_with(&format!("{}/files/", proxy.url)), "{answer}");
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let messages = json!([turn("user", "a fox"), turn("assistant", answer), turn("user", "make it blue")]);
    let response = chat(&proxy, json!({ "messages": messages })).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    let sent = proxy.calls().pop().unwrap().body;
    assert_eq!((&sent["prompt"], &sent["mode"]), (&json!("make it blue"), &json!("image-to-image")));
    assert_eq!(STANDARD.decode(sent["image"].as_str().unwrap()).unwrap(), painted);
}

/// Nobody has sent what an answer links to, so it never ends a chat.
#[tokio::test]
async fn a_chat_goes_on_without_a_picture_that_cannot_be_changed() {
    let large = CORE.replace("stable-image-core-v1:1", "sd3-5-large-v1:0");
    let data = tempfile::tempdir().unwrap();
    let dead = "http://localhost/files/1.YWJj/5c59488405c578ec835f2ca1ed4489d4.png";
    for config in [CORE, &large] {
        let proxy = TestProxy::with(config).data_dir(data.path()).start().await;
        let live: Value = chat(&proxy, user("a fox emulate:tiny")).await.json().await.unwrap();
        let live = live["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        let answers = if config == CORE {
            vec![live, format!("[picture 1]: {dead}")]
        } else {
            vec![format!("[picture 1]: {dead}")]
        };
        for answer in answers {
            let turn = |role: &str, text: &str| json!({"role": role, "content": text});
            let messages =
                json!([turn("user", "a fox"), turn("assistant", &answer), turn("user", "a cat emulate:tiny")]);
            let response = chat(&proxy, json!({ "messages": messages })).await;
            assert_eq!(response.status(), 200, "{answer}: {}", response.text().await.unwrap());
            let sent = proxy.calls().pop().unwrap().body;
            assert_eq!((&sent["prompt"], &sent["image"]), (&json!("a cat emulate:tiny"), &Value::Null));
        }
    }
}

#[tokio::test]
async fn chores_are_answered_in_words_and_paid_by_nobody() {
    let proxy = TestProxy::with(CORE).start().await;
    let task = "### Task:\nGenerate a concise, 3-5 word title\n### Output:\nJSON format: { \"title\": \"x\" }\n\
                ### Chat History:\n<chat_history>\nUSER: a fox in the snow\n</chat_history>";
    let response = chat(&proxy, user(task)).await;
    assert_eq!(response.status(), 200);
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], r#"{"title":"a fox in the snow"}"#);
    let mut streamed = user(task);
    streamed["stream"] = true.into();
    let text = chat(&proxy, streamed).await.text().await.unwrap();
    assert!(text.contains(r#""delta":{"content":"{\"title\":\"a fox in the snow\"}"}"#), "{text}");
    let mut unknown = user(task);
    unknown["model"] = "nope".into();
    assert_eq!(chat(&proxy, unknown).await.status(), 404);
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_wears_the_envelope() {
    let proxy = TestProxy::with(CORE).start().await;
    for (body, status, code) in [
        (json!({}), 400, "missing_required_parameter"),
        (json!({"model": "nope", "messages": [{"role": "user", "content": "a"}]}), 404, "model_not_found"),
        (user("a fox emulate:filter-all"), 400, "content_policy_violation"),
        (json!({"messages": [{"role": "user", "content": "x".repeat(10_001)}]}), 400, "invalid_value"),
    ] {
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            let response = chat(&proxy, body).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.json().await.unwrap()["error"]["code"], code);
        }
    }
}

#[tokio::test]
async fn old_pictures_of_a_chat_do_no_harm() {
    let proxy = TestProxy::with(CORE).start().await;
    let broken = json!({"role": "user", "content": [{"type": "text", "text": "this"},
        {"type": "image_url", "image_url": {"url": "https://elsewhere.example/gone.png"}}]});
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let messages = json!([
        broken,
        turn("assistant", "done"),
        turn("user", "a dog"),
        turn("assistant", "done"),
        turn("user", "a cat emulate:tiny")
    ]);
    let response = chat(&proxy, json!({ "messages": messages })).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
}

#[tokio::test]
async fn every_path_of_a_chat() {
    let proxy = TestProxy::with(CORE).start().await;
    for path in ["/chat/completions", "/openai/deployments/core/chat/completions?api-version=1"] {
        let response = proxy.post(path, user("a fox emulate:tiny").to_string()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.json().await.unwrap()["choices"][0]["message"]["images"].is_array());
    }
}
