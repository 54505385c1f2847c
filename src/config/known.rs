//! Every key that LiteLLM knows and Easel has no use for, with the reason; and the words of generation defaults.
//!
//! Tables only. Must not hold a key that is read (`keys.rs`): it would be called unused.

/// Keys that go unused, and why: the end of a sentence that begins `goes unused: `.
pub(super) struct Unused {
    pub(super) keys: &'static [&'static str],
    pub(super) why: &'static str,
}

const fn unused(keys: &'static [&'static str], why: &'static str) -> Unused {
    Unused { keys, why }
}

const LATER: &str = "Easel does not honour it yet";
const TEXT: &str = "it only matters for text models";
const DATABASE: &str = "Easel keeps no database of keys, teams and spend";
const BUDGETS: &str = "Easel keeps no budgets yet";
const CHECKS: &str = "Easel never paints a picture to learn whether a deployment is healthy";
const LOGS: &str = "Easel writes its own log and metrics; prompts and pictures are never in them";
const CACHE: &str = "Easel caches no pictures";
const PROVIDER: &str = "it belongs to another provider than Bedrock";
const CALLER: &str = "it is the caller's to say, request by request";
const HARMLESS: &str = "it is about LiteLLM's own workings";

/// Of the file's top.
pub(super) const TOP: &[Unused] = &[
    unused(&["guardrails"], GUARDRAILS),
    unused(&["callback_settings", "prompts", "policies"], LATER),
    unused(&["assistant_settings", "files_settings", "finetune_settings", "batch_settings"], TEXT),
    unused(&["mcp_servers", "mcp_tools", "vector_store_registry", "search_tools", "agent_list"], TEXT),
];

