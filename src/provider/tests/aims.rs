//! What an edit asks for: the rules of `aim`, one after the other. Must not look at bodies.

use serde_json::{Value, json};

use super::*;
use crate::provider::aim::{Aim, Sure, aim};

/// What members ask for, with this picture.
#[track_caller]
fn told(members: Value, picture: Picture, mask: Option<Picture>) -> (Aim, Sure, &'static str) {
    let catalog = Catalog::builtin();
    let limits = &catalog.find(SD35).unwrap().limits;
    let Value::Object(mut members) = members else { panic!("members are an object") };
    let prompt = members.remove("prompt").map_or("a cat".into(), |p| p.as_str().unwrap().to_owned());
    let wishes = Wishes::read(members).unwrap();
    let task = Task { intent: Intent::Edit, prompt, images: vec![picture], mask, wishes, ..Task::default() };
    let (defaults, part, asked) = (&Wishes::default(), ONE, Asked::Alone);
    let order = Order { task: &task, part, defaults, limits, drop_params: false, drawn_seed: 7, asked };
    let aimed = aim(&mut Sheet::new(order)).unwrap().unwrap();
    (aimed.aim, aimed.sure, aimed.by)
}

fn square() -> Picture {
    png("image", 512, 512)
}

#[test]
fn a_name_says_it() {
    for (word, aim) in [
        ("inpaint", Aim::Inpaint),
        ("outpaint", Aim::Outpaint),
        ("erase", Aim::Erase),
        ("remove-background", Aim::RemoveBackground),
        ("search-and-replace", Aim::SearchReplace),
        ("recolor", Aim::Recolor),
        ("upscale", Aim::Upscale),
        ("conservative-upscale", Aim::ConservativeUpscale),
        ("creative-upscale", Aim::CreativeUpscale),
        ("sketch", Aim::Sketch),
        ("structure", Aim::Structure),
        ("style-guide", Aim::StyleGuide),
        ("style-transfer", Aim::StyleTransfer),
        ("Image-To-Image", Aim::ImageToImage),
        ("variation", Aim::Vary),
        ("try-on", Aim::TryOn),
    ] {
        assert_eq!(told(json!({"task": word}), square(), None), (aim, Sure::Named, "task"));
    }
    for (word, aim) in [
        ("TEXT_IMAGE", Aim::Guided),
        ("COLOR_GUIDED_GENERATION", Aim::ColorGuided),
        ("IMAGE_VARIATION", Aim::ImageToImage),
        ("INPAINTING", Aim::Inpaint),
        ("OUTPAINTING", Aim::Outpaint),
        ("BACKGROUND_REMOVAL", Aim::RemoveBackground),
        ("VIRTUAL_TRY_ON", Aim::TryOn),
    ] {
        assert_eq!(told(json!({"taskType": word}), square(), None), (aim, Sure::Named, "taskType"));
    }
    let by_prompt = told(json!({"task": "inpaint", "mask_prompt": "hat"}), square(), None);
    assert_eq!(by_prompt, (Aim::InpaintByPrompt, Sure::Named, "task"));
    let mode = told(json!({"mode": "image-to-image"}), square(), Some(square()));
    assert_eq!(mode, (Aim::ImageToImage, Sure::Named, "mode"));
    let refused = Ask::edit(SD35, json!({"mode": "paint"})).make().unwrap_err();
    assert!(refused.message.starts_with("'mode' is 'paint'. Accepted are 'inpaint', "), "{}", refused.message);
    let refused = Ask::edit(NOVA, json!({"taskType": "BANANA"})).make().unwrap_err();
    assert_eq!(
        refused.message,
        "'taskType' is 'BANANA'. Accepted are 'INPAINTING', 'OUTPAINTING', 'BACKGROUND_REMOVAL', 'IMAGE_VARIATION', \
         'TEXT_IMAGE', 'COLOR_GUIDED_GENERATION', 'VIRTUAL_TRY_ON'"
    );
    let twice = Ask::edit(SD35, json!({"task": "image-to-image", "taskType": "INPAINTING"})).make().unwrap();
    assert_eq!(twice.ignored, ["taskType"], "the first name counts");
}

#[test]
fn what_comes_with_a_picture_tells_it() {
    let mask = || Some(transparent("mask", 512, 512));
    for (members, mask, aim, by) in [
        (json!({"garmentClass": "SHOES"}), None, Aim::TryOn, "garmentClass"),
        (json!({"style_image": "x"}), None, Aim::StyleTransfer, "style_image"),
        (json!({"outPaintingMode": "PRECISE"}), None, Aim::Outpaint, "outPaintingMode"),
        (json!({"left": 0, "up": "20"}), None, Aim::Outpaint, "up"),
        (json!({"left": 0, "up": "0"}), None, Aim::ImageToImage, "image"),
        (json!({"background": "transparent"}), None, Aim::RemoveBackground, "background"),
        (json!({"background": "opaque"}), None, Aim::ImageToImage, "image"),
        (json!({"search_prompt": "hat"}), None, Aim::SearchReplace, "search_prompt"),
        (json!({"select_prompt": "hat"}), None, Aim::Recolor, "select_prompt"),
        (json!({"maskPrompt": "hat"}), None, Aim::InpaintByPrompt, "maskPrompt"),
        (json!({}), mask(), Aim::Inpaint, "mask"),
        (json!({"prompt": " "}), mask(), Aim::Erase, "mask"),
        (json!({"size": "1536x1024"}), mask(), Aim::Inpaint, "mask"),
        (json!({}), None, Aim::ImageToImage, "image"),
    ] {
        assert_eq!(told(members.clone(), square(), mask), (aim, Sure::Told, by), "{members}");
    }
}

#[test]
fn transparency_and_size_are_guesses() {
    let see_through = || transparent("image", 512, 512);
    assert_eq!(told(json!({}), see_through(), None), (Aim::Inpaint, Sure::Guessed, "image"));
    assert_eq!(told(json!({"prompt": ""}), see_through(), None), (Aim::Erase, Sure::Guessed, "image"));
    assert_eq!(told(json!({"size": "1536x1024"}), see_through(), None).0, Aim::Inpaint);
    let by_size = |size: &str, picture: Picture| told(json!({"size": size}), picture, None);
    for (size, width, height) in [("1536x1024", 1024, 1024), ("1024x1536", 1024, 1000), ("1792x1024", 512, 512)] {
        assert_eq!(by_size(size, png("image", width, height)), (Aim::Outpaint, Sure::Guessed, "size"), "{size}");
    }
    for (size, width, height) in [
        // The same shape, larger or smaller: how large the reply should be.
        ("1024x1024", 512, 512),
        ("1024x1024", 1024, 1024),
        ("256x256", 512, 512),
        ("1536x1024", 768, 511),
        // It does not fit inside.
        ("1536x1024", 1024, 1536),
        ("1024x1024", 1200, 800),
        ("auto", 1200, 800),
    ] {
        assert_eq!(by_size(size, png("image", width, height)).0, Aim::ImageToImage, "{size} of {width}x{height}");
    }
}
