//! Stability's image services: thirteen rows of members, limits and what is done.
//! It must not touch a pixel.
use super::{
    super::{
        picture::{Limits, padded},
        problem::Problem,
        region::{self, Frame},
        scene::{Filling, Lean, Order, Scene, Work},
        schema::{Field, Rule, check, may, must},
    },
    FORMAT, IMAGE, NEGATIVE, PROMPT, RATIO, STYLE, detail, format,
    inputs::{ORDINARY, picture, transparent, white},
    like, ratio, seed, share, stranger,
};
use image::DynamicImage;
use serde_json::Value;
use std::sync::Arc;

/// One of the services.
#[derive(Debug)]
pub(in super::super) struct Service {
    /// Without the geography that a caller has to put before it.
    pub(in super::super) id: &'static str,
    /// As its complaints call it.
    name: &'static str,
    members: &'static [Field],
    limits: Limits,
    act: Act,
}

/// Their ids tell them apart.
impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Service {}

/// What a service does.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Fills what is white in the mask or transparent in the picture.
    Fill,
    /// Fills what a prompt points at.
    Replace,
    /// Gives what a prompt points at another hue.
    Recolour,
    /// Puts a margin around the picture.
    Grow,
    CutOut,
    /// Paints a new picture of the old one's shape.
    Follow,
    /// Paints a new picture of the shape that is asked for.
    Guide,
    /// Paints a new picture of the first one's shape, after both.
    Transfer,
    /// Makes both sides so many times longer.
    Times(u32),
    /// Brings the longer side to so many pixels.
    Side(u32),
}

const SEED: Field = may("seed", Rule::Whole { min: 0, max: 4_294_967_294, step: 1 });
const GROW_MASK: Field = may("grow_mask", Rule::Whole { min: 0, max: 20, step: 1 });
const MARGIN: Rule = Rule::Whole { min: 0, max: 2000, step: 1 };
const MARGINS: [&str; 4] = ["left", "right", "up", "down"];
/// Where a prompt is taken to point: the middle, half as wide and half as high as the picture.
const POINTED_AT: f64 = 0.5;
/// What is taken to be in front of its background.
const SUBJECT: f64 = 0.8;
/// No upscaled picture has more pixels, so that the emulator stays quick.
const MOST_PIXELS: f64 = 16_777_216.0;

const CONTROL: &[Field] =
    &[must("image", IMAGE), must("prompt", PROMPT), share("control_strength"), NEGATIVE, SEED, FORMAT, STYLE];

