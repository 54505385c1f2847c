//! Amazon's envelope for edits and variations: whole bodies for each task. Must not know Stability's models.

use serde_json::{Value, json};

use super::*;
use crate::picture::attachment;

/// An envelope with a seed and one picture.
fn envelope(params: &str, members: Value, task: &str) -> Value {
    json!({params: members, "taskType": task, "imageGenerationConfig": {"numberOfImages": 1, "seed": 7}})
}

const IMAGE: &str = "<image: 512x512 png, 100 bytes>";

#[test]
fn a_mask_is_inpainted() {
    let mask = "<mask: mask of 512x512, black is edited>";
    let members = json!({"size": "1024x1024", "negative_prompt": "dogs", "quality": "high", "cfg_scale": 5, "seed": 3});
    Ask::edit(NOVA, members).mask(transparent("mask", 512, 512)).check(
        json!({"inPaintingParams": {"text": "a cat", "negativeText": "dogs", "image": IMAGE, "maskImage": mask},
               "taskType": "INPAINTING",
               "imageGenerationConfig": {"numberOfImages": 1, "quality": "premium", "cfgScale": 5.0, "seed": 3}}),
        &["quality=high->premium"],
        &["size"],
    );
    let params = json!({"image": IMAGE, "maskImage": mask});
    let erase = Ask::edit(NOVA, json!({"prompt": "", "size": "512x512"})).mask(png("mask", 512, 512));
    erase.check(envelope("inPaintingParams", params.clone(), "INPAINTING"), &[], &[]);
    let erase = Ask::edit(NOVA, json!({"task": "erase"})).mask(png("mask", 512, 512));
    erase.check(envelope("inPaintingParams", params, "INPAINTING"), &[], &["prompt"]);
    let own = "<image: mask of 512x512, black is edited>";
    Ask::edit(NOVA, json!({})).images([transparent("image", 512, 512)]).check(
        envelope(
            "inPaintingParams",
            json!({"text": "a cat", "image": "<image: redrawn as 512x512 png>", "maskImage": own}),
            "INPAINTING",
        ),
        &["image=transparent->opaque"],
        &[],
    );
}

#[test]
fn a_mask_is_found_wherever_it_stands_and_is_said_where_it_does_not_fit() {
    // The model's own member has the model's own shades.
    let ask = Ask::new(
        NOVA,
        json!({"inPaintingParams": {"text": "a hat", "image": attachment(0), "maskImage": attachment(1)}}),
    );
    let attached = vec![png("inPaintingParams.image", 512, 512), png("inPaintingParams.maskImage", 256, 256)];
    Ask { attached, ..ask }.check(
        envelope(
            "inPaintingParams",
            json!({"text": "a hat", "image": "<inPaintingParams.image: 512x512 png, 100 bytes>",
                   "maskImage": "<inPaintingParams.maskImage: mask of 512x512, black is edited>"}),
            "INPAINTING",
        ),
        &["inPaintingParams.maskImage=256x256->512x512"],
        &[],
    );
    let mask = png("mask", 512, 256);
    let shape = "'mask' is 512x256, and the picture 512x512. Send a mask of 512x512";
    Ask::edit(NOVA, json!({})).mask(mask.clone()).check_refused("mask", shape);
    let both = "'mask' and mask_prompt both say where. Send one of them";
    Ask::edit(NOVA, json!({"maskPrompt": "hat"})).mask(mask).check_refused("mask", both);
    let missing =
        "'mask' is missing. This model changes what a mask, mask_prompt or the picture's own transparency says";
    Ask::edit(NOVA, json!({"task": "inpaint"})).check_refused("mask", missing);
}

