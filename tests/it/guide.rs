//! What `docs/API-KEYS.md` quotes of Easel, against what Easel says.
//! Must not quote anything itself: the page is what is tested.

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