pub(in super::super) const SERVICES: &[Service] = &[
    Service {
        id: "stability.stable-image-inpaint-v1:0",
        name: "inpaint",
        members: &[
            must("image", IMAGE),
            must("prompt", PROMPT),
            may("mask", IMAGE),
            GROW_MASK,
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        limits: ORDINARY,
        act: Act::Fill,
    },
    Service {
        id: "stability.stable-outpaint-v1:0",
        name: "outpaint",
        members: &[
            must("image", IMAGE),
            may("left", MARGIN),
            may("right", MARGIN),
            may("up", MARGIN),
            may("down", MARGIN),
            may("prompt", PROMPT),
            may("creativity", Rule::Number { min: 0.1, max: 1.0 }),
            SEED,
            FORMAT,
            STYLE,
        ],
        limits: ORDINARY,
        act: Act::Grow,
    },
    Service {
        id: "stability.stable-image-erase-object-v1:0",
        name: "erase-object",
        members: &[must("image", IMAGE), may("mask", IMAGE), GROW_MASK, SEED, FORMAT],
        limits: ORDINARY,
        act: Act::Fill,
    },
    Service {
        id: "stability.stable-image-search-replace-v1:0",
        name: "search-replace",
        members: &[
            must("image", IMAGE),
            must("prompt", PROMPT),
            must("search_prompt", PROMPT),
            GROW_MASK,
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        limits: ORDINARY,
        act: Act::Replace,
    },
    Service {
        id: "stability.stable-image-search-recolor-v1:0",
        name: "search-recolor",
        members: &[
            must("image", IMAGE),
            must("prompt", PROMPT),
            must("select_prompt", PROMPT),
            GROW_MASK,
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        limits: ORDINARY,
        act: Act::Recolour,
    },
    Service {
        id: "stability.stable-image-remove-background-v1:0",
        name: "remove-background",
        members: &[must("image", IMAGE), FORMAT],
        limits: ORDINARY,
        act: Act::CutOut,
    },
    Service {
        id: "stability.stable-image-control-sketch-v1:0",
        name: "control-sketch",
        members: CONTROL,
        limits: ORDINARY,
        act: Act::Follow,
    },
    Service {
        id: "stability.stable-image-control-structure-v1:0",
        name: "control-structure",
        members: CONTROL,
        limits: ORDINARY,
        act: Act::Follow,
    },
    Service {
        id: "stability.stable-image-style-guide-v1:0",
        name: "style-guide",
        members: &[
            must("image", IMAGE),
            must("prompt", PROMPT),
            RATIO,
            share("fidelity"),
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        limits: ORDINARY,
        act: Act::Guide,
    },
    Service {
        id: "stability.stable-style-transfer-v1:0",
        name: "style-transfer",
        members: &[
            must("init_image", IMAGE),
            must("style_image", IMAGE),
            may("prompt", PROMPT),
            share("composition_fidelity"),
            share("style_strength"),
            may("change_strength", Rule::Number { min: 0.1, max: 1.0 }),
            NEGATIVE,
            SEED,
            FORMAT,
        ],
        limits: ORDINARY,
        act: Act::Transfer,
    },
    Service {
        id: "stability.stable-fast-upscale-v1:0",
        name: "fast-upscale",
        members: &[must("image", IMAGE), FORMAT],
        limits: Limits { sides: (32, 1536), pixels: (1024, 1_048_576), ratio: f64::INFINITY, ..ORDINARY },
        act: Act::Times(4),
    },
    Service {
        id: "stability.stable-conservative-upscale-v1:0",
        name: "conservative-upscale",
        members: &[must("image", IMAGE), must("prompt", PROMPT), CREATIVITY, NEGATIVE, SEED, FORMAT],
        limits: ORDINARY,
        act: Act::Times(4),
    },
    Service {
        id: "stability.stable-creative-upscale-v1:0",
        name: "creative-upscale",
        members: &[must("image", IMAGE), must("prompt", PROMPT), CREATIVITY, NEGATIVE, SEED, FORMAT, STYLE],
        limits: Limits { pixels: (4096, 1_048_576), ratio: f64::INFINITY, ..ORDINARY },
        act: Act::Side(2048),
    },
];

/// Of the upscalers; outpainting has a wider one.
const CREATIVITY: Field = may("creativity", Rule::Number { min: 0.1, max: 0.5 });

/// Reads a body, or refuses it as the service does. `draw` is the seed taken where the caller leaves it open.
pub(in super::super) fn order(service: &Service, body: &Value, draw: u32) -> Result<Order, Problem> {
    if let Some(stranger) = stranger(body, service.members) {
        let names: Vec<_> = service.members.iter().map(|field| field.name).collect();
        return Err(detail(&format!(
            "Invalid field '{stranger}' in request. Available fields for {} are: {}",
            service.name,
            names.join(", ")
        )));
    }
    check(body, service.members)?;
    let ((width, height), work) = work(service, body)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let scene = Scene {
        model: service.id,
        prompt: text("prompt").to_owned(),
        mood: [text("negative_prompt"), text("style_preset"), text("search_prompt"), text("select_prompt")].concat(),
        seed: seed(body, draw),
        width,
        height,
        colors: Vec::new(),
        premium: false,
        format: format(body),
        work,
    };
    Ok(Order { task: service.name, scenes: vec![scene], mask: None })
}

/// The size of the picture that comes out, and how it comes about.
fn work(service: &Service, body: &Value) -> Result<((u32, u32), Work), Problem> {
    let input = |name: &str| picture(name, body[name].as_str().unwrap_or_default(), &service.limits);
    if let Act::Transfer = service.act {
        let (first, style) = (input("init_image")?, input("style_image")?);
        return Ok((like((first.width(), first.height())), Work::Follow(Lean::of([&first, &style]))));
    }
    let base = input("image")?;
    let (width, height) = (base.width(), base.height());
    let middle = || region::ellipse(width, height, POINTED_AT);
    let fill = |base: DynamicImage, region, with| Work::Fill { base: plain(base), region: Arc::new(region), with };
    let work = match service.act {
        Act::Fill => {
            let mask = body["mask"].as_str();
            let region = mask.map_or_else(|| transparent(&base), |mask| white(mask, &base))?;
            fill(base, region, Filling::Painting)
        }
        Act::Replace => fill(base, middle(), Filling::Painting),
        Act::Recolour => fill(base, middle(), Filling::Tint),
        Act::Grow => return grown(&base, body),
        Act::CutOut => {
            let region = region::inverse(region::ellipse(width, height, SUBJECT));
            Work::CutOut { base: plain(base), region: Arc::new(region) }
        }
        Act::Follow | Act::Transfer => return Ok((like((width, height)), Work::Follow(Lean::of([&base])))),
        Act::Guide => return Ok((ratio(body), Work::Follow(Lean::of([&base])))),
        Act::Times(times) => return Ok((enlarged(width, height, f64::from(times)), Work::Enlarge(plain(base)))),
        Act::Side(side) => {
            let times = f64::from(side) / f64::from(width.max(height));
            return Ok((enlarged(width, height, times), Work::Enlarge(plain(base))));
        }
    };
    Ok(((width, height), work))
}

/// Without alpha, which no model but the one that removes backgrounds gives back.
fn plain(picture: DynamicImage) -> Arc<DynamicImage> {
    Arc::new(DynamicImage::ImageRgb8(picture.into_rgb8()))
}

fn grown(base: &DynamicImage, body: &Value) -> Result<((u32, u32), Work), Problem> {
    let margin = |name: &str| body[name].as_u64().and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
    let [left, right, up, down] = MARGINS.map(margin);
    if left + right + up + down == 0 {
        return Err(detail("at least one of left, right, up and down must be greater than 0"));
    }
    let (width, height) = (base.width() + left + right, base.height() + up + down);
    let old = Frame { left, top: up, width: base.width(), height: base.height() };
    let region = region::inverse(region::block(width, height, old));
    let base = padded(base, width, height, old);
    let work = Work::Fill { base: Arc::new(base), region: Arc::new(region), with: Filling::Painting };
    Ok(((width, height), work))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides are below 2^16 and positive")]
fn enlarged(width: u32, height: u32, times: f64) -> (u32, u32) {
    let pixels = f64::from(width) * f64::from(height);
    let times = times.min((MOST_PIXELS / pixels).sqrt());
    let side = |side: u32| ((f64::from(side) * times) as u32).max(1);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str) -> &'static Service {
        SERVICES.iter().find(|service| service.name == name).unwrap()
    }

    #[track_caller]
    fn complaint(name: &str, body: &Value, expect: &str) {
        let problem = order(service(name), body, 7).unwrap_err();
        assert_eq!((problem.status, problem.kind, problem.message.as_str()), (400, "ValidationException", expect));
    }

    #[track_caller]
    fn malformed(name: &str, body: &Value, expect: &str) {
        complaint(name, body, &format!("Malformed input request: {expect}, please reformat your input and try again."));
    }

    #[test]
    fn unknown_members_are_named_beside_the_known_ones() {
        let fields = "image, prompt, control_strength, negative_prompt, seed, output_format, style_preset";
        let expect = format!(
            r#"{{"detail":"Invalid field 'text_prompts' in request. Available fields for control-sketch are: {fields}"}}"#
        );
        complaint("control-sketch", &json!({"text_prompts": []}), &expect);
        for service in SERVICES {
            let problem = order(service, &json!({"n": 1}), 7).unwrap_err();
            let begins =
                format!(r#"{{"detail":"Invalid field 'n' in request. Available fields for {} are: "#, service.name);
            assert!(problem.message.starts_with(&begins), "{}", problem.message);
        }
    }

    #[test]
    fn required_members_are_missed() {
        for (name, missing) in [
            ("inpaint", &["image", "prompt"][..]),
            ("outpaint", &["image"]),
            ("erase-object", &["image"]),
            ("search-replace", &["image", "prompt", "search_prompt"]),
            ("search-recolor", &["image", "prompt", "select_prompt"]),
            ("remove-background", &["image"]),
            ("control-sketch", &["image", "prompt"]),
            ("control-structure", &["image", "prompt"]),
            ("style-guide", &["image", "prompt"]),
            ("style-transfer", &["init_image", "style_image"]),
            ("fast-upscale", &["image"]),
            ("conservative-upscale", &["image", "prompt"]),
            ("creative-upscale", &["image", "prompt"]),
        ] {
            for one in missing {
                let others = missing.iter().filter(|other| *other != one);
                let body: Value = others.map(|other| ((*other).to_owned(), json!("x"))).collect();
                let body = if body.is_null() { json!({}) } else { body };
                malformed(name, &body, &format!("#: required key [{one}] not found"));
            }
        }
        assert_eq!(SERVICES.len(), 13);
    }

    #[test]
    fn values_have_their_ranges() {
        for (name, member, value, expect) in [
            ("inpaint", "grow_mask", json!(21), "21 is not less or equal to 20"),
            ("erase-object", "grow_mask", json!(1.5), "expected type: Integer, found: BigDecimal"),
            ("inpaint", "seed", json!(4_294_967_295_u32), "4294967295 is not less or equal to 4294967294"),
            ("inpaint", "output_format", json!("gif"), "gif is not a valid enum value"),
            ("inpaint", "style_preset", json!("vivid"), "vivid is not a valid enum value"),
            ("inpaint", "negative_prompt", json!("x".repeat(10_001)), "expected maxLength: 10000, actual: 10001"),
            ("outpaint", "left", json!(2001), "2001 is not less or equal to 2000"),
            ("outpaint", "creativity", json!(0.05), "0.05 is not greater or equal to 0.1"),
            ("control-structure", "control_strength", json!(1.1), "1.1 is not less or equal to 1"),
            ("style-guide", "fidelity", json!("high"), "expected type: Number, found: String"),
            ("style-guide", "aspect_ratio", json!("7:5"), "7:5 is not a valid enum value"),
            ("style-transfer", "change_strength", json!(0), "0 is not greater or equal to 0.1"),
            ("conservative-upscale", "creativity", json!(0.6), "0.6 is not less or equal to 0.5"),
            ("creative-upscale", "creativity", json!(0.6), "0.6 is not less or equal to 0.5"),
        ] {
            let required = service(name).members.iter().filter(|field| field.required);
            let mut body: Value = required.map(|field| (field.name.to_owned(), json!("x"))).collect();
            body[member] = value;
            malformed(name, &body, &format!("#/{member}: {expect}"));
        }
    }

    #[test]
    fn upscaled_pictures_are_bounded() {
        assert_eq!(enlarged(100, 60, 4.0), (400, 240));
        assert_eq!(enlarged(1024, 1024, 4.0), (4096, 4096));
        let (width, height) = enlarged(3072, 3072, 4.0);
        assert!(f64::from(width) * f64::from(height) <= MOST_PIXELS && width > 3072, "{width} {height}");
    }
}
