//! `/v1/images/validate`, the dry run: takes what the other doors take, and says what would be done.
//!
//! Must not call Bedrock. What would be refused there is refused here, in the same words.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::chat::{Turn, Wanted};
use super::error::ApiError;
use super::extract::{App, Asked, Caller};
use super::fields::Raw;
use super::images::{job, sink};
use super::status::encode;
use crate::config::Deployment;
use crate::image::Intent;
use crate::router::Explanation;

/// `POST /v1/images/validate`.
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: Raw,
) -> Result<Response, ApiError> {
    let request = match body.members.contains_key("messages") {
        true => {
            let Turn { alias, wanted, .. } = Turn::read(&app, body, None).await?;
            match wanted {
                Wanted::Picture(request) => *request,
                Wanted::Words(text) => return encode(&answered(&alias, &text)),
            }
        }
        false => {
            let intent = intent(&body.members);
            body.read(&app).await?.image_request(intent, |model| app.router.table().drops(model))?
        }
    };
    // What cannot be handed over as it is asked for is refused here too.
    sink(&app, &request, asked.base_url)?;
    let job = job(&app, request, &asked.headers)?;
    let explanation = app.router.explain(&job).await?;
    encode(&told(&job.alias, &explanation))
}

/// What a variation may have; an edit says more.
const OF_VARIATIONS: [&str; 8] = ["image", "n", "size", "model", "response_format", "user", "seed", "stream"];

/// Which door the body is for: a picture and nothing to do with it is a variation, with more an edit.
fn intent(members: &Map<String, Value>) -> Intent {
    let said = || members.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| &**name);
    match said().any(|name| ["image", "images"].contains(&name)) {
        false => Intent::Generate,
        true if said().all(|name| OF_VARIATIONS.contains(&name)) => Intent::Vary,
        true => Intent::Edit,
    }
}

/// A chore of a chat, which nobody paints.
fn answered(alias: &str, text: &str) -> Value {
    json!({
        "object": "image.validation",
        "model": alias,
        "answer": text,
        "calls": [],
        "mapped": [],
        "ignored": [],
        "price_usd": 0,
    })
}

fn told(alias: &str, explanation: &Explanation) -> Value {
    let requests = &explanation.requests;
    let calls: Vec<_> = requests
        .iter()
        .map(|(part, request)| {
            let text = request.body.abbreviated();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            json!({ "pictures": part.count, "seed": request.seed, "body": body })
        })
        .collect();
    let mut mapped: Vec<&String> = requests.iter().flat_map(|(_, request)| &request.mapped).collect();
    let mut ignored: Vec<&String> = requests.iter().flat_map(|(_, request)| &request.ignored).collect();
    ignored.extend(&explanation.ignored);
    [&mut mapped, &mut ignored].into_iter().for_each(distinct);
    let unable = explanation.unable.iter().map(|(deployment, unsupported)| {
        json!({ "deployment": named(deployment), "param": unsupported.param, "message": unsupported.message })
    });
    json!({
        "object": "image.validation",
        "model": alias,
        "deployment": named(&explanation.deployment),
        "calls": calls,
        "mapped": mapped,
        "ignored": ignored,
        "price_usd": explanation.price(),
        "then": explanation.next.iter().map(|deployment| named(deployment)).collect::<Vec<_>>(),
        "unable": unable.collect::<Vec<_>>(),
    })
}

fn named(deployment: &Deployment) -> Value {
    json!({
        "id": deployment.id,
        "model_name": deployment.alias,
        "model": deployment.model.id,
        "region": deployment.region,
    })
}

fn distinct(notes: &mut Vec<&String>) {
    let mut seen = Vec::new();
    notes.retain(|note| {
        !seen.contains(note) && {
            seen.push(*note);
            true
        }
    });
}
