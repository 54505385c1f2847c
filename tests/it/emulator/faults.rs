//! What each of the emulator's faults looks like from the other end of the socket.
//! It must not measure time: a pause is seen by what comes before and after it.
use super::{CORE, NOVA, Stage, bearer, noon, nova, picture, wish};
use easel::emulator::{Fault, Options};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

impl Stage {
    async fn faulty(&self, model: &str, fault: &str) -> (u16, HeaderMap, String) {
        self.emulator.script([Some(fault.parse().unwrap())]);
        self.answer(model, &wish(model)).await
    }

    /// The bytes of an answer, as a client without an HTTP library sees them until the end of the connection.
    async fn bytes(&self, fault: &str) -> (Vec<u8>, std::io::Result<usize>) {
        self.emulator.script([Some(fault.parse().unwrap())]);
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let body = wish(NOVA).to_string();
        let request = format!(
            "POST /model/{NOVA}/invoke HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer emulated\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let end = socket.read_to_end(&mut seen).await;
        (seen, end)
    }
}

/// Splits raw bytes into the declared length and the body.
fn split(bytes: &[u8]) -> (Option<usize>, &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    (length.map(|length| length.parse().unwrap()), &bytes[end + 4..])
}

#[tokio::test]
async fn faults_that_are_errors_have_their_status_type_and_spelling() {
    let stage = Stage::new().await;
    for (fault, status, kind, key) in [
        ("throttle", 429, "ThrottlingException", "message"),
        ("throttle-retry-after", 429, "ThrottlingException", "message"),
        ("validation", 400, "ValidationException", "message"),
        ("access-denied", 403, "AccessDeniedException", "Message"),
        ("model-access", 403, "AccessDeniedException", "message"),
        ("call-with-bearer", 403, "AccessDeniedException", "Message"),
        ("not-found", 404, "ResourceNotFoundException", "message"),
        ("end-of-life", 404, "ResourceNotFoundException", "message"),
        ("legacy", 404, "ResourceNotFoundException", "message"),
        ("invalid-model", 400, "ValidationException", "message"),
        ("timeout", 408, "ModelTimeoutException", "message"),
        ("model-error", 424, "ModelErrorException", "message"),
        ("not-ready", 429, "ModelNotReadyException", "message"),
        ("internal", 500, "InternalServerException", "message"),
        ("overloaded", 529, "overloaded_error", "message"),
        ("quota", 400, "ServiceQuotaExceededException", "message"),
        ("expired-token", 403, "ExpiredTokenException", "Message"),
        ("bearer-expired", 403, "AccessDeniedException", "Message"),
        ("bearer-invalid", 403, "AccessDeniedException", "Message"),
    ] {
        let (seen, headers, text) = stage.faulty(NOVA, fault).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        assert!(!body[key].as_str().unwrap().is_empty(), "{fault}: {text}");
        let sort = headers["x-amzn-errortype"].to_str().unwrap();
        assert_eq!((seen, sort.split(':').next()), (status, Some(kind)), "{fault}");
        assert_eq!(headers.contains_key("retry-after"), fault == "throttle-retry-after");
    }
    let (status, headers, text) = stage.faulty(NOVA, "unavailable").await;
    assert_eq!((status, headers["content-type"].as_bytes()), (503, &b"text/html"[..]));
    assert!(text.starts_with("<html>"));
}

#[tokio::test]
async fn faults_that_are_good_replies_without_pictures() {
    let stage = Stage::new().await;
    let blocked = "generated images have been blocked by our content filters.";
    let reason = |text: &str| json!({"finish_reasons": [text]});
    for (model, fault, expect) in [
        (NOVA, "filter-all", json!({"images": [], "error": format!("All of the {blocked}")})),
        (NOVA, "filter-some", json!({"images": [], "error": format!("All of the {blocked}")})),
        (NOVA, "empty", json!({"images": []})),
        (NOVA, "null-body", Value::Null),
        (CORE, "filter-input", reason("Filter reason: prompt")),
        (CORE, "filter-all", reason("Filter reason: output image")),
        (CORE, "filter-some", reason("Filter reason: output image")),
        (CORE, "inference-error", reason("Inference error")),
    ] {
        let (status, _, text) = stage.faulty(model, fault).await;
        assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (200, expect), "{fault}");
    }
    let (_, _, text) = stage.faulty(NOVA, "guardrail").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["amazon-bedrock-guardrailAction"], "INTERVENED");
    let (status, _, text) = stage.faulty(NOVA, "filter-input").await;
    assert_eq!(status, 400);
    assert!(text.contains("blocked by our content filters. Please adjust your text prompt"), "{text}");
    assert_eq!(stage.faulty(NOVA, "inference-error").await.0, 424);
    let (status, headers, text) = stage.faulty(NOVA, "not-json").await;
    assert_eq!((status, headers["content-type"].as_bytes()), (200, &b"text/html"[..]));
    assert!(text.starts_with("<html>"));
}

