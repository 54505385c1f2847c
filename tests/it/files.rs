//! Configs that stand in several files, and what is said when those cannot be used.
//! Must not write outside a folder of its own.

use easel::config::{Config, Mistakes};
use serde_json::json;

use crate::config::{entry, env, lines};
use crate::support::{TestProxy, folder, header, wish};

const CORE: &str = "model: bedrock/stability.stable-image-core-v1:1\naws_region_name: us-west-2\n";

fn load(yaml: &str, files: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    folder(yaml, &files, &env(&[]))
}

/// What is wrong with a config among these files.
#[track_caller]
fn wrong(yaml: &str, files: &[(&str, &str)]) -> String {
    lines(&load(yaml, files).unwrap_err().mistakes)
}

#[tokio::test]
async fn lists_of_several_files_go_on_behind_each_other() {
    let main = format!("include: [models/core.yaml, settings.yaml]\n{}", entry(CORE).replace("nova", "first"));
    let core = format!("include: [deep.yaml]\n{}", entry(CORE).replace("nova", "second"));
    let proxy = TestProxy::with(&main)
        .file("models/core.yaml", &core)
        .file("deep.yaml", &entry(CORE).replace("nova", "third"))
        .file("settings.yaml", "router_settings: {fallbacks: [{first: [second]}], model_group_alias: {fourth: third}}")
        .script(["access-denied", "tiny", "tiny"])
        .start()
        .await;
    let response = proxy.generate(wish(json!({}))).await;
    assert_eq!(header(response.headers(), "x-easel-model"), "stability.stable-image-core-v1:1");
    assert_eq!(proxy.calls().len(), 2, "the fallback of another file was asked");
    for alias in ["second", "third", "fourth"] {
        assert_eq!(proxy.get(&format!("/v1/models/{alias}")).await.status(), 200, "{alias}");
    }
}

#[test]
fn what_is_said_names_the_file() {
    let yaml = format!(
        "include: [more.yaml]\n{}litellm_settings: {{drop_params: true, num_retries: 4}}\n",
        entry(&format!("{CORE}cfgscale: 1"))
    );
    let more = format!(
        "{}colour: red\nlitellm_settings: {{drop_params: false}}\n",
        entry(&format!("{CORE}cfgscale: 1")).replace("nova", "other")
    );
    let config = load(&yaml, &[("more.yaml", &more)]).unwrap();
    insta::assert_snapshot!(lines(&config.warnings), @r"
    more.yaml: litellm_settings: replaces the whole of litellm_settings, as in LiteLLM. Write it in one of the files
    more.yaml: colour: neither LiteLLM nor Easel knows this key, so it goes unused
    model_list[0].litellm_params.cfgscale: neither LiteLLM nor any model knows this key, so it goes unused. Did you mean 'cfgScale'?
    more.yaml: model_list[0].litellm_params.cfgscale: neither LiteLLM nor any model knows this key, so it goes unused. Did you mean 'cfgScale'?
    ");
    assert_eq!((config.routing.num_retries, config.deployments[0].drop_params), (2, false));
    assert_eq!(config.deployments[1].path, "more.yaml: model_list[0]");
    let more = "model_list: [{model_name: x, litellm_params: {model: bedrock/stability.sd4}}]";
    insta::assert_snapshot!(wrong(&yaml, &[("more.yaml", more)]), @"more.yaml: model_list[0].litellm_params.model: 'stability.sd4' is no picture model of Bedrock. The nearest is 'bedrock/stability.sd3-5-large-v1:0'");
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let including = |list: &str| format!("include: {list}\n{}", entry(CORE));
    let bomb = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), vec!["*a"; 1000].join(","));
    let long = format!("a: {}", "x".repeat(1 << 20));
    let mut said = String::new();
    for (yaml, files) in [
        (including("more.yaml"), vec![]),
        (including("[5]"), vec![]),
        (including("[missing.yaml]"), vec![]),
        (including("[../config.yaml]"), vec![("../config.yaml", "model_list: []")]),
        (including("[/etc/hostname]"), vec![]),
        (including("[folder]"), vec![("folder/x.yaml", "")]),
        (including("[config.yaml]"), vec![]),
        (including("[a.yaml]"), vec![("a.yaml", "include: [b.yaml]"), ("b.yaml", "include: [./a.yaml]")]),
        (including("[a.yaml]"), vec![("a.yaml", "model_list: [")]),
        (including("[a.yaml]"), vec![("a.yaml", "")]),
        (including("[a.yaml]"), vec![("a.yaml", "- a")]),
        (including("[a.yaml]"), vec![("a.yaml", &bomb)]),
        (including("[a.yaml]"), vec![("a.yaml", &long)]),
    ] {
        said += &format!("{}\n", wrong(&yaml, &files));
    }
    insta::assert_snapshot!(said);
    let twice = load(&including("[a.yaml, a.yaml]"), &[("a.yaml", "x-a: 1")]).unwrap();
    assert_eq!(lines(&twice.warnings), "include[1]: the file 'a.yaml' is included already, so this line goes unused");
}

#[test]
fn eight_files_deep_and_no_more() {
    let files: Vec<_> = (1..=9).map(|n| (format!("{n}.yaml"), format!("include: [{}.yaml]", n + 1))).collect();
    let mut files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let yaml = format!("include: [1.yaml]\n{}", entry(CORE));
    files[7].1 = "x-end: 1";
    load(&yaml, &files[..8]).unwrap();
    files[7].1 = "include: [9.yaml]";
    assert_eq!(wrong(&yaml, &files), "8.yaml: include[0]: files include each other more than 8 deep. Include less");
}

#[cfg(unix)]
#[test]
fn a_link_leads_out_of_the_folder_no_more_than_a_path() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, format!("include: [link.yaml]\n{}", entry(CORE))).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link.yaml")).unwrap();
    let found = Config::load(&path, &env(&[]), &easel::catalog::Catalog::builtin()).unwrap_err();
    assert_eq!(
        lines(&found.mistakes),
        "include[0]: the file 'link.yaml' is outside the config's folder. Put it beside the config"
    );
}

#[test]
fn a_text_without_a_place_includes_nothing() {
    let yaml = format!("include: [a.yaml]\n{}", entry(CORE));
    let found = Config::parse(&yaml, &env(&[]), &easel::catalog::Catalog::builtin()).unwrap_err();
    assert_eq!(
        lines(&found.mistakes),
        "include[0]: other files cannot be read: this config is no file, so there is no folder to look in"
    );
}
