//! The worksheet of one body: reads wishes in order of precedence and notes what became of each.
//!
//! Must not know the grammar of any one model.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Order, Request};
use super::{field, light};
use crate::image::{Encoding, Format, Quality, Size, Unsupported};
use crate::picture::{Draft, Part, Picture, Recipe};
use crate::wishes::{SizeWish, Wishes, excerpt};

/// A body without pictures is seldom longer.
const BODY: usize = 512;

/// Wishes of caller and config side by side, with the notes of what was mapped and ignored.
pub(super) struct Sheet<'a> {
    pub(super) order: Order<'a>,
    /// Native members of both, the caller's over the config's.
    pub(super) native: Map<String, Value>,
    /// The pictures to change that no member has taken yet.
    pub(super) images: Vec<Picture>,
    /// Where to change the first of them, if no member has taken it yet.
    pub(super) mask: Option<Picture>,
    /// Whether the model does something else by nature.
    pub(super) makeshift: bool,
    mapped: Vec<String>,
    ignored: Vec<String>,
    /// Pictures that the body names, by their places.
    pub(super) placed: Vec<(Picture, Recipe)>,
    transcode: Option<Encoding>,
    /// Hints that had an effect after all.
    honoured: Vec<&'static str>,
    dropped: bool,
}

/// What a call is paid by, and the seed that it carries.
pub(super) struct Bill {
    pub(super) seed: Option<u64>,
    pub(super) size: Size,
    pub(super) quality: Quality,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(order: Order<'a>) -> Self {
        let mut native = order.defaults.native.clone();
        native.extend(order.task.wishes.native.clone());
        let (images, mask, ignored) = (order.task.images.clone(), order.task.mask.clone(), order.task.ignored.clone());
        let mut sheet = Self {
            order,
            native,
            images,
            mask,
            makeshift: false,
            mapped: Vec::new(),
            ignored,
            placed: Vec::new(),
            transcode: None,
            honoured: Vec::new(),
            dropped: false,
        };
        sheet.adopt_pictures();
        sheet
    }

    /// The caller's wish, else the config's.
    pub(super) fn wish<T>(&self, read: impl Fn(&'a Wishes) -> Option<T>) -> Option<T> {
        read(&self.order.task.wishes).or_else(|| read(self.order.defaults))
    }

    /// The prompt, or the text that replaces it. Empty where there is none.
    pub(super) fn text(&self) -> &'a str {
        self.order.task.wishes.text.as_deref().unwrap_or(&self.order.task.prompt)
    }

