//! The YAML as it was written: text in, a tree of maps, lists and scalars out, merge keys (`<<`) resolved.
//!
//! Must not know what any key means; it drops nothing and reads no environment.

use std::cell::Cell;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use super::Notice;
use super::report::{Report, join};

/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Tags that a catalogue's choices are written with.
const CHOICES: [&str; 4] = ["!pixels", "!sizes", "!aspect_ratios", "!stability_services"];

const TOO_LONG: &str = "the config is longer than 1 MB, which no model list needs";

/// Most that a file may become once its aliases are written out, in bytes of scalars and 8 for each node.
const MAX_EXPANDED: usize = 8 << 20;

/// The text of the file.
pub(super) fn read(path: &Path) -> Result<String, Notice> {
    let shown = path.display();
    let fail = |error: std::io::Error| whole(format!("cannot read the config '{shown}': {error}"));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(whole(TOO_LONG.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| whole(format!("the config '{shown}' is not UTF-8. Save it as UTF-8")))
}

/// What may still be written out, for all files of a config together.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_EXPANDED))
    }
}

/// The tree of a file; its top has to be a map. `top` is empty for the config itself, `name.yaml: ` for another file.
pub(super) fn parse(yaml: &str, top: &str, budget: &Budget, report: &mut Report) -> Option<Map<String, Value>> {
    let file = top.trim_end_matches(": ");
    let what = if file.is_empty() { "config" } else { "file" };
    match tree(yaml, budget) {
        Ok(Yaml::Null) => report.mistake(file, format!("the {what} is empty. It needs at least a 'model_list'")),
        Ok(tree @ Yaml::Mapping(_)) => {
            if let Value::Object(members) = json(tree, top, report) {
                return Some(members);
            }
        }
        Ok(_) => report.mistake(file, format!("the {what} is no map. It begins with a line such as 'model_list:'")),
        Err(notice) => report.mistake(file, notice.message),
    }
    None
}

fn tree(yaml: &str, Budget(left): &Budget) -> Result<Yaml, Notice> {
    if u64::try_from(yaml.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(whole(TOO_LONG.to_owned()));
    }
    // An alias costs three bytes and may stand for half the file, so size is counted before anything is built.
    Weight(left).deserialize(serde_yaml::Deserializer::from_str(yaml)).map_err(|e| broken(&e))?;
    let mut tree: Yaml = serde_yaml::from_str(yaml).map_err(|e| broken(&e))?;
    tree.apply_merge().map_err(|e| broken(&e))?;
    Ok(tree)
}

fn whole(message: String) -> Notice {
    Notice { path: String::new(), message }
}

fn broken(error: &serde_yaml::Error) -> Notice {
    let text = error.to_string();
    match error.location() {
        Some(place) if !text.contains(" at line ") => {
            whole(format!("the YAML is broken: {text} at line {} column {}", place.line(), place.column()))
        }
        _ => whole(format!("the YAML is broken: {text}")),
    }
}

/// The same tree in JSON's types, which the rest of Easel speaks; what has no counterpart is a mistake.
fn json(value: Yaml, path: &str, report: &mut Report) -> Value {
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64().and_then(serde_json::Number::from_f64)) {
            (Some(n), _, _) => n.into(),
            (_, Some(n), _) => n.into(),
            (_, _, Some(n)) => Value::Number(n),
            (None, None, None) => Value::String(n.to_string()),
        },
        Yaml::String(s) => Value::String(s),
        Yaml::Sequence(items) => {
            items.into_iter().enumerate().map(|(i, item)| json(item, &format!("{path}[{i}]"), report)).collect()
        }
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                match key_text(key) {
                    Some(key) => {
                        let value = json(value, &join(path, &key), report);
                        object.insert(key, value);
                    }
                    None => report.mistake(path, "a key here is a list or a map. Keys are plain texts"),
                }
            }
            Value::Object(object)
        }
        // Easel's own catalogue writes a choice as a tag; elsewhere it is the name of the only member.
        Yaml::Tagged(tagged) if CHOICES.iter().any(|tag| tagged.tag == *tag) => {
            let name = tagged.tag.to_string().trim_start_matches('!').to_owned();
            let value = json(tagged.value, &join(path, &name), report);
            Value::Object(Map::from_iter([(name, value)]))
        }
        Yaml::Tagged(tagged) => {
            report.mistake(path, format!("the tag '{}' means nothing here. Leave it out", tagged.tag));
            Value::Null
        }
    }
}

