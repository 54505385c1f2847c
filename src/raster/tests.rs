//! Pictures of every kind, made here: what is read from them, and what is made of them. Must not need a file.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::image::{Format, Size};
use crate::picture::{Alpha, Margins, MaskBy, Shade};

fn raster() -> Raster {
    Raster::new(Spooler::new(std::env::temp_dir()))
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Red on the left, blue on the right.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
}

async fn inspect(file: Vec<u8>) -> Result<Picture, Error> {
    raster().inspect("image", Bytes::from(file).into()).await
}

async fn made(file: Vec<u8>, recipe: Recipe) -> Result<DynamicImage, Error> {
    let picture = inspect(file).await?;
    let draft = Draft { parts: vec![Part::Picture { picture, recipe }] };
    let payload = raster().payload(&draft, &Prints::default()).await?;
    let (mut reading, mut base64) = (payload.read(), Vec::new());
    while let Some(piece) = reading.next().await.unwrap() {
        base64.extend_from_slice(&piece);
    }
    let file = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap();
    Ok(image::load_from_memory(&file).unwrap())
}

#[track_caller]
fn message(result: Result<impl fmt::Debug, Error>) -> String {
    match result.unwrap_err() {
        Error::Picture(unsupported) => {
            assert_eq!(unsupported.param, "image");
            unsupported.message
        }
        Error::Storage(error) => panic!("{error}"),
    }
}

/// A JPEG with an EXIF block that says how it is turned.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [&b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
    let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()
}

fn cmyk(width: u16, height: u16) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = [0, 255, 255, 0].repeat(usize::from(width) * usize::from(height));
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&pixels, width, height, jpeg_encoder::ColorType::Cmyk).unwrap();
    file
}

#[tokio::test]
async fn heads_tell_what_pictures_are() {
    let rgba = |alpha| RgbaImage::from_pixel(40, 30, Rgba([1, 2, 3, alpha]));
    let grey = GrayImage::from_pixel(40, 30, Luma([7]));
    let sixteen = DynamicImage::from(halves(40, 30)).into_rgb16();
    let jpeg = encoded(halves(40, 30), ImageFormat::Jpeg);
    let (wide, tall) = (Size::new(40, 30), Size::new(30, 40));
    for (what, file, format, size, alpha, plain) in [
        ("rgb png", encoded(halves(40, 30), ImageFormat::Png), Format::Png, wide, Alpha::Absent, true),
        ("opaque rgba png", encoded(rgba(255), ImageFormat::Png), Format::Png, wide, Alpha::Opaque, true),
        ("rgba png", encoded(rgba(254), ImageFormat::Png), Format::Png, wide, Alpha::Transparent, true),
        ("grey png", encoded(grey, ImageFormat::Png), Format::Png, wide, Alpha::Absent, false),
        ("16-bit png", encoded(sixteen, ImageFormat::Png), Format::Png, wide, Alpha::Absent, false),
        ("jpeg", jpeg.clone(), Format::Jpeg, wide, Alpha::Absent, true),
        ("turned jpeg", turned(&jpeg, 6), Format::Jpeg, tall, Alpha::Absent, false),
        ("jpeg upside down", turned(&jpeg, 3), Format::Jpeg, wide, Alpha::Absent, false),
        ("cmyk jpeg", cmyk(40, 30), Format::Jpeg, wide, Alpha::Absent, false),
        ("webp", encoded(halves(40, 30), ImageFormat::WebP), Format::Webp, wide, Alpha::Absent, true),
        ("rgba webp", encoded(rgba(0), ImageFormat::WebP), Format::Webp, wide, Alpha::Transparent, true),
    ] {
        let picture = inspect(file).await.unwrap();
        let told = (picture.format, picture.size, picture.alpha, picture.plain);
        assert_eq!(told, (format, size, alpha, plain), "{what}");
    }
}

#[tokio::test]
async fn what_is_no_picture_says_what_it_is() {
    for (file, expected) in [
        (&b""[..], "'image' is empty. PNG, JPEG and WebP are taken"),
        (b"GIF89a", "'image' is a GIF. PNG, JPEG and WebP are taken"),
        (b"\0\0\0\x20ftypheic", "'image' is a HEIC or AVIF picture. PNG, JPEG and WebP are taken"),
        (b"<svg/>", "'image' is SVG, HTML or XML. PNG, JPEG and WebP are taken"),
        (b"%PDF-1.7", "'image' is a PDF. PNG, JPEG and WebP are taken"),
        (b"hello", "'image' is no picture that can be read. PNG, JPEG and WebP are taken"),
    ] {
        assert_eq!(message(inspect(file.to_vec()).await), expected);
    }
}

