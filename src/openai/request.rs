//! A request for pictures, from JSON to `image::Task`, with what is wrong said by parameter.
//!
//! Must not judge what a model can honour.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::slim::MAX_TEXT;
use crate::image::{Intent, Task};
use crate::picture::{Picture, attached};
use crate::wishes::{Malformed, Wishes, describe, drop_members, excerpt, unquoted};

/// A well-formed request for pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRequest {
    /// The alias, if one is named.
    pub model: Option<String>,
    /// What to paint.
    pub task: Task,
    /// How the pictures are handed over.
    pub answer: Answer,
    /// What the caller wants otherwise than the config, for this request.
    pub overrides: Overrides,
}

/// How pictures are to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody says: links or base64, as clients of the model expect.
    Unsaid,
    /// Base64 in one JSON document.
    Base64,
    /// Links in one JSON document.
    Links,
    /// Server-sent events, each with a picture in base64.
    Events,
}

/// What a caller may change for one request; the config bounds each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `timeout`, in seconds as written; never longer than the deployment's.
    pub timeout: Option<Duration>,
    /// `num_retries`; never more than the config's.
    pub num_retries: Option<u32>,
    /// `fallbacks`: aliases to try instead of the configured ones.
    pub fallbacks: Option<Vec<String>>,
    /// `disable_fallbacks`: nobody else is asked.
    pub disable_fallbacks: bool,
}

impl Overrides {
    /// The headers by which LiteLLM's callers say the same.
    pub const HEADERS: [HeaderName; 2] = [HeaderName::from_static(TIMEOUT), HeaderName::from_static(NUM_RETRIES)];

    /// With [`Self::HEADERS`], which win over the body.
    pub fn with_headers(mut self, headers: &HeaderMap) -> Result<Self, Invalid> {
        let mut members = Map::new();
        for name in Self::HEADERS {
            let Some(value) = headers.get(&name) else { continue };
            let text = value.to_str().unwrap_or_default().trim().to_owned();
            members
                .insert(name.as_str().into(), serde_json::from_str(&text).map_or(Value::String(text), Value::Number));
        }
        self.timeout = take_seconds(&mut members, TIMEOUT)?.or(self.timeout);
        self.num_retries = take_count(&mut members, NUM_RETRIES)?.or(self.num_retries);
        Ok(self)
    }
}

/// Nobody has more aliases or members, and each is looked up.
const MAX_NAMES: usize = 100;

const PARTIAL_IMAGES: &str = "partial_images";

const TIMEOUT: &str = "x-litellm-timeout";
const NUM_RETRIES: &str = "x-litellm-num-retries";

/// A request that is not well-formed, or asks for what Easel does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The parameter at fault.
    pub param: Option<String>,
    /// OpenAI's code.
    pub code: Option<&'static str>,
    /// What is wrong and what is accepted.
    pub message: String,
}

impl Invalid {
    fn new(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), code: Some(code), message: message.into() }
    }

    /// What a body is instead of a JSON object.
    pub fn body(what: &str) -> Self {
        let message = format!("{what}. Send a JSON object such as {{\"prompt\": \"a cat\"}}");
        Self { param: None, code: None, message }
    }

    /// A text that is too long to be one, and is no picture.
    pub fn long_text(param: &str) -> Self {
        let limit = MAX_TEXT / 1024;
        let message = format!("'{param}' is longer than {limit} KB and no picture in base64. Send a shorter text");
        Self::new(param, "string_above_max_length", message)
    }

    /// A picture that cannot be used, for the reason in `message`.
    pub fn picture(param: &str, message: impl Into<String>) -> Self {
        Self::new(param, "invalid_image_file", message)
    }

    pub(super) fn wrong_type(param: &str, expected: &str, got: &Value) -> Self {
        let message = format!("invalid type for '{param}': expected {expected}, got {}", describe(got));
        Self::new(param, "invalid_type", message)
    }
}

impl From<Malformed> for Invalid {
    fn from(malformed: Malformed) -> Self {
        let code = if malformed.wrong_type { "invalid_type" } else { "invalid_value" };
        Self { param: Some(malformed.param), code: Some(code), message: malformed.message }
    }
}

