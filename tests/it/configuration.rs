//! The tables of `docs/CONFIGURATION.md`, and whether each key in them is one that the config takes.
//! Must not say what a key means.

use std::fmt::Write as _;
use std::path::PathBuf;

use easel::catalog::Catalog;
use easel::config::keys::{ENTRY, FILE, Key};
use easel::config::{Config, Environment};
use serde_json::{Value, json};

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md")
}

/// A table, in which paths that begin as the one before them are cut: all those of `litellm_params`, others in a row.
fn table(keys: &[Key]) -> String {
    let mut text = String::from("| key | meaning | default |\n|---|---|---|\n");
    let mut said = "";
    for Key { paths, meaning, default } in keys {
        let mut names = Vec::new();
        for path in *paths {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let again = parent == said && !parent.is_empty();
            names.push(if again { format!("`.{name}`") } else { format!("`{path}`") });
            said = parent;
        }
        if !said.starts_with("litellm_params") {
            said = "";
        }
        writeln!(text, "| {} | {meaning} | {default} |", names.join(", ")).unwrap();
    }
    text
}

/// The page with the tables as the code has them, each between two marks that no reader sees.
fn rendered(page: &str) -> String {
    let mut page = page.to_owned();
    for (name, keys) in [("entry", ENTRY), ("file", FILE)] {
        let (begin, end) = (format!("<!-- keys: {name} -->\n"), "<!-- end of keys -->");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page lacks {begin}"));
        let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("the page lacks {end}"));
        page = format!("{before}{begin}{}{end}{after}", table(keys));
    }
    page
}

#[test]
fn the_page_holds_the_keys_of_the_code() {
    let written = std::fs::read_to_string(document()).unwrap();
    let same = written == rendered(&written);
    assert!(
        same,
        "docs/CONFIGURATION.md is out of date. Write it: cargo test --test it write_configuration -- --ignored"
    );
}

#[test]
#[ignore = "writes the tables of docs/CONFIGURATION.md"]
fn write_configuration() {
    let written = std::fs::read_to_string(document()).unwrap();
    std::fs::write(document(), rendered(&written)).unwrap();
}

/// Puts a value at a path, making the maps on the way.
fn put(tree: &mut Value, path: &str, value: Value) {
    let (mut at, mut names) = (tree, path.split('.').peekable());
    while let Some(name) = names.next() {
        let members = at.as_object_mut().unwrap();
        if names.peek().is_none() {
            members.insert(name.into(), value);
            return;
        }
        at = members.entry(name).or_insert_with(|| json!({}));
    }
}

/// What is said of keys that nobody takes.
const UNKNOWN: [&str; 4] = ["goes unused: ", "so it goes unused", "means nothing", " has no "];

/// Whatever is wrong with the value, the key must not be called unused, nor unknown.
#[test]
fn every_key_of_the_page_is_taken() {
    let model = json!({ "model_name": "m", "litellm_params": { "model": "bedrock/amazon.nova-canvas-v1:0" } });
    let entries = ENTRY.iter().flat_map(|key| key.paths).map(|path| (true, *path));
    let others = FILE.iter().flat_map(|key| key.paths).map(|path| (false, *path));
    for (of_entry, path) in entries.chain(others) {
        let (mut entry, mut tree) = (model.clone(), json!({}));
        // Of a list in a list nothing can be made, wherever it is looked at.
        let nonsense = json!([["nonsense"]]);
        if of_entry {
            put(&mut entry, path, nonsense);
            put(&mut tree, "model_list", json!([entry]));
        } else {
            put(&mut tree, "model_list", json!([entry]));
            put(&mut tree, path, nonsense);
        }
        let notices = match Config::parse(&tree.to_string(), &Environment::default(), &Catalog::builtin()) {
            Ok(config) => config.warnings,
            Err(wrong) => wrong.mistakes.into_iter().chain(wrong.warnings).collect(),
        };
        for notice in notices {
            let idle = UNKNOWN.iter().any(|w| notice.message.contains(w));
            assert!(!idle || !notice.path.contains(path), "{path}: {notice}");
        }
    }
}
