//! Bedrock's control plane: which models AWS lists in a region, and until when they live.
//!
//! Must not decide what a model's absence means: private models are on no list.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::reply::read_up_to;
use super::{Client, Error, Kind, Outgoing, network_error};
use crate::config::Deployment;
use crate::payload::Payload;

/// A list is answered at once, or it is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A region's list has a few hundred entries of half a kilobyte.
const MAX_LIST: usize = 4 << 20;

/// A model of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The base model's id.
    pub id: String,
    /// It is being withdrawn.
    pub legacy: bool,
    /// From this day on requests fail, if AWS says so.
    pub end: Option<Date>,
}

/// Where the control plane is: as the operator says, else beside AWS's own runtime endpoint. Beside any other address it
/// cannot be guessed.
pub fn control_endpoint(runtime: &str, given: Option<&str>) -> Option<String> {
    if let Some(given) = given {
        return Some(given.trim_end_matches('/').to_owned());
    }
    let rest = runtime.strip_prefix("https://bedrock-runtime")?;
    rest.starts_with(['.', '-']).then(|| format!("https://bedrock{rest}"))
}

impl Client {
    /// ListFoundationModels, signed as the deployment's calls are.
    pub async fn list_models(&self, deployment: &Deployment, endpoint: &str) -> Result<Vec<Listed>, Error> {
        let url = reqwest::Url::parse(&format!("{endpoint}/foundation-models"))
            .map_err(|_| Error::local(Kind::NotFound, format!("the endpoint {endpoint} is no URL")))?;
        let body = Payload::from(Bytes::new());
        let outgoing = Outgoing { method: Method::GET, url: &url, more: &HeaderMap::new(), body: &body };
        let (headers, identity) = self.headers(deployment, outgoing).await?;
        let sent = self.http(&url)?.get(url).headers(headers).send();
        let answer = tokio::time::timeout(PATIENCE, sent)
            .await
            .map_err(|_| Error::local(Kind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(|error| network_error(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read_up_to(answer, MAX_LIST, PATIENCE).await;
        if status != http::StatusCode::OK {
            return Err(self.denied(deployment, identity, Error::from_answer(status, &headers, &body)));
        }
        read(&body).ok_or_else(|| Error::local(Kind::Odd, "what was answered is no list of models"))
    }
}

fn read(body: &[u8]) -> Option<Vec<Listed>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let listed = |summary: &Value| {
        let life = &summary["modelLifecycle"];
        let id = summary["modelId"].as_str()?.to_owned();
        Some(Listed { id, legacy: life["status"] == "LEGACY", end: date(&life["endOfLifeTime"]) })
    };
    Some(body["modelSummaries"].as_array()?.iter().filter_map(listed).collect())
}

/// AWS writes times as ISO 8601 or as seconds since 1970.
fn date(time: &Value) -> Option<Date> {
    match time {
        Value::String(text) => Date::parse(text.get(..10)?, format_description!("[year]-[month]-[day]")).ok(),
        Value::Number(number) => {
            // The fraction of a second does not matter.
            let seconds = number.to_string().split('.').next()?.parse().ok()?;
            Some(OffsetDateTime::from_unix_timestamp(seconds).ok()?.date())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn the_control_plane_is_beside_awss_own_runtime_only() {
        for (runtime, control) in [
            ("https://bedrock-runtime.us-east-1.amazonaws.com", Some("https://bedrock.us-east-1.amazonaws.com")),
            ("https://bedrock-runtime-fips.us-east-1.api.aws", Some("https://bedrock-fips.us-east-1.api.aws")),
            ("https://bedrock-runtimes.example", None),
            ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", None),
            ("http://127.0.0.1:9100", None),
        ] {
            assert_eq!(control_endpoint(runtime, None).as_deref(), control, "{runtime}");
        }
        assert_eq!(control_endpoint("http://x", Some("http://y/")).as_deref(), Some("http://y"));
    }

    #[test]
    fn lists_are_read_with_either_form_of_time() {
        let body = br#"{"modelSummaries":[
            {"modelId":"a","modelLifecycle":{"status":"ACTIVE"}},
            {"modelId":"b","modelLifecycle":{"status":"LEGACY","endOfLifeTime":"2026-09-30T00:00:00Z"}},
            {"modelId":"c","modelLifecycle":{"status":"LEGACY","endOfLifeTime":1790726400.5}},
            {"modelId":"d"}, {}]}"#;
        let listed = |id: &str, legacy, end| Listed { id: id.into(), legacy, end };
        let end = Some(date!(2026 - 09 - 30));
        let expected =
            [listed("a", false, None), listed("b", true, end), listed("c", true, end), listed("d", false, None)];
        assert_eq!(read(body).unwrap(), expected);
        assert_eq!(read(b"<html>"), None);
    }
}
