//! What becomes of the pictures of a request to one of Amazon's models.
//! It must not touch a pixel.
use super::{
    super::{
        picture::resized,
        problem::Problem,
        region::{self, Frame},
        scene::{Filling, Lean, Work},
    },
    Kind, Rules, garments, inputs, size,
};
use image::{DynamicImage, GrayImage, imageops::FilterType};
use serde_json::Value;
use std::sync::Arc;

/// Where a prompt is taken to point: the middle, half as wide and half as high as the picture.
const POINTED_AT: f64 = 0.5;
/// What is taken to be in front of its background.
const SUBJECT: f64 = 0.8;

/// The work that a request asks for.
pub(super) struct Plan {
    pub(super) size: (u32, u32),
    pub(super) work: Work,
    /// The mask, if it is wanted back: black and white as the task reads it.
    pub(super) mask: Option<DynamicImage>,
}

pub(super) fn plan(rules: &Rules, kind: Kind, params: &Value, config: &Value) -> Result<Plan, Problem> {
    let wish = size(rules, config)?;
    let input = |name: &str| picture(rules, name, &params[name]);
    match kind {
        Kind::Generation(name) => {
            let follow = params.get(name).map(|value| picture(rules, name, value)).transpose()?;
            let work = follow.map_or(Work::Paint, |picture| Work::Follow(Lean::of([&picture])));
            Ok(Plan { size: wish.unwrap_or((1024, 1024)), work, mask: None })
        }
        Kind::Variation => {
            let images = params["images"].as_array().into_iter().flatten();
            let pictures: Vec<_> = images.map(|value| picture(rules, "images", value)).collect::<Result<_, _>>()?;
            let work = Work::Follow(Lean::of(&pictures));
            Ok(Plan { size: wish.unwrap_or((1024, 1024)), work, mask: None })
        }
        Kind::Inpainting => {
            let base = input("image")?;
            let region = masked(rules, params, &base)?;
            Ok(fill(base, region, Filling::Painting, wish, wants_mask(params), region::inverse))
        }
        Kind::Outpainting => {
            let base = input("image")?;
            let region = region::inverse(masked(rules, params, &base)?);
            Ok(fill(base, region, Filling::Painting, wish, wants_mask(params), |region| region))
        }
        Kind::BackgroundRemoval => {
            let base = input("image")?;
            let region = region::inverse(region::ellipse(base.width(), base.height(), SUBJECT));
            let size = (base.width(), base.height());
            Ok(Plan { size, work: Work::CutOut { base: Arc::new(base), region: Arc::new(region) }, mask: None })
        }
        Kind::TryOn => {
            let (base, reference) = (input("sourceImage")?, input("referenceImage")?);
            let region = worn(rules, params, &base)?;
            let with = Filling::Picture(Arc::new(reference));
            Ok(fill(base, region, with, None, wants_mask(params), region::inverse))
        }
    }
}

fn picture(rules: &Rules, name: &str, value: &Value) -> Result<DynamicImage, Problem> {
    inputs::picture(name, value.as_str().unwrap_or_default(), &rules.limits)
}

fn wants_mask(params: &Value) -> bool {
    params["returnMask"] == true
}

/// What is inside the mask: black in a picture of it, or what a prompt points at.
fn masked(rules: &Rules, params: &Value, base: &DynamicImage) -> Result<GrayImage, Problem> {
    match params["maskImage"].as_str() {
        Some(text) => inputs::black(text, base, &rules.limits),
        None => Ok(region::ellipse(base.width(), base.height(), POINTED_AT)),
    }
}

/// Where the garment goes.
fn worn(rules: &Rules, params: &Value, base: &DynamicImage) -> Result<GrayImage, Problem> {
    let member = match params["maskType"].as_str() {
        Some("IMAGE") => "imageBasedMask",
        Some("GARMENT") => "garmentBasedMask",
        _ => "promptBasedMask",
    };
    let mask = params
        .get(member)
        .ok_or_else(|| Problem::malformed(&format!("#/virtualTryOnParams: required key [{member}] not found")))?;
    let (width, height) = (base.width(), base.height());
    if let Some(class) = mask["garmentClass"].as_str() {
        let (from, to) = garments::worn(class);
        let (top, bottom) = (height * from / 8, height * to / 8);
        let frame = Frame { left: width / 4, top, width: width / 2, height: bottom - top };
        return Ok(region::block(width, height, frame));
    }
    let region = masked(rules, mask, base)?;
    match region::frame(&region) {
        Some(frame) if mask["maskShape"] == "BOUNDING_BOX" => Ok(region::block(width, height, frame)),
        _ => Ok(region),
    }
}

fn fill(
    base: DynamicImage,
    region: GrayImage,
    with: Filling,
    wish: Option<(u32, u32)>,
    wants_mask: bool,
    polarity: fn(GrayImage) -> GrayImage,
) -> Plan {
    let size = wish.unwrap_or((base.width(), base.height()));
    let (base, region) = (sized(base, size), sized(DynamicImage::ImageLuma8(region), size).into_luma8());
    let mask =
        wants_mask.then(|| DynamicImage::ImageRgb8(DynamicImage::ImageLuma8(polarity(region.clone())).to_rgb8()));
    Plan { size, work: Work::Fill { base: Arc::new(base), region: Arc::new(region), with }, mask }
}

/// The nearest pixels are taken, so that a mask stays black and white.
fn sized(picture: DynamicImage, (width, height): (u32, u32)) -> DynamicImage {
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    resized(&picture, width, height, FilterType::Nearest)
}
