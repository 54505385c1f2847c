//! Reads typed values out of the tree as written, one key at a time, and expands `os.environ/NAME` on the way.
//!
//! What nobody takes stays behind, so that it can be reported. Must not know what any key means, only that
//! `keys.rs` says it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::Environment;
use super::file::Budget;
use super::include::Folder;
use super::keys;
use super::report::{Report, join, quote};
use crate::wishes::describe;

/// A map of the file whose members are taken out as they are understood.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) path: String,
    pub(super) members: Map<String, Value>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) value: Value,
}

/// A text, where it stands and how a message may show it: what came from the environment is never quoted.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) shown: String,
}

/// A secret and where it comes from, in words.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) path: String,
    pub(super) value: SecretString,
    pub(super) source: String,
    /// The file that it was read from, if a variable names one.
    pub(super) file: Option<PathBuf>,
}

/// Variables that nobody has to write into a config: their secrets may stand in files too.
const UNWRITTEN: [&str; 3] = ["AWS_BEARER_TOKEN_BEDROCK", "AWS_BEARER_TOKEN_BEDROCK_NEXT", "LITELLM_MASTER_KEY"];

/// With `_FILE` at their ends these are AWS's own variables, which mean something else.
const AWS_FILES: [&str; 4] =
    ["AWS_CONFIG", "AWS_SHARED_CREDENTIALS", "AWS_WEB_IDENTITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// What an unset variable behind `os.environ/NAME` means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// The config cannot be used.
    Mistake,
    /// The key counts as absent, and that is said.
    Warning,
    /// The key counts as absent.
    Silent,
}

impl Section {
    /// The value of a key; `null` counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<Field> {
        let path = join(&self.path, key);
        debug_assert!(self.path.is_empty() || keys::has_row(&path), "{path} has no row in config/keys.rs");
        let value = self.members.shift_remove(key).filter(|value| !value.is_null())?;
        Some(Field { path, value })
    }

    /// Everything that nobody has taken.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Field)> {
        let path = self.path;
        self.members.into_iter().map(move |(key, value)| {
            let path = join(&path, &key);
            (key, Field { path, value })
        })
    }
}

/// The environment and the report that reading needs, and where other files are.
pub(super) struct Reader {
    pub(super) env: Environment,
    pub(super) report: Report,
    /// Absent where the config is a text without a place.
    pub(super) folder: Option<Folder>,
    /// The other files that have been read.
    pub(super) files: Vec<PathBuf>,
    pub(super) budget: Budget,
}

impl Reader {
    pub(super) fn mistake(&mut self, path: &str, message: impl Into<String>) {
        self.report.mistake(path, message);
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.report.warn(path, message);
    }

    fn wrong_type(&mut self, field: &Field, expected: &str) {
        self.mistake(&field.path, format!("expected {expected}, got {}", kind(&field.value)));
    }

    /// A map; an absent one is empty.
    pub(super) fn section(&mut self, parent: &mut Section, key: &str) -> Section {
        let path = join(&parent.path, key);
        self.section_at(path, parent.take(key))
    }

    /// The map that stands at a path; what is absent or no map is empty.
    pub(super) fn section_at(&mut self, path: String, written: Option<Field>) -> Section {
        written.and_then(|field| self.map(field)).unwrap_or(Section { path, members: Map::new() })
    }

    /// The field as a map.
    pub(super) fn map(&mut self, field: Field) -> Option<Section> {
        match field.value {
            Value::Object(members) => Some(Section { path: field.path, members }),
            _ => {
                self.wrong_type(&field, "a map of keys and values");
                None
            }
        }
    }

    /// The items of a list of texts.
    pub(super) fn texts(&mut self, field: Option<Field>) -> Vec<Text> {
        self.list(field).into_iter().filter_map(|item| self.text(Some(item), Unset::Mistake)).collect()
    }

