//! Stability's services that change a picture: one flat body, a row for each service.
//!
//! Must not send a member that the service's page does not list: Bedrock refuses those.

use serde_json::{Map, Value};

use super::aim::{Aim, Aimed, MARGINS, Sure, aim};
use super::field::{Field, Kind, field};
use super::pictures::{MaskStyle, Sent};
use super::sheet::{Bill, not_taken};
use super::stability::ratio;
use super::{Asked, Request, Sheet};
use crate::catalog::{Service, SizeRule};
use crate::image::{Quality, Size, Unsupported};
use crate::picture::{Alpha, Margins, MaskBy, Picture, Shade};

/// What one service takes, and what it is for.
pub(super) struct Row {
    pub(super) service: Service,
    /// What it does; the first by nature, the others by the same means.
    aims: &'static [Aim],
    /// The same as a sentence.
    does: &'static str,
    prompt: Prompt,
    /// Whether there is a `negative_prompt`.
    negative: bool,
    /// Whether there is a `seed`; without one the service makes the same picture each time.
    seed: bool,
    /// Whether there is a `style_preset`.
    style: bool,
    fields: &'static [Field],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompt {
    Needed,
    Taken,
    None,
}

/// The styles of `style_preset`.
pub(super) const STYLES: &[&str] = &[
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
];

pub(super) const STYLE_PRESET: Field = field("style_preset", Kind::OneOf(STYLES));

const GROW_MASK: Field = field("grow_mask", Kind::Whole(0, 20));
const CONTROL: Field = field("control_strength", Kind::Number(0.0, 1.0));
const UPSCALED: Field = field("creativity", Kind::Number(0.1, 0.5));

/// A service without prompts, seeds and styles, to be filled in.
const fn bare(service: Service, aims: &'static [Aim], does: &'static str, fields: &'static [Field]) -> Row {
    Row { service, aims, does, prompt: Prompt::None, negative: false, seed: false, style: false, fields }
}

/// A service that paints by words.
const fn worded(service: Service, aims: &'static [Aim], does: &'static str, fields: &'static [Field]) -> Row {
    Row { prompt: Prompt::Needed, negative: true, seed: true, style: true, ..bare(service, aims, does, fields) }
}

pub(super) const ROWS: [Row; 13] = [
    worded(
        Service::Inpaint,
        &[Aim::Inpaint],
        "This model paints where a mask or the picture's own transparency says",
        &[GROW_MASK],
    ),
    Row {
        prompt: Prompt::Taken,
        negative: false,
        ..worded(
            Service::Outpaint,
            &[Aim::Outpaint],
            "This model paints around a picture, by left, right, up and down, or a larger size",
            &[field("creativity", Kind::Number(0.1, 1.0))],
        )
    },
    Row {
        seed: true,
        ..bare(
            Service::EraseObject,
            &[Aim::Erase],
            "This model takes away what a mask or the picture's own transparency marks",
            &[GROW_MASK],
        )
    },
    worded(
        Service::SearchReplace,
        &[Aim::SearchReplace, Aim::InpaintByPrompt],
        "This model replaces what search_prompt describes",
        &[field("search_prompt", Kind::Text), GROW_MASK],
    ),
    worded(
        Service::SearchRecolor,
        &[Aim::Recolor],
        "This model gives other colours to what select_prompt describes",
        &[field("select_prompt", Kind::Text), GROW_MASK],
    ),
    bare(Service::RemoveBackground, &[Aim::RemoveBackground], "This model takes away the background", &[]),
    worded(Service::ControlSketch, &[Aim::Sketch], "This model makes a painting of a sketch", &[CONTROL]),
    worded(
        Service::ControlStructure,
        &[Aim::Structure],
        "This model paints anew what has the structure of a picture",
        &[CONTROL],
    ),
    worded(
        Service::StyleGuide,
        &[Aim::StyleGuide],
        "This model paints in the style of a picture",
        &[field("fidelity", Kind::Number(0.0, 1.0))],
    ),
    Row {
        prompt: Prompt::Taken,
        style: false,
        ..worded(
            Service::StyleTransfer,
            &[Aim::StyleTransfer],
            "This model gives one picture the style of another",
            &[
                field("composition_fidelity", Kind::Number(0.0, 1.0)),
                field("style_strength", Kind::Number(0.0, 1.0)),
                field("change_strength", Kind::Number(0.1, 1.0)),
            ],
        )
    },
    bare(Service::FastUpscale, &[Aim::Upscale], "This model enlarges a picture four times", &[]),
    Row {
        style: false,
        ..worded(
            Service::ConservativeUpscale,
            &[Aim::ConservativeUpscale],
            "This model enlarges a picture and adds little",
            &[UPSCALED],
        )
    },
    worded(
        Service::CreativeUpscale,
        &[Aim::CreativeUpscale],
        "This model enlarges a picture and invents what is missing",
        &[UPSCALED],
    ),
];

