//! Pictures to send to the emulator, and what can be asked of those that come back.
//! It must not keep pictures in files: they are made here.
use super::Stage;
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;
use std::io::Cursor;

/// A picture in which no pixel is like its neighbours.
pub(super) fn motley(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([x * 7 + y, y * 5 + x / 3, x ^ y].map(|value| value.to_le_bytes()[0]));
    RgbImage::from_fn(width, height, pixel).into()
}

pub(super) fn plain(width: u32, height: u32, colour: [u8; 3]) -> DynamicImage {
    RgbImage::from_pixel(width, height, Rgb(colour)).into()
}

/// A mask whose left half is one colour and whose right half is the other.
pub(super) fn halves(width: u32, height: u32, left: u8, right: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| Rgb([if x < width / 2 { left } else { right }; 3])).into()
}

/// The picture, transparent in its left half.
pub(super) fn half_transparent(picture: &DynamicImage) -> DynamicImage {
    let (mut picture, half) = (picture.to_rgba8(), picture.width() / 2);
    picture.enumerate_pixels_mut().filter(|(x, _, _)| *x < half).for_each(|(_, _, Rgba(pixel))| pixel[3] = 0);
    picture.into()
}

pub(super) fn grey(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_pixel(width, height, Luma([90])).into()
}

pub(super) fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG as requests hold it.
pub(super) fn png(picture: &DynamicImage) -> String {
    BASE64_STANDARD.encode(file(picture, ImageFormat::Png))
}

pub(super) fn jpeg(picture: &DynamicImage) -> String {
    BASE64_STANDARD.encode(file(picture, ImageFormat::Jpeg))
}

pub(super) fn webp(picture: &DynamicImage) -> String {
    BASE64_STANDARD.encode(file(picture, ImageFormat::WebP))
}

pub(super) fn decoded(text: &Value) -> DynamicImage {
    image::load_from_memory(&BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}

pub(super) fn rgba(picture: &DynamicImage) -> RgbaImage {
    picture.to_rgba8()
}

/// The share of the pixels inside that differ, then of those outside.
pub(super) fn changed(old: &DynamicImage, new: &DynamicImage, inside: impl Fn(u32, u32) -> bool) -> (f64, f64) {
    assert_eq!((old.width(), old.height()), (new.width(), new.height()));
    let (old, new) = (old.to_rgb8(), new.to_rgb8());
    let mut counts = [[0_u32; 2]; 2];
    for (x, y, pixel) in old.enumerate_pixels() {
        counts[usize::from(inside(x, y))][usize::from(pixel != new.get_pixel(x, y))] += 1;
    }
    let share = |[same, other]: [u32; 2]| f64::from(other) / f64::from((same + other).max(1));
    (share(counts[1]), share(counts[0]))
}

/// The mean of a picture's colours.
pub(super) fn mean(picture: &DynamicImage) -> [f64; 3] {
    let picture = picture.to_rgb8();
    let count = f64::from(picture.width()) * f64::from(picture.height());
    [0, 1, 2].map(|channel| picture.pixels().map(|pixel| f64::from(pixel.0[channel])).sum::<f64>() / count)
}

impl Stage {
    /// The whole reply to a request that goes well.
    pub(super) async fn reply(&self, model: &str, body: &Value) -> Value {
        let (status, _, text) = self.answer(model, body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The first picture of the reply.
    pub(super) async fn picture(&self, model: &str, body: &Value) -> DynamicImage {
        decoded(&self.reply(model, body).await["images"][0])
    }

    /// What a request is refused with.
    pub(super) async fn complaint(&self, model: &str, body: &Value) -> String {
        let (status, headers, text) = self.answer(model, body).await;
        assert_eq!(status, 400, "{text}");
        assert!(headers["x-amzn-errortype"].to_str().unwrap().starts_with("ValidationException:"));
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        body["message"].as_str().unwrap().to_owned()
    }
}
