//! What an edit asks for: said by name, or told by what comes with it.
//!
//! Must not know what any one model can do about it.

use serde_json::Value;

use super::Sheet;
use crate::image::{Intent, Size, Unsupported};
use crate::picture::Alpha;
use crate::wishes::{SizeWish, excerpt};

/// What is to become of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Paint anew where a mask or the picture's transparency says.
    Inpaint,
    /// Paint anew what a text describes (`mask_prompt`).
    InpaintByPrompt,
    /// Take away what a mask marks.
    Erase,
    /// Paint around it.
    Outpaint,
    /// Cut out what stands in front.
    RemoveBackground,
    /// Put something in the place of what a text describes (`search_prompt`).
    SearchReplace,
    /// Other colours for what a text describes (`select_prompt`).
    Recolor,
    /// Enlarge it, at once.
    Upscale,
    /// Enlarge it and add little.
    ConservativeUpscale,
    /// Enlarge it and invent what is missing.
    CreativeUpscale,
    /// Make a painting of a sketch.
    Sketch,
    /// Paint something else of its structure.
    Structure,
    /// Paint something else in its style.
    StyleGuide,
    /// Give it the style of another.
    StyleTransfer,
    /// Paint over it, as the prompt says.
    ImageToImage,
    /// Paint others like it.
    Vary,
    /// Paint from text, guided by it (`conditionImage`).
    Guided,
    /// Paint from text and colours, those of the picture among them (`referenceImage`).
    ColorGuided,
    /// Dress a person in what another picture shows.
    TryOn,
}

/// The words for each, in `task`, `taskType` and `mode`. The first is what messages say.
const WORDS: [(&str, Aim); 29] = [
    ("inpaint", Aim::Inpaint),
    ("INPAINTING", Aim::Inpaint),
    ("inpaint-by-prompt", Aim::InpaintByPrompt),
    ("erase", Aim::Erase),
    ("outpaint", Aim::Outpaint),
    ("OUTPAINTING", Aim::Outpaint),
    ("remove-background", Aim::RemoveBackground),
    ("BACKGROUND_REMOVAL", Aim::RemoveBackground),
    ("search-and-replace", Aim::SearchReplace),
    ("recolor", Aim::Recolor),
    ("upscale", Aim::Upscale),
    ("fast-upscale", Aim::Upscale),
    ("conservative-upscale", Aim::ConservativeUpscale),
    ("creative-upscale", Aim::CreativeUpscale),
    ("sketch", Aim::Sketch),
    ("structure", Aim::Structure),
    ("style-guide", Aim::StyleGuide),
    ("style-transfer", Aim::StyleTransfer),
    ("image-to-image", Aim::ImageToImage),
    ("IMAGE_VARIATION", Aim::ImageToImage),
    ("variation", Aim::Vary),
    ("guided", Aim::Guided),
    ("TEXT_IMAGE", Aim::Guided),
    ("color-guided", Aim::ColorGuided),
    ("COLOR_GUIDED_GENERATION", Aim::ColorGuided),
    ("try-on", Aim::TryOn),
    ("virtual-try-on", Aim::TryOn),
    ("VIRTUAL_TRY_ON", Aim::TryOn),
    ("background-removal", Aim::RemoveBackground),
];

/// Members that only mean one thing, in the order in which they are looked for.
const SIGNS: [(&[&str], Aim); 6] = [
    (&["sourceImage", "maskType", "garmentBasedMask", "garmentClass"], Aim::TryOn),
    (&["style_image", "init_image"], Aim::StyleTransfer),
    (&["outPaintingMode"], Aim::Outpaint),
    (&["search_prompt"], Aim::SearchReplace),
    (&["select_prompt"], Aim::Recolor),
    (&["maskPrompt", "mask_prompt"], Aim::InpaintByPrompt),
];

/// Names of margins, as Stability has them.
pub(super) const MARGINS: [&str; 4] = ["left", "right", "up", "down"];

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sure {
    /// Somebody wrote its name.
    Named,
    /// Something came with the picture that means nothing else, or nothing came and this is the usual thing.
    Told,
    /// It may be no more than a picture that is transparent, or a wish for the reply's size. A model that cannot do
    /// it may paint over the picture instead.
    Guessed,
}

/// What is asked for, and why that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aimed {
    pub(super) aim: Aim,
    /// The parameter that says so.
    pub(super) by: &'static str,
    /// Its name, as it was written.
    word: &'static str,
    pub(super) sure: Sure,
}

impl Aim {
    /// Its name in `task`.
    fn name(self) -> &'static str {
        WORDS.iter().find(|(_, aim)| *aim == self).map_or("", |(word, _)| word)
    }
}

impl Aimed {
    fn told(aim: Aim, by: &'static str) -> Self {
        Self { aim, by, word: aim.name(), sure: Sure::Told }
    }

    fn guessed(aim: Aim, by: &'static str) -> Self {
        Self { aim, by, word: aim.name(), sure: Sure::Guessed }
    }

