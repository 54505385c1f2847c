//! What the pages for users quote and list, against what Easel says.
//! Must not quote anything itself: the pages are what is tested.

use serde_json::{Value, json};

use crate::support::child::{Child, message};
use crate::support::{CORE, NOVA, ReadJson, TestProxy, wish};

/// The quotations of the page's section with this heading, each on one line.
fn quoted(heading: &str) -> String {
    let page = include_str!("../../docs/API-KEYS.md");
    let section = page.split("\n### ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("the page has no section {heading}"));
    section.lines().filter_map(|line| line.strip_prefix("> ")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_page_quotes_the_three_errors_as_they_are() {
    let core = CORE.replace("model_name: core", "model_name: stable-image-core");
    for (heading, yaml, alias, fault) in [
        ("\"invalid bearer token\"", NOVA, "nova-canvas", "bearer-invalid"),
        ("\"access denied\"", &*core, "stable-image-core", "access-denied"),
    ] {
        let proxy = TestProxy::with(yaml).script([fault]).start().await;
        let reply = proxy.generate(wish(json!({"model": alias}))).await;
        assert_eq!(reply.status(), 500, "{heading}");
        let reply: Value = reply.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "upstream_auth");
        assert_eq!(reply["error"]["message"], quoted(heading));
    }
    // A program without a home that holds anything.
    let easel = Child::with(NOVA).start().await;
    assert_eq!(message(easel.generate().await).await, quoted("\"missing credentials\""));
}

/// The texts in quotes of a source, of which `is` holds.
fn literals(source: &str, is: impl Fn(&str) -> bool) -> Vec<&str> {
    source.split('"').skip(1).step_by(2).filter(|text| is(text)).collect()
}

#[test]
fn the_page_of_the_api_lists_every_code_and_header() {
    let page = include_str!("../../docs/API.md");
    let errors = include_str!("../../src/http/error.rs").lines().filter(|line| line.contains("StatusCode::"));
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let mut listed: Vec<_> = errors.flat_map(|line| literals(line, word)).collect();
    listed.retain(|code| *code != "rate_limit_error");
    assert!(listed.contains(&"upstream_auth") && listed.contains(&"link_expired"), "{listed:?}");
    let headers = include_str!("../../src/http/plan_headers.rs");
    listed.extend(literals(headers, |text| text.starts_with("x-easel-")));
    for name in listed {
        assert!(page.contains(&format!("`{name}`")), "docs/API.md lacks {name}");
    }
}
