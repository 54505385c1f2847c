//! Amazon Nova Canvas: TEXT_IMAGE and COLOR_GUIDED_GENERATION.
//!
//! The schema is AWS's (Nova user guide, "Image generation request and response structure"). Bedrock refuses
//! unknown members, so nothing may be sent that is not named here.

use serde_json::{Map, Value, json};

use super::size::{Pixels, area_of_ratio, parse_ratio};
use super::{Request, Sheet};
use crate::catalog::{Dialect, SizeRule};
use crate::image::{Quality, Size, Unsupported};
use crate::wishes::{SizeWish, describe, excerpt};

/// Members that only Nova Canvas knows.
pub(super) const MEMBERS: &[&str] =
    &["taskType", "colors", "referenceImage", "conditionImage", "controlMode", "controlStrength"];

const STYLES: [&str; 8] = [
    "3D_ANIMATED_FAMILY_FILM",
    "DESIGN_SKETCH",
    "FLAT_VECTOR_ILLUSTRATION",
    "GRAPHIC_NOVEL_ILLUSTRATION",
    "MAXIMALISM",
    "MIDCENTURY_RETRO",
    "PHOTOREALISM",
    "SOFT_DIGITAL_PAINTING",
];

/// What Nova Canvas paints when nobody names a size.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

pub(super) fn request(mut sheet: Sheet<'_>) -> Result<Request, Unsupported> {
    let mut params = Map::new();
    params.insert("text".into(), sheet.prompt()?.into());
    if let Some(text) = sheet.negative_prompt()? {
        params.insert("negativeText".into(), text.into());
    }
    let task_type = task_type(&mut sheet)?;
    let params_name = match task_type {
        "TEXT_IMAGE" => text_image(&mut sheet, &mut params)?,
        _ => color_guided(&mut sheet, &mut params)?,
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
    sheet.finish(Dialect::NovaCanvas, &body, seed, size.unwrap_or(DEFAULT_SIZE), quality.unwrap_or(Quality::Standard))
}

fn task_type(sheet: &mut Sheet<'_>) -> Result<&'static str, Unsupported> {
    let colors = sheet.has_native("colors");
    match sheet.native_text("taskType")?.as_deref() {
        None if colors => Ok("COLOR_GUIDED_GENERATION"),
        None | Some("TEXT_IMAGE") => Ok("TEXT_IMAGE"),
        Some("COLOR_GUIDED_GENERATION") => Ok("COLOR_GUIDED_GENERATION"),
        Some(other) => {
            let message = format!(
                "'taskType' is '{}'. This endpoint takes TEXT_IMAGE and COLOR_GUIDED_GENERATION",
                excerpt(other)
            );
            Err(Unsupported::new("taskType", message))
        }
    }
}

fn text_image(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<&'static str, Unsupported> {
    if let Some(style) = sheet.take_style(|style| STYLES.contains(&style)) {
        params.insert("style".into(), style.into());
    }
    if let Some(picture) = sheet.native_picture("conditionImage")? {
        params.insert("conditionImage".into(), picture.into());
    }
    if let Some(mode) = sheet.native_word("controlMode", &["CANNY_EDGE", "SEGMENTATION"])? {
        params.insert("controlMode".into(), mode.into());
    }
    if let Some(strength) = sheet.native_number("controlStrength", 0.0, 1.0)? {
        params.insert("controlStrength".into(), strength);
    }
    Ok("textToImageParams")
}

fn color_guided(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<&'static str, Unsupported> {
    let colors = sheet.native("colors").unwrap_or(Value::Null);
    let is_color = |c: &Value| {
        c.as_str()
            .and_then(|c| c.strip_prefix('#'))
            .is_some_and(|c| c.len() == 6 && c.bytes().all(|b| b.is_ascii_hexdigit()))
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
        params.insert("referenceImage".into(), picture.into());
    }
    Ok("colorGuidedGenerationParams")
}

/// The legal size that is asked for, by pixels or by the name of an aspect ratio.
fn size(sheet: &mut Sheet<'_>) -> Result<Option<Size>, Unsupported> {
    let SizeRule::Pixels { min_side, max_side, multiple, max_pixels, max_ratio } = sheet.order.limits.size else {
        return Ok(None);
    };
    let rule = Pixels { min_side, max_side, multiple, max_pixels, max_ratio };
    match (sheet.wish(|w| w.size), sheet.wish(|w| w.aspect_ratio.as_deref())) {
        (Some(SizeWish::Exact(size)), _) => {
            let nearest = rule.nearest(size)?;
            if nearest != size {
                sheet.map("size", size, nearest);
            }
            Ok(Some(nearest))
        }
        (_, Some(name)) => match parse_ratio(name) {
            Some(ratio) => {
                let size = rule.nearest(area_of_ratio(ratio, 1024))?;
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
