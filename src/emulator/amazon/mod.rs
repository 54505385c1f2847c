//! Amazon's own image models, Nova Canvas and Titan: one envelope, in which each task has its member.
//! It must not paint.
mod edits;
mod garments;
mod inputs;
mod nova_canvas;
#[cfg(test)]
mod tests;
mod titan;

pub(super) use nova_canvas::NOVA_CANVAS;
pub(super) use titan::{TITAN_V1, TITAN_V2};

use super::{
    picture::Limits,
    problem::Problem,
    scene::{Format, Order, Scene, Work},
    schema::{Field, Rule, check, may, must},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What sets one of the models apart.
#[derive(Debug)]
pub(super) struct Rules {
    id: &'static str,
    tasks: &'static [Task],
    sizes: Sizes,
    /// The seed of a request that has none: always the same picture, as on Bedrock.
    seed: u64,
    /// What the pictures sent in have to be.
    limits: Limits,
}

/// The sizes that can be asked for.
#[derive(Debug)]
enum Sizes {
    /// Sides within the schema's limits, 1:4 to 4:1, and at most so many pixels.
    Pixels(u64),
    Listed(&'static [(u32, u32)]),
}

/// A task that a model knows.
#[derive(Debug)]
struct Task {
    /// Its `taskType`.
    name: &'static str,
    /// The member with its parameters.
    params: &'static str,
    rule: Rule,
    /// What `imageGenerationConfig` may hold, where it may be there at all.
    config: Option<&'static [Field]>,
    kind: Kind,
}

/// What a task does. Where it takes a picture under a name of its own, that is the name.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Generation(&'static str),
    Variation,
    Inpainting,
    Outpainting,
    BackgroundRemoval,
    TryOn,
}

/// Base64 has no other limit than the body's.
const IMAGE: Rule = Rule::Image;
const QUALITY: Field = may("quality", Rule::OneOf(&["standard", "premium"]));
const CFG_SCALE: Field = may("cfgScale", Rule::Number { min: 1.1, max: 10.0 });
const SEED: Field = may("seed", Rule::Whole { min: 0, max: 2_147_483_646, step: 1 });
const COUNT: Field = may("numberOfImages", Rule::Whole { min: 1, max: 5, step: 1 });
const COLORS: Field = must("colors", Rule::List { min: 1, max: 10, item: &Rule::Colour });
const CONTROL_MODE: Field = may("controlMode", Rule::OneOf(&["CANNY_EDGE", "SEGMENTATION"]));
const CONTROL_STRENGTH: Field = may("controlStrength", Rule::Number { min: 0.0, max: 1.0 });
const IMAGES: Field = must("images", Rule::List { min: 1, max: 5, item: &IMAGE });
const SIMILARITY: Field = may("similarityStrength", Rule::Number { min: 0.2, max: 1.0 });
const OUTPAINTING_MODE: Field = may("outPaintingMode", Rule::OneOf(&["DEFAULT", "PRECISE"]));
/// A region is told by one of these, never by both.
const MASKS: &[&str] = &["maskPrompt", "maskImage"];

/// Reads a body, or refuses it as the model does.
pub(super) fn order(rules: &Rules, body: &Value) -> Result<Order, Problem> {
    let task = task(rules, body)?;
    let mut members = vec![must("taskType", Rule::Text { min: 1, max: 64 }), must(task.params, task.rule)];
    members.extend(task.config.map(|config| may("imageGenerationConfig", Rule::Object(config))));
    check(body, &members)?;
    let (params, config) = (&body[task.params], &body["imageGenerationConfig"]);
    let plan = edits::plan(rules, task.kind, params, config)?;
    let colors = params["colors"].as_array().into_iter().flatten().filter_map(Value::as_str).map(rgb).collect();
    let seed = config["seed"].as_u64().unwrap_or(rules.seed);
    let first = Scene {
        model: rules.id,
        prompt: params["text"].as_str().unwrap_or_default().to_owned(),
        mood: [&params["style"], &params["negativeText"]].iter().filter_map(|value| value.as_str()).collect(),
        seed,
        width: plan.size.0,
        height: plan.size.1,
        colors,
        premium: config["quality"] == "premium",
        format: Format::Png,
        work: plan.work,
    };
    let mask = plan.mask.map(|mask| Scene { work: Work::Enlarge(Arc::new(mask)), ..first.clone() });
    let count = config["numberOfImages"].as_u64().unwrap_or(1);
    let scenes = (0..count).map(|index| Scene { seed: seed + index, ..first.clone() }).collect();
    Ok(Order { task: task.name, scenes, mask })
}

/// The task decides over the rest of the body, so nothing else is looked at before it.
fn task<'a>(rules: &'a Rules, body: &Value) -> Result<&'a Task, Problem> {
    let wrong = |alone: &Value| {
        check(alone, &[must("taskType", Rule::OneOf(&[]))]).map_or_else(Err, |()| Err(Problem::internal()))
    };
    if !body.is_object() {
        return wrong(body);
    }
    let Some(name) = body.get("taskType") else { return wrong(&json!({})) };
    let known = rules.tasks.iter().find(|task| *name == task.name);
    known.map_or_else(|| wrong(&json!({"taskType": name})), Ok)
}

/// The size that is asked for, where any is.
fn size(rules: &Rules, config: &Value) -> Result<Option<(u32, u32)>, Problem> {
    if config["width"].is_null() && config["height"].is_null() {
        return Ok(None);
    }
    let side = |value: &Value| value.as_u64().and_then(|side| u32::try_from(side).ok()).unwrap_or(1024);
    let (width, height) = (side(&config["width"]), side(&config["height"]));
    let wrong = |what: String| Err(Problem::malformed(&format!("#/imageGenerationConfig: {what}")));
    match rules.sizes {
        Sizes::Listed(sizes) if !sizes.contains(&(width, height)) => {
            wrong(format!("{width} x {height} is not a supported size"))
        }
        Sizes::Pixels(_) if width.max(height) > 4 * width.min(height) => {
            wrong(format!("the aspect ratio of {width} x {height} is not between 1:4 and 4:1"))
        }
        Sizes::Pixels(most) if u64::from(width) * u64::from(height) > most => {
            let pixels = u64::from(width) * u64::from(height);
            wrong(format!("{width} x {height} has {pixels} pixels, which is not less or equal to {most}"))
        }
        _ => Ok(Some((width, height))),
    }
}

fn rgb(text: &str) -> [u8; 3] {
    let number = u32::from_str_radix(text.trim_start_matches('#'), 16).unwrap_or(0);
    let [_, red, green, blue] = number.to_be_bytes();
    [red, green, blue]
}
