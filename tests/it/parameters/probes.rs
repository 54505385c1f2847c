//! What is asked: ways of asking each model, and a value for each parameter. Must not know any answer.

use serde_json::{Value, json};

use super::Case;

/// Stable Diffusion XL's own members, which everybody else ignores.
pub(super) const XL: [&str; 3] = ["steps", "sampler", "clip_guidance_preset"];

pub(super) const XL_TITLE: &str = "Stable Diffusion XL";

/// Models that take much the same.
pub(super) struct Family {
    pub(super) title: &'static str,
    pub(super) says: &'static str,
    pub(super) cases: Vec<Case>,
}

fn case(title: &'static str, model: &'static str, members: Value, pictures: usize, mask: bool) -> Case {
    Case { title, model, members, pictures, mask }
}

const NOVA: &str = "amazon.nova-canvas-v1:0";
const TITAN: &str = "amazon.titan-image-generator-v2:0";
const TITAN_1: &str = "amazon.titan-image-generator-v1";

/// The tasks that Amazon's models share.
fn amazon(model: &'static str) -> Vec<Case> {
    vec![
        case("from text", model, json!({}), 0, false),
        case(
            "like pictures: an edit without a mask, or a variation",
            model,
            json!({"task": "image-to-image"}),
            1,
            false,
        ),
        case("a mask", model, json!({"task": "inpaint"}), 1, true),
        case("`mask_prompt`", model, json!({"task": "inpaint", "maskPrompt": "the hat"}), 1, false),
        case("a mask without a prompt", model, json!({"task": "erase"}), 1, true),
        case("around a picture", model, json!({"task": "outpaint", "left": 100}), 1, false),
    ]
}

fn nova() -> Vec<Case> {
    let garment = json!({"task": "try-on", "maskType": "GARMENT", "garmentClass": "UPPER_BODY"});
    let text = json!({"task": "try-on", "maskType": "PROMPT", "maskPrompt": "the shirt"});
    let own = json!({"task": "try-on", "maskType": "IMAGE", "sourceImage": "PICTURE", "referenceImage": "PICTURE",
                     "maskImage": "PICTURE"});
    let mut cases = amazon(NOVA);
    cases.insert(1, case("from text and colours", NOVA, json!({"colors": ["#112233"]}), 0, false));
    cases.insert(2, case("from text, guided by a picture", NOVA, json!({"task": "guided"}), 1, false));
    cases.push(case("`background: transparent`", NOVA, json!({"task": "remove-background"}), 1, false));
    cases.push(case("try-on by garment", NOVA, garment, 2, false));
    cases.push(case("try-on by text", NOVA, text, 2, false));
    cases.push(case("try-on by mask, by its own members", NOVA, own, 0, false));
    cases
}

fn titan() -> Vec<Case> {
    let mut cases = amazon(TITAN);
    cases.insert(1, case("from text and colours", TITAN, json!({"colors": ["#112233"]}), 0, false));
    cases.push(case("`background: transparent`", TITAN, json!({"task": "remove-background"}), 1, false));
    cases.push(case("version 1: from text", TITAN_1, json!({}), 0, false));
    cases.push(case("version 1: a mask", TITAN_1, json!({"task": "inpaint"}), 1, true));
    cases
}

fn services() -> Vec<Case> {
    let margin = json!({"task": "outpaint", "left": 100});
    let search = json!({"task": "search-and-replace", "search_prompt": "the cap"});
    let own = json!({"task": "style-transfer", "init_image": "PICTURE", "style_image": "PICTURE"});
    vec![
        case("inpaint, by a mask", "stability.stable-image-inpaint-v1:0", json!({"task": "inpaint"}), 1, true),
        case("outpaint", "stability.stable-outpaint-v1:0", margin, 1, false),
        case("erase, by a mask", "stability.stable-image-erase-object-v1:0", json!({"task": "erase"}), 1, true),
        case("search and replace", "stability.stable-image-search-replace-v1:0", search, 1, false),
        case(
            "recolor",
            "stability.stable-image-search-recolor-v1:0",
            json!({"task": "recolor", "select_prompt": "the cap"}),
            1,
            false,
        ),
        case(
            "remove background",
            "stability.stable-image-remove-background-v1:0",
            json!({"task": "remove-background"}),
            1,
            false,
        ),
        case("sketch", "stability.stable-image-control-sketch-v1:0", json!({"task": "sketch"}), 1, false),
        case("structure", "stability.stable-image-control-structure-v1:0", json!({"task": "structure"}), 1, false),
        case("style guide", "stability.stable-image-style-guide-v1:0", json!({"task": "style-guide"}), 1, false),
        case("style transfer", "stability.stable-style-transfer-v1:0", own, 0, false),
        case("fast upscale", "stability.stable-fast-upscale-v1:0", json!({"task": "upscale"}), 1, false),
        case(
            "conservative upscale",
            "stability.stable-conservative-upscale-v1:0",
            json!({"task": "conservative-upscale"}),
            1,
            false,
        ),
        case(
            "creative upscale",
            "stability.stable-creative-upscale-v1:0",
            json!({"task": "creative-upscale"}),
            1,
            false,
        ),
    ]
}

