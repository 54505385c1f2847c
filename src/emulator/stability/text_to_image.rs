//! Stability's text-to-image models: the rules of their bodies, and what they ask to be painted.
//! It must not paint.
use super::{
    super::{
        models::Model,
        picture::Limits,
        problem::Problem,
        scene::{Lean, Order, Scene, Work},
        schema::{Field, Rule, check, may, must},
    },
    FORMAT, IMAGE, NEGATIVE, PROMPT, RATIO, detail, format, inputs, like, ratio, seed, share, stranger,
};
use serde_json::Value;

const SEED: Field = may("seed", Rule::Whole { min: 0, max: 4_294_967_295, step: 1 });
const TWO_FORMATS: Field = may("output_format", Rule::OneOf(&["jpeg", "png"]));
const MODE: Field = may("mode", Rule::OneOf(&["text-to-image", "image-to-image"]));
const INPUT: Limits = Limits { ratio: f64::INFINITY, ..inputs::ORDINARY };

const CORE: &[Field] = &[must("prompt", PROMPT), NEGATIVE, SEED, TWO_FORMATS, RATIO];

const ULTRA: &[Field] =
    &[must("prompt", PROMPT), NEGATIVE, MODE, share("strength"), SEED, TWO_FORMATS, may("image", IMAGE), RATIO];

const SD35: &[Field] = &[
    must("prompt", PROMPT),
    NEGATIVE,
    MODE,
    share("strength"),
    may("seed", Rule::Whole { min: 0, max: 4_294_967_294, step: 1 }),
    FORMAT,
    may("image", IMAGE),
    RATIO,
];

/// Reads a body, or refuses it as the model does. `draw` is the seed taken where the caller leaves it open.
pub(in super::super) fn order(model: Model, body: &Value, draw: u32) -> Result<Order, Problem> {
    let members = match model {
        Model::StableImageUltra => ULTRA,
        Model::StableDiffusion35 => SD35,
        _ => CORE,
    };
    // Unknown members come before every other mistake.
    if stranger(body, members).is_some() {
        let names: Vec<String> = members.iter().map(|field| format!("'{}'", field.name)).collect();
        return Err(detail(&format!("Invalid field in request. Available fields: [{}]", names.join(", "))));
    }
    check(body, members)?;
    let (task, (width, height), work) = match body["image"].as_str() {
        Some(image) => {
            if model == Model::StableDiffusion35 && body["strength"].is_null() {
                return Err(detail("strength is required when mode is image-to-image"));
            }
            let picture = inputs::picture("image", image, &INPUT)?;
            ("image-to-image", like((picture.width(), picture.height())), Work::Follow(Lean::of([&picture])))
        }
        None if body["mode"] == "image-to-image" => {
            return Err(detail("image is required when mode is image-to-image"));
        }
        None => ("text-to-image", ratio(body), Work::Paint),
    };
    let scene = Scene {
        model: model.id(),
        prompt: body["prompt"].as_str().unwrap_or_default().to_owned(),
        mood: body["negative_prompt"].as_str().unwrap_or_default().to_owned(),
        seed: seed(body, draw),
        width,
        height,
        colors: Vec::new(),
        premium: model == Model::StableImageUltra,
        format: format(body),
        work,
    };
    Ok(Order { task, scenes: vec![scene], mask: None })
}

#[cfg(test)]
mod tests {
    use super::{super::RATIOS, *};
    use serde_json::json;

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
}
