//! Stability AI's text-to-image models on Bedrock: Stable Image Core and Ultra, Stable Diffusion 3.5 Large.
//!
//! One picture a call; the shape is an aspect ratio, never pixels. Must not send a member that the model's page
//! does not list: Bedrock refuses those.

use serde_json::{Map, Value};

use super::aim::{Aim, Aimed, Sure, aim};
use super::field::{Field, Kind, field};
use super::sheet::Bill;
use super::size::{nearest_ratio, parse_ratio, ratio_of_size};
use super::{Request, Sheet};
use crate::catalog::SizeRule;
use crate::image::{Quality, Size, Unsupported};
use crate::picture::Margins;
use crate::wishes::{SizeWish, excerpt};

/// Members that only Stability's models know.
pub(super) const MEMBERS: &[&str] = &["mode", "image", "strength"];

const STRENGTH_FIELD: Field = field("strength", Kind::Number(0.0, 1.0));

/// These models paint about one megapixel whatever the ratio.
const NOMINAL_SIZE: Size = Size::new(1024, 1024);

/// What Ultra itself takes where nobody says how much of a picture is painted over; SD3.5 requires the member.
const STRENGTH: f64 = 0.35;

/// Where a picture is to be much the same (`input_fidelity: high`).
const FAITHFUL_STRENGTH: f64 = 0.25;

/// Where others like a picture are wanted.
const VARIED_STRENGTH: f64 = 0.6;

/// What is said to a model that needs words, where the caller has none.
const VARIATION: &str = "a variation of this picture";

pub(super) fn request(mut sheet: Sheet<'_>) -> Result<Request, Unsupported> {
    let aimed = aim(&mut sheet)?;
    let mut body = Map::new();
    let text = match sheet.prompt_if_any()? {
        None if aimed.is_some_and(|aimed| aimed.aim == Aim::Vary) => {
            sheet.map_name("variation", &format!("prompt={VARIATION}"));
            VARIATION
        }
        _ => sheet.prompt()?,
    };
    body.insert("prompt".into(), text.into());
    if let Some(text) = sheet.negative_prompt()? {
        body.insert("negative_prompt".into(), text.into());
    }
    let size = image_to_image(&mut sheet, aimed, &mut body)?;
    match size {
        Some(size) => sheet.size_as_given(size),
        None => ratio(&mut sheet, &mut body)?,
    }
    let seed = sheet.seed()?;
    body.insert("seed".into(), seed.into());
    let format = sheet.output_format()?.unwrap_or(sheet.order.limits.formats[0]);
    body.insert("output_format".into(), format.name().into());
    sheet.no_cfg_scale()?;
    sheet.no_quality();
    sheet.hints()?;
    let bill = Bill { seed: Some(seed), size: NOMINAL_SIZE, quality: Quality::Standard };
    sheet.finish(&Value::Object(body), bill)
}

/// `mode`, and `image` with `strength` where a caller paints over a picture. Answers its size then.
fn image_to_image(
    sheet: &mut Sheet<'_>,
    aimed: Option<Aimed>,
    body: &mut Map<String, Value>,
) -> Result<Option<Size>, Unsupported> {
    // A config may have a picture in base64 for every request.
    let configured = aimed.is_none() && sheet.has_native("image");
    if !sheet.order.limits.image_to_image {
        let text_only =
            || Unsupported::new("image", "'image' is nothing this model takes. It paints from text alone").elsewhere();
        if let Some(aimed) = aimed {
            let named = || aimed.refusal("This model paints from text alone");
            return Err(if sheet.images.is_empty() { named() } else { text_only() });
        }
        if configured {
            sheet.native("image");
            sheet.refuse(text_only())?;
        }
        return Ok(None);
    }
    if aimed.is_none() && !configured {
        return Ok(None);
    }
    let size = match aimed {
        None => {
            let picture = sheet.native_picture("image")?;
            body.extend(picture.map(|picture| ("image".to_owned(), picture)));
            NOMINAL_SIZE
        }
        Some(aimed) => {
            match (aimed.aim, aimed.sure) {
                (Aim::ImageToImage | Aim::Vary, _) => {}
                (_, Sure::Guessed) => sheet.makeshift = true,
                (_, Sure::Named | Sure::Told) => {
                    return Err(aimed.refusal("This model paints over a whole picture ('image-to-image', 'variation')"));
                }
            }
            let picture = sheet.next_image()?;
            let sent = sheet.send(&picture, Margins::default())?;
            body.insert("image".into(), sent.value);
            sent.size
        }
    };
    let strength = match sheet.field(STRENGTH_FIELD)? {
        Some(strength) => strength,
        None => default_strength(sheet, aimed).into(),
    };
    body.insert("strength".into(), strength);
    if sheet.order.limits.mode_member {
        body.insert("mode".into(), "image-to-image".into());
    }
    Ok(Some(size))
}

/// How much is painted over. `input_fidelity` is a hint that speaks of just that.
fn default_strength(sheet: &mut Sheet<'_>, aimed: Option<Aimed>) -> f64 {
    if sheet.wish(|w| w.input_fidelity.as_deref()) == Some("high") {
        sheet.honour("input_fidelity");
        sheet.map("input_fidelity", "high", format_args!("strength={FAITHFUL_STRENGTH}"));
        return FAITHFUL_STRENGTH;
    }
    if aimed.is_some_and(|aimed| aimed.aim == Aim::Vary) { VARIED_STRENGTH } else { STRENGTH }
}

/// `aspect_ratio`, if somebody says something of the shape.
pub(super) fn ratio(sheet: &mut Sheet<'_>, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if let Some(ratio) = aspect_ratio(sheet)? {
        body.insert("aspect_ratio".into(), ratio.into());
    }
    Ok(())
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