/// Of `litellm_params`.
pub(super) const PARAMS: &[Unused] = &[
    unused(&["max_retries"], "LiteLLM ignores it for Bedrock pictures too. Write 'num_retries'"),
    unused(&["stream_timeout"], "Bedrock streams no pictures; 'timeout' is what counts"),
    unused(&["region_name"], "it only filters deployments in LiteLLM. The region is 'aws_region_name'"),
    unused(&["aws_bearer_token"], "LiteLLM does not know it either, so nothing is signed with it. Write 'api_key'"),
    unused(&["allowed_openai_params"], EVERY_PARAM),
    unused(&["guardrails"], GUARDRAILS),
    unused(&["aws_region", "region"], "LiteLLM does not know it either. The region is 'aws_region_name'"),
    unused(&["mock_timeout", "max_file_size_mb", "litellm_trace_id"], LATER),
    unused(&["extra_body"], "its members go straight into litellm_params"),
    unused(&["max_budget", "budget_duration"], BUDGETS),
    unused(&["tags"], "requests are not routed by tag yet"),
    unused(&["configurable_clientside_auth_params"], "credentials in a request are never used"),
    unused(&["use_in_pass_through", "use_litellm_proxy", "use_chat_completions_api"], HARMLESS),
    unused(&["custom_llm_provider"], "the provider is what stands before the first '/' of 'model'"),
    unused(&["input_cost_per_image", "input_cost_per_pixel", "output_cost_per_pixel"], COST),
    unused(&["input_cost_per_second", "output_cost_per_second"], COST),
    unused(&["input_cost_per_token", "output_cost_per_token", "max_tokens", "max_completion_tokens"], TEXT),
    unused(&["temperature", "top_p", "top_k", "stop", "tools", "tool_choice", "parallel_tool_calls"], TEXT),
    unused(&["presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "reasoning_effort"], TEXT),
    unused(&["thinking", "cache_control_injection_points", "merge_reasoning_content_in_choices"], TEXT),
    unused(&["organization", "api_version", "azure_ad_token", "tenant_id", "client_id", "client_secret"], PROVIDER),
    unused(&["vertex_project", "vertex_location", "vertex_credentials", "watsonx_region_name"], PROVIDER),
    unused(&["user", "safety_identifier", "prompt", "response_format", "partial_images", "metadata"], CALLER),
];

const EVERY_PARAM: &str = "every parameter of OpenAI's image API is taken";

const GUARDRAILS: &str = "Easel runs no guardrails of its own. For Bedrock's, write 'guardrailIdentifier' and 'guardrailVersion' into litellm_params";

const COST: &str = "a picture's price is 'output_cost_per_image'";

/// Of `litellm_settings`.
pub(super) const LITELLM: &[Unused] = &[
    unused(&["callbacks", "success_callback", "failure_callback", "service_callbacks"], LOGS),
    unused(&["audit_log_callbacks", "set_verbose", "suppress_debug_info"], LOGS),
    unused(&["turn_off_message_logging", "redact_user_api_key_info", "redact_messages_in_exceptions"], LOGS),
    unused(&["prometheus_metrics_config", "custom_prometheus_metadata_labels", "langfuse_default_tags"], LOGS),
    unused(&["store_audit_logs", "log_raw_request_response", "global_disable_no_log_param"], LOGS),
    unused(&["cache", "cache_params", "enable_redis_auth_cache"], CACHE),
    unused(&["default_team_settings", "default_internal_user_params", "default_key_generate_params"], DATABASE),
    unused(&["upperbound_key_generate_params", "key_generation_settings", "default_team_params"], DATABASE),
    unused(&["max_budget", "budget_duration", "max_end_user_budget", "budget_exceeded_status_code"], BUDGETS),
    unused(&["max_internal_user_budget", "internal_user_budget_duration", "max_user_budget"], BUDGETS),
    unused(&["ssl_verify", "ssl_certificate"], "Easel trusts the system's certificates and those of SSL_CERT_FILE"),
    unused(&["http2", "force_ipv4", "disable_aiohttp_transport", "network_mock"], HARMLESS),
    unused(&["context_window_fallbacks"], "a prompt that is too long for a model goes on to its 'fallbacks'"),
    unused(&["modify_params", "add_function_to_prompt", "enable_json_schema_validation"], TEXT),
    unused(&["add_user_information_to_llm_headers", "forward_traceparent_to_llm_provider"], LATER),
    unused(&["expose_router_debug_in_errors"], "an error always says what to do next, and never more"),
    unused(&["enable_preview_features", "return_response_headers", "custom_provider_map"], HARMLESS),
    unused(&["post_call_rules", "pre_call_rules", "callback_settings"], LATER),
    unused(&["guardrails"], GUARDRAILS),
    unused(&["allowed_openai_params"], EVERY_PARAM),
    unused(&["check_provider_endpoint"], "a wildcard is listed as it is written"),
    unused(&["disable_end_user_cost_tracking"], LATER),
];

/// Of `router_settings`.
pub(super) const ROUTER: &[Unused] = &[
    unused(&["context_window_fallbacks"], "a prompt that is too long for a model goes on to its 'fallbacks'"),
    unused(&["enable_pre_call_checks"], "Easel always asks the deployments first that can honour a request"),
    unused(&["enable_tag_filtering", "tag_filtering_match_any"], "requests are not routed by tag yet"),
    unused(&["redis_host", "redis_port", "redis_password", "redis_url", "redis_db"], REDIS),
    unused(&["cache_responses", "cache_kwargs", "caching_groups", "client_ttl"], CACHE),
    unused(&["provider_budget_config", "default_priority"], LATER),
    unused(&["polling_interval", "default_litellm_params", "assistants_config"], LATER),
    unused(&["max_retries"], "LiteLLM ignores it for Bedrock pictures too. Write 'num_retries'"),
    unused(&["stream_timeout"], "Bedrock streams no pictures; 'timeout' is what counts"),
    unused(&["routing_strategy_args", "optional_pre_call_checks", "deployment_affinity_ttl_seconds"], HARMLESS),
    unused(&["set_verbose", "debug_level", "router_general_settings", "ignore_invalid_deployments"], HARMLESS),
];

const REDIS: &str = "replicas of Easel share nothing, so there is no Redis to reach";

/// Of `general_settings`.
pub(super) const GENERAL: &[Unused] = &[
    unused(&["database_url", "store_model_in_db", "database_connection_pool_limit"], DATABASE),
    unused(&["database_connection_timeout", "proxy_batch_write_at", "database_type", "database_args"], DATABASE),
    unused(&["proxy_budget_rescheduler_min_time", "proxy_budget_rescheduler_max_time"], DATABASE),
    unused(&["store_prompts_in_spend_logs", "disable_spend_logs", "disable_error_logs"], DATABASE),
    unused(&["maximum_spend_logs_retention_period", "maximum_spend_logs_retention_interval"], DATABASE),
    unused(&["disable_spend_updates", "disable_master_key_return", "disable_adding_master_key_hash_to_db"], DATABASE),
    unused(
        &["allow_requests_on_db_unavailable", "use_redis_transaction_buffer", "disable_prisma_schema_update"],
        DATABASE,
    ),
    unused(&["custom_key_generate", "enforce_user_param", "infer_model_from_keys", "ui_access_mode"], DATABASE),
    unused(&["default_team_disabled", "ui_theme_config", "key_management_system"], DATABASE),
    unused(&["key_management_settings"], DATABASE),
    unused(&["alerting", "alert_types", "alerting_threshold", "alert_to_webhook_url", "alerting_args"], ALERTS),
    unused(&["spend_report_frequency"], ALERTS),
    unused(&["background_health_checks", "health_check_interval", "health_check_details"], CHECKS),
    unused(&["use_shared_health_check", "health_check_concurrency"], CHECKS),
    unused(&["max_request_size_mb"], LATER),
    unused(&["max_response_size_mb", "allowed_routes", "admin_only_routes", "public_routes", "allowed_ips"], LATER),
    unused(&["custom_auth", "custom_auth_settings", "custom_sso", "enable_jwt_auth", "litellm_jwtauth"], LATER),
    unused(&["enable_oauth2_auth", "enable_oauth2_proxy_auth", "oauth2_config_mappings"], LATER),
    unused(&["pass_through_endpoints", "pass_through_request_timeout", "auth_pass_through_endpoints"], HARMLESS),
    unused(&["forward_client_headers_to_llm_api", "forward_openai_org_id"], "a caller's headers never go to AWS"),
    unused(&["allow_client_side_credentials"], "credentials in a request are never used"),
    unused(&["include_call_id_in_error_body", "trusted_proxy_ranges", "use_x_forwarded_for"], LATER),
    unused(
        &["cancel_on_disconnect"],
        "a call that is paid for is finished. Write 'easel_settings.on_disconnect: cancel' to end it",
    ),
    unused(&["max_queued_requests_per_worker", "admission_queue_timeout_seconds"], NO_QUEUE),
    unused(&["completion_model"], "requests that name no model take 'easel_settings.default_model'"),
];

const NO_QUEUE: &str =
    "calls wait for their deployments, by 'easel_settings.queue'; a request too many is refused at once";

const ALERTS: &str = "Easel sends no alerts; watch its metrics";

/// Of `model_info`. It may hold anything else besides: LiteLLM hands it on to its users.
pub(super) const INFO: &[Unused] = &[
    unused(&["health_check_model", "health_check_timeout", "disable_background_health_check"], CHECKS),
    unused(&["access_groups", "team_id"], DATABASE),
    unused(&["supported_environments"], LATER),
];

/// Generation defaults that `Wishes` gives a place of their own, or takes apart.
#[rustfmt::skip]
pub(super) const WISHES: &[&str] = &[
    "n", "numberOfImages", "size", "width", "height", "quality", "style", "background", "moderation",
    "input_fidelity", "output_format", "output_compression", "seed", "negativeText", "negative_prompt",
    "aspect_ratio", "cfgScale", "cfg_scale", "text", "textToImageParams", "colorGuidedGenerationParams",
    "imageVariationParams", "inPaintingParams", "outPaintingParams", "backgroundRemovalParams", "virtualTryOnParams",
    "imageGenerationConfig",
];

/// Native members of Nova Canvas and Stability that `Wishes` keeps as they are.
#[rustfmt::skip]
pub(super) const NATIVE: &[&str] = &[
    "task", "taskType", "conditionImage", "controlMode", "controlStrength", "colors", "referenceImage", "images",
    "similarityStrength", "maskPrompt", "mask_prompt", "maskImage", "returnMask", "outPaintingMode", "sourceImage",
    "maskType", "imageBasedMask", "garmentBasedMask", "promptBasedMask", "maskExclusions", "mergeStyle",
    "garmentClass", "maskShape", "garmentStyling", "longSleeveStyle", "tuckingStyle", "outerLayerStyle",
    "preserveBodyPose", "preserveHands", "preserveFace", "mode", "image", "strength", "style_preset", "mask",
    "grow_mask", "left", "right", "up", "down", "creativity", "search_prompt", "select_prompt", "control_strength",
    "fidelity", "composition_fidelity", "style_strength", "change_strength", "init_image", "style_image", "steps",
    "sampler", "clip_guidance_preset",
];

#[cfg(test)]
mod tests {
    use super::super::keys::members;
    use super::*;

    #[test]
    fn no_key_is_both_read_and_unused() {
        for (place, unused) in [
            ("", TOP),
            ("model_list[0].litellm_params", PARAMS),
            ("model_list[0].model_info", INFO),
            ("litellm_settings", LITELLM),
            ("router_settings", ROUTER),
            ("general_settings", GENERAL),
        ] {
            let read = members(place);
            let keys: Vec<_> = unused.iter().flat_map(|u| u.keys).collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(!read.contains(key) && !WISHES.contains(key) && !NATIVE.contains(key), "{key}");
                assert!(!keys[..i].contains(key), "{key} stands twice");
            }
        }
    }
}
