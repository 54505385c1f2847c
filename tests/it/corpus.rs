//! Configs as LiteLLM's users have them, and everything that is said about each.
//! Must not be tidied up: what is odd in them is odd in the wild.

use std::path::Path;

use easel::catalog::Catalog;
use easel::config::Config;

use crate::config::{env, lines};

/// Variables that compose files pass to LiteLLM.
const VARIABLES: [(&str, &str); 4] = [
    ("LITELLM_MASTER_KEY", "sk-of-our-own"),
    ("AWS_BEARER_TOKEN_BEDROCK", "ABSK-example"),
    ("OPENAI_API_KEY", "sk-example"),
    ("DATABASE_URL", "postgresql://llm:secret@db:5432/litellm"),
];

/// Who serves what, then mistakes, then warnings.
fn said(path: &Path) -> String {
    let (head, mistakes, warnings) = match Config::load(path, &env(&VARIABLES), &Catalog::builtin()) {
        Ok(config) => {
            let entries = config.deployments.iter().map(|d| {
                let mock = if d.mock { ", a mock" } else { "" };
                format!("{} -> {} in {}{mock}", d.alias, d.model_id, d.region)
            });
            let wild = config.wildcards.iter().map(|w| format!("{} -> {} models", w.pattern, w.deployments().count()));
            let names = config.aliases.iter().map(|(name, alias)| format!("{name} -> {}", alias.target));
            let fallbacks = config.fallbacks.iter().map(|(from, to)| format!("{from} falls back to {}", to.join(", ")));
            let head: Vec<_> = entries.chain(wild).chain(names).chain(fallbacks).collect();
            (head.join("\n"), Vec::new(), config.warnings)
        }
        Err(found) => ("cannot be used".into(), found.mistakes, found.warnings),
    };
    let sections = [("mistakes", lines(&mistakes)), ("warnings", lines(&warnings))];
    let told = sections.iter().filter(|(_, text)| !text.is_empty()).map(|(kind, text)| format!("\n\n{kind}:\n{text}"));
    format!("{head}{}", told.collect::<String>())
}

#[test]
fn configs_of_the_wild() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 15, "{} configs", paths.len());
    let size: u64 = paths.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 40_000, "{size} bytes");
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = said(&path);
        assert!(!text.contains("secret@") && !text.contains("ABSK"), "{text}");
        insta::assert_snapshot!(format!("corpus_{name}"), text);
    }
}