#[test]
fn what_a_text_describes_is_inpainted() {
    let body =
        envelope("inPaintingParams", json!({"text": "a cat", "image": IMAGE, "maskPrompt": "the hat"}), "INPAINTING");
    for (name, mapped) in [
        ("maskPrompt", &[][..]),
        ("mask_prompt", &["mask_prompt->maskPrompt"]),
        ("search_prompt", &["search_prompt->maskPrompt"]),
        ("select_prompt", &["select_prompt->maskPrompt"]),
    ] {
        Ask::edit(NOVA, json!({name: "the hat"})).check(body.clone(), mapped, &[]);
    }
    let ask = Ask::edit(NOVA, json!({"taskType": "INPAINTING", "inPaintingParams": "{\"maskPrompt\": \"the hat\"}"}));
    ask.check(body, &[], &[]);
    let long = json!({"maskPrompt": "x".repeat(1025)});
    let message = "'maskPrompt' has 1025 characters. This model takes at most 1024";
    Ask::edit(NOVA, long).check_refused("maskPrompt", message);
}

#[test]
fn pictures_are_varied() {
    let images = || (0..6).map(|at| png(&format!("image[{at}]"), 640, 320));
    let sent: Vec<_> = (0..5).map(|at| format!("<image[{at}]: 640x320 png, 100 bytes>")).collect();
    let config =
        json!({"numberOfImages": 3, "width": 1536, "height": 1024, "quality": "standard", "cfgScale": 2.5, "seed": 9});
    let members = json!({"size": "1536x1024", "quality": "auto", "cfgScale": "2.5", "seed": "9", "n": "3",
                         "similarityStrength": "0.7", "negativeText": "dogs"});
    let ask = Ask::edit(NOVA, members).images(images().take(5));
    Ask { part: Part { first: 0, count: 3 }, ..ask }.check(
        json!({"imageVariationParams": {"text": "a cat", "negativeText": "dogs", "images": sent, "similarityStrength": 0.7},
               "taskType": "IMAGE_VARIATION", "imageGenerationConfig": config}),
        &[],
        &[],
    );
    let many = "'image' comes 6 times. This model takes 5 here";
    Ask::edit(NOVA, json!({})).images(images()).check_refused("image", many);
    let dropped = Ask::edit(NOVA, json!({"drop_params": 1})).images(images()).make().unwrap();
    assert_eq!((dropped.ignored, dropped.request.dropped), (vec!["image".to_owned()], true));
    let vary = Ask { intent: Intent::Vary, ..Ask::edit(NOVA, json!({"prompt": "", "size": "256x256"})) };
    let body = json!({"imageVariationParams": {"images": [IMAGE]}, "taskType": "IMAGE_VARIATION",
                      "imageGenerationConfig": {"numberOfImages": 1, "width": 320, "height": 320, "seed": 7}});
    vary.check(body, &["size=256x256->320x320"], &[]);
}

#[test]
fn likeness_has_several_names() {
    for (members, similarity, mapped) in [
        (json!({"strength": 0.3}), 0.7, "strength=0.3->similarityStrength=0.7"),
        (json!({"strength": 0.95}), 0.2, "strength=0.95->similarityStrength=0.2"),
        (json!({"input_fidelity": "high"}), 0.9, "input_fidelity=high->similarityStrength=0.9"),
    ] {
        let params = json!({"text": "a cat", "images": [IMAGE], "similarityStrength": similarity});
        Ask::edit(NOVA, members).check(envelope("imageVariationParams", params, "IMAGE_VARIATION"), &[mapped], &[]);
    }
    let message = "'similarityStrength' is the number 0.1. It takes a number from 0.2 to 1";
    Ask::edit(NOVA, json!({"similarityStrength": 0.1})).check_refused("similarityStrength", message);
}