/// Soft, for grey is how strongly a pixel is changed; a mask of two shades stays crisp.
const MASK: MaskStyle = MaskStyle { edited: Shade::White, soft: true };

fn row(service: Service) -> &'static Row {
    let at = ROWS.iter().position(|row| row.service == service).unwrap_or_default();
    &ROWS[at]
}

/// Whether one of the services knows a member.
pub(super) fn know(name: &str) -> bool {
    let others = [STYLE_PRESET.name, "init_image", "style_image"];
    let fields = ROWS.iter().flat_map(|row| row.fields).map(|field| field.name);
    fields.chain(MARGINS).chain(others).any(|known| known == name)
}

/// The body of a call.
pub(super) fn request(mut sheet: Sheet<'_>, service: Service) -> Result<Request, Unsupported> {
    let row = row(service);
    let Some(aimed) = aim(&mut sheet)? else {
        let message = format!("'image' is missing. {}: it paints nothing from text alone", row.does);
        return Err(Unsupported::new("image", message).elsewhere());
    };
    sheet.makeshift = admit(&sheet, row, aimed)?;
    let mut body = Map::new();
    texts(&mut sheet, row, &mut body)?;
    let size = pictures(&mut sheet, row, &mut body)?;
    sheet.fields(row.fields, &mut body)?;
    for (name, by) in [("search_prompt", Service::SearchReplace), ("select_prompt", Service::SearchRecolor)] {
        if service == by && !body.contains_key(name) {
            return Err(Unsupported::new(name, format!("'{name}' is missing. {}", row.does)));
        }
    }
    style(&mut sheet, row, &mut body)?;
    match &sheet.order.limits.size {
        SizeRule::AspectRatios(_) => ratio(&mut sheet, &mut body)?,
        _ => sheet.size_as_given(size),
    }
    let seed = if row.seed { Some(sheet.seed()?) } else { None };
    match seed {
        Some(seed) => drop(body.insert("seed".into(), seed.into())),
        None => sheet.only_once()?,
    }
    let format = sheet.output_format()?.unwrap_or(sheet.order.limits.formats[0]);
    body.insert("output_format".into(), format.name().into());
    sheet.no_cfg_scale()?;
    sheet.no_quality();
    sheet.hints()?;
    sheet.finish(&Value::Object(body), Bill { seed, size, quality: Quality::Standard })
}

/// Whether a service is only a makeshift for what is asked; an error if it is no help at all.
///
/// Who names an alias that has this service alone means it, unless he says in so many words that he means something
/// else. Of an alias with several, those that paint by picture and prompt may take a plain edit, if nothing better
/// does. A fallback only does what it is made for.
fn admit(sheet: &Sheet<'_>, row: &Row, aimed: Aimed) -> Result<bool, Unsupported> {
    if row.aims.contains(&aimed.aim) {
        return Ok(false);
    }
    let plain = matches!(aimed.aim, Aim::ImageToImage | Aim::Vary) || aimed.sure == Sure::Guessed;
    let paints = matches!(row.service, Service::ControlSketch | Service::ControlStructure | Service::StyleGuide);
    match (sheet.order.asked, aimed.sure) {
        (Asked::Alone, Sure::Told | Sure::Guessed) => Ok(true),
        (Asked::Among, Sure::Told | Sure::Guessed) if plain && paints => Ok(true),
        (Asked::Alone | Asked::Among | Asked::Fallback, _) => Err(aimed.refusal(row.does)),
    }
}

