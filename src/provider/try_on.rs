//! Nova Canvas's virtual try-on: a person, what is to be worn, and where.
//!
//! Members may stand in the objects that AWS has for them or flat beside them. Must not send two ways to say where.

use serde_json::{Map, Value};

use super::Sheet;
use super::field::{Field, Kind, field};
use super::pictures::{MaskStyle, Sent};
use crate::image::{Size, Unsupported};
use crate::picture::{Margins, MaskBy, Shade};
use crate::wishes::{describe, unquoted_object};

const SHAPES: Kind = Kind::OneOf(&["CONTOUR", "BOUNDING_BOX", "DEFAULT"]);
const KEPT: Kind = Kind::OneOf(&["ON", "OFF", "DEFAULT"]);

/// Every member, flat.
pub(super) const FIELDS: &[Field] = &[
    SOURCE,
    REFERENCE,
    MASK_TYPE,
    MERGE_STYLE,
    field("returnMask", Kind::Switch),
    MASK_PROMPT,
    MASK_SHAPE,
    GARMENT_CLASS,
    STYLING[0],
    STYLING[1],
    STYLING[2],
    EXCLUSIONS[0],
    EXCLUSIONS[1],
    EXCLUSIONS[2],
];

const SOURCE: Field = field("sourceImage", Kind::Picture);
const REFERENCE: Field = field("referenceImage", Kind::Picture);
const MASK_TYPE: Field = field("maskType", Kind::OneOf(&["IMAGE", "GARMENT", "PROMPT"]));
const MERGE_STYLE: Field = field("mergeStyle", Kind::OneOf(&["BALANCED", "SEAMLESS", "DETAILED"]));
const MASK_PROMPT: Field = field("maskPrompt", Kind::Text);
const MASK_SHAPE: Field = field("maskShape", SHAPES);

const GARMENT_CLASS: Field = field(
    "garmentClass",
    Kind::OneOf(&[
        "UPPER_BODY",
        "LOWER_BODY",
        "FULL_BODY",
        "FOOTWEAR",
        "LONG_SLEEVE_SHIRT",
        "SHORT_SLEEVE_SHIRT",
        "NO_SLEEVE_SHIRT",
        "OTHER_UPPER_BODY",
        "LONG_PANTS",
        "SHORT_PANTS",
        "OTHER_LOWER_BODY",
        "LONG_DRESS",
        "SHORT_DRESS",
        "FULL_BODY_OUTFIT",
        "OTHER_FULL_BODY",
        "SHOES",
        "BOOTS",
        "OTHER_FOOTWEAR",
    ]),
);

const STYLING: [Field; 3] = [
    field("longSleeveStyle", Kind::OneOf(&["SLEEVE_DOWN", "SLEEVE_UP"])),
    field("tuckingStyle", Kind::OneOf(&["UNTUCKED", "TUCKED"])),
    field("outerLayerStyle", Kind::OneOf(&["CLOSED", "OPEN"])),
];

const EXCLUSIONS: [Field; 3] =
    [field("preserveBodyPose", KEPT), field("preserveHands", KEPT), field("preserveFace", KEPT)];

/// Objects whose members are read flat; one stands in another.
const OBJECTS: [&str; 5] =
    ["imageBasedMask", "garmentBasedMask", "promptBasedMask", "maskExclusions", "garmentStyling"];

const BLACK: MaskStyle = MaskStyle { edited: Shade::Black, soft: false };

