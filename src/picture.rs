//! Pictures that callers send in: what is known of each, and what a call's body wants of it.
//!
//! Must not touch a pixel, and knows no model: a recipe says what is to be done, `raster` does it.

use bytes::Bytes;

use crate::blob::Blob;
use crate::image::{Format, Size};

/// A picture as it came, with what its head says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The parameter as the caller wrote it, such as `image[1]`, for messages.
    pub name: String,
    /// The file.
    pub blob: Blob,
    /// How it is encoded, by its own bytes.
    pub format: Format,
    /// Its size when it stands upright.
    pub size: Size,
    /// Whether something shines through.
    pub alpha: Alpha,
    /// 8-bit RGB or RGBA, and upright: what every model can read.
    pub plain: bool,
}

/// What a picture's alpha channel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// There is none.
    Absent,
    /// It is there, and everything is opaque.
    Opaque,
    /// At least one pixel is not wholly opaque.
    Transparent,
}

/// What is made of a picture before it goes into a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// The file as it came.
    AsIs,
    /// Decoded, set upright, scaled to `size`, framed by white `margins`, and encoded anew with 8 bits a channel.
    Redrawn {
        /// Without the margins.
        size: Size,
        /// What is added around it.
        margins: Margins,
        /// Whether transparency stays; else the picture is laid on white.
        alpha: bool,
        /// How it is encoded. JPEG has no transparency.
        format: Format,
    },
    /// A mask in black and white, as an RGB PNG.
    Mask {
        /// The size that it is scaled to.
        size: Size,
        /// What says where to edit.
        by: MaskBy,
        /// The shade that marks what is edited.
        edited: Shade,
        /// Whether shades of grey stay; else each pixel is black or white.
        soft: bool,
    },
    /// A mask that marks the margins around a picture of `size`, as an RGB PNG. The picture's pixels do not matter.
    Frame {
        /// Without the margins.
        size: Size,
        /// What is marked.
        margins: Margins,
        /// The shade that marks it.
        edited: Shade,
    },
}

/// What says in a caller's mask where to edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskBy {
    /// Transparency: OpenAI's masks, and pictures that are masks of themselves.
    Alpha,
    /// White: masks in black and white as most tools make them.
    White,
    /// Black: masks as Nova Canvas takes them.
    Black,
}

/// One end of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shade {
    /// 0.
    Black,
    /// 255.
    White,
}

/// Pixels added on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// On the left.
    pub left: u32,
    /// On the right.
    pub right: u32,
    /// Above.
    pub up: u32,
    /// Below.
    pub down: u32,
}

impl Margins {
    /// `size` with these around it.
    pub fn around(self, size: Size) -> Size {
        Size::new(size.width + self.left + self.right, size.height + self.up + self.down)
    }

    /// Left, right, up, down.
    pub fn sides(self) -> [u32; 4] {
        [self.left, self.right, self.up, self.down]
    }

    /// Whether nothing is added.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A call's body with its pictures still to be made ready.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// In order.
    pub parts: Vec<Part>,
}

/// A stretch of a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// JSON.
    Text(Bytes),
    /// The base64 of a picture.
    Picture {
        /// Which.
        picture: Picture,
        /// What is made of it first.
        recipe: Recipe,
    },
}

impl Draft {
    /// The body in words: each picture as `<image: 1024x768 png, 123456 bytes>`.
    pub fn abbreviated(&self) -> String {
        let word = |part: &Part| match part {
            Part::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Part::Picture { picture, recipe } => describe(picture, *recipe),
        };
        self.parts.iter().map(word).collect()
    }

    /// Whether no picture is in it.
    pub fn is_text(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }
}

fn describe(picture: &Picture, recipe: Recipe) -> String {
    let name = &picture.name;
    match recipe {
        Recipe::AsIs => {
            format!("<{name}: {} {}, {} bytes>", picture.size, picture.format.name(), picture.blob.len())
        }
        Recipe::Redrawn { size, margins, format, .. } => {
            format!("<{name}: redrawn as {} {}>", margins.around(size), format.name())
        }
        Recipe::Mask { size, edited, .. } => format!("<{name}: mask of {size}, {} is edited>", edited.name()),
        Recipe::Frame { size, margins, edited } => {
            format!("<{name}: mask of {}, {} is edited>", margins.around(size), edited.name())
        }
    }
}

impl Shade {
    /// `black` or `white`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::White => "white",
        }
    }
}

/// What stands in a member whose picture was taken out of a request: the place of it in `Task::attached`. A caller
/// who writes such a text himself names one of his own pictures, or none.
pub fn attachment(place: usize) -> String {
    format!("\u{1}attached:{place}")
}

/// The place that such a text names.
pub fn attached(text: &str) -> Option<usize> {
    text.strip_prefix("\u{1}attached:")?.parse().ok()
}
