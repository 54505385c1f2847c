//! Bodies that would be too long for Bedrock: their pictures are sent in fewer bytes.
//!
//! Must not change the size of a picture that a mask goes with.

use crate::image::{Format, Size};
use crate::payload::MAX_PAYLOAD;
use crate::picture::{Alpha, Margins, Picture, Recipe};

/// Bytes of a JPEG for ten pixels, at the quality that recipes are carried out with; photographs stay below.
const JPEG_BYTES_FOR_TEN_PIXELS: u64 = 7;

/// Bytes of a PNG for each pixel; photographs stay below.
const PNG_BYTES: u64 = 3;

/// Makes JPEGs of opaque pictures, the longest first, then transparent ones smaller, until the body is short enough
/// or nothing helps. What it says of it.
pub(super) fn lighten(placed: &mut [(Picture, Recipe)], text: usize) -> Vec<String> {
    let most = MAX_PAYLOAD.saturating_sub(text as u64) / 4 * 3;
    let mut notes = Vec::new();
    let total = |placed: &[(Picture, Recipe)]| -> u64 { placed.iter().map(|(p, r)| length(p, *r)).sum() };
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(length(&placed[*at].0, placed[*at].1)));
    for at in order {
        if total(placed) <= most {
            return notes;
        }
        let (picture, recipe) = &mut placed[at];
        let jpeg = as_jpeg(picture, *recipe).filter(|jpeg| length(picture, *jpeg) < length(picture, *recipe));
        if let Some(jpeg) = jpeg {
            notes.push(format!("{}={}->jpeg", picture.name, picture.format.name()));
            *recipe = jpeg;
        }
    }
    let (whole, see_through) = (total(placed), |(p, r): &(Picture, Recipe)| transparent(p, *r));
    if whole > most {
        let these: u64 = placed.iter().filter(|it| see_through(it)).map(|(p, r)| length(p, *r)).sum();
        let count = placed.iter().filter(|it| see_through(it)).count().max(1) as u64;
        let share = most.saturating_sub(whole - these) / count;
        for (picture, recipe) in placed.iter_mut().filter(|it| see_through(it)) {
            let size = shrunk(size(picture, *recipe), share);
            notes.push(format!("{}={}->{size}", picture.name, picture.size));
            *recipe = Recipe::Redrawn { size, margins: Margins::default(), alpha: true, format: Format::Png };
        }
    }
    notes
}

/// About how many bytes a recipe makes.
fn length(picture: &Picture, recipe: Recipe) -> u64 {
    match recipe {
        Recipe::AsIs => picture.blob.len(),
        Recipe::Redrawn { size, margins, format: Format::Jpeg, .. } => {
            margins.around(size).pixels() * JPEG_BYTES_FOR_TEN_PIXELS / 10
        }
        Recipe::Redrawn { size, margins, .. } => margins.around(size).pixels() * PNG_BYTES,
        // Two shades compress to next to nothing.
        Recipe::Mask { size, .. } | Recipe::Frame { size, .. } => size.pixels() / 50,
    }
}

fn size(picture: &Picture, recipe: Recipe) -> Size {
    match recipe {
        Recipe::Redrawn { size, .. } | Recipe::Mask { size, .. } | Recipe::Frame { size, .. } => size,
        Recipe::AsIs => picture.size,
    }
}

/// The same as a JPEG, if nothing shines through it and it is no mask.
fn as_jpeg(picture: &Picture, recipe: Recipe) -> Option<Recipe> {
    let (size, margins) = match recipe {
        Recipe::AsIs if picture.alpha != Alpha::Transparent => (picture.size, Margins::default()),
        Recipe::Redrawn { size, margins, alpha: false, .. } => (size, margins),
        Recipe::AsIs | Recipe::Redrawn { .. } | Recipe::Mask { .. } | Recipe::Frame { .. } => return None,
    };
    Some(Recipe::Redrawn { size, margins, alpha: false, format: Format::Jpeg })
}

/// Whether it is sent with its transparency. Only models that scale masks themselves take such pictures.
fn transparent(picture: &Picture, recipe: Recipe) -> bool {
    match recipe {
        Recipe::AsIs => picture.alpha == Alpha::Transparent,
        Recipe::Redrawn { alpha, .. } => alpha,
        Recipe::Mask { .. } | Recipe::Frame { .. } => false,
    }
}

/// A size of the same shape whose pixels come to at most so many bytes even if nothing compresses.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a side is a few thousand pixels, a picture a few million bytes"
)]
fn shrunk(size: Size, most: u64) -> Size {
    let factor = (most as f64 / (size.pixels() * 4) as f64).sqrt().min(1.0);
    let scale = |side: u32| ((f64::from(side) * factor) as u32).max(1);
    Size::new(scale(size.width), scale(size.height))
}
