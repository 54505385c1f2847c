//! Which deployment paints when others fail, and how often it is asked.
//! Must not know the order of anything that chance decides.

use serde_json::{Value, json};

use crate::support::{NOVA, ReadJson, TestProxy, header, pictures, wish};

/// Nova Canvas with a fallback; it has ended, so the fallback is asked first.
const FALLBACK: &str = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
router_settings: {fallbacks: [{nova-canvas: [core]}]}
";

/// Two deployments of one alias.
const PAIR: &str = "
model_list:
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-east-1}
";

fn models(proxy: &TestProxy) -> Vec<String> {
    proxy.calls().iter().map(|call| call.model_id.clone()).collect()
}

#[tokio::test]
async fn an_alias_lives_on_its_fallback_after_its_model_has_ended() {
    let proxy = TestProxy::with(FALLBACK).script(["tiny"]).start().await;
    let response = proxy.generate(wish(json!({"model": "nova-canvas"}))).await;
    assert_eq!(header(response.headers(), "x-easel-model"), "stability.stable-image-core-v1:1");
    assert_eq!(models(&proxy), ["stability.stable-image-core-v1:1"], "no 404 was paid for with time");
}

#[tokio::test]
async fn a_part_that_moves_is_cut_for_its_new_model() {
    // A custom model behind an ARN has no end, so it is asked first.
    let yaml = FALLBACK.replace(
        "bedrock/amazon.nova-canvas-v1:0,",
        "bedrock/amazon.nova-canvas-v1:0, model_id: 'arn:aws:bedrock:us-east-1:123456789012:provisioned-model/amazon.nova-canvas-v1:0',",
    );
    let proxy = TestProxy::with(&yaml).script(["end-of-life", "tiny", "tiny", "tiny"]).start().await;
    let response = proxy.generate(wish(json!({"n": 3, "seed": 8}))).await;
    assert_eq!(header(response.headers(), "x-easel-seed"), "8,9,10");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(pictures(&reply).len(), 3);
    assert_eq!(proxy.calls().len(), 4);
    // Retired: it rests for an hour, so the next request goes straight to the fallback.
    proxy.emulator.script([Some("tiny".parse().unwrap())]);
    proxy.generate(wish(json!({}))).await.bytes().await.unwrap();
    assert_eq!(models(&proxy)[4], "stability.stable-image-core-v1:1");
}

#[tokio::test]
async fn what_cannot_be_honoured_goes_to_who_can() {
    let proxy = TestProxy::with(FALLBACK).script(["tiny"; 2]).start().await;
    let colors = wish(json!({"taskType": "COLOR_GUIDED_GENERATION", "colors": ["#FF9900"]}));
    let response = proxy.generate(colors).await;
    assert_eq!(header(response.headers(), "x-easel-model"), "amazon.nova-canvas-v1:0");
    let long = json!({"prompt": "x".repeat(2000), "model": "nova-canvas"});
    let response = proxy.generate(long).await;
    assert_eq!(header(response.headers(), "x-easel-model"), "stability.stable-image-core-v1:1");
}

#[tokio::test]
async fn a_throttled_deployment_hands_over_to_its_sibling_at_once() {
    let proxy = TestProxy::with(PAIR).script(["throttle", "tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
    let first = proxy.calls()[0].headers.clone();
    assert_eq!(proxy.calls().len(), 2);
    assert_eq!(header(&first, "authorization"), "Bearer emulated");
}

#[tokio::test(start_paused = true)]
async fn faults_that_may_pass_are_tried_again_within_the_bound() {
    for (fault, calls) in [
        ("throttle", 3),
        ("unavailable", 3),
        ("overloaded", 3),
        ("not-ready", 3),
        ("internal", 2),
        ("timeout", 2),
        ("model-error", 2),
    ] {
        let proxy = TestProxy::with(NOVA).script([fault; 5]).start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert!(response.status().as_u16() >= 429, "{fault}");
        assert_eq!(proxy.calls().len(), calls, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_is_not_seen() {
    let proxy = TestProxy::with(NOVA).script(["throttle", "unavailable", "tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200);
}

#[tokio::test]
async fn a_caller_may_ask_for_fewer_tries_and_other_fallbacks() {
    let proxy = TestProxy::with(NOVA).script(["throttle"; 3]).start().await;
    let response = proxy.generate(wish(json!({"num_retries": 0}))).await;
    assert_eq!((response.status().as_u16(), proxy.calls().len()), (429, 1));
    assert_eq!(header(response.headers(), "retry-after"), "5");
    assert_eq!(header(response.headers(), "retry-after-ms"), "5000");

    let proxy = TestProxy::with(FALLBACK).script(["validation"]).start().await;
    proxy.generate(wish(json!({"fallbacks": []}))).await;
    assert_eq!(models(&proxy), ["amazon.nova-canvas-v1:0"]);
}

#[tokio::test]
async fn the_callers_own_mistake_goes_nowhere_else() {
    let proxy = TestProxy::with(FALLBACK).script(["validation", "tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({}))).await.status(), 400);
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn upstream_denials_move_on_and_end_with_a_remedy() {
    let cases = [
        (
            "bearer-invalid",
            "invalid bearer token: the API key of 'nova-canvas' (os.environ/AWS_BEARER_TOKEN_BEDROCK) is not accepted by Bedrock.",
        ),
        (
            "bearer-expired",
            "invalid bearer token: the API key of 'nova-canvas' (os.environ/AWS_BEARER_TOKEN_BEDROCK) has expired.",
        ),
        ("access-denied", "access denied: 'nova-canvas' may not use amazon.nova-canvas-v1:0 in us-east-1."),
        ("model-access", "access denied: 'nova-canvas' may not use amazon.nova-canvas-v1:0 in us-east-1."),
        ("call-with-bearer", "access denied: the API key of 'nova-canvas' may not be used."),
    ];
    for (fault, message) in cases {
        let proxy = TestProxy::with(NOVA).script([fault]).start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert_eq!(response.status(), 500, "{fault}");
        assert_eq!(header(response.headers(), "x-should-retry"), "false");
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "upstream_auth");
        let said = reply["error"]["message"].as_str().unwrap();
        assert!(said.starts_with(message), "{fault}: {said}");
        assert!(!said.contains("arn:") && !said.contains("123456789012"), "{said}");

        let proxy = TestProxy::with(FALLBACK).script([fault, "tiny"]).start().await;
        assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200, "{fault} moves on");
    }
}

#[tokio::test]
async fn a_retired_model_with_nowhere_to_go_says_what_to_write() {
    for fault in ["end-of-life", "legacy"] {
        let proxy = TestProxy::with(NOVA).script([fault]).start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert_eq!(response.status(), 404);
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "model_not_found");
        let said = reply["error"]["message"].as_str().unwrap();
        assert!(
            said.starts_with(
                "the model amazon.nova-canvas-v1:0 of 'nova-canvas' was retired on 2026-09-30. Use model:"
            ),
            "{said}"
        );
    }
}
