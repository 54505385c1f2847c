//! The emulator over a real socket: rules, doors, pictures and every fault's bytes.
//! It must not use the emulator's own code to judge the emulator.

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use base64::{Engine, prelude::BASE64_STANDARD};
use easel::emulator::{Emulator, Fault, Options};
use reqwest::{Client, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};
use time::{OffsetDateTime, macros::datetime};
use tokio::net::{TcpListener, TcpStream};

mod amazon;
mod faults;
mod pictures;
mod services;

const NOVA: &str = "amazon.nova-canvas-v1%3A0";
const CORE: &str = "stability.stable-image-core-v1%3A1";
const SD35: &str = "stability.sd3-5-large-v1%3A0";
const FIXTURE: &str = include_str!("../fixtures/sigv4-and-api-keys.json");

fn noon() -> OffsetDateTime {
    datetime!(2026-11-22 12:00:00 UTC)
}

struct Stage {
    emulator: Emulator,
    address: String,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Options { record: true, ..Options::new(noon) }).await
    }

    async fn with(options: Options) -> Self {
        let emulator = Emulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { emulator, address, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn post(&self, model: &str, body: &Value) -> RequestBuilder {
        let url = self.url(&format!("/model/{model}/invoke"));
        self.client.post(url).bearer_auth("emulated").body(body.to_string())
    }

    async fn answer(&self, model: &str, body: &Value) -> (u16, HeaderMap, String) {
        told(self.post(model, body).send().await.unwrap()).await
    }
}

async fn told(response: Response) -> (u16, HeaderMap, String) {
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

/// The least that a model can be asked for.
fn wish(model: &str) -> Value {
    match model {
        NOVA => nova(&json!({"width": 320, "height": 320})),
        _ => json!({"prompt": "a cat", "seed": 5}),
    }
}

fn nova(config: &Value) -> Value {
    json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}, "imageGenerationConfig": config})
}

fn picture(text: &str, index: usize) -> Vec<u8> {
    let body: Value = serde_json::from_str(text).unwrap();
    BASE64_STANDARD.decode(body["images"][index].as_str().unwrap()).unwrap()
}

fn size(picture: &[u8]) -> (usize, usize) {
    let size = imagesize::blob_size(picture).unwrap();
    (size.width, size.height)
}

#[tokio::test]
async fn a_picture_has_the_size_the_weight_and_the_look_of_a_real_reply() {
    let stage = Stage::new().await;
    let (status, headers, text) = stage.answer(NOVA, &nova(&json!({}))).await;
    assert_eq!((status, headers["content-type"].as_bytes()), (200, &b"application/json"[..]));
    assert_eq!(headers["content-length"].to_str().unwrap(), text.len().to_string());
    assert!(headers.contains_key("x-amzn-requestid") && headers.contains_key("x-amzn-bedrock-invocation-latency"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"], Value::Null);
    let png = picture(&text, 0);
    assert_eq!(size(&png), (1024, 1024));
    assert!((1_000_000..2_500_000).contains(&png.len()), "{}", png.len());
    let (_, _, again) = stage.answer("amazon.nova-canvas-v1:0", &nova(&json!({"seed": 12}))).await;
    assert!(text == again, "the default seed is 12, and the same wish is the same picture");
}

#[tokio::test]
async fn several_pictures_differ_and_match_their_own_seeds() {
    let stage = Stage::new().await;
    let (_, _, five) =
        stage.answer(NOVA, &nova(&json!({"width": 320, "height": 336, "numberOfImages": 5, "seed": 1}))).await;
    let (_, _, third) = stage.answer(NOVA, &nova(&json!({"width": 320, "height": 336, "seed": 3}))).await;
    let mut all: Vec<_> = (0..5).map(|index| picture(&five, index)).collect();
    assert_eq!(size(&all[0]), (320, 336));
    assert!(all[2] == picture(&third, 0));
    all.dedup();
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn colours_guide_the_picture() {
    let stage = Stage::new().await;
    let ask = |colors: Value| {
        json!({"taskType": "COLOR_GUIDED_GENERATION", "imageGenerationConfig": {"width": 320, "height": 320},
            "colorGuidedGenerationParams": {"text": "a cat", "colors": colors}})
    };
    let (status, _, red) = stage.answer(NOVA, &ask(json!(["#FF0000"]))).await;
    let (_, _, blue) = stage.answer(NOVA, &ask(json!(["#0000FF", "#00FF00"]))).await;
    assert_eq!(status, 200);
    assert!(picture(&red, 0) != picture(&blue, 0));
}

#[tokio::test]
async fn stability_replies_in_its_own_shape_and_formats() {
    let stage = Stage::new().await;
    for (format, kind) in
        [("png", imagesize::ImageType::Png), ("jpeg", imagesize::ImageType::Jpeg), ("webp", imagesize::ImageType::Webp)]
    {
        let ask = json!({"prompt": "a cat emulate:tiny", "mode": "text-to-image", "seed": 9, "output_format": format});
        let (status, _, text) = stage.answer(SD35, &ask).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &body["seeds"], &body["finish_reasons"]), (200, &json!([9]), &json!([null])));
        let bytes = picture(&text, 0);
        assert_eq!((size(&bytes), imagesize::image_type(&bytes).unwrap()), ((64, 64), kind));
    }
    let (_, _, text) = stage.answer(CORE, &json!({"prompt": "a cat", "aspect_ratio": "21:9"})).await;
    assert_eq!(size(&picture(&text, 0)), (1536, 640));
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["seeds"][0].as_u64().unwrap() > 0, "a seed that was left open is drawn");
}

