//! Whether the bodies are such as Bedrock takes: every case goes to the emulator, which has its own reading of AWS's
//! pages, with everything that is honoured. Must not skip a case.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use easel::catalog::Catalog;
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Map, Value};

use super::probes::{families, probes};
use super::{Case, Outcome, base, outcome, request};
use crate::support::{ReadJson, TestProxy};

const CONFIG: &str = "
model_list:
  - model_name: amazon.nova-canvas-v1:0
    litellm_params: {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
  - model_name: amazon.titan-image-generator-v2:0
    litellm_params:
      model: bedrock/amazon.titan-image-generator-v2:0
      model_id: arn:aws:bedrock:us-east-1:123456789012:provisioned-model/titanv2abcde
  - model_name: amazon.titan-image-generator-v1
    litellm_params:
      model: bedrock/amazon.titan-image-generator-v1
      model_id: arn:aws:bedrock:us-east-1:123456789012:provisioned-model/titanv1abcde
  - model_name: stability.stable-diffusion-xl-v1
    litellm_params:
      model: bedrock/stability.stable-diffusion-xl-v1
      model_id: arn:aws:bedrock:us-east-1:123456789012:provisioned-model/sdxlabcde
  - model_name: stability.*
    litellm_params: {model: bedrock/stability.*, aws_region_name: us-west-2}
";

fn url(image: &image::DynamicImage) -> Value {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).unwrap();
    format!("data:image/png;base64,{}", STANDARD.encode(file.into_inner())).into()
}

/// Pictures of one size, as data URLs.
struct Pictures {
    /// Not all one colour.
    picture: Value,
    /// As OpenAI has masks: the middle is to be changed.
    mask: Value,
    /// As Nova Canvas has them: the left half is to be changed.
    black_and_white: Value,
}

impl Pictures {
    fn new() -> Self {
        let shade = |at: u32| u8::try_from(at / 2).unwrap();
        let inside = |at: u32| (64..256).contains(&at);
        let picture = RgbImage::from_fn(320, 320, |x, y| Rgb([shade(x), shade(y), 90]));
        let mask = RgbaImage::from_fn(320, 320, |x, y| Rgba([0, 0, 0, if inside(x) && inside(y) { 0 } else { 255 }]));
        let halves = RgbImage::from_fn(320, 320, |x, _| Rgb([if x < 160 { 0 } else { 255 }; 3]));
        let [picture, mask, black_and_white] = [picture.into(), mask.into(), halves.into()].map(|image| url(&image));
        Self { picture, mask, black_and_white }
    }

    /// The body of a request.
    fn body(&self, case: &Case, more: Map<String, Value>) -> Value {
        let mut members = case.members.as_object().unwrap().clone();
        members.extend(more);
        for (name, value) in members.iter_mut().filter(|(_, value)| *value == "PICTURE") {
            *value = if name == "maskImage" { self.black_and_white.clone() } else { self.picture.clone() };
        }
        members.insert("model".into(), case.model.into());
        members.insert("prompt".into(), "a cat".into());
        if case.pictures > 0 {
            members.insert("image".into(), vec![self.picture.clone(); case.pictures].into());
        }
        if case.mask {
            members.insert("mask".into(), self.mask.clone());
        }
        members.into()
    }
}

/// Everything that is honoured or mapped, as far as it goes together.
fn everything(catalog: &Catalog, case: &Case) -> Map<String, Value> {
    let first = base(catalog, case);
    let mut all = Map::new();
    for (name, value) in probes() {
        let fares = outcome(catalog, case, &first, name, &value);
        // Encodings have tests of their own, and take time.
        if name == "output_format" {
            continue;
        }
        if !matches!(fares, Outcome::Honoured | Outcome::Mapped(_)) || case.members.get(name).is_some() {
            continue;
        }
        let mut more = all.clone();
        more.insert(name.into(), value);
        if request(catalog, case, &more.clone().into()).is_ok() {
            all = more;
        }
    }
    all
}

#[tokio::test]
async fn every_body_is_taken() {
    let (catalog, pictures, mut refused) = (Catalog::builtin(), Pictures::new(), Vec::new());
    let proxy = TestProxy::with(CONFIG).start().await;
    for case in families().iter().flat_map(|family| &family.cases) {
        let more = everything(&catalog, case);
        let members = more.keys().cloned().collect::<Vec<_>>().join(", ");
        proxy.emulator.script([Some("tiny".parse().unwrap())]);
        let path = if case.brings_pictures() { "/v1/images/edits" } else { "/v1/images/generations" };
        let response = proxy.post(path, pictures.body(case, more).to_string()).await;
        let (status, reply): (_, Value) = (response.status(), response.json().await.unwrap());
        match status.as_u16() {
            200 => assert!(reply["data"][0]["b64_json"].is_string()),
            _ => refused.push(format!("{} with {members}: {}", case.title, reply["error"]["message"])),
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
