//! Several files as one: the config and what it includes, merged as LiteLLM merges them.
//!
//! Must not know what any key means but `include`, nor read a file outside the config's folder.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::file;
use super::report::{join, quote};
use super::section::{Field, Reader, Unset};

/// How deep files may include others.
const MAX_DEPTH: usize = 8;

/// The folder of the config, the only one that files are read from.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The config itself.
    config: PathBuf,
}

/// Another file than the config: what paths in it begin with, where it is, and its members.
pub(super) struct File {
    pub(super) prefix: String,
    path: PathBuf,
    pub(super) members: Option<Map<String, Value>>,
}

/// The members at the top of all files. A list may stand in several of them, everything else in one.
#[derive(Debug, Default)]
pub(super) struct Top(Vec<(String, Field)>);

impl Folder {
    /// The folder that a config stands in, if it can be looked into.
    pub(super) fn of(config: &Path) -> Option<Self> {
        let parent = config.parent().filter(|parent| !parent.as_os_str().is_empty());
        let path = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(Self { path, config: config.canonicalize().ok()? })
    }

    /// The real path of a file in it, or the end of a sentence that begins with the file's name.
    fn find(&self, name: &str) -> Result<PathBuf, &'static str> {
        let path =
            self.path.join(name).canonicalize().map_err(|_| "is not there. Paths begin at the config's folder")?;
        match path {
            path if !path.starts_with(&self.path) => Err("is outside the config's folder. Put it beside the config"),
            path if !path.is_file() => Err("is no file. Name one YAML file"),
            path => Ok(path),
        }
    }
}

impl Top {
    /// What stands under a key that is no list.
    pub(super) fn take(&mut self, key: &str) -> Option<Field> {
        self.take_all(key).pop()
    }

    /// What stands under a key, file by file.
    pub(super) fn take_all(&mut self, key: &str) -> Vec<Field> {
        let taken = self.0.extract_if(.., |(name, _)| name == key).map(|(_, field)| field);
        taken.filter(|field| !field.value.is_null()).collect()
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Vec<(String, Field)> {
        self.0
    }

    /// As in LiteLLM: a list goes on behind that of an earlier file, everything else replaces it.
    fn add(&mut self, key: String, field: Field, reader: &mut Reader) {
        let before = self.0.iter().find(|(name, _)| *name == key).map(|(_, field)| field);
        if let Some(before) = before.filter(|before| !(before.value.is_array() && field.value.is_array())) {
            let message = format!("replaces the whole of {}, as in LiteLLM. Write it in one of the files", before.path);
            reader.warn(&field.path, message);
            self.0.retain(|(name, _)| *name != key);
        }
        self.0.push((key, field));
    }
}

/// The top of a config and of everything that it includes.
pub(super) fn gather(yaml: &str, reader: &mut Reader) -> Option<Top> {
    let mut top = Top::default();
    let members = file::parse(yaml, "", &reader.budget, &mut reader.report)?;
    let config = reader.folder.as_ref().map(|folder| folder.config.clone()).unwrap_or_default();
    add_file(members, "", &mut top, &mut vec![config.clone()], &mut vec![config], reader);
    Some(top)
}

/// Another file, unless `known` holds it already; mistakes in its YAML are reported under its name.
pub(super) fn read(name: &str, known: &[PathBuf], reader: &mut Reader) -> Result<Option<File>, String> {
    let Some(folder) = &reader.folder else {
        return Err("other files cannot be read: this config is no file, so there is no folder to look in".into());
    };
    let path = folder.find(name).map_err(|why| format!("the file {} {why}", quote(name)))?;
    if known.contains(&path) {
        return Ok(None);
    }
    let prefix = format!("{}: ", quote(name).trim_matches('\''));
    // The reason would show the real path, which is nobody's business.
    let unreadable = |_| format!("the file {} cannot be read as UTF-8 text of up to 1 MB", quote(name));
    reader.files.push(path.clone());
    let yaml = file::read(&path).map_err(unreadable)?;
    let members = file::parse(&yaml, &prefix, &reader.budget, &mut reader.report);
    Ok(Some(File { prefix, path, members }))
}

/// Adds one file, then those that it includes. `open` are the files around it, `seen` all so far.
fn add_file(
    mut members: Map<String, Value>,
    prefix: &str,
    top: &mut Top,
    open: &mut Vec<PathBuf>,
    seen: &mut Vec<PathBuf>,
    reader: &mut Reader,
) {
    let others = members.shift_remove("include").filter(|value| !value.is_null());
    for (key, value) in members {
        let field = Field { path: join(prefix, &key), value };
        top.add(key, field, reader);
    }
    let list = others.map(|value| Field { path: join(prefix, "include"), value });
    for item in reader.list(list) {
        let Some(text) = reader.text(Some(item), Unset::Mistake) else { continue };
        if open.len() > MAX_DEPTH {
            reader.mistake(&text.path, format!("files include each other more than {MAX_DEPTH} deep. Include less"));
            continue;
        }
        match read(&text.value, seen, reader) {
            Err(message) => reader.mistake(&text.path, message),
            Ok(None) if around(open, &text.value, reader) => {
                reader.mistake(&text.path, format!("the file {} includes itself. Remove this line", text.shown));
            }
            Ok(None) => {
                let message = format!("the file {} is included already, so this line goes unused", text.shown);
                reader.warn(&text.path, message);
            }
            Ok(Some(File { members: None, .. })) => {}
            Ok(Some(File { prefix, path, members: Some(members) })) => {
                seen.push(path.clone());
                open.push(path);
                add_file(members, &prefix, top, open, seen, reader);
                open.pop();
            }
        }
    }
}

/// Whether a file is one of those that are just being read.
fn around(open: &[PathBuf], name: &str, reader: &Reader) -> bool {
    reader.folder.as_ref().and_then(|folder| folder.find(name).ok()).is_some_and(|path| open.contains(&path))
}
