//! Pictures that a request names by link: our own by their name in the store, others from hosts that are opened.
//! Must not fetch from anywhere but this machine.

use std::time::SystemTime;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use easel::clock::Clock;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::net::TcpListener;

use crate::support::{ReadJson, TestProxy, sizes};

/// A model that changes a picture by words alone, and one that paints it.
const PAINTERS: &str = "
model_list:
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
  - model_name: sd35
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";

fn edit(link: &str) -> Value {
    json!({"model": "sd35", "prompt": "a hat", "images": [{"image_url": link}], "response_format": "b64_json"})
}

async fn edited(proxy: &TestProxy, link: &str) -> (u16, Value) {
    let response = proxy.post("/v1/images/edits", edit(link).to_string()).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A link to a new picture.
async fn link(proxy: &TestProxy) -> String {
    let body = json!({"model": "core", "prompt": "a cat", "response_format": "url"});
    let reply: Value = proxy.generate(body).await.json().await.unwrap();
    reply["data"][0]["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_of_ours_is_the_picture_behind_it() {
    let data = tempfile::tempdir().unwrap();
    let proxy = TestProxy::with(PAINTERS).data_dir(data.path()).start().await;
    let link = link(&proxy).await;
    let (status, reply) = edited(&proxy, &link).await;
    assert_eq!((status, sizes(&reply)), (200, vec![(1024, 1024)]), "{reply}");
    let kept = proxy.client.get(&link).send().await.unwrap().bytes().await.unwrap();
    let sent = proxy.calls()[1].body["image"].as_str().unwrap().to_owned();
    assert_eq!(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sent).unwrap(), kept);
    // By whatever name the caller reached us: the picture is looked up, not fetched.
    let elsewhere = link.replace(&proxy.url, "https://easel.example");
    assert_eq!(edited(&proxy, &elsewhere).await.0, 200);
    // The picture of the turn before, in a chat.
    let messages = json!([{"role": "user", "content": "a cat"}, {"role": "assistant", "content": format!("![picture]({link})")},
                          {"role": "user", "content": "with a hat"}]);
    let chat = proxy.post("/v1/chat/completions", json!({"model": "sd35", "messages": messages}).to_string()).await;
    assert_eq!(chat.status(), 200);
    let body = &proxy.calls()[3].body;
    assert_eq!((&body["prompt"], body["image"].is_string()), (&json!("with a hat"), true));
}

#[tokio::test]
async fn a_link_that_has_expired_or_lost_its_picture_says_so() {
    let data = tempfile::tempdir().unwrap();
    let proxy = TestProxy::with(PAINTERS).data_dir(data.path()).start().await;
    let link = link(&proxy).await;
    let later = Clock::new(|| SystemTime::from(datetime!(2026-11-22 14:00 UTC)));
    let tomorrow = TestProxy::with(PAINTERS).data_dir(data.path()).clock(later).start().await;
    let (status, reply) = edited(&tomorrow, &link).await;
    let message = "'images' is a link: it has expired. Send the file, or a data URL";
    assert_eq!((status, reply["error"]["message"].as_str().unwrap()), (400, message));
    for entry in std::fs::read_dir(data.path().join("links")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (status, reply) = edited(&proxy, &link).await;
    let message = "'images' is a link: what it led to has been removed. Send the file, or a data URL";
    assert_eq!((status, reply["error"]["message"].as_str().unwrap()), (400, message));
}

/// A host with a picture, a redirect to it, nothing, and too much.
async fn host() -> String {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(256, 256).write_to(&mut file, image::ImageFormat::Png).unwrap();
    let picture = file.into_inner();
    let app = Router::new()
        .route("/a.png", get(move || async move { picture }))
        .route("/moved.png", get(async || (StatusCode::FOUND, [(header::LOCATION, "/a.png")])))
        .route("/long.png", get(async || vec![0; 50_000_001]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test]
async fn hosts_are_closed_until_they_are_opened() {
    let host = host().await;
    let closed = TestProxy::with(PAINTERS).start().await;
    let (status, reply) = edited(&closed, &format!("{host}/a.png")).await;
    assert_eq!((status, &reply["error"]["code"]), (400, &json!("invalid_image_file")));
    let open = TestProxy::with(&format!("{PAINTERS}easel_settings: {{picture_hosts: [127.0.0.1, localhost]}}\n"));
    let open = open.start().await;
    let (status, reply) = edited(&open, &format!("{host}/a.png")).await;
    assert_eq!(status, 200, "{reply}");
    assert!(open.sent()["image"].is_string());
    let by_name = host.replace("127.0.0.1", "localhost");
    for (link, says) in [
        (format!("{host}/moved.png"), "its host answers with status 302"),
        (format!("{host}/none.png"), "its host answers with status 404"),
        (format!("{host}/long.png"), "is larger than 50 MB"),
        (format!("{by_name}/a.png"), "its host is no public address"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "its host is not among those"),
    ] {
        let (status, reply) = edited(&open, &link).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(says), "{link}: {message}");
    }
    assert_eq!(open.calls().len(), 1);
}
