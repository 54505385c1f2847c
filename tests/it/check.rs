//! What `easel check` prints: for the shipped files, and by exit status.

use std::path::Path;

use easel::catalog::Catalog;
use easel::cli::check;
use easel::clock::Clock;
use easel::config::Config;
use time::macros::datetime;

use crate::config::{NOVA, entry, env, lines};

/// What `easel check` says, as text.
fn checked(path: &str, variables: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut out = Vec::new();
    let status =
        check::run(&path, &env(variables), &Catalog::builtin(), crate::support::clock(), false, false, &mut out)
            .unwrap();
    let text = String::from_utf8(out).unwrap().replace(&format!("{}/", env!("CARGO_MANIFEST_DIR")), "");
    format!("{text}exit {status}")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn shipped_config_begins_as_the_guide_says() {
    let line = |n: usize| read("litellm-config.yaml").lines().nth(n - 1).map(str::to_owned);
    assert_eq!(line(6).as_deref(), Some("      api_key: os.environ/AWS_BEARER_TOKEN_BEDROCK"));
    assert!(read(".env.example").contains("\n#AWS_BEARER_TOKEN_BEDROCK=your_api_key_here\n"));
    assert!(read(".env.example").contains("\nLITELLM_MASTER_KEY=sk-test-1234567890\n"));
}

#[test]
fn check_of_the_shipped_config() {
    let variables = [("AWS_BEARER_TOKEN_BEDROCK", "ABSKsecret"), ("LITELLM_MASTER_KEY", "sk-own")];
    insta::assert_snapshot!("shipped_config", checked("litellm-config.yaml", &variables));
}

#[test]
fn check_of_the_examples() {
    insta::assert_snapshot!(checked("config/examples/minimal.yaml", &[]), @r"
    config/examples/minimal.yaml: 1 deployment

    stable-image-core  (for requests that name no model)
      stability.stable-image-core-v1:1  us-west-2  $0.04  no end announced
        signs with the AWS credentials that the machine has

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    No mistakes, no warnings.
    exit 0
    ");
    insta::assert_snapshot!(checked("config/examples/regions.yaml", &[]), @r"
    config/examples/regions.yaml: 3 deployments

    nova-canvas  (for requests that name no model)
      amazon.nova-canvas-v1:0  us-east-1       $0.04  ended on 2026-09-30
        signs with the AWS credentials that the machine has
      amazon.nova-canvas-v1:0  eu-west-1       $0.04  ended on 2026-09-30
        signs with the AWS credentials that the machine has
      amazon.nova-canvas-v1:0  ap-northeast-1  $0.04  ended on 2026-09-30
        signs with the AWS credentials that the machine has

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    3 warnings:
      model_list[0].litellm_params.model
      model_list[1].litellm_params.model
      model_list[2].litellm_params.model
        amazon.nova-canvas-v1:0 ended on 2026-09-30, so AWS refuses its requests unless your account has
        an arrangement. Write 'model: bedrock/stability.stable-image-core-v1:1' and
        'aws_region_name: us-west-2'

    exit 0
    ");
    insta::assert_snapshot!(checked("config/examples/iam.yaml", &[("PAINTER_EXTERNAL_ID", "x")]), @r"
    config/examples/iam.yaml: 3 deployments

    stable-image-core  (for requests that name no model)
      stability.stable-image-core-v1:1   us-west-2  $0.04  no end announced
        signs with the AWS credentials that the machine has

    stable-image-ultra
      stability.stable-image-ultra-v1:1  us-west-2  $0.14  no end announced
        signs with the AWS profile 'pictures'

    sd3-5-large
      stability.sd3-5-large-v1:0         us-west-2  $0.08  no end announced
        signs with the role arn:aws:iam::123456789012:role/painter, assumed with the AWS credentials that the machine has

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    No mistakes, no warnings.
    exit 0
    ");
    insta::assert_snapshot!(checked("config/examples/fallbacks.yaml", &[]), @r"
    config/examples/fallbacks.yaml: 2 deployments

    dall-e-3  (for requests that name no model)
      stability.stable-image-ultra-v1:1  us-west-2  $0.14  no end announced
        signs with the AWS credentials that the machine has
      falls back to gpt-image-1

    gpt-image-1
      stability.sd3-5-large-v1:0         us-west-2  $0.08  no end announced
        signs with the AWS credentials that the machine has
      falls back to dall-e-3

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    No mistakes, no warnings.
    exit 0
    ");
    insta::assert_snapshot!(checked("config/examples/any-model.yaml", &[]), @r"
    config/examples/any-model.yaml: 1 wildcard

    bedrock/*  (for every name of this form)
      bedrock/stability.sd3-5-large-v1:0                     us-west-2  $0.08  no end announced
      bedrock/stability.stable-conservative-upscale-v1:0     us-west-2  $0.40  no end announced
      bedrock/stability.stable-creative-upscale-v1:0         us-west-2  $0.60  no end announced
      bedrock/stability.stable-fast-upscale-v1:0             us-west-2  $0.03  no end announced
      bedrock/stability.stable-image-control-sketch-v1:0     us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-control-structure-v1:0  us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-core-v1:1               us-west-2  $0.04  no end announced
      bedrock/stability.stable-image-erase-object-v1:0       us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-inpaint-v1:0            us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-remove-background-v1:0  us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-search-recolor-v1:0     us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-search-replace-v1:0     us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-style-guide-v1:0        us-west-2  $0.07  no end announced
      bedrock/stability.stable-image-ultra-v1:1              us-west-2  $0.14  no end announced
      bedrock/stability.stable-outpaint-v1:0                 us-west-2  $0.06  no end announced
      bedrock/stability.stable-style-transfer-v1:0           us-west-2  $0.08  no end announced
        signs with the AWS credentials that the machine has

    dall-e-3  (for requests that name no model)
      another name for bedrock/stability.stable-image-ultra-v1:1

    gpt-image-1
      another name for bedrock/stability.stable-image-core-v1:1, not listed

    bedrock/stability.stable-image-core-v1:1
      falls back after a content filter to bedrock/stability.sd3-5-large-v1:0

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    No mistakes, no warnings.
    exit 0
    ");
    insta::assert_snapshot!(checked("config/examples/private-model.yaml", &[]), @r"
    config/examples/private-model.yaml: 2 deployments

    our-brand  (for requests that name no model)
      amazon.nova-canvas-v1:0  us-east-1  $0.04  a model of your own
        signs with the AWS credentials that the machine has
        calls arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghi123

    our-brand-eu
      amazon.nova-canvas-v1:0  eu-west-1  $0.04  ended on 2026-09-30
        signs with the AWS credentials that the machine has
        calls arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghi123

    There is no master key, so Easel listens on loopback only.
    Prices are for one picture of 1024x1024 at standard quality.

    1 warning:
      model_list[1].litellm_params.model
        amazon.nova-canvas-v1:0 ended on 2026-09-30, so AWS refuses its requests unless your account has
        an arrangement. Write 'model: bedrock/stability.stable-image-core-v1:1' and
        'aws_region_name: us-west-2'

    exit 0
    ");
}

#[test]
fn check_of_the_example_of_edits() {
    insta::assert_snapshot!("example_of_edits", checked("config/examples/edits.yaml", &[]));
}

#[test]
fn every_example_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let config = Config::load(&path, &env(&[("PAINTER_EXTERNAL_ID", "x")]), &Catalog::builtin());
        let config = config.unwrap_or_else(|mistakes| panic!("{}: {mistakes}", path.display()));
        assert_eq!(lines(&config.warnings), "", "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(include_str!("check.rs").contains(&format!("config/examples/{name}\"")), "{name}");
    }
}

#[test]
fn check_exits_by_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let status = |yaml: &str, strict: bool, json: bool| {
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut out = Vec::new();
        let day = Clock::new(|| datetime!(2026-09-29 12:00 UTC).into());
        let status = check::run(&path, &env(&[]), &Catalog::builtin(), day, json, strict, &mut out).unwrap();
        (status, String::from_utf8(out).unwrap())
    };
    let core = entry("model: bedrock/stability.stable-image-core-v1:1\naws_region_name: us-west-2");
    assert_eq!(status(&core, true, false).0, 0);
    assert_eq!(status(&entry(NOVA), false, false).0, 0);
    assert!(status(&entry(NOVA), false, false).1.contains("ends on 2026-09-30, in 1 day\n"));
    assert_eq!(status(&entry(NOVA), true, false).0, 1);
    assert_eq!(status("model_list: [", false, false).0, 64);
    let (code, text) = status(&entry(&format!("{NOVA}timeout: 0")), false, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, json["mistakes"][0]["path"].as_str()), (64, Some("model_list[0].litellm_params.timeout")));
    let json: serde_json::Value = serde_json::from_str(&status(&core, false, true).1).unwrap();
    assert_eq!(json["deployments"][0]["region"], "us-west-2");
    let missing = folder.path().join("none.yaml");
    let mut out = Vec::new();
    let day = Clock::new(|| datetime!(2026-09-29 12:00 UTC).into());
    assert_eq!(check::run(&missing, &env(&[]), &Catalog::builtin(), day, false, false, &mut out).unwrap(), 64);
}

#[test]
fn check_reads_what_a_key_says_of_itself() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../fixtures/sigv4-and-api-keys.json")).unwrap();
    let west = vectors["tokens"].as_array().unwrap().iter().find(|t| t["region"] == "us-west-2").unwrap();
    let said = checked("litellm-config.yaml", &[("AWS_BEARER_TOKEN_BEDROCK", west["token"].as_str().unwrap())]);
    assert_eq!(said.matches("works in us-west-2 only").count(), 1, "only Nova Canvas is elsewhere: {said}");
}

/// `easel check` where nothing but the variables says what the config is.
fn checked_by_variables(folder: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_easel"));
    let command = command.arg("check").env_clear().envs(variables.iter().copied()).current_dir(folder);
    let said = command.output().unwrap();
    (said.status.code(), String::from_utf8(said.stdout).unwrap())
}

#[test]
fn a_config_may_stand_in_a_variable() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("litellm-config.yaml"), "model_list: []\n").unwrap();
    let yaml = entry(NOVA);
    let (status, said) = checked_by_variables(folder.path(), &[("EASEL_CONFIG_YAML", &yaml)]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("$EASEL_CONFIG_YAML: 1 deployment"), "{said}");
    // A path that is named goes before it.
    let named = [("EASEL_CONFIG_YAML", &*yaml), ("CONFIG_FILE_PATH", "litellm-config.yaml")];
    let (status, said) = checked_by_variables(folder.path(), &named);
    assert_eq!(status, Some(64), "{said}");
    // It has no folder, so it can name no other files.
    let (status, said) = checked_by_variables(folder.path(), &[("EASEL_CONFIG_YAML", "include: [more.yaml]\n")]);
    assert_eq!(status, Some(64), "{said}");
    assert!(said.contains("this config is no file"), "{said}");
}
