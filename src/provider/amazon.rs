//! What Nova Canvas and Titan share: the envelope of task type, parameters and configuration, a row for each task.
//!
//! Bedrock refuses unknown members, so nothing may be sent that is not named here or by the model's own file.

use serde_json::{Map, Value, json};

use super::aim::{Aim, Aimed, Sure, aim};
use super::field::{Field, Kind, field};
use super::pictures::{MaskStyle, Sent};
use super::sheet::Bill;
use super::size::{Pixels, area_of_ratio, nearest_of, parse_ratio};
use super::{Request, Sheet, try_on};
use crate::catalog::{Dialect, SizeRule, TaskType};
use crate::image::{Quality, Size, Unsupported};
use crate::picture::{Margins, MaskBy, Recipe, Shade};
use crate::wishes::{SizeWish, describe, excerpt, unquoted_array};

/// One way of painting.
pub(super) struct Row {
    pub(super) task: TaskType,
    /// The task's name in the body, and that of its parameters.
    names: (&'static str, &'static str),
    /// What becomes of the prompt.
    text: Text,
    config: Config,
    /// Members beside text and pictures.
    pub(super) fields: &'static [Field],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Needed,
    /// Without it, what is masked is taken away, and a variation is as the model likes.
    Taken,
    None,
}

/// What may stand in `imageGenerationConfig`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Config {
    Whole,
    /// All but width and height: the size is that of the picture.
    WithoutSize,
    None,
}

const RETURN_MASK: Field = field("returnMask", Kind::Switch);

pub(super) const ROWS: [Row; 7] = [
    Row {
        task: TaskType::TextImage,
        names: ("TEXT_IMAGE", "textToImageParams"),
        text: Text::Needed,
        config: Config::Whole,
        fields: &[
            field("conditionImage", Kind::Picture),
            field("controlMode", Kind::OneOf(&["CANNY_EDGE", "SEGMENTATION"])),
            field("controlStrength", Kind::Number(0.0, 1.0)),
        ],
    },
    Row {
        task: TaskType::ColorGuidedGeneration,
        names: ("COLOR_GUIDED_GENERATION", "colorGuidedGenerationParams"),
        text: Text::Needed,
        config: Config::Whole,
        fields: &[field("referenceImage", Kind::Picture)],
    },
    Row {
        task: TaskType::ImageVariation,
        names: ("IMAGE_VARIATION", "imageVariationParams"),
        text: Text::Taken,
        config: Config::Whole,
        fields: &[field("similarityStrength", Kind::Number(0.2, 1.0))],
    },
    Row {
        task: TaskType::Inpainting,
        names: ("INPAINTING", "inPaintingParams"),
        text: Text::Taken,
        config: Config::WithoutSize,
        fields: &[field("maskPrompt", Kind::Text)],
    },
    Row {
        task: TaskType::Outpainting,
        names: ("OUTPAINTING", "outPaintingParams"),
        text: Text::Needed,
        config: Config::WithoutSize,
        fields: &[field("maskPrompt", Kind::Text), field("outPaintingMode", Kind::OneOf(&["DEFAULT", "PRECISE"]))],
    },
    Row {
        task: TaskType::BackgroundRemoval,
        names: ("BACKGROUND_REMOVAL", "backgroundRemovalParams"),
        text: Text::None,
        config: Config::None,
        fields: &[],
    },
    Row {
        task: TaskType::VirtualTryOn,
        names: ("VIRTUAL_TRY_ON", "virtualTryOnParams"),
        text: Text::None,
        config: Config::WithoutSize,
        fields: try_on::FIELDS,
    },
];

/// Members that stand in no row.
const OTHERS: [&str; 3] = ["colors", "maskImage", "returnMask"];

/// Whether one of these models knows a member.
pub(super) fn know(name: &str) -> bool {
    OTHERS.contains(&name) || ROWS.iter().flat_map(|row| row.fields).any(|field| field.name == name)
}

/// What is painted when nobody names a size.
const DEFAULT_SIZE: Size = Size::new(1024, 1024);

const INPAINTED: MaskStyle = MaskStyle { edited: Shade::Black, soft: false };