#[test]
fn a_picture_is_painted_around() {
    let body = |image: &str, mask: &str, more: Value| {
        let mut params = json!({"text": "a cat", "image": image, "maskImage": mask});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        envelope("outPaintingParams", params, "OUTPAINTING")
    };
    let made = Ask::edit(NOVA, json!({"left": 100, "down": "28", "outPaintingMode": "PRECISE"})).make().unwrap();
    let expected = body(
        "<image: redrawn as 612x540 png>",
        "<image: mask of 612x540, white is edited>",
        json!({"outPaintingMode": "PRECISE"}),
    );
    assert_eq!((made.body, made.request.size), (expected, Size::new(612, 540)));
    Ask::edit(NOVA, json!({"task": "outpaint", "size": "1024x768"})).check(
        body("<image: redrawn as 1024x768 png>", "<image: mask of 1024x768, white is edited>", json!({})),
        &["size=1024x768->left=256 right=256 up=128 down=128"],
        &[],
    );
    let by_mask = Ask::edit(NOVA, json!({"taskType": "OUTPAINTING"})).mask(transparent("mask", 512, 512));
    by_mask.check(body(IMAGE, "<mask: mask of 512x512, white is edited>", json!({})), &[], &[]);
    let keeps = json!({"text": "a cat", "image": IMAGE, "maskPrompt": "the cat", "outPaintingMode": "DEFAULT"});
    let ask = Ask::edit(NOVA, json!({"outPaintingParams": {"maskPrompt": "the cat", "outPaintingMode": "DEFAULT"}}));
    ask.check(envelope("outPaintingParams", keeps, "OUTPAINTING"), &[], &[]);
    let nowhere = "nothing says where to paint around the picture. Send left, right, up or down, a larger size, \
                   a mask, or mask_prompt for what stays";
    Ask::edit(NOVA, json!({"task": "outpaint"})).check_refused("left", nowhere);
    let twice = "'mask' and margins both say where. Send one of them";
    Ask::edit(NOVA, json!({"task": "outpaint", "left": 1})).mask(png("mask", 512, 512)).check_refused("mask", twice);
    let mode = "'outPaintingMode' is 'EXACT'. It takes DEFAULT, PRECISE";
    Ask::edit(NOVA, json!({"left": 1, "outPaintingMode": "EXACT"})).check_refused("outPaintingMode", mode);
    let wide = "'left' is the number 2001. It takes a whole number from 0 to 2000";
    Ask::edit(NOVA, json!({"left": 2001})).check_refused("left", wide);
    let wordless = "'prompt' is missing. This model needs one here: say what to paint";
    Ask::edit(NOVA, json!({"left": 1, "prompt": ""})).check_refused("prompt", wordless);
}

#[test]
fn a_background_is_taken_away() {
    let body = json!({"backgroundRemovalParams": {"image": IMAGE}, "taskType": "BACKGROUND_REMOVAL"});
    let members = json!({"background": "transparent", "size": "1024x1024", "seed": 4, "quality": "high"});
    let made = Ask::edit(NOVA, members).make().unwrap();
    assert_eq!((made.body, made.request.seed), (body.clone(), None));
    assert_eq!(made.ignored, ["prompt", "seed", "size", "quality"]);
    Ask::edit(NOVA, json!({"taskType": "BACKGROUND_REMOVAL", "prompt": ""})).check(body.clone(), &[], &[]);
    Ask::edit(TITAN, json!({"task": "remove-background", "prompt": ""})).check(body, &[], &[]);
    let many = "'n' is 2. This model makes the same picture each time: use 1";
    Ask::edit(NOVA, json!({"task": "remove-background", "n": 2})).check_refused("n", many);
}