/// `virtualTryOnParams`. Answers the size of the person's picture as it is sent, which is that of the reply.
pub(super) fn params(sheet: &mut Sheet<'_>, params: &mut Map<String, Value>) -> Result<Size, Unsupported> {
    flatten(sheet)?;
    let person = match sheet.attached(SOURCE.name) {
        Some(picture) => picture,
        None => sheet.next_image()?,
    };
    let Sent { value, size, .. } = sheet.send(&person, Margins::default())?;
    params.insert(SOURCE.name.into(), value);
    let garment = match sheet.native_picture(REFERENCE.name)? {
        Some(value) => value,
        None if sheet.images.is_empty() => {
            let message = "'referenceImage' is missing. Send a second picture that shows what is to be worn";
            return Err(Unsupported::new(REFERENCE.name, message));
        }
        None => {
            let picture = sheet.next_image()?;
            sheet.send(&picture, Margins::default())?.value
        }
    };
    params.insert(REFERENCE.name.into(), garment);
    let kind = mask_type(sheet)?;
    params.insert(MASK_TYPE.name.into(), kind.as_str().into());
    let mut place = Map::new();
    let object = match &*kind {
        "IMAGE" => {
            let mask = match sheet.attached("maskImage") {
                Some(mask) => Some(sheet.mask_of(mask, MaskBy::Black, &person, size, BLACK)?),
                None => sheet.mask(&person, size, BLACK)?,
            };
            let missing =
                || Unsupported::new("mask", "'mask' is missing. With maskType 'IMAGE' it says where to dress");
            place.insert("maskImage".into(), mask.ok_or_else(missing)?);
            "imageBasedMask"
        }
        "GARMENT" => {
            needed(sheet, GARMENT_CLASS, &mut place)?;
            sheet.fields(&[MASK_SHAPE], &mut place)?;
            nest(sheet, "garmentStyling", &STYLING, &mut place)?;
            "garmentBasedMask"
        }
        _ => {
            needed(sheet, MASK_PROMPT, &mut place)?;
            sheet.fields(&[MASK_SHAPE], &mut place)?;
            "promptBasedMask"
        }
    };
    params.insert(object.into(), place.into());
    nest(sheet, "maskExclusions", &EXCLUSIONS, params)?;
    sheet.fields(&[MERGE_STYLE], params)?;
    if sheet.has_native("returnMask") {
        sheet.fields(&[field("returnMask", Kind::Switch)], params)?;
        sheet.map_name("returnMask", "the reply has no place for it");
    }
    Ok(size)
}

/// Brings the members of AWS's objects to the top, where others that are flat already give way.
fn flatten(sheet: &mut Sheet<'_>) -> Result<(), Unsupported> {
    for object in OBJECTS {
        match sheet.native(object).map(unquoted_object) {
            None => {}
            Some(Value::Object(members)) => sheet.native.extend(members),
            Some(other) => {
                let message = format!("'{object}' is {}. It takes an object", describe(&other));
                return Err(Unsupported::new(object, message));
            }
        }
    }
    Ok(())
}

/// What says where, as it is written or as what came with it tells.
fn mask_type(sheet: &mut Sheet<'_>) -> Result<String, Unsupported> {
    if let Some(written) = sheet.native_word(MASK_TYPE.name, &["IMAGE", "GARMENT", "PROMPT"])? {
        return Ok(written);
    }
    let has = |names: &[&str]| names.iter().any(|name| sheet.has_native(name));
    if sheet.mask.is_some() || has(&["maskImage"]) {
        Ok("IMAGE".into())
    } else if has(&["garmentClass"]) {
        Ok("GARMENT".into())
    } else if has(&["maskPrompt", "mask_prompt"]) {
        Ok("PROMPT".into())
    } else {
        let message = "'maskType' is missing. Say where to dress: 'GARMENT' with garmentClass, 'PROMPT' with mask_prompt, \
                       or 'IMAGE' with a mask";
        Err(Unsupported::new(MASK_TYPE.name, message))
    }
}

fn needed(sheet: &mut Sheet<'_>, field: Field, into: &mut Map<String, Value>) -> Result<(), Unsupported> {
    sheet.fields(&[field], into)?;
    match into.contains_key(field.name) {
        true => Ok(()),
        false => Err(Unsupported::new(field.name, format!("'{}' is missing. The maskType needs it", field.name))),
    }
}

/// Puts fields into an object of their own, if there are any.
fn nest(
    sheet: &mut Sheet<'_>,
    object: &str,
    fields: &[Field],
    into: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    let mut members = Map::new();
    sheet.fields(fields, &mut members)?;
    if !members.is_empty() {
        into.insert(object.into(), members.into());
    }
    Ok(())
}
