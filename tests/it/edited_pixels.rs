//! What comes back of an edit: the right pixels have changed, and no others. Must not look at bodies.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::support::{ReadJson, TestProxy, pictures};

const CONFIG: &str = "
model_list:
  - model_name: nova-canvas
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
  - model_name: titan
    litellm_params:
      model: bedrock/amazon.titan-image-generator-v2:0
      model_id: arn:aws:bedrock:us-east-1:123456789012:provisioned-model/titanv2abcde
  - model_name: inpaint
    litellm_params: {model: bedrock/us.stability.stable-image-inpaint-v1:0, aws_region_name: us-west-2}
  - model_name: erase
    litellm_params: {model: bedrock/us.stability.stable-image-erase-object-v1:0, aws_region_name: us-west-2}
  - model_name: outpaint
    litellm_params: {model: bedrock/us.stability.stable-outpaint-v1:0, aws_region_name: us-west-2}
  - model_name: remove-background
    litellm_params: {model: bedrock/us.stability.stable-image-remove-background-v1:0, aws_region_name: us-west-2}
";

const SIDE: u32 = 320;

fn url(image: impl Into<image::DynamicImage>) -> Value {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, ImageFormat::Png).unwrap();
    format!("data:image/png;base64,{}", STANDARD.encode(file.into_inner())).into()
}

fn original() -> RgbImage {
    let shade = |at: u32| u8::try_from(at / 2).unwrap();
    RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([shade(x), shade(y), 200]))
}

/// Transparent, or white, in the left half.
fn left_half(transparent: bool) -> Value {
    match transparent {
        true => url(RgbaImage::from_fn(SIDE, SIDE, |x, _| Rgba([9, 9, 9, if x < SIDE / 2 { 0 } else { 255 }]))),
        false => url(RgbImage::from_fn(SIDE, SIDE, |x, _| Rgb([if x < SIDE / 2 { 255 } else { 0 }; 3]))),
    }
}

async fn edit(proxy: &TestProxy, model: &str, members: Value) -> RgbaImage {
    let mut body = json!({"model": model, "prompt": "a hat", "image": url(original())});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let response = proxy.post("/v1/images/edits", body.to_string()).await;
    let status = response.status();
    let reply: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{model}: {}", reply["error"]);
    image::load_from_memory(&pictures(&reply)[0]).unwrap().into_rgba8()
}

/// The share of pixels of a part of a picture that are the original's, moved by so many.
fn kept(edited: &RgbaImage, columns: std::ops::Range<u32>, moved: (u32, u32)) -> f64 {
    let original = original();
    let part: Vec<_> = columns.flat_map(|x| (0..SIDE).map(move |y| (x, y))).collect();
    let same = |(x, y): &&(u32, u32)| edited.get_pixel(x + moved.0, y + moved.1).0[..3] == original.get_pixel(*x, *y).0;
    f64::from(u32::try_from(part.iter().filter(same).count()).unwrap()) / f64::from(u32::try_from(part.len()).unwrap())
}

#[tokio::test]
async fn a_mask_says_where_and_nowhere_else() {
    let proxy = TestProxy::with(CONFIG).start().await;
    for model in ["nova-canvas", "titan", "inpaint", "erase"] {
        for transparent in [true, false] {
            let edited = edit(&proxy, model, json!({"mask": left_half(transparent)})).await;
            assert_eq!(edited.dimensions(), (SIDE, SIDE), "{model}");
            let (left, right) = (kept(&edited, 0..SIDE / 2, (0, 0)), kept(&edited, SIDE / 2..SIDE, (0, 0)));
            assert!(left < 0.1 && right > 0.999, "{model}: {left} of the left is kept, {right} of the right");
        }
    }
}

#[tokio::test]
async fn a_picture_is_framed_and_kept() {
    let proxy = TestProxy::with(CONFIG).start().await;
    for model in ["nova-canvas", "outpaint"] {
        let edited = edit(&proxy, model, json!({"left": 64, "down": 32})).await;
        assert_eq!(edited.dimensions(), (SIDE + 64, SIDE + 32), "{model}");
        assert!(kept(&edited, 0..SIDE, (64, 0)) > 0.999, "{model}");
        let margin = edited.get_pixel(10, 10).0;
        assert_ne!(margin[..3], [255; 3], "{model} paints the margin");
    }
}

#[tokio::test]
async fn a_background_goes() {
    let proxy = TestProxy::with(CONFIG).start().await;
    for model in ["nova-canvas", "remove-background"] {
        let edited = edit(&proxy, model, json!({"background": "transparent"})).await;
        assert_eq!(edited.get_pixel(0, 0).0[3], 0, "{model}");
        assert_eq!(edited.get_pixel(SIDE / 2, SIDE / 2).0[3], 255, "{model}");
    }
}
