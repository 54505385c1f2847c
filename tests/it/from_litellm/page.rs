//! The table as a page for people who come from LiteLLM. Must not say what no row asserts, save how to change over.

use super::table::{Row, Table};

const OPENING: &str = "\
# Coming from LiteLLM

<!-- Written by `cargo test --test it write_from_litellm -- --ignored` from tests/fixtures/from-litellm.yaml. -->

Easel reads the `litellm-config.yaml` that you have, answers the same paths and takes the same keys and flags. It
serves pictures from Amazon Bedrock and nothing else: text models in the file are named in a warning and skipped.

## What to change

One line of the compose file:

```diff
 services:
   litellm:
-    image: ghcr.io/berriai/litellm:main-stable
+    image: easel
     ports: [\"4000:4000\"]
     volumes: [\"./config.yaml:/app/config.yaml\"]
     command: [\"--config\", \"/app/config.yaml\"]
     environment: [LITELLM_MASTER_KEY, AWS_BEARER_TOKEN_BEDROCK]
```

Before that, `easel check config.yaml` says what the file means here: every deployment with model, region, price and
the model's last day; then what is wrong, and every key that goes unused, with the reason.

";

const EVIDENCE: &str = "\
## How to read the tables

LiteLLM is 1.106.2 from PyPI, without a database. Its column was seen at a real one in front of Easel's emulator,
which is as strict as Bedrock's documentation says Bedrock is; `tests/litellm/run.sh --table` asks it again. Easel's
column is asserted by `cargo test --test it from_litellm`. In both a number in front is the HTTP status; a request is
`POST /v1/images/generations` with a prompt and a model, and with what stands in its cell. A 4xx or 5xx of Easel's has
OpenAI's envelope with `message`, `type`, `param` and `code`, the code a string or null; LiteLLM writes the status as
the code, and `detail` instead of an envelope for 404 and 405.

";

/// The page.
pub(super) fn render(table: &Table) -> String {
    let mut page = OPENING.to_owned() + EVIDENCE;
    let rows = table.rows().count();
    let different = table.rows().filter(|(_, row)| row.why.is_some()).count();
    page += &format!("Of {rows} requests, {} are answered alike and {different} are not.\n\n", rows - different);
    page += "## What differs, and why\n\n";
    for group in &table.groups {
        let rows: Vec<_> = group.rows.iter().filter(|row| row.why.is_some()).collect();
        if rows.is_empty() || group.name == "What is not there" {
            continue;
        }
        page += &format!("### {}\n\n| asked | LiteLLM | Easel | why |\n|---|---|---|---|\n", group.name);
        for row in rows {
            page += &format!("| {} | {} | {} | {} |\n", asked(row), litellm(row), easel(row), why(row));
        }
        page.push('\n');
    }
    page += "## What is the same\n\n";
    for group in &table.groups {
        let rows: Vec<_> = group.rows.iter().filter(|row| row.why.is_none()).collect();
        if rows.is_empty() || group.name == "What is not there" {
            continue;
        }
        page += &format!("### {}\n\n| asked | LiteLLM | Easel |\n|---|---|---|\n", group.name);
        for row in rows {
            page += &format!("| {} | {} | {} |\n", asked(row), litellm(row), easel(row));
        }
        page.push('\n');
    }
    page + &missing(table)
}

/// What people may look for in vain.
fn missing(table: &Table) -> String {
    let mut page = "## What is not there\n\n| asked | LiteLLM | Easel | why |\n|---|---|---|---|\n".to_owned();
    for row in table.groups.iter().filter(|group| group.name == "What is not there").flat_map(|group| &group.rows) {
        page += &format!("| {} | {} | {} | {} |\n", asked(row), litellm(row), easel(row), why(row));
    }
    page + "\nNor are there keys, users, teams, budgets and spend (they need LiteLLM's database), its admin page, caching, \
            callbacks to other services, and any provider but Bedrock. `easel check` names each key of a config that \
            asks for one of them.\n"
}

fn asked(row: &Row) -> String {
    let request = row.request();
    match request.is_empty() {
        true => cell(&row.title),
        // Code cannot hold a backquote, and a cell no bar.
        false => format!("{}: `{}`", cell(&row.title), shortened(&request).replace('`', "'").replace('|', "\\|")),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(110) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn litellm(row: &Row) -> String {
    let text = row.litellm();
    match row.litellm_status() {
        Some(status) => cell(&format!("**{status}**{}", &text[3..])),
        None => cell(&text),
    }
}

fn easel(row: &Row) -> String {
    cell(&row.easel.in_words(row))
}

fn why(row: &Row) -> String {
    cell(row.why.as_deref().unwrap_or_default())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
