//! The table as it is written, with what a row leaves out filled in. Must not judge an answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) configs: BTreeMap<String, String>,
    pub(super) groups: Vec<Group>,
}

/// Rows about one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    /// The config of its rows, unless one has its own.
    config: String,
    pub(super) rows: Vec<Row>,
}

/// One request and both answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) title: String,
    #[serde(default = "generations")]
    pub(super) at: String,
    #[serde(default)]
    pub(super) config: String,
    pub(super) body: Option<Map<String, Value>>,
    exact: Option<Value>,
    pub(super) raw: Option<String>,
    prompt_chars: Option<usize>,
    #[serde(default = "json_type", rename = "type")]
    pub(super) content_type: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub(super) key: bool,
    pub(super) fault: Option<String>,
    pub(super) before: Option<String>,
    /// Why a real LiteLLM is not asked; read by `tests/litellm`.
    #[serde(rename = "skip_litellm")]
    _skip: Option<String>,
    litellm: Value,
    pub(super) easel: Easel,
    pub(super) why: Option<String>,
}

/// What Easel answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Easel {
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default = "one")]
    pub(super) pictures: usize,
    calls: Option<usize>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) says: Option<String>,
    #[serde(default)]
    pub(super) sends: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) sends_headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub(super) reply: BTreeMap<String, Value>,
    pub(super) path: Option<String>,
    pub(super) text: Option<String>,
    pub(super) auth: Option<String>,
    #[serde(default)]
    pub(super) broken: bool,
}

fn generations() -> String {
    "POST /v1/images/generations".into()
}

fn json_type() -> String {
    "application/json".into()
}

fn yes() -> bool {
    true
}

fn ok() -> u16 {
    200
}

fn one() -> usize {
    1
}

impl Table {
    pub(super) fn read() -> Self {
        let mut table: Self = serde_yaml::from_str(include_str!("../../fixtures/from-litellm.yaml")).unwrap();
        for group in &mut table.groups {
            for row in group.rows.iter_mut().filter(|row| row.config.is_empty()) {
                row.config.clone_from(&group.config);
            }
        }
        table
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Group, &Row)> {
        self.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)))
    }

    /// The body that is sent; the prompt asks the emulator for the fault.
    pub(super) fn body(&self, row: &Row, fault: &str) -> Option<String> {
        if let Some(raw) = &row.raw {
            return Some(raw.clone());
        }
        if let Some(exact) = &row.exact {
            return Some(exact.to_string());
        }
        if !row.at.starts_with("POST") {
            return None;
        }
        let mut body = json!({"model": self.first_model(&row.config), "prompt": format!("a cat emulate:{fault}")});
        if let Some(length) = row.prompt_chars {
            body["prompt"] = format!("{:x<length$}", "emulate:tiny ").into();
        }
        body.as_object_mut().unwrap().extend(row.body.clone().unwrap_or_default());
        Some(body.to_string())
    }

    fn first_model(&self, config: &str) -> &str {
        let text = &self.configs[config];
        text.split("model_name: ").nth(1).and_then(|rest| rest.lines().next()).unwrap()
    }
}

impl Row {
    /// Whether Easel answers a document with pictures.
    pub(super) fn paints(&self) -> bool {
        self.at.starts_with("POST") && self.easel.status == 200 && self.easel.text.is_none()
    }

    /// Calls at Bedrock: one for an answer of pictures and none for a refusal, unless the row says otherwise.
    pub(super) fn calls(&self) -> usize {
        self.easel.calls.unwrap_or(self.paints().into())
    }

    /// LiteLLM's status and words.
    pub(super) fn litellm(&self) -> String {
        self.litellm.as_str().map_or_else(|| self.litellm.to_string(), str::to_owned)
    }

    /// LiteLLM's status, if it is known.
    pub(super) fn litellm_status(&self) -> Option<u16> {
        self.litellm().get(..3)?.parse().ok()
    }

    /// What a reader has to know of the request besides its title.
    pub(super) fn request(&self) -> String {
        let mut parts = Vec::new();
        if self.at != generations() {
            parts.push(self.at.clone());
        }
        if let Some(body) = self.body.as_ref().filter(|body| !body.is_empty()) {
            parts.push(Value::Object(body.clone()).to_string());
        }
        if let Some(exact) = &self.exact {
            parts.push(exact.to_string());
        }
        if let Some(raw) = self.raw.as_ref().filter(|raw| !raw.is_empty() && !raw.contains('\n')) {
            parts.push(raw.clone());
        }
        parts.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        parts.join(" ").replace(" emulate:tiny", "").replace("emulate:tiny", "")
    }
}

/// The members of a body by pointer (`/a/b`) and by their own name.
pub(super) fn leaves(body: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        for (inner, value) in value.as_object().into_iter().flatten() {
            found.insert(format!("/{name}/{inner}"), value.clone());
            found.insert(inner.clone(), value.clone());
        }
        found.insert(name.clone(), value.clone());
    }
    found
}