#[test]
fn a_picture_guides_a_painting() {
    let params =
        json!({"text": "a cat", "conditionImage": IMAGE, "controlMode": "SEGMENTATION", "controlStrength": 0.4});
    let body = envelope("textToImageParams", params, "TEXT_IMAGE");
    let members = json!({"taskType": "TEXT_IMAGE", "controlMode": "SEGMENTATION", "controlStrength": "0.4"});
    Ask::edit(NOVA, members).check(body.clone(), &[], &[]);
    let members = json!({"task": "structure", "controlMode": "SEGMENTATION", "control_strength": 0.4});
    Ask::edit(TITAN, members).check(body, &["control_strength=0.4->controlStrength=0.4"], &[]);
    let attached = vec![png("conditionImage", 512, 300)];
    let ask = Ask { attached, ..Ask::new(NOVA, json!({"conditionImage": attachment(0)})) };
    let params = json!({"text": "a cat", "conditionImage": "<conditionImage: redrawn as 547x320 png>"});
    ask.check(envelope("textToImageParams", params, "TEXT_IMAGE"), &["conditionImage=512x300->547x320"], &[]);
    let colors = json!({"taskType": "COLOR_GUIDED_GENERATION", "colors": "#FF9900, #000000"});
    let params = json!({"text": "a cat", "colors": ["#FF9900", "#000000"], "referenceImage": IMAGE});
    let body = envelope("colorGuidedGenerationParams", params, "COLOR_GUIDED_GENERATION");
    Ask::edit(NOVA, colors).check(body, &[], &[]);
}

fn try_on(members: Value) -> Ask {
    Ask::edit(NOVA, members).images([png("image[0]", 512, 768), png("image[1]", 400, 400)])
}

fn dressed(more: Value) -> Value {
    let mut params = json!({"sourceImage": "<image[0]: 512x768 png, 100 bytes>",
                            "referenceImage": "<image[1]: 400x400 png, 100 bytes>"});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    envelope("virtualTryOnParams", params, "VIRTUAL_TRY_ON")
}

#[test]
fn a_person_is_dressed_by_garment() {
    let styling = json!({"longSleeveStyle": "SLEEVE_UP", "tuckingStyle": "TUCKED", "outerLayerStyle": "OPEN"});
    let kept = json!({"preserveBodyPose": "ON", "preserveHands": "OFF", "preserveFace": "DEFAULT"});
    let mask = json!({"garmentClass": "UPPER_BODY", "maskShape": "BOUNDING_BOX", "garmentStyling": styling});
    let body = dressed(json!({"maskType": "GARMENT", "garmentBasedMask": mask, "maskExclusions": kept,
                              "mergeStyle": "SEAMLESS", "returnMask": true}));
    let nested = json!({"prompt": "", "virtualTryOnParams": {"maskType": "GARMENT", "garmentBasedMask": mask,
                        "maskExclusions": kept, "mergeStyle": "SEAMLESS", "returnMask": true}});
    let note = &["returnMask->the reply has no place for it"];
    try_on(nested).check(body.clone(), note, &[]);
    let mut flat = json!({"garmentClass": "UPPER_BODY", "maskShape": "BOUNDING_BOX", "mergeStyle": "SEAMLESS",
                          "returnMask": "true", "size": "512x512"});
    for object in [&styling, &kept] {
        flat.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
    }
    try_on(flat).check(body.clone(), note, &["prompt", "size"]);
    let texts = json!({"task": "try-on", "prompt": "", "garmentBasedMask": mask.to_string(),
                       "maskExclusions": kept.to_string(), "mergeStyle": "SEAMLESS", "returnMask": "True"});
    try_on(texts).check(body, note, &[]);
}

#[test]
fn a_person_is_dressed_by_mask_or_by_text() {
    let mask = json!({"maskImage": "<mask: mask of 512x768, black is edited>"});
    let body = dressed(json!({"maskType": "IMAGE", "imageBasedMask": mask}));
    try_on(json!({"task": "try-on", "prompt": ""})).mask(transparent("mask", 512, 768)).check(body, &[], &[]);
    let body =
        dressed(json!({"maskType": "PROMPT", "promptBasedMask": {"maskPrompt": "shirt", "maskShape": "CONTOUR"}}));
    let members =
        json!({"prompt": "", "maskType": "PROMPT", "promptBasedMask": {"maskPrompt": "shirt", "maskShape": "CONTOUR"}});
    try_on(members).check(body, &[], &[]);
    // By the model's own members, with the model's own shades.
    let attached = vec![png("sourceImage", 512, 512), png("referenceImage", 512, 512), png("maskImage", 512, 512)];
    let members = json!({"sourceImage": attachment(0), "referenceImage": attachment(1), "prompt": "",
                         "imageBasedMask": {"maskImage": attachment(2)}});
    let ask = Ask { attached, intent: Intent::Edit, ..Ask::new(NOVA, members) };
    let params = json!({"sourceImage": "<sourceImage: 512x512 png, 100 bytes>",
        "referenceImage": "<referenceImage: 512x512 png, 100 bytes>", "maskType": "IMAGE",
        "imageBasedMask": {"maskImage": "<maskImage: mask of 512x512, black is edited>"}});
    ask.check(envelope("virtualTryOnParams", params, "VIRTUAL_TRY_ON"), &[], &[]);
}