#[track_caller]
fn refused(answer: (u16, HeaderMap, String), status: u16, kind: &str, body: &Value) {
    let (seen, headers, text) = answer;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *body);
    let expect = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    assert_eq!((seen, headers["x-amzn-errortype"].to_str().unwrap()), (status, expect.as_str()));
    assert!(headers.contains_key("x-amzn-requestid"));
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn bodies_are_refused_in_bedrocks_words() {
    let stage = Stage::new().await;
    let mut long = nova(&json!({}));
    long["textToImageParams"]["text"] = "x".repeat(1469).into();
    for (ask, what) in [
        (long, "#/textToImageParams/text: expected maxLength: 1024, actual: 1469"),
        (nova(&json!({"stream": true})), "#/imageGenerationConfig: extraneous key [stream] is not permitted"),
        (nova(&json!({"width": 100})), "#/imageGenerationConfig/width: 100 is not greater or equal to 320"),
        (nova(&json!({"width": 328})), "#/imageGenerationConfig/width: 328 is not a multiple of 16"),
        (nova(&json!({"cfgScale": 11})), "#/imageGenerationConfig/cfgScale: 11 is not less or equal to 10"),
        (nova(&json!({"numberOfImages": 6})), "#/imageGenerationConfig/numberOfImages: 6 is not less or equal to 5"),
        (nova(&json!({"quality": "hd"})), "#/imageGenerationConfig/quality: hd is not a valid enum value"),
        (nova(&json!({"seed": "1"})), "#/imageGenerationConfig/seed: expected type: Integer, found: String"),
        (nova(&json!({"n": 1, "size": "1x1"})), "2 schema violations found"),
    ] {
        let message = format!("Malformed input request: {what}, please reformat your input and try again.");
        refused(stage.answer(NOVA, &ask).await, 400, "ValidationException", &json!({"message": message}));
    }
    let (_, _, text) = stage.answer(CORE, &json!({"prompt": "a", "n": 1})).await;
    let fields = "['prompt', 'negative_prompt', 'seed', 'output_format', 'aspect_ratio']";
    let detail = json!({"detail": format!("Invalid field in request. Available fields: {fields}")});
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"message": detail.to_string()}));
    let garbled = stage.post(CORE, &Value::Null).body("{\"prompt\":").send().await.unwrap();
    let message = "Malformed input request, please reformat your input and try again.";
    refused(told(garbled).await, 400, "ValidationException", &json!({"message": message}));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let stage = Stage::new().await;
    let large = "x".repeat(25_000_001);
    let (status, _, text) = told(stage.post(CORE, &Value::Null).body(large).send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert!(text.contains("Member must have length less than or equal to 25000000"), "{text}");
}

#[tokio::test]
async fn paths_name_models_as_on_aws() {
    let stage = Stage::new().await;
    let ask = json!({"prompt": "emulate:tiny"});
    let arn = "arn%3Aaws%3Abedrock%3Aus-west-2%3A%3Afoundation-model%2Fstability.stable-image-core-v1%3A1";
    for id in [arn, "us.stability.stable-image-core-v1%3A1", "stability.stable-image-core-v1:1"] {
        assert_eq!(stage.answer(id, &ask).await.0, 200, "{id}");
    }
    let first = &stage.emulator.calls()[0];
    assert_eq!(first.model_id, "arn:aws:bedrock:us-west-2::foundation-model/stability.stable-image-core-v1:1");
    assert_eq!((first.raw_path.as_str(), first.auth.as_str()), (format!("/model/{arn}/invoke").as_str(), "bearer"));
    assert_eq!((&first.body, first.region.as_deref()), (&ask, None));
    let message = json!({"message": "The provided model identifier is invalid."});
    refused(stage.answer("stability.unheard-of", &ask).await, 400, "ValidationException", &message);
    let (status, headers, _) = stage.answer("a/b", &ask).await;
    assert_eq!(status, 404);
    assert!(headers["x-amzn-errortype"].to_str().unwrap().starts_with("UnknownOperationException"));
}

