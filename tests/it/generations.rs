//! `/v1/images/generations` from outside: what is asked, what Bedrock receives, what comes back.
//! Must not know how it is done.

use serde_json::{Value, json};

use crate::support::{CORE, NOVA, ReadJson, TestProxy, header, pictures, sizes, whole, wish};

const BOTH: &str = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1, stream: false}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
  - model_name: ultra
    litellm_params: {model: bedrock/stability.stable-image-ultra-v1:1, aws_region_name: us-west-2}
  - model_name: sd35
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";

#[tokio::test]
async fn nova_paints_what_is_asked() {
    let proxy = TestProxy::with(NOVA).start().await;
    let body = wish(json!({"n": 2, "size": "512x320", "quality": "hd", "seed": 42, "style": "vivid", "user": "u1",
                           "negative_prompt": "dogs", "response_format": "b64_json", "foo": 1}));
    let response = proxy.generate(body).await;
    insta::assert_snapshot!("nova_reply", whole(response).await);
    insta::assert_snapshot!("nova_sent", format!("{:#}", proxy.sent()));
    let call = &proxy.calls()[0];
    assert_eq!(call.raw_path, "/model/amazon.nova-canvas-v1%3A0/invoke");
    assert_eq!(call.auth, "bearer");
    assert_eq!(header(&call.headers, "content-type"), "application/json");
    assert_eq!(header(&call.headers, "accept"), "application/json");
}

#[tokio::test]
async fn the_simplest_request_paints_with_the_first_alias() {
    let proxy = TestProxy::with(NOVA).script(["tiny"]).start().await;
    let response = proxy.generate(json!({"prompt": "a cat"})).await;
    assert_eq!(response.status(), 200);
    let seed: u64 = header(response.headers(), "x-easel-seed").parse().unwrap();
    assert_eq!(header(response.headers(), "x-easel-model"), "amazon.nova-canvas-v1:0");
    assert_eq!(header(response.headers(), "x-litellm-response-cost"), "0.04");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(proxy.sent()["imageGenerationConfig"], json!({"numberOfImages": 1, "seed": seed}));
    assert_eq!((reply["size"].as_str(), reply["output_format"].as_str()), (Some("64x64"), Some("png")));
    assert_eq!(sizes(&reply), [(64, 64)]);
    assert!(reply["created"].is_i64());
    assert!(reply["data"][0].get("url").is_none());
}

#[tokio::test]
async fn every_request_draws_another_seed() {
    let proxy = TestProxy::with(NOVA).script(["tiny", "tiny"]).start().await;
    let mut seeds = Vec::new();
    for _ in 0..2 {
        let response = proxy.generate(json!({"prompt": "a cat"})).await;
        seeds.push(header(response.headers(), "x-easel-seed").to_owned());
    }
    assert_ne!(seeds[0], seeds[1]);
}

#[tokio::test]
async fn nova_fans_out_beyond_five() {
    let proxy = TestProxy::with(NOVA).start().await;
    let response = proxy.generate(wish(json!({"n": 7, "size": "320x320", "seed": 10}))).await;
    assert_eq!(header(response.headers(), "x-easel-seed"), "10,15");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(sizes(&reply), [(320, 320); 7]);
    let mut counts: Vec<_> =
        proxy.calls().iter().map(|c| c.body["imageGenerationConfig"]["numberOfImages"].clone()).collect();
    counts.sort_by_key(Value::as_u64);
    assert_eq!(counts, [2, 5]);
    let mut different = pictures(&reply);
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 7);
}

#[tokio::test]
async fn stability_fans_out_in_order() {
    let proxy = TestProxy::with(CORE).start().await;
    let three = proxy.generate(wish(json!({"n": 3, "seed": 5, "size": "1792x1024"}))).await;
    assert_eq!(header(three.headers(), "x-easel-seed"), "5,6,7");
    assert_eq!(header(three.headers(), "x-easel-mapped"), "size=1792x1024->aspect_ratio=16:9");
    assert_eq!(header(three.headers(), "x-litellm-response-cost"), "0.12");
    let three: Value = three.json().await.unwrap();
    let second: Value = proxy.generate(wish(json!({"seed": 6, "size": "1792x1024"}))).await.json().await.unwrap();
    assert_eq!(pictures(&three)[1], pictures(&second)[0]);
    assert_eq!(three["size"], "1344x768");
}

#[tokio::test]
async fn each_stability_model_paints() {
    let proxy = TestProxy::with(BOTH).start().await;
    for (model, price) in [("core", "0.04"), ("ultra", "0.14"), ("sd35", "0.08")] {
        let wish = wish(json!({"model": model, "negative_prompt": "dogs", "output_format": "jpeg"}));
        let response = proxy.generate(wish).await;
        assert_eq!(header(response.headers(), "x-litellm-response-cost"), price);
        let reply: Value = response.json().await.unwrap();
        assert_eq!(
            (reply["output_format"].as_str(), reply["size"].as_str()),
            (Some("jpeg"), Some("1024x1024")),
            "{model}"
        );
    }
}

