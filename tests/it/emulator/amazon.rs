//! What Nova Canvas and Titan make of pictures that are sent in, and what they refuse.
//! It must not ask whether a picture is beautiful, only which of its pixels changed.
use super::{
    NOVA, Stage,
    pictures::{changed, decoded, file, grey, half_transparent, halves, jpeg, mean, motley, plain, png, rgba, webp},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};

const TITAN_1: &str =
    "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Acustom-model%2Famazon.titan-image-generator-v1%2Fabcdefghij12";
const TITAN_2: &str = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Acustom-model%2Famazon.titan-image-generator-v2%3A0%2Fabcdefghij12";

fn inpainting(params: &Value) -> Value {
    json!({"taskType": "INPAINTING", "inPaintingParams": params})
}

fn outpainting(params: &Value) -> Value {
    json!({"taskType": "OUTPAINTING", "outPaintingParams": params})
}

fn left(width: u32) -> impl Fn(u32, u32) -> bool {
    move |x, _| x < width / 2
}
#[tokio::test]
async fn inpainting_changes_what_is_black_and_not_one_pixel_more() {
    let (stage, old) = (Stage::new().await, motley(512, 320));
    for model in [NOVA, TITAN_1, TITAN_2] {
        let ask =
            inpainting(&json!({"image": png(&old), "maskImage": png(&halves(512, 320, 0, 255)), "text": "a cat"}));
        let reply = stage.reply(model, &ask).await;
        let (inside, outside) = changed(&old, &decoded(&reply["images"][0]), left(512));
        assert!(inside > 0.99 && outside == 0.0, "{inside} {outside}");
        assert_eq!((&reply["error"], reply.get("maskImage")), (&Value::Null, None));
    }
    let nothing = inpainting(&json!({"image": png(&old), "maskImage": png(&plain(512, 320, [255; 3])), "text": "a"}));
    assert_eq!(rgba(&stage.picture(NOVA, &nothing).await), rgba(&old));
}

#[tokio::test]
async fn a_prompt_points_at_the_ellipse_in_the_middle() {
    let (stage, old) = (Stage::new().await, motley(400, 320));
    let inside = |x: u32, y: u32| {
        let (x, y) = ((f64::from(x) + 0.5 - 200.0) / 100.0, (f64::from(y) + 0.5 - 160.0) / 80.0);
        x * x + y * y < 1.0
    };
    let new = stage.picture(NOVA, &inpainting(&json!({"image": png(&old), "maskPrompt": "the hat"}))).await;
    let (in_ellipse, around) = changed(&old, &new, inside);
    assert!(in_ellipse > 0.99 && around < 0.001, "{in_ellipse} {around}");
    let ask = outpainting(&json!({"image": png(&old), "maskPrompt": "the hat", "text": "a beach"}));
    let (in_ellipse, around) = changed(&old, &stage.picture(NOVA, &ask).await, inside);
    assert!(in_ellipse < 0.01 && around > 0.99, "{in_ellipse} {around}");
}

#[tokio::test]
async fn outpainting_changes_what_is_white() {
    let (stage, old) = (Stage::new().await, motley(512, 320));
    for model in [NOVA, TITAN_2] {
        let mask = png(&halves(512, 320, 255, 0));
        let ask =
            outpainting(&json!({"image": jpeg(&old), "maskImage": mask, "text": "a", "outPaintingMode": "PRECISE"}));
        let sent = image::load_from_memory(&BASE64_STANDARD.decode(jpeg(&old)).unwrap()).unwrap();
        let (inside, outside) = changed(&sent, &stage.picture(model, &ask).await, left(512));
        assert!(inside > 0.99 && outside == 0.0, "{inside} {outside}");
    }
}

