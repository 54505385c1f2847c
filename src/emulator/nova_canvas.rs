//! Amazon Nova Canvas: the rules of its bodies, and what they ask to be painted.
//! It must not paint.
use super::{
    models::Model,
    problem::Problem,
    scene::{Format, Order, Scene},
    schema::{Field, Rule, check, may, must},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// The seed of a request that has none: always the same picture, as on Bedrock.
const DEFAULT_SEED: u64 = 12;
/// Pictures have at most this many pixels.
const MAX_PIXELS: u64 = 4_194_304;

/// Base64 has no other limit than the body's.
const IMAGE: Rule = Rule::Text { min: 1, max: usize::MAX };
const PROMPT: Rule = Rule::Text { min: 1, max: 1024 };
const SIDE: Rule = Rule::Whole { min: 320, max: 4096, step: 16 };

const STYLES: &[&str] = &[
    "3D_ANIMATED_FAMILY_FILM",
    "DESIGN_SKETCH",
    "FLAT_VECTOR_ILLUSTRATION",
    "GRAPHIC_NOVEL_ILLUSTRATION",
    "MAXIMALISM",
    "MIDCENTURY_RETRO",
    "PHOTOREALISM",
    "SOFT_DIGITAL_PAINTING",
];

const CONFIG: Field = may(
    "imageGenerationConfig",
    Rule::Object(&[
        may("width", SIDE),
        may("height", SIDE),
        may("quality", Rule::OneOf(&["standard", "premium"])),
        may("cfgScale", Rule::Number { min: 1.1, max: 10.0 }),
        may("seed", Rule::Whole { min: 0, max: 2_147_483_646, step: 1 }),
        may("numberOfImages", Rule::Whole { min: 1, max: 5, step: 1 }),
    ]),
);

const TEXT_IMAGE: &[Field] = &[
    must("taskType", Rule::OneOf(&["TEXT_IMAGE"])),
    must(
        "textToImageParams",
        Rule::Object(&[
            must("text", PROMPT),
            may("negativeText", PROMPT),
            may("style", Rule::OneOf(STYLES)),
            may("conditionImage", IMAGE),
            may("controlMode", Rule::OneOf(&["CANNY_EDGE", "SEGMENTATION"])),
            may("controlStrength", Rule::Number { min: 0.0, max: 1.0 }),
        ]),
    ),
    CONFIG,
];

const COLOR_GUIDED: &[Field] = &[
    must("taskType", Rule::OneOf(&["COLOR_GUIDED_GENERATION"])),
    must(
        "colorGuidedGenerationParams",
        Rule::Object(&[
            must("colors", Rule::List { min: 1, max: 10, item: &Rule::Colour }),
            must("text", PROMPT),
            may("negativeText", PROMPT),
            may("referenceImage", IMAGE),
        ]),
    ),
    CONFIG,
];

/// The tasks that edit a picture, by the member that holds their parameters. Only their envelope is known so far.
const EDITS: [(&str, &str); 5] = [
    ("IMAGE_VARIATION", "imageVariationParams"),
    ("INPAINTING", "inPaintingParams"),
    ("OUTPAINTING", "outPaintingParams"),
    ("BACKGROUND_REMOVAL", "backgroundRemovalParams"),
    ("VIRTUAL_TRY_ON", "virtualTryOnParams"),
];

/// Reads a body, or refuses it as Nova Canvas does.
pub(super) fn order(body: &Value) -> Result<Order, Problem> {
    if !body.is_object() {
        check(body, TEXT_IMAGE)?;
    }
    match body.get("taskType").and_then(Value::as_str) {
        Some("TEXT_IMAGE") => {
            check(body, TEXT_IMAGE)?;
            generation("TEXT_IMAGE", body, &body["textToImageParams"], "conditionImage")
        }
        Some("COLOR_GUIDED_GENERATION") => {
            check(body, COLOR_GUIDED)?;
            generation("COLOR_GUIDED_GENERATION", body, &body["colorGuidedGenerationParams"], "referenceImage")
        }
        Some(other) => Err(edit(other, body)),
        None => {
            let alone = body.get("taskType").map_or_else(|| json!({}), |task| json!({"taskType": task}));
            check(&alone, &[must("taskType", Rule::OneOf(&[]))]).and_then(|()| Err(Problem::internal()))
        }
    }
}

fn edit(task: &str, body: &Value) -> Problem {
    let Some((_, params)) = EDITS.iter().find(|row| row.0 == task) else {
        return Problem::malformed(&format!("#/taskType: {task} is not a valid enum value"));
    };
    if !body[*params].is_object() {
        return Problem::malformed(&format!("#: required key [{params}] not found"));
    }
    Problem::validation(format!("The emulator does not paint {task} yet."))
}

fn generation(task: &'static str, body: &Value, params: &Value, image: &str) -> Result<Order, Problem> {
    let config = &body["imageGenerationConfig"];
    let (width, height) = (side(&config["width"]), side(&config["height"]));
    shape(width, height)?;
    if let Some(text) = params[image].as_str() {
        input_image(image, text)?;
    }
    let seed = config["seed"].as_u64().unwrap_or(DEFAULT_SEED);
    let colors = params["colors"].as_array().into_iter().flatten().filter_map(Value::as_str).map(rgb).collect();
    let first = Scene {
        model: Model::NovaCanvas.id(),
        prompt: params["text"].as_str().unwrap_or_default().to_owned(),
        mood: [&params["style"], &params["negativeText"]].iter().filter_map(|value| value.as_str()).collect(),
        seed,
        width,
        height,
        colors,
        premium: config["quality"] == "premium",
        format: Format::Png,
    };
    let count = config["numberOfImages"].as_u64().unwrap_or(1);
    let scenes = (0..count).map(|index| Scene { seed: seed + index, ..first.clone() }).collect();
    Ok(Order { task, scenes })
}

fn side(value: &Value) -> u32 {
    value.as_u64().and_then(|side| u32::try_from(side).ok()).unwrap_or(1024)
}

fn shape(width: u32, height: u32) -> Result<(), Problem> {
    if width.max(height) > 4 * width.min(height) {
        return Err(Problem::malformed(&format!(
            "#/imageGenerationConfig: the aspect ratio of {width} x {height} is not between 1:4 and 4:1"
        )));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(Problem::malformed(&format!(
            "#/imageGenerationConfig: {width} x {height} has {pixels} pixels, which is not less or equal to {MAX_PIXELS}"
        )));
    }
    Ok(())
}

fn input_image(name: &str, text: &str) -> Result<(), Problem> {
    let unreadable =
        || Problem::validation(format!("Unable to decode {name}. It must be a base64 encoded PNG or JPEG."));
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| unreadable())?;
    let kind = imagesize::image_type(&bytes).map_err(|_| unreadable())?;
    if !matches!(kind, imagesize::ImageType::Png | imagesize::ImageType::Jpeg) {
        return Err(unreadable());
    }
    let size = imagesize::blob_size(&bytes).map_err(|_| unreadable())?;
    let sides = 320..=4096;
    if !sides.contains(&size.width) || !sides.contains(&size.height) {
        return Err(Problem::validation(format!(
            "The sides of {name} must be between 320 and 4096 pixels, not {} x {}.",
            size.width, size.height
        )));
    }
    Ok(())
}

