//! Pictures that a caller sends in: told apart by their heads, held to a model's limits, then decoded.
//! It must not phrase complaints: each family of models has its own words.
use super::region::Frame;
use base64::{Engine, prelude::BASE64_STANDARD};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbImage};

/// What a model takes.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) formats: &'static [ImageFormat],
    /// The least and the most of each side, in pixels.
    pub(super) sides: (u32, u32),
    /// The least and the most of both sides' product.
    pub(super) pixels: (u64, u64),
    /// How many times the shorter side the longer one may be.
    pub(super) ratio: f64,
    /// Eight bits of red, green and blue, and nothing that would have to be converted.
    pub(super) plain: bool,
}

/// Why a picture is not taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Flaw {
    Unreadable,
    Sides(usize, usize),
    Ratio(usize, usize),
    Pixels(u64),
    /// It is none of the plain kinds but this one.
    Kind(&'static str),
}

/// Decodes base64 of a picture within the limits. Nothing is decoded of a picture that is too large.
pub(super) fn decode(text: &str, limits: &Limits) -> Result<DynamicImage, Flaw> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| Flaw::Unreadable)?;
    let format = image::guess_format(&bytes).map_err(|_| Flaw::Unreadable)?;
    if !limits.formats.contains(&format) {
        return Err(Flaw::Unreadable);
    }
    let size = imagesize::blob_size(&bytes).map_err(|_| Flaw::Unreadable)?;
    fits(size.width, size.height, limits)?;
    if limits.plain {
        plain(&bytes, format)?;
    }
    image::load_from_memory_with_format(&bytes, format).map_err(|_| Flaw::Unreadable)
}

fn fits(width: usize, height: usize, limits: &Limits) -> Result<(), Flaw> {
    let (short, long) = (width.min(height), width.max(height));
    if short < limits.sides.0 as usize || long > limits.sides.1 as usize {
        return Err(Flaw::Sides(width, height));
    }
    if long as f64 > limits.ratio * short as f64 {
        return Err(Flaw::Ratio(width, height));
    }
    let pixels = width as u64 * height as u64;
    if pixels < limits.pixels.0 || pixels > limits.pixels.1 {
        return Err(Flaw::Pixels(pixels));
    }
    Ok(())
}

/// PNG tells its kind at a fixed place, JPEG by the number of components in its frame's header.
fn plain(bytes: &[u8], format: ImageFormat) -> Result<(), Flaw> {
    let kind = match format {
        ImageFormat::Png => match bytes.get(24..26) {
            Some([8, 2 | 6]) => return Ok(()),
            Some([16, _]) => "16-bit",
            Some([_, 0 | 4]) => "grey",
            Some([_, 3]) => "indexed",
            _ => return Err(Flaw::Unreadable),
        },
        _ => match components(bytes) {
            Some(3) => return Ok(()),
            Some(1) => "grey",
            Some(4) => "CMYK",
            _ => return Err(Flaw::Unreadable),
        },
    };
    Err(Flaw::Kind(kind))
}

fn components(jpeg: &[u8]) -> Option<u8> {
    let mut rest = jpeg.get(2..)?;
    loop {
        let [0xff, marker, high, low, ..] = *rest else { return None };
        match marker {
            // Bytes of ones may fill up before a marker.
            0xff => rest = &rest[1..],
            // Frames, but not the tables and the arithmetic coder's settings that lie between their numbers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return rest.get(9).copied(),
            _ => rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?,
        }
    }
}

/// Whether no pixel is even slightly transparent.
pub(super) fn opaque(picture: &DynamicImage) -> bool {
    !picture.color().has_alpha() || DynamicImage::ImageRgb8(picture.to_rgb8()).to_rgba8() == picture.to_rgba8()
}

/// The picture in another size, at eight bits a channel; a mask stays grey.
pub(super) fn resized(picture: &DynamicImage, width: u32, height: u32, by: FilterType) -> DynamicImage {
    match picture {
        DynamicImage::ImageLuma8(grey) => imageops::resize(grey, width, height, by).into(),
        _ if picture.color().has_alpha() => imageops::resize(&picture.to_rgba8(), width, height, by).into(),
        _ => imageops::resize(&picture.to_rgb8(), width, height, by).into(),
    }
}

/// The picture in a larger one, black around it. The frame has the picture's size.
pub(super) fn padded(picture: &DynamicImage, width: u32, height: u32, frame: Frame) -> DynamicImage {
    let (old, mut new) = (picture.to_rgb8(), RgbImage::new(width, height));
    let rows = new.chunks_exact_mut(width as usize * 3).skip(frame.top as usize);
    for (new, old) in rows.zip(old.chunks_exact(frame.width as usize * 3)) {
        new[frame.left as usize * 3..][..old.len()].copy_from_slice(old);
    }
    DynamicImage::ImageRgb8(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a PNG, as far as `plain` looks.
    fn png(depth: u8, colour: u8) -> Vec<u8> {
        [&[0; 24][..], &[depth, colour]].concat()
    }

    #[test]
    fn plain_pictures_are_told_by_their_heads() {
        for (depth, colour, expect) in [
            (8, 2, Ok(())),
            (8, 6, Ok(())),
            (16, 2, Err(Flaw::Kind("16-bit"))),
            (16, 0, Err(Flaw::Kind("16-bit"))),
            (8, 0, Err(Flaw::Kind("grey"))),
            (8, 4, Err(Flaw::Kind("grey"))),
            (4, 3, Err(Flaw::Kind("indexed"))),
            (8, 9, Err(Flaw::Unreadable)),
        ] {
            assert_eq!(plain(&png(depth, colour), ImageFormat::Png), expect, "{depth} {colour}");
        }
        assert_eq!(plain(&[0; 25], ImageFormat::Png), Err(Flaw::Unreadable));
    }

    #[test]
    fn the_frame_of_a_jpeg_is_found_behind_other_segments() {
        let frame = [0xff, 0xc2, 0, 17, 8, 0, 64, 0, 64, 3];
        let jpeg = [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc4, 0, 2, 0xff][..], &frame].concat();
        assert_eq!(components(&jpeg), Some(3));
        for end in 0..jpeg.len() {
            assert_eq!(components(&jpeg[..end]), None, "{end}");
        }
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let limits = Limits { formats: &[], sides: (10, 100), pixels: (200, 5000), ratio: 2.5, plain: false };
        for (width, height, expect) in [
            (20, 10, Ok(())),
            (100, 50, Ok(())),
            (25, 10, Ok(())),
            (9, 10, Err(Flaw::Sides(9, 10))),
            (50, 101, Err(Flaw::Sides(50, 101))),
            (10, 26, Err(Flaw::Ratio(10, 26))),
            (19, 10, Err(Flaw::Pixels(190))),
            (100, 51, Err(Flaw::Pixels(5100))),
        ] {
            assert_eq!(fits(width, height, &limits), expect, "{width} {height}");
        }
    }
}
