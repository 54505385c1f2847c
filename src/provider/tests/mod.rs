//! What each dialect makes of a task, file by file. Must not call anyone.

mod aims;
mod generations;
mod nova;
mod pictures;
mod services;
mod stability;

use serde_json::{Value, json};

use super::*;
use crate::blob::Blob;
use crate::catalog::Catalog;
use crate::image::{Format, Intent};
use crate::picture::{Alpha, Picture};

const NOVA: &str = "amazon.nova-canvas-v1:0";
const TITAN: &str = "amazon.titan-image-generator-v2:0";
const TITAN_1: &str = "amazon.titan-image-generator-v1";
const CORE: &str = "stability.stable-image-core-v1:1";
const ULTRA: &str = "stability.stable-image-ultra-v1:1";
const SD35: &str = "stability.sd3-5-large-v1:0";
const SDXL: &str = "stability.stable-diffusion-xl-v1";
const ONE: Part = Part { first: 0, count: 1 };

/// What is asked of a model.
struct Ask {
    model: String,
    /// With `prompt`, `drop_params` and `strict` among them.
    members: Value,
    defaults: Value,
    part: Part,
    intent: Intent,
    images: Vec<Picture>,
    mask: Option<Picture>,
    attached: Vec<Picture>,
    asked: Asked,
}

/// What came of it.
#[derive(Debug)]
struct Made {
    body: Value,
    transcode: Option<Encoding>,
    mapped: Vec<String>,
    ignored: Vec<String>,
    request: Request,
}

/// An opaque RGB PNG, as it came.
fn png(name: &str, width: u32, height: u32) -> Picture {
    let blob = Blob::from(bytes::Bytes::from(vec![0; 100]));
    let size = Size::new(width, height);
    Picture { name: name.into(), blob, format: Format::Png, size, alpha: Alpha::Absent, plain: true }
}

/// The same, transparent somewhere.
fn transparent(name: &str, width: u32, height: u32) -> Picture {
    Picture { alpha: Alpha::Transparent, ..png(name, width, height) }
}

impl Ask {
    fn new(model: &str, members: Value) -> Self {
        let (images, attached) = (Vec::new(), Vec::new());
        let (defaults, intent, asked) = (json!({}), Intent::Generate, Asked::Alone);
        Self { model: model.into(), members, defaults, part: ONE, intent, images, mask: None, attached, asked }
    }

    /// An edit of a square picture, with a prompt unless the members say otherwise.
    fn edit(model: &str, members: Value) -> Self {
        Self { intent: Intent::Edit, images: vec![png("image", 512, 512)], ..Self::new(model, members) }
    }

    fn images(mut self, images: impl IntoIterator<Item = Picture>) -> Self {
        self.images = images.into_iter().collect();
        self
    }

    fn mask(mut self, mask: Picture) -> Self {
        self.mask = Some(mask);
        self
    }

    fn asked(mut self, asked: Asked) -> Self {
        self.asked = asked;
        self
    }

    fn make(self) -> Result<Made, Unsupported> {
        let catalog = Catalog::builtin();
        let model = catalog.find(&self.model).unwrap();
        let Value::Object(mut members) = self.members else { panic!("members are an object") };
        let drop_params = members.remove("drop_params").is_some();
        let strict = members.remove("strict").is_some();
        let prompt = members.remove("prompt").map_or("a cat".into(), |p| p.as_str().unwrap().to_owned());
        let wishes = Wishes::read(members).unwrap();
        let (intent, images, mask, attached) = (self.intent, self.images, self.mask, self.attached);
        let task = Task { intent, prompt, images, mask, attached, wishes, drop_params, strict, ignored: Vec::new() };
        let Value::Object(defaults) = self.defaults else { panic!("defaults are an object") };
        let defaults = Wishes::read(defaults).unwrap();
        let (limits, drop_params, drawn_seed) = (&model.limits, false, 7);
        let (part, asked) = (self.part, self.asked);
        let order = Order { task: &task, part, defaults: &defaults, limits, drop_params, drawn_seed, asked };
        let request = model.dialect.request(order)?;
        let body = serde_json::from_str(&request.body.abbreviated()).unwrap();
        let (transcode, mapped, ignored) = (request.transcode, request.mapped.clone(), request.ignored.clone());
        Ok(Made { body, transcode, mapped, ignored, request })
    }

    #[track_caller]
    fn check(self, body: Value, mapped: &[&str], ignored: &[&str]) {
        let made = self.make().unwrap();
        assert_eq!(made.body, body);
        assert_eq!(made.mapped, mapped);
        assert_eq!(made.ignored, ignored);
    }

    #[track_caller]
    fn check_refused(self, param: &str, message: &str) {
        let refused = self.make().err().unwrap();
        assert_eq!((&*refused.param, &*refused.message), (param, message));
    }
}
