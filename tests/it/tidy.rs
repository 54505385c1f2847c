//! Rules of the house that a compiler does not know: floors, lengths, and how each file opens.
//! Must not be bent: an exception is listed here with its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a module stands on; a file imports only from lower ones.
const FLOORS: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "api_key", "aws_http", "blob", "catalog", "clock", "image", "lexer", "loopback", "metrics", "payload",
            "picture", "traces", "unbase64", "wishes",
        ],
    ),
    (1, &["config", "provider", "raster", "reply", "openai"]),
    (2, &["bedrock", "fetch", "store"]),
    (3, &["auth", "router"]),
    (4, &["http", "emulator"]),
    (5, &["server"]),
    (6, &["cli"]),
    (7, &["ciphers", "main", "lib", "logging", "otlp", "signals", "surroundings"]),
];

/// Imports that stay on their floor, with the reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("image", "picture", "a task may bring pictures"),
    ("image", "wishes", "a task is made of wishes"),
    ("payload", "blob", "a body carries blobs"),
    ("picture", "blob", "a picture is a file"),
    ("picture", "image", "a picture has a size and a format"),
    ("wishes", "image", "wishes are made of sizes and formats"),
    ("catalog", "image", "limits are told in sizes and formats"),
    ("reply", "openai", "the sink writes OpenAI's usage"),
    ("signals", "surroundings", "a reload reads `.env` again"),
];

const MAX_FILE: usize = 500;
const MAX_FUNCTION: usize = 60;

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// `src/router/table.rs` is part of `router`, `src/auth.rs` of `auth`.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> u8 {
    let found = FLOORS.iter().find(|(_, modules)| modules.contains(&module));
    found.unwrap_or_else(|| panic!("{module} stands on no floor: give it one in tests/it/tidy.rs")).0
}

/// The modules of ours that a file imports or names.
fn imports(text: &str) -> Vec<&str> {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let named = code.flat_map(|line| line.split("crate::").skip(1));
    named.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap()).collect()
}

#[test]
fn files_import_from_lower_floors_only() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        let from = module(&path);
        for to in imports(&text) {
            let listed = SIDEWAYS.iter().any(|(a, b, _)| (*a, *b) == (&*from, to));
            if to != from && !listed && floor(to) >= floor(&from) {
                wrong.push(format!("{}: {from} (F{}) imports {to} (F{})", path.display(), floor(&from), floor(to)));
            }
            if from == "emulator" && to != "emulator" {
                wrong.push(format!("{}: the emulator imports {to}", path.display()));
            }
        }
        if from == "http" && text.contains("bedrock::") || from == "bedrock" && text.contains("openai::") {
            wrong.push(format!("{}: http never names bedrock, bedrock never names openai", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_of_lib_has_a_floor() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: Vec<_> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() > 10);
    for module in modules {
        floor(module);
    }
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        let lines = text.lines().count();
        if lines > MAX_FILE {
            long.push(format!("{}: {lines} lines", path.display()));
        }
        if path.starts_with("src") {
            for (name, lines) in functions(&text).into_iter().filter(|(_, lines)| *lines > MAX_FUNCTION) {
                long.push(format!("{}: fn {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Names and lengths of functions, by the indentation that rustfmt gives their first and last lines.
fn functions(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, usize, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(super) ")
            .trim_start_matches("pub(crate) ");
        let words = words.trim_start_matches("const ").trim_start_matches("async ");
        if let Some(rest) = words.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap().to_owned();
            open.push((name, indent, number));
        }
        if line.trim() == "}" && open.last().is_some_and(|(_, at, _)| *at == indent) {
            let (name, _, start) = open.pop().unwrap();
            found.insert(name, number - start + 1);
        }
        // One-line bodies and signatures without one never see a closing line of their own.
        open.retain(|(_, at, start)| {
            *start == number
                || indent > *at
                || line.trim().is_empty()
                || line.trim() == "}"
                || line.trim().starts_with(')')
                || line.trim().starts_with("where")
        });
    }
    found
}

#[test]
fn functions_are_measured() {
    let text = "impl X {\n    pub async fn long(\n        &self,\n    ) -> u8 {\n        1\n    }\n\n    fn short() {}\n}\n\nfn free() {\n    fn inner() {\n    }\n}\n";
    let measured: Vec<_> = functions(text).into_iter().collect();
    assert_eq!(measured, [("free".to_owned(), 4), ("inner".to_owned(), 2), ("long".to_owned(), 5)]);
}

#[test]
fn files_open_with_what_they_are_for_and_must_not_do() {
    let mut silent = Vec::new();
    for (path, text) in files("src") {
        let opening: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let opening = opening.join(" ");
        let forbids = ["ust not", "never", "othing", "no ", "Knows"].iter().any(|words| opening.contains(words));
        if opening.len() < 30 || !forbids && module(&path) != "lib" {
            silent.push(path.display().to_string());
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

/// The environment, the clock and free tasks have one home each; clippy.toml says so, and the exceptions are here.
#[test]
fn exceptions_to_clippys_rules_give_reasons() {
    let mut homes = BTreeMap::new();
    for (path, text) in files("src") {
        let count = text.matches("clippy::disallowed_methods").count();
        if count > 0 {
            homes.insert(path.display().to_string(), count);
        }
        assert!(!text.contains("#[allow"), "{}: use #[expect(..., reason)]", path.display());
    }
    let expected = [
        ("src/bedrock/held.rs", 1),
        ("src/reply/tests/fuzz/mod.rs", 1),
        ("src/server/mod.rs", 3),
        ("src/server/workers.rs", 2),
        ("src/signals.rs", 2),
        ("src/store/bucket.rs", 1),
        ("src/surroundings.rs", 3),
    ];
    assert_eq!(homes.into_iter().collect::<Vec<_>>(), expected.map(|(path, count)| (path.to_owned(), count)));
}
