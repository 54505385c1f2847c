//! Every key that the config takes, with its meaning and default: `docs/CONFIGURATION.md` is made of it, and so are
//! the hints about keys that nobody knows.
//!
//! Tables, and what is asked of them. Must not hold a key that nobody takes; `Section::take` asks for a row here.

/// Keys that stand for one thing.
#[derive(Debug)]
pub struct Key {
    /// Where they stand: from an entry of `model_list`, or from the top of the file.
    pub paths: &'static [&'static str],
    /// In the page's words, which are Markdown.
    pub meaning: &'static str,
    /// What counts where the file does not say; empty where there is nothing to say.
    pub default: &'static str,
}

const fn key(paths: &'static [&'static str], meaning: &'static str, default: &'static str) -> Key {
    Key { paths, meaning, default }
}

/// Of an entry of `model_list`.
#[rustfmt::skip]
pub const ENTRY: &[Key] = &[
    key(&["model_name"], "the alias that callers use", ""),
    key(&["litellm_params.model"], "`bedrock/ID`, `bedrock/REGION/ID`, an inference profile or an ARN", ""),
    key(
        &["litellm_params.model_id"],
        "the ARN to call instead, where `model` only says which language the model speaks", "`model`",
    ),
    key(
        &["litellm_params.aws_region_name"],
        "the region",
        "the one in `model` or its ARN, `AWS_REGION_NAME`, `AWS_REGION`, `AWS_DEFAULT_REGION`, that of a short-term \
         key, that of the profile, the only one that has the model, us-west-2",
    ),
    key(
        &["litellm_params.api_key"],
        "a Bedrock API key; `\"\"` for none. From `os.environ/NAME`, `NAME_NEXT` is [the one after \
         it](API-KEYS.md#using-it-with-easel); in a file it may change without a restart",
        "`AWS_BEARER_TOKEN_BEDROCK`; without either, AWS credentials",
    ),
    key(
        &[
            "litellm_params.aws_access_key_id", "litellm_params.aws_secret_access_key",
            "litellm_params.aws_session_token",
        ],
        "keys to sign with", "the AWS chain",
    ),
    key(&["litellm_params.aws_profile_name"], "a profile of `~/.aws`", "`AWS_PROFILE`"),
    key(
        &[
            "litellm_params.aws_role_name", "litellm_params.aws_session_name", "litellm_params.aws_external_id",
            "litellm_params.aws_session_duration", "litellm_params.aws_session_tags",
        ],
        "a role to assume with them; 900 to 43200 seconds", "`AWS_ROLE_NAME`, `AWS_SESSION_NAME`, `AWS_EXTERNAL_ID`",
    ),
    key(
        &["litellm_params.aws_web_identity_token"],
        "a token to assume the role with: itself, `os.environ/NAME`, `oidc/env/NAME`, `oidc/file/PATH` or a path",
        "`AWS_WEB_IDENTITY_TOKEN_FILE`",
    ),
    key(&["litellm_params.aws_sts_endpoint"], "another address of STS", "`AWS_STS_ENDPOINT`, `AWS_ENDPOINT_URL_STS`"),
    key(
        &["litellm_params.aws_bedrock_runtime_endpoint"],
        "another address of Bedrock",
        "`AWS_BEDROCK_RUNTIME_ENDPOINT`, `.api_base`, `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`, `AWS_ENDPOINT_URL`, AWS's own",
    ),
    key(&["litellm_params.api_base", "litellm_params.base_url"], "the same, where that one says nothing", ""),
    key(
        &["litellm_params.timeout"],
        "longest silence of Bedrock, in seconds",
        "`router_settings.timeout`, `litellm_settings.request_timeout`, 300",
    ),
    key(
        &["litellm_params.num_retries"],
        "tries after the first", "`router_settings.num_retries`, `litellm_settings.num_retries`, 2",
    ),
    key(
        &["litellm_params.weight", "litellm_params.rpm", "litellm_params.tpm"],
        "its share among those of its alias", "1",
    ),
    key(
        &["litellm_params.rpm"],
        "calls that may begin in any minute; more wait for their turn (each replica counts its own)", "no bound",
    ),
    key(
        &["litellm_params.max_parallel_requests"],
        "calls that may be under way at once; more wait for their turn",
        "`router_settings.default_max_parallel_requests`, no bound",
    ),
    key(&["litellm_params.order"], "those of the lowest number are asked first", "last"),
    key(
        &["litellm_params.cooldown_time"],
        "seconds that it rests after a failure, if another can stand in", "`router_settings.cooldown_time`, 5",
    ),
    key(
        &["litellm_params.drop_params"],
        "leave out what the model cannot honour, instead of refusing", "`litellm_settings.drop_params`, false",
    ),
    key(
        &["litellm_params.additional_drop_params"],
        "members to leave out of every request, `imageGenerationConfig.seed` for nested ones",
        "`litellm_settings.additional_drop_params`",
    ),
    key(&["litellm_params.extra_headers"], "headers to send to Bedrock, signed where calls are signed", "none"),
    key(
        &[
            "litellm_params.guardrailIdentifier", "litellm_params.guardrailVersion", "litellm_params.trace",
            "litellm_params.guardrailConfig",
        ],
        "a Bedrock guardrail", "none",
    ),
    key(
        &[
            "litellm_params.service_tier", "litellm_params.serviceTier", "litellm_params.performanceConfig",
            "litellm_params.requestMetadata",
        ],
        "Bedrock's headers of these names", "none",
    ),
    key(&["litellm_params.fallbacks"], "aliases to try for this entry's alias", "none"),
    key(&["litellm_params.mock_response"], "answer a grey picture and call nobody", ""),
    key(
        &["litellm_params.litellm_credential_name"],
        "an entry of `credential_list`, whose values count as written here", "",
    ),
    key(&["litellm_params.stream"], "accepted, and goes nowhere", ""),
    key(
        &[
            "litellm_params.size", "litellm_params.quality", "litellm_params.n", "litellm_params.seed",
            "litellm_params.negative_prompt", "litellm_params.output_format", "litellm_params.cfgScale",
        ],
        "[and every other parameter](PARAMETERS.md): defaults for pictures; what a request says wins", "the model's",
    ),
    key(&["model_info.id"], "shown to callers as `x-litellm-model-id`", "a digest"),
    key(
        &["model_info.base_model", "litellm_params.base_model"],
        "the model of the catalogue behind an ARN that does not say", "",
    ),
    key(
        &["model_info.output_cost_per_image", "litellm_params.output_cost_per_image"],
        "price of a picture in US dollars", "list price",
    ),
    key(&["model_info.mode"], "`image_generation` or `image_edit`; changes nothing", ""),
];

