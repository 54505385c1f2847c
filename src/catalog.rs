//! What is known of each Bedrock image model: its dialect, regions, life, limits and prices.
//!
//! The data is `config/models.yaml`, compiled in. Must not know any deployment, account or request.

use std::sync::Arc;

use serde::Deserialize;
use time::Date;

use crate::image::{Format, Quality, Size};

/// The family of request and reply bodies that a model speaks; `provider` gives it its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `taskType` and its parameter objects, up to five pictures a call.
    NovaCanvas,
    /// Nova Canvas's predecessor: the same envelope with fewer members.
    Titan,
    /// A flat body with `prompt` and `aspect_ratio`, one picture a call.
    Stability,
    /// One of Stability's services that change a picture: a flat body with `image`. They paint nothing from text alone.
    StabilityServices(Service),
    /// Stable Diffusion XL's old shape, with `text_prompts` and replies of `artifacts`.
    Sdxl,
}

/// What one of Stability's services does to a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Paints where a mask says.
    Inpaint,
    /// Paints around a picture.
    Outpaint,
    /// Takes away what a mask marks.
    EraseObject,
    /// Puts something in the place of what is described.
    SearchReplace,
    /// Gives what is described other colours.
    SearchRecolor,
    /// Cuts out what stands in front.
    RemoveBackground,
    /// Makes a painting of a sketch.
    ControlSketch,
    /// Paints anew what has the structure of a picture.
    ControlStructure,
    /// Paints in the style of a picture.
    StyleGuide,
    /// Gives one picture the style of another.
    StyleTransfer,
    /// Enlarges four times, at once.
    FastUpscale,
    /// Enlarges and adds little.
    ConservativeUpscale,
    /// Enlarges and invents what is missing.
    CreativeUpscale,
}

/// What Amazon's models call the ways of painting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskType {
    /// From text.
    TextImage,
    /// From text and colours.
    ColorGuidedGeneration,
    /// Like one or more pictures.
    ImageVariation,
    /// Where a mask says.
    Inpainting,
    /// Where a mask does not say.
    Outpainting,
    /// Cuts out what stands in front.
    BackgroundRemoval,
    /// Dresses a person.
    VirtualTryOn,
}

/// One model of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Bedrock's base model id, such as `amazon.nova-canvas-v1:0`.
    pub id: String,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Regions that offer it, on demand or through a profile.
    pub regions: Vec<String>,
    /// Inference profiles' prefixes, such as `us`. Where `profile_only`, the bare id cannot be called.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Whether it is only called through a profile.
    #[serde(default)]
    pub profile_only: bool,
    /// When it is retired, if that is known.
    #[serde(default)]
    pub life: Life,
    /// What it accepts.
    pub limits: Limits,
    /// What a picture costs, cheapest first; the first row that fits counts.
    pub prices: Vec<Price>,
}

/// When a model is withdrawn, as far as AWS has published it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// Since when it is legacy: accounts that do not use it lose access.
    #[serde(default, with = "date")]
    pub legacy: Option<Date>,
    /// From this day on requests fail.
    #[serde(default, with = "date")]
    pub end: Option<Date>,
    /// Requests fail already, since a day that is not known.
    #[serde(default)]
    pub retired: bool,
}

impl Life {
    /// Whether the model has been withdrawn by `today` (UTC).
    pub fn ended(&self, today: Date) -> bool {
        self.retired || self.end.is_some_and(|end| end <= today)
    }
}

/// What a model accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Longest prompt and longest negative prompt, in characters.
    pub prompt_chars: usize,
    /// Most pictures in one call.
    pub pictures_per_call: u8,
    /// Largest seed; the smallest that is passed on is 1 where 0 means random, else 0.
    pub max_seed: u64,
    /// Whether seed 0 asks the model to draw one itself.
    #[serde(default)]
    pub zero_seed_is_random: bool,
    /// Encodings that the model can answer with; the first is its default.
    pub formats: Vec<Format>,
    /// How a size is asked for.
    pub size: SizeRule,
    /// The ways of painting that Amazon's models have; empty for other families.
    #[serde(default)]
    pub tasks: Vec<TaskType>,
    /// What is taken of pictures; absent where none is.
    #[serde(default)]
    pub input: Option<Input>,
    /// Whether the body may carry `image` and `strength` (Stability Ultra, SD3.5).
    #[serde(default)]
    pub image_to_image: bool,
    /// Whether a picture may guide a painting from text (Nova Canvas, Titan v2).
    #[serde(default)]
    pub conditioning: bool,
    /// Whether painting over a picture must be said by `mode` (SD3.5).
    #[serde(default)]
    pub mode_member: bool,
}

/// What a model takes of the pictures that it is sent. Sizes are of a picture that stands upright.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shortest side, in pixels.
    pub min_side: u32,
    /// Longest side, in pixels.
    #[serde(default)]
    pub max_side: Option<u32>,
    /// Fewest pixels in all.
    #[serde(default)]
    pub min_pixels: u64,
    /// Most pixels in all, inclusive.
    pub max_pixels: u64,
    /// Longest side divided by shortest, at most; absent where nothing is said of it.
    #[serde(default)]
    pub max_ratio: Option<f64>,
    /// Encodings.
    pub formats: Vec<Format>,
    /// Whether something may shine through.
    #[serde(default)]
    pub alpha: bool,
    /// Most pictures that are changed in one call.
    pub most: u8,
}

