//! Makes a picture out of those that were sent in: fills a region, cuts out, enlarges.
//! It must not decide what changes: the scene says so.
use super::{
    paint::{Chance, paint, salt},
    palette::strong,
    picture::resized,
    region::{self, Frame},
    scene::{Filling, Format, Scene, Work},
};
use image::{DynamicImage, GrayImage, RgbImage, imageops::FilterType};

/// The scene's pixels: RGB, or RGBA where something was cut out and the format has alpha.
pub(super) fn develop(scene: &Scene) -> DynamicImage {
    match &scene.work {
        Work::Paint | Work::Follow(_) => paint(scene).into(),
        Work::Fill { base, region, with } => fill(scene, base, region, with).into(),
        Work::CutOut { base, region } if scene.format == Format::Jpeg => whitened(base, region).into(),
        Work::CutOut { base, region } => cut_out(base, region),
        Work::Enlarge(picture) => resized(picture, scene.width, scene.height, FilterType::Triangle),
    }
}

fn fill(scene: &Scene, base: &DynamicImage, region: &GrayImage, with: &Filling) -> RgbImage {
    let mut picture = base.to_rgb8();
    let Some(frame) = region::frame(region) else { return picture };
    let filling = filling(scene, base, frame, with);
    let (width, length) = (region.width() as usize, frame.width as usize);
    let first = frame.top as usize * width + frame.left as usize;
    let everything = vec![255; length];
    let pixels: &mut [u8] = &mut picture;
    for (y, new) in filling.chunks_exact(length * 3).enumerate() {
        let at = first + y * width;
        let part = &region.as_raw()[at..at + length];
        let old = &mut pixels[at * 3..(at + length) * 3];
        if part == everything {
            old.copy_from_slice(new);
        } else {
            mix(old, new, part);
        }
    }
    picture
}

/// What the frame is filled with, as large as the frame.
fn filling(scene: &Scene, base: &DynamicImage, frame: Frame, with: &Filling) -> RgbImage {
    let Frame { left, top, width, height } = frame;
    match with {
        Filling::Painting => paint(&Scene { width, height, ..scene.clone() }),
        Filling::Picture(picture) => resized(picture, width, height, FilterType::Triangle).into_rgb8(),
        Filling::Tint => tinted(&base.crop_imm(left, top, width, height), strong(&mut Chance::new(salt(scene)))),
    }
}

/// Goes from the old pixels to the new ones as far as the part says.
fn mix(old: &mut [u8], new: &[u8], part: &[u8]) {
    for ((old, new), part) in old.chunks_exact_mut(3).zip(new.chunks_exact(3)).zip(part) {
        match part {
            0 => {}
            255 => old.copy_from_slice(new),
            part => {
                for (old, new) in old.iter_mut().zip(new) {
                    let (from, to, part) = (u32::from(*old), u32::from(*new), u32::from(*part));
                    *old = u8::try_from((from * (255 - part) + to * part) / 255).unwrap_or(u8::MAX);
                }
            }
        }
    }
}

/// The picture in the shades of one colour.
fn tinted(picture: &DynamicImage, colour: [u8; 3]) -> RgbImage {
    let shade =
        |grey: u32| colour.map(|channel| u8::try_from(u32::from(channel) * (grey + 128) / 383).unwrap_or(u8::MAX));
    let shades: Vec<[u8; 3]> = (0..256).map(shade).collect();
    let mut tinted = RgbImage::new(picture.width(), picture.height());
    for (pixel, grey) in tinted.chunks_exact_mut(3).zip(picture.to_luma8().as_raw()) {
        pixel.copy_from_slice(&shades[usize::from(*grey)]);
    }
    tinted
}

fn cut_out(base: &DynamicImage, region: &GrayImage) -> DynamicImage {
    let mut picture = base.to_rgba8();
    for (pixel, part) in picture.chunks_exact_mut(4).zip(region.as_raw()) {
        pixel[3] = 255 - part;
    }
    picture.into()
}

/// JPEG has no alpha: what would be transparent is white.
fn whitened(base: &DynamicImage, region: &GrayImage) -> RgbImage {
    let mut picture = base.to_rgb8();
    let white = vec![255; picture.len()];
    mix(&mut picture, &white, region);
    picture
}