/// Of the file.
#[rustfmt::skip]
pub const FILE: &[Key] = &[
    key(&["model_list"], "the deployments, as above", ""),
    key(&["router_settings.timeout", "litellm_settings.request_timeout"], "`timeout` of entries that have none", "300"),
    key(&["router_settings.num_retries", "litellm_settings.num_retries"], "`num_retries` of entries that have none", "2"),
    key(&["litellm_settings.drop_params"], "`drop_params` of entries that have none", "false"),
    key(&["litellm_settings.additional_drop_params"], "members to leave out, beside those of the entry", "none"),
    key(
        &["router_settings.default_max_parallel_requests"],
        "`max_parallel_requests` of entries that have none", "no bound",
    ),
    key(
        &["router_settings.fallbacks", "litellm_settings.fallbacks"],
        "`[{alias: [other, ...]}]`, tried in order when all deployments of an alias have failed; `\"*\"` stands for \
         every alias",
        "none",
    ),
    key(
        &["router_settings.default_fallbacks", "litellm_settings.default_fallbacks"],
        "for aliases without their own", "none",
    ),
    key(
        &["router_settings.content_policy_fallbacks", "litellm_settings.content_policy_fallbacks"],
        "where a filtered prompt goes, and only there", "none",
    ),
    key(
        &["router_settings.routing_strategy"],
        "`simple-shuffle` draws by weight, `least-busy` takes the one with the fewest calls under way, \
         `latency-based-routing` the quickest of late",
        "`simple-shuffle`",
    ),
    key(
        &["router_settings.retry_policy"],
        "tries after the first by kind of failure: `RateLimitErrorRetries` (429), `InternalServerErrorRetries` \
         (5xx, no connection). Other kinds are never tried again",
        "`num_retries`",
    ),
    key(&["router_settings.model_group_retry_policy"], "the same for single aliases, `{alias: {...}}`", "none"),
    key(&["router_settings.retry_after"], "shortest wait between two tries, in seconds", "0"),
    key(
        &["router_settings.allowed_fails", "litellm_settings.allowed_fails"],
        "failures in a minute that do not put a deployment to rest yet",
        "0; 3 for answers that were faulty or too late",
    ),
    key(
        &["router_settings.allowed_fails_policy"],
        "the same by kind: `AuthenticationErrorAllowedFails`, `TimeoutErrorAllowedFails`, \
         `RateLimitErrorAllowedFails`, `InternalServerErrorAllowedFails`",
        "`allowed_fails`",
    ),
    key(&["router_settings.cooldown_time"], "`cooldown_time` of entries that have none", "5"),
    key(&["router_settings.disable_cooldowns"], "nobody rests, save those whose model is retired", "false"),
    key(&["router_settings.max_fallbacks", "litellm_settings.max_fallbacks"], "most fallbacks to try", "5"),
    key(
        &["router_settings.model_group_alias", "litellm_settings.model_alias_map"],
        "other names of aliases, `{name: alias}` or `{name: {model: alias, hidden: true}}`", "none",
    ),
    key(
        &["general_settings.master_key"],
        "the key that callers show as `Authorization: Bearer ...`, or in `api-key`, `x-api-key`, `x-goog-api-key`, \
         `Ocp-Apim-Subscription-Key`, `x-litellm-api-key`",
        "`LITELLM_MASTER_KEY`",
    ),
    key(
        &["general_settings.user_header_name", "general_settings.user_header_mappings"],
        "headers by which a caller names the user it asks for: users of one key never get each other's replies",
        "none",
    ),
    key(&["general_settings.litellm_key_header_name"], "one more header to show it in", "none"),
    key(
        &["general_settings.dangerously_permit_weak_or_unset_master_key"],
        "serve other machines without a key of your own",
        "`LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY`, false",
    ),
    key(&["litellm_settings.require_auth_for_metrics_endpoint"], "`false` opens `/metrics` to everybody", "true"),
    key(
        &["litellm_settings.json_logs"],
        "`true` writes the log as JSON, an object for each line", "`JSON_LOGS`, false",
    ),
    key(&["include"], "other files of the config's folder, whose lists are joined to this one's", "none"),
    key(&["credential_list"], "`credential_name` and `credential_values`, for several entries", ""),
    key(&["environment_variables"], "variables to set, over the environment, for everything above", ""),
    key(&["easel_settings.default_model"], "the alias of requests that name no model", "the first"),
    key(
        &["easel_settings.models"],
        "models to add to the catalogue, or a file of them, written like \
         [config/models.yaml](../config/models.yaml)",
        "none",
    ),
    key(&["easel_settings.allowed_models"], "patterns of the model ids that wildcards may reach", "all"),
    key(
        &["easel_settings.strict_params"],
        "refuse parameters that nobody knows, instead of naming them in `x-easel-ignored`", "false",
    ),
    key(
        &["easel_settings.max_parallel_requests"],
        "calls of an alias that may be under way at once, all its deployments together, `{alias: 8}`", "no bound",
    ),
    key(
        &["easel_settings.queue.length", "easel_settings.queue.time"],
        "how many calls may wait for one deployment, and for how many seconds", "1000, 60",
    ),
    key(
        &["easel_settings.retry_budget"],
        "tries after the first that each request earns its alias, so that an outage does not multiply the load; ten \
         are always at hand",
        "0.2",
    ),
    key(
        &["easel_settings.on_disconnect"],
        "`finish`: a call whose caller hangs up before the first byte goes on, and its reply waits for his retry; \
         `cancel`: it ends",
        "`finish`",
    ),
    key(
        &["easel_settings.takeover_window"],
        "seconds that such a reply waits, and one with an `Idempotency-Key` or `Prefer: respond-async`", "600",
    ),
    key(
        &["easel_settings.kept.enabled", "easel_settings.kept.max_size_mb"],
        "whether replies are kept at all, and what they may take up", "true, 1024",
    ),
    key(
        &[
            "easel_settings.max_in_flight", "general_settings.global_max_parallel_requests",
            "general_settings.max_in_flight_requests_per_worker",
        ],
        "requests for pictures that may be under way at once; one more is a 503", "1000",
    ),
    key(
        &["easel_settings.max_in_flight_per_caller", "general_settings.max_parallel_requests"],
        "the same for one caller, which is a key with the headers above, or an address where there is no key; one more is \
         a 429",
        "none",
    ),
    key(&["easel_settings.max_connections"], "connections that may be open at once; more wait", "10000"),
    key(
        &["easel_settings.shutdown.grace"],
        "seconds in which requests are still taken after SIGTERM, while readiness says 503",
        "5 if somebody asks for readiness, else 0",
    ),
    key(&["easel_settings.shutdown.deadline"], "seconds that requests under way may take to end after that", "330"),
    key(
        &["easel_settings.data_dir"],
        "the folder for what outlives a request: pictures behind links, kept replies",
        "`EASEL_DATA_DIR`, `$XDG_DATA_HOME/easel`, `~/.local/share/easel`; in the image `/data`",
    ),
    key(&["easel_settings.links.expires_in"], "seconds that a link lives, and the picture behind it", "3600"),
    key(&["easel_settings.links.base_url"], "what links begin with", "as the request did: scheme, `Host`, root path"),
    key(
        &["easel_settings.links.dall_e_default"],
        "what aliases that begin with `dall-e` answer when a request has no `response_format`: `url` or `b64_json`",
        "`url`",
    ),
    key(&["easel_settings.links.max_size_mb"], "what the folder may hold; the oldest pictures make room", "2048"),
    key(
        &["easel_settings.links.secret"],
        "what links are signed with, the same for all replicas; 32 characters or more",
        "a key that Easel keeps in the folder",
    ),
    key(
        &["easel_settings.links.s3.bucket", "easel_settings.links.s3.region", "easel_settings.links.s3.endpoint"],
        "a bucket instead of the folder; needs `links.secret`", "none, that of the AWS chain, AWS's own",
    ),
    key(&["easel_settings.links.s3.prefix"], "what its keys begin with", "nothing"),
    key(
        &[
            "easel_settings.links.s3.aws_access_key_id", "easel_settings.links.s3.aws_secret_access_key",
            "easel_settings.links.s3.aws_session_token",
        ],
        "keys for it", "the AWS chain",
    ),
    key(
        &["easel_settings.events.status_after"],
        "seconds, at most 10, that `stream: true` waits for a picture before it answers 200", "10",
    ),
    key(&["easel_settings.events.keep_alive"], "seconds of silence after which a comment is sent between events", "10"),
    key(
        &["easel_settings.trusted_proxies"],
        "networks, such as `10.0.0.0/8`, whose `X-Forwarded-Proto`, `-Host` and `-Prefix` count in links", "none",
    ),
    key(
        &["easel_settings.picture_hosts"],
        "hosts, such as `images.example.com` or `*.example.com`, from which pictures that a request names by link \
         are fetched; only at public addresses, without redirects",
        "none: links are refused, but for our own",
    ),
];

