//! async-openai as its users use it. It is the strictest reader of answers among OpenAI's clients.
//!
//! Must not look into Easel: all it sees is what a client sees.
#![expect(deprecated, reason = "links, styles and variations are what old programs still ask for")]

use std::path::PathBuf;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::{ApiError, OpenAIError};
use async_openai::types::InputSource;
use async_openai::types::images::{
    CreateImageEditRequest, CreateImageRequest, CreateImageRequestArgs, CreateImageVariationRequestArgs,
    DallE2ImageSize, Image, ImageBackground, ImageEditInput, ImageEditStreamEvent, ImageGenStreamEvent, ImageInput,
    ImageModel, ImageOutputFormat, ImageQuality, ImageResponseFormat, ImageSize, ImageStyle, ImagesResponse,
    InputFidelity,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use easel_clients::{Easel, KEY, card, check_left_half_changed, decoded, encoded, mask, opened};
use futures_util::StreamExt;

fn client(easel: &Easel, key: &str) -> Client<OpenAIConfig> {
    Client::with_config(OpenAIConfig::new().with_api_base(easel.base()).with_api_key(key))
}

fn model(name: &str) -> ImageModel {
    ImageModel::Other(name.to_owned())
}

fn wish(name: &str, prompt: &str) -> CreateImageRequest {
    CreateImageRequest { model: model(name), prompt: prompt.to_owned(), ..CreateImageRequest::default() }
}

/// A file in memory.
fn upload(bytes: Vec<u8>) -> ImageInput {
    ImageInput { source: InputSource::VecU8 { filename: "card.png".into(), vec: bytes } }
}

fn edit(name: &str, images: Vec<ImageInput>, mask: Option<ImageInput>) -> CreateImageEditRequest {
    let image = match <[ImageInput; 1]>::try_from(images) {
        Ok([image]) => ImageEditInput::Image(image),
        Err(images) => ImageEditInput::Images(images),
    };
    let prompt = "a red house".to_owned();
    CreateImageEditRequest { model: model(name), image, mask, prompt, ..CreateImageEditRequest::default() }
}

/// The pictures of an answer, by way of the files that the client writes; links are fetched.
async fn saved(answer: &ImagesResponse) -> (Vec<PathBuf>, Vec<image::RgbImage>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let paths = answer.save(&folder).await.unwrap();
    let images = paths.iter().map(|path| opened(path)).collect();
    (paths, images, folder)
}

async fn images(answer: &ImagesResponse) -> Vec<image::RgbImage> {
    saved(answer).await.1
}

#[track_caller]
fn api_error<T: std::fmt::Debug>(result: Result<T, OpenAIError>, status: u16) -> ApiError {
    match result {
        Err(OpenAIError::ApiError(error)) if error.status_code.as_u16() == status => error.api_error,
        other => panic!("not a {status}: {other:?}"),
    }
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let easel = Easel::start();
    let client = client(&easel, KEY);
    let list = client.models().list().await.unwrap();
    assert_eq!(list.data[0].id, "nova-canvas");
    assert_eq!(client.models().retrieve("gpt-image-1").await.unwrap().id, "gpt-image-1");
    let error = api_error(client.models().retrieve("nothing").await, 404);
    assert_eq!(error.code.as_deref(), Some("model_not_found"));
}

#[tokio::test]
async fn every_parameter_of_a_generation() {
    let easel = Easel::start();
    let request = CreateImageRequestArgs::default()
        .model(model("nova-canvas"))
        .prompt("an otter")
        .n(3)
        .size(ImageSize::S1792x1024)
        .quality(ImageQuality::HD)
        .style(ImageStyle::Natural)
        .background(ImageBackground::Auto)
        .user("u")
        .build()
        .unwrap();
    let answer = client(&easel, KEY).images().generate(request).await.unwrap();
    assert_eq!(answer.size, Some(ImageSize::S1792x1024));
    assert_eq!(answer.output_format, Some(ImageOutputFormat::Png));
    assert_eq!(answer.usage.as_ref().unwrap().total_tokens, 0);
    assert!(answer.data.iter().all(|image| matches!(&**image, Image::B64Json { .. })));
    let images = images(&answer).await;
    assert!(images.iter().all(|image| image.dimensions() == (1792, 1024)));
    assert!(images.len() == 3 && images[0] != images[1] && images[1] != images[2]);
}

#[tokio::test]
async fn links_are_fetched() {
    let easel = Easel::start();
    let client = client(&easel, KEY);
    let asked = CreateImageRequest {
        response_format: Some(ImageResponseFormat::Url),
        size: Some(ImageSize::S512x512),
        n: Some(2),
        ..wish("nova-canvas", "an otter")
    };
    // Who says nothing and names a model of that family expects links.
    for request in [asked, CreateImageRequest { size: Some(ImageSize::S512x512), ..wish("dall-e-3", "an otter") }] {
        let answer = client.images().generate(request).await.unwrap();
        assert!(answer.data.iter().all(|image| matches!(&**image, Image::Url { .. })));
        let (paths, images, _folder) = saved(&answer).await;
        assert!(paths.iter().all(|path| path.extension().is_some_and(|extension| extension == "png")));
        assert!(!images.is_empty() && images.iter().all(|image| image.dimensions() == (512, 512)));
    }
}

#[tokio::test]
async fn events_bring_whole_pictures() {
    let easel = Easel::start();
    let request = CreateImageRequest { n: Some(2), partial_images: Some(1), ..wish("nova-canvas", "an otter") };
    let events: Vec<_> =
        client(&easel, KEY).images().generate_stream(request).await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(events.len(), 2);
    for event in events {
        let ImageGenStreamEvent::Completed(event) = event else { panic!("no partial pictures come") };
        assert_eq!(decoded(&STANDARD.decode(event.b64_json).unwrap()).dimensions(), (1024, 1024));
        assert_eq!((event.size, event.output_format), (ImageSize::S1024x1024, ImageOutputFormat::Png));
    }
}

#[tokio::test]
async fn what_fails_before_the_first_event_is_an_error() {
    let easel = Easel::start();
    let request = wish("nova-canvas", "an otter emulate:filter-input");
    let stream = client(&easel, KEY).images().generate_stream(request).await;
    let error = match stream {
        Err(error) => error,
        Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
    };
    assert!(error.to_string().contains("content_policy_violation"), "{error}");
}

/// Nova Canvas edits where its mask is black, Stability where it is white; gpt-image-1 goes on to a fallback.
#[tokio::test]
async fn only_what_the_mask_shows_changes() {
    let easel = Easel::start();
    let client = client(&easel, KEY);
    let before = card(640, 480);
    for name in ["nova-canvas", "inpaint", "gpt-image-1"] {
        let mask = upload(encoded(mask(640, 480)));
        let request = CreateImageEditRequest {
            n: Some(2),
            input_fidelity: Some(InputFidelity::High),
            ..edit(name, vec![upload(encoded(before.clone()))], Some(mask))
        };
        let images = images(&client.images().edit(request).await.unwrap()).await;
        assert_eq!(images.len(), 2, "{name}");
        for after in &images {
            check_left_half_changed(&before, after);
        }
        assert_ne!(images[0], images[1], "{name}");
    }
}

#[tokio::test]
async fn files_on_disk_and_several_of_them() {
    let easel = Easel::start();
    let client = client(&easel, KEY);
    let folder = tempfile::tempdir().unwrap();
    let before = card(640, 480);
    let [picture, hole] = ["card.png", "mask.png"].map(|name| folder.path().join(name));
    std::fs::write(&picture, encoded(before.clone())).unwrap();
    std::fs::write(&hole, encoded(mask(640, 480))).unwrap();
    let file = |path: &PathBuf| ImageInput { source: InputSource::Path { path: path.clone() } };

    let request = edit("nova-canvas", vec![file(&picture)], Some(file(&hole)));
    check_left_half_changed(&before, &images(&client.images().edit(request).await.unwrap()).await[0]);

    let request = CreateImageEditRequest {
        size: Some(ImageSize::S512x512),
        response_format: Some(ImageResponseFormat::Url),
        ..edit("nova-canvas", vec![file(&picture), upload(encoded(mask(640, 480))), file(&picture)], None)
    };
    let answer = client.images().edit(request).await.unwrap();
    assert_eq!(images(&answer).await[0].dimensions(), (512, 512));
}

/// The client sends `output_compression` twice.
#[tokio::test]
async fn an_edit_in_another_format() {
    let easel = Easel::start();
    let request = CreateImageEditRequest {
        output_format: Some(ImageOutputFormat::Jpeg),
        output_compression: Some(60),
        ..edit("inpaint", vec![upload(encoded(card(640, 480)))], Some(upload(encoded(mask(640, 480)))))
    };
    let answer = client(&easel, KEY).images().edit(request).await.unwrap();
    assert_eq!(answer.output_format, Some(ImageOutputFormat::Jpeg));
    let Image::B64Json { b64_json, .. } = &*answer.data[0] else { panic!("no base64") };
    let file = STANDARD.decode(b64_json.as_bytes()).unwrap();
    assert_eq!(image::guess_format(&file).unwrap(), image::ImageFormat::Jpeg);
    assert_eq!(decoded(&file).dimensions(), (640, 480));
}

#[tokio::test]
async fn an_edit_as_events() {
    let easel = Easel::start();
    let before = card(640, 480);
    let request = edit("inpaint", vec![upload(encoded(before.clone()))], Some(upload(encoded(mask(640, 480)))));
    let stream = client(&easel, KEY).images().edit_stream(request).await.unwrap();
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    let [ImageEditStreamEvent::Completed(event)] = &events[..] else { panic!("{} events", events.len()) };
    check_left_half_changed(&before, &decoded(&STANDARD.decode(&event.b64_json).unwrap()));
}

#[tokio::test]
async fn variations() {
    let easel = Easel::start();
    let request = CreateImageVariationRequestArgs::default()
        .model(model("dall-e-2"))
        .image(upload(encoded(card(512, 512))))
        .n(2)
        .size(DallE2ImageSize::S512x512)
        .response_format(ImageResponseFormat::B64Json)
        .build()
        .unwrap();
    let images = images(&client(&easel, KEY).images().create_variation(request).await.unwrap()).await;
    assert!(images.iter().all(|image| image.dimensions() == (512, 512)));
    assert!(images.len() == 2 && images[0] != images[1]);
}

#[tokio::test]
async fn errors_can_be_read() {
    let easel = Easel::start();
    let known = client(&easel, KEY);
    for (request, status, kind, code, param) in [
        (
            CreateImageRequest { size: Some(ImageSize::Other("1024*768".into())), ..wish("nova-canvas", "an otter") },
            400,
            "invalid_request_error",
            "invalid_value",
            Some("size"),
        ),
        (
            wish("nova-canvas", "an otter emulate:filter-all"),
            400,
            "invalid_request_error",
            "content_policy_violation",
            None,
        ),
        (wish("dall-e-9", "an otter"), 404, "invalid_request_error", "model_not_found", Some("model")),
        (wish("nova-canvas", "an otter emulate:throttle"), 429, "rate_limit_error", "rate_limit_exceeded", None),
    ] {
        let error = api_error(known.images().generate(request).await, status);
        assert_eq!(error.r#type.as_deref(), Some(kind), "{error}");
        assert_eq!((error.code.as_deref(), error.param.as_deref()), (Some(code), param), "{error}");
    }
    // The client hands on a 5xx as it comes, and tells its code to nobody.
    let request = wish("nova-canvas", "an otter emulate:access-denied");
    let error = api_error(known.images().generate(request).await, 500);
    assert!(error.message.contains(r#""code":"upstream_auth""#), "{error}");
    let request = edit("nova-canvas", vec![upload(b"no picture".to_vec())], None);
    let error = api_error(known.images().edit(request).await, 400);
    assert_eq!(error.param.as_deref(), Some("image"));
    let error = api_error(client(&easel, "sk-not-the-key").images().generate(wish("nova-canvas", "x")).await, 401);
    assert_eq!(error.code.as_deref(), Some("invalid_api_key"));
}

#[tokio::test]
async fn half_a_picture_is_never_one() {
    let easel = Easel::start();
    for fault in ["reset-mid-body", "truncated-json", "short-length"] {
        let request = wish("nova-canvas", &format!("an otter emulate:{fault}"));
        assert!(client(&easel, KEY).images().generate(request).await.is_err(), "{fault}");
    }
}
