//! Stability's text-to-image models: the rules of their bodies, and what they ask to be painted.
//! It must not paint.
use super::{
    models::Model,
    problem::Problem,
    scene::{Format, Order, Scene},
    schema::{Field, Rule, check, may, must},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// About a megapixel each, in steps of 64, as the models themselves paint.
const RATIOS: [(&str, u32, u32); 9] = [
    ("16:9", 1344, 768),
    ("1:1", 1024, 1024),
    ("21:9", 1536, 640),
    ("2:3", 832, 1216),
    ("3:2", 1216, 832),
    ("4:5", 896, 1088),
    ("5:4", 1088, 896),
    ("9:16", 768, 1344),
    ("9:21", 640, 1536),
];

const PROMPT: Rule = Rule::Text { min: 0, max: 10_000 };
const RATIO: Rule = Rule::OneOf(&["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"]);
const SEED: Rule = Rule::Whole { min: 0, max: 4_294_967_295, step: 1 };
const STRENGTH: Rule = Rule::Number { min: 0.0, max: 1.0 };
const IMAGE: Rule = Rule::Text { min: 1, max: usize::MAX };
const TWO_FORMATS: Rule = Rule::OneOf(&["jpeg", "png"]);

const CORE: &[Field] = &[
    must("prompt", PROMPT),
    may("negative_prompt", PROMPT),
    may("seed", SEED),
    may("output_format", TWO_FORMATS),
    may("aspect_ratio", RATIO),
];

const ULTRA: &[Field] = &[
    must("prompt", PROMPT),
    may("negative_prompt", PROMPT),
    may("mode", Rule::OneOf(&["text-to-image", "image-to-image"])),
    may("strength", STRENGTH),
    may("seed", SEED),
    may("output_format", TWO_FORMATS),
    may("image", IMAGE),
    may("aspect_ratio", RATIO),
];

const SD35: &[Field] = &[
    must("prompt", PROMPT),
    may("negative_prompt", PROMPT),
    may("mode", Rule::OneOf(&["text-to-image", "image-to-image"])),
    may("strength", STRENGTH),
    may("seed", Rule::Whole { min: 0, max: 4_294_967_294, step: 1 }),
    may("output_format", Rule::OneOf(&["jpeg", "png", "webp"])),
    may("image", IMAGE),
    may("aspect_ratio", RATIO),
];

/// Reads a body, or refuses it as Stability's models do. `draw` is the seed taken where the caller leaves it open.
pub(super) fn order(model: Model, body: &Value, draw: u32) -> Result<Order, Problem> {
    let members = match model {
        Model::StableImageUltra => ULTRA,
        Model::StableDiffusion35 => SD35,
        Model::StableImageCore | Model::NovaCanvas => CORE,
    };
    known(body, members)?;
    check(body, members)?;
    let (task, (width, height)) = match body["image"].as_str() {
        Some(image) => ("image-to-image", like(image_size(model, body, image)?)),
        None => ("text-to-image", ratio(body["aspect_ratio"].as_str().unwrap_or("1:1"))),
    };
    if task == "text-to-image" && body["mode"] == "image-to-image" {
        return Err(detail("image is required when mode is image-to-image"));
    }
    let scene = Scene {
        model: model.id(),
        prompt: body["prompt"].as_str().unwrap_or_default().to_owned(),
        mood: body["negative_prompt"].as_str().unwrap_or_default().to_owned(),
        seed: body["seed"].as_u64().filter(|seed| *seed > 0).unwrap_or(u64::from(draw)),
        width,
        height,
        colors: Vec::new(),
        premium: model == Model::StableImageUltra,
        format: match body["output_format"].as_str() {
            Some("jpeg") => Format::Jpeg,
            Some("webp") => Format::WebP,
            _ => Format::Png,
        },
    };
    Ok(Order { task, scenes: vec![scene] })
}

/// Unknown members come before every other mistake, and in a form of their own: JSON inside the message.
fn known(body: &Value, members: &[Field]) -> Result<(), Problem> {
    let stranger = |key: &String| members.iter().all(|field| field.name != key.as_str());
    if !body.as_object().is_some_and(|map| map.keys().any(stranger)) {
        return Ok(());
    }
    let names: Vec<String> = members.iter().map(|field| format!("'{}'", field.name)).collect();
    Err(detail(&format!("Invalid field in request. Available fields: [{}]", names.join(", "))))
}

fn detail(text: &str) -> Problem {
    Problem::validation(json!({"detail": text}).to_string())
}

fn ratio(name: &str) -> (u32, u32) {
    RATIOS.iter().find(|row| row.0 == name).map_or((1024, 1024), |row| (row.1, row.2))
}

/// The size whose shape is nearest to that of the picture sent in.
fn like((width, height): (u32, u32)) -> (u32, u32) {
    let wish = f64::from(width) / f64::from(height);
    let off = |row: &(&str, u32, u32)| (f64::from(row.1) / f64::from(row.2) / wish).ln().abs();
    RATIOS.iter().min_by(|a, b| off(a).total_cmp(&off(b))).map_or((1024, 1024), |row| (row.1, row.2))
}

fn image_size(model: Model, body: &Value, image: &str) -> Result<(u32, u32), Problem> {
    if model == Model::StableDiffusion35 && body["strength"].is_null() {
        return Err(detail("strength is required when mode is image-to-image"));
    }
    let size = BASE64_STANDARD.decode(image).ok().and_then(|bytes| imagesize::blob_size(&bytes).ok());
    let size = size.ok_or_else(|| detail("image: unable to decode, expected base64 of jpeg, png or webp"))?;
    match (u32::try_from(size.width), u32::try_from(size.height)) {
        (Ok(width @ 64..), Ok(height @ 64..)) => Ok((width, height)),
        _ => Err(detail("image: width and height must be at least 64 pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn complaint(model: Model, body: &Value, expect: &str) {
        let problem = order(model, body, 7).unwrap_err();
        assert_eq!((problem.status, problem.kind), (400, "ValidationException"));
        assert_eq!(problem.message, expect);
    }

    fn malformed(what: &str) -> String {
        format!("Malformed input request: {what}, please reformat your input and try again.")
    }

    #[test]
    fn sizes_come_from_the_ratio() {
        for (name, width, height) in RATIOS {
            let body = json!({"prompt": "a cat", "aspect_ratio": name});
            let order = order(Model::StableImageCore, &body, 7).unwrap();
            assert_eq!((order.scenes[0].width, order.scenes[0].height), (width, height));
            assert_eq!((width % 64, height % 64), (0, 0));
        }
    }

    #[test]
    fn seed_zero_is_drawn() {
        let seed = |body: Value| order(Model::StableImageCore, &body, 7).unwrap().scenes[0].seed;
        assert_eq!(seed(json!({"prompt": "a"})), 7);
        assert_eq!(seed(json!({"prompt": "a", "seed": 0})), 7);
        assert_eq!(seed(json!({"prompt": "a", "seed": 4_294_967_295_u32})), 4_294_967_295);
    }

    #[test]
    fn complaints_are_stabilitys() {
        complaint(
            Model::StableImageUltra,
            &json!({"prompt": "a", "n": 1}),
            r#"{"detail":"Invalid field in request. Available fields: ['prompt', 'negative_prompt', 'mode', 'strength', 'seed', 'output_format', 'image', 'aspect_ratio']"}"#,
        );
        complaint(Model::StableImageCore, &json!({}), &malformed("#: required key [prompt] not found"));
        let body = json!({"prompt": "a", "aspect_ratio": "7:5"});
        complaint(Model::StableImageCore, &body, &malformed("#/aspect_ratio: 7:5 is not a valid enum value"));
        let body = json!({"prompt": "a", "output_format": "webp"});
        complaint(Model::StableImageCore, &body, &malformed("#/output_format: webp is not a valid enum value"));
        let body = json!({"prompt": "a", "seed": 4_294_967_295_u32});
        complaint(Model::StableDiffusion35, &body, &malformed("#/seed: 4294967295 is not less or equal to 4294967294"));
        let body = json!({"prompt": "a", "image": "YWJj"});
        complaint(Model::StableDiffusion35, &body, r#"{"detail":"strength is required when mode is image-to-image"}"#);
        let body = json!({"prompt": "a", "mode": "image-to-image"});
        complaint(Model::StableDiffusion35, &body, r#"{"detail":"image is required when mode is image-to-image"}"#);
    }

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(like((1920, 1080)), (1344, 768));
        assert_eq!(like((100, 100)), (1024, 1024));
        assert_eq!(like((600, 900)), (832, 1216));
    }
}
