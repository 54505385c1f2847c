//! Carries out recipes: pictures redrawn, masks made. One picture in, one file out.
//!
//! Blocks. Must not be called but under a permit for the pixels.

use std::io::{BufReader, Cursor};

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::imageops::{self, FilterType as Scaling};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageEncoder, ImageResult, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::inspect::broken;
use crate::image::{Format, Size, Unsupported};
use crate::picture::{Margins, MaskBy, Picture, Recipe, Shade};

/// Quality of JPEGs that are only on their way to a model.
const JPEG_QUALITY: u8 = 95;

/// What a recipe holds in the end, in pixels.
pub(super) fn pixels(recipe: Recipe) -> u64 {
    match recipe {
        Recipe::AsIs => 0,
        Recipe::Mask { size, .. } => size.pixels(),
        Recipe::Redrawn { size, margins, .. } | Recipe::Frame { size, margins, .. } => margins.around(size).pixels(),
    }
}

/// The file that a recipe makes of a picture.
pub(super) fn draw(picture: &Picture, recipe: Recipe) -> Result<Vec<u8>, Unsupported> {
    let unreadable = |error: image::ImageError| broken(&picture.name, picture.format, &error.to_string());
    match recipe {
        Recipe::AsIs => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut picture.blob.reader(), &mut bytes)
                .map_err(|error| unreadable(error.into()))?;
            Ok(bytes)
        }
        Recipe::Redrawn { size, margins, alpha, format } => {
            let image = decode(picture).map_err(unreadable)?;
            redraw(image, size, margins, alpha && format != Format::Jpeg, format).map_err(unreadable)
        }
        Recipe::Mask { size, by, edited, soft } => {
            let image = decode(picture).map_err(unreadable)?;
            let mask = mask(image, size, by, soft);
            if mask.pixels().all(|pixel| pixel.0[0] < 128) {
                return Err(nothing_to_edit(&picture.name));
            }
            shaded(mask, edited).map_err(unreadable)
        }
        Recipe::Frame { size, margins, edited } => {
            let around = margins.around(size);
            let mut mask = GrayImage::from_pixel(around.width, around.height, Luma([255]));
            let inside = GrayImage::from_pixel(size.width, size.height, Luma([0]));
            imageops::replace(&mut mask, &inside, margins.left.into(), margins.up.into());
            shaded(mask, edited).map_err(unreadable)
        }
    }
}

/// A picture's pixels, upright.
pub(super) fn decode(picture: &Picture) -> ImageResult<DynamicImage> {
    let reader = BufReader::new(picture.blob.reader());
    match picture.format {
        Format::Png => upright(PngDecoder::new(reader)?),
        Format::Jpeg => upright(JpegDecoder::new(reader)?),
        Format::Webp => upright(WebPDecoder::new(reader)?),
    }
}

fn upright(mut decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn redraw(image: DynamicImage, size: Size, margins: Margins, alpha: bool, format: Format) -> ImageResult<Vec<u8>> {
    let image = match (image.width(), image.height()) == (size.width, size.height) {
        true => image,
        false => resized(image, size),
    };
    let around = margins.around(size);
    let (left, up) = (margins.left.into(), margins.up.into());
    if alpha && image.color().has_alpha() {
        let mut rgba = image.into_rgba8();
        if !margins.is_empty() {
            let mut canvas = RgbaImage::from_pixel(around.width, around.height, Rgba([255; 4]));
            imageops::replace(&mut canvas, &rgba, left, up);
            rgba = canvas;
        }
        return encode(&rgba.into(), format);
    }
    let mut rgb = on_white(image);
    if !margins.is_empty() {
        let mut canvas = RgbImage::from_pixel(around.width, around.height, Rgb([255; 3]));
        imageops::replace(&mut canvas, &rgb, left, up);
        rgb = canvas;
    }
    encode(&rgb.into(), format)
}

/// The picture in another size, in colour at eight bits a channel. Each kind of pixels is resized by code of its own, and
/// none is sent on as any other.
fn resized(image: DynamicImage, size: Size) -> DynamicImage {
    let (width, height, by) = (size.width, size.height, Scaling::CatmullRom);
    match image.color().has_alpha() {
        true => imageops::resize(&image.into_rgba8(), width, height, by).into(),
        false => imageops::resize(&image.into_rgb8(), width, height, by).into(),
    }
}

/// The picture laid on white where it is transparent.
pub(super) fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, a] = from.0.map(u16::from);
        let lay = |channel: u16| u8::try_from((channel * a + 255 * (255 - a) + 127) / 255).unwrap_or(255);
        to.0 = [lay(r), lay(g), lay(b)];
    }
    rgb
}

/// How strongly each pixel is edited, 0 to 255.
fn mask(image: DynamicImage, size: Size, by: MaskBy, soft: bool) -> GrayImage {
    let strength = match by {
        MaskBy::Alpha => {
            let rgba = image.into_rgba8();
            let mut grey = GrayImage::new(rgba.width(), rgba.height());
            grey.pixels_mut().zip(rgba.pixels()).for_each(|(to, from)| to.0 = [255 - from.0[3]]);
            grey
        }
        MaskBy::White => image.into_luma8(),
        MaskBy::Black => {
            let mut grey = image.into_luma8();
            grey.pixels_mut().for_each(|pixel| pixel.0[0] = 255 - pixel.0[0]);
            grey
        }
    };
    let scaling = if soft { Scaling::Triangle } else { Scaling::Nearest };
    let mut strength = match strength.dimensions() == (size.width, size.height) {
        true => strength,
        false => imageops::resize(&strength, size.width, size.height, scaling),
    };
    if !soft {
        strength.pixels_mut().for_each(|pixel| pixel.0[0] = if pixel.0[0] < 128 { 0 } else { 255 });
    }
    strength
}

fn nothing_to_edit(name: &str) -> Unsupported {
    let message = format!(
        "'{name}' marks nothing to edit. Transparent pixels are edited; in a mask without transparency, white ones are"
    );
    Unsupported::new(name, message)
}

/// A mask as an RGB PNG, with what is edited in this shade.
fn shaded(mask: GrayImage, edited: Shade) -> ImageResult<Vec<u8>> {
    let mut rgb = RgbImage::new(mask.width(), mask.height());
    for (to, from) in rgb.pixels_mut().zip(mask.pixels()) {
        let shade = match edited {
            Shade::White => from.0[0],
            Shade::Black => 255 - from.0[0],
        };
        to.0 = [shade; 3];
    }
    encode(&rgb.into(), Format::Png)
}

fn encode(image: &DynamicImage, format: Format) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let (bytes, width, height, colour) = (image.as_bytes(), image.width(), image.height(), image.color().into());
    match format {
        // On its way to a model it lives for seconds: quick matters more than small.
        Format::Png => PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
            .write_image(bytes, width, height, colour),
        Format::Jpeg => {
            JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY).write_image(bytes, width, height, colour)
        }
        Format::Webp => WebPEncoder::new_lossless(&mut file).write_image(bytes, width, height, colour),
    }?;
    Ok(file.into_inner())
}