/// The table for a place in the config, and the place in the table's words: without file names and positions.
fn table(place: &str) -> (&'static [Key], &str) {
    let file = place.split_once(": ").filter(|(file, _)| !file.contains("['"));
    let place = file.map_or(place, |(_, place)| place);
    match place.strip_prefix("model_list[").and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => (ENTRY, rest.trim_start_matches('.')),
        None => (FILE, place),
    }
}

/// The names that are taken right under a place, such as `model_list[2].litellm_params`, in the page's order.
pub(super) fn members(place: &str) -> Vec<&'static str> {
    let (table, place) = table(place);
    let mut names = Vec::new();
    for path in table.iter().flat_map(|key| key.paths) {
        let rest = if place.is_empty() { Some(*path) } else { below(path, place) };
        let name = rest.and_then(|rest| rest.split('.').next()).filter(|name| !name.is_empty());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Whether a key at this place has a row, or is a part of one.
pub(super) fn has_row(place: &str) -> bool {
    let (table, place) = table(place);
    table.iter().flat_map(|key| key.paths).any(|path| below(place, path).is_some() || below(path, place).is_some())
}

/// What is left of a path below another, or at it.
fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(above)?;
    if rest.is_empty() || rest.starts_with('[') { Some(rest) } else { rest.strip_prefix('.') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_right_under_a_place() {
        assert_eq!(members("model_list[3]"), ["model_name", "litellm_params", "model_info"]);
        assert_eq!(members("more.yaml: easel_settings.kept"), ["enabled", "max_size_mb"]);
        assert!(members("").starts_with(&["model_list"]));
    }

    #[test]
    fn places_have_rows_or_none() {
        for place in ["easel_settings.links", "more.yaml: include", "router_settings.model_group_alias['a b'].hidden"] {
            assert!(has_row(place), "{place}");
        }
        for place in ["easel_settings.link", "model_list[0].litellm_params.weights", "api_key"] {
            assert!(!has_row(place), "{place}");
        }
    }
}
