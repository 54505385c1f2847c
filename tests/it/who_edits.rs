//! Who changes a picture in the shipped config, and with which body: asked of the dry run. Must not paint.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::support::{ReadJson, TestProxy};

/// A PNG as a data URL, transparent in the middle where `hole` says so.
fn png(width: u32, height: u32, hole: bool) -> String {
    let mut image = RgbaImage::from_pixel(width, height, Rgba([200, 120, 40, 255]));
    if hole {
        image.put_pixel(width / 2, height / 2, Rgba([0; 4]));
    }
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).unwrap();
    format!("data:image/png;base64,{}", STANDARD.encode(file.into_inner()))
}

/// The model that would be asked first and its body, or the refusal.
async fn told(proxy: &TestProxy, model: &str, members: Value) -> Value {
    let mut body = json!({"model": model, "image": png(512, 512, false), "prompt": "a red hat"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let told: Value = proxy.post("/v1/images/validate", body.to_string()).await.json().await.unwrap();
    match told.get("error") {
        Some(error) => error["message"].clone(),
        None => json!([told["deployment"]["model"], told["calls"][0]["body"]]),
    }
}

async fn shipped() -> TestProxy {
    TestProxy::with(include_str!("../../litellm-config.yaml")).start().await
}

#[tokio::test]
async fn every_wish_finds_who_can() {
    let proxy = shipped().await;
    let mask = png(512, 512, true);
    for (members, service) in [
        (json!({}), "sd3-5-large"),
        (json!({"mask": mask}), "stable-image-inpaint"),
        (json!({"image": mask}), "stable-image-inpaint"),
        (json!({"mask": mask, "prompt": ""}), "stable-image-erase-object"),
        (
            json!({"background": "transparent", "quality": "high", "moderation": "low"}),
            "stable-image-remove-background",
        ),
        (json!({"size": "1024x1024", "input_fidelity": "high"}), "sd3-5-large"),
        (json!({"size": "1536x1024"}), "stable-outpaint"),
        (json!({"left": "100", "style": "vivid"}), "stable-outpaint"),
        (json!({"search_prompt": "the cap"}), "stable-image-search-replace"),
        (json!({"mask_prompt": "the cap"}), "stable-image-search-replace"),
        (json!({"select_prompt": "the cap"}), "stable-image-search-recolor"),
        (json!({"task": "sketch"}), "stable-image-control-sketch"),
        (json!({"task": "structure"}), "stable-image-control-structure"),
        (json!({"task": "style-guide"}), "stable-image-style-guide"),
        (json!({"task": "upscale"}), "stable-fast-upscale"),
        (json!({"task": "conservative-upscale"}), "stable-conservative-upscale"),
        (json!({"task": "creative-upscale"}), "stable-creative-upscale"),
        (json!({"task": "style-transfer", "image": [png(64, 64, false), png(64, 64, false)]}), "stable-style-transfer"),
        (json!({"task": "variation", "prompt": ""}), "sd3-5-large"),
    ] {
        for model in ["nova-canvas", "dall-e-2", "gpt-image-1", "stability-edit"] {
            let told = told(&proxy, model, members.clone()).await;
            let painter = told[0].as_str().unwrap_or_else(|| panic!("{model} {members}: {told}"));
            assert!(painter.starts_with(&format!("stability.{service}-v1:0")), "{model} {members}: {told}");
        }
    }
}

#[tokio::test]
async fn an_alias_with_one_service_does_that() {
    let proxy = shipped().await;
    for (model, service) in [
        ("remove-background", "stable-image-remove-background"),
        ("fast-upscale", "stable-fast-upscale"),
        ("conservative-upscale", "stable-conservative-upscale"),
        ("creative-upscale", "stable-creative-upscale"),
        ("control-sketch", "stable-image-control-sketch"),
        ("control-structure", "stable-image-control-structure"),
        ("style-guide", "stable-image-style-guide"),
    ] {
        let told = told(&proxy, model, json!({"size": "auto"})).await;
        assert_eq!(told[0], format!("stability.{service}-v1:0"), "{told}");
    }
    let inpaint = told(&proxy, "control-sketch", json!({"task": "inpaint"})).await;
    assert_eq!(inpaint, "'task' is 'inpaint'. This model makes a painting of a sketch");
    let text_only = told(&proxy, "stable-image-core", json!({})).await;
    assert_eq!(text_only, "'image' is nothing this model takes. It paints from text alone");
    let nobody = told(&proxy, "stability-edit", json!({"task": "try-on"})).await;
    assert!(nobody.as_str().unwrap().starts_with("'task' is 'try-on'. This model "), "{nobody}");
}

#[tokio::test]
async fn a_generation_goes_to_whoever_paints_from_text() {
    let proxy = shipped().await;
    for (model, painter) in [
        ("nova-canvas", "stability.stable-image-core-v1:1"),
        ("gpt-image-1", "stability.stable-image-core-v1:1"),
        ("stability-edit", "stability.sd3-5-large-v1:0"),
    ] {
        let told = told(&proxy, model, json!({"image": null})).await;
        assert_eq!(told[0], painter, "{told}");
    }
}

#[tokio::test]
async fn pictures_are_made_fit() {
    let proxy = shipped().await;
    let members = json!({"mask": png(256, 256, true), "seed": 4});
    let body = json!({"prompt": "a red hat", "image": "<image: 512x512 png, 1234 bytes>",
                      "mask": "<mask: mask of 512x512, white is edited>", "seed": 4, "output_format": "png"});
    let mut sent = told(&proxy, "stability-edit", members).await[1].clone();
    sent["image"] = body["image"].clone();
    assert_eq!(sent, body);
    let large = told(&proxy, "fast-upscale", json!({"image": png(1600, 900, false)})).await;
    assert_eq!(large[1]["image"], "<image: redrawn as 1365x768 png>");
    // Of all who refuse, the one that is made for it is heard.
    let shape = told(&proxy, "stability-edit", json!({"mask": png(256, 128, true)})).await;
    assert_eq!(shape, "'mask' is 256x128, and the picture 512x512. Send a mask of 512x512");
    let missing = told(&proxy, "stability-edit", json!({"task": "recolor"})).await;
    assert_eq!(missing, "'select_prompt' is missing. This model gives other colours to what select_prompt describes");
}
