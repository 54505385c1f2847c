//! Encodes a painted picture anew, where a caller wants it otherwise than the model can.
//!
//! Blocks. Must not be called but under a permit for the pixels.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder, ImageResult};
use webp::Encoder;

use super::draw::{decode, on_white};
use crate::image::{Encoding, Format};
use crate::picture::Picture;

/// The file, and whether transparency was laid on white because JPEG has none.
pub(super) fn transcode(picture: &Picture, to: Encoding) -> Result<(Vec<u8>, bool), String> {
    let in_words = |error: image::ImageError| error.to_string();
    let image = decode(picture).map_err(in_words)?;
    match to.format {
        Format::Png => png(&image).map(|file| (file, false)).map_err(in_words),
        Format::Webp => webp(image, to.quality).map(|file| (file, false)),
        Format::Jpeg => {
            let flattened = shines_through(&image);
            jpeg(image, to.quality).map(|file| (file, flattened)).map_err(in_words)
        }
    }
}

fn png(image: &DynamicImage) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let (width, height, colour) = (image.width(), image.height(), image.color().into());
    PngEncoder::new(&mut file).write_image(image.as_bytes(), width, height, colour)?;
    Ok(file.into_inner())
}

fn jpeg(image: DynamicImage, quality: u8) -> ImageResult<Vec<u8>> {
    let (rgb, mut file) = (on_white(image), Vec::new());
    // JPEG's scale begins with 1.
    JpegEncoder::new_with_quality(&mut file, quality.max(1)).encode_image(&rgb)?;
    Ok(file)
}

fn webp(image: DynamicImage, quality: u8) -> Result<Vec<u8>, String> {
    let quality = f32::from(quality);
    let encoded = match image.color().has_alpha() {
        true => {
            let rgba = image.into_rgba8();
            Encoder::from_rgba(&rgba, rgba.width(), rgba.height()).encode_simple(false, quality)
        }
        false => {
            let rgb = image.into_rgb8();
            Encoder::from_rgb(&rgb, rgb.width(), rgb.height()).encode_simple(false, quality)
        }
    };
    encoded.map(|file| file.to_vec()).map_err(|error| format!("WebP takes no such picture ({error:?})"))
}

/// Whether a pixel is not opaque.
pub(super) fn shines_through(image: &DynamicImage) -> bool {
    match image {
        DynamicImage::ImageRgba8(rgba) => rgba.pixels().any(|pixel| pixel.0[3] < 255),
        other => other.color().has_alpha() && other.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255),
    }
}
