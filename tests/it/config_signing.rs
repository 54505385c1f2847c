//! What a config says about signing: which source each combination means, and the mistakes in it.
//! Must not sign: that is for the programs of `chain.rs` and `roles.rs`.

use easel::catalog::Catalog;
use easel::config::{Auth, Config, Deployment, Environment, Mistakes, WebToken};
use secrecy::ExposeSecret;

const ROLE: &str = "aws_role_name: 'arn:aws:iam::123456789012:role/painter'";

fn parse(params: &str, env: Environment) -> Result<Config, Mistakes> {
    let params = if params.is_empty() { String::new() } else { format!(", {params}") };
    let yaml = format!(
        "model_list:\n  - model_name: nova\n    litellm_params: {{model: bedrock/amazon.nova-canvas-v1:0{params}}}\n"
    );
    Config::parse(&yaml, &env, &Catalog::builtin())
}

fn env(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[track_caller]
fn sound(params: &str, variables: &[(&str, &str)]) -> Config {
    parse(params, env(variables)).unwrap_or_else(|mistakes| panic!("{params}: {mistakes}"))
}

/// How the only deployment signs, in short.
fn auth(deployment: &Deployment) -> String {
    match &deployment.auth {
        Auth::Bearer { key, .. } => format!("bearer {}", key.source),
        Auth::Keys { role, .. } => format!("keys, role {}", role.is_some()),
        Auth::Chain { profile, role } => format!("chain {profile:?}, role {}", role.is_some()),
        Auth::WebIdentity { token: WebToken::File(path), .. } => format!("token in {}", path.display()),
        Auth::WebIdentity { token: WebToken::Text(token), .. } => format!("token {}", token.expose_secret()),
    }
}

#[test]
fn which_source_each_combination_means() {
    let keys = "aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: x";
    let pod = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/painter"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ];
    for (params, variables, expected) in [
        (String::new(), &[][..], "chain None, role false"),
        (keys.to_owned(), &[], "keys, role false"),
        (format!("{keys}, {ROLE}"), &pod[..2], "keys, role true"),
        (format!("{keys}, {ROLE}, aws_web_identity_token: t"), &[], "token t"),
        (format!("{ROLE}, aws_profile_name: base"), &pod[..2], "chain Some(\"base\"), role true"),
        (ROLE.to_owned(), &pod[..2], "token in /var/run/token"),
        (ROLE.to_owned(), &pod, "chain None, role true"),
        (ROLE.replace("painter", "other"), &pod[..2], "chain None, role true"),
        (format!("{ROLE}, aws_web_identity_token: oidc/file//run/token"), &[], "token in /run/token"),
        (format!("{ROLE}, aws_web_identity_token: oidc/file/run/token"), &[], "token in /run/token"),
        (format!("{ROLE}, aws_web_identity_token: ''"), &[], "chain None, role true"),
        (format!("{ROLE}, api_key: k"), &pod, "bearer the config itself"),
        (String::new(), &[("AWS_PROFILE_NAME", "night")], "chain Some(\"night\"), role false"),
        (
            String::new(),
            &[("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AWS_ROLE_NAME", "x:role/")],
            "bearer os.environ/AWS_BEARER_TOKEN_BEDROCK",
        ),
    ] {
        assert_eq!(auth(&sound(&params, variables).deployments[0]), expected, "{params} {variables:?}");
    }
}

#[test]
fn every_mistake_is_named() {
    for (params, expected) in [
        (
            "aws_web_identity_token: t",
            "aws_role_name: is missing beside aws_web_identity_token. Write the role that the token is for",
        ),
        (
            &*format!("{ROLE}, aws_web_identity_token: oidc/google/audience"),
            "aws_web_identity_token: Easel cannot ask that provider for a token. Write 'oidc/file/PATH', \
             'oidc/env/NAME', a path or 'os.environ/NAME'",
        ),
        (
            &*format!("{ROLE}, aws_session_name: 'two words'"),
            "aws_session_name: aws_session_name 'two words' is not accepted. Write 2 to 64 letters, digits or any of \
             '+=,.@-_'",
        ),
        (
            &*format!("{ROLE}, aws_session_duration: 60"),
            "aws_session_duration: the value 60 is not accepted. Write seconds from 900 to 43200",
        ),
        (
            &*format!("{ROLE}, aws_session_tags: [{{Value: x}}]"),
            "aws_session_tags[0]: a tag has no Key. Write it like '{Key: team, Value: design}'",
        ),
        (
            &*format!("{ROLE}, aws_sts_endpoint: sts"),
            "aws_sts_endpoint: the address 'sts' is no http(s) URL. Write it like 'https://sts.us-east-1.amazonaws.com'",
        ),
        (
            "aws_role_name: painter",
            "aws_role_name: aws_role_name 'painter' is no role ARN. Write it like \
             'arn:aws:iam::123456789012:role/painter'",
        ),
    ] {
        let mistakes = parse(params, env(&[])).unwrap_err();
        assert_eq!(mistakes.to_string(), format!("model_list[0].litellm_params.{expected}"));
    }
}

#[test]
fn what_goes_unused_is_said() {
    let region = "aws_region_name: us-east-1";
    for (params, variables, expected) in [
        (format!("{region}, aws_external_id: x"), &[][..], ".aws_external_id: goes unused without aws_role_name"),
        (format!("{region}, aws_session_tags: []"), &[], ".aws_session_tags: goes unused without aws_role_name"),
        (
            format!("{region}, api_base: 'https://bedrock.example'"),
            &[("AWS_USE_FIPS_ENDPOINT", "true")],
            ": AWS_USE_FIPS_ENDPOINT goes unused, because the address to call is given. Write the address that you \
             mean, or leave it out",
        ),
        (
            format!("{region}, api_key: k, {ROLE}, aws_web_identity_token: t"),
            &[],
            ".aws_role_name: aws_role_name, aws_web_identity_token goes unused: the API key from the config itself \
             comes first. Remove one of them",
        ),
    ] {
        let said: Vec<_> = sound(&params, variables).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said, [format!("model_list[0].litellm_params{expected}")]);
    }
}