/// The opposite of all other masks of these models.
const OUTPAINTED: MaskStyle = MaskStyle { edited: Shade::White, soft: false };

/// The body of a call; `own` holds what a model adds to a text-to-image task of its own.
pub(super) fn request(mut sheet: Sheet<'_>, dialect: Dialect, own: Map<String, Value>) -> Result<Request, Unsupported> {
    let aimed = aim(&mut sheet)?;
    let row = row(&sheet, aimed)?;
    let mut params = Map::new();
    texts(&mut sheet, row, aimed, &mut params)?;
    let given = pictures(&mut sheet, dialect, row, aimed, &mut params)?;
    if row.task == TaskType::TextImage {
        params.extend(own);
    }
    match row.task {
        // A model without conditioning has none of the row's fields.
        TaskType::TextImage if !sheet.order.limits.conditioning => {}
        TaskType::VirtualTryOn => {}
        _ => sheet.fields(row.fields, &mut params)?,
    }
    let (task, params_name) = row.names;
    let mut body = Map::from_iter([(params_name.to_owned(), params.into()), ("taskType".to_owned(), task.into())]);
    let bill = config(&mut sheet, row.config, given, &mut body)?;
    sheet.output_format()?;
    sheet.hints()?;
    sheet.finish(&Value::Object(body), bill)
}

