//! Sizes: legal, nearest legal, or nonsense; and aspect ratios by name.
//!
//! Must not know which model asks.

use crate::image::{Size, Unsupported};

/// The rule for a model that takes pixels.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub(super) min_side: u32,
    pub(super) max_side: u32,
    pub(super) multiple: u32,
    pub(super) max_pixels: u64,
    pub(super) max_ratio: u32,
}

/// Sides outside this range are a slip of the pen, not a size that somebody wants.
const SANE_SIDES: std::ops::RangeInclusive<u32> = 64..=8192;

/// Longest side by shortest side that is still a picture; also Nova's own bound.
const SANE_RATIO: u32 = 4;

impl Pixels {
    fn legal(self, size: Size) -> bool {
        let side = |s: u32| (self.min_side..=self.max_side).contains(&s) && s.is_multiple_of(self.multiple);
        side(size.width) && side(size.height) && size.pixels() <= self.max_pixels && ratio_within(size, self.max_ratio)
    }

    /// The size itself if it is legal, else the nearest legal one of about the same shape.
    pub(super) fn nearest(self, size: Size) -> Result<Size, Unsupported> {
        if self.legal(size) {
            return Ok(size);
        }
        let nearest = self.clamp(size);
        if is_nonsense(size) { Err(nonsense(size, nearest)) } else { Ok(nearest) }
    }

    fn clamp(self, size: Size) -> Size {
        let most = f64::from(self.max_ratio);
        let ratio = size.ratio().clamp(1.0 / most, most);
        // Areas first: shrink to the most pixels, grow until the shorter side is long enough.
        let mut height = f64::from(size.height).min((self.max_pixels_f64() / ratio).sqrt());
        height = height.max(f64::from(self.min_side) / ratio.min(1.0));
        let (mut width, mut height) = (self.round(height * ratio), self.round(height));
        while u64::from(width) * u64::from(height) > self.max_pixels {
            if width > height { width -= self.multiple } else { height -= self.multiple }
        }
        while !ratio_within(Size::new(width, height), self.max_ratio) {
            if width < height { width += self.multiple } else { height += self.multiple }
        }
        Size::new(width, height)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few million pixels are far below 2^52")]
    fn max_pixels_f64(self) -> f64 {
        self.max_pixels as f64
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a side's range")]
    fn round(self, side: f64) -> u32 {
        let steps = (side / f64::from(self.multiple)).round() as u32;
        (steps * self.multiple).clamp(self.min_side, self.max_side)
    }
}

/// Whether nobody can mean this size.
fn is_nonsense(size: Size) -> bool {
    !SANE_SIDES.contains(&size.width) || !SANE_SIDES.contains(&size.height) || !ratio_within(size, SANE_RATIO)
}

fn nonsense(size: Size, nearest: impl std::fmt::Display) -> Unsupported {
    Unsupported::new("size", format!("'size' is '{size}'. The nearest valid is '{nearest}'"))
}

fn ratio_within(size: Size, most: u32) -> bool {
    let (short, long) = (size.width.min(size.height), size.width.max(size.height));
    u64::from(long) <= u64::from(short) * u64::from(most)
}

/// Width by height of a ratio's name, such as `16:9`.
pub(super) fn parse_ratio(name: &str) -> Option<f64> {
    let (width, height) = name.split_once(':')?;
    let side = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    Some(side(width)? / side(height)?)
}

/// The name whose shape is nearest to `ratio`; distances are relative, so that 1:2 and 2:1 are equally far from 1:1.
pub(super) fn nearest_ratio(names: &[String], ratio: f64) -> &str {
    let distance = |name: &str| parse_ratio(name).map_or(f64::INFINITY, |r| (r / ratio).ln().abs());
    names.iter().map(String::as_str).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or("1:1")
}

/// The size itself if it is listed, else the listed one that is nearest in shape, then in area.
pub(super) fn nearest_of(sizes: &[Size], size: Size) -> Result<Size, Unsupported> {
    let steps = |listed: &Size| {
        let shape = (listed.ratio() / size.ratio()).ln().abs();
        let area = (f64::from(listed.width) / f64::from(size.width)).ln().abs();
        // A shape that is off by a tenth is worse than any area.
        (shape * 20.0).round() * 100.0 + area
    };
    let nearest = sizes.iter().copied().min_by(|a, b| steps(a).total_cmp(&steps(b))).unwrap_or(size);
    if is_nonsense(size) { Err(nonsense(size, nearest)) } else { Ok(nearest) }
}

/// The name of the ratio nearest to a size, unless the size is nonsense.
pub(super) fn ratio_of_size(names: &[String], size: Size) -> Result<&str, Unsupported> {
    let nearest = nearest_ratio(names, size.ratio());
    if is_nonsense(size) {
        let side = 1024;
        let valid = parse_ratio(nearest).map_or(Size::new(side, side), |r| area_of_ratio(r, side));
        return Err(nonsense(size, valid));
    }
    Ok(nearest)
}

/// A size of about `side` squared pixels with sides that are multiples of 16.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a ratio's sides are a few thousand pixels"
)]
pub(super) fn area_of_ratio(ratio: f64, side: u32) -> Size {
    let root = ratio.clamp(0.25, 4.0).sqrt();
    let round = |n: f64| ((n / 16.0).round() as u32) * 16;
    Size::new(round(f64::from(side) * root), round(f64::from(side) / root))
}