#[tokio::test]
async fn every_cut_is_found_before_the_picture_is_sent() {
    for (format, name) in [(ImageFormat::Png, "png"), (ImageFormat::Jpeg, "jpeg"), (ImageFormat::WebP, "webp")] {
        let file = encoded(halves(200, 200), format);
        for length in [20, file.len() / 2, file.len() - 1] {
            let said = message(inspect(file[..length].to_vec()).await);
            assert_eq!(said, format!("'image' is a {name} that was cut off. Send the whole file"), "{length} bytes");
        }
    }
}

#[tokio::test]
async fn too_many_pixels_are_refused_by_the_head() {
    let small = encoded(GrayImage::new(10, 10), ImageFormat::Png);
    for (width, height) in [(8000_u32, 5000_u32), (100_000, 100_000)] {
        let mut bomb = small.clone();
        bomb[16..20].copy_from_slice(&width.to_be_bytes());
        bomb[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32fast::hash(&bomb[12..29]).to_be_bytes();
        bomb[29..33].copy_from_slice(&checksum);
        let limit = "At most 33554432 are read, such as 8192x4096: send it smaller";
        assert_eq!(message(inspect(bomb).await), format!("'image' has {width}x{height} pixels. {limit}"));
    }
}

#[tokio::test]
async fn pixels_that_do_not_decode_are_refused_by_name() {
    let mut file = encoded(RgbaImage::from_pixel(64, 64, Rgba([1, 2, 3, 4])), ImageFormat::Png);
    let middle = file.len() / 2;
    file[middle] ^= 0xff;
    assert!(message(inspect(file).await).starts_with("'image' is a broken png: "));
}

fn redrawn(width: u32, height: u32, margins: Margins, alpha: bool, format: Format) -> Recipe {
    Recipe::Redrawn { size: Size::new(width, height), margins, alpha, format }
}

#[tokio::test]
async fn redrawn_pictures_are_upright_plain_and_of_their_size() {
    let jpeg = encoded(halves(64, 32), ImageFormat::Jpeg);
    // Turned by a quarter, the red half is above.
    let upright = made(turned(&jpeg, 6), redrawn(32, 64, Margins::default(), false, Format::Png)).await.unwrap();
    assert_eq!((upright.width(), upright.height(), upright.color()), (32, 64, image::ColorType::Rgb8));
    let rgb = upright.into_rgb8();
    assert!(rgb.get_pixel(16, 8).0[0] > 200 && rgb.get_pixel(16, 56).0[2] > 200);

    let red = made(cmyk(64, 64), redrawn(64, 64, Margins::default(), false, Format::Png)).await.unwrap().into_rgb8();
    let [r, g, b] = red.get_pixel(32, 32).0;
    assert!(r > 200 && g < 60 && b < 60, "CMYK's red is {r} {g} {b}");

    let sixteen = encoded(DynamicImage::from(halves(64, 64)).into_rgb16(), ImageFormat::Png);
    let eight = made(sixteen, redrawn(32, 32, Margins::default(), true, Format::Png)).await.unwrap();
    assert_eq!((eight.color(), eight.width()), (image::ColorType::Rgb8, 32));
    assert_eq!(eight.into_rgb8().get_pixel(2, 2).0, [255, 0, 0]);

    let clear = encoded(RgbaImage::from_pixel(32, 32, Rgba([0, 0, 0, 0])), ImageFormat::Png);
    let flat = made(clear.clone(), redrawn(32, 32, Margins::default(), false, Format::Jpeg)).await.unwrap();
    assert!(flat.into_rgb8().get_pixel(5, 5).0.iter().all(|channel| *channel > 250), "laid on white");
    let kept = made(clear, redrawn(16, 16, Margins::default(), true, Format::Webp)).await.unwrap();
    assert_eq!(kept.into_rgba8().get_pixel(5, 5).0[3], 0);

    let margins = Margins { left: 8, right: 4, up: 2, down: 6 };
    let framed = made(encoded(halves(32, 32), ImageFormat::Png), redrawn(32, 32, margins, false, Format::Png)).await;
    let framed = framed.unwrap().into_rgb8();
    assert_eq!(framed.dimensions(), (44, 40));
    assert_eq!((framed.get_pixel(7, 2).0, framed.get_pixel(8, 2).0), ([255; 3], [255, 0, 0]));
    assert_eq!((framed.get_pixel(39, 33).0, framed.get_pixel(40, 33).0), ([0, 0, 255], [255; 3]));
}

fn mask(width: u32, height: u32, by: MaskBy, edited: Shade, soft: bool) -> Recipe {
    Recipe::Mask { size: Size::new(width, height), by, edited, soft }
}

#[tokio::test]
async fn masks_say_where_in_either_shade() {
    // Transparent on the left, a third of that in the middle.
    let alpha = RgbaImage::from_fn(30, 10, |x, _| Rgba([9, 9, 9, [0, 170, 255][x as usize / 10]]));
    let alpha = encoded(alpha, ImageFormat::Png);
    let row = |image: DynamicImage| [5, 15, 25].map(|x| image.to_rgb8().get_pixel(x, 5).0[0]);
    for (edited, soft, expected) in [
        (Shade::White, false, [255, 0, 0]),
        (Shade::Black, false, [0, 255, 255]),
        (Shade::White, true, [255, 85, 0]),
        (Shade::Black, true, [0, 170, 255]),
    ] {
        let made = made(alpha.clone(), mask(30, 10, MaskBy::Alpha, edited, soft)).await.unwrap();
        assert_eq!(made.color(), image::ColorType::Rgb8);
        assert_eq!(row(made), expected, "{edited:?} {soft}");
    }
    let white = encoded(GrayImage::from_fn(30, 10, |x, _| Luma([[255, 100, 0][x as usize / 10]])), ImageFormat::Png);
    let by = |by| made(white.clone(), mask(30, 10, by, Shade::White, false));
    assert_eq!(row(by(MaskBy::White).await.unwrap()), [255, 0, 0]);
    assert_eq!(row(by(MaskBy::Black).await.unwrap()), [0, 255, 255]);
    let larger = made(white, mask(90, 30, MaskBy::White, Shade::White, false)).await.unwrap().into_rgb8();
    assert_eq!((larger.dimensions(), larger.get_pixel(29, 9).0[0], larger.get_pixel(30, 9).0[0]), ((90, 30), 255, 0));
}

#[tokio::test]
async fn a_mask_that_marks_nothing_is_refused() {
    let opaque = encoded(RgbaImage::from_pixel(8, 8, Rgba([0, 0, 0, 255])), ImageFormat::Png);
    for by in [MaskBy::Alpha, MaskBy::White] {
        let said = message(made(opaque.clone(), mask(8, 8, by, Shade::White, false)).await);
        assert!(said.starts_with("'image' marks nothing to edit. Transparent pixels are edited;"), "{said}");
    }
}

#[tokio::test]
async fn a_frame_marks_the_margins() {
    let margins = Margins { left: 4, right: 0, up: 0, down: 2 };
    let recipe = Recipe::Frame { size: Size::new(10, 10), margins, edited: Shade::White };
    let frame = made(encoded(halves(10, 10), ImageFormat::Png), recipe).await.unwrap().into_rgb8();
    assert_eq!(frame.dimensions(), (14, 12));
    let shade = |x, y| frame.get_pixel(x, y).0[0];
    assert_eq!([shade(3, 0), shade(4, 0), shade(13, 9), shade(13, 10)], [255, 0, 0, 255]);
}

#[tokio::test]
async fn a_recipe_is_carried_out_once_however_many_calls_want_it() {
    let picture = inspect(encoded(halves(64, 64), ImageFormat::Png)).await.unwrap();
    let recipe = redrawn(32, 32, Margins::default(), false, Format::Png);
    let draft = Draft { parts: vec![Part::Picture { picture, recipe }] };
    let (raster, prints) = (raster(), Prints::default());
    let (one, two) = tokio::join!(raster.payload(&draft, &prints), raster.payload(&draft, &prints));
    assert_eq!(one.unwrap(), two.unwrap(), "the same blob");
}

#[tokio::test]
async fn more_than_bedrock_takes_is_refused_by_name() {
    let mut file = encoded(halves(64, 64), ImageFormat::Jpeg);
    let end = file.len() - 2;
    file.splice(end..end, [0xff, 0xfe].into_iter().chain(std::iter::repeat_n(0, 19_000_000)));
    let said = message(made(file, Recipe::AsIs).await);
    assert_eq!(said, "the pictures come to 25.3 MB as base64. Bedrock takes 25 MB in all: send them smaller");
}