#[tokio::test]
async fn the_front_door_reads_bearer_keys() {
    let stage = Stage::new().await;
    let knock = |key: &str, region: &str| {
        let url = stage.url(&format!("/model/{CORE}/invoke"));
        let request = stage.client.post(url).header("x-emulated-region", region).body("{\"prompt\":\"emulate:tiny\"}");
        if key.is_empty() { request } else { request.bearer_auth(key) }
    };
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    for case in fixture["tokens"].as_array().unwrap() {
        let (token, region) = (case["token"].as_str().unwrap(), case["region"].as_str().unwrap());
        assert_eq!(knock(token, region).send().await.unwrap().status(), 200);
        assert_eq!(stage.emulator.calls().last().unwrap().region.as_deref(), Some(region));
        let message = json!({"Message": "Authentication failed: Please make sure your API Key is valid."});
        let answer = told(knock(token, "eu-west-1").send().await.unwrap()).await;
        refused(answer, 403, "AccessDeniedException", &message);
    }
    let answer = told(knock("", "").send().await.unwrap()).await;
    let message = json!({"Message": "Missing Authentication Token"});
    refused(answer, 403, "MissingAuthenticationTokenException", &message);
    let late = Stage::with(Options::new(|| datetime!(2026-11-23 00:00:01 UTC))).await;
    let token = fixture["tokens"][0]["token"].as_str().unwrap();
    let answer = told(late.post(CORE, &json!({})).headers(bearer(token)).send().await.unwrap()).await;
    refused(answer, 403, "AccessDeniedException", &json!({"Message": "Bearer Token has expired"}));
}

fn bearer(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
}

/// Signs with the crate that real clients sign with.
async fn signed(stage: &Stage, path: &str, secret: &str, sent: &str) -> (u16, HeaderMap, String) {
    let body = r#"{"prompt":"emulate:tiny"}"#;
    let pair = aws_credential_types::Credentials::new("AKIDEXAMPLE", secret, Some("session//==".into()), None, "test");
    let identity = pair.into();
    let time = UNIX_EPOCH + Duration::from_secs(noon().unix_timestamp().unsigned_abs());
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-west-2")
        .name("bedrock")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = stage.url(path);
    let headers = [("content-type", "application/json"), ("host", stage.address.as_str())];
    let request =
        SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    let mut request = stage.client.post(&url).header("content-type", "application/json").body(sent.to_owned());
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    told(request.send().await.unwrap()).await
}

#[tokio::test]
async fn the_front_door_checks_signatures() {
    let stage = Stage::new().await;
    let (secret, body) = ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", r#"{"prompt":"emulate:tiny"}"#);
    let arn = "arn%3Aaws%3Abedrock%3Aus-west-2%3A%3Afoundation-model%2Fstability.stable-image-core-v1%3A1";
    for id in [CORE, arn, "stability.stable-image-core-v1:1"] {
        let (status, _, text) = signed(&stage, &format!("/model/{id}/invoke"), secret, body).await;
        assert_eq!(status, 200, "{text}");
        let call = stage.emulator.calls().pop().unwrap();
        assert_eq!((call.auth.as_str(), call.region.as_deref()), ("sigv4", Some("us-west-2")));
    }
    let path = format!("/model/{CORE}/invoke");
    for (secret, body) in [("another", body), (secret, r#"{"prompt":"another"}"#)] {
        let (status, headers, text) = signed(&stage, &path, secret, body).await;
        assert_eq!(status, 403);
        assert!(headers["x-amzn-errortype"].to_str().unwrap().starts_with("InvalidSignatureException:"));
        assert!(text.starts_with(r#"{"Message":"The request signature we calculated does not match"#), "{text}");
    }
}

#[tokio::test]
async fn the_page_says_how_to_use_it() {
    let stage = Stage::new().await;
    let (status, _, text) = told(stage.client.get(stage.url("/")).send().await.unwrap()).await;
    assert_eq!(status, 200);
    for word in ["stability.sd3-5-large-v1:0", "reset-mid-body", stage.address.as_str()] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(stage.client.get(stage.url("/health")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn it_stops_when_told_even_with_a_stalled_call() {
    let emulator = Emulator::new(Options { fault: Some(Fault::Stall), ..Options::new(noon) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(emulator.serve(listener, async { drop(stopped.await) }));
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/model/{CORE}/invoke");
    let stalled = client.post(url).bearer_auth("emulated").body("{\"prompt\":\"a cat\"}").send().await.unwrap();
    assert_eq!(stalled.status(), 200);
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(stalled.bytes().await.is_err(), "the stalled call is cut off");
    assert!(TcpStream::connect(address).await.is_err());
}
