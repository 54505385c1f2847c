//! What may be said about a picture besides its prompt, by a caller or in the config as a default.
//!
//! Reads OpenAI's members and the native ones of Nova Canvas and Stability into one flat shape, nested objects
//! lifted by LiteLLM's precedence. Must not decide whether a model can honour them: that is `provider`'s.

use serde_json::{Map, Value};

use crate::image::{Format, Size};

/// A size as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeWish {
    /// Whatever the model likes best.
    Auto,
    /// This size, or the nearest the model can do.
    Exact(Size),
}

/// Everything that shapes pictures, each absent unless somebody said it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Number of pictures (`n`, `numberOfImages`), 1 to 10.
    pub count: Option<u8>,
    /// `size`, or `width` and `height`.
    pub size: Option<SizeWish>,
    /// `quality`, as written.
    pub quality: Option<String>,
    /// `style`: OpenAI's (vivid, natural) or one of Nova's, as written.
    pub style: Option<String>,
    /// `background`: auto, opaque or transparent, as written.
    pub background: Option<String>,
    /// `moderation`, as written.
    pub moderation: Option<String>,
    /// `input_fidelity`, as written.
    pub input_fidelity: Option<String>,
    /// `output_format`.
    pub output_format: Option<Format>,
    /// `output_compression`, 0 to 100.
    pub output_compression: Option<u8>,
    /// `seed`.
    pub seed: Option<u64>,
    /// `negative_prompt` or `negativeText`.
    pub negative_prompt: Option<String>,
    /// `aspect_ratio`, as written.
    pub aspect_ratio: Option<String>,
    /// `cfgScale` or `cfg_scale`.
    pub cfg_scale: Option<f64>,
    /// A text that replaces the prompt (`textToImageParams.text`, `colorGuidedGenerationParams.text`).
    pub text: Option<String>,
    /// Every other member, flat, under the name by which the caller would know it again.
    pub native: Map<String, Value>,
}

/// A member whose value is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The member as it was written, `imageGenerationConfig.seed` for a nested one.
    pub param: String,
    /// Whether the type is wrong, rather than the value.
    pub wrong_type: bool,
    /// What is wrong, quoting the value, then what is accepted.
    pub message: String,
}

/// Nova's objects of parameters: the task that each belongs to, and its members that have no place of their own here.
const NOVA_PARAMS: [(&str, &str, &[&str]); 7] = [
    ("textToImageParams", "TEXT_IMAGE", &["style", "conditionImage", "controlMode", "controlStrength"]),
    ("colorGuidedGenerationParams", "COLOR_GUIDED_GENERATION", &["colors", "referenceImage"]),
    ("imageVariationParams", "IMAGE_VARIATION", &["images", "similarityStrength"]),
    ("inPaintingParams", "INPAINTING", &["image", "maskPrompt", "maskImage", "returnMask"]),
    ("outPaintingParams", "OUTPAINTING", &["image", "maskPrompt", "maskImage", "outPaintingMode", "returnMask"]),
    ("backgroundRemovalParams", "BACKGROUND_REMOVAL", &["image"]),
    (
        "virtualTryOnParams",
        "VIRTUAL_TRY_ON",
        &[
            "sourceImage",
            "referenceImage",
            "maskType",
            "imageBasedMask",
            "garmentBasedMask",
            "promptBasedMask",
            "maskExclusions",
            "mergeStyle",
            "returnMask",
        ],
    ),
];

/// Members of `imageGenerationConfig`.
const NOVA_CONFIG: [&str; 6] = ["width", "height", "quality", "cfgScale", "seed", "numberOfImages"];

impl Wishes {
    /// Reads members; `null` counts as absent. Top-level members win over `imageGenerationConfig`, and
    /// `textToImageParams` and its like over top-level ones, as in LiteLLM. An object may be written as a text of
    /// JSON, for forms have nothing else. Reports every malformed member.
    pub fn read(members: Map<String, Value>) -> Result<Self, Vec<Malformed>> {
        let mut reader = Reader { members, ..Reader::default() };
        reader.members.retain(|_, value| !value.is_null());
        for (object, task, members) in NOVA_PARAMS {
            reader.lift(object, Some(task), &[members, &["text", "negativeText"]]);
        }
        reader.lift("imageGenerationConfig", None, &[&NOVA_CONFIG]);
        let wishes = Self {
            size: reader.size(),
            count: reader.integer(&["n", "numberOfImages"], 1, 10).and_then(|n| u8::try_from(n).ok()),
            quality: reader.text(&["quality"]),
            style: reader.text(&["style"]),
            background: reader.one_of("background", &["auto", "opaque", "transparent"]),
            moderation: reader.text(&["moderation"]),
            input_fidelity: reader.text(&["input_fidelity"]),
            output_format: reader
                .one_of("output_format", &["png", "jpeg", "jpg", "webp"])
                .as_deref()
                .and_then(Format::parse),
            output_compression: reader.integer(&["output_compression"], 0, 100).and_then(|n| u8::try_from(n).ok()),
            seed: reader.integer(&["seed"], 0, u64::MAX),
            negative_prompt: reader.text(&["negativeText", "negative_prompt"]),
            aspect_ratio: reader.text(&["aspect_ratio"]),
            cfg_scale: reader.number(&["cfgScale", "cfg_scale"]),
            text: reader.text(&["text"]),
            native: reader.members,
        };
        if reader.faults.is_empty() { Ok(wishes) } else { Err(reader.faults) }
    }

