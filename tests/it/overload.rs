//! Too many requests, and bad ones: each gets a clear answer at once, and nobody else suffers for it.
//! Must not wait: time is paused where something has to pass.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{CORE, ReadJson, TestProxy, header, wish};

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_be_are_refused_at_once() {
    for (settings, refused, code) in [
        ("easel_settings: {max_in_flight: 2}", 503, "overloaded"),
        ("easel_settings: {max_in_flight_per_caller: 2}", 429, "rate_limit_exceeded"),
        ("general_settings: {global_max_parallel_requests: 2}", 503, "overloaded"),
        ("general_settings: {max_parallel_requests: 2}", 429, "rate_limit_exceeded"),
    ] {
        let proxy = TestProxy::with(&format!("{CORE}{settings}\n")).script(["slow=1"; 2]).start().await;
        let responses = join_all((0..5).map(|_| proxy.generate(wish(json!({}))))).await;
        let mut statuses: Vec<_> = responses.iter().map(|response| response.status().as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, refused, refused, refused], "{settings}");
        let response = responses.into_iter().find(|response| response.status() == refused).unwrap();
        assert_eq!(header(response.headers(), "retry-after"), "1");
        let envelope: Value = response.json().await.unwrap();
        assert_eq!(envelope["error"]["code"], code);
        // Those that have ended make room.
        assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
        let text = proxy.get("/metrics").await.text().await.unwrap();
        assert!(text.contains("easel_requests_refused_total{reason=\"in_flight"), "{text}");
    }
}

#[tokio::test]
async fn bad_bodies_are_told_where_they_are_bad() {
    let proxy = TestProxy::with(CORE).start().await;
    let deep =
        |open: &str, close: &str| format!("{{\"prompt\": \"a\", \"x\": {}1{}}}", open.repeat(9000), close.repeat(9000));
    let long = format!("{{\"prompt\": \"{}\"}}", "x".repeat(10_000_000));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "line 1 column 0"),
        (b"nonsense".to_vec(), "line 1 column 2"),
        (b"{\"prompt\": \"a\"".to_vec(), "line 1 column 14"),
        (b"{\n  \"prompt\": \"a\",\n}".to_vec(), "line 3 column 1"),
        (b"{\"prompt\": \"\xff\xfe\"}".to_vec(), "line 1 column"),
        (b"{\"prompt\": \"\\ud800\"}".to_vec(), "line 1 column"),
        (b"{\"prompt\": NaN}".to_vec(), "line 1 column 12"),
        (b"{\"prompt\": \"a\", \"n\": Infinity}".to_vec(), "line 1 column"),
        (b"{\"prompt\": \"a\", \"n\": 1e999}".to_vec(), "number out of range"),
        (b"{\"prompt\": \"a\"} trailing".to_vec(), "line 1 column 17"),
        (deep("[", "]").into_bytes(), "recursion limit"),
        (deep("{\"a\":", "}").into_bytes(), "recursion limit"),
        (b"[]".to_vec(), "object"),
        (b"null".to_vec(), "object"),
        (b"{}".to_vec(), "'prompt'"),
        (b"{\"prompt\": 7}".to_vec(), "'prompt'"),
        (b"{\"prompt\": \"a\", \"n\": \"many\"}".to_vec(), "'n'"),
        (b"{\"prompt\": \"a\", \"n\": -1}".to_vec(), "'n'"),
        (b"{\"prompt\": \"a\", \"size\": {\"w\": 1}}".to_vec(), "'size'"),
        (b"{\"prompt\": \"a\", \"stream\": \"perhaps\"}".to_vec(), "'stream'"),
        (b"{\"prompt\": \"a\", \"timeout\": \"soon\"}".to_vec(), "'timeout'"),
        (long.into_bytes(), "'prompt'"),
    ];
    for (body, place) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let response = proxy.post("/v1/images/generations", body).await;
        assert_eq!(response.status(), 400, "{shown}");
        let envelope: Value = response.json().await.unwrap();
        let message = envelope["error"]["message"].as_str().unwrap();
        assert!(message.contains(place), "{shown}: {message}");
    }
    assert!(proxy.calls().is_empty());
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200, "and it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"prompt\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 nothing of the body came for 30 seconds\r\n"), "{reply}");
    assert!(reply.contains("body_timeout"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stops_coming_is_given_up() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"GET /health/liveliness HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut reply = Vec::new();
    tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut reply)).await.unwrap().unwrap();
    assert!(reply.is_empty());
}