fn texts(sheet: &mut Sheet<'_>, row: &Row, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let prompt = match row.prompt {
        Prompt::Needed => Some(sheet.prompt()?),
        Prompt::Taken => sheet.prompt_if_any()?,
        Prompt::None => {
            sheet.without_prompts();
            return Ok(());
        }
    };
    if let Some(prompt) = prompt {
        body.insert("prompt".into(), prompt.into());
    }
    match sheet.negative_prompt()? {
        Some(text) if row.negative => drop(body.insert("negative_prompt".into(), text.into())),
        Some(_) => sheet.refuse(not_taken("negative_prompt"))?,
        None => {}
    }
    Ok(())
}

/// The pictures of a body. Answers the size that the first of them is sent in, with its margins.
fn pictures(sheet: &mut Sheet<'_>, row: &Row, body: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    if row.service == Service::StyleTransfer {
        return style_transfer(sheet, body);
    }
    let picture = sheet.next_image()?;
    let Sent { value, size, .. } = sheet.send(&picture, Margins::default())?;
    body.insert("image".into(), value);
    match row.service {
        Service::Inpaint | Service::EraseObject => mask(sheet, row, &picture, size, body)?,
        Service::Outpaint => return outpaint(sheet, row, size, body),
        Service::RemoveBackground => sheet.honour("background"),
        _ => {}
    }
    Ok(size)
}

/// A mask, unless the picture's own transparency says where.
fn mask(
    sheet: &mut Sheet<'_>,
    row: &Row,
    picture: &Picture,
    size: Size,
    body: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    let mask = match sheet.attached("maskImage") {
        // Nova Canvas's, where black is changed.
        Some(mask) => Some(sheet.mask_of(mask, MaskBy::Black, picture, size, MASK)?),
        None if sheet.mask.is_some() => sheet.mask(picture, size, MASK)?,
        None if picture.alpha == Alpha::Transparent => None,
        None => {
            let hint = "send one, or a picture that is transparent there";
            return Err(Unsupported::new("mask", format!("'mask' is missing. {}: {hint}", row.does)));
        }
    };
    body.extend(mask.map(|mask| ("mask".to_owned(), mask)));
    Ok(())
}

fn outpaint(sheet: &mut Sheet<'_>, row: &Row, size: Size, body: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    let margins = match sheet.margins()? {
        Some(margins) => Some(margins),
        None => sheet.margins_by_size(size)?,
    };
    let missing = || Unsupported::new("left", format!("nothing says how far. {}", row.does));
    let margins = margins.ok_or_else(missing)?;
    for (name, pixels) in MARGINS.into_iter().zip(margins.sides()) {
        if pixels > 0 {
            body.insert(name.into(), pixels.into());
        }
    }
    Ok(margins.around(size))
}

fn style_transfer(sheet: &mut Sheet<'_>, body: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    let content = match sheet.attached("init_image") {
        Some(picture) => picture,
        None => sheet.next_image()?,
    };
    let Sent { value, size, .. } = sheet.send(&content, Margins::default())?;
    body.insert("init_image".into(), value);
    let style = match sheet.native_picture("style_image")? {
        Some(value) => value,
        None if sheet.images.is_empty() => {
            let message = "'style_image' is missing. This model gives one picture the style of another: send two";
            return Err(Unsupported::new("style_image", message));
        }
        None => {
            let picture = sheet.next_image()?;
            sheet.send(&picture, Margins::default())?.value
        }
    };
    body.insert("style_image".into(), style);
    Ok(size)
}

/// `style_preset`, which `style` may name too.
fn style(sheet: &mut Sheet<'_>, row: &Row, body: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if !row.style {
        return Ok(());
    }
    sheet.fields(&[STYLE_PRESET], body)?;
    if !body.contains_key(STYLE_PRESET.name)
        && let Some(style) = sheet.take_style(|style| STYLES.contains(&style))
    {
        body.insert(STYLE_PRESET.name.into(), style.into());
    }
    Ok(())
}
