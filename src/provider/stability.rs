//! Stability AI's text-to-image models on Bedrock: Stable Image Core and Ultra, Stable Diffusion 3.5 Large.
//!
//! One picture a call; the shape is an aspect ratio, never pixels. Must not send a member that the model's page
//! does not list: Bedrock refuses those.

use serde_json::{Map, Value};

use super::size::{nearest_ratio, parse_ratio, ratio_of_size};
use super::{Request, Sheet};
use crate::catalog::{Dialect, SizeRule};
use crate::image::{Quality, Size, Unsupported};
use crate::wishes::{SizeWish, excerpt};

/// Members that only Stability's models know.
pub(super) const MEMBERS: &[&str] = &["mode", "image", "strength"];

/// These models paint about one megapixel whatever the ratio.
const NOMINAL_SIZE: Size = Size::new(1024, 1024);

pub(super) fn request(mut sheet: Sheet<'_>) -> Result<Request, Unsupported> {
    let mut body = Map::new();
    body.insert("prompt".into(), sheet.prompt()?.into());
    if let Some(text) = sheet.negative_prompt()? {
        body.insert("negative_prompt".into(), text.into());
    }
    let from_picture = image_to_image(&mut sheet, &mut body)?;
    match aspect_ratio(&mut sheet)? {
        Some(ratio) if !from_picture => drop(body.insert("aspect_ratio".into(), ratio.into())),
        Some(_) => sheet.ignore("size"),
        None => {}
    }
    let seed = sheet.seed()?;
    body.insert("seed".into(), seed.into());
    let format = sheet.output_format()?.unwrap_or(sheet.order.limits.formats[0]);
    body.insert("output_format".into(), format.name().into());
    if sheet.wish(|w| w.cfg_scale).is_some() {
        let message = "'cfgScale' is nothing this model knows. Leave it out, or send drop_params: true";
        sheet.refuse(Unsupported::new("cfgScale", message))?;
    }
    if sheet.wish(|w| w.quality.as_deref()).is_some_and(|q| !["auto", "standard"].contains(&q)) {
        sheet.ignore("quality");
    }
    // TEXT_IMAGE is what these models do anyway.
    if sheet.native_is("taskType", "TEXT_IMAGE") {
        sheet.native("taskType");
    }
    sheet.hints()?;
    sheet.finish(Dialect::Stability, &Value::Object(body), seed, NOMINAL_SIZE, Quality::Standard)
}

/// `mode`, and `image` with `strength` where a caller paints over a picture. Says whether one does.
fn image_to_image(sheet: &mut Sheet<'_>, body: &mut Map<String, Value>) -> Result<bool, Unsupported> {
    if !sheet.order.limits.image_to_image {
        if let Some(name) = ["image", "strength"].into_iter().find(|name| sheet.has_native(name)) {
            let message = format!("'{name}' is nothing this model knows. It paints from text alone");
            sheet.refuse(Unsupported::new(name, message))?;
        }
        ["image", "strength", "mode"].into_iter().for_each(|name| drop(sheet.native(name)));
        return Ok(false);
    }
    sheet.native_word("mode", &["text-to-image", "image-to-image"])?;
    let (picture, strength) = (sheet.native_picture("image")?, sheet.native_number("strength", 0.0, 1.0)?);
    let from_picture = picture.is_some();
    if let Some(picture) = picture {
        body.insert("image".into(), picture);
        // Ultra's own default; SD3.5 requires the member.
        body.insert("strength".into(), strength.unwrap_or_else(|| 0.35.into()));
    }
    if from_picture && sheet.order.limits.mode_member {
        body.insert("mode".into(), "image-to-image".into());
    }
    Ok(from_picture)
}

/// The name of the aspect ratio nearest to what is asked for.
fn aspect_ratio(sheet: &mut Sheet<'_>) -> Result<Option<String>, Unsupported> {
    let SizeRule::AspectRatios(names) = &sheet.order.limits.size else { return Ok(None) };
    if let Some(wish) = sheet.wish(|w| w.aspect_ratio.as_deref()) {
        let Some(ratio) = parse_ratio(wish) else {
            let message = format!("'aspect_ratio' is '{}'. This model takes {}", excerpt(wish), names.join(", "));
            return Err(Unsupported::new("aspect_ratio", message));
        };
        let nearest = nearest_ratio(names, ratio);
        if nearest != wish {
            sheet.map("aspect_ratio", excerpt(wish), nearest);
        }
        return Ok(Some(nearest.to_owned()));
    }
    match sheet.wish(|w| w.size) {
        Some(SizeWish::Exact(size)) => {
            let nearest = ratio_of_size(names, size)?;
            sheet.map("size", size, format_args!("aspect_ratio={nearest}"));
            Ok(Some(nearest.to_owned()))
        }
        Some(SizeWish::Auto) | None => Ok(None),
    }
}
