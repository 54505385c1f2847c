//! The table of `tests/fixtures/from-litellm.yaml`: every request is asked of a real Easel, and
//! `docs/FROM-LITELLM.md` is what the table says. Must not hold a row of its own.

mod page;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestProxy, header};
use table::{Easel, Row, Table, leaves};

/// The master key of every row that shows one.
const KEY: &str = "sk-of-our-own-0001";

/// What came back.
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    /// None where the connection broke.
    text: Option<String>,
}

impl Reply {
    fn json(&self) -> Value {
        self.text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

async fn proxy(table: &Table, config: &str, data: &Path) -> TestProxy {
    TestProxy::with(&table.configs[config]).env("LITELLM_MASTER_KEY", KEY).data_dir(data).start().await
}

async fn ask(proxy: &TestProxy, table: &Table, row: &Row, fault: &str) -> Reply {
    let (method, path) = row.at.split_once(' ').unwrap();
    let mut request = proxy.client.request(Method::from_bytes(method.as_bytes()).unwrap(), proxy.url.clone() + path);
    if row.key {
        request = request.bearer_auth(KEY);
    }
    for (name, value) in &row.headers {
        request = request.header(name, value.replace("$KEY", KEY));
    }
    if let Some(body) = table.body(row, fault) {
        request = request.body(body);
        if !row.content_type.is_empty() {
            request = request.header("content-type", &row.content_type);
        }
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.ok() }
}

/// Everything in which a row's answer differs from what the table says.
fn differences(row: &Row, reply: &Reply, proxy: &TestProxy, calls_before: usize) -> Vec<String> {
    let easel = &row.easel;
    let mut wrong = Vec::new();
    let mut check = |what: &str, is: Value, should: Value| {
        if is != should {
            wrong.push(format!("{what} is {is}, not {should}"));
        }
    };
    check("status", reply.status.into(), easel.status.into());
    check("the connection's end", reply.text.is_none().into(), easel.broken.into());
    let body = reply.json();
    if row.paints() && !easel.broken {
        check("pictures", body["data"].as_array().map_or(0, Vec::len).into(), easel.pictures.into());
    }
    if easel.status >= 400 && !row.at.starts_with("HEAD") {
        check("error.code", body["error"]["code"].clone(), json!(easel.code));
        if let Some(param) = &easel.param {
            check("error.param", body["error"]["param"].clone(), param.as_str().into());
        }
    }
    for (pointer, should) in &easel.reply {
        let is = body.pointer(pointer).cloned().unwrap_or_default();
        match should.as_str() {
            Some("*") => check(pointer, (!is.is_null()).into(), true.into()),
            _ => check(pointer, is, should.clone()),
        }
    }
    for (name, should) in &easel.headers {
        let is = header(&reply.headers, name);
        match should.as_deref() {
            Some("*") if !is_literal(name) => check(name, is.is_empty().into(), false.into()),
            should => check(name, is.into(), should.unwrap_or_default().into()),
        }
    }
    let calls = &proxy.calls()[calls_before..];
    check("calls", calls.len().into(), row.calls().into());
    for call in calls {
        for (name, should) in &easel.sends_headers {
            check(name, header(&call.headers, name).into(), should.clone().unwrap_or_default().into());
        }
        if let Some(path) = &easel.path {
            check("path", call.raw_path.as_str().into(), path.as_str().into());
        }
        if let Some(auth) = &easel.auth {
            check("auth", call.auth.as_str().into(), auth.as_str().into());
        }
    }
    let text = reply.text.as_deref().unwrap_or_default();
    for words in [&easel.text, &easel.says].into_iter().flatten() {
        if !text.replace("\\\"", "\"").contains(&**words) {
            wrong.push(format!("'{words}' is not in {}", text.chars().take(300).collect::<String>()));
        }
    }
    let sent: Vec<_> = calls.iter().map(|call| leaves(&call.body)).collect();
    let as_said = |sent: &BTreeMap<String, Value>| {
        easel.sends.iter().all(|(name, should)| sent.get(name).unwrap_or(&Value::Null) == should)
    };
    if !easel.sends.is_empty() && !sent.iter().any(as_said) {
        wrong.push(format!("no call carries {:?}, but {sent:?}", easel.sends));
    }
    wrong
}

/// Time stands still but for waits, so that the tries of a row cost none; a server for each row that breaks things,
/// and one for each config otherwise.
#[tokio::test(start_paused = true)]
async fn every_row_is_as_the_table_says() {
    let (table, data) = (Table::read(), tempfile::tempdir().unwrap());
    let mut proxies = BTreeMap::new();
    let mut wrong = Vec::new();
    for (group, row) in table.rows() {
        let own = proxy_of_its_own(row);
        let proxy = match own {
            true => &proxy(&table, &row.config, data.path()).await,
            false => {
                if !proxies.contains_key(&row.config) {
                    proxies.insert(row.config.clone(), proxy(&table, &row.config, data.path()).await);
                }
                &proxies[&row.config]
            }
        };
        if let Some(fault) = &row.before {
            ask(proxy, &table, row, fault).await;
        }
        let calls_before = proxy.calls().len();
        let reply = ask(proxy, &table, row, row.fault.as_deref().unwrap_or("tiny")).await;
        let found = differences(row, &reply, proxy, calls_before);
        if !found.is_empty() {
            wrong.push(format!("{} / {}: {}", group.name, row.title, found.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{} rows are not as the table says:\n{}", wrong.len(), wrong.join("\n"));
}

/// Faults put deployments to rest, which the next row must not feel.
fn proxy_of_its_own(row: &Row) -> bool {
    row.fault.is_some() || row.before.is_some() || row.config == "fallbacks"
}

#[test]
fn the_table_is_sound() {
    let table = Table::read();
    assert!(table.rows().count() >= 150);
    let mut wrong = Vec::new();
    for (group, row) in table.rows() {
        let litellm = row.litellm_status();
        if row.why.is_none() && litellm.is_some_and(|status| status != row.easel.status) {
            wrong.push(format!("{} / {}: the statuses differ, and nothing says why", group.name, row.title));
        }
        if row.why.is_none() && litellm.is_none() {
            wrong.push(format!(
                "{} / {}: what LiteLLM does is unknown, and nothing says why ours",
                group.name, row.title
            ));
        }
        let easel = &row.easel;
        if easel.status < 400 && (easel.code.is_some() || easel.param.is_some() || easel.says.is_some()) {
            wrong.push(format!("{} / {}: an error without a status", group.name, row.title));
        }
    }
    let titles: Vec<_> = table.rows().map(|(group, row)| (&group.name, &row.title)).collect();
    for (at, title) in titles.iter().enumerate() {
        if titles[..at].contains(title) {
            wrong.push(format!("{title:?} stands twice"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether an asterisk is the header's value, and not a stand-in for any.
fn is_literal(header: &str) -> bool {
    header.starts_with("access-control-")
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/FROM-LITELLM.md")
}

#[test]
fn the_page_says_what_the_table_says() {
    let written = std::fs::read_to_string(document()).unwrap_or_default();
    let same = written == page::render(&Table::read());
    assert!(
        same,
        "docs/FROM-LITELLM.md is out of date. Write it: cargo test --test it write_from_litellm -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/FROM-LITELLM.md"]
fn write_from_litellm() {
    std::fs::write(document(), page::render(&Table::read())).unwrap();
}

impl Easel {
    /// What is expected, in a few words for the page.
    fn in_words(&self, row: &Row) -> String {
        let mut words = format!("**{}**", self.status);
        let mut add = |text: String| words += &text;
        if let Some(code) = &self.code {
            add(format!(" `{code}`"));
        }
        if let Some(param) = &self.param {
            add(format!(" at `{param}`"));
        }
        if let Some(says) = &self.says {
            add(format!(": “{says}”"));
        }
        if row.paints() && self.broken {
            add(" and a connection that ends in mid-picture".into());
        } else if row.paints() && (self.pictures != 1 || row.calls() != 1) {
            let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            add(format!(" {} in {}", plural(self.pictures, "picture"), plural(row.calls(), "call")));
        } else if row.fault.is_some() && row.calls() > 0 {
            add(format!(" after {} call{}", row.calls(), if row.calls() == 1 { "" } else { "s" }));
        }
        let sent = self.sends.iter().filter(|(_, value)| !value.is_null());
        let sent: Vec<_> =
            sent.map(|(name, value)| format!("`{}: {value}`", name.rsplit('/').next().unwrap_or(name))).collect();
        if !sent.is_empty() {
            add(format!(", sends {}", sent.join(", ").replace(" emulate:tiny", "")));
        }
        for (name, value) in self.headers.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            let any = value == "*" && !is_literal(name);
            add(if any { format!("; `{name}`") } else { format!("; `{name}: {value}`") });
        }
        if let Some(auth) = &self.auth {
            add(format!(", signed by {auth}"));
        }
        words
    }
}
