//! Stability's models: what their bodies have in common.
//! It must not paint.
mod inputs;
pub(super) mod sdxl;
pub(super) mod services;
pub(super) mod text_to_image;

use super::{
    problem::Problem,
    scene::Format,
    schema::{Field, Rule, may},
};
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
const NEGATIVE: Field = may("negative_prompt", PROMPT);
const RATIO: Field =
    may("aspect_ratio", Rule::OneOf(&["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"]));
const FORMAT: Field = may("output_format", Rule::OneOf(&["jpeg", "png", "webp"]));
const IMAGE: Rule = Rule::Image;
const STYLE: Field = may(
    "style_preset",
    Rule::OneOf(&[
        "3d-model",
        "analog-film",
        "anime",
        "cinematic",
        "comic-book",
        "digital-art",
        "enhance",
        "fantasy-art",
        "isometric",
        "line-art",
        "low-poly",
        "modeling-compound",
        "neon-punk",
        "origami",
        "photographic",
        "pixel-art",
        "tile-texture",
    ]),
);

/// A share from nothing to all.
const fn share(name: &'static str) -> Field {
    may(name, Rule::Number { min: 0.0, max: 1.0 })
}

/// The models' own complaints are JSON inside the message.
fn detail(text: &str) -> Problem {
    Problem::validation(json!({"detail": text}).to_string())
}

/// The first member that a model does not know.
fn stranger<'a>(body: &'a Value, members: &[Field]) -> Option<&'a str> {
    let unknown = |key: &&String| members.iter().all(|field| field.name != key.as_str());
    body.as_object()?.keys().find(unknown).map(String::as_str)
}

/// The size of a ratio's name.
fn ratio(body: &Value) -> (u32, u32) {
    let name = body["aspect_ratio"].as_str().unwrap_or("1:1");
    RATIOS.iter().find(|row| row.0 == name).map_or((1024, 1024), |row| (row.1, row.2))
}

/// The size whose shape is nearest to that of the picture sent in.
fn like((width, height): (u32, u32)) -> (u32, u32) {
    let wish = f64::from(width) / f64::from(height);
    let off = |row: &(&str, u32, u32)| (f64::from(row.1) / f64::from(row.2) / wish).ln().abs();
    RATIOS.iter().min_by(|a, b| off(a).total_cmp(&off(b))).map_or((1024, 1024), |row| (row.1, row.2))
}

/// The caller's seed, or the one drawn where it is left open.
fn seed(body: &Value, draw: u32) -> u64 {
    body["seed"].as_u64().filter(|seed| *seed > 0).unwrap_or(u64::from(draw))
}

fn format(body: &Value) -> Format {
    match body["output_format"].as_str() {
        Some("jpeg") => Format::Jpeg,
        Some("webp") => Format::WebP,
        _ => Format::Png,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(like((1920, 1080)), (1344, 768));
        assert_eq!(like((100, 100)), (1024, 1024));
        assert_eq!(like((600, 900)), (832, 1216));
    }
}