    /// The prompt, for a model that takes one, if it is not too long.
    pub(super) fn prompt_if_any(&self) -> Result<Option<&'a str>, Unsupported> {
        let text = Some(self.text()).filter(|text| !text.trim().is_empty());
        text.map(|text| self.within_limit("prompt", text)).transpose()
    }

    /// The prompt, for a model that needs one.
    pub(super) fn prompt(&self) -> Result<&'a str, Unsupported> {
        let missing =
            || Unsupported::new("prompt", "'prompt' is missing. This model needs one here: say what to paint");
        self.prompt_if_any()?.ok_or_else(missing)
    }

    /// Prompts have no effect here: what was said is named.
    pub(super) fn without_prompts(&mut self) {
        for (name, said) in [
            ("prompt", !self.text().trim().is_empty()),
            ("negative_prompt", self.wish(|w| w.negative_prompt.as_deref()).is_some_and(|text| !text.is_empty())),
        ] {
            if said {
                self.ignore(name);
            }
        }
    }

    /// The reply has the size of a picture that is sent: another wish is named.
    pub(super) fn size_as_given(&mut self, given: Size) {
        if self.wish(|w| w.size).is_some_and(|size| ![SizeWish::Auto, SizeWish::Exact(given)].contains(&size)) {
            self.ignore("size");
        }
        if self.wish(|w| w.aspect_ratio.as_deref()).is_some() {
            self.ignore("aspect_ratio");
        }
    }

    /// The model makes the same picture each time: it takes no seed, and more than one would be paid for in vain.
    pub(super) fn only_once(&mut self) -> Result<(), Unsupported> {
        if self.wish(|w| w.seed).is_some() {
            self.ignore("seed");
        }
        match self.wish(|w| w.count) {
            Some(count) if count > 1 => {
                let message = format!("'n' is {count}. This model makes the same picture each time: use 1");
                Err(Unsupported::new("n", message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn negative_prompt(&self) -> Result<Option<&'a str>, Unsupported> {
        let text = self.wish(|w| w.negative_prompt.as_deref()).filter(|text| !text.is_empty());
        text.map(|text| self.within_limit("negative_prompt", text)).transpose()
    }

    pub(super) fn within_limit<'t>(&self, param: &str, text: &'t str) -> Result<&'t str, Unsupported> {
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

    /// The encoding to ask the model for; absent where nobody asks. What it lacks, or cannot compress as the caller
    /// wants, it paints as PNG, and that is encoded anew when it comes.
    pub(super) fn output_format(&mut self) -> Result<Option<Format>, Unsupported> {
        let Some(format) = self.wish(|w| w.output_format) else { return Ok(None) };
        if format == Format::Jpeg && self.wish(|w| w.background.as_deref()) == Some("transparent") {
            let message =
                "'output_format' is 'jpeg', and 'background' is 'transparent', which JPEG has not. Use 'png' or 'webp'";
            return self.refuse(Unsupported::new("output_format", message)).map(|()| None);
        }
        let (formats, quality) = (&self.order.limits.formats, self.wish(|w| w.output_compression).unwrap_or(100));
        if formats.contains(&format) && (format == Format::Png || quality == 100) {
            return Ok(Some(format));
        }
        self.transcode = Some(Encoding { format, quality });
        let lossless = formats.iter().find(|format| **format == Format::Png);
        Ok(lossless.or(formats.first()).copied())
    }

    /// Hints have no effect and never refuse; a transparent background shapes the picture, so it does.
    pub(super) fn hints(&mut self) -> Result<(), Unsupported> {
        let wishes = &self.order.task.wishes;
        let plain = |word: &Option<String>| word.as_deref().is_some_and(|w| w != "auto");
        for (name, said) in [
            ("style", wishes.style.is_some()),
            ("moderation", plain(&wishes.moderation)),
            ("input_fidelity", wishes.input_fidelity.is_some()),
            ("output_compression", wishes.output_compression.is_some_and(|c| c < 100) && self.transcode.is_none()),
        ] {
            if said && !self.honoured.contains(&name) {
                self.ignore(name);
            }
        }
        let transparent = self.wish(|w| w.background.as_deref()) == Some("transparent");
        if transparent && !self.honoured.contains(&"background") {
            let message = "'background' is 'transparent'. This model paints opaque pictures: use 'opaque' or 'auto'";
            self.refuse(Unsupported::new("background", message))?;
        }
        Ok(())
    }

    /// A hint has an effect after all.
    pub(super) fn honour(&mut self, hint: &'static str) {
        self.honoured.push(hint);
    }

    /// The style, if it is one of the model's own; OpenAI's words for styles are hints.
    pub(super) fn take_style(&mut self, known: impl Fn(&str) -> bool) -> Option<&'a str> {
        let style = self.wish(|w| w.style.as_deref()).filter(|style| known(style))?;
        self.honour("style");
        Some(style)
    }

    /// `cfgScale`, for a model that has nothing like it.
    pub(super) fn no_cfg_scale(&mut self) -> Result<(), Unsupported> {
        if self.wish(|w| w.cfg_scale).is_none() {
            return Ok(());
        }
        self.refuse(not_taken("cfgScale"))
    }

    /// `quality`, for a model that has one only.
    pub(super) fn no_quality(&mut self) {
        if self.wish(|w| w.quality.as_deref()).is_some_and(|q| !["auto", "standard"].contains(&q)) {
            self.ignore("quality");
        }
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
            "negative_prompt" => wishes.negative_prompt.is_some(),
            "image" => !self.order.task.images.is_empty() || wishes.native.contains_key("image"),
            "mask" => self.order.task.mask.is_some() || wishes.native.contains_key("mask"),
            native => wishes.native.contains_key(native),
        }
    }

    pub(super) fn map(&mut self, param: &str, from: impl std::fmt::Display, to: impl std::fmt::Display) {
        self.mapped.push(format!("{param}={from}->{to}"));
    }

    /// The same where the value is a text of the caller's: only the names.
    pub(super) fn map_name(&mut self, from: &str, to: &str) {
        self.mapped.push(format!("{from}->{to}"));
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
    fn draft(&self, text: String) -> Draft {
        if self.placed.is_empty() {
            return Draft { parts: vec![Part::Text(text.into())] };
        }
        let mark = format!("\"{}", self.mark());
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

    /// Settles the pictures and native members that nobody took, and closes the sheet.
    pub(super) fn finish(mut self, body: &Value, bill: Bill) -> Result<Request, Unsupported> {
        self.settle_pictures()?;
        for name in self.native.keys().cloned().collect::<Vec<_>>() {
            if field::is_known(&name) {
                self.refuse(not_taken(&name))?;
            } else if self.order.task.strict && self.order.task.wishes.native.contains_key(&name) {
                return Err(Unsupported::new(&name, format!("unknown parameter: '{}'", excerpt(&name))));
            } else {
                self.ignore(&name);
            }
        }
        let mut text = String::with_capacity(BODY);
        // Writing into a string does not fail.
        let _ = write!(text, "{body}");
        let notes = light::lighten(&mut self.placed, text.len());
        self.mapped.extend(notes);
        let body = self.draft(text);
        let Bill { seed, size, quality } = bill;
        let Self { mapped, ignored, transcode, dropped, makeshift, .. } = self;
        Ok(Request { body, mapped, ignored, transcode, seed, size, quality, dropped, makeshift })
    }
}

/// The refusal of a member that the model does not have, or not for this.
pub(super) fn not_taken(name: &str) -> Unsupported {
    Unsupported::new(
        name,
        format!("'{name}' is nothing this model takes here. Leave it out, or send drop_params: true"),
    )
}
