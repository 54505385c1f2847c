//! What VIRTUAL_TRY_ON may be told of the garment: its members as data, and where each class is worn.
//! It must not see a picture.
use super::{
    super::schema::{Field, Rule, may, must},
    IMAGE,
};

pub(super) const RULE: Rule = Rule::Either(
    &[
        must("sourceImage", IMAGE),
        must("referenceImage", IMAGE),
        must("maskType", Rule::OneOf(&["IMAGE", "GARMENT", "PROMPT"])),
        may("imageBasedMask", Rule::Object(&[must("maskImage", IMAGE)])),
        may("garmentBasedMask", GARMENT),
        may("promptBasedMask", Rule::Object(&[must("maskPrompt", Rule::Text { min: 1, max: 1024 }), MASK_SHAPE])),
        may("maskExclusions", EXCLUSIONS),
        may("mergeStyle", Rule::OneOf(&["BALANCED", "SEAMLESS", "DETAILED"])),
        may("returnMask", Rule::Flag),
    ],
    &["imageBasedMask", "garmentBasedMask", "promptBasedMask"],
);

const MASK_SHAPE: Field = may("maskShape", Rule::OneOf(&["CONTOUR", "BOUNDING_BOX", "DEFAULT"]));

const GARMENT: Rule = Rule::Object(&[
    must("garmentClass", Rule::OneOf(&CLASSES)),
    MASK_SHAPE,
    may(
        "garmentStyling",
        Rule::Object(&[
            may("longSleeveStyle", Rule::OneOf(&["SLEEVE_DOWN", "SLEEVE_UP"])),
            may("tuckingStyle", Rule::OneOf(&["UNTUCKED", "TUCKED"])),
            may("outerLayerStyle", Rule::OneOf(&["CLOSED", "OPEN"])),
        ]),
    ),
]);

const SWITCH: Rule = Rule::OneOf(&["ON", "OFF", "DEFAULT"]);
const EXCLUSIONS: Rule =
    Rule::Object(&[may("preserveBodyPose", SWITCH), may("preserveHands", SWITCH), may("preserveFace", SWITCH)]);

/// Each class with the eighths of the height between which it is worn.
const WORN: [(&str, u32, u32); 18] = [
    ("UPPER_BODY", 2, 4),
    ("LOWER_BODY", 4, 7),
    ("FULL_BODY", 2, 7),
    ("FOOTWEAR", 7, 8),
    ("LONG_SLEEVE_SHIRT", 2, 4),
    ("SHORT_SLEEVE_SHIRT", 2, 4),
    ("NO_SLEEVE_SHIRT", 2, 4),
    ("OTHER_UPPER_BODY", 2, 4),
    ("LONG_PANTS", 4, 7),
    ("SHORT_PANTS", 4, 7),
    ("OTHER_LOWER_BODY", 4, 7),
    ("LONG_DRESS", 2, 7),
    ("SHORT_DRESS", 2, 7),
    ("FULL_BODY_OUTFIT", 2, 7),
    ("OTHER_FULL_BODY", 2, 7),
    ("SHOES", 7, 8),
    ("BOOTS", 7, 8),
    ("OTHER_FOOTWEAR", 7, 8),
];

const CLASSES: [&str; WORN.len()] = {
    let mut names = [""; WORN.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = WORN[index].0;
        index += 1;
    }
    names
};

/// Where a class is worn: the first eighth of the height and the one after the last.
pub(super) fn worn(class: &str) -> (u32, u32) {
    WORN.iter().find(|row| row.0 == class).map_or((0, 8), |row| (row.1, row.2))
}
