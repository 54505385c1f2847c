//! A small checker of JSON bodies that complains in Bedrock's words.
//! It must not know any model: each model's file brings its own rules as data.
use super::problem::Problem;
use serde_json::Value;

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// A string, its length counted in characters.
    Text { min: usize, max: usize },
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A whole number, in steps of `step`.
    Whole { min: u64, max: u64, step: u64 },
    /// Any number.
    Number { min: f64, max: f64 },
    /// `#RRGGBB`.
    Colour,
    /// True or false.
    Flag,
    /// Base64 of a picture; what is in it is not a matter of the schema.
    Image,
    /// A list whose items all obey one rule.
    List { min: usize, max: usize, item: &'static Rule },
    /// An object with these members and no other.
    Object(&'static [Field]),
    /// An object with these members, of which exactly one of those named must be there.
    Either(&'static [Field], &'static [&'static str]),
}

/// One member of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
}

/// A member that may be left out.
pub(super) const fn may(name: &'static str, rule: Rule) -> Field {
    Field { name, required: false, rule }
}

/// A member that must be there.
pub(super) const fn must(name: &'static str, rule: Rule) -> Field {
    Field { name, required: true, rule }
}

/// Holds a body to its rules. One violation is told in full, several are only counted, as Bedrock does.
pub(super) fn check(body: &Value, members: &[Field]) -> Result<(), Problem> {
    let mut found = Vec::new();
    object(body, "#", members, &mut found);
    match found.as_slice() {
        [] => Ok(()),
        [one] => Err(Problem::malformed(one)),
        several => Err(Problem::malformed(&format!("{} schema violations found", several.len()))),
    }
}

fn object(value: &Value, path: &str, members: &[Field], found: &mut Vec<String>) {
    let Some(map) = value.as_object() else {
        return found.push(wrong_type(path, "JSONObject", value));
    };
    for field in members {
        match map.get(field.name) {
            Some(value) => rule(value, &format!("{path}/{}", field.name), &field.rule, found),
            None if field.required => found.push(format!("{path}: required key [{}] not found", field.name)),
            None => {}
        }
    }
    for key in map.keys().filter(|key| members.iter().all(|field| field.name != key.as_str())) {
        found.push(format!("{path}: extraneous key [{key}] is not permitted"));
    }
}

fn rule(value: &Value, path: &str, rule: &Rule, found: &mut Vec<String>) {
    match rule {
        Rule::Object(members) => object(value, path, members, found),
        Rule::Either(members, names) => {
            object(value, path, members, found);
            found.extend(either(value, path, names));
        }
        Rule::List { min, max, item } => list(value, path, (*min, *max), item, found),
        Rule::Text { min, max } => found.extend(text(value, path, *min, *max)),
        Rule::OneOf(names) => found.extend(one_of(value, path, names)),
        Rule::Colour => found.extend(colour(value, path)),
        Rule::Flag => found.extend((!value.is_boolean()).then(|| wrong_type(path, "Boolean", value))),
        // Counting the characters of megabytes would take long and tell nothing.
        Rule::Image if value.as_str().is_some_and(|text| !text.is_empty()) => {}
        Rule::Image => found.extend(text(value, path, 1, usize::MAX)),
        Rule::Whole { min, max, step } => found.extend(whole(value, path, (*min, *max), *step)),
        Rule::Number { min, max } => found.extend(number(value, path, *min, *max)),
    }
}

fn either(value: &Value, path: &str, names: &[&str]) -> Option<String> {
    let given = names.iter().filter(|name| value.get(name).is_some()).count();
    (value.is_object() && given != 1).then(|| format!("{path}: {given} subschemas matched instead of one"))
}

fn list(value: &Value, path: &str, (min, max): (usize, usize), item: &Rule, found: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        return found.push(wrong_type(path, "JSONArray", value));
    };
    if items.len() < min {
        found.push(format!("{path}: expected minimum item count: {min}, found: {}", items.len()));
    }
    if items.len() > max {
        found.push(format!("{path}: expected maximum item count: {max}, found: {}", items.len()));
    }
    for (index, value) in items.iter().enumerate() {
        rule(value, &format!("{path}/{index}"), item, found);
    }
}

fn text(value: &Value, path: &str, min: usize, max: usize) -> Option<String> {
    let Some(text) = value.as_str() else {
        return Some(wrong_type(path, "String", value));
    };
    let length = text.chars().count();
    if length < min {
        return Some(format!("{path}: expected minLength: {min}, actual: {length}"));
    }
    (length > max).then(|| format!("{path}: expected maxLength: {max}, actual: {length}"))
}

fn one_of(value: &Value, path: &str, names: &[&str]) -> Option<String> {
    match value.as_str() {
        Some(name) if names.contains(&name) => None,
        Some(name) => Some(format!("{path}: {name} is not a valid enum value")),
        None => Some(wrong_type(path, "String", value)),
    }
}

fn colour(value: &Value, path: &str) -> Option<String> {
    let Some(text) = value.as_str() else {
        return Some(wrong_type(path, "String", value));
    };
    let hex = text.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    (!hex).then(|| format!("{path}: string [{text}] does not match pattern ^#[A-Fa-f0-9]{{6}}$"))
}

fn whole(value: &Value, path: &str, (min, max): (u64, u64), step: u64) -> Option<String> {
    let Some(number) = value.as_number().filter(|number| number.is_u64() || number.is_i64()) else {
        return Some(wrong_type(path, "Integer", value));
    };
    match number.as_u64() {
        Some(number) if number > max => Some(format!("{path}: {number} is not less or equal to {max}")),
        Some(number) if number >= min && number % step == 0 => None,
        Some(number) if number >= min => Some(format!("{path}: {number} is not a multiple of {step}")),
        _ => Some(format!("{path}: {number} is not greater or equal to {min}")),
    }
}

fn number(value: &Value, path: &str, min: f64, max: f64) -> Option<String> {
    let Some(number) = value.as_f64() else {
        return Some(wrong_type(path, "Number", value));
    };
    if number < min {
        return Some(format!("{path}: {value} is not greater or equal to {min}"));
    }
    (number > max).then(|| format!("{path}: {value} is not less or equal to {max}"))
}

/// Bedrock checks with a Java library, whose names of types show through.
fn wrong_type(path: &str, expected: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(number) if number.is_f64() => "BigDecimal",
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => "Integer",
        Value::Number(_) => "Long",
        Value::String(_) => "String",
        Value::Array(_) => "JSONArray",
        Value::Object(_) => "JSONObject",
    };
    format!("{path}: expected type: {expected}, found: {found}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULES: &[Field] = &[
        must("text", Rule::Text { min: 1, max: 4 }),
        may("kind", Rule::OneOf(&["a", "b"])),
        may("width", Rule::Whole { min: 320, max: 4096, step: 16 }),
        may("scale", Rule::Number { min: 1.1, max: 10.0 }),
        may("colors", Rule::List { min: 1, max: 2, item: &Rule::Colour }),
        may("config", Rule::Object(&[may("on", Rule::OneOf(&["yes"]))])),
        may("mask", Rule::Either(&[may("words", Rule::Flag), may("image", Rule::Image)], &["words", "image"])),
    ];

    #[track_caller]
    fn complaint(body: &Value, expect: &str) {
        let message = check(body, RULES).unwrap_err().message;
        assert_eq!(message, format!("Malformed input request: {expect}, please reformat your input and try again."));
    }

    #[test]
    fn complains_in_bedrocks_words() {
        complaint(&json!({}), "#: required key [text] not found");
        complaint(&json!([]), "#: expected type: JSONObject, found: JSONArray");
        complaint(&json!({"text": ""}), "#/text: expected minLength: 1, actual: 0");
        complaint(&json!({"text": "abcde"}), "#/text: expected maxLength: 4, actual: 5");
        complaint(&json!({"text": 5}), "#/text: expected type: String, found: Integer");
        complaint(&json!({"text": "a", "n": 1}), "#: extraneous key [n] is not permitted");
        complaint(&json!({"text": "a", "kind": "c"}), "#/kind: c is not a valid enum value");
        complaint(&json!({"text": "a", "width": 100}), "#/width: 100 is not greater or equal to 320");
        complaint(&json!({"text": "a", "width": -1}), "#/width: -1 is not greater or equal to 320");
        complaint(&json!({"text": "a", "width": 4112}), "#/width: 4112 is not less or equal to 4096");
        complaint(&json!({"text": "a", "width": 330}), "#/width: 330 is not a multiple of 16");
        complaint(&json!({"text": "a", "width": 330.5}), "#/width: expected type: Integer, found: BigDecimal");
        complaint(&json!({"text": "a", "scale": 1.0}), "#/scale: 1.0 is not greater or equal to 1.1");
        complaint(&json!({"text": "a", "scale": 11}), "#/scale: 11 is not less or equal to 10");
        complaint(&json!({"text": "a", "scale": null}), "#/scale: expected type: Number, found: Null");
        complaint(&json!({"text": "a", "colors": []}), "#/colors: expected minimum item count: 1, found: 0");
        complaint(
            &json!({"text": "a", "colors": ["red"]}),
            "#/colors/0: string [red] does not match pattern ^#[A-Fa-f0-9]{6}$",
        );
        complaint(&json!({"text": "a", "config": {"x": 1}}), "#/config: extraneous key [x] is not permitted");
        complaint(&json!({"text": "a", "mask": {}}), "#/mask: 0 subschemas matched instead of one");
        let both = json!({"words": false, "image": "YQ=="});
        complaint(&json!({"text": "a", "mask": both}), "#/mask: 2 subschemas matched instead of one");
        complaint(
            &json!({"text": "a", "mask": {"words": "no"}}),
            "#/mask/words: expected type: Boolean, found: String",
        );
        complaint(&json!({"text": "a", "mask": {"image": ""}}), "#/mask/image: expected minLength: 1, actual: 0");
        complaint(&json!({"text": "a", "mask": {"image": 1}}), "#/mask/image: expected type: String, found: Integer");
        complaint(&json!({"text": "a", "mask": "b"}), "#/mask: expected type: JSONObject, found: String");
        complaint(&json!({"n": 1}), "2 schema violations found");
    }

    #[test]
    fn is_content_with_what_is_legal() {
        let body = json!({"text": "äöüß", "kind": "a", "width": 320, "scale": 10, "colors": ["#a0B1c2"], "config": {},
            "mask": {"image": "YQ=="}});
        assert_eq!(check(&body, RULES), Ok(()));
    }
}
