//! Which part of a picture changes: one byte for each pixel, from 0 where it stays to 255 where it changes.
//! It must not know who asked, nor what the part is filled with.
use image::{DynamicImage, GrayImage};

/// The rectangle that holds all that changes, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The ellipse in the middle whose axes are this part of the sides: where prompts are taken to point.
pub(super) fn ellipse(width: u32, height: u32, part: f64) -> GrayImage {
    let mut region = GrayImage::new(width, height);
    let (wide, tall) = (f64::from(width), f64::from(height));
    for (y, row) in (0_u32..).zip(region.chunks_exact_mut(width as usize)) {
        let off = (f64::from(y) + 0.5 - tall / 2.0) / (tall * part / 2.0);
        let reach = (1.0 - off * off).max(0.0).sqrt() * wide * part / 2.0;
        row[whole(wide / 2.0 - reach)..whole(wide / 2.0 + reach)].fill(255);
    }
    region
}

/// A rectangle, in pixels.
pub(super) fn block(width: u32, height: u32, frame: Frame) -> GrayImage {
    let mut region = GrayImage::new(width, height);
    let rows = region.chunks_exact_mut(width as usize).skip(frame.top as usize).take(frame.height as usize);
    rows.for_each(|row| row[frame.left as usize..][..frame.width as usize].fill(255));
    region
}

/// What stays changes, and the other way round.
pub(super) fn inverse(region: GrayImage) -> GrayImage {
    let mut region = DynamicImage::ImageLuma8(region);
    region.invert();
    region.into_luma8()
}

/// Where something changes; none if nothing does.
pub(super) fn frame(region: &GrayImage) -> Option<Frame> {
    // Whole rows are compared at once, which is quick in a build without optimisation too.
    let still = vec![0; region.width() as usize];
    let (mut rows, mut left, mut right) = (0..0, usize::MAX, 0);
    for (y, row) in (0_u32..).zip(region.chunks_exact(still.len().max(1))) {
        if row == still {
            continue;
        }
        rows = if rows.end == 0 { y..y + 1 } else { rows.start..y + 1 };
        let changes = |byte: &u8| *byte > 0;
        left = left.min(row.iter().position(changes).unwrap_or(usize::MAX));
        right = right.max(row.iter().rposition(changes).unwrap_or(0));
    }
    let side = |length: usize| u32::try_from(length).ok();
    let (left, width) = (side(left)?, side((right + 1).checked_sub(left)?)?);
    Some(Frame { left, top: rows.start, width, height: rows.end - rows.start })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "columns lie inside the picture")]
fn whole(value: f64) -> usize {
    value.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ellipse_lies_in_the_middle() {
        let region = ellipse(100, 60, 0.5);
        assert_eq!(frame(&region), Some(Frame { left: 25, top: 15, width: 50, height: 30 }));
        assert_eq!((region.get_pixel(50, 30).0, region.get_pixel(26, 16).0), ([255], [0]));
    }

    #[test]
    fn frames_are_tight() {
        let wish = Frame { left: 3, top: 2, width: 4, height: 1 };
        assert_eq!(frame(&block(10, 10, wish)), Some(wish));
        assert_eq!(frame(&GrayImage::new(10, 10)), None);
        let rest = inverse(block(10, 10, Frame { left: 0, top: 0, width: 10, height: 4 }));
        assert_eq!(frame(&rest), Some(Frame { left: 0, top: 4, width: 10, height: 6 }));
    }
}