#[tokio::test]
async fn color_guided_generation_by_native_members() {
    let proxy = TestProxy::with(NOVA).start().await;
    let body = wish(json!({"taskType": "COLOR_GUIDED_GENERATION", "size": "320x320", "seed": 1,
                           "colorGuidedGenerationParams": {"colors": ["#FF9900", "#112233"]}}));
    let response = proxy.generate(body).await;
    assert_eq!(response.status(), 200);
    let expected = json!({"colorGuidedGenerationParams": {"text": "a cat", "colors": ["#FF9900", "#112233"]},
                          "taskType": "COLOR_GUIDED_GENERATION",
                          "imageGenerationConfig": {"numberOfImages": 1, "width": 320, "height": 320, "seed": 1}});
    assert_eq!(proxy.sent(), expected);
}

#[tokio::test]
async fn every_odd_reply_is_read() {
    let proxy = TestProxy::with(NOVA).script(["odd-json"]).start().await;
    let reply: Value = proxy.generate(wish(json!({"size": "320x320"}))).await.json().await.unwrap();
    assert_eq!(sizes(&reply), [(320, 320)]);
    assert_eq!(reply["size"], "320x320");
}

#[tokio::test]
async fn some_filtered_is_what_came_and_a_warning() {
    let proxy = TestProxy::with(NOVA).script(["filter-some"]).start().await;
    let response = proxy.generate(wish(json!({"n": 3, "size": "320x320"}))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-cost-estimated"), "true");
    let reply: Value = response.json().await.unwrap();
    assert!((1..3).contains(&pictures(&reply).len()));
    let warning = reply["easel"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.ends_with("The model says: Some of the generated images have been blocked by our content filters."),
        "{warning}"
    );
}

#[tokio::test]
async fn one_of_several_calls_filtered_is_what_came_and_a_warning() {
    let proxy = TestProxy::with(CORE).script(["tiny", "filter-all", "tiny"]).start().await;
    let response = proxy.generate(wish(json!({"n": 3}))).await;
    assert_eq!(response.status(), 200);
    let reply: Value = response.json().await.unwrap();
    assert_eq!(pictures(&reply).len(), 2);
    assert_eq!(reply["easel"]["warnings"], json!(["a picture did not come: it was filtered"]));
}

#[tokio::test]
async fn nothing_but_filtered_is_a_content_policy_violation() {
    for (yaml, fault) in [
        (NOVA, "filter-input"),
        (NOVA, "filter-all"),
        (NOVA, "guardrail"),
        (CORE, "filter-input"),
        (CORE, "filter-all"),
    ] {
        let proxy = TestProxy::with(yaml).script([fault]).start().await;
        let response = proxy.generate(wish(json!({"n": 1}))).await;
        assert_eq!(response.status(), 400, "{fault}");
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "content_policy_violation", "{fault}");
        assert_eq!(proxy.calls().len(), 1, "{fault} is not tried again");
    }
}