/// The way of painting that does what is asked for, if the model has it.
fn row(sheet: &Sheet<'_>, aimed: Option<Aimed>) -> Result<&'static Row, Unsupported> {
    let tasks = &sheet.order.limits.tasks;
    let colors = sheet.has_native("colors") && tasks.contains(&TaskType::ColorGuidedGeneration);
    let task = match aimed.map(|aimed| aimed.aim) {
        None if colors => Some(TaskType::ColorGuidedGeneration),
        None | Some(Aim::Guided | Aim::Sketch | Aim::Structure) => Some(TaskType::TextImage),
        Some(Aim::ColorGuided) => Some(TaskType::ColorGuidedGeneration),
        Some(Aim::ImageToImage | Aim::Vary) => Some(TaskType::ImageVariation),
        // Somebody wants a reply of another shape. These models paint in any, so they need not frame the picture.
        Some(Aim::Outpaint) if aimed.is_some_and(|a| a.sure == Sure::Guessed) => Some(TaskType::ImageVariation),
        Some(Aim::Outpaint) => Some(TaskType::Outpainting),
        Some(Aim::Inpaint | Aim::InpaintByPrompt | Aim::Erase | Aim::SearchReplace | Aim::Recolor) => {
            Some(TaskType::Inpainting)
        }
        Some(Aim::RemoveBackground) => Some(TaskType::BackgroundRemoval),
        Some(Aim::TryOn) => Some(TaskType::VirtualTryOn),
        Some(Aim::Upscale | Aim::ConservativeUpscale | Aim::CreativeUpscale | Aim::StyleGuide | Aim::StyleTransfer) => {
            None
        }
    };
    let row = ROWS.iter().find(|row| task == Some(row.task) && tasks.contains(&row.task));
    row.ok_or_else(|| {
        let names = ROWS.iter().filter(|row| tasks.contains(&row.task)).map(|row| row.names.0);
        let does = format!("This model takes {}", names.collect::<Vec<_>>().join(", "));
        match aimed {
            Some(aimed) => aimed.refusal(&does),
            None => Unsupported::new("taskType", does),
        }
    })
}

fn texts(
    sheet: &mut Sheet<'_>,
    row: &Row,
    aimed: Option<Aimed>,
    params: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    let erases = aimed.is_some_and(|aimed| aimed.aim == Aim::Erase);
    let text = match row.text {
        Text::Needed => Some(sheet.prompt()?),
        Text::Taken if !erases => sheet.prompt_if_any()?,
        Text::Taken | Text::None => {
            sheet.without_prompts();
            return Ok(());
        }
    };
    if let Some(text) = text {
        params.insert("text".into(), text.into());
    }
    if let Some(text) = sheet.negative_prompt()? {
        params.insert("negativeText".into(), text.into());
    }
    Ok(())
}

/// The pictures of a task. Answers the size of the reply where that is the picture's.
fn pictures(
    sheet: &mut Sheet<'_>,
    dialect: Dialect,
    row: &Row,
    aimed: Option<Aimed>,
    params: &mut Map<String, Value>,
) -> Result<Size, Unsupported> {
    match row.task {
        TaskType::TextImage => guide(sheet, aimed, "conditionImage", params)?,
        TaskType::ColorGuidedGeneration => {
            params.insert("colors".into(), colors(sheet)?);
            guide(sheet, aimed, "referenceImage", params)?;
        }
        TaskType::ImageVariation => variation(sheet, params)?,
        TaskType::Inpainting => return inpainting(sheet, dialect, params),
        TaskType::Outpainting => return outpainting(sheet, dialect, params),
        TaskType::BackgroundRemoval => {
            sheet.honour("background");
            let picture = sheet.next_image()?;
            let Sent { value, size, .. } = sheet.send(&picture, Margins::default())?;
            params.insert("image".into(), value);
            return Ok(size);
        }
        TaskType::VirtualTryOn => return try_on::params(sheet, params),
    }
    Ok(DEFAULT_SIZE)
}

/// A picture to change guides the painting instead, where no other does.
fn guide(
    sheet: &mut Sheet<'_>,
    aimed: Option<Aimed>,
    name: &'static str,
    params: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    if aimed.is_some() && !sheet.has_native(name) && !sheet.images.is_empty() {
        let picture = sheet.next_image()?;
        params.insert(name.into(), sheet.send(&picture, Margins::default())?.value);
    }
    Ok(())
}

fn variation(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let most = sheet.order.limits.input.as_ref().map_or(1, |input| input.most);
    let mut images = vec![sheet.next_image()?];
    while images.len() < usize::from(most) && !sheet.images.is_empty() {
        images.push(sheet.next_image()?);
    }
    let sent = images.iter().map(|picture| Ok(sheet.send(picture, Margins::default())?.value));
    params.insert("images".into(), sent.collect::<Result<Vec<_>, _>>()?.into());
    let said = sheet.has_native("similarityStrength") || sheet.has_native("strength");
    if !said && sheet.wish(|w| w.input_fidelity.as_deref()) == Some("high") {
        sheet.honour("input_fidelity");
        sheet.map("input_fidelity", "high", "similarityStrength=0.9");
        params.insert("similarityStrength".into(), 0.9.into());
    }
    Ok(())
}

fn inpainting(sheet: &mut Sheet<'_>, dialect: Dialect, params: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    let picture = sheet.next_image()?;
    let Sent { value, size, .. } = sheet.send(&picture, Margins::default())?;
    params.insert("image".into(), value);
    return_mask(sheet, dialect, params)?;
    if by_prompt(sheet)? {
        return Ok(size);
    }
    let mask = match sheet.attached("maskImage") {
        Some(mask) => Some(sheet.mask_of(mask, MaskBy::Black, &picture, size, INPAINTED)?),
        None => sheet.mask(&picture, size, INPAINTED)?,
    };
    let missing =
        "'mask' is missing. This model changes what a mask, mask_prompt or the picture's own transparency says";
    params.insert("maskImage".into(), mask.ok_or_else(|| Unsupported::new("mask", missing))?);
    Ok(size)
}

fn outpainting(sheet: &mut Sheet<'_>, dialect: Dialect, params: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    let picture = sheet.next_image()?;
    let mut margins = sheet.margins()?;
    let masked = sheet.mask.is_some() || sheet.has_native("maskImage") || prompted(sheet);
    if margins.is_some() && masked {
        let message = "'mask' and margins both say where. Send one of them";
        return Err(Unsupported::new("mask", message));
    }
    if margins.is_none() && !masked {
        margins = sheet.margins_by_size(picture.size)?;
    }
    return_mask(sheet, dialect, params)?;
    if let Some(margins) = margins {
        let Sent { value, size, margins } = sheet.send(&picture, margins)?;
        params.insert("image".into(), value);
        let mask = sheet.place(picture, Recipe::Frame { size, margins, edited: OUTPAINTED.edited });
        params.insert("maskImage".into(), mask);
        return Ok(margins.around(size));
    }
    let Sent { value, size, .. } = sheet.send(&picture, Margins::default())?;
    params.insert("image".into(), value);
    if by_prompt(sheet)? {
        return Ok(size);
    }
    let mask = match sheet.attached("maskImage") {
        Some(mask) => Some(sheet.mask_of(mask, MaskBy::White, &picture, size, OUTPAINTED)?),
        None => sheet.mask(&picture, size, OUTPAINTED)?,
    };
    let missing = "nothing says where to paint around the picture. Send left, right, up or down, a larger size, \
                   a mask, or mask_prompt for what stays";
    params.insert("maskImage".into(), mask.ok_or_else(|| Unsupported::new("left", missing))?);
    Ok(size)
}

fn prompted(sheet: &Sheet<'_>) -> bool {
    ["maskPrompt", "mask_prompt", "search_prompt", "select_prompt"].iter().any(|name| sheet.has_native(name))
}

/// Whether a text says where, which a mask must not say too.
fn by_prompt(sheet: &Sheet<'_>) -> Result<bool, Unsupported> {
    let prompted = prompted(sheet);
    if prompted && (sheet.mask.is_some() || sheet.has_native("maskImage")) {
        let message = "'mask' and mask_prompt both say where. Send one of them";
        return Err(Unsupported::new("mask", message));
    }
    Ok(prompted)
}

/// Titan's; of Nova's tasks only the try-on has it.
fn return_mask(sheet: &mut Sheet<'_>, dialect: Dialect, params: &mut Map<String, Value>) -> Result<(), Unsupported> {
    if dialect == Dialect::Titan && sheet.has_native("returnMask") {
        sheet.fields(&[RETURN_MASK], params)?;
        sheet.map_name("returnMask", "the reply has no place for it");
    }
    Ok(())
}

/// `imageGenerationConfig`, and what the call costs. `given` is the size of the reply where nobody can choose it.
fn config(
    sheet: &mut Sheet<'_>,
    takes: Config,
    given: Size,
    body: &mut Map<String, Value>,
) -> Result<Bill, Unsupported> {
    if takes == Config::None {
        sheet.only_once()?;
        sheet.size_as_given(given);
        sheet.no_quality();
        sheet.no_cfg_scale()?;
        return Ok(Bill { seed: None, size: given, quality: Quality::Standard });
    }
    let size = match takes {
        Config::Whole => size(sheet)?,
        Config::WithoutSize | Config::None => {
            sheet.size_as_given(given);
            None
        }
    };
    let quality = sheet.quality();
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
    if let Some(scale) = cfg_scale(sheet, 1.1, 10.0)? {
        config.insert("cfgScale".into(), scale.into());
    }
    config.insert("seed".into(), seed.into());
    body.insert("imageGenerationConfig".into(), json!(config));
    Ok(Bill { seed: Some(seed), size: size.unwrap_or(given), quality: quality.unwrap_or(Quality::Standard) })
}

fn colors(sheet: &mut Sheet<'_>) -> Result<Value, Unsupported> {
    let colors = unquoted_array(sheet.native("colors").unwrap_or(Value::Null));
    let is_color = |c: &Value| {
        let digits = c.as_str().and_then(|c| c.strip_prefix('#'));
        digits.is_some_and(|c| c.len() == 6 && c.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match &colors {
        Value::Array(list) if (1..=10).contains(&list.len()) && list.iter().all(is_color) => Ok(colors),
        other => {
            let message = format!("'colors' is {}. It takes 1 to 10 colours written like '#FF9900'", describe(other));
            Err(Unsupported::new("colors", message))
        }
    }
}

/// The legal size that is asked for, by pixels or by the name of an aspect ratio.
pub(super) fn size(sheet: &mut Sheet<'_>) -> Result<Option<Size>, Unsupported> {
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

/// How closely the prompt is followed, in the model's range.
pub(super) fn cfg_scale(sheet: &mut Sheet<'_>, min: f64, max: f64) -> Result<Option<f64>, Unsupported> {
    match sheet.wish(|w| w.cfg_scale) {
        Some(scale) if !(min..=max).contains(&scale) => {
            let message = format!("'cfgScale' is {scale}. This model takes {min} to {max}");
            sheet.refuse(Unsupported::new("cfgScale", message)).map(|()| None)
        }
        scale => Ok(scale),
    }
}