    /// Takes a wish back, by any of its names, `imageGenerationConfig.seed` too; whether it was there.
    pub fn drop(&mut self, name: &str) -> bool {
        match name.rsplit('.').next().unwrap_or(name) {
            "n" | "numberOfImages" => self.count.take().is_some(),
            "size" | "width" | "height" => self.size.take().is_some(),
            "quality" => self.quality.take().is_some(),
            "style" => self.style.take().is_some(),
            "background" => self.background.take().is_some(),
            "moderation" => self.moderation.take().is_some(),
            "input_fidelity" => self.input_fidelity.take().is_some(),
            "output_format" => self.output_format.take().is_some(),
            "output_compression" => self.output_compression.take().is_some(),
            "seed" => self.seed.take().is_some(),
            "negativeText" | "negative_prompt" => self.negative_prompt.take().is_some(),
            "aspect_ratio" => self.aspect_ratio.take().is_some(),
            "cfgScale" | "cfg_scale" => self.cfg_scale.take().is_some(),
            "text" => self.text.take().is_some(),
            last => {
                let name = if self.native.contains_key(name) { name } else { last };
                self.native.shift_remove(name).is_some()
            }
        }
    }
}

/// Takes members out by name, `imageGenerationConfig.seed` for a nested one. The names of those that were there.
pub fn drop_members(members: &mut Map<String, Value>, names: &[String]) -> Vec<String> {
    let mut dropped: Vec<String> = Vec::new();
    for name in names {
        let (path, last) = name.rsplit_once('.').map_or((None, name.as_str()), |(path, last)| (Some(path), last));
        let nested = match path {
            None => Some(&mut *members),
            Some(path) => {
                let mut keys = path.split('.');
                let top = keys.next().and_then(|key| members.get_mut(key));
                keys.fold(top, |value, key| value?.get_mut(key)).and_then(Value::as_object_mut)
            }
        };
        if nested.is_some_and(|nested| nested.shift_remove(last).is_some()) && !dropped.contains(name) {
            dropped.push(name.clone());
        }
    }
    dropped
}

/// Takes members out one by one and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    members: Map<String, Value>,
    /// Where a lifted member came from, for messages.
    origins: Map<String, Value>,
    faults: Vec<Malformed>,
}

impl Reader {
    /// Moves the members of a nested object to the top. Those of a task's own object win over what is there, and say
    /// the task.
    fn lift(&mut self, object: &str, task: Option<&str>, known: &[&[&str]]) {
        let nested = match self.members.shift_remove(object).map(unquoted_object) {
            None => return,
            Some(Value::Object(nested)) => nested,
            Some(other) => return self.fault(object, true, &format!("expected an object, got {}", describe(&other))),
        };
        // What is painted from text says nothing: that is what is done anyway.
        if let Some(task) = task.filter(|task| *task != "TEXT_IMAGE") {
            self.members.entry("taskType").or_insert_with(|| task.into());
        }
        for (name, value) in nested.into_iter().filter(|(_, value)| !value.is_null()) {
            let path = format!("{object}.{name}");
            if !known.iter().any(|names| names.contains(&&*name)) {
                self.members.insert(path, value);
            } else if task.is_some() || !self.has(&name) {
                self.origins.insert(name.clone(), path.into());
                self.members.insert(name, value);
            }
        }
    }

    /// Whether a member is there, under this name or OpenAI's. A size that leaves the choice open says nothing.
    fn has(&self, name: &str) -> bool {
        let openai = match name {
            "numberOfImages" => self.members.contains_key("n"),
            "width" | "height" => self.members.get("size").is_some_and(|size| !is_auto(size)),
            _ => false,
        };
        openai || self.members.contains_key(name)
    }

    fn fault(&mut self, name: &str, wrong_type: bool, message: &str) {
        let param = self.origins.get(name).and_then(Value::as_str).unwrap_or(name).to_owned();
        let message = format!("invalid {} for '{param}': {message}", if wrong_type { "type" } else { "value" });
        self.faults.push(Malformed { param, wrong_type, message });
    }