#[tokio::test]
async fn errors_wear_openai_envelope() {
    let proxy = TestProxy::with(BOTH).start().await;
    let cases = [
        ("missing_prompt", json!({"model": "core"})),
        ("unknown_model", json!({"model": "nope", "prompt": "a cat"})),
        ("bad_size", json!({"prompt": "a cat", "size": "banana"})),
        ("far_size", json!({"prompt": "a cat", "size": "5000x100"})),
        ("partial_images", json!({"prompt": "a cat", "stream": true, "partial_images": 4})),
        ("url", json!({"prompt": "a cat", "response_format": "url"})),
        ("transparent", json!({"prompt": "a cat", "background": "transparent"})),
        ("long_prompt", json!({"prompt": "x".repeat(1025)})),
    ];
    let mut all = String::new();
    for (name, body) in cases {
        all += &format!("# {name}\n{}\n\n", whole(proxy.generate(body).await).await);
    }
    insta::assert_snapshot!("errors", all);
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn bedrock_validation_is_told_in_its_own_words() {
    let proxy = TestProxy::with(NOVA).script(["validation"]).start().await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    assert!(reply["error"]["message"].as_str().unwrap().starts_with("Malformed input request"), "{reply}");
}

#[tokio::test]
async fn drop_params_leaves_out_what_cannot_be_honoured() {
    let proxy = TestProxy::with(CORE).script(["tiny", "tiny"]).start().await;
    let body = wish(json!({"background": "transparent", "cfgScale": 7, "colors": ["#FF9900"]}));
    assert_eq!(proxy.generate(body.clone()).await.status(), 400);
    let mut dropping = body;
    dropping["drop_params"] = true.into();
    let response = proxy.generate(dropping).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-ignored"), "cfgScale, background, colors");
}

#[tokio::test]
async fn strict_params_refuses_what_nobody_knows() {
    let yaml = format!("{NOVA}\neasel_settings: {{strict_params: true}}\n");
    let proxy = TestProxy::with(&yaml).start().await;
    let response = proxy.generate(wish(json!({"foo": 1}))).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    assert_eq!(
        (reply["error"]["param"].as_str(), reply["error"]["message"].as_str()),
        (Some("foo"), Some("unknown parameter: 'foo'"))
    );
}

#[tokio::test]
async fn defaults_of_the_config_count_and_credentials_of_a_body_do_not() {
    let yaml = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1, n: 2, size: 320x320, quality: premium, seed: 9}
";
    let proxy = TestProxy::with(yaml).start().await;
    let body = wish(
        json!({"seed": 3, "api_key": "ABSKstolen", "aws_region_name": "eu-west-1", "api_base": "http://127.0.0.1:1"}),
    );
    let response = proxy.generate(body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-ignored"), "api_key, aws_region_name, api_base");
    let config = json!({"numberOfImages": 2, "width": 320, "height": 320, "quality": "premium", "seed": 3});
    assert_eq!(proxy.sent()["imageGenerationConfig"], config);
    assert_eq!(header(&proxy.calls()[0].headers, "authorization"), "Bearer emulated");
}

#[tokio::test]
async fn azure_and_short_paths_answer_too() {
    let proxy = TestProxy::with(BOTH).script(["tiny"; 3]).start().await;
    for (path, model) in [
        ("/images/generations", "amazon.nova-canvas-v1:0"),
        ("/openai/deployments/core/images/generations?api-version=1", "stability.stable-image-core-v1:1"),
    ] {
        let response = proxy.post(path, json!({"prompt": "a cat", "model": "nova-canvas"}).to_string()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(response.headers(), "x-easel-model"), model);
    }
    let response = proxy.post("/openai/deployments/core/embeddings", "{}").await;
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn ids_are_ours_and_theirs() {
    let proxy = TestProxy::with(NOVA).script(["tiny"]).start().await;
    let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).body(r#"{"prompt":"a cat"}"#);
    let response = request.header("x-litellm-call-id", "mine").header("x-request-id", "mine").send().await.unwrap();
    assert_eq!(header(response.headers(), "x-litellm-call-id"), "mine");
    assert_ne!(header(response.headers(), "x-request-id"), "mine");
    assert_eq!(header(response.headers(), "x-request-id").len(), 36);
}

#[tokio::test]
async fn models_health_metrics_and_the_front_page() {
    let proxy = TestProxy::with(BOTH).script(["tiny"]).start().await;
    proxy.generate(wish(json!({}))).await.bytes().await.unwrap();
    let mut list: Value = proxy.get("/v1/models").await.json().await.unwrap();
    list["data"].as_array_mut().unwrap().iter_mut().for_each(|model| assert!(model["created"].take().is_i64()));
    let model = |id: &str, end: Value| json!({"id": id, "object": "model", "created": null, "owned_by": "easel", "shutdown_date": end});
    let others = ["core", "ultra", "sd35"].map(|id| model(id, Value::Null));
    let all: Vec<_> = std::iter::once(model("nova-canvas", "2026-09-30".into())).chain(others).collect();
    assert_eq!(list, json!({"object": "list", "data": all}));
    let one: Value = proxy.get("/models/core").await.json().await.unwrap();
    assert_eq!(one["id"], "core");
    assert_eq!(proxy.get("/v1/models/nope").await.status(), 404);
    for path in ["/health/liveliness", "/health/liveness"] {
        assert_eq!(proxy.get(path).await.text().await.unwrap(), "\"I'm alive!\"");
        let head = proxy.client.head(format!("{}{path}", proxy.url)).send().await.unwrap();
        assert_eq!(head.status(), 200);
    }
    assert_eq!(proxy.get("/health/readiness").await.text().await.unwrap(), r#"{"status":"healthy"}"#);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"easel_pictures_total{alias="nova-canvas",model="amazon.nova-canvas-v1:0"} 1"#,
        r#"easel_requests_total{route="/v1/images/generations",status="200"} 1"#,
        r#"easel_bedrock_calls_total{model="amazon.nova-canvas-v1:0",region="us-east-1",outcome="ok"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(proxy.get("/").await.text().await.unwrap().contains("OpenAI's image API on Amazon Bedrock"));
    let lost = proxy.get("/v1/images/generations").await;
    assert_eq!(lost.status(), 405);
    let reply: Value = lost.json().await.unwrap();
    assert_eq!(reply["error"]["message"], "/v1/images/generations does not take GET");
}

#[tokio::test]
async fn json_is_read_by_any_name() {
    let proxy = TestProxy::with(NOVA).script(["tiny"; 3]).start().await;
    let post = |kind: &str, body: &'static str| {
        let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).header("content-type", kind);
        request.body(body).send()
    };
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        assert_eq!(post(kind, r#"{"prompt":"a cat"}"#).await.unwrap().status(), 200, "{kind}");
    }
    let urlencoded = post("application/x-www-form-urlencoded", "prompt=a+cat").await.unwrap();
    assert_eq!(urlencoded.status(), 415);
    assert_eq!(urlencoded.json().await.unwrap()["error"]["code"], "unsupported_media_type");
    assert_eq!(post("application/json", "prompt=a+cat").await.unwrap().status(), 400);
    // A form of parts says the same as JSON, but this is none.
    assert_eq!(post("multipart/form-data; boundary=x", "prompt=a+cat").await.unwrap().status(), 400);
}
