//! What Nova Canvas and Titan share: the envelope of task type, parameters and configuration.
//!
//! Bedrock refuses unknown members, so nothing may be sent that is not named here or by the model's own file.

use serde_json::{Map, Value, json};

use super::size::{Pixels, area_of_ratio, nearest_of, parse_ratio};
use super::{Request, Sheet};
use crate::catalog::{Dialect, SizeRule};
use crate::image::{Quality, Size, Unsupported};
use crate::wishes::{SizeWish, describe, excerpt};

/// Members that Amazon's models know and Stability's do not.
pub(super) const MEMBERS: &[&str] =
    &["taskType", "colors", "referenceImage", "conditionImage", "controlMode", "controlStrength"];

/// What is painted when nobody names a size.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

/// The body of a call; `params` holds what a model adds to a text-to-image task of its own.
pub(super) fn request(mut sheet: Sheet<'_>, dialect: Dialect, own: Map<String, Value>) -> Result<Request, Unsupported> {
    let mut params = Map::new();
    params.insert("text".into(), sheet.prompt()?.into());
    if let Some(text) = sheet.negative_prompt()? {
        params.insert("negativeText".into(), text.into());
    }
    let task_type = task_type(&mut sheet)?;
    let params_name = match task_type {
        "TEXT_IMAGE" => {
            params.extend(own);
            condition(&mut sheet, &mut params)?;
            "textToImageParams"
        }
        _ => {
            color_guided(&mut sheet, &mut params)?;
            "colorGuidedGenerationParams"
        }
    };
    let (size, quality) = (size(&mut sheet)?, sheet.quality());
    let seed = sheet.seed()?;
    let mut config = Map::new();
    config.insert("numberOfImages".into(), sheet.order.part.count.into());
    if let Some(size) = size {
        config.insert("width".into(), size.width.into());
        config.insert("height".into(), size.height.into());
    }
    if let Some(quality) = quality {
        config.insert("quality".into(), quality.name().into());
    }
    if let Some(scale) = cfg_scale(&mut sheet)? {
        config.insert("cfgScale".into(), scale.into());
    }
    config.insert("seed".into(), seed.into());
    sheet.output_format()?;
    sheet.hints()?;
    let body = json!({ params_name: params, "taskType": task_type, "imageGenerationConfig": config });
    sheet.finish(dialect, &body, seed, size.unwrap_or(DEFAULT_SIZE), quality.unwrap_or(Quality::Standard))
}

fn task_type(sheet: &mut Sheet<'_>) -> Result<&'static str, Unsupported> {
    let (colors, conditioning) = (sheet.has_native("colors"), sheet.order.limits.conditioning);
    let accepted = if conditioning { "TEXT_IMAGE and COLOR_GUIDED_GENERATION" } else { "TEXT_IMAGE" };
    match sheet.native_text("taskType")?.as_deref() {
        None if colors && conditioning => Ok("COLOR_GUIDED_GENERATION"),
        None | Some("TEXT_IMAGE") => Ok("TEXT_IMAGE"),
        Some("COLOR_GUIDED_GENERATION") if conditioning => Ok("COLOR_GUIDED_GENERATION"),
        Some(other) => {
            let message = format!("'taskType' is '{}'. This model takes {accepted} here", excerpt(other));
            Err(Unsupported::new("taskType", message))
        }
    }
}

/// A picture that guides the painting, where the model takes one.
fn condition(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if !sheet.order.limits.conditioning {
        return Ok(());
    }
    if let Some(picture) = sheet.native_picture("conditionImage")? {
        params.insert("conditionImage".into(), picture);
    }
    if let Some(mode) = sheet.native_word("controlMode", &["CANNY_EDGE", "SEGMENTATION"])? {
        params.insert("controlMode".into(), mode.into());
    }
    if let Some(strength) = sheet.native_number("controlStrength", 0.0, 1.0)? {
        params.insert("controlStrength".into(), strength);
    }
    Ok(())
}

fn color_guided(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let colors = sheet.native("colors").unwrap_or(Value::Null);
    let is_color = |c: &Value| {
        let digits = c.as_str().and_then(|c| c.strip_prefix('#'));
        digits.is_some_and(|c| c.len() == 6 && c.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match &colors {
        Value::Array(list) if (1..=10).contains(&list.len()) && list.iter().all(is_color) => {}
        other => {
            let message = format!("'colors' is {}. It takes 1 to 10 colours written like '#FF9900'", describe(other));
            return Err(Unsupported::new("colors", message));
        }
    }
    params.insert("colors".into(), colors);
    if let Some(picture) = sheet.native_picture("referenceImage")? {
        params.insert("referenceImage".into(), picture);
    }
    Ok(())
}

/// The legal size that is asked for, by pixels or by the name of an aspect ratio.
fn size(sheet: &mut Sheet<'_>) -> Result<Option<Size>, Unsupported> {
    match (sheet.wish(|w| w.size), sheet.wish(|w| w.aspect_ratio.as_deref())) {
        (Some(SizeWish::Exact(size)), _) => {
            let nearest = legal_size(sheet, size)?;
            if nearest != size {
                sheet.map("size", size, nearest);
            }
            Ok(Some(nearest))
        }
        (_, Some(name)) => match parse_ratio(name) {
            Some(ratio) => {
                let size = legal_size(sheet, area_of_ratio(ratio, 1024))?;
                sheet.map("aspect_ratio", excerpt(name), format_args!("size={size}"));
                Ok(Some(size))
            }
            None => {
                let message = format!("'aspect_ratio' is '{}'. It is written like '16:9'", excerpt(name));
                Err(Unsupported::new("aspect_ratio", message))
            }
        },
        _ => Ok(None),
    }
}

fn legal_size(sheet: &Sheet<'_>, size: Size) -> Result<Size, Unsupported> {
    match &sheet.order.limits.size {
        SizeRule::Pixels { min_side, max_side, multiple, max_pixels, max_ratio } => {
            let (min_side, max_side, multiple) = (*min_side, *max_side, *multiple);
            Pixels { min_side, max_side, multiple, max_pixels: *max_pixels, max_ratio: *max_ratio }.nearest(size)
        }
        SizeRule::Sizes(sizes) => nearest_of(sizes, size),
        SizeRule::AspectRatios(_) | SizeRule::AsGiven => Ok(size),
    }
}

/// AWS takes 1.1 to 10.
fn cfg_scale(sheet: &mut Sheet<'_>) -> Result<Option<f64>, Unsupported> {
    match sheet.wish(|w| w.cfg_scale) {
        Some(scale) if !(1.1..=10.0).contains(&scale) => {
            let message = format!("'cfgScale' is {scale}. This model takes 1.1 to 10");
            sheet.refuse(Unsupported::new("cfgScale", message)).map(|()| None)
        }
        scale => Ok(scale),
    }
}