pub(super) fn families() -> Vec<Family> {
    let over = || json!({"task": "image-to-image"});
    let family = |title, says, cases| Family { title, says, cases };
    vec![
        family("Nova Canvas", "`amazon.nova-canvas-v1:0`. Up to five pictures come of one call.", nova()),
        family(
            "Titan Image Generator",
            "`amazon.titan-image-generator-v2:0`, and `amazon.titan-image-generator-v1` with less. Nova Canvas's\n\
             language with fewer words.",
            titan(),
        ),
        family(
            "Stability's models that paint from text",
            "One picture a call; `n` of them are `n` calls. The shape is one of nine, the number of pixels always about\n\
             a million. Stable Image Ultra and Stable Diffusion 3.5 paint over a picture too.",
            vec![
                case("Stable Image Core", "stability.stable-image-core-v1:1", json!({}), 0, false),
                case("Stable Image Ultra", "stability.stable-image-ultra-v1:1", json!({}), 0, false),
                case("Ultra, over a picture", "stability.stable-image-ultra-v1:1", over(), 1, false),
                case("Stable Diffusion 3.5 Large", "stability.sd3-5-large-v1:0", json!({}), 0, false),
                case("3.5 Large, over a picture", "stability.sd3-5-large-v1:0", over(), 1, false),
            ],
        ),
        family(
            "Stability's services that change a picture",
            "Each is a model of its own, `us.stability.stable-...-v1:0`. One picture a call. The reply has the size that\n\
             the service makes of the picture's; `size` decides nothing but where to paint around it, and the shape that a\n\
             style guide paints.",
            services(),
        ),
        family(
            XL_TITLE,
            "`stability.stable-diffusion-xl-v1`, in its own language. From text alone.",
            vec![case("Stable Diffusion XL", "stability.stable-diffusion-xl-v1", json!({}), 0, false)],
        ),
    ]
}

/// OpenAI's parameters and those that several families know, then native ones. `PICTURE` is one.
pub(super) fn probes() -> Vec<(&'static str, Value)> {
    let mut probes = vec![
        ("n", json!(2)),
        ("size", json!("1536x1024")),
        ("quality", json!("high")),
        ("style", json!("vivid")),
        ("style", json!("PHOTOREALISM")),
        ("style", json!("anime")),
        ("background", json!("opaque")),
        ("background", json!("transparent")),
        ("moderation", json!("low")),
        ("input_fidelity", json!("high")),
        ("output_format", json!("jpeg")),
        ("output_format", json!("webp")),
        ("output_compression", json!(80)),
        ("seed", json!(5)),
        ("negative_prompt", json!("dogs")),
        ("negativeText", json!("dogs")),
        ("aspect_ratio", json!("16:9")),
        ("cfgScale", json!(8)),
    ];
    for name in ["conditionImage", "referenceImage", "maskImage", "sourceImage", "init_image", "style_image"] {
        probes.push((name, json!("PICTURE")));
    }
    let native = json!({
        "colors": ["#FF9900"], "controlMode": "SEGMENTATION", "controlStrength": 0.4, "similarityStrength": 0.6,
        "maskPrompt": "the cap", "outPaintingMode": "PRECISE", "maskType": "GARMENT", "garmentClass": "SHOES",
        "maskShape": "CONTOUR", "longSleeveStyle": "SLEEVE_UP", "tuckingStyle": "TUCKED", "outerLayerStyle": "OPEN",
        "preserveBodyPose": "ON", "preserveHands": "ON", "preserveFace": "ON", "mergeStyle": "SEAMLESS",
        "returnMask": true, "strength": 0.3, "grow_mask": 8, "left": 50, "right": 50, "up": 50, "down": 50,
        "creativity": 0.2, "search_prompt": "a cup", "select_prompt": "a cup", "control_strength": 0.4,
        "fidelity": 0.4, "composition_fidelity": 0.4, "style_strength": 0.4, "change_strength": 0.4,
        "style_preset": "anime", "steps": 40, "sampler": "DDIM", "clip_guidance_preset": "SIMPLE",
    });
    for (name, value) in native.as_object().unwrap() {
        probes.push((Box::leak(name.clone().into_boxed_str()), value.clone()));
    }
    probes
}