    /// The refusal of a model that does something else; `does` is a sentence that says what.
    pub(super) fn refusal(self, does: &str) -> Unsupported {
        let message = match self.sure {
            Sure::Named => format!("'{}' is '{}'. {does}", self.by, self.word),
            Sure::Told | Sure::Guessed => {
                format!("'{}' asks for '{}', which this model does not do. {does}", self.by, self.word)
            }
        };
        Unsupported::new(self.by, message).elsewhere()
    }
}

/// What is asked for; `None` where a picture is to be painted from text. The first that applies:
///
/// 1. `task`, `taskType` or `mode` says it. To inpaint by a text (`mask_prompt`) is another thing than by a mask.
/// 2. A variation is asked for.
/// 3. A member that only means one thing (`SIGNS`), margins, or `background: transparent`.
/// 4. A mask: inpaint, or erase where there is no prompt.
/// 5. A guess: the picture is transparent somewhere, which is then a mask of its own, as with OpenAI.
/// 6. A guess: `size` has another shape than the picture, which fits inside: outpaint. `size` of the same shape only
///    says how large the reply should be, as OpenAI's clients do, and a picture that does not fit cannot be framed.
/// 7. Paint over it.
pub(super) fn aim(sheet: &mut Sheet<'_>) -> Result<Option<Aimed>, Unsupported> {
    let named = named(sheet)?;
    let pictures = !sheet.images.is_empty() || sheet.order.task.intent != Intent::Generate;
    match named {
        // The usual thing, where there is nothing that could guide it.
        Some(Aimed { aim: Aim::Guided, .. }) if !pictures => Ok(None),
        Some(named) => Ok(Some(named)),
        None if pictures => Ok(Some(told(sheet))),
        None => Ok(None),
    }
}

fn named(sheet: &mut Sheet<'_>) -> Result<Option<Aimed>, Unsupported> {
    let mut found = None;
    for by in ["task", "taskType", "mode"] {
        let Some(written) = sheet.native_text(by)? else { continue };
        // Stability's models paint from text by this name; it says nothing of the picture.
        if by == "mode" && written == "text-to-image" {
            continue;
        }
        let Some((word, aim)) = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&written)) else {
            return Err(unknown(by, &written));
        };
        let by_prompt = *aim == Aim::Inpaint && (sheet.has_native("mask_prompt") || sheet.has_native("maskPrompt"));
        let aim = if by_prompt { Aim::InpaintByPrompt } else { *aim };
        match found {
            None => found = Some(Aimed { aim, by, word, sure: Sure::Named }),
            Some(first) if first.aim != aim => sheet.ignore(by),
            Some(_) => {}
        }
    }
    Ok(found)
}

fn unknown(by: &str, word: &str) -> Unsupported {
    // Amazon's words are in capitals.
    let shown = |known: &&str| (by == "taskType") == known.starts_with(char::is_uppercase);
    let accepted: Vec<_> =
        WORDS.iter().map(|(known, _)| *known).filter(shown).map(|known| format!("'{known}'")).collect();
    Unsupported::new(by, format!("'{by}' is '{}'. Accepted are {}", excerpt(word), accepted.join(", ")))
}

fn told(sheet: &Sheet<'_>) -> Aimed {
    let task = sheet.order.task;
    let no_prompt = sheet.text().trim().is_empty();
    if task.intent == Intent::Vary {
        return Aimed::told(Aim::Vary, "image");
    }
    if let Some((by, aim)) =
        SIGNS.iter().find_map(|(names, aim)| Some((names.iter().find(|n| sheet.has_native(n))?, aim)))
    {
        return Aimed::told(*aim, by);
    }
    let zero = |value: &Value| value.as_f64() == Some(0.0) || value.as_str().is_some_and(|text| text.trim() == "0");
    if let Some(by) = MARGINS.into_iter().find(|name| sheet.peek(name).is_some_and(|value| !zero(value))) {
        return Aimed::told(Aim::Outpaint, by);
    }
    if sheet.wish(|w| w.background.as_deref()) == Some("transparent") {
        return Aimed::told(Aim::RemoveBackground, "background");
    }
    let by_mask = if no_prompt { Aim::Erase } else { Aim::Inpaint };
    if sheet.mask.is_some() {
        return Aimed::told(by_mask, "mask");
    }
    if sheet.has_native("maskImage") {
        return Aimed::told(by_mask, "maskImage");
    }
    let Some(picture) = sheet.images.first() else { return Aimed::told(Aim::ImageToImage, "image") };
    if picture.alpha == Alpha::Transparent {
        return Aimed::guessed(by_mask, "image");
    }
    match sheet.wish(|w| w.size) {
        Some(SizeWish::Exact(size)) if frames(size, picture.size) => Aimed::guessed(Aim::Outpaint, "size"),
        _ => Aimed::told(Aim::ImageToImage, "image"),
    }
}

/// Whether a picture fits inside a size of another shape.
fn frames(size: Size, picture: Size) -> bool {
    size.width >= picture.width && size.height >= picture.height && !same_shape(size, picture)
}

/// Whether two sizes have the same shape, give or take a fiftieth.
pub(super) fn same_shape(left: Size, right: Size) -> bool {
    (left.ratio() / right.ratio()).ln().abs() < 0.02
}
