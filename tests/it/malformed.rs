//! Bodies that are damaged in ways nobody has thought of: whatever comes, the answer is a clear one, and never a failure of
//! Easel's own. Must not depend on chance: the damage is drawn from fixed seeds.

use fastrand::Rng;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::form::Form;
use crate::support::{CORE, ReadJson, TestProxy};

/// What is well before it is damaged; a picture as small as can be is painted from it.
fn bodies() -> Vec<(&'static str, String, Vec<u8>)> {
    let picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let json_type = "application/json".to_owned();
    let prompt = "a cat emulate:tiny";
    let generation = json!({"prompt": prompt, "n": 1, "size": "1024x1024", "seed": 7, "user": "\u{e9}\u{1f98a}"});
    let edit = json!({"prompt": prompt, "image": [picture], "mask": {"image_url": picture}, "n": 1});
    let content = json!([{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": picture}}]);
    let chat = json!({"model": "core", "messages": [{"role": "user", "content": content}], "stream": true});
    let form =
        Form::new().text("prompt", prompt).text("n", "1").file("image", b"\x89PNG\r\n\x1a\n").text("size", "auto");
    vec![
        ("/v1/images/generations", json_type.clone(), generation.to_string().into_bytes()),
        ("/v1/images/edits", json_type.clone(), edit.to_string().into_bytes()),
        ("/v1/chat/completions", json_type.clone(), chat.to_string().into_bytes()),
        ("/v1/images/validate", json_type.clone(), generation.to_string().into_bytes()),
        ("/openai/deployments/core/images/generations", json_type, generation.to_string().into_bytes()),
        ("/v1/images/edits", Form::content_type(), form.bytes()),
    ]
}

/// One to three blows: a byte changed, a stretch lost, repeated or moved, the end cut off, something put in.
fn damage(mut body: Vec<u8>, chance: &mut Rng) -> Vec<u8> {
    const BITS: [&[u8]; 10] = [b"\xff", b"\0", b"NaN", b"\\ud800", b"[[[[", b"}", b"\"", b"-", b"1e999", b"\r\n--"];
    for _ in 0..chance.u8(1..=3) {
        if body.is_empty() {
            break;
        }
        let at = chance.usize(..body.len());
        let end = (at + chance.usize(1..20)).min(body.len());
        match chance.u8(..5) {
            0 => body[at] = chance.u8(..),
            1 => drop(body.drain(at..end)),
            2 => {
                let stretch = body[at..end].to_vec();
                let to = chance.usize(..=body.len());
                body.splice(to..to, stretch);
            }
            3 => body.truncate(at),
            _ => drop(body.splice(at..at, BITS[chance.usize(..BITS.len())].iter().copied())),
        }
    }
    body
}

async fn send(proxy: &TestProxy, path: &str, kind: &str, body: Vec<u8>) -> Response {
    let request = proxy.client.post(format!("{}{path}", proxy.url)).header("content-type", kind);
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn damaged_bodies_are_the_callers_affair() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for (i, (path, kind, body)) in bodies().into_iter().enumerate() {
        for round in 0..120 {
            let mut chance = Rng::with_seed(i as u64 * 1000 + round);
            let body = damage(body.clone(), &mut chance);
            let response = send(&proxy, path, &kind, body.clone()).await;
            let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
            let shown = String::from_utf8_lossy(&body).into_owned();
            assert!(matches!(status, 200 | 400 | 404 | 415), "{path} {status} {text}: {shown}");
            if status != 200 {
                let envelope: Value = serde_json::from_str(&text).unwrap();
                assert!(!envelope["error"]["message"].as_str().unwrap().is_empty(), "{shown}");
            }
            *statuses.entry(status).or_default() += 1;
        }
    }
    assert!(statuses[&400] > 300 && statuses[&200] > 20, "{statuses:?}");
}

#[tokio::test]
async fn bad_forms_are_told_what_is_bad() {
    let proxy = TestProxy::with(CORE).start().await;
    let whole = || Form::new().text("prompt", "a cat");
    let cut = |form: Form| {
        let mut bytes = form.bytes();
        bytes.truncate(bytes.len() - 12);
        bytes
    };
    let utf8: &[&str] = &["Content-Disposition: form-data; name=\"prompt\""];
    let many = (0..300).fold(whole(), |form, i| form.text(&format!("x{i}"), "y"));
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (body, place) in [
        (cut(whole()), "the body ended before it was whole"),
        (b"no form at all".to_vec(), "the body ended before it was whole"),
        (Form::new().part(utf8, b"\xff\xfe").bytes(), "'prompt'"),
        (whole().text("n", "NaN").bytes(), "'n'"),
        (whole().text("n", "-1").bytes(), "'n'"),
        (whole().text("size", "10x").bytes(), "'size'"),
        (whole().text("prompt", &"x".repeat(2_000_000)).bytes(), "'prompt'"),
        (whole().file("image", b"no picture").bytes(), "'image'"),
        (whole().text("textToImageParams", &deep).bytes(), "'textToImageParams'"),
        (many.bytes(), "parts"),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let response = send(&proxy, "/v1/images/generations", &Form::content_type(), body).await;
        assert_eq!(response.status(), 400, "{shown}");
        let envelope: Value = response.json().await.unwrap();
        let message = envelope["error"]["message"].as_str().unwrap();
        assert!(message.contains(place), "{shown}: {message}");
    }
    assert!(proxy.calls().is_empty());
}
