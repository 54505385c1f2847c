//! A broken upstream never yields a picture that looks whole, and what may have been paid for is not sent again.
//! Must not rely on how fast anything is.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{CORE, NOVA, ReadJson, TestProxy, header, pictures, wish};

/// Faults after the first picture byte: the caller's connection breaks.
#[tokio::test]
async fn a_break_in_a_picture_breaks_the_callers_connection() {
    for yaml in [NOVA, CORE] {
        for fault in ["reset-mid-body", "truncated-json", "short-length", "long-length"] {
            let proxy = TestProxy::with(yaml).script([fault]).start().await;
            let response = proxy.generate(wish(json!({"size": "1024x1024"}))).await;
            assert_eq!(response.status(), 200, "{fault}: the head had gone");
            let body = response.bytes().await;
            assert!(body.is_err(), "{fault} looks whole");
            assert_eq!(proxy.calls().len(), 1, "{fault} is not sent again");
            let metrics = proxy.get("/metrics").await.text().await.unwrap();
            assert!(metrics.contains("easel_replies_broken_total 1"), "{fault}");
        }
    }
}

/// A stall in a picture, cut by the deployment's timeout.
#[tokio::test]
async fn a_stall_in_a_picture_breaks_the_callers_connection() {
    let yaml = NOVA.replace("us-east-1", "us-east-1, timeout: 3");
    let proxy = TestProxy::with(&yaml).script(["stall"]).start().await;
    let response = proxy.generate(wish(json!({"size": "320x320"}))).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
}

/// A silence before the head: it may have been paid for, so nobody tries again.
#[tokio::test]
async fn no_answer_in_time_is_not_tried_again() {
    let yaml = NOVA.replace("us-east-1", "us-east-1, timeout: 0.2");
    let proxy = TestProxy::with(&yaml).script(["slow=30"]).start().await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(response.status(), 504);
    assert_eq!(header(response.headers(), "x-should-retry"), "false");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["error"]["code"], "upstream_timeout");
    assert_eq!(proxy.calls().len(), 1);
}

/// The connection goes before an answer: the same.
#[tokio::test]
async fn a_reset_before_the_head_is_not_tried_again() {
    let proxy = TestProxy::with(NOVA).script(["reset-before-head", ""]).start().await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(response.status(), 502);
    assert_eq!(header(response.headers(), "x-should-retry"), "false");
    assert_eq!(proxy.calls().len(), 1);
}

/// A success that holds no picture is an error, whatever it is.
#[tokio::test]
async fn a_success_without_a_picture_is_an_error() {
    for fault in ["empty", "null-body", "not-json"] {
        let proxy = TestProxy::with(NOVA).script([fault]).start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert_eq!(response.status(), 502, "{fault}");
        assert_eq!(header(response.headers(), "x-should-retry"), "false", "{fault}");
        assert_eq!(proxy.calls().len(), 1, "{fault}");
    }
    let proxy = TestProxy::with(CORE).script(["inference-error"]).start().await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(response.status(), 502);
}

/// One of two calls breaks in its picture: the whole reply breaks, because half a document cannot be mended.
#[tokio::test]
async fn a_break_in_the_second_picture_breaks_the_reply() {
    let proxy = TestProxy::with(CORE).script(["reset-mid-body", "reset-mid-body"]).start().await;
    let response = proxy.generate(wish(json!({"n": 2}))).await;
    assert!(response.bytes().await.is_err());
}

/// What the upstream does with the connection once it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Breaks,
    Holds,
}

/// A listener on a free port, and its URL.
async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Answers the first request with these bytes.
fn answer_once(listener: TcpListener, answer: String, then: Then) {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        if then == Then::Holds {
            // Until Easel hangs up.
            let _ = stream.read(&mut request).await;
        }
    });
}

/// An upstream that sends a whole document and announces more, and then breaks the connection or holds it open: the
/// picture is whole, and nobody waits for the deployment's timeout.
#[tokio::test]
async fn a_whole_document_is_whole_whatever_becomes_of_the_connection() {
    for then in [Then::Breaks, Then::Holds] {
        let (listener, upstream) = listener().await;
        let body = r#"{"images":["aGVsbG8="],"error":null}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1);
        answer_once(listener, answer, then);
        let proxy = TestProxy::with(NOVA).upstream(&upstream).start().await;
        let whole = async { proxy.generate(wish(json!({}))).await.json().await };
        let reply: Value = tokio::time::timeout(Duration::from_secs(30), whole).await.unwrap().unwrap();
        assert_eq!(pictures(&reply), [b"hello"]);
    }
}

/// Nobody listens: nothing was sent, so it is tried again, and the caller is told to come back.
#[tokio::test]
async fn nobody_there_is_unavailable() {
    // A port that is taken, so that no other test gets it, and at which nobody listens.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let upstream = format!("http://{}", port.local_addr().unwrap());
    let proxy = TestProxy::with(NOVA).upstream(&upstream).start().await;
    let response = proxy.generate(wish(json!({"num_retries": 1}))).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(response.headers(), "retry-after"), "5");
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(r#"outcome="unreached"} 2"#), "{metrics}");
}

/// A redirect is not followed: it would carry the key, or the signature, to somebody else.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (listener, upstream) = listener().await;
    let proxy = TestProxy::with(NOVA).upstream(&upstream).start().await;
    let elsewhere = format!("{}/health", proxy.url);
    let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
    answer_once(listener, answer, Then::Breaks);
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 502);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(r#"outcome="odd"} 1"#) && !metrics.contains(r#"route="/health""#), "{metrics}");
}