    /// The field as a list.
    pub(super) fn list(&mut self, field: Option<Field>) -> Vec<Field> {
        let Some(field) = field else { return Vec::new() };
        match field.value {
            Value::Array(items) => {
                let place = |(i, value)| Field { path: format!("{}[{i}]", field.path), value };
                items.into_iter().enumerate().map(place).collect()
            }
            _ => {
                self.wrong_type(&field, "a list, each item on a line that begins with '- '");
                Vec::new()
            }
        }
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(&mut self, field: Option<Field>, unset: Unset) -> Option<Text> {
        let field = field?;
        let Value::String(written) = &field.value else {
            self.mistake(&field.path, format!("expected a text, got {}. Put it in quotes", kind(&field.value)));
            return None;
        };
        let written = written.trim();
        let text = match self.reference(&field.path, written) {
            None => Text { path: field.path, value: written.to_owned(), shown: quote(written) },
            Some(name) => {
                let value = self.variable(&field.path, name, unset)?;
                Text { path: field.path, value: value.trim().to_owned(), shown: format!("from os.environ/{name}") }
            }
        };
        Some(text).filter(|text| !text.value.is_empty())
    }

    /// A secret; it is neither quoted nor described when it is wrong.
    pub(super) fn secret(&mut self, field: Option<Field>, unset: Unset) -> Option<Secret> {
        let field = field?;
        let Value::String(written) = &field.value else {
            self.mistake(&field.path, "expected a text. Put it in quotes, or write 'os.environ/NAME'");
            return None;
        };
        let name = written.trim().strip_prefix("os.environ/").map(str::trim);
        let file = name.and_then(|name| self.file_of(&field.path, name));
        let source = match (name, &file) {
            (Some(name), None) => format!("os.environ/{name}"),
            (Some(name), Some(file)) => format!("the file {} ({name}_FILE)", file.display()),
            (None, _) => "the config itself".into(),
        };
        let Text { path, value, .. } = self.text(Some(field), unset)?;
        if !value.chars().all(|c| c.is_ascii_graphic()) {
            let message = "holds spaces or characters that no header can carry. Copy it again";
            self.mistake(&path, format!("the secret from {source} {message}"));
            return None;
        }
        Some(Secret { path, value: value.into(), source, file })
    }

    /// The variable that a text refers to; near misses of the notation are pointed out.
    fn reference<'t>(&mut self, path: &str, text: &'t str) -> Option<&'t str> {
        let name = text.strip_prefix("os.environ/").map(str::trim);
        let alike = ["${", "os.environ", "os.getenv", "env/", "env.", "$AWS_", "$LITELLM_"];
        if name.is_none() && alike.iter().any(|a| text.starts_with(a)) {
            self.warn(path, "this is taken as it stands. To read a variable, write 'os.environ/NAME'");
        }
        name
    }

    /// The file that stands in for a variable that is not set: secrets of Docker and Kubernetes are files.
    fn file_of(&self, path: &str, name: &str) -> Option<PathBuf> {
        let may = (!path.is_empty() || UNWRITTEN.contains(&name)) && !AWS_FILES.contains(&name);
        let unset = self.env.get(name).is_none();
        self.env.get(&format!("{name}_FILE")).filter(|_| may && unset).map(PathBuf::from)
    }

    fn variable(&mut self, path: &str, name: &str, unset: Unset) -> Option<String> {
        if let Some(file) = self.file_of(path, name) {
            self.files.push(file.clone());
            return match std::fs::read_to_string(&file) {
                Ok(value) => Some(value),
                Err(error) => {
                    let place = file.display();
                    self.mistake(path, format!("the file {place} that {name}_FILE names cannot be read: {error}"));
                    None
                }
            };
        }
        let value = self.env.get(name).map(str::to_owned);
        match unset {
            _ if value.is_some() => {}
            Unset::Mistake => {
                self.mistake(path, format!("the variable {} is not set. Set it, or write the value here", quote(name)));
            }
            Unset::Warning => {
                self.warn(path, format!("the variable {} is not set, so this key counts as absent", quote(name)));
            }
            Unset::Silent => {}
        }
        value
    }

    /// Expands every `os.environ/NAME` inside a value, and returns the variables that were used.
    pub(super) fn expand(&mut self, path: &str, value: &mut Value) -> Vec<String> {
        match value {
            Value::String(text) => {
                let Some(name) = text.strip_prefix("os.environ/").map(|name| name.trim().to_owned()) else {
                    return Vec::new();
                };
                // A variable only holds texts; one that reads as a number is meant as one, as in YAML.
                let number = |text: String| match serde_json::from_str(&text) {
                    Ok(number) => Value::Number(number),
                    Err(_) => Value::String(text),
                };
                *value = self.variable(path, &name, Unset::Mistake).map_or(Value::Null, number);
                vec![name]
            }
            Value::Array(items) => {
                let each = items.iter_mut().enumerate();
                each.flat_map(|(i, item)| self.expand(&format!("{path}[{i}]"), item)).collect()
            }
            Value::Object(members) => {
                members.iter_mut().flat_map(|(key, member)| self.expand(&join(path, key), member)).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }

    /// A number, also one in quotes or from a variable; `accepted` says in words what `accepts` does.
    pub(super) fn number(
        &mut self,
        field: Option<Field>,
        accepted: &str,
        accepts: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let field = field?;
        let path = field.path.clone();
        let (number, shown) = match &field.value {
            Value::Number(number) => (number.as_f64(), number.to_string()),
            Value::String(_) => {
                let text = self.text(Some(field), Unset::Mistake)?;
                (text.value.parse().ok(), text.shown)
            }
            _ => {
                self.wrong_type(&field, "a number");
                return None;
            }
        };
        let found = number.filter(|number| number.is_finite() && accepts(*number));
        if found.is_none() {
            self.mistake(&path, format!("the value {shown} is not accepted. Write {accepted}"));
        }
        found
    }

    /// A share or a price: any number from 0 on.
    pub(super) fn amount(&mut self, field: Option<Field>) -> Option<f64> {
        self.number(field, "a number from 0 on", |number| number >= 0.0)
    }

    /// A whole number from 0 to 1000.
    pub(super) fn count(&mut self, field: Option<Field>) -> Option<u32> {
        let whole = |number: f64| number.fract() == 0.0 && (0.0..=1000.0).contains(&number);
        format!("{}", self.number(field, "a whole number from 0 to 1000", whole)?).parse().ok()
    }

    /// A duration in seconds, longer than nothing and shorter than a year.
    pub(super) fn seconds(&mut self, field: Option<Field>) -> Option<Duration> {
        let duration = |number: f64| (0.001..31_536_000.0).contains(&number);
        self.number(field, "seconds above 0, such as 300", duration).map(Duration::from_secs_f64)
    }

    /// A switch; LiteLLM's YAML also knows `yes`, `on` and their opposites, and a variable only has texts.
    pub(super) fn switch(&mut self, field: Option<Field>) -> Option<bool> {
        let field = field?;
        let path = field.path.clone();
        let shown = match &field.value {
            Value::Bool(on) => return Some(*on),
            Value::String(_) => {
                let text = self.text(Some(field), Unset::Mistake)?;
                match truth(&text.value) {
                    Some(on) => return Some(on),
                    None => text.shown,
                }
            }
            other => kind(other),
        };
        self.mistake(&path, format!("the value {shown} is not accepted. Write true or false"));
        None
    }
}

/// A value in YAML's words, without showing a key.
fn kind(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {}", quote(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => describe(value),
    }
}

/// A truth value in words.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" => Some(false),
        _ => None,
    }
}