/// How a model is told the size of a picture.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SizeRule {
    /// By width and height in pixels.
    Pixels {
        /// Shortest side.
        min_side: u32,
        /// Longest side.
        max_side: u32,
        /// Each side is a multiple of this.
        multiple: u32,
        /// Most pixels in all, inclusive.
        max_pixels: u64,
        /// Longest side divided by shortest, at most.
        max_ratio: u32,
    },
    /// By width and height, of which only these are taken.
    Sizes(Vec<Size>),
    /// By one of these names of aspect ratios, `width:height`.
    AspectRatios(Vec<String>),
    /// Not at all: the size is that of the picture that is changed.
    AsGiven,
}

/// The price of one picture up to a size, at a quality.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Counts for pictures of at most this many pixels; absent: any.
    pub max_pixels: Option<u64>,
    /// Counts for this quality; absent: any.
    pub quality: Option<Quality>,
    /// US dollars for one picture.
    pub usd: f64,
}

impl Model {
    /// The list price of one picture in US dollars, if the catalogue knows it.
    pub fn price(&self, size: Size, quality: Quality) -> Option<f64> {
        self.prices
            .iter()
            .find(|p| p.max_pixels.is_none_or(|max| size.pixels() <= max) && p.quality.is_none_or(|q| q == quality))
            .map(|p| p.usd)
    }
}

/// All models that Easel knows.
#[derive(Clone, Debug)]
pub struct Catalog {
    models: Vec<Arc<Model>>,
}

#[derive(Deserialize)]
struct File {
    models: Vec<Model>,
}

impl Catalog {
    /// The catalogue that is compiled in.
    #[expect(clippy::expect_used, reason = "the file is part of the program; a test reads it")]
    pub fn builtin() -> Self {
        let read = || {
            let mut file: serde_yaml::Value = serde_yaml::from_str(include_str!("../config/models.yaml"))?;
            file.apply_merge()?;
            serde_yaml::from_value(file)
        };
        let file: Result<File, serde_yaml::Error> = read();
        Self { models: file.expect("config/models.yaml is sound").models.into_iter().map(Arc::new).collect() }
    }

    /// The same with these models, each in place of one of its id.
    #[must_use]
    pub fn with(&self, models: Vec<Model>) -> Self {
        let mut catalog = self.clone();
        for model in models.into_iter().map(Arc::new) {
            match catalog.models.iter_mut().find(|known| known.id == model.id) {
                Some(known) => *known = model,
                None => catalog.models.push(model),
            }
        }
        catalog
    }

    /// The models, in the order of the file.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.iter()
    }

    /// A model that paints from text and goes on answering on `day`: what to put where another has ended.
    pub fn living(&self, day: Date) -> Option<&Arc<Model>> {
        self.models
            .iter()
            .find(|model| !matches!(model.dialect, Dialect::StabilityServices(_)) && !model.life.ended(day))
    }

    /// The model behind a model id, an inference profile id (`us.`, `eu.`, `apac.`, `global.` before a model id)
    /// or an ARN that ends in one of them. An opaque ARN is nobody's.
    pub fn find(&self, id: &str) -> Option<&Arc<Model>> {
        let id = id.rsplit('/').next().unwrap_or(id);
        let base = ["us.", "eu.", "apac.", "global.", "us-gov."].iter().find_map(|p| id.strip_prefix(p)).unwrap_or(id);
        self.models.iter().find(|m| m.id == base)
    }
}

/// Dates as `2026-09-30`, or absent.
mod date {
    use serde::{Deserialize, Deserializer, de::Error};
    use time::{Date, macros::format_description};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Date>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|t| Date::parse(&t, format_description!("[year]-[month]-[day]"))).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_catalogue_reads_and_finds() {
        let catalog = Catalog::builtin();
        for id in [
            "amazon.nova-canvas-v1:0",
            "us.amazon.nova-canvas-v1:0",
            "stability.sd3-5-large-v1:0",
            "arn:aws:bedrock:us-west-2::foundation-model/stability.stable-image-core-v1:1",
        ] {
            assert!(catalog.find(id).is_some(), "{id}");
        }
        assert_eq!(catalog.models().count(), 23);
        assert!(catalog.find("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef").is_none());
    }

    #[test]
    fn nova_is_priced_by_size_and_quality() {
        let catalog = Catalog::builtin();
        let nova = catalog.find("amazon.nova-canvas-v1:0").unwrap();
        assert_eq!(nova.price(Size::new(1024, 1024), Quality::Standard), Some(0.04));
        assert_eq!(nova.price(Size::new(1024, 1024), Quality::Premium), Some(0.06));
        assert_eq!(nova.price(Size::new(2048, 2048), Quality::Standard), Some(0.06));
        assert_eq!(nova.price(Size::new(2048, 2048), Quality::Premium), Some(0.08));
    }

    #[test]
    fn life_ends_on_its_day() {
        let catalog = Catalog::builtin();
        let nova = catalog.find("amazon.nova-canvas-v1:0").unwrap();
        assert!(!nova.life.ended(time::macros::date!(2026 - 09 - 29)));
        assert!(nova.life.ended(time::macros::date!(2026 - 09 - 30)));
    }
}
