//! Titan Image Generator, both versions: their tasks and their members, as data.
//! It must not read a body.
use super::{
    super::{
        picture::Limits,
        schema::{Field, Rule, may, must},
    },
    CFG_SCALE, COLORS, CONTROL_MODE, CONTROL_STRENGTH, COUNT, IMAGE, IMAGES, Kind, MASKS, OUTPAINTING_MODE, QUALITY,
    Rules, SEED, SIMILARITY, Sizes, Task,
};
use image::ImageFormat;

pub(in super::super) const TITAN_V1: Rules = Rules {
    id: "amazon.titan-image-generator-v1",
    tasks: &[
        Task { rule: Rule::Object(&[must("text", TEXT), NEGATIVE]), ..TEXT_IMAGE },
        VARIATION,
        INPAINTING,
        OUTPAINTING,
    ],
    sizes: Sizes::Listed(SIZES),
    seed: DEFAULT_SEED,
    limits: LIMITS,
};

pub(in super::super) const TITAN_V2: Rules = Rules {
    id: "amazon.titan-image-generator-v2:0",
    tasks: &[
        TEXT_IMAGE,
        Task {
            name: "COLOR_GUIDED_GENERATION",
            params: "colorGuidedGenerationParams",
            rule: Rule::Object(&[COLORS, must("text", TEXT), NEGATIVE, may("referenceImage", IMAGE)]),
            config: Some(CONFIG),
            kind: Kind::Generation("referenceImage"),
        },
        VARIATION,
        INPAINTING,
        OUTPAINTING,
        Task {
            name: "BACKGROUND_REMOVAL",
            params: "backgroundRemovalParams",
            rule: Rule::Object(&[must("image", IMAGE)]),
            config: None,
            kind: Kind::BackgroundRemoval,
        },
    ],
    sizes: Sizes::Listed(SIZES),
    seed: DEFAULT_SEED,
    limits: LIMITS,
};

const DEFAULT_SEED: u64 = 42;
const LIMITS: Limits = Limits {
    formats: &[ImageFormat::Png, ImageFormat::Jpeg],
    sides: (1, 1408),
    pixels: (0, u64::MAX),
    ratio: f64::INFINITY,
    plain: true,
};

const TEXT: Rule = Rule::Text { min: 1, max: 512 };
const NEGATIVE: Field = may("negativeText", TEXT);
const SIDE: Rule = Rule::Whole { min: 320, max: 1408, step: 1 };
/// An edit may ask for a size too.
const CONFIG: &[Field] = &[may("width", SIDE), may("height", SIDE), QUALITY, CFG_SCALE, SEED, COUNT];

#[rustfmt::skip]
const SIZES: &[(u32, u32)] = &[
    (1024, 1024), (768, 768), (512, 512), (768, 1152), (384, 576), (1152, 768), (576, 384), (768, 1280), (384, 640),
    (1280, 768), (640, 384), (896, 1152), (448, 576), (1152, 896), (576, 448), (768, 1408), (384, 704), (1408, 768),
    (704, 384), (640, 1408), (320, 704), (1408, 640), (704, 320), (1152, 640), (1173, 640),
];

/// As the second version has it; the first knows no condition.
const TEXT_IMAGE: Task = Task {
    name: "TEXT_IMAGE",
    params: "textToImageParams",
    rule: Rule::Object(&[must("text", TEXT), NEGATIVE, may("conditionImage", IMAGE), CONTROL_MODE, CONTROL_STRENGTH]),
    config: Some(CONFIG),
    kind: Kind::Generation("conditionImage"),
};

const VARIATION: Task = Task {
    name: "IMAGE_VARIATION",
    params: "imageVariationParams",
    rule: Rule::Object(&[IMAGES, may("text", TEXT), NEGATIVE, SIMILARITY]),
    config: Some(CONFIG),
    kind: Kind::Variation,
};

const INPAINTING: Task = Task {
    name: "INPAINTING",
    params: "inPaintingParams",
    rule: Rule::Either(
        &[
            must("image", IMAGE),
            may("maskPrompt", TEXT),
            may("maskImage", IMAGE),
            may("text", TEXT),
            NEGATIVE,
            may("returnMask", Rule::Flag),
        ],
        MASKS,
    ),
    config: Some(CONFIG),
    kind: Kind::Inpainting,
};

const OUTPAINTING: Task = Task {
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
            may("returnMask", Rule::Flag),
        ],
        MASKS,
    ),
    config: Some(CONFIG),
    kind: Kind::Outpainting,
};