impl ImageRequest {
    /// Reads the members of a request whose pictures stand in `pictures`, and are named in the members by
    /// `picture::attachment`. `null` counts as absent. `intent` is what is asked for where pictures come with it.
    /// `drops` says which members are left out for the model that it names, before anything is made of them.
    pub fn from_members(
        mut members: Map<String, Value>,
        pictures: Vec<Picture>,
        intent: Intent,
        drops: impl FnOnce(Option<&str>) -> Vec<String>,
    ) -> Result<Self, Invalid> {
        members.retain(|_, value| !value.is_null());
        let model = take_text(&mut members, "model")?.filter(|model| !model.is_empty());
        let mut drops = drops(model.as_deref());
        drops.extend(take_names(&mut members, "additional_drop_params")?.unwrap_or_default());
        // As in LiteLLM, what to paint is no member that could be left out.
        drops.retain(|name| name != "prompt");
        let mut ignored = drop_members(&mut members, &drops);
        let prompt = take_text(&mut members, "prompt")?;
        let answer = take_answer(&mut members, &mut ignored)?;
        let overrides = Overrides {
            timeout: take_seconds(&mut members, "timeout")?,
            num_retries: take_count(&mut members, "num_retries")?,
            fallbacks: take_names(&mut members, "fallbacks")?,
            disable_fallbacks: take_flag(&mut members, "disable_fallbacks")?,
        };
        let drop_params = take_flag(&mut members, "drop_params")?;
        // They say who asks, not what to paint.
        for name in ["user", "safety_identifier"] {
            take_text(&mut members, name)?;
        }
        let (images, mask) = take_pictures(&mut members, &pictures)?;
        let intent = match (intent, images.is_empty()) {
            (Intent::Generate, false) => Intent::Edit,
            (Intent::Edit | Intent::Vary, true) if !names_picture(&members) => {
                return Err(missing("image", "Send the picture as a PNG, JPEG or WebP file"));
            }
            (intent, _) => intent,
        };
        let wishes = Wishes::read(members).map_err(first)?;
        let prompt = prompt.or_else(|| wishes.text.clone()).filter(|prompt| !prompt.trim().is_empty());
        // Whether an edit needs words is for its model to say: to take away a background needs none.
        if prompt.is_none() && intent == Intent::Generate && !wishes.native.values().any(names_attached) {
            return Err(missing("prompt", "Say what to paint"));
        }
        let prompt = prompt.unwrap_or_default();
        let task =
            Task { intent, prompt, images, mask, attached: pictures, wishes, drop_params, strict: false, ignored };
        Ok(Self { model, task, answer, overrides })
    }
}

/// The members of a body in JSON.
pub fn members(body: &[u8]) -> Result<Map<String, Value>, Invalid> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(Invalid::body(&format!("the body is {}", describe(&other)))),
        Err(error) => Err(Invalid::body(&format!("the body is not valid JSON: {error}"))),
    }
}

pub(super) fn missing(name: &str, hint: &str) -> Invalid {
    Invalid::new(name, "missing_required_parameter", format!("missing required parameter: '{name}'. {hint}"))
}

/// Most pictures in one request, as at OpenAI.
const MAX_IMAGES: usize = 16;

/// `image` or `images`, and `mask`: the pictures to change, in order, and where.
fn take_pictures(
    members: &mut Map<String, Value>,
    pictures: &[Picture],
) -> Result<(Vec<Picture>, Option<Picture>), Invalid> {
    let mut taken = |name: &str| {
        let value = members.shift_remove(name).unwrap_or_default();
        let one = |value: &Value| {
            let picture = value.as_str().and_then(attached).and_then(|place| pictures.get(place));
            picture.cloned().ok_or_else(|| Invalid::wrong_type(name, "a picture", value))
        };
        match &value {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => list.iter().map(one).collect(),
            value => one(value).map(|picture| vec![picture]),
        }
    };
    let mut images = taken("image")?;
    images.extend(taken("images")?);
    if images.len() > MAX_IMAGES {
        let message = format!("'image' comes {} times. At most {MAX_IMAGES} pictures are taken", images.len());
        return Err(Invalid::new("image", "invalid_value", message));
    }
    let mut masks = taken("mask")?;
    if masks.len() > 1 {
        return Err(Invalid::new(
            "mask",
            "invalid_value",
            "'mask' comes more than once. It goes with the first picture",
        ));
    }
    Ok((images, masks.pop()))
}

