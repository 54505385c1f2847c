//! Stable Diffusion XL, which had a shape of its own: the rules of its bodies, and what they ask to be painted.
//! It must not paint, and must not take pictures: only generations are known.
use super::{
    super::{
        problem::Problem,
        scene::{Format, Order, Scene, Work},
        schema::{Field, Rule, check, may, must},
    },
    STYLE, seed,
};
use serde_json::Value;

#[rustfmt::skip]
const SIZES: [(u32, u32); 9] = [
    (1024, 1024), (1152, 896), (1216, 832), (1344, 768), (1536, 640), (640, 1536), (768, 1344), (832, 1216), (896, 1152),
];
const ALLOWED: &str = "1024x1024, 1152x896, 1216x832, 1344x768, 1536x640, 640x1536, 768x1344, 832x1216, and 896x1152";

const SIDE: Rule = Rule::Whole { min: 128, max: 1536, step: 64 };
const TEXT: Rule = Rule::Object(&[
    must("text", Rule::Text { min: 1, max: 2000 }),
    may("weight", Rule::Number { min: -10.0, max: 10.0 }),
]);

#[rustfmt::skip]
const MEMBERS: &[Field] = &[
    must("text_prompts", Rule::List { min: 1, max: 10, item: &TEXT }),
    may("width", SIDE),
    may("height", SIDE),
    may("cfg_scale", Rule::Number { min: 0.0, max: 35.0 }),
    may("clip_guidance_preset", Rule::OneOf(&["FAST_BLUE", "FAST_GREEN", "NONE", "SIMPLE", "SLOW", "SLOWER", "SLOWEST"])),
    may("sampler", Rule::OneOf(&[
        "DDIM", "DDPM", "K_DPMPP_SDE", "K_DPMPP_2M", "K_DPMPP_2S_ANCESTRAL", "K_DPM_2", "K_DPM_2_ANCESTRAL", "K_EULER",
        "K_EULER_ANCESTRAL", "K_HEUN", "K_LMS",
    ])),
    may("samples", Rule::Whole { min: 1, max: 1, step: 1 }),
    may("seed", Rule::Whole { min: 0, max: 4_294_967_295, step: 1 }),
    may("steps", Rule::Whole { min: 10, max: 150, step: 1 }),
    STYLE,
    may("extras", Rule::Object(&[])),
];

/// Reads a body, or refuses it. `draw` is the seed taken where the caller leaves it open.
pub(in super::super) fn order(body: &Value, draw: u32) -> Result<Order, Problem> {
    check(body, MEMBERS)?;
    let side = |name: &str| body[name].as_u64().and_then(|side| u32::try_from(side).ok()).unwrap_or(1024);
    let (width, height) = (side("width"), side("height"));
    if !SIZES.contains(&(width, height)) {
        return Err(Problem::validation(format!(
            "for stable-diffusion-xl-1024-v0-9 and stable-diffusion-xl-1024-v1-0 the allowed dimensions are {ALLOWED}, but we received {width}x{height}"
        )));
    }
    let (unwanted, wanted): (Vec<_>, Vec<_>) = body["text_prompts"]
        .as_array()
        .into_iter()
        .flatten()
        .partition(|prompt| prompt["weight"].as_f64().is_some_and(|weight| weight < 0.0));
    let texts = |prompts: Vec<&Value>| {
        prompts.iter().filter_map(|prompt| prompt["text"].as_str()).collect::<Vec<_>>().join(", ")
    };
    let scene = Scene {
        model: "stability.stable-diffusion-xl-v1",
        prompt: texts(wanted),
        mood: texts(unwanted) + body["style_preset"].as_str().unwrap_or_default(),
        seed: seed(body, draw),
        width,
        height,
        colors: Vec::new(),
        premium: false,
        format: Format::Png,
        work: Work::Paint,
    };
    Ok(Order { task: "text-to-image", scenes: vec![scene], mask: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn complaint(body: &Value, expect: &str) {
        let problem = order(body, 7).unwrap_err();
        assert_eq!((problem.status, problem.kind, problem.message.as_str()), (400, "ValidationException", expect));
    }

    #[test]
    fn prompts_are_weighed() {
        let prompts = json!([{"text": "a cat"}, {"text": "fog", "weight": -1}, {"text": "a hat", "weight": 0.5}]);
        let order = order(&json!({"text_prompts": prompts, "width": 1216, "height": 832}), 7).unwrap();
        let scene = &order.scenes[0];
        assert_eq!((scene.prompt.as_str(), scene.mood.as_str(), scene.seed), ("a cat, a hat", "fog", 7));
        assert_eq!((scene.width, scene.height), (1216, 832));
    }

    #[test]
    fn bodies_have_their_limits() {
        let malformed = |what| format!("Malformed input request: {what}, please reformat your input and try again.");
        let prompts = json!([{"text": "a cat"}]);
        for (body, what) in [
            (json!({}), "#: required key [text_prompts] not found"),
            (json!({"text_prompts": []}), "#/text_prompts: expected minimum item count: 1, found: 0"),
            (json!({"text_prompts": [{}]}), "#/text_prompts/0: required key [text] not found"),
            (json!({"text_prompts": prompts, "init_image": "a"}), "#: extraneous key [init_image] is not permitted"),
            (json!({"text_prompts": prompts, "cfg_scale": 36}), "#/cfg_scale: 36 is not less or equal to 35"),
            (json!({"text_prompts": prompts, "steps": 9}), "#/steps: 9 is not greater or equal to 10"),
            (json!({"text_prompts": prompts, "samples": 2}), "#/samples: 2 is not less or equal to 1"),
            (json!({"text_prompts": prompts, "width": 1000}), "#/width: 1000 is not a multiple of 64"),
        ] {
            complaint(&body, &malformed(what));
        }
        complaint(
            &json!({"text_prompts": prompts, "width": 512, "height": 512}),
            "for stable-diffusion-xl-1024-v0-9 and stable-diffusion-xl-1024-v1-0 the allowed dimensions are 1024x1024, 1152x896, 1216x832, 1344x768, 1536x640, 640x1536, 768x1344, 832x1216, and 896x1152, but we received 512x512",
        );
    }
}
