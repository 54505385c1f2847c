//! The domain's nouns: sizes, formats, a task to paint, and why it cannot be painted.
//!
//! Must not know HTTP, YAML or any one model.

use std::fmt;
use std::str::FromStr;

use crate::picture::Picture;
use crate::wishes::Wishes;

/// Width and height of a picture, in pixels; written `1024x1024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// The size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Width divided by height.
    pub fn ratio(self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|()| format!("'{text}' is no size"))
    }
}

impl FromStr for Size {
    type Err = ();

    /// Reads `1024x1024`, with spaces around the numbers allowed, as LiteLLM does; zero is no size.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (width, height) = text.split_once(['x', 'X']).ok_or(())?;
        let side = |s: &str| s.trim().parse().ok().filter(|n| *n > 0).ok_or(());
        Ok(Self::new(side(width)?, side(height)?))
    }
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
}

impl Format {
    /// The word that OpenAI and Stability use: `png`, `jpeg` or `webp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// How names of files end: `png`, `jpg` or `webp`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }

    /// What the first bytes of a file say it is; twelve are enough.
    pub fn of(first: &[u8]) -> Option<Self> {
        match imagesize::image_type(first).ok()? {
            imagesize::ImageType::Png => Some(Self::Png),
            imagesize::ImageType::Jpeg => Some(Self::Jpeg),
            imagesize::ImageType::Webp => Some(Self::Webp),
            _ => None,
        }
    }

    /// Reads `png`, `jpeg`, `jpg` or `webp`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpeg" | "jpg" => Some(Self::Jpeg),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }
}

/// How a picture is to be encoded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// As what.
    pub format: Format,
    /// How true to the picture, 0 to 100; means nothing to PNG.
    pub quality: u8,
}

/// How much care the model takes, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// The model's ordinary quality.
    Standard,
    /// The model's better, dearer quality.
    Premium,
}

impl Quality {
    /// Bedrock's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Premium => "premium",
        }
    }

    /// OpenAI's and Nova's words: low, medium, standard, auto are standard; high, hd, premium, xhigh, max are
    /// premium; anything else is a hint that is not understood.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "low" | "medium" | "standard" | "auto" => Some(Self::Standard),
            "high" | "hd" | "premium" | "xhigh" | "max" => Some(Self::Premium),
            _ => None,
        }
    }
}

/// What is to become of pictures that come with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// There are none: paint from text. Pictures may still guide a painting (`attached`).
    #[default]
    Generate,
    /// Change the pictures.
    Edit,
    /// Paint others like the picture.
    Vary,
}

/// What a caller wants painted: well-formed, not yet legal for any one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// What is to become of the pictures.
    pub intent: Intent,
    /// The text to paint from. Empty where pictures say enough, such as to take away a background.
    pub prompt: String,
    /// The pictures to change, in order; at least one unless the intent is to generate.
    pub images: Vec<Picture>,
    /// Where to change the first of them: OpenAI's mask (transparent is edited), or one in black and white.
    pub mask: Option<Picture>,
    /// Pictures in native members, which name them by `picture::attachment`.
    pub attached: Vec<Picture>,
    /// Everything else that shapes the pictures.
    pub wishes: Wishes,
    /// Leave out what a model cannot honour, and say so, instead of refusing (LiteLLM's `drop_params`).
    pub drop_params: bool,
    /// Refuse members that nobody knows instead of ignoring them (`easel_settings.strict_params`).
    pub strict: bool,
    /// Members that were left out of it (LiteLLM's `additional_drop_params`), for the caller to hear.
    pub ignored: Vec<String>,
}

impl Task {
    /// The same without these members, which are noted where they were there.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let mut task = self.clone();
        for name in names {
            if task.wishes.drop(name) {
                task.ignored.push(name.clone());
            }
        }
        task
    }
}

/// Which of a request's pictures one call paints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Place of the first of them in the reply, from 0.
    pub first: u8,
    /// How many.
    pub count: u8,
}

impl Part {
    /// Cuts this part into pieces of at most `most` pictures, in order.
    pub fn split(self, most: u8) -> impl Iterator<Item = Self> {
        let most = most.max(1);
        let end = self.first.saturating_add(self.count);
        (self.first..end).step_by(usize::from(most)).map(move |first| Self { first, count: most.min(end - first) })
    }
}

/// A wish that a model cannot honour: the parameter, and a sentence with its value and the nearest that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The parameter as the caller wrote it.
    pub param: String,
    /// What is wrong, quoting the value; a second sentence says what is accepted.
    pub message: String,
    /// Whether the model is made for something else, so that what another says of the task says more.
    pub elsewhere: bool,
}

impl Unsupported {
    /// `param` cannot be honoured, for the reason in `message`.
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: param.into(), message: message.into(), elsewhere: false }
    }

    /// The same from a model that is made for something else.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self { elsewhere: true, ..self }
    }
}