fn key_text(key: Yaml) -> Option<String> {
    match key {
        Yaml::String(text) => Some(text),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(b) => Some(b.to_string()),
        Yaml::Null => Some("null".into()),
        Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => None,
    }
}

/// Walks a document without building it and stops when it weighs too much.
#[derive(Clone, Copy)]
struct Weight<'a>(&'a Cell<usize>);

impl Weight<'_> {
    fn add<E: Error>(self, weight: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(weight + 8);
        self.0.set(left.ok_or_else(|| E::custom("its aliases repeat too much"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Weight<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weight<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.add(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.add(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.add(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.add(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.add(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.add(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.add(text.len())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.add(0)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.add(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.add(0)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.add(0)?;
        while members.next_key_seed(self)?.is_some() {
            members.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), content) = tagged.variant_seed(self)?;
        content.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(yaml: &str, expect: &str) {
        let mut report = Report::default();
        let shown = match parse(yaml, "", &Budget::default(), &mut report) {
            Some(tree) if report.mistakes.is_empty() => Value::Object(tree).to_string(),
            _ => report.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn reads_maps_lists_and_scalars() {
        check("a: [1, -2, 2.5, yes, 'x', true, null]\n3: b", r#"{"a":[1,-2,2.5,"yes","x",true,null],"3":"b"}"#);
    }

    #[test]
    fn resolves_anchors_and_merge_keys() {
        check("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", r#"{"x":{"a":1,"b":2},"y":{"b":3,"a":1}}"#);
    }

    #[test]
    fn says_where_the_yaml_breaks() {
        check(
            "a: 1\nb: [1, 2",
            "the YAML is broken: did not find expected ',' or ']' at line 3 column 1, while parsing a flow sequence at \
             line 2 column 4",
        );
        check("a: 1\na: 2", "the YAML is broken: duplicate entry with key \"a\" at line 1 column 1");
        check("a: *b", "the YAML is broken: unknown anchor at line 1 column 4");
    }

    #[test]
    fn names_what_is_no_config() {
        check("", "the config is empty. It needs at least a 'model_list'");
        check("- a", "the config is no map. It begins with a line such as 'model_list:'");
        check("size: !pixels {a: 1}", r#"{"size":{"pixels":{"a":1}}}"#);
        check("a: !secret b", "a: the tag '!secret' means nothing here. Leave it out");
        check("a: {[1]: 2}", "a: a key here is a list or a map. Keys are plain texts");
    }

    #[test]
    fn bombs_cycles_and_depth_end_in_a_mistake() {
        let lots = |n: usize| vec!["*a"; n].join(",");
        let wide = format!("a: &a [{}]\nb: [{}]", vec!["x"; 20_000].join(","), lots(20_000));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), lots(1_000));
        let mut nested = String::from("a: &a [x,x]\n");
        for letter in 'b'..='z' {
            let before = char::from(letter as u8 - 1);
            nested.push_str(&format!("{letter}: &{letter} [*{before},*{before},*{before},*{before},*{before}]\n"));
        }
        let deep = "[".repeat(20_000);
        for bomb in [&wide, &long, &nested, &deep, "a: &a [*a]", "a: &a\n  <<: *a"] {
            assert!(parse(bomb, "", &Budget::default(), &mut Report::default()).is_none(), "{}", &bomb[..10]);
        }
        assert!(tree(&"a".repeat(1 << 21), &Budget::default()).is_err());
    }
}
