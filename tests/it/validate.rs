//! The dry run: what would be done, and that nothing is. Must not paint.

use serde_json::{Value, json};

use crate::support::{ReadJson, TestProxy, wish};

const SEVERAL: &str = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
    model_info: {id: nova}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
    model_info: {id: core-west}
router_settings:
  fallbacks: [{nova-canvas: [core]}]
";

#[tokio::test]
async fn a_generation_is_explained_and_not_made() {
    let proxy = TestProxy::with(SEVERAL).start().await;
    let body = wish(json!({"model": "core", "n": 2, "size": "1792x1024", "seed": 5, "quality": "hd", "foo": 1}));
    let response = proxy.post("/v1/images/validate", body.to_string()).await;
    assert_eq!(response.status(), 200);
    let sent = |seed: u64| json!({"prompt": "a cat", "aspect_ratio": "16:9", "seed": seed, "output_format": "png"});
    let expected = json!({
        "object": "image.validation",
        "model": "core",
        "deployment": {"id": "core-west", "model_name": "core", "model": "stability.stable-image-core-v1:1",
                       "region": "us-west-2"},
        "calls": [{"pictures": 1, "seed": 5, "body": sent(5)}, {"pictures": 1, "seed": 6, "body": sent(6)}],
        "mapped": ["size=1792x1024->aspect_ratio=16:9"],
        "ignored": ["quality", "foo"],
        "price_usd": 0.08,
        "then": [],
        "unable": [],
    });
    assert_eq!(response.json().await.unwrap(), expected);
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn who_would_stand_in_and_who_cannot() {
    let proxy = TestProxy::with(SEVERAL).start().await;
    let body = wish(json!({"colors": ["#112233"]}));
    let told: Value = proxy.post("/images/validate", body.to_string()).await.json().await.unwrap();
    assert_eq!((&told["deployment"]["id"], &told["then"]), (&json!("nova"), &json!([])));
    assert_eq!(told["unable"][0]["deployment"]["id"], "core-west");
    assert_eq!(told["unable"][0]["param"], "colors");
    // Nova Canvas has ended, so it is asked last.
    let told: Value = proxy.post("/images/validate", wish(json!({})).to_string()).await.json().await.unwrap();
    assert_eq!((&told["deployment"]["id"], &told["then"][0]["id"]), (&json!("core-west"), &json!("nova")));
}

#[tokio::test]
async fn what_would_be_refused_is_refused_in_the_same_words() {
    let proxy = TestProxy::with(SEVERAL).start().await;
    for body in [
        wish(json!({"model": "nope"})),
        wish(json!({"size": "banana"})),
        wish(json!({"model": "core", "background": "transparent"})),
        json!({"model": "core"}),
    ] {
        let dry = proxy.post("/v1/images/validate", body.to_string()).await;
        let real = proxy.generate(body).await;
        assert_eq!(dry.status(), real.status());
        let (dry, real): (Value, Value) = (dry.json().await.unwrap(), real.json().await.unwrap());
        assert_eq!(dry, real);
        assert!(real["error"]["message"].is_string());
    }
    assert!(proxy.calls().is_empty());
}
