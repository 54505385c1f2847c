//! What configs mean, and what is said about one with every mistake that people make.

use easel::catalog::Catalog;
use easel::config::{Auth, Config, Environment, Mistakes, Notice};
use secrecy::ExposeSecret;

pub(crate) fn env(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn parse(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
    Config::parse(yaml, &env(variables), &Catalog::builtin())
}

#[track_caller]
fn sound(yaml: &str, variables: &[(&str, &str)]) -> Config {
    parse(yaml, variables).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub(crate) fn lines(notices: &[Notice]) -> String {
    notices.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One entry with these lines under `litellm_params`.
pub(crate) fn entry(params: &str) -> String {
    let indented: String = params.lines().map(|line| format!("      {line}\n")).collect();
    format!("model_list:\n  - model_name: nova\n    litellm_params:\n{indented}")
}

pub(crate) const NOVA: &str = "model: bedrock/amazon.nova-canvas-v1:0\naws_region_name: us-east-1\n";

const PLANTED: &str = r#"
model_list:
  - litellm_params:
      model: bedrock/amazon.nova-canvas-v1:0
  - model_name: no-params
  - model_name: no-model
    litellm_params: {aws_region_name: us east 1}
  - model_name: bad-id
    litellm_params: {model: "bedrock/../../x"}
  - model_name: typo
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:1}
  - model_name: retired
    litellm_params: {model: bedrock/amazon.titan-image-generator-v2:0}
  - model_name: opaque
    litellm_params: {model: "bedrock/arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"}
  - model_name: 5
    litellm_params: [model]
  - just a text
  - model_name: nova
    litellm_params:
      model: bedrock/amazon.nova-canvas-v1:0
      aws_region_name: US-EAST-1
      timeout: -3
      num_retries: 1.5
      weight: heavy
      drop_params: perhaps
      aws_access_key_id: AKIAEXAMPLE
      aws_role_name: painter
      aws_bedrock_runtime_endpoint: https://user:hunter2@bedrock.example
      seed: -1
      size: huge
      quality: os.environ/NOT_SET
      imageGenerationConfig: {cfgScale: much}
    model_info: {id: one, output_cost_per_image: -0.04}
  - model_name: first
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
    model_info: {id: two}
  - model_name: second
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2, api_key: "a b"}
    model_info: {id: two}
  - model_name: third
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
    model_info: {id: two}
  - model_name: a-*-*
    litellm_params: {model: bedrock/*}
  - model_name: starred
    litellm_params: {model: bedrock/*}
  - model_name: wild-*
    litellm_params: {model: bedrock/*, aws_region_name: US-EAST-1, weight: heavy}
  - model_name: headers
    litellm_params:
      model: bedrock/stability.sd3-5-large-v1:0
      aws_region_name: us-west-2
      extra_headers: {Host: evil.example, x-amz-date: now, "a b": c, X-Fine: "two\nlines"}
      guardrailVersion: 1
      trace: often
      service_tier: fast
      performanceConfig: {latency: low}
      requestMetadata: [team]
      additional_drop_params: seed
      fallbacks: [frist]
  - model_nam: misspelt
    litellm_parms: {}
router_settings:
  num_retries: -1
  max_fallbacks: some
  model_group_alias: {round: about, about: round, lost: secnod, odd: {hidden: true}, five: 5}
  content_policy_fallbacks: [{first: [secnod]}]
  fallbacks:
    - frist: [first]
    - first: [secnod, nowhere]
litellm_settings:
  request_timeout: soon
  additional_drop_params: [5]
  model_alias_map: [first]
general_settings:
  master_key: 1234
  litellm_key_header_name: my key
include: [more.yaml]
easel_settings:
  models:
    - {id: stability.x}
    - {id: stability.y, dialect: stability, regions: [us west], prices: [], limits: {prompt_chars: 1, pictures_per_call: 1, max_seed: 9, formats: [png], size: {aspect_ratios: ["1:1"]}}}
  allowed_models: stability.*
  default_modle: first
  default_model: fisrt
"#;

#[test]
fn every_planted_mistake_is_named() {
    let mistakes = parse(PLANTED, &[]).unwrap_err();
    insta::assert_snapshot!(lines(&mistakes.mistakes), @r"
    include[0]: other files cannot be read: this config is no file, so there is no folder to look in
    litellm_settings.request_timeout: the value 'soon' is not accepted. Write seconds above 0, such as 300
    litellm_settings.additional_drop_params[0]: expected a text, got the number 5. Put it in quotes
    easel_settings.allowed_models: expected a list, each item on a line that begins with '- ', got the text 'stability.*'
    easel_settings.models[0]: this is no model: missing field 'dialect'. Write it like those of Easel's config/models.yaml
    easel_settings.models[1]: one of the regions is no region. Write it like those of Easel's config/models.yaml
    model_list[0].model_name: is missing. Write the name that callers use, such as 'nova-canvas'
    model_list[1].litellm_params: is missing. It holds at least 'model: bedrock/amazon.nova-canvas-v1:0'
    model_list[2].litellm_params.model: is missing. Write a model such as 'bedrock/amazon.nova-canvas-v1:0'
    model_list[2].litellm_params.aws_region_name: aws_region_name 'us east 1' is no region. Write it like 'us-east-1'
    model_list[3].litellm_params.model: the value 'bedrock/../../x' is no model id. Ids hold letters, digits and '._:/-', such as 'bedrock/amazon.nova-canvas-v1:0'
    model_list[4].litellm_params.model: 'amazon.nova-canvas-v1:1' is no picture model of Bedrock. The nearest is 'bedrock/amazon.nova-canvas-v1:0'
    model_list[6].litellm_params.model: the ARN 'arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc' does not say which model is behind it. Write its id, such as 'base_model: amazon.nova-canvas-v1:0', under model_info
    model_list[7].model_name: expected a text, got the number 5. Put it in quotes
    model_list[7].litellm_params: expected a map of keys and values, got a list
    model_list[8]: expected a map of keys and values, got the text 'just a text'
    model_list[9].litellm_params.aws_secret_access_key: is missing beside aws_access_key_id. Write both or neither
    model_list[9].litellm_params.aws_role_name: aws_role_name 'painter' is no role ARN. Write it like 'arn:aws:iam::123456789012:role/painter'
    model_list[9].litellm_params.aws_region_name: aws_region_name 'US-EAST-1' is no region. Write it like 'us-east-1'
    model_list[9].litellm_params.aws_bedrock_runtime_endpoint: the address (with a password, not shown) holds a user name. Write it like 'https://bedrock-runtime.us-west-2.amazonaws.com'
    model_list[9].litellm_params.timeout: the value -3 is not accepted. Write seconds above 0, such as 300
    model_list[9].litellm_params.num_retries: the value 1.5 is not accepted. Write a whole number from 0 to 1000
    model_list[9].litellm_params.drop_params: the value 'perhaps' is not accepted. Write true or false
    model_list[9].litellm_params.weight: the value 'heavy' is not accepted. Write a number from 0 on
    model_list[9].model_info.output_cost_per_image: the value -0.04 is not accepted. Write a number from 0 on
    model_list[9].litellm_params.quality: the variable 'NOT_SET' is not set. Set it, or write the value here
    model_list[9].litellm_params.size: invalid value for 'size': got 'huge'. Accepted are WIDTHxHEIGHT in pixels and 'auto'; the nearest valid is '1024x1024'
    model_list[9].litellm_params.seed: invalid value for 'seed': got -1. Accepted are whole numbers from 0 on
    model_list[9].litellm_params.imageGenerationConfig.cfgScale: invalid type for 'imageGenerationConfig.cfgScale': expected a number, got the string 'much'
    model_list[11].litellm_params.api_key: the secret from the config itself holds spaces or characters that no header can carry. Copy it again
    model_list[13].model_name: the wildcard 'a-*-*' holds more than one '*'. Write one
    model_list[14].litellm_params.model: the wildcard 'bedrock/*' needs one '*' here and one in model_name
    model_list[15].litellm_params.aws_region_name: aws_region_name 'US-EAST-1' is no region. Write it like 'us-east-1'
    model_list[15].litellm_params.weight: the value 'heavy' is not accepted. Write a number from 0 on
    model_list[16].litellm_params.extra_headers.Host: 'Host' belongs to the request itself, so it cannot be set here. Remove it
    model_list[16].litellm_params.extra_headers.x-amz-date: 'x-amz-date' belongs to the request itself, so it cannot be set here. Remove it
    model_list[16].litellm_params.extra_headers['a b']: 'a b' is no name of a header
    model_list[16].litellm_params.extra_headers.X-Fine: holds characters that no header can carry. Write plain ASCII on one line
    model_list[16].litellm_params.guardrailIdentifier: is missing beside guardrailVersion. Write the id of the guardrail, or remove both
    model_list[16].litellm_params.trace: the value 'often' is not accepted. Write one of 'ENABLED', 'DISABLED', 'ENABLED_FULL'
    model_list[16].litellm_params.service_tier: the value 'fast' is not accepted. Write one of 'priority', 'default', 'flex', 'reserved'
    model_list[16].litellm_params.performanceConfig.latency: the value 'low' is not accepted. Write one of 'standard', 'optimized'
    model_list[16].litellm_params.requestMetadata: expected a map of keys and values, got a list
    model_list[16].litellm_params.additional_drop_params: expected a list, each item on a line that begins with '- ', got the text 'seed'
    model_list[17].model_name: is missing. Write the name that callers use, such as 'nova-canvas'
    model_list[17].litellm_params: is missing. It holds at least 'model: bedrock/amazon.nova-canvas-v1:0'
    model_list[12].model_info.id: the id 'two' already stands at model_list[10].model_info.id. Give each its own
    litellm_settings.model_alias_map: expected a map of keys and values, got a list
    router_settings.model_group_alias.odd: needs 'model' beside 'hidden': the name that serves it
    router_settings.model_group_alias.five: expected a text, got the number 5. Put it in quotes
    router_settings.model_group_alias.about: the alias 'about' leads back to itself. Name an entry of model_list
    router_settings.model_group_alias.lost: no entry of model_list is named 'secnod'. Did you mean 'second'?
    router_settings.model_group_alias.round: the alias 'round' leads back to itself. Name an entry of model_list
    router_settings.fallbacks[0].frist: no entry of model_list is named 'frist'. Did you mean 'first'?
    router_settings.fallbacks[1].first[0]: no entry of model_list is named 'secnod'. Did you mean 'second'?
    router_settings.fallbacks[1].first[1]: no entry of model_list is named 'nowhere'. Names are 'retired', 'first', 'third'
    router_settings.content_policy_fallbacks[0].first[0]: no entry of model_list is named 'secnod'. Did you mean 'second'?
    router_settings.max_fallbacks: the value 'some' is not accepted. Write a whole number from 0 to 1000
    router_settings.num_retries: the value -1 is not accepted. Write a whole number from 0 to 1000
    general_settings.master_key: expected a text. Put it in quotes, or write 'os.environ/NAME'
    general_settings.litellm_key_header_name: 'my key' is no name of a header. Write it like 'x-my-key'
    easel_settings.default_model: no entry of model_list is named 'fisrt'. Did you mean 'first'?
    easel_settings.default_modle: easel_settings has no 'default_modle'. Accepted are 'default_model', 'models', 'allowed_models', 'strict_params', 'max_parallel_requests', 'queue', 'retry_budget', 'on_disconnect', 'takeover_window', 'kept', 'max_in_flight', 'max_in_flight_per_caller', 'max_connections', 'shutdown', 'data_dir', 'links', 'events', 'trusted_proxies', 'picture_hosts'
    ");
    assert!(mistakes.mistakes.len() >= 60);
}

#[test]
fn everything_odd_is_a_warning() {
    let yaml = r#"
x-anchors: {a: &a {aws_region_name: us-east-1}}
model_lst: []
guardrails: [{guardrail_name: x}]
model_list:
  - model_name: nova
    colour: red
    litellm_params:
      <<: *a
      model: bedrock/amazon.nova-canvas-v1:0
      stream: false
      max_retries: 2
      max_parallel_requests: 3
      tags: [a]
      tpm: 5
      aws_bearer_token: very-secret
      cfgscale: 8
      temperature: 0.2
      colour: red
      imageGenerationConfig: {seed: 4, sed: 5}
      api_base: bedrock-runtime
      aws_session_name: s
    model_info: {mode: chat, base_modle: x, description: ours, access_groups: [a]}
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
  - model_name: claude
    litellm_params: {model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0}
  - model_name: painter-*
    litellm_params: {model: bedrock/*}
  - model_name: elsewhere
    litellm_params:
      model: bedrock/arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0
      aws_region_name: eu-west-1
      api_key: os.environ/MY_KEY
  - model_name: unplaced
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, api_key: your_api_key_here}
  - model_name: clear
    litellm_params:
      model: bedrock/stability.stable-image-core-v1:1
      aws_region_name: eu-central-1
      api_key: abc
      aws_profile_name: unused
      api_base: http://bedrock.example
router_settings:
  routing_strategy: usage-based-routing-v2
  enable_pre_call_checks: true
  redis_password: os.environ/REDIS_PASSWORD
  fallbacks: [{nova: [gpt-4o, painter-7, clear]}, {gpt-4o: [nova]}]
litellm_settings: {callbacks: [prometheus], set_verbose: false, json_logs: true, drop_param: true}
general_settings: {database_url: os.environ/DATABASE_URL, alerting: [slack]}
"#;
    let config = sound(yaml, &[("LITELLM_MASTER_KEY", "")]);
    insta::assert_snapshot!(lines(&config.warnings), @r"
    model_lst: neither LiteLLM nor Easel knows this key, so it goes unused. Did you mean 'model_list'?
    guardrails: goes unused: Easel runs no guardrails of its own. For Bedrock's, write 'guardrailIdentifier' and 'guardrailVersion' into litellm_params
    model_list[0].colour: neither LiteLLM nor Easel knows this key, so it goes unused
    model_list[0].litellm_params.aws_session_name: goes unused without aws_role_name
    model_list[0].litellm_params.api_base: the address 'bedrock-runtime' is no http(s) URL, so it is ignored. Leave the line out to call AWS itself
    model_list[0].model_info.mode: the mode 'chat' is not this model's. Write 'image_generation'
    model_list[0].model_info.base_modle: means nothing to Easel. Did you mean 'base_model'?
    model_list[0].model_info.access_groups: goes unused: Easel keeps no database of keys, teams and spend
    model_list[0].litellm_params.max_retries: goes unused: LiteLLM ignores it for Bedrock pictures too. Write 'num_retries'
    model_list[0].litellm_params.tags: goes unused: requests are not routed by tag yet
    model_list[0].litellm_params.aws_bearer_token: goes unused: LiteLLM does not know it either, so nothing is signed with it. Write 'api_key'
    model_list[0].litellm_params.cfgscale: neither LiteLLM nor any model knows this key, so it goes unused. Did you mean 'cfgScale'?
    model_list[0].litellm_params.temperature: goes unused: it only matters for text models
    model_list[0].litellm_params.colour: neither LiteLLM nor any model knows this key, so it goes unused. Did you mean 'colors'?
    model_list[0].litellm_params.imageGenerationConfig.sed: no model knows this member, so it goes unused. Did you mean 'seed'?
    model_list[1].litellm_params.model: 'openai/gpt-4o' is not on Bedrock; Easel serves pictures from there, so it skips this entry
    model_list[2].litellm_params.model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' paints nothing; Easel serves pictures, so it skips this entry
    model_list[4].litellm_params.api_key: the variable 'MY_KEY' is not set, so it signs without this key
    model_list[4].litellm_params.aws_region_name: the model or its ARN names us-west-2, and aws_region_name 'eu-west-1' wins. Name one of them
    model_list[5].litellm_params.api_key: the API key from the config itself is only the placeholder of a guide, and AWS will refuse it. Put a Bedrock API key there, or leave it out to sign with AWS credentials
    model_list[5].litellm_params: no region is named, so it is us-west-2. Write 'aws_region_name: us-west-2'
    model_list[6].litellm_params.aws_profile_name: aws_profile_name goes unused: the API key from the config itself comes first. Remove one of them
    model_list[6].litellm_params: stability.stable-image-core-v1:1 is not offered in eu-central-1. Write 'aws_region_name: us-west-2'
    model_list[6].litellm_params: the API key crosses the network in the clear. Use an https:// address
    router_settings.fallbacks[0].nova[0]: 'gpt-4o' is not served by Easel, so it is left out here
    router_settings.fallbacks[0].nova[1]: 'painter-7' is not served by Easel, so it is left out here
    router_settings.fallbacks[1].gpt-4o: 'gpt-4o' is not served by Easel, so it is left out here
    router_settings.routing_strategy: 'usage-based-routing-v2' goes unused: Easel knows simple-shuffle, which it takes instead, least-busy and latency-based-routing
    litellm_settings.callbacks: goes unused: Easel writes its own log and metrics; prompts and pictures are never in them
    litellm_settings.drop_param: neither LiteLLM nor Easel knows this key, so it goes unused. Did you mean 'drop_params'?
    router_settings.enable_pre_call_checks: goes unused: Easel always asks the deployments first that can honour a request
    router_settings.redis_password: goes unused: replicas of Easel share nothing, so there is no Redis to reach
    general_settings.database_url: goes unused: Easel keeps no database of keys, teams and spend
    general_settings.alerting: goes unused: Easel sends no alerts; watch its metrics
    ");
    assert_eq!(config.fallbacks["nova"], ["clear"]);
    assert!(config.master_key.is_none());
}

#[test]
fn a_key_in_the_config_wins_then_the_environment_then_aws() {
    let auth = |params: &str, variables: &[(&str, &str)]| {
        let config = sound(&entry(&format!("{NOVA}{params}")), variables);
        match &config.deployments[0].auth {
            Auth::Bearer { key, .. } => format!("{} from {}", key.key.expose_secret(), key.source),
            other => format!("{other:?}"),
        }
    };
    let both = [("AWS_BEARER_TOKEN_BEDROCK", "env"), ("MY_KEY", "mine")];
    assert_eq!(auth("api_key: os.environ/MY_KEY", &both), "mine from os.environ/MY_KEY");
    assert_eq!(auth("api_key: plain", &both), "plain from the config itself");
    // Written and empty: this entry has none.
    assert_eq!(auth("api_key: ''", &both), "Chain { profile: None, role: None }");
    assert_eq!(auth("api_key: os.environ/NOT_SET", &both), "env from os.environ/AWS_BEARER_TOKEN_BEDROCK");
    assert_eq!(auth("", &both), "env from os.environ/AWS_BEARER_TOKEN_BEDROCK");
    let empty = [("AWS_BEARER_TOKEN_BEDROCK", "")];
    let key = "api_key: os.environ/AWS_BEARER_TOKEN_BEDROCK";
    assert_eq!(auth(key, &empty), "Chain { profile: None, role: None }");
    assert_eq!(auth("aws_profile_name: me", &[]), "Chain { profile: Some(\"me\"), role: None }");
    let keys = "aws_access_key_id: AKIAX\naws_secret_access_key: hidden\naws_role_name: arn:aws:iam::1:role/r";
    let shown = auth(keys, &[]);
    assert!(shown.starts_with("Keys {") && shown.contains("role/r") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn the_placeholder_of_the_guide_is_recognised() {
    let yaml = format!("{}{}", entry(NOVA), entry(NOVA).replace("model_list:\n", ""));
    let config = sound(&yaml, &[("AWS_BEARER_TOKEN_BEDROCK", "your_api_key_here")]);
    let expected = "the API key from os.environ/AWS_BEARER_TOKEN_BEDROCK is only the placeholder of a guide, and AWS will \
                    refuse it. Put a Bedrock API key there, or leave it out to sign with AWS credentials";
    assert_eq!(lines(&config.warnings), expected);
}

#[test]
fn region_and_endpoint_by_precedence() {
    let at = |params: &str, variables: &[(&str, &str)]| {
        let config = sound(&entry(params), variables);
        format!("{} {}", config.deployments[0].region, config.deployments[0].endpoint)
    };
    let env = [("AWS_REGION_NAME", "eu-west-1"), ("AWS_REGION", "us-east-2"), ("AWS_DEFAULT_REGION", "us-west-1")];
    let nova = "model: bedrock/amazon.nova-canvas-v1:0\n";
    let eu = "eu-west-1 https://bedrock-runtime.eu-west-1.amazonaws.com";
    assert_eq!(at(nova, &env), eu);
    assert_eq!(at(nova, &env[1..]), "us-east-2 https://bedrock-runtime.us-east-2.amazonaws.com");
    assert_eq!(at(nova, &[]), "us-west-2 https://bedrock-runtime.us-west-2.amazonaws.com");
    assert_eq!(at("model: bedrock/eu-west-1/amazon.nova-canvas-v1:0", &env[1..]), eu);
    assert_eq!(
        at("model: bedrock/eu-west-1/amazon.nova-canvas-v1:0\naws_region_name: us-east-1", &env),
        "us-east-1 https://bedrock-runtime.us-east-1.amazonaws.com"
    );
    let endpoints = [
        ("AWS_BEDROCK_RUNTIME_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:3/"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4"),
    ];
    let both = format!("{NOVA}aws_bedrock_runtime_endpoint: https://a.example/\napi_base: http://127.0.0.1:2");
    assert_eq!(at(&both, &endpoints), "us-east-1 https://a.example");
    let base = format!("{NOVA}api_base: http://127.0.0.1:2");
    assert_eq!(at(&base, &endpoints), "us-east-1 http://127.0.0.1:1");
    assert_eq!(at(&base, &endpoints[1..]), "us-east-1 http://127.0.0.1:2");
    assert_eq!(at(NOVA, &endpoints[1..]), "us-east-1 http://127.0.0.1:3");
    assert_eq!(at(NOVA, &endpoints[2..]), "us-east-1 http://127.0.0.1:4");
}

#[test]
fn settings_reach_the_deployments() {
    let yaml = format!(
        "{}seed: os.environ/SEED\n      n: 2\n      textToImageParams: {{negativeText: os.environ/NEG}}\n\
         litellm_settings: {{drop_params: yes, num_retries: 5, request_timeout: '20'}}\n\
         router_settings: {{num_retries: 3, default_fallbacks: [nova]}}\n\
         environment_variables: {{SEED: 7, MASTER: sk-from-file, NEG: os.environ/OTHER}}\n\
         general_settings: {{master_key: os.environ/MASTER}}\n\
         easel_settings: {{strict_params: true}}\n",
        entry(NOVA).replace("us-east-1\n", "us-east-1\n      ")
    );
    let config = sound(&yaml, &[("SEED", "1"), ("OTHER", "blur"), ("LITELLM_MASTER_KEY", "sk-env")]);
    let nova = &config.deployments[0];
    assert_eq!(lines(&config.warnings), "");
    assert_eq!((nova.defaults.seed, nova.defaults.count), (Some(7), Some(2)));
    assert_eq!(nova.defaults.negative_prompt.as_deref(), Some("blur"));
    assert!(nova.drop_params && config.strict_params);
    assert_eq!((nova.timeout.as_secs(), config.routing.num_retries), (20, 3));
    assert_eq!(config.master_key.map(|key| key.expose_secret().to_owned()).as_deref(), Some("sk-from-file"));
    assert_eq!(config.exports["SEED"].expose_secret(), "7");
    assert!(config.fallbacks.is_empty(), "an alias is no fallback of its own");
}

#[test]
fn a_weak_key_is_permitted_by_litellms_own_switch() {
    let name = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY";
    let permits = |general: &str, value: &str| {
        sound(&format!("{}general_settings: {{{general}}}", entry(NOVA)), &[(name, value)]).permit_weak_key
    };
    assert!(!permits("", ""));
    assert!(permits("", "1") && permits("", "True"));
    assert!(permits("dangerously_permit_weak_or_unset_master_key: true", ""));
    assert!(!permits("dangerously_permit_weak_or_unset_master_key: no", "true"));
}

#[test]
fn whole_files_that_cannot_be_read_say_why() {
    let why = |yaml: &str| lines(&parse(yaml, &[]).unwrap_err().mistakes);
    assert_eq!(why(""), "the config is empty. It needs at least a 'model_list'");
    assert!(why(&format!("a: {}", "x".repeat(1 << 20))).starts_with("the config is longer than 1 MB"));
    assert!(why("a: &a [*a]").contains("at line 1 column"));
    assert!(why("litellm_settings: {}").starts_with("model_list: is missing"));
    let text_only = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]";
    assert!(why(text_only).starts_with("model_list: holds no model that Easel serves"));
    for name in ["easel_settings", "router_settings", "litellm_settings", "general_settings", "environment_variables"] {
        let found = why(&format!("{}{name}: soon", entry(NOVA)));
        assert!(found.starts_with(&format!("{name}: ")) && found.contains("a map of keys and values"), "{found}");
    }
    let byte_order_mark = format!("\u{feff}{}", entry(NOVA));
    assert_eq!(sound(&byte_order_mark, &[]).deployments.len(), 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// However a file is cut and patched, it is read or refused, and a refusal names a mistake.
    #[test]
    fn nothing_panics(from in 0..PLANTED.len(), to in 0..PLANTED.len(), patch in "[ -~\n]{0,12}") {
        let yaml = format!("{}{patch}{}", &PLANTED[..from], &PLANTED[to..]);
        if let Err(found) = parse(&yaml, &[]) {
            proptest::prop_assert!(!found.mistakes.is_empty());
        }
    }
}

#[test]
fn ids_are_stable_and_tell_equals_apart() {
    let yaml = format!("{}{}", entry(NOVA), entry(NOVA).replace("model_list:\n", ""));
    let ids = |yaml: &str| sound(yaml, &[]).deployments.iter().map(|d| d.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&yaml), ids(&yaml));
    assert_ne!(ids(&yaml)[0], ids(&yaml)[1]);
    assert_eq!(ids(&yaml)[0].len(), 64);
    assert_eq!(ids(&format!("{}    model_info: {{id: 12}}", entry(NOVA))), ["12"]);
}

#[test]
fn credentials_are_shared_by_name() {
    let yaml = format!(
        "{}credential_list:\n  - credential_name: ours\n    credential_values: {{api_key: shared, aws_region_name: eu-west-1}}\n",
        entry(&format!("{NOVA}litellm_credential_name: ours"))
    );
    let config = sound(&yaml, &[]);
    assert!(matches!(&config.deployments[0].auth, Auth::Bearer { key, .. } if key.key.expose_secret() == "shared"));
    assert_eq!(config.deployments[0].region, "us-east-1");
    assert_eq!(lines(&config.warnings), "");
}

#[test]
fn shares_follow_weight_then_rpm() {
    let weights = |first: &str, second: &str| {
        let second = entry(&format!("{NOVA}{second}")).replace("model_list:\n", "");
        let config = sound(&format!("{}{second}", entry(&format!("{NOVA}{first}"))), &[]);
        config.deployments.iter().map(|d| d.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights("weight: 3", "rpm: 60"), [3.0, 1.0]);
    assert_eq!(weights("rpm: 10", "rpm: 60"), [10.0, 60.0]);
    assert_eq!(weights("rpm: 10", "tpm: 60"), [1.0, 1.0]);
}

#[test]
fn no_secret_is_shown() {
    let yaml = format!(
        "{}general_settings: {{master_key: hidden-master}}\nenvironment_variables: {{X: hidden-x}}\n",
        entry(&format!(
            "{NOVA}api_key: hidden-key\naws_secret_access_key: hidden-secret\naws_access_key_id: hidden-id\n\
             aws_session_token: hidden-token\naws_bearer_token: hidden-bearer\nextra_headers: {{X-Token: hidden-header}}\nsecret_thing: hidden-thing"
        ))
    );
    let variables = [("AWS_BEARER_TOKEN_BEDROCK", "hidden-env"), ("OTHER", "hidden-other")];
    let config = sound(&yaml, &variables);
    let shown = format!("{config:?} {:?} {}", env(&variables), lines(&config.warnings));
    assert!(!shown.contains("hidden"), "{shown}");
    let wrong = "aws_region_name: os.environ/OTHER\nsize: os.environ/OTHER\ntimeout: os.environ/OTHER\n\
                 drop_params: os.environ/OTHER\nmodel: bedrock/stability.x\nimageGenerationConfig: {seed: os.environ/OTHER}";
    let mistakes = parse(&entry(wrong), &variables).unwrap_err();
    assert!(!format!("{mistakes:?}").contains("hidden"), "{mistakes}");
    assert!(mistakes.mistakes.len() >= 5, "{mistakes}");
}
