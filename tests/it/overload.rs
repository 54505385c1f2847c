//! Too many requests, and bad ones: each gets a clear answer at once, and nobody else suffers for it.
//! Must not wait: time is paused where something has to pass.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::form::Form;
use crate::support::{CORE, ReadJson, TestProxy, header, wish};

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_be_are_refused_at_once() {
    for (settings, refused, code) in [
        ("easel_settings: {max_in_flight: 2}", 503, "overloaded"),
        ("easel_settings: {max_in_flight_per_caller: 2}", 429, "rate_limit_exceeded"),
        ("general_settings: {global_max_parallel_requests: 2}", 503, "overloaded"),
        ("general_settings: {max_in_flight_requests_per_worker: 2, max_parallel_requests: 0}", 503, "overloaded"),
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
    assert!(
        reply.starts_with("HTTP/1.1 408 the body came too slowly: nothing for 30 s, or less than 8 KB a second\r\n"),
        "{reply}"
    );
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

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_given_up_too() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut sent = 0;
    let reply = loop {
        let mut reply = [0; 12];
        tokio::select! {
            read = stream.read_exact(&mut reply) => break read.map(|_| reply).unwrap(),
            () = tokio::time::sleep(Duration::from_secs(5)) => stream.write_all(b" ").await.unwrap(),
        }
        sent += 1;
    };
    assert_eq!((&reply, sent), (b"HTTP/1.1 408", 6));
}

#[tokio::test(start_paused = true)]
async fn connections_that_never_ask_anything_hold_up_nobody() {
    let proxy = TestProxy::with(CORE).start().await;
    let mut loris = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"POST /v1/images/generations HTTP/1.1\r\nx-a: b\r\n").await.unwrap();
        loris.push(stream);
    }
    assert_eq!(proxy.generate(wish(json!({"prompt": "a cat emulate:tiny"}))).await.status(), 200);
    let connections = || async {
        let text = proxy.get("/metrics").await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("easel_connections ")).unwrap();
        line.parse::<u32>().unwrap()
    };
    assert!(connections().await > 300);
    for mut stream in loris {
        // One more line of the head does not help.
        let _ = stream.write_all(b"x-c: d\r\n").await;
        let mut reply = Vec::new();
        tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut reply))
            .await
            .unwrap()
            .unwrap_or_default();
        assert!(reply.is_empty());
    }
    assert!(connections().await < 5);
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_too_many_wait_for_others_to_end() {
    let proxy = TestProxy::with(&format!("{CORE}easel_settings: {{max_connections: 2}}\n")).start().await;
    let ask = |mut stream: TcpStream| async move {
        stream.write_all(b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"HTTP/1.1 200");
        stream
    };
    let connect = || async { TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap() };
    let (first, _second) = (ask(connect().await).await, ask(connect().await).await);
    let third = ask(connect().await);
    let mut third = std::pin::pin!(third);
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut third).await.is_err());
    drop(first);
    third.await;
}

#[tokio::test(start_paused = true)]
async fn callers_without_a_key_are_told_apart_by_address_and_those_of_one_key_by_their_headers() {
    let bound = format!("{CORE}easel_settings: {{max_in_flight_per_caller: 1}}\n");
    let proxy = TestProxy::with(&bound).script(["slow=1"; 2]).start().await;
    let url = format!("{}/v1/images/generations", proxy.url);
    let of = |last: u8| {
        let client = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 0, last]));
        client.build().unwrap().post(&url).body(r#"{"prompt": "a cat"}"#).send()
    };
    let responses = join_all([of(2), of(2), of(3)]).await;
    let statuses: Vec<_> = responses.into_iter().map(|response| response.unwrap().status().as_u16()).collect();
    assert!([[200, 429, 200], [429, 200, 200]].contains(&[statuses[0], statuses[1], statuses[2]]), "{statuses:?}");

    let by_header = format!("{bound}general_settings: {{user_header_mappings: [{{header_name: X-User}}]}}\n");
    let proxy = TestProxy::with(&by_header).env("LITELLM_MASTER_KEY", "sk-own").script(["slow=1"; 2]).start().await;
    let url = format!("{}/v1/images/generations", proxy.url);
    let of = |user: &'static str| {
        let request = proxy.client.post(&url).bearer_auth("sk-own").header("x-user", user);
        request.body(r#"{"prompt": "a cat"}"#).send()
    };
    let responses = join_all([of("a"), of("b"), of("a")]).await;
    let statuses: Vec<_> = responses.into_iter().map(|response| response.unwrap().status().as_u16()).collect();
    assert!([[200, 200, 429], [429, 200, 200]].contains(&[statuses[0], statuses[1], statuses[2]]), "{statuses:?}");
}

#[tokio::test]
async fn whoever_is_turned_away_reads_why_although_he_was_uploading() {
    let yaml = format!("{CORE}easel_settings: {{max_in_flight: 1}}\n");
    let proxy = TestProxy::with(&yaml).env("LITELLM_MASTER_KEY", "sk-own").script(["slow=3600"]).start().await;
    let url = format!("{}/v1/images/edits", proxy.url);
    let upload = |key: &'static str| {
        let form = Form::new().text("prompt", "a cat").file("image", &vec![7; 8_000_000]).bytes();
        let request = proxy.client.post(&url).bearer_auth(key).header("content-type", Form::content_type());
        request.body(form).send()
    };
    assert_eq!(upload("sk-wrong").await.unwrap().status(), 401);
    let paint = proxy.client.post(url.replace("edits", "generations")).bearer_auth("sk-own");
    let painting = tokio::spawn(paint.body(r#"{"prompt": "a cat"}"#).send());
    while proxy.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(upload("sk-own").await.unwrap().status(), 503);
    painting.abort();
}

#[tokio::test]
async fn a_generation_takes_a_smaller_body_than_an_edit() {
    let proxy = TestProxy::with(CORE).start().await;
    let picture = vec![7; 11_000_000];
    let form = (0..6).fold(Form::new().text("prompt", "a cat"), |form, _| form.file("image[]", &picture));
    let response = form.clone().send(&proxy, "/v1/images/generations").await;
    assert_eq!(response.status(), 413);
    let envelope: Value = response.json().await.unwrap();
    assert_eq!(envelope["error"]["message"], "the body is larger than 64 MB, the most that is taken here");
    assert_eq!(form.send(&proxy, "/v1/images/edits").await.status(), 400, "they are no pictures");
}
