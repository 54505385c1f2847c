//! Callers as they are: most wait, some hang up and ask again, as SDKs do on their own.
//! Must not ask again where it is told not to.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{TestProxy, header};

/// What a caller has in the end.
#[derive(Debug)]
pub(super) enum Answer {
    Picture(Vec<u8>),
    /// Its status, and how often he asked again after one that may pass.
    Error(u16, usize),
    /// The connection broke in the middle.
    Broken,
}

impl Answer {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Picture(_) => "picture".into(),
            Self::Error(status, _) => format!("error {status}"),
            Self::Broken => "broken".into(),
        }
    }
}

/// How a caller is.
struct Manner {
    /// He hangs up after so long, the first time.
    patience: Option<Duration>,
    key: bool,
    events: bool,
    /// How often he asks again after an error that may pass.
    again: usize,
}

impl Manner {
    fn draw(number: usize, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed ^ number as u64);
        // Between the moments at which anything else happens.
        let patience = Duration::from_micros(chance.u64(1..300) * 10_000 + 3_700);
        Self {
            patience: (chance.u8(..100) < 35).then_some(patience),
            key: chance.u8(..100) < 15,
            events: chance.u8(..100) < 15,
            again: chance.usize(..3),
        }
    }
}

/// How many requests reached Easel at the most.
pub(super) fn asked(answers: &[(usize, Answer)]) -> usize {
    let again = |answer: &Answer| if let Answer::Error(_, again) = answer { *again } else { 2 };
    answers.iter().map(|(_, answer)| 2 + again(answer)).sum()
}

/// Asks until there is an answer.
pub(super) async fn call(proxy: &TestProxy, number: usize, seed: u64) -> Answer {
    let mut manner = Manner::draw(number, seed);
    let mut asked = 0;
    loop {
        let patience = manner.patience.take();
        let sending = send(proxy, number, &manner);
        let response = match patience {
            None => sending.await,
            Some(patience) => match tokio::time::timeout(patience, sending).await {
                Ok(response) => response,
                Err(_) => {
                    // As the SDKs wait before they ask again.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
            },
        };
        // A reply that breaks at once may take its head along.
        let Ok(response) = response else { return Answer::Broken };
        let again = header(response.headers(), "x-should-retry") != "false";
        let wait = header(response.headers(), "retry-after").parse().unwrap_or(1);
        let answer = read(response, asked).await;
        match &answer {
            Answer::Error(429 | 500.., _) if again && asked < manner.again => {
                asked += 1;
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
            _ => return answer,
        }
    }
}

async fn send(proxy: &TestProxy, number: usize, manner: &Manner) -> reqwest::Result<Response> {
    let body = json!({"prompt": format!("{number} cats"), "model": "core", "stream": manner.events});
    let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).body(body.to_string());
    let request = if manner.key { request.header("idempotency-key", format!("key {number}")) } else { request };
    request.send().await
}

async fn read(response: Response, asked: usize) -> Answer {
    let status = response.status().as_u16();
    let Ok(text) = response.text().await else { return Answer::Broken };
    if status == 200 && text.contains("\"b64_json\":\"") {
        let base64 = text.split("\"b64_json\":\"").nth(1).unwrap().split('"').next().unwrap();
        return Answer::Picture(STANDARD.decode(base64).unwrap());
    }
    let envelope = match status {
        // Events may have begun before it was known.
        200 => text.split("event: error\ndata: ").nth(1).unwrap_or_else(|| panic!("neither picture nor error: {text}")),
        _ => &text,
    };
    let envelope: Value = serde_json::from_str(envelope.trim()).unwrap();
    let code = envelope["error"]["code"].as_str().unwrap_or_default();
    assert!(!code.is_empty() && code != "internal_error", "{text}");
    Answer::Error(status, asked)
}
