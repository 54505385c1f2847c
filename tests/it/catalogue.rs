//! Models and their lives: what is said at the doors that LiteLLM's users know, and what a retired model answers.
//! Must not depend on today's date: the tests' clock stands at 2026-11-22.

use serde_json::{Value, json};

use crate::support::{ReadJson, TestProxy, header, wish};

const RETIRED: &str = "
model_list:
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan-image-generator-v2:0, aws_region_name: us-east-1}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
    model_info: {id: core-in-oregon, output_cost_per_image: 0.5}
";

#[tokio::test]
async fn a_retired_model_says_when_it_ended_and_what_to_write() {
    let proxy = TestProxy::with(RETIRED).start().await;
    let response = proxy.generate(wish(json!({"model": "titan"}))).await;
    assert_eq!(response.status(), 404);
    let reply: Value = response.json().await.unwrap();
    let expected = "the model amazon.titan-image-generator-v2:0 of 'titan' was retired on 2026-06-30. Use model: \
                    bedrock/stability.stable-image-core-v1:1 with aws_region_name: us-west-2, or add fallbacks to such a deployment";
    assert_eq!(reply["error"]["message"], expected);
    assert_eq!(
        (reply["error"]["code"].as_str(), reply["error"]["param"].as_str()),
        (Some("model_not_found"), Some("model"))
    );
}

#[tokio::test]
async fn an_unknown_id_after_its_end_is_a_retired_one() {
    let proxy = TestProxy::with(RETIRED).script(["invalid-model"]).start().await;
    let reply: Value = proxy.generate(wish(json!({"model": "titan"}))).await.json().await.unwrap();
    assert!(reply["error"]["message"].as_str().unwrap().contains("was retired on 2026-06-30"), "{reply}");
}

#[tokio::test]
async fn a_retired_alias_lives_on_its_fallback() {
    let yaml = format!("{RETIRED}\nrouter_settings: {{fallbacks: [{{titan: [core]}}]}}\n");
    let proxy = TestProxy::with(&yaml).script(["tiny"]).start().await;
    let response = proxy.generate(wish(json!({"model": "titan"}))).await;
    assert_eq!(header(response.headers(), "x-litellm-model-id"), "core-in-oregon");
    assert_eq!(header(response.headers(), "x-litellm-response-cost"), "0.5");
}

#[tokio::test]
async fn litellms_lists_know_life_and_price() {
    let proxy = TestProxy::with(RETIRED).start().await;
    let info: Value = proxy.get("/model/info").await.json().await.unwrap();
    let titan = info["data"].as_array().unwrap().iter().find(|entry| entry["model_name"] == "titan").unwrap();
    assert_eq!(titan["litellm_params"]["model"], "bedrock/amazon.titan-image-generator-v2:0");
    assert_eq!(titan["model_info"]["shutdown_date"], "2026-06-30");
    assert_eq!(titan["model_info"]["output_cost_per_image"], 0.01);
    assert!(!info.to_string().contains("emulated"), "no key is shown");
    let groups: Value = proxy.get("/model_group/info").await.json().await.unwrap();
    assert_eq!(
        groups["data"][1],
        json!({"model_group": "core", "providers": ["bedrock"], "mode": "image_generation",
        "output_cost_per_image": 0.5, "supported_openai_params": groups["data"][0]["supported_openai_params"]})
    );
    let health: Value = proxy.get("/health").await.json().await.unwrap();
    assert_eq!((health["healthy_count"].as_u64(), health["unhealthy_count"].as_u64()), (Some(1), Some(1)));
    assert_eq!(health["unhealthy_endpoints"][0]["error"], "the model has been retired");
    assert!(proxy.calls().is_empty(), "nothing was painted to learn that");
    let model: Value = proxy.get("/v1/models/titan").await.json().await.unwrap();
    assert_eq!(model["shutdown_date"], "2026-06-30");
}

#[tokio::test]
async fn the_shipped_config_serves_the_names_that_applications_send() {
    let proxy = TestProxy::with(include_str!("../../litellm-config.yaml")).script(["tiny"; 6]).start().await;
    for name in ["dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"] {
        let response = proxy.generate(wish(json!({"model": name, "background": "auto", "moderation": "low"}))).await;
        assert_eq!(header(response.headers(), "x-easel-model"), "stability.stable-image-core-v1:1", "{name}");
    }
    let list: Value = proxy.get("/v1/models").await.json().await.unwrap();
    assert!(list.to_string().contains("\"dall-e-3\""));
}

#[tokio::test]
async fn a_text_model_of_the_config_is_told_from_an_unknown_one() {
    let yaml = format!(
        "{RETIRED}\n  - model_name: claude\n    litellm_params: {{model: bedrock/anthropic.claude-3-haiku-20240307-v1:0}}\n"
    );
    let proxy = TestProxy::with(&yaml).start().await;
    let response = proxy.generate(wish(json!({"model": "claude"}))).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    let expected = "Easel serves pictures, and the model 'claude' of its config is none of those that paint. GET /v1/models lists them";
    assert_eq!((reply["error"]["message"].as_str(), reply["error"]["param"].as_str()), (Some(expected), Some("model")));
    assert_eq!(proxy.generate(wish(json!({"model": "nope"}))).await.status(), 404);
}
