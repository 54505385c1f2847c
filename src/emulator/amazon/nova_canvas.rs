//! Amazon Nova Canvas: its tasks and their members, as data.
//! It must not read a body.
use super::{
    super::{
        picture::Limits,
        schema::{Field, Rule, may, must},
    },
    CFG_SCALE, COLORS, CONTROL_MODE, CONTROL_STRENGTH, COUNT, IMAGE, IMAGES, Kind, MASKS, OUTPAINTING_MODE, QUALITY,
    Rules, SEED, SIMILARITY, Sizes, Task, garments,
};
use image::ImageFormat;

pub(in super::super) const NOVA_CANVAS: Rules = Rules {
    id: "amazon.nova-canvas-v1:0",
    tasks: TASKS,
    sizes: Sizes::Pixels(4_194_304),
    seed: 12,
    limits: Limits {
        formats: &[ImageFormat::Png, ImageFormat::Jpeg],
        sides: (320, 4096),
        pixels: (0, 4_194_304),
        ratio: 4.0,
        plain: true,
    },
};

const TEXT: Rule = Rule::Text { min: 1, max: 1024 };
const NEGATIVE: Field = may("negativeText", TEXT);
const SIDE: Rule = Rule::Whole { min: 320, max: 4096, step: 16 };
const CONFIG: &[Field] = &[may("width", SIDE), may("height", SIDE), QUALITY, CFG_SCALE, SEED, COUNT];
/// An edited picture keeps its size.
const EDIT_CONFIG: &[Field] = &[QUALITY, CFG_SCALE, SEED, COUNT];

const STYLES: &[&str] = &[
    "3D_ANIMATED_FAMILY_FILM",
    "DESIGN_SKETCH",
    "FLAT_VECTOR_ILLUSTRATION",
    "GRAPHIC_NOVEL_ILLUSTRATION",
    "MAXIMALISM",
    "MIDCENTURY_RETRO",
    "PHOTOREALISM",
    "SOFT_DIGITAL_PAINTING",
];

const TASKS: &[Task] = &[
    Task {
        name: "TEXT_IMAGE",
        params: "textToImageParams",
        rule: Rule::Object(&[
            must("text", TEXT),
            NEGATIVE,
            may("style", Rule::OneOf(STYLES)),
            may("conditionImage", IMAGE),
            CONTROL_MODE,
            CONTROL_STRENGTH,
        ]),
        config: Some(CONFIG),
        kind: Kind::Generation("conditionImage"),
    },
    Task {
        name: "COLOR_GUIDED_GENERATION",
        params: "colorGuidedGenerationParams",
        rule: Rule::Object(&[COLORS, must("text", TEXT), NEGATIVE, may("referenceImage", IMAGE)]),
        config: Some(CONFIG),
        kind: Kind::Generation("referenceImage"),
    },
    Task {
        name: "IMAGE_VARIATION",
        params: "imageVariationParams",
        rule: Rule::Object(&[IMAGES, may("text", TEXT), NEGATIVE, SIMILARITY]),
        config: Some(CONFIG),
        kind: Kind::Variation,
    },
    Task {
        name: "INPAINTING",
        params: "inPaintingParams",
        rule: Rule::Either(
            &[must("image", IMAGE), may("maskPrompt", TEXT), may("maskImage", IMAGE), may("text", TEXT), NEGATIVE],
            MASKS,
        ),
        config: Some(EDIT_CONFIG),
        kind: Kind::Inpainting,
    },
    Task {
        name: "OUTPAINTING",
        params: "outPaintingParams",
        rule: Rule::Either(
            &[
                must("image", IMAGE),
                may("maskPrompt", TEXT),
                may("maskImage", IMAGE),
                OUTPAINTING_MODE,
                must("text", TEXT),
                NEGATIVE,
            ],
            MASKS,
        ),
        config: Some(EDIT_CONFIG),
        kind: Kind::Outpainting,
    },
    Task {
        name: "BACKGROUND_REMOVAL",
        params: "backgroundRemovalParams",
        rule: Rule::Object(&[must("image", IMAGE)]),
        config: None,
        kind: Kind::BackgroundRemoval,
    },
    Task {
        name: "VIRTUAL_TRY_ON",
        params: "virtualTryOnParams",
        rule: garments::RULE,
        config: Some(EDIT_CONFIG),
        kind: Kind::TryOn,
    },
];
