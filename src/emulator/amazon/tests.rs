//! The rules of Amazon's models, at their edges.
//! Must not look at pixels: tests/it/emulator does.
use super::{NOVA_CANVAS, Rules, TITAN_V1, TITAN_V2, order};
use crate::emulator::scene::Work;
use serde_json::{Value, json};

#[track_caller]
fn complaint(rules: &Rules, body: &Value, expect: &str) {
    let problem = order(rules, body).unwrap_err();
    assert_eq!((problem.status, problem.kind), (400, "ValidationException"));
    assert_eq!(
        problem.message,
        format!("Malformed input request: {expect}, please reformat your input and try again.")
    );
}

fn text_image(config: &Value) -> Value {
    json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}, "imageGenerationConfig": config})
}

fn sized(width: u32, height: u32) -> Value {
    text_image(&json!({"width": width, "height": height}))
}

#[test]
fn defaults_are_bedrocks() {
    for (rules, seed) in [(NOVA_CANVAS, 12), (TITAN_V1, 42), (TITAN_V2, 42)] {
        let order = order(&rules, &json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}})).unwrap();
        let [scene] = order.scenes.as_slice() else { panic!("one picture") };
        assert_eq!((scene.width, scene.height, scene.seed, scene.premium), (1024, 1024, seed, false));
        assert!(matches!(scene.work, Work::Paint) && order.mask.is_none());
    }
}

#[test]
fn several_pictures_have_seeds_in_a_row() {
    let config = json!({"numberOfImages": 5, "seed": 40, "quality": "premium"});
    let body = json!({"taskType": "COLOR_GUIDED_GENERATION", "imageGenerationConfig": config,
        "colorGuidedGenerationParams": {"text": "a cat", "colors": ["#FF8000"]}});
    let order = order(&NOVA_CANVAS, &body).unwrap();
    assert_eq!(order.scenes.iter().map(|scene| scene.seed).collect::<Vec<_>>(), [40, 41, 42, 43, 44]);
    assert_eq!(order.scenes[0].colors, [[255, 128, 0]]);
    assert!(order.scenes[0].premium);
}

#[test]
fn sizes_have_their_limits() {
    for (width, height) in [(320, 320), (2048, 2048), (4096, 1024), (320, 1280)] {
        assert!(order(&NOVA_CANVAS, &sized(width, height)).is_ok(), "{width} {height}");
    }
    let at = "#/imageGenerationConfig";
    complaint(&NOVA_CANVAS, &sized(304, 320), &format!("{at}/width: 304 is not greater or equal to 320"));
    complaint(&NOVA_CANVAS, &sized(1024, 4112), &format!("{at}/height: 4112 is not less or equal to 4096"));
    let ratio = format!("{at}: the aspect ratio of 320 x 1296 is not between 1:4 and 4:1");
    complaint(&NOVA_CANVAS, &sized(320, 1296), &ratio);
    let pixels = format!("{at}: 2048 x 2064 has 4227072 pixels, which is not less or equal to 4194304");
    complaint(&NOVA_CANVAS, &sized(2048, 2064), &pixels);
}

#[test]
fn titans_sizes_are_listed() {
    for (width, height) in [(1024, 1024), (1173, 640), (320, 704), (1408, 768)] {
        assert!(order(&TITAN_V1, &sized(width, height)).is_ok(), "{width} {height}");
    }
    let expect = "#/imageGenerationConfig: 1024 x 768 is not a supported size";
    complaint(&TITAN_V2, &sized(1024, 768), expect);
    complaint(&TITAN_V2, &text_image(&json!({"height": 768})), expect);
}

#[test]
fn tasks_are_told_apart() {
    complaint(&NOVA_CANVAS, &json!([]), "#: expected type: JSONObject, found: JSONArray");
    complaint(&NOVA_CANVAS, &json!({}), "#: required key [taskType] not found");
    complaint(&NOVA_CANVAS, &json!({"taskType": 5}), "#/taskType: expected type: String, found: Integer");
    complaint(&NOVA_CANVAS, &json!({"taskType": "PAINT"}), "#/taskType: PAINT is not a valid enum value");
    for (task, params) in [
        ("TEXT_IMAGE", "textToImageParams"),
        ("COLOR_GUIDED_GENERATION", "colorGuidedGenerationParams"),
        ("IMAGE_VARIATION", "imageVariationParams"),
        ("INPAINTING", "inPaintingParams"),
        ("OUTPAINTING", "outPaintingParams"),
        ("BACKGROUND_REMOVAL", "backgroundRemovalParams"),
        ("VIRTUAL_TRY_ON", "virtualTryOnParams"),
    ] {
        complaint(&NOVA_CANVAS, &json!({"taskType": task}), &format!("#: required key [{params}] not found"));
    }
    for task in ["COLOR_GUIDED_GENERATION", "BACKGROUND_REMOVAL", "VIRTUAL_TRY_ON"] {
        let expect = format!("#/taskType: {task} is not a valid enum value");
        complaint(&TITAN_V1, &json!({"taskType": task}), &expect);
        if task == "VIRTUAL_TRY_ON" {
            complaint(&TITAN_V2, &json!({"taskType": task}), &expect);
        }
    }
}

