//! Stability's text-to-image models where pictures come in, and Stable Diffusion XL. Must not know the services.

use serde_json::json;

use super::*;

const IMAGE: &str = "<image: 512x512 png, 100 bytes>";

#[test]
fn a_picture_is_painted_over() {
    let sd35 = |strength: f64| {
        json!({"prompt": "a cat", "image": IMAGE, "strength": strength, "mode": "image-to-image", "seed": 8,
               "output_format": "png"})
    };
    let ultra = json!({"prompt": "a cat", "negative_prompt": "dogs", "image": IMAGE, "strength": 0.35, "seed": 4,
                       "output_format": "jpeg"});
    for asked in [Asked::Alone, Asked::Among, Asked::Fallback] {
        Ask::edit(SD35, json!({})).asked(asked).check(sd35(0.35), &[], &[]);
    }
    Ask::edit(SD35, json!({"mode": "image-to-image", "strength": "0.5", "size": "1024x1024"})).check(
        sd35(0.5),
        &[],
        &["size"],
    );
    let members = json!({"negativeText": "dogs", "seed": 4, "output_format": "jpeg", "aspect_ratio": "1:1"});
    Ask::edit(ULTRA, members).check(ultra, &[], &["aspect_ratio"]);
    Ask::edit(SD35, json!({"input_fidelity": "high"})).check(sd35(0.25), &["input_fidelity=high->strength=0.25"], &[]);
    Ask::edit(SD35, json!({"input_fidelity": "low"})).check(sd35(0.35), &[], &["input_fidelity"]);
    let note = &["similarityStrength=0.7->strength=0.3"];
    Ask::edit(SD35, json!({"taskType": "IMAGE_VARIATION", "similarityStrength": 0.7})).check(sd35(0.3), note, &[]);
    let message = "'strength' is the number 1.5. It takes a number from 0 to 1";
    Ask::edit(SD35, json!({"strength": 1.5})).check_refused("strength", message);
}

#[test]
fn others_like_a_picture() {
    let vary = |model, members| Ask { intent: Intent::Vary, ..Ask::edit(model, members) };
    let body = json!({"prompt": "a variation of this picture", "image": IMAGE, "strength": 0.6, "seed": 8,
                      "output_format": "png"});
    vary(ULTRA, json!({"prompt": ""})).check(body, &["variation->prompt=a variation of this picture"], &[]);
    let made = vary(SD35, json!({})).make().unwrap();
    assert_eq!((&made.body["prompt"], &made.body["mode"]), (&json!("a cat"), &json!("image-to-image")));
    let wordless = "'prompt' is missing. This model needs one here: say what to paint";
    Ask::edit(SD35, json!({"prompt": ""})).check_refused("prompt", wordless);
}

#[test]
fn a_guess_may_be_painted_over_if_nobody_knows_better() {
    let framed = Ask::edit(SD35, json!({"size": "1536x1024"})).asked(Asked::Fallback).make().unwrap();
    assert_eq!((framed.request.makeshift, framed.ignored), (true, vec!["size".to_owned()]));
    let sticker = Ask::edit(SD35, json!({})).images([transparent("image", 512, 512)]).make().unwrap();
    assert_eq!((sticker.request.makeshift, sticker.mapped), (true, vec!["image=transparent->opaque".to_owned()]));
    assert!(!Ask::edit(SD35, json!({})).make().unwrap().request.makeshift);
    let does = "This model paints over a whole picture ('image-to-image', 'variation')";
    let mask = Ask::edit(SD35, json!({})).mask(png("mask", 512, 512));
    mask.check_refused("mask", &format!("'mask' asks for 'inpaint', which this model does not do. {does}"));
    Ask::edit(SD35, json!({"task": "outpaint"})).check_refused("task", &format!("'task' is 'outpaint'. {does}"));
    let transparent = Ask::edit(ULTRA, json!({"background": "transparent"}));
    let message = format!("'background' asks for 'remove-background', which this model does not do. {does}");
    transparent.check_refused("background", &message);
    let many = Ask::edit(SD35, json!({})).images([png("image[0]", 512, 512), png("image[1]", 512, 512)]);
    many.check_refused("image", "'image' comes 2 times. This model takes 1 here");
}

#[test]
fn a_model_that_paints_from_text_alone_says_so() {
    let message = "'image' is nothing this model takes. It paints from text alone";
    for model in [CORE, SDXL] {
        Ask::edit(model, json!({})).check_refused("image", message);
        // Without its picture an edit is none, so it is not dropped.
        Ask::edit(model, json!({"drop_params": 1})).check_refused("image", message);
    }
    let colors = Ask::new(CORE, json!({"taskType": "COLOR_GUIDED_GENERATION"}));
    colors.check_refused("taskType", "'taskType' is 'COLOR_GUIDED_GENERATION'. This model paints from text alone");
    let made = Ask::new(CORE, json!({"taskType": "TEXT_IMAGE", "mode": "text-to-image"})).make().unwrap();
    assert!(made.ignored.is_empty(), "{:?}", made.ignored);
}

#[test]
fn sdxl_speaks_its_own_language() {
    Ask::new(SDXL, json!({})).check(json!({"text_prompts": [{"text": "a cat", "weight": 1}], "seed": 8}), &[], &[]);
    let members = json!({"size": "1792x1024", "negative_prompt": "dogs", "cfg_scale": 7, "steps": "60", "seed": 3,
                         "style": "anime", "sampler": "K_EULER", "clip_guidance_preset": "FAST_BLUE", "quality": "hd"});
    let ask = Ask::new(SDXL, members);
    let body = json!({"text_prompts": [{"text": "a cat", "weight": 1}, {"text": "dogs", "weight": -1}],
        "width": 1344, "height": 768, "cfg_scale": 7.0, "steps": 60, "sampler": "K_EULER",
        "clip_guidance_preset": "FAST_BLUE", "style_preset": "anime", "seed": 3});
    let made = ask.make().unwrap();
    assert_eq!((made.body, made.request.quality), (body, Quality::Premium));
    assert_eq!((made.mapped, made.ignored), (vec!["size=1792x1024->1344x768".to_owned()], vec!["quality".to_owned()]));
    let message = "'steps' is the number 151. It takes a whole number from 10 to 150";
    Ask::new(SDXL, json!({"steps": 151})).check_refused("steps", message);
    let message = "'cfgScale' is 36. This model takes 0 to 35";
    Ask::new(SDXL, json!({"cfg_scale": 36})).check_refused("cfgScale", message);
}