fn rgb(text: &str) -> [u8; 3] {
    let number = u32::from_str_radix(text.trim_start_matches('#'), 16).unwrap_or(0);
    let [_, red, green, blue] = number.to_be_bytes();
    [red, green, blue]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn complaint(body: &Value, expect: &str) {
        let problem = order(body).unwrap_err();
        assert_eq!((problem.status, problem.kind), (400, "ValidationException"));
        assert!(problem.message.contains(expect), "{}", problem.message);
    }

    fn sized(width: u32, height: u32) -> Value {
        let config = json!({"width": width, "height": height});
        json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}, "imageGenerationConfig": config})
    }

    #[test]
    fn defaults_are_bedrocks() {
        let order = order(&json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}})).unwrap();
        let [scene] = order.scenes.as_slice() else { panic!("one picture") };
        assert_eq!((scene.width, scene.height, scene.seed, scene.premium), (1024, 1024, 12, false));
    }

    #[test]
    fn several_pictures_have_seeds_in_a_row() {
        let config = json!({"numberOfImages": 5, "seed": 40, "quality": "premium"});
        let body = json!({"taskType": "COLOR_GUIDED_GENERATION", "imageGenerationConfig": config,
            "colorGuidedGenerationParams": {"text": "a cat", "colors": ["#FF8000"]}});
        let order = order(&body).unwrap();
        assert_eq!(order.scenes.iter().map(|scene| scene.seed).collect::<Vec<_>>(), [40, 41, 42, 43, 44]);
        assert_eq!(order.scenes[0].colors, [[255, 128, 0]]);
        assert!(order.scenes[0].premium);
    }

    #[test]
    fn sizes_have_their_limits() {
        for (width, height) in [(320, 320), (2048, 2048), (4096, 1024), (320, 1280)] {
            assert!(order(&sized(width, height)).is_ok(), "{width} {height}");
        }
        complaint(&sized(304, 320), "#/imageGenerationConfig/width: 304 is not greater or equal to 320");
        complaint(&sized(1024, 4112), "#/imageGenerationConfig/height: 4112 is not less or equal to 4096");
        complaint(&sized(320, 1296), "aspect ratio");
        complaint(&sized(2048, 2064), "pixels");
    }

    #[test]
    fn other_tasks_are_told_apart() {
        complaint(&json!({}), "#: required key [taskType] not found");
        complaint(&json!({"taskType": 5}), "#/taskType: expected type: String, found: Integer");
        complaint(&json!({"taskType": "PAINT"}), "#/taskType: PAINT is not a valid enum value");
        complaint(&json!({"taskType": "INPAINTING"}), "#: required key [inPaintingParams] not found");
        complaint(&json!({"taskType": "INPAINTING", "inPaintingParams": {}}), "does not paint INPAINTING yet");
        complaint(&json!({"taskType": "TEXT_IMAGE"}), "#: required key [textToImageParams] not found");
    }

    #[test]
    fn a_condition_image_must_be_a_picture() {
        let with = |image: &str| json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a", "conditionImage": image}});
        complaint(&with("%%%"), "Unable to decode conditionImage");
        complaint(&with("YWJj"), "Unable to decode conditionImage");
    }
}
