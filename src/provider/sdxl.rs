//! Stable Diffusion XL's old shape: `text_prompts` with weights, and pixels. It paints from text alone.
//!
//! Only private arrangements still reach it. Must not send more prompts than two.

use serde_json::{Map, Value, json};

use super::aim::aim;
use super::amazon;
use super::field::{Field, Kind, field};
use super::services::{STYLE_PRESET, STYLES};
use super::sheet::Bill;
use super::{Request, Sheet};
use crate::image::{Quality, Size, Unsupported};

const FIELDS: [Field; 4] = [
    field("steps", Kind::Whole(10, 150)),
    STYLE_PRESET,
    field(
        "sampler",
        Kind::OneOf(&[
            "DDIM",
            "DDPM",
            "K_DPMPP_2M",
            "K_DPMPP_2S_ANCESTRAL",
            "K_DPM_2",
            "K_DPM_2_ANCESTRAL",
            "K_EULER",
            "K_EULER_ANCESTRAL",
            "K_HEUN",
            "K_LMS",
        ]),
    ),
    field(
        "clip_guidance_preset",
        Kind::OneOf(&["FAST_BLUE", "FAST_GREEN", "NONE", "SIMPLE", "SLOW", "SLOWER", "SLOWEST"]),
    ),
];

/// What is painted when nobody names a size.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

pub(super) fn request(mut sheet: Sheet<'_>) -> Result<Request, Unsupported> {
    if aim(&mut sheet)?.is_some() {
        let message = "'image' is nothing this model takes. It paints from text alone";
        return Err(Unsupported::new("image", message).elsewhere());
    }
    let mut prompts = vec![json!({ "text": sheet.prompt()?, "weight": 1 })];
    prompts.extend(sheet.negative_prompt()?.map(|text| json!({ "text": text, "weight": -1 })));
    let mut body = Map::from_iter([("text_prompts".to_owned(), Value::from(prompts))]);
    let size = amazon::size(&mut sheet)?;
    if let Some(size) = size {
        body.insert("width".into(), size.width.into());
        body.insert("height".into(), size.height.into());
    }
    if let Some(scale) = amazon::cfg_scale(&mut sheet, 0.0, 35.0)? {
        body.insert("cfg_scale".into(), scale.into());
    }
    sheet.fields(&FIELDS, &mut body)?;
    if !body.contains_key(STYLE_PRESET.name)
        && let Some(style) = sheet.take_style(|style| STYLES.contains(&style))
    {
        body.insert(STYLE_PRESET.name.into(), style.into());
    }
    let seed = sheet.seed()?;
    body.insert("seed".into(), seed.into());
    sheet.no_quality();
    sheet.output_format()?;
    sheet.hints()?;
    let many = body.get("steps").and_then(Value::as_u64).is_some_and(|steps| steps > 50);
    let quality = if many { Quality::Premium } else { Quality::Standard };
    let bill = Bill { seed: Some(seed), size: size.unwrap_or(DEFAULT_SIZE), quality };
    sheet.finish(&Value::Object(body), bill)
}
