//! Pictures on their way in: forms and JSON as real clients send them, and what is refused. Must not judge what is
//! painted: `edits.rs` does.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::{ImageFormat, RgbImage};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::form::Form;
use crate::support::{NOVA, ReadJson, TestProxy};

/// A model that changes a picture by words alone.
const SD35: &str = "
model_list:
  - model_name: sd35
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, image::Rgb([200, 30, 30])).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

async fn dry(proxy: &TestProxy, form: Form) -> Response {
    form.send(proxy, "/v1/images/validate").await
}

#[track_caller]
fn check_error(error: &Value, param: Option<&str>, code: &str, says: &str) {
    let error = &error["error"];
    assert_eq!((error["param"].as_str(), error["code"].as_str()), (param, Some(code)), "{error}");
    assert!(error["message"].as_str().unwrap().contains(says), "{error}");
}

/// The requests of a folder of captures, each as a form with the headers of its parts as they were, and pictures
/// that can be edited in place of the captured ones.
fn captured() -> Vec<(String, Form, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/uploads");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let requests: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for request in requests {
            let mut form = Form::new();
            let mut texts = json!({});
            for part in request["body"]["multipart"].as_array().unwrap() {
                let headers: Vec<_> = part["headers"].as_array().unwrap().iter().map(|h| h.as_str().unwrap()).collect();
                let name = headers.join(";").split("name=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
                if name.starts_with("image") || name == "mask" {
                    form = form.part(&headers, &png(512, 512));
                } else {
                    form = form.part(&headers, part["value"].as_str().unwrap().as_bytes());
                    texts[name] = part["value"].clone();
                }
            }
            let chunked = request["headers"].as_array().unwrap().iter().any(|h| h[1] == "chunked");
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), form.chunked(chunked), texts));
        }
    }
    assert_eq!(found.len(), 11);
    found
}

#[tokio::test]
async fn forms_of_real_clients_are_read() {
    // Nova Canvas takes several pictures.
    let proxy = TestProxy::with(NOVA).start().await;
    for (name, form, texts) in captured() {
        // Masks and transparency are other tasks' business.
        let images = form.count("image");
        let form = form.without("mask").without("background").without("model");
        let response = dry(&proxy, form).await;
        let told: Value = response.json().await.unwrap();
        let params = &told["calls"][0]["body"]["imageVariationParams"];
        assert_eq!(params["text"], texts["prompt"], "{name}: {told}");
        let sent = params["images"].as_array().unwrap();
        assert!(sent.iter().all(|image| image.as_str().unwrap().contains("512x512 png")), "{name}: {told}");
        assert_eq!(sent.len(), images, "{name}");
    }
}

