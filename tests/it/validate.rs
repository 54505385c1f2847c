//! The dry run: what would be done, and that nothing is. Must not paint.

use serde_json::{Value, json};

use crate::support::{NOVA, ReadJson, TestProxy, wish};

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

#[tokio::test]
async fn every_body_is_taken() {
    let proxy = TestProxy::with(NOVA).start().await;
    let picture = format!("data:image/png;base64,{}", picture(320, 320));
    let turn = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
    let task = "### Task:\nGenerate tags\n### Output:\n{ \"tags\": [] }";
    for (body, expected) in [
        (json!({"image": picture, "prompt": "a hat"}), json!("IMAGE_VARIATION")),
        (json!({"image": picture, "n": 2}), json!("IMAGE_VARIATION")),
        (json!({"image": picture, "background": "transparent"}), json!("BACKGROUND_REMOVAL")),
        (turn("a fox"), json!("TEXT_IMAGE")),
        (turn(task), Value::Null),
    ] {
        let response = proxy.post("/v1/images/validate", body.to_string()).await;
        assert_eq!(response.status(), 200, "{body}");
        let told: Value = response.json().await.unwrap();
        assert_eq!(told["calls"][0]["body"]["taskType"], expected, "{told}");
        assert_eq!(told["price_usd"].as_f64().unwrap() > 0.0, !expected.is_null(), "{told}");
    }
    assert!(proxy.calls().is_empty());
}

fn picture(width: u32, height: u32) -> String {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut file, image::ImageFormat::Png).unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, file.into_inner())
}
