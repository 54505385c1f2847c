//! LiteLLM's config keys that change what a request does, seen from outside: over HTTP and at the emulator.
//! Must not test what is said about a config: that is `config.rs` and `corpus.rs`.

use serde_json::{Value, json};

use crate::support::{NOVA, ReadJson, TestProxy, header, pictures, wish};

/// Nova Canvas and Core, each under its own name; settings are added.
const TWO: &str = "
model_list:
  - model_name: nova
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
";

/// One entry for every picture model, and one for every name that begins with `paint-`.
const WILD: &str = "
model_list:
  - model_name: bedrock/*
    litellm_params: {model: bedrock/*, aws_region_name: us-west-2}
  - model_name: bedrock/amazon.*
    litellm_params: {model: bedrock/amazon.*, aws_region_name: us-east-1}
  - model_name: paint-*
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
  - model_name: paint-well
    litellm_params: {model: bedrock/stability.stable-image-ultra-v1:1, aws_region_name: us-west-2}
";

/// Nova Canvas with these members of `litellm_params`.
fn nova(params: &str) -> String {
    NOVA.replace("us-east-1", &format!("us-east-1, {params}"))
}

fn models(proxy: &TestProxy) -> Vec<String> {
    proxy.calls().iter().map(|call| call.model_id.clone()).collect()
}

async fn listed(proxy: &TestProxy) -> Vec<String> {
    let reply = proxy.get("/v1/models").await.json().await.unwrap();
    reply["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn other_names_are_served_by_their_targets_and_their_fallbacks() {
    let yaml = format!(
        "{TWO}router_settings:\n  model_group_alias: {{gpt-image-1: core, secret: {{model: nova, hidden: true}}, \
         shown: {{model: gpt-image-1, hidden: false}}}}\n  fallbacks: [{{nova: [core]}}, {{shown: [nova]}}]\n\
         litellm_settings: {{model_alias_map: {{dall-e-3: secret}}}}\n"
    );
    let proxy = TestProxy::with(&yaml).script(["tiny"; 6]).start().await;
    assert_eq!(listed(&proxy).await, ["nova", "core", "dall-e-3", "gpt-image-1", "shown"]);
    // Nova Canvas has ended, so its fallback is asked first, also under its other names.
    for (alias, model) in [
        ("gpt-image-1", "stability.stable-image-core-v1:1"),
        ("shown", "stability.stable-image-core-v1:1"),
        ("secret", "stability.stable-image-core-v1:1"),
        ("dall-e-3", "stability.stable-image-core-v1:1"),
    ] {
        let response = proxy.generate(wish(json!({"model": alias}))).await;
        assert_eq!(header(response.headers(), "x-easel-model"), model, "{alias}");
        response.bytes().await.unwrap();
        assert_eq!(proxy.get(&format!("/v1/models/{alias}")).await.status(), 200, "{alias}");
    }
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("easel_pictures_total{alias=\"dall-e-3\""), "{metrics}");
}

#[tokio::test]
async fn wildcards_serve_what_the_catalogue_knows() {
    let proxy = TestProxy::with(WILD).script(["tiny"; 9]).start().await;
    assert_eq!(listed(&proxy).await, ["paint-well", "bedrock/*", "bedrock/amazon.*", "paint-*"]);
    for (alias, path) in [
        ("bedrock/stability.sd3-5-large-v1:0", "/model/stability.sd3-5-large-v1%3A0/invoke"),
        ("bedrock/us.stability.sd3-5-large-v1:0", "/model/us.stability.sd3-5-large-v1%3A0/invoke"),
        ("bedrock/invoke/stability.sd3-5-large-v1:0", "/model/stability.sd3-5-large-v1%3A0/invoke"),
        ("bedrock/amazon.nova-canvas-v1:0", "/model/amazon.nova-canvas-v1%3A0/invoke"),
        ("paint-me", "/model/stability.stable-image-core-v1%3A1/invoke"),
        ("paint-well", "/model/stability.stable-image-ultra-v1%3A1/invoke"),
    ] {
        let response = proxy.generate(wish(json!({"model": alias}))).await;
        assert_eq!(response.status(), 200, "{alias}");
        response.bytes().await.unwrap();
        assert_eq!(proxy.calls().last().unwrap().raw_path, path, "{alias}");
    }
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    for label in ["alias=\"bedrock/*\"", "alias=\"bedrock/amazon.*\"", "region=\"us-east-1\"", "alias=\"paint-*\""] {
        assert!(metrics.contains(label), "{label} is counted: {metrics}");
    }
    assert!(!metrics.contains("paint-me") && !metrics.contains("bedrock/us."), "names of callers are no labels");
}

#[tokio::test]
async fn wildcards_serve_nothing_else_and_say_what_there_is() {
    let proxy = TestProxy::with(WILD).start().await;
    for alias in [
        "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
        "bedrock/eu-west-1/stability.sd3-5-large-v1:0",
        "bedrock/arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0",
        "bedrock/../stability.sd3-5-large-v1:0",
        "bedrock/x/stability.sd3-5-large-v1:0",
        "bedrock/stability.sd3-5-large-v1:0?x",
        "bedrock/*",
        "bedrock/",
        "else",
    ] {
        let response = proxy.generate(wish(json!({"model": alias}))).await;
        assert_eq!(response.status(), 404, "{alias}");
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "model_not_found", "{alias}");
    }
    let reply: Value = proxy.generate(wish(json!({"model": "bedrock/stability.sd4"}))).await.json().await.unwrap();
    let message = reply["error"]["message"].as_str().unwrap();
    let begins = "the model 'bedrock/stability.sd4' does not exist here. Served are: paint-well, \
                  bedrock/amazon.nova-canvas-v1:0, bedrock/amazon.titan-image-generator-v2:0, \
                  bedrock/stability.sd3-5-large-v1:0, bedrock/stability.stable-conservative-upscale-v1:0, ";
    assert!(message.starts_with(begins) && message.ends_with(", bedrock/amazon.*, paint-*"), "{message}");
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn wildcards_share_load_have_fallbacks_and_may_be_narrowed() {
    let entry =
        |region: &str| format!("  - model_name: '*'\n    litellm_params: {{model: '*', aws_region_name: {region}}}\n");
    let yaml = format!(
        "model_list:\n{}{}easel_settings: {{allowed_models: ['stability.*-large-v1:0', bedrock/amazon.nova-canvas-v1:0]}}\n\
         router_settings: {{fallbacks: [{{'*': [bedrock/stability.sd3-5-large-v1:0]}}]}}\n",
        entry("us-west-2"),
        entry("us-east-1")
    );
    let proxy = TestProxy::with(&yaml).script(["throttle", "tiny", "tiny"]).start().await;
    let sd = proxy.generate(wish(json!({"model": "stability.sd3-5-large-v1:0"}))).await;
    assert_eq!((sd.status().as_u16(), proxy.calls().len()), (200, 2), "a sibling in another region takes over at once");
    let core = proxy.generate(wish(json!({"model": "bedrock/stability.stable-image-core-v1:1"}))).await;
    assert_eq!(core.status(), 404, "allowed_models leaves it out");
    // It has ended, so the fallback is asked first.
    let nova = proxy.generate(wish(json!({"model": "bedrock/amazon.nova-canvas-v1:0"}))).await;
    assert_eq!(header(nova.headers(), "x-easel-model"), "stability.sd3-5-large-v1:0");
    let none = proxy.generate(wish(json!({}))).await;
    assert_eq!(none.status(), 404, "no model is named, and no entry is a name");
}

#[tokio::test]
async fn a_wildcard_may_fix_region_and_profile() {
    let yaml = "
model_list:
  - model_name: us-*-picture
    litellm_params: {model: bedrock/us-west-2/us.stability.*-v1:1}
";
    let proxy = TestProxy::with(yaml).script(["tiny"]).start().await;
    let reply: Value = proxy.generate(wish(json!({"model": "us-x-picture"}))).await.json().await.unwrap();
    assert_eq!(
        reply["error"]["message"],
        "the model 'us-x-picture' does not exist here. Served are: us-stable-image-core-picture, \
         us-stable-image-ultra-picture"
    );
    let core = proxy.generate(wish(json!({"model": "us-stable-image-core-picture"}))).await;
    assert_eq!(core.status(), 200);
    assert_eq!(models(&proxy), ["us.stability.stable-image-core-v1:1"]);
}

#[tokio::test]
async fn a_content_filter_moves_only_where_the_config_says() {
    let usual = format!("{TWO}router_settings: {{fallbacks: [{{core: [nova]}}]}}\n");
    let proxy = TestProxy::with(&usual).script(["filter-input", "tiny"]).start().await;
    assert_eq!(proxy.generate(wish(json!({"model": "core"}))).await.status(), 400);
    assert_eq!(proxy.calls().len(), 1);
    for settings in ["router_settings", "litellm_settings"] {
        let yaml = format!("{TWO}{settings}: {{content_policy_fallbacks: [{{core: [nova]}}], fallbacks: []}}\n");
        let proxy = TestProxy::with(&yaml).script(["filter-input", "tiny"]).start().await;
        let response = proxy.generate(wish(json!({"model": "core"}))).await;
        assert_eq!(header(response.headers(), "x-easel-model"), "amazon.nova-canvas-v1:0", "{settings}");
        // Only a filter goes there.
        proxy.emulator.script([Some("access-denied".parse().unwrap()), Some("tiny".parse().unwrap())]);
        assert_eq!(proxy.generate(wish(json!({"model": "core"}))).await.status(), 500, "{settings}");
        assert_eq!(models(&proxy).len(), 3);
    }
}

#[tokio::test]
async fn what_is_filtered_everywhere_is_a_refusal() {
    let yaml = format!("{TWO}router_settings: {{content_policy_fallbacks: [{{'*': [nova, core]}}]}}\n");
    let proxy = TestProxy::with(&yaml).script(["filter-input"; 4]).start().await;
    let response = proxy.generate(wish(json!({"model": "core", "n": 2}))).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["error"]["code"], "content_policy_violation");
    assert_eq!(proxy.calls().len(), 4, "each of two calls, once to Core and once to Nova Canvas");
}

#[tokio::test]
async fn fallbacks_are_bounded_and_may_stand_in_an_entry() {
    let chain = "
model_list:
  - model_name: one
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2, fallbacks: [two]}
  - model_name: two
    litellm_params: {model: bedrock/stability.stable-image-ultra-v1:1, aws_region_name: us-west-2}
  - model_name: three
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";
    let proxy = TestProxy::with(chain).script(["access-denied"; 3]).start().await;
    proxy.generate(wish(json!({}))).await;
    assert_eq!(models(&proxy), ["stability.stable-image-core-v1:1", "stability.stable-image-ultra-v1:1"]);
    let both = format!("{chain}router_settings: {{fallbacks: [{{one: [three]}}], num_retries: 0}}\n");
    let proxy = TestProxy::with(&both).script(["access-denied"; 3]).start().await;
    proxy.generate(wish(json!({}))).await;
    assert_eq!(models(&proxy)[1..], ["stability.stable-image-ultra-v1:1", "stability.sd3-5-large-v1:0"]);
    let bounded = format!("{both}litellm_settings: {{max_fallbacks: 1}}\n");
    let proxy = TestProxy::with(&bounded).script(["access-denied"; 3]).start().await;
    proxy.generate(wish(json!({}))).await;
    assert_eq!(proxy.calls().len(), 2);
    let proxy = TestProxy::with(&both).script(["access-denied"; 3]).start().await;
    proxy.generate(wish(json!({"disable_fallbacks": true}))).await;
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn a_callers_fallbacks_are_served_aliases_or_named() {
    let proxy = TestProxy::with(TWO).script(["access-denied", "tiny"]).start().await;
    let response = proxy.generate(wish(json!({"model": "core", "fallbacks": ["nope", "nova"]}))).await;
    assert_eq!(models(&proxy)[0], "stability.stable-image-core-v1:1");
    assert_eq!(header(response.headers(), "x-easel-model"), "amazon.nova-canvas-v1:0");
    assert_eq!(header(response.headers(), "x-easel-ignored"), "fallbacks=nope");
}

#[tokio::test(start_paused = true)]
async fn headers_bound_time_and_tries_like_the_body() {
    let proxy = TestProxy::with(&nova("num_retries: 1, timeout: 60")).script(["throttle"; 5]).start().await;
    let ask = |name: &'static str, value: &'static str, body: Value| {
        let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).header(name, value);
        request.body(wish(body).to_string()).send()
    };
    assert_eq!(ask("x-litellm-num-retries", "0", json!({"num_retries": 1})).await.unwrap().status(), 429);
    assert_eq!(proxy.calls().len(), 1, "the header wins over the body");
    assert_eq!(ask("x-litellm-num-retries", "9", json!({})).await.unwrap().status(), 429);
    assert_eq!(proxy.calls().len(), 3, "and the config over the header");
    for (name, value) in [("x-litellm-num-retries", "many"), ("x-litellm-timeout", "-1"), ("x-litellm-timeout", "")] {
        let response = ask(name, value, json!({})).await.unwrap();
        assert_eq!(response.status(), 400, "{name}: {value}");
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["param"], name);
    }
}

#[tokio::test]
async fn a_timeout_in_a_header_ends_a_silence() {
    let proxy = TestProxy::with(NOVA).script(["slow"]).start().await;
    let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).header("x-litellm-timeout", "0.2");
    let response = request.body(wish(json!({})).to_string()).send().await.unwrap();
    assert_eq!(response.status(), 504);
}

#[tokio::test]
async fn members_are_dropped_wherever_the_config_or_the_caller_says() {
    let body = || {
        wish(json!({"model": "nova", "quality": "hd", "n": 3, "style": "vivid", "response_format": "url",
                    "imageGenerationConfig": {"seed": 5, "cfgScale": 4}}))
    };
    let names = "[quality, n, style, response_format, imageGenerationConfig.seed]";
    let said = "quality, n, style, response_format, imageGenerationConfig.seed";
    let config = |config: String| (config, body());
    let by_caller = {
        let mut body = body();
        body["additional_drop_params"] =
            json!(["quality", "n", "style", "response_format", "imageGenerationConfig.seed"]);
        (NOVA.replace("nova-canvas\n", "nova\n"), body)
    };
    for (yaml, body) in [
        config(nova(&format!("additional_drop_params: {names}")).replace("nova-canvas\n", "nova\n")),
        config(format!("{TWO}litellm_settings: {{additional_drop_params: {names}}}\n")),
        by_caller,
    ] {
        let proxy = TestProxy::with(&yaml).script(["tiny"]).start().await;
        let response = proxy.generate(body).await;
        assert_eq!(response.status(), 200, "{yaml}");
        assert_eq!(header(response.headers(), "x-easel-ignored"), said);
        let seed = header(response.headers(), "x-easel-seed").parse::<u64>().unwrap();
        assert_ne!(seed, 5);
        let sent = proxy.sent();
        assert_eq!(sent["imageGenerationConfig"], json!({"numberOfImages": 1, "cfgScale": 4.0, "seed": seed}));
    }
}

#[tokio::test]
async fn a_deployment_drops_for_itself_alone() {
    let yaml = TWO.replace("us-west-2}", "us-west-2, additional_drop_params: [size, seed, foo], size: 512x512}");
    let yaml = format!("{yaml}router_settings: {{fallbacks: [{{nova: [core]}}]}}\n");
    let proxy = TestProxy::with(&yaml).script(["tiny"]).start().await;
    // Nova Canvas has ended, so Core paints, which drops what its entry says.
    let response = proxy.generate(wish(json!({"size": "1024x512", "seed": 3, "foo": 1, "bar": 1}))).await;
    assert_eq!(header(response.headers(), "x-easel-ignored"), "size, seed, foo, bar");
    assert_eq!(proxy.sent().get("aspect_ratio"), None, "not even the config's own size");
}

#[tokio::test]
async fn drop_params_works_in_all_three_places() {
    let guided = |extra: Value| {
        let mut body = wish(json!({"model": "core", "cfgScale": 7}));
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (yaml, body, status) in [
        (TWO.to_owned(), guided(json!({})), 400),
        (TWO.to_owned(), guided(json!({"drop_params": true})), 200),
        (format!("{TWO}litellm_settings: {{drop_params: true}}\n"), guided(json!({})), 200),
        (TWO.replace("us-west-2}", "us-west-2, drop_params: true}"), guided(json!({})), 200),
    ] {
        let proxy = TestProxy::with(&yaml).script(["tiny"]).start().await;
        let response = proxy.generate(body).await;
        assert_eq!(response.status(), status);
        if status == 200 {
            assert_eq!(header(response.headers(), "x-easel-ignored"), "cfgScale");
        }
    }
}

#[tokio::test]
async fn headers_of_the_config_are_sent_and_signed() {
    let params = "extra_headers: {X-Team: os.environ/TEAM, X-Count: 3}, guardrailIdentifier: gr1, guardrailVersion: 2, \
                  trace: enabled, service_tier: flex, performanceConfig: {latency: optimized}, \
                  requestMetadata: {team: art}";
    let keys = "aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    for (yaml, key, auth) in [(nova(params), "emulated", "bearer"), (nova(&format!("{params}, {keys}")), "", "sigv4")] {
        let proxy = TestProxy::with(&yaml).env("TEAM", "painters").env("AWS_BEARER_TOKEN_BEDROCK", key);
        let proxy = proxy.script(["tiny"]).start().await;
        assert_eq!(proxy.generate(wish(json!({}))).await.status(), 200, "{auth}");
        let call = &proxy.calls()[0];
        assert_eq!(call.auth, auth);
        for (name, value) in [
            ("x-team", "painters"),
            ("x-count", "3"),
            ("x-amzn-bedrock-guardrailidentifier", "gr1"),
            ("x-amzn-bedrock-guardrailversion", "2"),
            ("x-amzn-bedrock-trace", "ENABLED"),
            ("x-amzn-bedrock-service-tier", "flex"),
            ("x-amzn-bedrock-performanceconfig-latency", "optimized"),
            ("x-amzn-bedrock-request-metadata", "{\"team\":\"art\"}"),
        ] {
            assert_eq!(header(&call.headers, name), value, "{auth}");
            let signed = header(&call.headers, "authorization");
            assert!(auth == "bearer" || signed.contains(&format!(";{name}")), "{name} is signed: {signed}");
        }
        assert_eq!(proxy.sent().as_object().unwrap().len(), 3, "nothing of it is in the body");
    }
}

#[tokio::test]
async fn a_caller_sets_no_headers_credentials_or_places() {
    let body = wish(json!({"guardrailIdentifier": "mine", "guardrailVersion": "1", "service_tier": "priority",
        "extra_headers": {"x": "y"}, "mock_response": "hi", "requestMetadata": {"a": "b"}, "api_key": "sk-mine",
        "aws_region_name": "eu-west-1", "api_base": "http://127.0.0.1:1", "model_id": "arn:aws:bedrock:x"}));
    let config = "guardrailConfig: {guardrailIdentifier: ours, guardrailVersion: DRAFT}";
    let proxy = TestProxy::with(&nova(config)).script(["tiny"]).start().await;
    let response = proxy.generate(body).await;
    assert_eq!(
        header(response.headers(), "x-easel-ignored"),
        "guardrailIdentifier, guardrailVersion, service_tier, extra_headers, mock_response, requestMetadata, api_key, \
         aws_region_name, api_base, model_id"
    );
    let call = &proxy.calls()[0];
    assert_eq!(header(&call.headers, "x-amzn-bedrock-guardrailidentifier"), "ours");
    assert_eq!(header(&call.headers, "x-amzn-bedrock-service-tier"), "");
    assert_eq!(header(&call.headers, "authorization"), "Bearer emulated");
}

#[tokio::test]
async fn a_mock_answers_without_bedrock_and_says_so() {
    let proxy = TestProxy::with(&nova("mock_response: a picture")).start().await;
    let response = proxy.generate(wish(json!({"n": 7}))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-mock"), "true");
    assert_eq!(header(response.headers(), "x-litellm-response-cost"), "0");
    let reply: Value = response.json().await.unwrap();
    assert_eq!((pictures(&reply).len(), reply["size"].as_str()), (7, Some("1x1")));
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn what_model_info_says_counts() {
    let yaml = "
model_list:
  - model_name: ours
    litellm_params:
      model: bedrock/arn:aws:bedrock:us-east-1:123456789012:provisioned-model/amazon.nova-canvas-v1:0
    model_info: {id: our-nova, base_model: amazon.nova-canvas-v1:0, output_cost_per_image: 0.5}
";
    let proxy = TestProxy::with(yaml).script(["tiny"]).start().await;
    let response = proxy.generate(wish(json!({"n": 2}))).await;
    assert_eq!(header(response.headers(), "x-litellm-model-id"), "our-nova");
    assert_eq!(header(response.headers(), "x-litellm-response-cost"), "1");
    assert_eq!(header(response.headers(), "x-easel-model"), "amazon.nova-canvas-v1:0");
}

#[tokio::test]
async fn the_catalogue_may_be_extended() {
    let model = "{id: stability.future-v1:0, dialect: stability, regions: [us-west-2], prices: [{usd: 0.25}], limits: \
                 {prompt_chars: 100, pictures_per_call: 1, max_seed: 9, formats: [png], size: @}}";
    let entry = "
model_list:
  - model_name: future
    litellm_params: {model: bedrock/stability.future-v1:0, aws_region_name: us-west-2, mock_response: x}
";
    let inline = format!("{entry}easel_settings: {{models: [{model}]}}\n").replace('@', "{aspect_ratios: ['1:1']}");
    let in_file = format!("{entry}easel_settings: {{models: models.yaml}}\n");
    let file = format!("models: [{model}]").replace('@', "!aspect_ratios ['1:1']");
    for proxy in [TestProxy::with(&inline), TestProxy::with(&in_file).file("models.yaml", &file)] {
        let proxy = proxy.start().await;
        let response = proxy.generate(wish(json!({}))).await;
        assert_eq!(header(response.headers(), "x-easel-model"), "stability.future-v1:0");
    }
}
