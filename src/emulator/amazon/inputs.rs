//! The pictures and masks of a request to one of Amazon's models, taken or refused in their words.
//! It must not know what is done with them.
use super::super::{
    picture::{Flaw, Limits, decode, opaque},
    problem::Problem,
    region,
};
use image::{DynamicImage, GrayImage};

/// A picture as 8-bit RGB; `name` is its member's.
pub(super) fn picture(name: &str, text: &str, limits: &Limits) -> Result<DynamicImage, Problem> {
    let picture = decode(text, limits).map_err(|flaw| complaint(name, &flaw, limits))?;
    if !opaque(&picture) {
        return Err(Problem::validation(format!("{name} must not contain any transparent or translucent pixels.")));
    }
    Ok(DynamicImage::ImageRgb8(picture.into_rgb8()))
}

/// What is black in a mask of the same size as the picture.
pub(super) fn black(text: &str, beside: &DynamicImage, limits: &Limits) -> Result<GrayImage, Problem> {
    let mask = picture("maskImage", text, limits)?;
    let (is, wish) = ((mask.width(), mask.height()), (beside.width(), beside.height()));
    if is != wish {
        return Err(Problem::validation(format!(
            "maskImage must have the dimensions of the image, {} x {}, not {} x {}.",
            wish.0, wish.1, is.0, is.1
        )));
    }
    let grey = mask.to_luma8();
    let pure = grey.iter().all(|byte| matches!(byte, 0 | 255));
    // Only what has no colour comes back from grey as it was.
    if !pure || DynamicImage::ImageLuma8(grey.clone()).to_rgb8().as_raw().as_slice() != mask.as_bytes() {
        return Err(Problem::validation("maskImage must contain only pure black and pure white pixels."));
    }
    Ok(region::inverse(grey))
}

fn complaint(name: &str, flaw: &Flaw, limits: &Limits) -> Problem {
    Problem::validation(match flaw {
        Flaw::Unreadable => format!("Unable to decode {name}. It must be a base64 encoded PNG or JPEG."),
        Flaw::Sides(width, height) => format!(
            "The sides of {name} must be between {} and {} pixels, not {width} x {height}.",
            limits.sides.0, limits.sides.1
        ),
        Flaw::Ratio(width, height) => {
            format!("The aspect ratio of {name} must be between 1:{0} and {0}:1, not {width} x {height}.", limits.ratio)
        }
        Flaw::Pixels(pixels) => format!("{name} must have at most {} pixels, not {pixels}.", limits.pixels.1),
        Flaw::Kind(kind) => format!("{name} must be RGB with 8 bits per channel, not {kind}."),
    })
}
