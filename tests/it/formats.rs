//! `output_format` and `output_compression`: what the model can do, and what is encoded anew, in every form of reply.
//! Must not trust what a reply says of its pictures: they are decoded.

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::service::Service;
use crate::support::{CORE, NOVA, ReadJson, TestProxy, header, pictures, wish};

async fn paint(proxy: &TestProxy, members: Value) -> Value {
    let response = proxy.generate(wish(members)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "x-easel-mapped"), "size=256x256->320x320");
    assert_eq!(header(response.headers(), "x-easel-ignored"), "");
    response.json().await.unwrap()
}

/// How a picture is encoded, and its pixels.
#[track_caller]
fn decode(picture: &[u8]) -> (ImageFormat, DynamicImage) {
    let format = image::guess_format(picture).unwrap();
    (format, image::load_from_memory_with_format(picture, format).unwrap())
}

/// How much the channels of two pictures differ on average, 0 to 255.
fn difference(one: &DynamicImage, other: &DynamicImage) -> f64 {
    let (one, other) = (one.to_rgb8(), other.to_rgb8());
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: u64 = one.iter().zip(other.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(one.len()).unwrap())
}

#[tokio::test]
async fn what_the_model_lacks_is_encoded_anew() {
    let proxy = TestProxy::with(NOVA).start().await;
    let same = |members: Value| {
        let mut body = json!({"size": "256x256", "seed": 5});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let reply = paint(&proxy, same(json!({}))).await;
    let (format, original) = decode(&pictures(&reply)[0]);
    assert_eq!((format, original.width()), (ImageFormat::Png, 320));
    for (name, format) in [("jpeg", ImageFormat::Jpeg), ("jpg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)] {
        let mut lengths = Vec::new();
        for quality in [100, 30] {
            let reply =
                paint(&proxy, same(json!({"output_format": name, "output_compression": quality, "n": 2}))).await;
            assert_eq!(reply["output_format"], name.replace("jpg", "jpeg"));
            assert_eq!(reply["size"], "320x320");
            let made = pictures(&reply);
            assert_eq!(made.len(), 2);
            let (found, picture) = decode(&made[0]);
            assert_eq!(found, format);
            let most = if quality == 100 { 4.0 } else { 20.0 };
            assert!(difference(&picture, &original) < most, "{name} at {quality}: {}", difference(&picture, &original));
            lengths.push(made[0].len());
        }
        assert!(lengths[1] * 2 < lengths[0], "{name}: {lengths:?}");
    }
    assert!(proxy.calls().iter().all(|call| !call.body.to_string().contains("output_format")));
}

#[tokio::test]
async fn a_png_comes_through_untouched() {
    let file = encoded(&RgbaImage::from_pixel(8, 8, Rgba([9, 9, 9, 255])));
    let (service, sent) = upstream(&file).await;
    let proxy = TestProxy::with(CORE).upstream(&service.url).start().await;
    let response = proxy.generate(wish(json!({"output_format": "png", "output_compression": 50}))).await;
    assert_eq!(header(response.headers(), "x-easel-ignored"), "output_compression");
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["data"][0]["b64_json"], sent);
}

#[tokio::test]
async fn the_model_encodes_what_it_can() {
    let proxy = TestProxy::with(CORE).script(["tiny"; 3]).start().await;
    for (members, asked) in [
        (json!({"output_format": "jpeg"}), "jpeg"),
        (json!({"output_format": "jpeg", "output_compression": 90}), "png"),
        (json!({"output_format": "webp"}), "png"),
    ] {
        let wanted = members["output_format"].clone();
        let reply: Value = proxy.generate(wish(members)).await.json().await.unwrap();
        assert_eq!(proxy.calls().last().unwrap().body["output_format"], asked);
        assert_eq!(reply["output_format"], wanted);
        assert_eq!(decode(&pictures(&reply)[0]).1.width(), 64);
    }
}

#[tokio::test]
async fn every_form_of_reply_has_the_encoding() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(NOVA).script(["tiny"; 2]).data_dir(data.path()).start().await;
    let reply: Value =
        proxy.generate(wish(json!({"output_format": "webp", "response_format": "url"}))).await.json().await.unwrap();
    assert_eq!(reply["output_format"], "webp");
    let url = reply["data"][0]["url"].as_str().unwrap();
    assert!(url.ends_with(".webp"));
    let response = proxy.client.get(url).send().await.unwrap();
    assert_eq!(header(response.headers(), "content-type"), "image/webp");
    assert_eq!(decode(&response.bytes().await.unwrap()).0, ImageFormat::WebP);
    let stream = proxy.generate(wish(json!({"output_format": "jpeg", "stream": true}))).await.text().await.unwrap();
    let data = stream.split_once("\ndata: ").unwrap().1;
    let event: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!((&event["output_format"], &event["size"]), (&"jpeg".into(), &"64x64".into()));
    let picture = &pictures(&json!({"data": [event]}))[0];
    assert_eq!(decode(picture).0, ImageFormat::Jpeg);
}

