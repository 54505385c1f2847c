//! One call of a model, from the raw request to the response.
//! It must not know how anything is painted, checked or sent, only in which order that happens.
use super::{
    Call, Emulator,
    auth::admit,
    delivery::{deliver, silence},
    fault::Fault,
    models::{Model, in_path},
    nova_canvas,
    problem::{Problem, html_response, json_response},
    refusal::refusal,
    reply::{Reply, without_pictures},
    scene::{Order, Scene},
    stability, studio,
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, request::Parts};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::time::Instant;

/// Bedrock takes no larger body.
const LIMIT: usize = 25_000_000;
/// The sides of the picture of `Fault::Tiny`.
const TINY: u32 = 64;

/// What one line of the log says of a call.
#[derive(Default)]
struct Note {
    model: String,
    task: &'static str,
    size: String,
    fault: Option<Fault>,
}

/// Answers any path but the emulator's own.
pub(super) async fn invoke(State(emulator): State<Emulator>, request: Request) -> Response {
    let began = Instant::now();
    let mut note = Note::default();
    let answer = attempt(&emulator, request, &mut note).await;
    let mut response = answer.unwrap_or_else(Problem::into_response);
    let took = began.elapsed();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if response.status() == StatusCode::OK {
        response.headers_mut().insert("x-amzn-bedrock-invocation-latency", HeaderValue::from(milliseconds));
    }
    tracing::info!(
        model = note.model,
        task = note.task,
        size = note.size,
        status = response.status().as_u16(),
        duration_ms = milliseconds,
        fault = note.fault.map_or("", Fault::name),
        "emulated a call"
    );
    response
}

async fn attempt(emulator: &Emulator, request: Request, note: &mut Note) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let raw_id = match in_path(parts.uri.path()) {
        Some(id) if parts.method == Method::POST => id,
        _ => return Err(Problem::unknown_operation()),
    };
    let model_id = percent_decode_str(raw_id).decode_utf8().map_err(|_| Problem::invalid_model())?.into_owned();
    note.model.clone_from(&model_id);
    let body = read(body).await?;
    let admitted = admit(&parts, &body, emulator.options())?;
    let json: Result<Value, _> = serde_json::from_slice(&body);
    drop(body);
    let json = json.as_ref().unwrap_or(&Value::Null);
    if emulator.options().record {
        emulator.record(call(&parts, model_id.clone(), admitted.by, admitted.region, json));
    }
    note.fault = emulator.next_fault(prompt(json)).map_err(|error| Problem::validation(error.to_string()))?;
    if let Some(response) = early(note.fault).await? {
        return Ok(response);
    }
    let model = Model::resolve(&model_id)?;
    if json.is_null() {
        return Err(Problem::validation("Malformed input request, please reformat your input and try again."));
    }
    let order = match model {
        Model::NovaCanvas => nova_canvas::order(json)?,
        _ => stability::order(model, json, fastrand::u32(1..u32::MAX))?,
    };
    note.task = order.task;
    if let Some(scene) = order.scenes.first() {
        note.size = format!("{}x{}", scene.width, scene.height);
    }
    paint(emulator, model, order, note.fault).await
}

/// Those faults that come before a model is even looked for.
async fn early(fault: Option<Fault>) -> Result<Option<Response>, Problem> {
    match fault {
        Some(Fault::ResetBeforeHead) => return Ok(Some(silence())),
        Some(Fault::Unavailable) => {
            let mut response = html_response(
                "<html><head><title>503 Service Temporarily Unavailable</title></head><body><h1>503 Service Temporarily Unavailable</h1></body></html>\n".into(),
            );
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(Some(response));
        }
        Some(Fault::NotJson) => {
            return Ok(Some(html_response("<html><body><p>Welcome to the captive portal</p></body></html>\n".into())));
        }
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    fault.and_then(refusal).map_or(Ok(None), Err)
}

/// The faults of a model that was understood, and the pictures.
async fn paint(emulator: &Emulator, model: Model, mut order: Order, fault: Option<Fault>) -> Result<Response, Problem> {
    match fault {
        Some(Fault::FilterInput) if model == Model::NovaCanvas => {
            return Err(Problem::validation(
                "This request has been blocked by our content filters. Please adjust your text prompt to submit a new request.",
            ));
        }
        Some(Fault::InferenceError) if model == Model::NovaCanvas => {
            return refusal(Fault::ModelError).map_or_else(|| Err(Problem::internal()), Err);
        }
        Some(Fault::FilterSome) if model == Model::NovaCanvas => drop(order.scenes.pop()),
        Some(Fault::Tiny) => order.scenes.iter_mut().for_each(shrink),
        _ => {}
    }
    let nothing = if order.scenes.is_empty() { Some(Fault::FilterAll) } else { fault };
    if let Some(body) = nothing.and_then(|fault| without_pictures(model, fault)) {
        return Ok(json_response(body));
    }
    let seed = order.scenes.first().map_or(0, |scene| scene.seed);
    let pictures = studio::paint_all(emulator.easels(), order.scenes).await.map_err(|error| {
        tracing::error!(%error, "a picture could not be painted");
        Problem::internal()
    })?;
    Ok(deliver(Reply::new(model, pictures, seed, fault), fault))
}

fn shrink(scene: &mut Scene) {
    (scene.width, scene.height) = (TINY, TINY);
}

/// Reads a body to its end even if it is too large, so that the client is not cut off before it hears why.
async fn read(mut body: Body) -> Result<Bytes, Problem> {
    let mut held = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::validation("The request body could not be read."))?;
        if let Ok(data) = frame.into_data() {
            size += data.len();
            if size <= LIMIT {
                held.extend_from_slice(&data);
            } else {
                held = BytesMut::new();
            }
        }
    }
    if size > LIMIT {
        return Err(Problem::validation(format!(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length less than or equal to {LIMIT}"
        )));
    }
    Ok(held.freeze())
}

/// The text in which a prompt may hide a fault: `prompt`, or the `text` beside any of Nova Canvas's tasks.
fn prompt(body: &Value) -> Option<&str> {
    let members = body.as_object()?.values().map(|params| &params["text"]);
    std::iter::once(&body["prompt"]).chain(members).find_map(Value::as_str)
}

fn call(parts: &Parts, model_id: String, by: &str, region: Option<String>, body: &Value) -> Call {
    Call {
        model_id,
        raw_path: parts.uri.path().to_owned(),
        region,
        auth: by.to_owned(),
        headers: parts.headers.clone(),
        body: body.clone(),
    }
}
