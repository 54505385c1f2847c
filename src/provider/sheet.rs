//! The worksheet of one body: reads wishes in order of precedence and notes what became of each.
//!
//! Must not know the grammar of any one model.

use serde_json::{Map, Value};

use super::{Order, Request};
use crate::catalog::Dialect;
use crate::image::{Format, Quality, Size, Unsupported};
use crate::picture::{Draft, Part, Picture, Recipe, attached};
use crate::wishes::{Wishes, describe, excerpt};

/// Wishes of caller and config side by side, with the notes of what was mapped and ignored.
pub(super) struct Sheet<'a> {
    pub(super) order: Order<'a>,
    /// Native members of both, the caller's over the config's.
    native: Map<String, Value>,
    mapped: Vec<String>,
    ignored: Vec<String>,
    /// Pictures that the body names, by their places.
    placed: Vec<(Picture, Recipe)>,
    style_taken: bool,
    dropped: bool,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(order: Order<'a>) -> Self {
        let mut native = order.defaults.native.clone();
        native.extend(order.task.wishes.native.clone());
        let ignored = order.task.ignored.clone();
        Self { order, native, mapped: Vec::new(), ignored, placed: Vec::new(), style_taken: false, dropped: false }
    }

    /// The caller's wish, else the config's.
    pub(super) fn wish<T>(&self, read: impl Fn(&'a Wishes) -> Option<T>) -> Option<T> {
        read(&self.order.task.wishes).or_else(|| read(self.order.defaults))
    }

    /// The prompt, or the text that replaces it, if the model takes one so long.
    pub(super) fn prompt(&self) -> Result<&'a str, Unsupported> {
        let text = self.order.task.wishes.text.as_deref().unwrap_or(&self.order.task.prompt);
        self.within_limit("prompt", text)
    }

    pub(super) fn negative_prompt(&self) -> Result<Option<&'a str>, Unsupported> {
        let text = self.wish(|w| w.negative_prompt.as_deref()).filter(|text| !text.is_empty());
        text.map(|text| self.within_limit("negative_prompt", text)).transpose()
    }

    fn within_limit(&self, param: &str, text: &'a str) -> Result<&'a str, Unsupported> {
        let (length, most) = (text.chars().count(), self.order.limits.prompt_chars);
        if length <= most {
            return Ok(text);
        }
        Err(Unsupported::new(param, format!("'{param}' has {length} characters. This model takes at most {most}")))
    }

    /// The seed of this part: the first wished for or drawn, and one more for each picture before this part.
    pub(super) fn seed(&mut self) -> Result<u64, Unsupported> {
        let limits = self.order.limits;
        let smallest = u64::from(limits.zero_seed_is_random);
        let range = limits.max_seed - smallest + 1;
        let drawn = smallest + self.order.drawn_seed % range;
        let mut first = self.wish(|w| w.seed).unwrap_or(drawn);
        if first == 0 && limits.zero_seed_is_random {
            first = drawn;
            self.map("seed", 0, drawn);
        } else if first > limits.max_seed {
            let message = format!("'seed' is {first}. This model takes at most {}", limits.max_seed);
            self.refuse(Unsupported::new("seed", message))?;
            first = drawn;
        }
        Ok(smallest + (first - smallest + u64::from(self.order.part.first)) % range)
    }

    /// The quality in Bedrock's terms, noted where the word changes.
    pub(super) fn quality(&mut self) -> Option<Quality> {
        let word = self.wish(|w| w.quality.as_deref())?;
        let quality = Quality::parse(word).unwrap_or(Quality::Standard);
        if word != quality.name() && word != "auto" {
            self.map("quality", excerpt(word), quality.name());
        }
        Some(quality)
    }

    /// The encoding, if the model has it; absent where nobody asks.
    pub(super) fn output_format(&mut self) -> Result<Option<Format>, Unsupported> {
        let Some(format) = self.wish(|w| w.output_format) else { return Ok(None) };
        let formats = &self.order.limits.formats;
        if formats.contains(&format) {
            return Ok(Some(format));
        }
        let names: Vec<_> = formats.iter().map(|f| format!("'{}'", f.name())).collect();
        let message = format!("'output_format' is '{}'. This model answers with {}", format.name(), names.join(", "));
        self.refuse(Unsupported::new("output_format", message)).map(|()| None)
    }

    /// Hints have no effect and never refuse; a transparent background shapes the picture, so it does.
    pub(super) fn hints(&mut self) -> Result<(), Unsupported> {
        let wishes = &self.order.task.wishes;
        let plain = |word: &Option<String>| word.as_deref().is_some_and(|w| w != "auto");
        for (name, said) in [
            ("style", wishes.style.is_some() && !self.style_taken),
            ("moderation", plain(&wishes.moderation)),
            ("input_fidelity", wishes.input_fidelity.is_some()),
            ("output_compression", wishes.output_compression.is_some_and(|c| c < 100)),
        ] {
            if said {
                self.ignore(name);
            }
        }
        if self.wish(|w| w.background.as_deref()) == Some("transparent") {
            let message = "'background' is 'transparent'. This model paints opaque pictures: use 'opaque' or 'auto'";
            self.refuse(Unsupported::new("background", message))?;
        }
        Ok(())
    }

    /// A wish that shapes the picture cannot be honoured: an error, or a note where the caller allows it
    /// (`drop_params`). The config's own defaults never refuse.
    pub(super) fn refuse(&mut self, unsupported: Unsupported) -> Result<(), Unsupported> {
        let by_caller = self.said_by_caller(&unsupported.param);
        if by_caller && !self.order.task.drop_params && !self.order.drop_params {
            return Err(unsupported);
        }
        self.dropped |= by_caller;
        self.ignore(&unsupported.param);
        Ok(())
    }

    fn said_by_caller(&self, param: &str) -> bool {
        let wishes = &self.order.task.wishes;
        match param {
            "seed" => wishes.seed.is_some(),
            "background" => wishes.background.is_some(),
            "output_format" => wishes.output_format.is_some(),
            "size" => wishes.size.is_some(),
            "cfgScale" => wishes.cfg_scale.is_some(),
            "aspect_ratio" => wishes.aspect_ratio.is_some(),
            native => wishes.native.contains_key(native),
        }
    }

    pub(super) fn map(&mut self, param: &str, from: impl std::fmt::Display, to: impl std::fmt::Display) {
        self.mapped.push(format!("{param}={from}->{to}"));
    }

    pub(super) fn ignore(&mut self, param: &str) {
        if !self.ignored.iter().any(|p| p == param) {
            self.ignored.push(param.to_owned());
        }
    }

    /// The value that stands for a picture in a body: its base64 takes this place when the call is made.
    pub(super) fn place(&mut self, picture: Picture, recipe: Recipe) -> Value {
        self.placed.push((picture, recipe));
        format!("{}{}", self.mark(), self.placed.len() - 1).into()
    }

    /// What begins a picture's place. Drawn for each request, so that no caller can write it.
    fn mark(&self) -> String {
        format!("easel:{:016x}:", self.order.drawn_seed)
    }

    /// A body's text, cut where its pictures stand.
    fn draft(&self, body: &Value) -> Draft {
        let (text, mark) = (body.to_string(), format!("\"{}", self.mark()));
        let mut parts = Vec::new();
        let mut pieces = text.split(&mark);
        let mut before = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (place, after) = piece.split_once('"').unwrap_or((piece, ""));
            if let Some((picture, recipe)) = place.parse().ok().and_then(|place: usize| self.placed.get(place)) {
                parts.push(Part::Text(format!("{before}\"").into()));
                parts.push(Part::Picture { picture: picture.clone(), recipe: *recipe });
                before = "\"".to_owned();
            }
            before.push_str(after);
        }
        parts.push(Part::Text(before.into()));
        Draft { parts }
    }

    /// Takes a native member out.
    pub(super) fn native(&mut self, name: &str) -> Option<Value> {
        self.native.shift_remove(name)
    }

    pub(super) fn native_text(&mut self, name: &str) -> Result<Option<String>, Unsupported> {
        match self.native(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Unsupported::new(name, format!("'{name}' is {}. It takes a string", describe(&other)))),
        }
    }

    pub(super) fn has_native(&self, name: &str) -> bool {
        self.native.contains_key(name)
    }

    pub(super) fn native_is(&self, name: &str, word: &str) -> bool {
        self.native.get(name).and_then(Value::as_str) == Some(word)
    }

    /// The style, if it is one of the model's own; OpenAI's words for styles are hints.
    pub(super) fn take_style(&mut self, known: impl Fn(&str) -> bool) -> Option<&'a str> {
        let style = self.wish(|w| w.style.as_deref()).filter(|style| known(style));
        self.style_taken = style.is_some();
        style
    }

    /// A picture in a native member: its place if it came with the request; else its base64, as a config has it, with
    /// a `data:` prefix cut off, which Bedrock does not take.
    pub(super) fn native_picture(&mut self, name: &str) -> Result<Option<Value>, Unsupported> {
        let Some(text) = self.native_text(name)? else { return Ok(None) };
        let sent = attached(&text).and_then(|place| self.order.task.attached.get(place));
        Ok(Some(match (sent, text.split_once(";base64,")) {
            (Some(picture), _) => self.place(picture.clone(), Recipe::AsIs),
            (None, Some((head, data))) if head.starts_with("data:") => data.into(),
            (None, _) => text.into(),
        }))
    }

    pub(super) fn native_number(&mut self, name: &str, min: f64, max: f64) -> Result<Option<Value>, Unsupported> {
        let Some(value) = self.native(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if (min..=max).contains(&number) => Ok(Some(value)),
            _ => {
                let message = format!("'{name}' is {}. It takes a number from {min} to {max}", describe(&value));
                Err(Unsupported::new(name, message))
            }
        }
    }

    /// One of a model's words, in its own spelling.
    pub(super) fn native_word(&mut self, name: &str, words: &[&str]) -> Result<Option<String>, Unsupported> {
        match self.native_text(name)? {
            Some(text) if !words.contains(&&*text) => {
                let message = format!("'{name}' is '{}'. It takes {}", excerpt(&text), words.join(", "));
                Err(Unsupported::new(name, message))
            }
            text => Ok(text),
        }
    }

    /// Settles the native members that `dialect` did not take, and closes the sheet.
    pub(super) fn finish(
        mut self,
        dialect: Dialect,
        body: &Value,
        seed: u64,
        size: Size,
        quality: Quality,
    ) -> Result<Request, Unsupported> {
        for name in self.native.keys().cloned().collect::<Vec<_>>() {
            let foreign = Dialect::ALL.iter().any(|d| *d != dialect && d.own_members().contains(&&*name));
            if foreign {
                let message = format!("'{name}' is nothing this model knows. Leave it out, or send drop_params: true");
                self.refuse(Unsupported::new(&name, message))?;
            } else if self.order.task.strict && self.order.task.wishes.native.contains_key(&name) {
                return Err(Unsupported::new(&name, format!("unknown parameter: '{}'", excerpt(&name))));
            } else {
                self.ignore(&name);
            }
        }
        let body = self.draft(body);
        let (mapped, ignored, dropped) = (self.mapped, self.ignored, self.dropped);
        Ok(Request { body, mapped, ignored, seed, size, quality, dropped, makeshift: false })
    }
}
