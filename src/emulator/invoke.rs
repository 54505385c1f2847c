//! One call of a model, from the raw request to the response.
//! It must not know how anything is painted, checked or sent, only in which order that happens.
use super::{
    Call, Emulator, amazon,
    auth::admit,
    delivery::{deliver, silence},
    fault::Fault,
    models::{Family, Model, in_path},
    problem::{Problem, html_response, json_response},
    refusal::refusal,
    reply::{Pictures, Reply, without_pictures},
    scene::{Order, Scene, Work},
    stability::{sdxl, services, text_to_image},
    studio,
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
    let json = json.unwrap_or_default();
    if emulator.options().record {
        emulator.record(call(&parts, model_id.clone(), admitted.by, admitted.region, &json));
    }
    note.fault = emulator.next_fault(prompt(&json)).map_err(|error| Problem::validation(error.to_string()))?;
    if let Some(response) = early(note.fault).await? {
        return Ok(response);
    }
    let model = Model::resolve(&model_id)?;
    if json.is_null() {
        return Err(Problem::validation("Malformed input request, please reformat your input and try again."));
    }
    let draw = fastrand::u32(1..u32::MAX);
    let order = studio::alone(emulator.easels(), move || order(model, &json, draw)).await.map_err(lost)??;
    note.task = order.task;
    if let Some(scene) = order.scenes.first() {
        note.size = format!("{}x{}", scene.width, scene.height);
    }
    paint(emulator, model, order, note.fault).await
}

/// What a body asks of a model. Pictures in it are decoded, so this takes time.
fn order(model: Model, body: &Value, draw: u32) -> Result<Order, Problem> {
    match model {
        Model::NovaCanvas => amazon::order(&amazon::NOVA_CANVAS, body),
        Model::TitanV1 => amazon::order(&amazon::TITAN_V1, body),
        Model::TitanV2 => amazon::order(&amazon::TITAN_V2, body),
        Model::StableImageCore | Model::StableImageUltra | Model::StableDiffusion35 => {
            text_to_image::order(model, body, draw)
        }
        Model::StableDiffusionXl => sdxl::order(body, draw),
        Model::Service(service) => services::order(service, body, draw),
    }
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
    let family = model.family();
    match fault {
        Some(Fault::FilterInput) if family != Family::Stability => return Err(filtered("text prompt")),
        Some(Fault::FilterImage) if family != Family::Stability => return Err(filtered("input image")),
        Some(Fault::InferenceError) if family == Family::Amazon => {
            return refusal(Fault::ModelError).map_or_else(|| Err(Problem::internal()), Err);
        }
        Some(Fault::FilterSome) if family == Family::Amazon => drop(order.scenes.pop()),
        Some(Fault::Tiny) => order.scenes.iter_mut().for_each(shrink),
        _ => {}
    }
    let nothing = if order.scenes.is_empty() { Some(Fault::FilterAll) } else { fault };
    if let Some(body) = nothing.and_then(|fault| without_pictures(family, fault)) {
        return Ok(json_response(body));
    }
    let seed = order.scenes.first().map_or(0, |scene| scene.seed);
    let wanted = order.scenes.len();
    let scenes = order.scenes.into_iter().chain(order.mask).collect();
    let mut finished = studio::paint_all(emulator.easels(), scenes).await.map_err(lost)?;
    let mask = finished.split_off(wanted).pop();
    Ok(deliver(Reply::new(family, Pictures { finished, mask, seed }, fault), fault))
}

fn filtered(what: &str) -> Problem {
    Problem::validation(format!(
        "This request has been blocked by our content filters. Please adjust your {what} to submit a new request."
    ))
}

fn lost(error: std::io::Error) -> Problem {
    tracing::error!(%error, "a picture could not be painted");
    Problem::internal()
}

fn shrink(scene: &mut Scene) {
    (scene.width, scene.height, scene.work) = (TINY, TINY, Work::Paint);
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

/// The text in which a prompt may hide a fault: `prompt`, the `text` of any of Amazon's tasks, or that of the first of
/// several prompts.
fn prompt(body: &Value) -> Option<&str> {
    let members = body.as_object()?.values().flat_map(|params| [&params["text"], &params[0]["text"]]);
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
