//! What is to be painted, once a model's body has been found legal.
//! It must not know how a picture is painted or which rules it came through.
use image::{DynamicImage, GrayImage, imageops};
use std::{fmt, sync::Arc};

/// A call that is well understood: the name of its task and its pictures.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) task: &'static str,
    pub(super) scenes: Vec<Scene>,
    /// The mask, if the caller wants it back beside the pictures.
    pub(super) mask: Option<Scene>,
}

/// One picture. The same scene is always the same bytes.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) model: &'static str,
    pub(super) prompt: String,
    /// What else the caller wished and the picture may show, such as a style.
    pub(super) mood: String,
    pub(super) seed: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Colours that the picture must be made of, if any.
    pub(super) colors: Vec<[u8; 3]>,
    pub(super) premium: bool,
    pub(super) format: Format,
    pub(super) work: Work,
}

/// What is done with the pictures that the caller sent. All are 8-bit RGB.
#[derive(Clone)]
pub(super) enum Work {
    /// There were none.
    Paint,
    /// They only lend their colours to a new picture.
    Follow(Lean),
    /// A region of `base` is filled; the rest stays as it is, to the pixel. The scene has the size of `base`.
    Fill { base: Arc<DynamicImage>, region: Arc<GrayImage>, with: Filling },
    /// `base` becomes transparent where the region says so.
    CutOut { base: Arc<DynamicImage>, region: Arc<GrayImage> },
    /// The picture is brought to the scene's size.
    Enlarge(Arc<DynamicImage>),
}

/// What a region is filled with.
#[derive(Clone)]
pub(super) enum Filling {
    /// A new picture as large as the frame around the region.
    Painting,
    /// What was there, in one other hue.
    Tint,
    /// This picture, stretched to the frame around the region.
    Picture(Arc<DynamicImage>),
}

/// The mean colour of the pictures sent in, and a sum that tells them from others of the same colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lean {
    pub(super) colour: [u8; 3],
    pub(super) sum: u32,
}

impl Lean {
    /// The mean of several pictures' means.
    pub(super) fn of<'a>(pictures: impl IntoIterator<Item = &'a DynamicImage>) -> Self {
        let (mut total, mut count, mut sum) = ([0_u32; 3], 0, 0_u32);
        for picture in pictures {
            let mean = imageops::thumbnail(&picture.to_rgb8(), 1, 1).get_pixel(0, 0).0;
            total = [0, 1, 2].map(|channel| total[channel] + u32::from(mean[channel]));
            sum = sum.rotate_left(1) ^ crc32fast::hash(picture.as_bytes());
            count += 1;
        }
        let colour = total.map(|channel| u8::try_from(channel / count.max(1)).unwrap_or(u8::MAX));
        Self { colour, sum }
    }
}

/// A picture in words: its pixels would fill a screen with numbers.
impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paint => "Paint",
            Self::Follow(_) => "Follow",
            Self::Fill { .. } => "Fill",
            Self::CutOut { .. } => "CutOut",
            Self::Enlarge(_) => "Enlarge",
        })
    }
}

/// How the picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
}
