//! How a picture has to be sent so that a model takes it: as it is, or redrawn.
//!
//! Must not know which model asks, or touch a pixel: it answers recipes.

use crate::catalog::Input;
use crate::image::{Format, Size, Unsupported};
use crate::picture::{Alpha, Margins, Picture, Recipe};

/// How one picture is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) recipe: Recipe,
    /// Without its margins.
    pub(super) size: Size,
    pub(super) margins: Margins,
}

/// The way to send a picture with `margins` around it; or why there is none, by the picture's name.
pub(super) fn fit(picture: &Picture, margins: Margins, input: &Input) -> Result<Fitted, Unsupported> {
    let whole = margins.around(picture.size);
    let legal = legal_size(&picture.name, whole, input)?;
    let (size, margins) = if legal == whole { (picture.size, margins) } else { inside(whole, legal, margins) };
    let flattened = picture.alpha == Alpha::Transparent && !input.alpha;
    let untouched = picture.plain
        && size == picture.size
        && margins.is_empty()
        && !flattened
        && input.formats.contains(&picture.format);
    if untouched {
        return Ok(Fitted { recipe: Recipe::AsIs, size, margins });
    }
    let alpha = picture.alpha == Alpha::Transparent && input.alpha;
    let format = if picture.format == Format::Jpeg { Format::Jpeg } else { Format::Png };
    Ok(Fitted { recipe: Recipe::Redrawn { size, margins, alpha, format }, size, margins })
}

/// The size itself if it is legal, else that of the same shape which is: smaller if it is too large, larger if it is
/// too small.
fn legal_size(name: &str, size: Size, input: &Input) -> Result<Size, Unsupported> {
    let (short, long) = (size.width.min(size.height), size.width.max(size.height));
    if let Some(most) = input.max_ratio.filter(|most| f64::from(long) > f64::from(short) * most) {
        let least = side((f64::from(long) / most).ceil());
        let (nearest, times) = match size.width < size.height {
            true => (Size::new(least, long), "times as high as wide"),
            false => (Size::new(long, least), "times as wide as high"),
        };
        let ratio = f64::from(long) / f64::from(short);
        let message = format!(
            "'{name}' is {size}, {ratio:.1} {times}. This model takes at most {most}: crop it, or pad it to {nearest}"
        );
        return Err(Unsupported::new(name, message));
    }
    let max_side = input.max_side.unwrap_or(u32::MAX);
    let pixels = float(size.pixels());
    let up = (f64::from(input.min_side) / f64::from(short)).max((float(input.min_pixels) / pixels).sqrt());
    let down = (f64::from(max_side) / f64::from(long)).min((float(input.max_pixels) / pixels).sqrt());
    let scaled = |factor: f64, round: fn(f64) -> f64| {
        let scale = |length: u32| side(round(f64::from(length) * factor)).clamp(input.min_side, max_side);
        Size::new(scale(size.width), scale(size.height))
    };
    let size = match (up > 1.0, down < 1.0) {
        (true, _) => scaled(up, f64::ceil),
        (false, true) => scaled(down, f64::floor),
        (false, false) => return Ok(size),
    };
    Ok(within(size, input))
}

/// What rounding has brought over a bound is taken off the longer side.
fn within(mut size: Size, input: &Input) -> Size {
    let over = |size: Size| {
        let (short, long) = (size.width.min(size.height), size.width.max(size.height));
        let too_long = input.max_ratio.is_some_and(|most| f64::from(long) > f64::from(short) * most);
        (too_long || size.pixels() > input.max_pixels) && long > input.min_side
    };
    while over(size) {
        if size.width > size.height { size.width -= 1 } else { size.height -= 1 }
    }
    size
}

/// What becomes of a picture and its margins when the whole is scaled to `legal`.
fn inside(whole: Size, legal: Size, margins: Margins) -> (Size, Margins) {
    let scale = |length: u32, from: u32, to: u32| side(f64::from(length) * f64::from(to) / f64::from(from));
    let across = |length| scale(length, whole.width, legal.width);
    let along = |length| scale(length, whole.height, legal.height);
    let margins = Margins {
        left: across(margins.left),
        right: across(margins.right),
        up: along(margins.up),
        down: along(margins.down),
    };
    let width = legal.width.saturating_sub(margins.left + margins.right).max(1);
    let height = legal.height.saturating_sub(margins.up + margins.down).max(1);
    (Size::new(width, height), margins)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and sides are small")]
fn side(length: f64) -> u32 {
    length as u32
}

#[expect(clippy::cast_precision_loss, reason = "a few million pixels are far below 2^52")]
fn float(pixels: u64) -> f64 {
    pixels as f64
}