#[tokio::test]
async fn several_edits_differ_by_their_seeds() {
    let (stage, old) = (Stage::new().await, motley(320, 320));
    let mut ask = inpainting(&json!({"image": png(&old), "maskPrompt": "a hat"}));
    ask["imageGenerationConfig"] = json!({"numberOfImages": 3, "seed": 8});
    let reply = stage.reply(NOVA, &ask).await;
    let mut pictures: Vec<_> = reply["images"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(pictures.len(), 3);
    ask["imageGenerationConfig"] = json!({"seed": 9});
    assert_eq!(stage.reply(NOVA, &ask).await["images"][0].to_string(), pictures[1]);
    pictures.dedup();
    assert_eq!(pictures.len(), 3);
}

#[tokio::test]
async fn titan_gives_its_mask_back_and_edits_at_another_size() {
    let (stage, old) = (Stage::new().await, motley(512, 512));
    let mask = halves(512, 512, 0, 255);
    for (task, params) in [("INPAINTING", "inPaintingParams"), ("OUTPAINTING", "outPaintingParams")] {
        let ask = json!({"taskType": task,
            params: {"image": png(&old), "maskImage": png(&mask), "text": "a cat", "returnMask": true},
            "imageGenerationConfig": {"width": 384, "height": 576}});
        let reply = stage.reply(TITAN_1, &ask).await;
        let (new, back) = (decoded(&reply["images"][0]), decoded(&reply["maskImage"]));
        assert_eq!((new.width(), new.height()), (384, 576));
        assert_eq!(rgba(&back), rgba(&halves(384, 576, 0, 255)), "as it was sent, in {task}");
    }
}

#[tokio::test]
async fn the_background_becomes_transparent() {
    let (stage, old) = (Stage::new().await, motley(320, 400));
    for model in [NOVA, TITAN_2] {
        let ask = json!({"taskType": "BACKGROUND_REMOVAL", "backgroundRemovalParams": {"image": png(&old)}});
        let new = stage.picture(model, &ask).await;
        assert_eq!((new.color(), changed(&old, &new, |_, _| true).0), (image::ColorType::Rgba8, 0.0));
        let new = rgba(&new);
        let alpha = |x, y| new.get_pixel(x, y).0[3];
        assert_eq!([alpha(0, 0), alpha(319, 0), alpha(160, 10), alpha(160, 200), alpha(60, 200)], [0, 0, 0, 255, 255]);
    }
}

#[tokio::test]
async fn pictures_that_are_followed_lend_their_colours() {
    let stage = Stage::new().await;
    let (red, blue) = (plain(320, 320, [220, 20, 30]), plain(320, 320, [10, 40, 230]));
    let config = json!({"width": 320, "height": 384});
    let vary = |images: &[&DynamicImage]| {
        let images: Vec<_> = images.iter().map(|image| png(image)).collect();
        json!({"taskType": "IMAGE_VARIATION", "imageVariationParams": {"images": images, "text": "a cat"},
            "imageGenerationConfig": config})
    };
    let condition = |image: &DynamicImage| {
        json!({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat", "conditionImage": png(image)},
            "imageGenerationConfig": config})
    };
    for (red, blue) in [(vary(&[&red]), vary(&[&blue])), (condition(&red), condition(&blue))] {
        let (red, blue) = (stage.picture(NOVA, &red).await, stage.picture(NOVA, &blue).await);
        assert_eq!((red.width(), red.height()), (320, 384));
        let ([red_r, _, red_b], [blue_r, _, blue_b]) = (mean(&red), mean(&blue));
        assert!(red_r > red_b + 50.0 && blue_b > blue_r + 50.0, "{:?} {:?}", mean(&red), mean(&blue));
    }
    let both = mean(&stage.picture(NOVA, &vary(&[&red, &blue])).await);
    assert!((both[0] - both[2]).abs() < 50.0, "{both:?}");
    let inverted = plain(320, 320, [220, 20, 31]);
    assert!(stage.reply(NOVA, &vary(&[&red])).await != stage.reply(NOVA, &vary(&[&inverted])).await);
}

#[tokio::test]
async fn a_garment_is_put_where_it_is_worn() {
    let (stage, body) = (Stage::new().await, motley(400, 800));
    let ask = |mask: Value| {
        let mut params = json!({"sourceImage": png(&body), "referenceImage": png(&plain(320, 320, [9, 200, 7])),
            "returnMask": true});
        params.as_object_mut().unwrap().extend(mask.as_object().unwrap().clone());
        json!({"taskType": "VIRTUAL_TRY_ON", "virtualTryOnParams": params})
    };
    let garment = |class: &str| json!({"maskType": "GARMENT", "garmentBasedMask": {"garmentClass": class}});
    let image = json!({"maskType": "IMAGE", "imageBasedMask": {"maskImage": png(&halves(400, 800, 0, 255))}});
    let prompt =
        json!({"maskType": "PROMPT", "promptBasedMask": {"maskPrompt": "the hat", "maskShape": "BOUNDING_BOX"}});
    type Worn = fn(u32, u32) -> bool;
    let cases: [(Value, Worn); 5] = [
        (garment("UPPER_BODY"), |x, y| (100..300).contains(&x) && (200..400).contains(&y)),
        (garment("LONG_PANTS"), |x, y| (100..300).contains(&x) && (400..700).contains(&y)),
        (garment("SHOES"), |x, y| (100..300).contains(&x) && y >= 700),
        (image, |x, _| x < 200),
        (prompt, |x, y| (100..300).contains(&x) && (200..600).contains(&y)),
    ];
    for (mask, worn) in cases {
        let reply = stage.reply(NOVA, &ask(mask)).await;
        let (new, back) = (decoded(&reply["images"][0]), decoded(&reply["maskImage"]).to_rgb8());
        assert_eq!(changed(&body, &new, worn), (1.0, 0.0));
        for (x, y, pixel) in new.to_rgb8().enumerate_pixels().filter(|(x, y, _)| worn(*x, *y)) {
            assert_eq!((pixel.0, back.get_pixel(x, y).0), ([9, 200, 7], [0; 3]));
        }
        assert_eq!(back.get_pixel(399, 0).0, [255; 3]);
    }
    let message =
        stage.complaint(NOVA, &ask(json!({"maskType": "IMAGE", "promptBasedMask": {"maskPrompt": "a"}}))).await;
    let expect = "#/virtualTryOnParams: required key [imageBasedMask] not found";
    assert_eq!(message, format!("Malformed input request: {expect}, please reformat your input and try again."));
}

#[tokio::test]
async fn pictures_are_refused_by_their_kind() {
    let (stage, good) = (Stage::new().await, motley(320, 320));
    let ask = |image: String| inpainting(&json!({"image": image, "maskPrompt": "a hat"}));
    let decode = "Unable to decode image. It must be a base64 encoded PNG or JPEG.";
    let mut cut = file(&good, ImageFormat::Png);
    cut.truncate(cut.len() / 2);
    let kind = |kind| format!("image must be RGB with 8 bits per channel, not {kind}.");
    let clear = "image must not contain any transparent or translucent pixels.";
    let sixteen = DynamicImage::ImageRgb16(good.to_rgb16());
    for (image, expect) in [
        (format!("data:image/png;base64,{}", png(&good)), decode.to_owned()),
        ("%%%".to_owned(), decode.to_owned()),
        ("YWJj".to_owned(), decode.to_owned()),
        (BASE64_STANDARD.encode(cut), decode.to_owned()),
        (webp(&good), decode.to_owned()),
        (png(&grey(320, 320)), kind("grey")),
        (jpeg(&grey(320, 320)), kind("grey")),
        (png(&sixteen), kind("16-bit")),
        (BASE64_STANDARD.encode(in_cmyk(&file(&good, ImageFormat::Jpeg))), kind("CMYK")),
        (png(&half_transparent(&good)), clear.to_owned()),
        (png(&motley(319, 400)), "The sides of image must be between 320 and 4096 pixels, not 319 x 400.".to_owned()),
        (png(&grey(1284, 320)), "The aspect ratio of image must be between 1:4 and 4:1, not 1284 x 320.".to_owned()),
        (png(&grey(2050, 2050)), "image must have at most 4194304 pixels, not 4202500.".to_owned()),
    ] {
        assert_eq!(stage.complaint(NOVA, &ask(image)).await, expect);
    }
    assert_eq!(stage.answer(NOVA, &ask(png(&DynamicImage::ImageRgba8(good.to_rgba8())))).await.0, 200, "opaque alpha");
    let large = ask(png(&grey(1409, 320)));
    let expect = "The sides of image must be between 1 and 1408 pixels, not 1409 x 320.";
    assert_eq!(stage.complaint(TITAN_2, &large).await, expect);
}

/// Makes a JPEG tell that it has four components, as one in CMYK does in its frame's header.
fn in_cmyk(jpeg: &[u8]) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let mut jpeg = jpeg.to_vec();
    assert_eq!(jpeg[frame + 9], 3);
    jpeg[frame + 9] = 4;
    jpeg
}

#[tokio::test]
async fn masks_are_pure_and_fit() {
    let (stage, good) = (Stage::new().await, motley(320, 320));
    let ask = |mask: &DynamicImage| inpainting(&json!({"image": png(&good), "maskImage": png(mask)}));
    let pure = "maskImage must contain only pure black and pure white pixels.";
    for (mask, expect) in [
        (halves(320, 320, 0, 254), pure),
        (plain(320, 320, [255, 0, 0]), pure),
        (halves(336, 320, 0, 255), "maskImage must have the dimensions of the image, 320 x 320, not 336 x 320."),
        (half_transparent(&good), "maskImage must not contain any transparent or translucent pixels."),
        (grey(320, 320), "maskImage must be RGB with 8 bits per channel, not grey."),
    ] {
        assert_eq!(stage.complaint(NOVA, &ask(&mask)).await, expect);
    }
    let mut both = ask(&halves(320, 320, 0, 255));
    both["inPaintingParams"]["maskPrompt"] = "a hat".into();
    let expect = "#/inPaintingParams: 2 subschemas matched instead of one";
    let expect = format!("Malformed input request: {expect}, please reformat your input and try again.");
    assert_eq!(stage.complaint(NOVA, &both).await, expect);
}