#[tokio::test]
async fn a_picture_that_cannot_be_spooled_is_an_error_that_says_so() {
    let (data, spool) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let proxy = TestProxy::with(NOVA).data_dir(data.path()).spool(spool.path()).start().await;
    spool.close().unwrap();
    let response = proxy.generate(wish(json!({"output_format": "webp", "response_format": "url"}))).await;
    assert_eq!(response.status(), 500);
    assert_eq!(header(response.headers(), "x-should-retry"), "false");
    let error = &response.json().await.unwrap()["error"];
    assert_eq!(error["code"], "storage_error");
    insta::assert_snapshot!(error["message"].as_str().unwrap(), @"the picture was painted, but could not be encoded anew. The log says why: the folder for uploads may be full. Leave out 'output_format' and 'output_compression' to have it as it is painted");
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn jpeg_has_no_transparency_and_says_so() {
    let mut picture = RgbaImage::from_pixel(16, 16, Rgba([200, 0, 0, 255]));
    (0..16).for_each(|x| picture.put_pixel(x, 0, Rgba([0, 0, 0, 0])));
    let (service, _) = upstream(&encoded(&picture)).await;
    let proxy = TestProxy::with(NOVA).upstream(&service.url).start().await;
    let ask = async |format: &str| -> Value {
        let reply: Value = proxy.generate(wish(json!({"output_format": format}))).await.json().await.unwrap();
        reply
    };
    let reply = ask("jpeg").await;
    let flat = decode(&pictures(&reply)[0]).1.to_rgb8();
    assert!(flat.get_pixel(8, 0).0.iter().all(|channel| *channel > 200), "{:?}", flat.get_pixel(8, 0));
    let warning = "transparency was laid on white: JPEG has none. Ask for 'png' or 'webp' to keep it";
    assert_eq!(reply["easel"]["warnings"], json!([warning]));
    let reply = ask("webp").await;
    assert!(reply.get("easel").is_none());
    assert_eq!(decode(&pictures(&reply)[0]).1.to_rgba8().get_pixel(8, 0).0[3], 0);
    let metrics = proxy.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("easel_replies_incomplete_total 0"), "nothing is missing");
    let refused = proxy.generate(wish(json!({"output_format": "jpeg", "background": "transparent"}))).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json().await.unwrap()["error"]["param"], "output_format");
}

#[tokio::test]
async fn what_cannot_be_encoded_anew_breaks_the_reply() {
    for body in [r#"{"images":["aGVsbG8="]}"#, r#"{"images":["%%%%"]}"#] {
        let service = Service::start(move |_, _| (200, body.to_owned())).await;
        let proxy = TestProxy::with(NOVA).upstream(&service.url).start().await;
        let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url));
        // The connection may break before its head has left.
        let whole =
            async { request.body(r#"{"prompt": "a cat", "output_format": "jpeg"}"#).send().await?.bytes().await };
        assert!(whole.await.is_err(), "{body}");
        let metrics = proxy.get("/metrics").await.text().await.unwrap();
        assert!(metrics.contains("easel_replies_broken_total 1"), "{body}");
    }
}

fn encoded(picture: &RgbaImage) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A Bedrock that always answers this picture, and the base64 that it sends.
async fn upstream(file: &[u8]) -> (Service, String) {
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, file);
    let body = json!({"images": [base64], "error": null}).to_string();
    (Service::start(move |_, _| (200, body.clone())).await, base64)
}
