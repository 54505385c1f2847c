//! `docs/RELIABILITY.md` names tests and metrics that are there. Must not repeat what they hold.

use std::path::Path;

use crate::support::{CORE, TestProxy};

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RELIABILITY.md")).unwrap()
}

/// What stands in backquotes in the last column of the page's tables.
fn named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let page = page();
    let (promises, _) = page.split_once("## What can be seen").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: Vec<_> = named(promises).into_iter().filter(|name| !name.contains(' ')).collect();
    assert!(tests.len() > 35, "{tests:?}");
    for name in tests {
        let (file, test) = name.split_once("::").unwrap_or((name, ""));
        let places = [format!("tests/it/{file}.rs"), format!("tests/it/{file}/mod.rs"), format!("src/{file}/mod.rs")];
        let text = places.iter().find_map(|place| std::fs::read_to_string(root.join(place)).ok());
        let text = text.unwrap_or_else(|| panic!("there is no {file}"));
        let function = format!("fn {}(", test.trim_start_matches("tests::"));
        assert!(test.is_empty() || text.contains(&function), "there is no test {name}");
    }
}

#[tokio::test]
async fn every_state_has_the_metric_that_the_page_names() {
    let page = page();
    let (_, states) = page.split_once("## What can be seen").unwrap();
    let proxy = TestProxy::with(CORE).script(["tiny"]).start().await;
    proxy.generate(serde_json::json!({"prompt": "a cat"})).await.bytes().await.unwrap();
    let text = proxy.get("/metrics").await.text().await.unwrap();
    let names: Vec<_> = named(states).into_iter().filter(|name| name.starts_with("easel_")).collect();
    assert!(names.len() > 20);
    for name in names {
        let family = format!("# TYPE {} ", name.trim_end_matches("_total"));
        assert!(text.contains(&family), "{name} is missing");
    }
}