/// Whether a native member brings a picture, such as `sourceImage`.
fn names_picture(members: &Map<String, Value>) -> bool {
    members.values().any(names_attached)
}

fn names_attached(value: &Value) -> bool {
    match value {
        Value::String(text) => attached(text).is_some(),
        Value::Array(list) => list.iter().any(names_attached),
        Value::Object(members) => names_picture(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn first(faults: Vec<Malformed>) -> Invalid {
    let plain = Invalid { param: None, code: None, message: "the request is not well-formed".into() };
    faults.into_iter().next().map_or(plain, Invalid::from)
}

pub(super) fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Invalid> {
    match members.shift_remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Invalid::wrong_type(name, "a string", &other)),
    }
}

pub(super) fn take_flag(members: &mut Map<String, Value>, name: &str) -> Result<bool, Invalid> {
    match members.shift_remove(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        // Forms have nothing but texts.
        Some(Value::String(text)) if ["true", "false"].contains(&&*text.to_ascii_lowercase()) => {
            Ok(text.eq_ignore_ascii_case("true"))
        }
        Some(other) => Err(Invalid::wrong_type(name, "a boolean", &other)),
    }
}

fn take_seconds(members: &mut Map<String, Value>, name: &str) -> Result<Option<Duration>, Invalid> {
    let Some(value) = members.shift_remove(name).map(unquoted) else { return Ok(None) };
    let seconds = value.as_f64().filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.map(Some).ok_or_else(|| Invalid::wrong_type(name, "a positive number of seconds", &value))
}

fn take_count(members: &mut Map<String, Value>, name: &str) -> Result<Option<u32>, Invalid> {
    let Some(value) = members.shift_remove(name).map(unquoted) else { return Ok(None) };
    let count = value.as_u64().and_then(|n| u32::try_from(n).ok());
    count.map(Some).ok_or_else(|| Invalid::wrong_type(name, "a whole number", &value))
}

fn take_names(members: &mut Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Invalid> {
    let Some(value) = members.shift_remove(name).map(unfolded) else { return Ok(None) };
    let names: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    let names = names.ok_or_else(|| Invalid::wrong_type(name, "an array of names", &value))?;
    if names.len() > MAX_NAMES {
        let message = format!("'{name}' holds {} names. It takes at most {MAX_NAMES}", names.len());
        return Err(Invalid::new(name, "invalid_value", message));
    }
    Ok(Some(names))
}

/// A list that a form holds as a text.
fn unfolded(value: Value) -> Value {
    match value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        Some(list @ Value::Array(_)) => list,
        _ => value,
    }
}

/// `response_format`, `stream` and `partial_images`. Events hold base64 whatever the format, as OpenAI's do.
fn take_answer(members: &mut Map<String, Value>, ignored: &mut Vec<String>) -> Result<Answer, Invalid> {
    let partial = take_count(members, PARTIAL_IMAGES)?.unwrap_or_default();
    if partial > 3 {
        let message =
            format!("invalid value for '{PARTIAL_IMAGES}': got {partial}. Accepted are whole numbers from 0 to 3");
        return Err(Invalid::new(PARTIAL_IMAGES, "invalid_value", message));
    }
    if partial > 0 {
        // Bedrock shows no picture before it is done.
        ignored.push(PARTIAL_IMAGES.to_owned());
    }
    let answer = match take_text(members, "response_format")?.as_deref() {
        None => Answer::Unsaid,
        Some("b64_json") => Answer::Base64,
        Some("url") => Answer::Links,
        Some(other) => {
            let message = format!(
                "invalid value for 'response_format': got '{}'. Accepted are 'b64_json', 'url'",
                excerpt(other)
            );
            return Err(Invalid::new("response_format", "invalid_value", message));
        }
    };
    Ok(if take_flag(members, "stream")? { Answer::Events } else { answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Size;
    use crate::wishes::SizeWish;

    fn read(body: &[u8]) -> Result<ImageRequest, Invalid> {
        ImageRequest::from_members(members(body)?, Vec::new(), Intent::Generate, |_| Vec::new())
    }

    #[track_caller]
    fn parse(body: &str) -> ImageRequest {
        read(body.as_bytes()).unwrap()
    }

    #[track_caller]
    fn check_invalid(body: &str, param: Option<&str>, code: Option<&str>, message: &str) {
        let invalid = read(body.as_bytes()).unwrap_err();
        assert_eq!((invalid.param.as_deref(), invalid.code, &*invalid.message), (param, code, message));
    }

    #[test]
    fn nulls_are_absent_and_who_asks_is_no_wish() {
        let request = parse(
            r#"{"prompt":"a","model":null,"n":null,"size":null,"quality":null,"user":"u","stream":false,"seed":null}"#,
        );
        assert_eq!(request.task.wishes, Wishes::default());
        assert_eq!(request.model, None);
    }

    #[test]
    fn everything_that_clients_send_is_read() {
        let request = parse(
            r#"{"prompt":"a","model":"m","n":2.0,"size":"1024 x 512","quality":"HD","response_format":"b64_json","style":"vivid",
                "output_format":"JPEG","output_compression":80,"background":"auto","moderation":"low","seed":4,"drop_params":true,
                "timeout":1.5,"num_retries":0,"fallbacks":["x"],"foo":{"bar":1}}"#,
        );
        let wishes = &request.task.wishes;
        assert_eq!((wishes.count, wishes.size), (Some(2), Some(SizeWish::Exact(Size::new(1024, 512)))));
        assert_eq!(wishes.native.keys().collect::<Vec<_>>(), ["foo"]);
        assert_eq!(request.overrides.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(request.overrides.fallbacks, Some(vec!["x".to_owned()]));
        assert!(request.task.drop_params);
    }

    #[test]
    fn numbers_in_quotes_are_numbers() {
        let request = parse(
            r#"{"prompt":"a","n":"2","seed":" 7","cfgScale":"6.5","width":"512","height":"320.0","timeout":"30","num_retries":"1"}"#,
        );
        let wishes = &request.task.wishes;
        assert_eq!((wishes.count, wishes.seed, wishes.cfg_scale), (Some(2), Some(7), Some(6.5)));
        assert_eq!(wishes.size, Some(SizeWish::Exact(Size::new(512, 320))));
        let overrides = &request.overrides;
        assert_eq!((overrides.timeout, overrides.num_retries), (Some(Duration::from_secs(30)), Some(1)));
        let many = "invalid value for 'n': got 11. Accepted are whole numbers from 1 to 10";
        check_invalid(r#"{"prompt":"a","n":"11"}"#, Some("n"), Some("invalid_value"), many);
        let infinite = "invalid type for 'cfgScale': expected a number, got the string 'inf'";
        check_invalid(r#"{"prompt":"a","cfgScale":"inf"}"#, Some("cfgScale"), Some("invalid_type"), infinite);
    }

    #[test]
    fn a_size_wins_over_novas_configuration() {
        let size = |size: &str| {
            let config = r#""imageGenerationConfig":{"width":320,"height":320}"#;
            parse(&format!(r#"{{"prompt":"a","size":"{size}",{config}}}"#)).task.wishes.size
        };
        assert_eq!(size("512x512"), Some(SizeWish::Exact(Size::new(512, 512))));
        assert_eq!(size("auto"), Some(SizeWish::Exact(Size::new(320, 320))));
    }

    #[test]
    fn a_size_that_is_a_number_says_the_nearest() {
        let message = "invalid type for 'size': expected a string, got the number 512; the nearest valid is '512x512'";
        check_invalid(r#"{"prompt":"a","size":512}"#, Some("size"), Some("invalid_type"), message);
    }

    #[test]
    fn faults_name_the_parameter() {
        let missing = "missing required parameter: 'prompt'. Say what to paint";
        check_invalid("{}", Some("prompt"), Some("missing_required_parameter"), missing);
        check_invalid(r#"{"prompt":" "}"#, Some("prompt"), Some("missing_required_parameter"), missing);
        check_invalid(
            r#"{"prompt":5}"#,
            Some("prompt"),
            Some("invalid_type"),
            "invalid type for 'prompt': expected a string, got the number 5",
        );
        check_invalid(
            r#"{"prompt":"a","n":11}"#,
            Some("n"),
            Some("invalid_value"),
            "invalid value for 'n': got 11. Accepted are whole numbers from 1 to 10",
        );
        check_invalid(
            r#"{"prompt":"a","n":"two"}"#,
            Some("n"),
            Some("invalid_type"),
            "invalid type for 'n': expected an integer, got the string 'two'",
        );
        check_invalid(
            r#"{"prompt":"a","size":"1024*768"}"#,
            Some("size"),
            Some("invalid_value"),
            "invalid value for 'size': got '1024*768'. Accepted are WIDTHxHEIGHT in pixels and 'auto'; the nearest valid is '1024x768'",
        );
        check_invalid(
            r#"{"prompt":"a","imageGenerationConfig":{"seed":-1}}"#,
            Some("imageGenerationConfig.seed"),
            Some("invalid_value"),
            "invalid value for 'imageGenerationConfig.seed': got -1. Accepted are whole numbers from 0 on",
        );
        check_invalid(
            r#"{"prompt":"a","output_format":"bmp"}"#,
            Some("output_format"),
            Some("invalid_value"),
            "invalid value for 'output_format': got 'bmp'. Accepted are 'png', 'jpeg', 'jpg', 'webp'",
        );
    }

    #[test]
    fn members_are_dropped_before_they_are_read() {
        let body = br#"{"prompt":"a","n":"two","size":"huge","stream":true,"imageGenerationConfig":{"seed":-1},
                        "additional_drop_params":["n","absent","prompt"]}"#;
        let config = |model: Option<&str>| {
            assert_eq!(model, None);
            ["size", "stream", "imageGenerationConfig.seed"].map(str::to_owned).to_vec()
        };
        let members = members(body).unwrap();
        let task = ImageRequest::from_members(members, Vec::new(), Intent::Generate, config).unwrap().task;
        assert_eq!(task.ignored, ["size", "stream", "imageGenerationConfig.seed", "n"]);
        assert_eq!((task.wishes, &*task.prompt), (Wishes::default(), "a"));
        let many = format!(r#"{{"prompt":"a","fallbacks":[{}"x"]}}"#, "\"x\",".repeat(100));
        let message = "'fallbacks' holds 101 names. It takes at most 100";
        check_invalid(&many, Some("fallbacks"), Some("invalid_value"), message);
    }

    #[test]
    fn what_is_not_json_says_where() {
        let hint = "Send a JSON object such as {\"prompt\": \"a cat\"}";
        check_invalid(
            "{\"prompt\": \"a\"",
            None,
            None,
            &format!("the body is not valid JSON: EOF while parsing an object at line 1 column 14. {hint}"),
        );
        check_invalid("[1]", None, None, &format!("the body is an array. {hint}"));
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).unwrap_err().message.contains("recursion limit exceeded"));
        assert!(read(b"{\"prompt\": \"\xff\"}").is_err());
        assert!(read(b"{\"prompt\": \"a\", \"n\": NaN}").is_err());
    }

    #[test]
    fn answers_are_told_apart() {
        for (members, answer) in [
            ("", Answer::Unsaid),
            (r#","stream":false"#, Answer::Unsaid),
            (r#","response_format":"b64_json""#, Answer::Base64),
            (r#","response_format":"url""#, Answer::Links),
            (r#","stream":true"#, Answer::Events),
            (r#","stream":true,"response_format":"url","partial_images":0"#, Answer::Events),
        ] {
            let request = parse(&format!(r#"{{"prompt":"a"{members}}}"#));
            assert_eq!((request.answer, request.task.ignored.len()), (answer, 0), "{members}");
        }
        assert_eq!(parse(r#"{"prompt":"a","stream":true,"partial_images":3}"#).task.ignored, ["partial_images"]);
        let many = "invalid value for 'partial_images': got 4. Accepted are whole numbers from 0 to 3";
        check_invalid(r#"{"prompt":"a","partial_images":4}"#, Some("partial_images"), Some("invalid_value"), many);
        let odd = "invalid value for 'response_format': got 'gif'. Accepted are 'b64_json', 'url'";
        check_invalid(r#"{"prompt":"a","response_format":"gif"}"#, Some("response_format"), Some("invalid_value"), odd);
    }
}
