//! Amazon Nova Canvas: what it adds to the envelope that it shares with Titan.
//!
//! The schema is AWS's (Nova user guide, "Image generation request and response structure"). Must not send a style
//! that the model does not know.

use serde_json::Map;

use super::{Request, Sheet, amazon};
use crate::catalog::Dialect;
use crate::image::Unsupported;

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

pub(super) fn request(mut sheet: Sheet<'_>) -> Result<Request, Unsupported> {
    let style = sheet.take_style(|style| STYLES.contains(&style));
    let own = style.map(|style| ("style".to_owned(), style.into()));
    amazon::request(sheet, Dialect::NovaCanvas, Map::from_iter(own))
}