#[test]
fn each_task_has_its_members() {
    let ask = |task: &str, name: &str, params: Value| json!({"taskType": task, name: params});
    let inpaint = |params| ask("INPAINTING", "inPaintingParams", params);
    let outpaint = |params| ask("OUTPAINTING", "outPaintingParams", params);
    let vary = |params| ask("IMAGE_VARIATION", "imageVariationParams", params);
    let try_on = |params| ask("VIRTUAL_TRY_ON", "virtualTryOnParams", params);
    let cut = |params| ask("BACKGROUND_REMOVAL", "backgroundRemovalParams", params);
    for (body, expect) in [
        (inpaint(json!({"image": "a"})), "#/inPaintingParams: 0 subschemas matched instead of one"),
        (
            inpaint(json!({"image": "a", "maskPrompt": "b", "maskImage": "c"})),
            "#/inPaintingParams: 2 subschemas matched instead of one",
        ),
        (
            inpaint(json!({"image": "a", "maskPrompt": "b", "returnMask": true})),
            "#/inPaintingParams: extraneous key [returnMask] is not permitted",
        ),
        (
            inpaint(json!({"image": "a", "maskPrompt": "b", "text": ""})),
            "#/inPaintingParams/text: expected minLength: 1, actual: 0",
        ),
        (outpaint(json!({"image": "a", "maskPrompt": "b"})), "#/outPaintingParams: required key [text] not found"),
        (
            outpaint(json!({"image": "a", "maskPrompt": "b", "text": "c", "outPaintingMode": "SOFT"})),
            "#/outPaintingParams/outPaintingMode: SOFT is not a valid enum value",
        ),
        (vary(json!({"images": []})), "#/imageVariationParams/images: expected minimum item count: 1, found: 0"),
        (
            vary(json!({"images": ["a", "b", "c", "d", "e", "f"]})),
            "#/imageVariationParams/images: expected maximum item count: 5, found: 6",
        ),
        (
            vary(json!({"images": ["a"], "similarityStrength": 0.1})),
            "#/imageVariationParams/similarityStrength: 0.1 is not greater or equal to 0.2",
        ),
        (cut(json!({"image": "a", "text": "b"})), "#/backgroundRemovalParams: extraneous key [text] is not permitted"),
        (
            try_on(json!({"sourceImage": "a", "referenceImage": "b", "maskType": "IMAGE"})),
            "#/virtualTryOnParams: 0 subschemas matched instead of one",
        ),
        (
            try_on(json!({"sourceImage": "a", "referenceImage": "b", "maskType": "GARMENT", "garmentBasedMask": {}})),
            "#/virtualTryOnParams/garmentBasedMask: required key [garmentClass] not found",
        ),
        (
            try_on(json!({"sourceImage": "a", "referenceImage": "b", "maskType": "GARMENT",
                "garmentBasedMask": {"garmentClass": "HAT"}})),
            "#/virtualTryOnParams/garmentBasedMask/garmentClass: HAT is not a valid enum value",
        ),
        (
            try_on(json!({"sourceImage": "a", "referenceImage": "b", "maskType": "PROMPT",
                "promptBasedMask": {"maskPrompt": "c"}, "maskExclusions": {"preserveHands": true}})),
            "#/virtualTryOnParams/maskExclusions/preserveHands: expected type: String, found: Boolean",
        ),
    ] {
        complaint(&NOVA_CANVAS, &body, expect);
    }
}

#[test]
fn the_config_depends_on_the_task() {
    let with = |task: &str, params: &str, config: Value| json!({"taskType": task, params: {"image": "a", "maskPrompt": "b", "text": "c"}, "imageGenerationConfig": config});
    for (task, params) in [("INPAINTING", "inPaintingParams"), ("OUTPAINTING", "outPaintingParams")] {
        let body = with(task, params, json!({"width": 1024}));
        complaint(&NOVA_CANVAS, &body, "#/imageGenerationConfig: extraneous key [width] is not permitted");
    }
    let body = json!({"taskType": "BACKGROUND_REMOVAL", "backgroundRemovalParams": {"image": "a"},
        "imageGenerationConfig": {}});
    complaint(&NOVA_CANVAS, &body, "#: extraneous key [imageGenerationConfig] is not permitted");
    complaint(&TITAN_V2, &body, "#: extraneous key [imageGenerationConfig] is not permitted");
}

#[test]
fn titan_knows_less() {
    let ask = |params: Value| json!({"taskType": "TEXT_IMAGE", "textToImageParams": params});
    let long = ask(json!({"text": "x".repeat(513)}));
    complaint(&TITAN_V2, &long, "#/textToImageParams/text: expected maxLength: 512, actual: 513");
    let style = ask(json!({"text": "a", "style": "PHOTOREALISM"}));
    complaint(&TITAN_V2, &style, "#/textToImageParams: extraneous key [style] is not permitted");
    let condition = ask(json!({"text": "a", "conditionImage": "b"}));
    complaint(&TITAN_V1, &condition, "#/textToImageParams: extraneous key [conditionImage] is not permitted");
}