#[tokio::test]
async fn some_pictures_may_be_filtered_and_the_error_follows_them() {
    let stage = Stage::new().await;
    stage.emulator.script([Some(Fault::FilterSome)]);
    let (_, _, text) = stage.answer(NOVA, &nova(&json!({"width": 320, "height": 320, "numberOfImages": 3}))).await;
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["images"].as_array().unwrap().len(), 2);
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["images", "error"]);
    assert!(body["error"].as_str().unwrap().starts_with("Some of the generated images"));
}

#[tokio::test]
async fn an_odd_reply_and_a_late_one_still_hold_the_picture() {
    let stage = Stage::new().await;
    let (_, _, plain) = stage.answer(NOVA, &wish(NOVA)).await;
    for fault in ["odd-json", "slow=0.01", "slow-body=0.01"] {
        let (status, _, text) = stage.faulty(NOVA, fault).await;
        assert_eq!(status, 200);
        assert!(picture(&plain, 0) == picture(&text, 0), "{fault}");
    }
    for model in [NOVA, CORE] {
        let (_, headers, text) = stage.faulty(model, "odd-json").await;
        assert!(text.contains("\\/") && text.contains("\\u002b") && !headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn broken_connections_are_broken_in_their_own_ways() {
    let stage = Stage::new().await;
    let (_, _, whole) = stage.answer(NOVA, &wish(NOVA)).await;

    let (seen, end) = stage.bytes("reset-before-head").await;
    assert_eq!((seen.len(), end.unwrap_err().kind()), (0, std::io::ErrorKind::ConnectionReset));

    let (seen, end) = stage.bytes("reset-mid-body").await;
    let (declared, body) = split(&seen);
    assert_eq!((declared, end.unwrap_err().kind()), (Some(whole.len()), std::io::ErrorKind::ConnectionReset));
    assert!(body.len() < whole.len() && whole.as_bytes().starts_with(body));

    let (seen, end) = stage.bytes("short-length").await;
    let (declared, body) = split(&seen);
    assert!(end.is_ok() && declared == Some(whole.len()));
    assert!(body.len() > whole.len() / 3 && body.len() < whole.len() && whole.as_bytes().starts_with(body));

    let (seen, end) = stage.bytes("long-length").await;
    let (declared, body) = split(&seen);
    assert!(end.is_ok() && body == whole.as_bytes());
    assert!(declared.unwrap() < whole.len() && declared.unwrap() > whole.len() / 3);

    let (_, headers, text) = stage.faulty(NOVA, "truncated-json").await;
    assert!(!headers.contains_key("content-length") && text.len() < whole.len() && whole.starts_with(&text));
}

#[tokio::test]
async fn a_stalled_reply_sends_half_and_keeps_the_connection() {
    let stage = Stage::new().await;
    stage.emulator.script([Some(Fault::Stall)]);
    let mut response = stage.post(NOVA, &wish(NOVA)).send().await.unwrap();
    let whole = usize::try_from(response.content_length().unwrap()).unwrap();
    let mut seen = 0;
    while seen < whole / 3 {
        seen += response.chunk().await.unwrap().unwrap().len();
    }
    let more = async {
        while let Ok(Some(piece)) = response.chunk().await {
            seen += piece.len();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(100), more).await.is_err(), "the reply ended");
    assert!(seen < whole);
}

#[tokio::test]
async fn script_goes_before_prompt_and_prompt_before_options() {
    let stage = Stage::with(Options { fault: Some(Fault::Internal), ..Options::new(noon) }).await;
    stage.emulator.script([Some(Fault::Quota), Some(Fault::Tiny), Some(Fault::NotFound)]);
    let plain = json!({"prompt": "a cat"});
    let stranger = stage.post(CORE, &plain).headers(bearer("x")).send().await.unwrap();
    assert_eq!(stranger.status(), 403, "and takes nothing from the script");
    assert_eq!(stage.answer(CORE, &plain).await.0, 400);
    assert_eq!(stage.answer(CORE, &json!({"prompt": "emulate:timeout"})).await.0, 200);
    assert_eq!(stage.answer(CORE, &plain).await.0, 404);
    assert_eq!(stage.answer(CORE, &json!({"prompt": "emulate:timeout"})).await.0, 408);
    assert_eq!(stage.answer(CORE, &plain).await.0, 500);
    let (status, _, text) = stage.answer(CORE, &json!({"prompt": "emulate:thorttle"})).await;
    assert_eq!(status, 400);
    assert!(text.contains("thorttle") && text.contains("throttle-retry-after"), "{text}");
}