#[test]
fn what_a_try_on_lacks_is_named() {
    for (members, param, message) in [
        (json!({"maskType": "GARMENT"}), "garmentClass", "'garmentClass' is missing. The maskType needs it"),
        (json!({"maskType": "PROMPT"}), "maskPrompt", "'maskPrompt' is missing. The maskType needs it"),
        (json!({"maskType": "IMAGE"}), "mask", "'mask' is missing. With maskType 'IMAGE' it says where to dress"),
        (json!({"maskType": "BOX"}), "maskType", "'maskType' is 'BOX'. It takes IMAGE, GARMENT, PROMPT"),
        (
            json!({"task": "try-on"}),
            "maskType",
            "'maskType' is missing. Say where to dress: 'GARMENT' with garmentClass, 'PROMPT' with mask_prompt, or 'IMAGE' with a mask",
        ),
        (
            json!({"garmentClass": "SHOES", "mergeStyle": "FAST"}),
            "mergeStyle",
            "'mergeStyle' is 'FAST'. It takes BALANCED, SEAMLESS, DETAILED",
        ),
        (
            json!({"garmentClass": "SHOES", "preserveFace": true}),
            "preserveFace",
            "'preserveFace' is the boolean true. It takes a string",
        ),
    ] {
        try_on(members).check_refused(param, message);
    }
    let alone = "'referenceImage' is missing. Send a second picture that shows what is to be worn";
    Ask::edit(NOVA, json!({"garmentClass": "SHOES"})).check_refused("referenceImage", alone);
}

#[test]
fn titan_does_what_it_has() {
    let params = json!({"text": "a cat", "image": IMAGE, "returnMask": true,
                        "maskImage": "<mask: mask of 512x512, black is edited>"});
    let ask = Ask::edit(TITAN_1, json!({"returnMask": true})).mask(png("mask", 512, 512));
    let note = &["returnMask->the reply has no place for it"];
    ask.check(envelope("inPaintingParams", params, "INPAINTING"), note, &[]);
    let made = Ask::edit(TITAN, json!({})).images([png("image", 2816, 1408)]).make().unwrap();
    assert_eq!(made.mapped, ["image=2816x1408->1408x704"]);
    let v1 = "'task' is 'remove-background'. This model takes TEXT_IMAGE, IMAGE_VARIATION, INPAINTING, OUTPAINTING";
    Ask::edit(TITAN_1, json!({"task": "remove-background"})).check_refused("task", v1);
    let v2 = "'garmentClass' asks for 'try-on', which this model does not do. This model takes TEXT_IMAGE, \
              COLOR_GUIDED_GENERATION, IMAGE_VARIATION, INPAINTING, OUTPAINTING, BACKGROUND_REMOVAL";
    Ask::edit(TITAN, json!({"garmentClass": "SHOES"})).check_refused("garmentClass", v2);
    let upscale = Ask::edit(NOVA, json!({"task": "upscale"})).make().unwrap_err();
    assert!(upscale.message.starts_with("'task' is 'upscale'. This model takes TEXT_IMAGE, "), "{}", upscale.message);
}
