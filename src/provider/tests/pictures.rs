//! Pictures that a model does not take as they are: what is made of them, and what is said. Must not look further.

use serde_json::json;

use super::*;
use crate::catalog::Input;
use crate::picture::{Margins, Recipe};
use crate::provider::fit::fit;

const FAST: &str = "us.stability.stable-fast-upscale-v1:0";
const REMOVE: &str = "us.stability.stable-image-remove-background-v1:0";

/// How a model is sent a picture, and what is said.
#[track_caller]
fn check(model: &str, picture: Picture, sent: &str, mapped: &[&str]) {
    let ask = Ask::edit(model, json!({"task": if model == NOVA { "image-to-image" } else { "" }}));
    let ask = if model == NOVA { ask } else { Ask { members: json!({"prompt": ""}), ..ask } };
    let made = ask.images([picture]).make().unwrap();
    let image = made.body.get("image").unwrap_or(&made.body["imageVariationParams"]["images"][0]);
    assert_eq!(image, sent);
    assert_eq!(made.mapped, mapped);
}

#[test]
fn sizes_are_brought_within_bounds_and_said() {
    check(NOVA, png("image", 4096, 1024), "<image: 4096x1024 png, 100 bytes>", &[]);
    check(NOVA, png("image", 6000, 4000), "<image: redrawn as 2508x1672 png>", &["image=6000x4000->2508x1672"]);
    check(NOVA, png("image", 200, 100), "<image: redrawn as 640x320 png>", &["image=200x100->640x320"]);
    // A PNG of so many pixels might be too long.
    let said = &["image=6000x4000->3762x2508", "image=png->jpeg"];
    check(REMOVE, png("image", 6000, 4000), "<image: redrawn as 3762x2508 jpeg>", said);
    check(FAST, png("image", 2000, 1000), "<image: redrawn as 1448x724 png>", &["image=2000x1000->1448x724"]);
    check(FAST, png("image", 20, 10), "<image: redrawn as 64x32 png>", &["image=20x10->64x32"]);
}

#[test]
fn a_shape_that_is_not_taken_is_refused() {
    let wide =
        "'image' is 2000x400, 5.0 times as wide as high. This model takes at most 4: crop it, or pad it to 2000x500";
    Ask::edit(NOVA, json!({})).images([png("image", 2000, 400)]).check_refused("image", wide);
    let high = "'image[0]' is 300x1000, 3.3 times as high as wide. This model takes at most 2.5: crop it, or pad it to 400x1000";
    Ask::edit(REMOVE, json!({})).images([png("image[0]", 300, 1000)]).check_refused("image[0]", high);
    assert!(Ask::edit(SD35, json!({})).images([png("image", 2000, 400)]).make().is_ok());
}

#[test]
fn what_is_not_plain_or_not_readable_is_redrawn() {
    let odd = |format| Picture { format, plain: false, ..png("image", 512, 512) };
    check(NOVA, odd(Format::Png), "<image: redrawn as 512x512 png>", &[]);
    check(NOVA, odd(Format::Jpeg), "<image: redrawn as 512x512 jpeg>", &[]);
    let webp = || Picture { format: Format::Webp, ..png("image", 512, 512) };
    check(NOVA, webp(), "<image: redrawn as 512x512 png>", &[]);
    check(REMOVE, webp(), "<image: 512x512 webp, 100 bytes>", &[]);
    let opaque = Picture { alpha: Alpha::Opaque, ..png("image", 512, 512) };
    check(NOVA, opaque, "<image: 512x512 png, 100 bytes>", &[]);
    let note = &["image=transparent->opaque"];
    check(NOVA, transparent("image", 512, 512), "<image: redrawn as 512x512 png>", note);
    check(REMOVE, transparent("image", 512, 512), "<image: 512x512 png, 100 bytes>", &[]);
}

#[test]
fn long_files_are_made_lighter() {
    let long = |width, height, megabytes: usize| {
        let blob = Blob::from(bytes::Bytes::from(vec![0; megabytes * 1_000_000]));
        Picture { blob, ..png("image", width, height) }
    };
    check(REMOVE, long(3000, 3000, 18), "<image: 3000x3000 png, 18000000 bytes>", &[]);
    check(REMOVE, long(3000, 3000, 19), "<image: redrawn as 3000x3000 jpeg>", &["image=png->jpeg"]);
    let see_through = Picture { alpha: Alpha::Transparent, ..long(3000, 3000, 19) };
    check(REMOVE, see_through, "<image: redrawn as 2165x2165 png>", &["image=3000x3000->2165x2165"]);
    // The longest goes first, and only as many as needed.
    let images = [long(1024, 1024, 5), long(1024, 1024, 16), long(1024, 1024, 2)];
    let made = Ask::edit(NOVA, json!({})).images(images).make().unwrap();
    let sent = &made.body["imageVariationParams"]["images"];
    let expected = json!([
        "<image: 1024x1024 png, 5000000 bytes>",
        "<image: redrawn as 1024x1024 jpeg>",
        "<image: 1024x1024 png, 2000000 bytes>"
    ]);
    assert_eq!((sent, made.mapped), (&expected, vec!["image=png->jpeg".to_owned()]));
    // A redrawn PNG may be longer than what it is made from.
    let images = (0..5).map(|_| Picture { format: Format::Webp, ..png("image", 2000, 2000) });
    let made = Ask::edit(NOVA, json!({})).images(images).make().unwrap();
    assert!(made.mapped.contains(&"image=webp->jpeg".to_owned()), "{:?}", made.mapped);
}

#[test]
fn every_fitted_size_is_legal() {
    use proptest::prelude::*;
    let catalog = Catalog::builtin();
    let inputs: Vec<Input> = catalog.models().filter_map(|model| model.limits.input.clone()).collect();
    proptest!(|(width in 1u32..=8192, height in 1u32..=8192, left in 0u32..=2000, down in 0u32..=2000)| {
        for input in &inputs {
            let margins = Margins { left, down, ..Margins::default() };
            let Ok(fitted) = fit(&png("image", width, height), margins, input) else { continue };
            let size = match fitted.recipe {
                Recipe::Redrawn { size, margins, .. } => margins.around(size),
                _ => fitted.size,
            };
            let (short, long) = (size.width.min(size.height), size.width.max(size.height));
            prop_assert!(short >= input.min_side, "{} in {:?}", size, input);
            prop_assert!(input.max_side.is_none_or(|most| long <= most), "{} in {:?}", size, input);
            prop_assert!(size.pixels() <= input.max_pixels, "{} in {:?}", size, input);
            prop_assert!(size.pixels() >= input.min_pixels, "{} in {:?}", size, input);
            prop_assert!(input.max_ratio.is_none_or(|most| f64::from(long) <= f64::from(short) * most), "{}", size);
        }
    });
}
