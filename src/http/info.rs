//! What LiteLLM's users ask of their proxy: `/model/info`, `/model_group/info`, `/health`.
//!
//! Must not paint to learn whether a deployment is healthy, nor show a key.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{App, Caller};
use super::key_life;
use super::status::encode;
use crate::config::Deployment;

/// The members of a request that are honoured or mapped, by OpenAI's names.
const PARAMS: [&str; 7] = ["n", "size", "quality", "response_format", "output_format", "style", "user"];

/// `GET /model/info`: every deployment, without its key.
pub(super) async fn models(State(app): State<Arc<App>>, _: Caller) -> Result<Response, ApiError> {
    let data: Vec<_> = app.router.table().deployments().map(|deployment| info(deployment)).collect();
    encode(&json!({ "data": data }))
}

fn info(deployment: &Deployment) -> Value {
    json!({
        "model_name": deployment.alias,
        "litellm_params": {
            "model": format!("bedrock/{}", deployment.model.id),
            "aws_region_name": deployment.region,
            "aws_bedrock_runtime_endpoint": deployment.endpoint,
        },
        "model_info": {
            "id": deployment.id,
            "db_model": false,
            "key": deployment.model.id,
            "litellm_provider": "bedrock",
            "mode": "image_generation",
            "output_cost_per_image": deployment.usual_price(),
            "max_input_tokens": null,
            "max_prompt_characters": deployment.model.limits.prompt_chars,
            "shutdown_date": deployment.model.life.end.map(|date| date.to_string()),
            "supported_openai_params": PARAMS,
        },
    })
}

/// `GET /model_group/info`: every alias with what its deployments have in common.
pub(super) async fn groups(State(app): State<Arc<App>>, _: Caller) -> Result<Response, ApiError> {
    let table = app.router.table();
    let group = |alias: &String| {
        let deployments = table.group(alias).unwrap_or_default();
        let price = deployments.iter().filter_map(|d| d.usual_price()).reduce(f64::max);
        json!({
            "model_group": alias,
            "providers": ["bedrock"],
            "mode": "image_generation",
            "output_cost_per_image": price,
            "supported_openai_params": PARAMS,
        })
    };
    encode(&json!({ "data": table.aliases().iter().map(group).collect::<Vec<_>>() }))
}

/// `GET /health`: what is known of each deployment. LiteLLM paints a picture on each; this costs nothing.
pub(super) async fn health(State(app): State<Arc<App>>, _: Caller) -> Result<Response, ApiError> {
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for deployment in app.router.table().deployments() {
        let mut endpoint = json!({
            "model": format!("bedrock/{}", deployment.model.id),
            "model_name": deployment.alias,
            "model_id": deployment.id,
            "aws_region_name": deployment.region,
        });
        let seen = app.router.seen(deployment);
        endpoint["in_flight"] = seen.in_flight.into();
        endpoint["waiting"] = seen.waiting.into();
        let rests = seen.rests.max(seen.shut).map(|left| left.as_secs());
        if let Some(seconds) = rests {
            endpoint["rests_for_seconds"] = seconds.into();
        }
        if let Some(seconds) = seen.latency {
            endpoint["seconds_to_first_byte"] = ((seconds * 1000.0).round() / 1000.0).into();
        }
        let mut ailment = app.router.ailment(deployment).map(str::to_owned);
        if let Some((key, ended)) = key_life::in_use(&app, deployment).await {
            endpoint["api_key"] = key;
            ailment = ailment.or(ended);
        }
        match ailment {
            None => healthy.push(endpoint),
            Some(ailment) => {
                endpoint["error"] = ailment.into();
                unhealthy.push(endpoint);
            }
        }
    }
    encode(&json!({
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    }))
}