    /// The first of `names` that is there; the others go.
    fn take(&mut self, names: &[&'static str]) -> Option<(&'static str, Value)> {
        let found = names.iter().find(|name| self.members.contains_key(**name)).copied()?;
        let value = self.members.shift_remove(found);
        names.iter().for_each(|name| drop(self.members.shift_remove(*name)));
        value.map(|value| (found, value))
    }

    fn text(&mut self, names: &[&'static str]) -> Option<String> {
        match self.take(names)? {
            (_, Value::String(text)) => Some(text),
            (name, other) => {
                self.fault(name, true, &format!("expected a string, got {}", describe(&other)));
                None
            }
        }
    }

    fn one_of(&mut self, name: &'static str, accepted: &[&str]) -> Option<String> {
        let text = self.text(&[name])?.to_ascii_lowercase();
        if accepted.contains(&&*text) {
            return Some(text);
        }
        let accepted: Vec<_> = accepted.iter().map(|a| format!("'{a}'")).collect();
        self.fault(name, false, &format!("got '{}'. Accepted are {}", excerpt(&text), accepted.join(", ")));
        None
    }

    fn number(&mut self, names: &[&'static str]) -> Option<f64> {
        let (name, value) = self.take(names)?;
        let value = unquoted(value);
        if value.as_f64().is_none() {
            self.fault(name, true, &format!("expected a number, got {}", describe(&value)));
        }
        value.as_f64()
    }

    /// A whole number; `2.0` is one.
    fn integer(&mut self, names: &[&'static str], min: u64, max: u64) -> Option<u64> {
        let (name, value) = self.take(names)?;
        let value = unquoted(value);
        let number = match value.as_u64() {
            Some(number) => Some(number),
            None => value.as_f64().filter(|n| n.fract() == 0.0).and_then(|n| format!("{n:.0}").parse().ok()),
        };
        match number {
            Some(number) if (min..=max).contains(&number) => return Some(number),
            _ if !value.is_number() => {
                self.fault(name, true, &format!("expected an integer, got {}", describe(&value)));
            }
            _ if max == u64::MAX => {
                self.fault(name, false, &format!("got {value}. Accepted are whole numbers from {min} on"));
            }
            _ => self.fault(name, false, &format!("got {value}. Accepted are whole numbers from {min} to {max}")),
        }
        None
    }

    /// `width` and `height`, else `size`.
    fn size(&mut self) -> Option<SizeWish> {
        let sides = (self.integer(&["width"], 1, 100_000), self.integer(&["height"], 1, 100_000));
        let text = match self.members.get("size").and_then(Value::as_u64) {
            Some(side) => return self.size_number(side),
            None => self.text(&["size"]),
        };
        match (sides, text) {
            ((Some(width), Some(height)), _) => {
                Some(SizeWish::Exact(Size::new(u32::try_from(width).ok()?, u32::try_from(height).ok()?)))
            }
            ((Some(_), None), _) => {
                self.fault("width", false, "it needs 'height' beside it");
                None
            }
            ((None, Some(_)), _) => {
                self.fault("height", false, "it needs 'width' beside it");
                None
            }
            ((None, None), Some(text)) => self.size_text(&text),
            ((None, None), None) => None,
        }
    }

    fn size_text(&mut self, text: &str) -> Option<SizeWish> {
        if says_auto(text) {
            return Some(SizeWish::Auto);
        }
        if let Ok(size) = text.parse() {
            return Some(SizeWish::Exact(size));
        }
        let nearest = nearest_size(text);
        self.fault(
            "size",
            false,
            &format!(
                "got '{}'. Accepted are WIDTHxHEIGHT in pixels and 'auto'; the nearest valid is '{nearest}'",
                excerpt(text)
            ),
        );
        None
    }

    /// A size that is only a number says one side and leaves the other open.
    fn size_number(&mut self, side: u64) -> Option<SizeWish> {
        self.members.shift_remove("size");
        let nearest = nearest_size(&side.to_string());
        let message = format!("expected a string, got the number {side}; the nearest valid is '{nearest}'");
        self.fault("size", true, &message);
        None
    }
}

fn says_auto(text: &str) -> bool {
    text.trim().is_empty() || text.trim().eq_ignore_ascii_case("auto")
}

fn is_auto(size: &Value) -> bool {
    size.as_str().is_some_and(says_auto)
}

/// The size that somebody may have meant by a text that is none.
fn nearest_size(text: &str) -> Size {
    let numbers: Vec<u32> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [width, height] if (64..=8192).contains(&width) && (64..=8192).contains(&height) => Size::new(width, height),
        [side] if (64..=8192).contains(&side) => Size::new(side, side),
        _ => Size::new(1024, 1024),
    }
}

/// A number in quotes as the number: forms have nothing else, and some clients send them so.
pub(crate) fn unquoted(value: Value) -> Value {
    let number = |text: &str| match text.trim().parse::<u64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64),
    };
    match value.as_str().and_then(number) {
        Some(number) => Value::Number(number),
        None => value,
    }
}

/// An object that is written as a text of JSON as the object.
pub(crate) fn unquoted_object(value: Value) -> Value {
    let object = value.as_str().filter(|text| text.trim_start().starts_with('{'));
    object.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value)
}

/// A list that is written as a text of JSON, or with commas, as the list.
pub(crate) fn unquoted_array(value: Value) -> Value {
    let Some(text) = value.as_str() else { return value };
    match serde_json::from_str(text) {
        Ok(list @ Value::Array(_)) => list,
        _ => text.split(',').map(|item| Value::from(item.trim())).collect::<Vec<_>>().into(),
    }
}

/// A JSON value in words, short enough for a message.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => format!("the boolean {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => format!("the string '{}'", excerpt(s)),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// At most 60 characters of a caller's text, for quoting.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