/// The region that is called when the config and its variables name none.
#[test]
fn a_region_by_the_key_or_the_profile() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../fixtures/sigv4-and-api-keys.json")).unwrap();
    let tokens = vectors["tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["region"] == "us-west-2").unwrap()["token"].as_str().unwrap();
    let files =
        "[default]\nregion = us-east-1\n[profile night]\nregion = us-east-2\n[profile odd]\nregion = no/where\n";
    for (params, variables, expected) in [
        ("", &[][..], "us-east-1"),
        ("aws_profile_name: night", &[], "us-east-2"),
        ("", &[("AWS_PROFILE", "night")], "us-east-2"),
        ("", &[("AWS_PROFILE", "odd")], "us-west-2"),
        ("", &[("AWS_BEARER_TOKEN_BEDROCK", token)], "us-west-2"),
        ("", &[("AWS_BEARER_TOKEN_BEDROCK", "ABSKexample")], "us-east-1"),
        ("", &[("AWS_BEARER_TOKEN_BEDROCK", token), ("AWS_REGION", "eu-west-1")], "eu-west-1"),
        ("aws_region_name: eu-west-1", &[("AWS_PROFILE", "night")], "eu-west-1"),
    ] {
        let config = parse(params, env(variables).with_profiles(files)).unwrap();
        assert_eq!(config.deployments[0].region, expected, "{params} {variables:?}");
    }
    let config = parse("", env(&[("AWS_BEARER_TOKEN_BEDROCK", token)])).unwrap();
    let said: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(!said.iter().any(|line| line.contains("no region is named")), "{said:?}");
}