#[tokio::test]
async fn every_form_of_a_picture_is_the_same_picture() {
    let proxy = TestProxy::with(SD35).start().await;
    let file = png(256, 256);
    let base64 = STANDARD.encode(&file);
    let url = format!("data:image/png;base64,{base64}");
    let length = file.len();
    let expected = |name: &str| format!("<{name}: 256x256 png, {length} bytes>");
    let forms = [
        Form::new().file("image", &file),
        Form::new().file("image[]", &file),
        Form::new().file("image[0]", &file),
        Form::new().part(
            &["Content-Type: image/png", "Content-Disposition: form-data; name=\"image\"; filename=\"a\""],
            &file,
        ),
        Form::new().part(&["content-disposition: form-data; name=image; filename=x.png"], &file),
        Form::new().part(&["Content-Disposition: form-data; name=\"image\""], &file),
        Form::new().text("image", &url),
        Form::new().text("image", &base64),
    ];
    for (place, form) in forms.into_iter().enumerate() {
        let told: Value = dry(&proxy, form.text("prompt", "a hat")).await.json().await.unwrap();
        assert_eq!(told["calls"][0]["body"]["image"], expected("image"), "form {place}: {told}");
    }
    let bodies = [
        json!({"images": [{"image_url": url}]}),
        json!({"images": [{"image_url": {"url": url}}]}),
        json!({"image": url}),
        json!({"image": base64}),
        json!({"image": [url]}),
    ];
    for body in bodies {
        let mut whole = json!({"prompt": "a hat"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let told: Value = proxy.post("/v1/images/validate", whole.to_string()).await.json().await.unwrap();
        let image = told["calls"][0]["body"]["image"].as_str().unwrap_or_else(|| panic!("{told}"));
        assert!(image.contains("256x256 png"), "{body}: {told}");
    }
}

#[tokio::test]
async fn long_json_keeps_its_pictures_out_of_memory_and_the_rest_as_it_was() {
    let proxy = TestProxy::with(SD35).start().await;
    let mut noise = RgbImage::new(600, 600);
    let mut random = fastrand::Rng::with_seed(3);
    noise.pixels_mut().for_each(|pixel| pixel.0 = [random.u8(..), random.u8(..), random.u8(..)]);
    let mut file = Cursor::new(Vec::new());
    noise.write_to(&mut file, ImageFormat::Png).unwrap();
    let file = file.into_inner();
    assert!(file.len() > 500_000);
    let url = format!("data:image/png;base64,{}", STANDARD.encode(&file));
    let body = json!({"prompt": "a \"hat\"", "seed": 4, "images": [{"image_url": url}], "response_format": "b64_json"});
    let response = proxy.post("/v1/images/edits", body.to_string()).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    let sent = proxy.sent();
    assert_eq!((sent["prompt"].as_str(), sent["seed"].as_u64()), (Some("a \"hat\""), Some(4)));
    assert_eq!(STANDARD.decode(sent["image"].as_str().unwrap()).unwrap(), file);
}

#[tokio::test]
async fn what_cannot_be_a_picture_is_refused_by_name() {
    let proxy = TestProxy::with(SD35).start().await;
    let base = || Form::new().text("prompt", "a hat");
    let cut = &png(64, 64)[..100];
    for (form, param, code, says) in [
        (base(), Some("image"), "missing_required_parameter", "Send the picture as a PNG, JPEG or WebP file"),
        (base().file("image", b""), Some("image"), "invalid_image_file", "'image' is empty"),
        (base().file("image", b"GIF89a..."), Some("image"), "invalid_image_file", "'image' is a GIF"),
        (base().file("image", cut), Some("image"), "invalid_image_file", "is a png that was cut off"),
        (
            base().file("image[]", &png(64, 64)).file("image[]", b"x"),
            Some("image[1]"),
            "invalid_image_file",
            "'image[1]' is no picture that can be read",
        ),
        (base().text("image", "not base64!"), Some("image"), "invalid_image_file", "neither base64 nor a data URL"),
        (
            base().text("image", "https://example.com/a.png"),
            Some("image"),
            "invalid_image_file",
            "'image' is a link: its host is not among those that pictures are fetched from",
        ),
        (
            (0..17).fold(base(), |form, _| form.file("image", &png(8, 8))),
            Some("image"),
            "invalid_value",
            "'image' comes 17 times. At most 16",
        ),
        (
            base().file("image", &png(64, 64)).file("mask", &png(64, 64)).file("mask", &png(64, 64)),
            Some("mask"),
            "invalid_value",
            "'mask' comes more than once",
        ),
    ] {
        let response = form.send(&proxy, "/v1/images/edits").await;
        assert_eq!(response.status(), 400, "{says}");
        check_error(&response.json().await.unwrap(), param, code, says);
    }
    let body = json!({"prompt": "a hat", "images": [{"file_id": "file-abc"}]}).to_string();
    let by_id: Value = proxy.post("/v1/images/edits", body).await.json().await.unwrap();
    check_error(&by_id, Some("images"), "invalid_image_file", "'images' is named by file_id. Files are not kept here");
    // The first could be base64, were it not where words belong.
    for words in ["words ", "two words, "] {
        let long: Value = proxy.generate(json!({"prompt": words.repeat(100_000)})).await.json().await.unwrap();
        let says = "'prompt' is longer than 64 KB and no picture in base64. Send a shorter text";
        check_error(&long, Some("prompt"), "string_above_max_length", says);
    }
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn forms_that_break_off_or_are_none() {
    let proxy = TestProxy::with(SD35).start().await;
    let send = |body: &'static str| {
        let request = proxy.client.post(format!("{}/v1/images/edits", proxy.url));
        request.header("content-type", "multipart/form-data; boundary=x").body(body).send()
    };
    for (body, code) in [
        ("", "incomplete_body"),
        ("--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nabc", "incomplete_body"),
        ("--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na\r\n", "incomplete_body"),
        ("--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n\u{0}\r\n--x--", "missing_required_parameter"),
    ] {
        let response = send(body).await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
        assert_eq!(response.json().await.unwrap()["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn uploads_have_their_limits() {
    let proxy = TestProxy::with(SD35).start().await;
    let part = |name: &str, length: usize| {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n");
        let zeros = Bytes::from(vec![0; 1_000_000]);
        let pieces = std::iter::repeat_n(zeros, length).chain([Bytes::from_static(b"\r\n")]);
        std::iter::once(Bytes::from(head)).chain(pieces)
    };
    let send = |pieces: Vec<Bytes>| {
        let stream = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
        let request = proxy.client.post(format!("{}/v1/images/edits", proxy.url));
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        request.body(reqwest::Body::wrap_stream(stream)).send()
    };
    let response = send(part("image", 51).collect()).await.unwrap();
    assert_eq!(response.status(), 400);
    check_error(&response.json().await.unwrap(), Some("image"), "invalid_image_file", "'image' is larger than 50 MB");
    let five = (0..5).flat_map(|_| part("image", 45)).collect();
    let response = send(five).await.unwrap();
    assert_eq!(response.status(), 413);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["message"], "the body is larger than 200 MB, the most that is taken here");
}

/// Who sends all of his body before he reads is told what is wrong: a connection that is closed while he sends is reset,
/// and the reply is lost.
#[tokio::test]
async fn a_body_is_read_to_its_end_before_it_is_refused() {
    let proxy = TestProxy::with(SD35).start().await;
    let address = proxy.url.strip_prefix("http://").unwrap();
    let part = b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n";
    let zeros = vec![0; 45_000_000];
    let body = [part, &zeros[..], b"\r\n", part, &zeros, b"\r\n--x--\r\n"].concat();
    let whole = (format!("content-length: {}\r\n\r\n", body.len()), "");
    let chunked = (format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()), "\r\n0\r\n\r\n");
    for (path, (begin, end), status) in [
        ("/v1/images/generations", &whole, 413),
        ("/v1/images/generations", &chunked, 413),
        ("/v1/images/nope", &whole, 404),
        ("/v1/models", &whole, 405),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: multipart/form-data; boundary=x\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        for bytes in [head.as_bytes(), begin.as_bytes(), &body, end.as_bytes()] {
            stream.write_all(bytes).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&reply), format!("HTTP/1.1 {status}"), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let proxy = TestProxy::with(SD35).start().await;
    let address = proxy.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/images/edits HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\ncontent-length: 300000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 413");
}

/// Node's streams send the end of a chunked body apart from its last bytes. A connection that was closed before it had
/// come was reset, and the reply was cut.
#[tokio::test]
async fn a_body_is_read_to_its_end_before_it_is_answered() {
    let proxy = TestProxy::with(SD35).start().await;
    let address = proxy.url.strip_prefix("http://").unwrap();
    for _ in 0..5 {
        let body = Form::new().text("prompt", "a hat").file("image", &png(256, 256)).bytes();
        let head = format!(
            "POST /v1/images/edits HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
             content-type: {}\r\n\r\n{:x}\r\n",
            Form::content_type(),
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[head.as_bytes(), &body, b"\r\n"].concat()).await.unwrap();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        assert!(reply.starts_with(b"HTTP/1.1 200") && reply.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", reply.len());
    }
}
