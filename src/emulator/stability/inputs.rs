//! The pictures and masks of a request to one of Stability's models, taken or refused in their words.
//! It must not know what is done with them.
use super::{
    super::picture::{Flaw, Limits, decode, opaque},
    super::problem::Problem,
    detail,
};
use image::{
    DynamicImage, GrayImage, ImageFormat,
    imageops::{self, FilterType},
};

/// What is taken where a model says nothing else.
pub(super) const ORDINARY: Limits = Limits {
    formats: &[ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP],
    sides: (64, u32::MAX),
    pixels: (0, 9_437_184),
    ratio: 2.5,
    plain: false,
};

/// A picture of any kind; `name` is its member's.
pub(super) fn picture(name: &str, text: &str, limits: &Limits) -> Result<DynamicImage, Problem> {
    decode(text, limits).map_err(|flaw| complaint(name, &flaw, limits))
}

fn complaint(name: &str, flaw: &Flaw, limits: &Limits) -> Problem {
    let (least, most) = limits.sides;
    let what = match flaw {
        Flaw::Unreadable | Flaw::Kind(_) => "unable to decode, expected base64 of jpeg, png or webp".to_owned(),
        Flaw::Sides(..) if most == u32::MAX => format!("width and height must be at least {least} pixels"),
        Flaw::Sides(..) => format!("width and height must be between {least} and {most} pixels"),
        Flaw::Ratio(..) => format!("aspect ratio must be between 1:{0} and {0}:1", limits.ratio),
        Flaw::Pixels(_) => {
            format!("total number of pixels must be between {} and {}", limits.pixels.0, limits.pixels.1)
        }
    };
    detail(&format!("{name}: {what}"))
}

/// The part of a picture that a mask makes white, brought to the picture's size.
pub(super) fn white(text: &str, beside: &DynamicImage) -> Result<GrayImage, Problem> {
    let mask = picture("mask", text, &ORDINARY)?;
    let (width, height) = (beside.width(), beside.height());
    Ok(imageops::resize(&mask.to_luma8(), width, height, FilterType::Nearest))
}

/// The part of a picture that is transparent, which stands for a mask.
pub(super) fn transparent(picture: &DynamicImage) -> Result<GrayImage, Problem> {
    if opaque(picture) {
        return Err(detail("mask is required when the image has no transparent pixels"));
    }
    let part = picture.to_rgba8().chunks_exact(4).map(|pixel| 255 - pixel[3]).collect();
    GrayImage::from_raw(picture.width(), picture.height(), part).ok_or_else(Problem::internal)
}
