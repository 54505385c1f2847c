//! Bedrock's control plane, as far as it says which models there are: ListFoundationModels.
//! It must not know what any of them wants or paints.
use super::{
    Emulator,
    auth::admit,
    problem::{Problem, json_response},
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use serde_json::{Value, json};

/// A model as AWS lists it: id, name, regions, and for one that is being withdrawn since when and until when.
type Listed = (&'static str, &'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

const WEST: &[&str] = &["us-west-2"];
const STATES: &[&str] = &["us-east-1", "us-east-2", "us-west-2"];

/// Nova Canvas is still on the list, because it still paints here.
const LIST: &[Listed] = &[
    (
        "amazon.nova-canvas-v1:0",
        "Nova Canvas",
        &["us-east-1", "eu-west-1", "ap-northeast-1"],
        Some(("2026-03-30T00:00:00Z", "2026-09-30T00:00:00Z")),
    ),
    ("stability.stable-image-core-v1:1", "Stable Image Core 1.0", WEST, None),
    ("stability.stable-image-ultra-v1:1", "Stable Image Ultra 1.0", WEST, None),
    ("stability.sd3-5-large-v1:0", "Stable Diffusion 3.5 Large", WEST, None),
    ("stability.stable-image-inpaint-v1:0", "Stable Image Inpaint", STATES, None),
    ("stability.stable-outpaint-v1:0", "Stable Image Outpaint", STATES, None),
    ("stability.stable-image-erase-object-v1:0", "Stable Image Erase Object", STATES, None),
    ("stability.stable-image-search-replace-v1:0", "Stable Image Search and Replace", STATES, None),
    ("stability.stable-image-search-recolor-v1:0", "Stable Image Search and Recolor", STATES, None),
    ("stability.stable-image-remove-background-v1:0", "Stable Image Remove Background", STATES, None),
    ("stability.stable-image-control-sketch-v1:0", "Stable Image Control Sketch", STATES, None),
    ("stability.stable-image-control-structure-v1:0", "Stable Image Control Structure", STATES, None),
    ("stability.stable-image-style-guide-v1:0", "Stable Image Style Guide", STATES, None),
    ("stability.stable-style-transfer-v1:0", "Stable Image Style Transfer", STATES, None),
    ("stability.stable-fast-upscale-v1:0", "Stable Image Fast Upscale", STATES, None),
    ("stability.stable-conservative-upscale-v1:0", "Stable Image Conservative Upscale", STATES, None),
    ("stability.stable-creative-upscale-v1:0", "Stable Image Creative Upscale", STATES, None),
];

/// `GET /foundation-models`: those of the region that the request is for, or all where it does not say.
pub(super) async fn models(State(emulator): State<Emulator>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match admit(&parts, b"", emulator.options()) {
        Ok(admitted) => json_response(list(admitted.region.as_deref()).to_string()),
        Err(problem) => Problem::into_response(problem),
    }
}

fn list(region: Option<&str>) -> Value {
    let here = LIST.iter().filter(|(_, _, regions, _)| region.is_none_or(|region| regions.contains(&region)));
    json!({ "modelSummaries": here.map(|listed| summary(listed, region)).collect::<Vec<_>>() })
}

fn summary((id, name, regions, end): &Listed, region: Option<&str>) -> Value {
    let lifecycle = match end {
        Some((legacy, end)) => json!({ "status": "LEGACY", "legacyTime": legacy, "endOfLifeTime": end }),
        None => json!({ "status": "ACTIVE" }),
    };
    let region = region.unwrap_or(regions[0]);
    // The services are called through a profile only.
    let way = if *regions == STATES { "INFERENCE_PROFILE" } else { "ON_DEMAND" };
    json!({
        "modelArn": format!("arn:aws:bedrock:{region}::foundation-model/{id}"),
        "modelId": id,
        "modelName": name,
        "providerName": if id.starts_with("amazon") { "Amazon" } else { "Stability AI" },
        "inputModalities": ["TEXT", "IMAGE"],
        "outputModalities": ["IMAGE"],
        "responseStreamingSupported": false,
        "customizationsSupported": [],
        "inferenceTypesSupported": [way],
        "modelLifecycle": lifecycle,
    })
}
