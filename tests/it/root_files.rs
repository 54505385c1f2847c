//! The files at the root keep the promises of the guide, and the documents hold together.

use std::path::{Path, PathBuf};
use std::process::Command;

use easel::emulator::Fault;

/// The key of the guide, put together here so that this file is no place that holds it.
const PUBLISHED: &str = concat!("sk-test-", "1234567890");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn line(path: &str, number: usize) -> String {
    read(path).lines().nth(number - 1).unwrap_or_default().to_owned()
}

/// Every file that git knows or would take, with `/` between folders.
fn files() -> Vec<String> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect()
}

#[test]
fn the_guides_lines_are_where_it_says() {
    assert_eq!(line("litellm-config.yaml", 6), "      api_key: os.environ/AWS_BEARER_TOKEN_BEDROCK");
    assert_eq!(line("docker-compose.yml", 27), "      - AWS_BEARER_TOKEN_BEDROCK=${AWS_BEARER_TOKEN_BEDROCK:-}");
    let ignored = read(".gitignore");
    for pattern in [".env", "*.key", "*.secret"] {
        assert!(ignored.lines().any(|line| line == pattern), "{pattern}");
    }
}

#[test]
fn compose_publishes_on_loopback_only() {
    let compose = read("docker-compose.yml");
    let list = compose.split("    ports:\n").skip(1);
    let ports: Vec<_> = list.flat_map(|rest| rest.lines().take_while(|line| line.starts_with("      - "))).collect();
    assert_eq!(ports[0], "      - \"127.0.0.1:${PORT:-4000}:4000\"");
    for port in ports {
        assert!(port.starts_with("      - \"127.0.0.1:"), "{port}");
    }
    assert!(!compose.contains("network_mode"));
    assert!(compose.contains("- ~/.aws:/home/easel/.aws:ro"));
}

#[test]
fn the_image_is_small_and_humble() {
    let dockerfile = read("Dockerfile");
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
    assert_eq!(user, Some("10001:10001"));
    // The engines that lack BuildKit's newer syntax build it too.
    for newer in ["# syntax=", "<<", "--link", "--mount"] {
        assert!(!dockerfile.contains(newer), "{newer}");
    }
    // Everything stays out of the build but what is named, so no .env and no key get in.
    let ignored = read(".dockerignore");
    let mut patterns = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(patterns.next(), Some("*"));
    for pattern in patterns {
        let path = pattern.strip_prefix('!').unwrap_or_else(|| panic!("'{pattern}' does not begin with '!'"));
        assert!(root().join(path).exists(), "{path}");
    }
}

/// Whoever finds the key in a file of ours may think that it guards something.
#[test]
fn the_published_key_is_named_where_it_must_be_and_nowhere_else() {
    let may = ["test-local.sh", ".env.example", "src/auth.rs", "README.md", "docs/API-KEYS.md"];
    let holders: Vec<_> = files()
        .into_iter()
        .filter(|path| !path.starts_with("tests/") && !may.contains(&path.as_str()))
        .filter(|path| std::fs::read(root().join(path)).is_ok_and(|bytes| holds(&bytes, PUBLISHED)))
        .collect();
    assert_eq!(holders, Vec::<String>::new());
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn fixtures_are_trimmed() {
    for path in files().into_iter().filter(|path| path.starts_with("tests/fixtures/")) {
        let size = root().join(&path).metadata().unwrap().len();
        assert!(size <= 200_000, "{path} has {size} bytes. Cut pictures short in fixtures");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let documents: Vec<_> = files().into_iter().filter(|path| path.ends_with(".md")).collect();
    assert!(documents.iter().any(|path| path == "README.md") && documents.iter().any(|path| path.starts_with("docs/")));
    for document in &documents {
        for target in links(&read(document)) {
            let (path, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
            let file = if path.is_empty() { PathBuf::from(document) } else { Path::new(document).with_file_name(path) };
            assert!(root().join(&file).exists(), "{document}: {target}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(root().join(&file)).unwrap();
                assert!(headings(&text).any(|heading| heading == anchor), "{document}: {target}");
            }
        }
    }
}

/// The relative targets of `[text](target)` outside fenced code.
fn links(markdown: &str) -> Vec<String> {
    let targets = prose(markdown).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The anchors that headings get.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    let heading = |line: &str| Some(line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase());
    prose(markdown).filter_map(heading).map(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("```").step_by(2).flat_map(str::lines)
}

/// The page's table is the emulator's own.
#[test]
fn the_page_of_the_emulator_lists_every_fault() {
    let page = read("docs/EMULATOR.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let faults: Vec<_> = Fault::names().iter().map(|(name, what)| format!("| `{name}` | {what} |")).collect();
    assert_eq!(rows, faults);
}

#[test]
fn the_changes_begin_with_this_version() {
    let begins = format!("# Changes\n\n## {}", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").starts_with(&begins));
    assert!(read("CHANGELOG.md").contains(&format!("{} faults", Fault::names().len())));
}
