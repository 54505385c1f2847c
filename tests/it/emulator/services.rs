//! What Stability's models make of pictures that are sent in, and what they refuse.
//! It must not ask whether a picture is beautiful, only which of its pixels changed.
use super::{
    SD35, Stage,
    pictures::{changed, decoded, file, grey, half_transparent, halves, jpeg, mean, motley, plain, png, rgba, webp},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};

fn service(name: &str) -> String {
    format!("us.stability.stable-{name}-v1%3A0")
}

fn left(width: u32) -> impl Fn(u32, u32) -> bool {
    move |x, _| x < width / 2
}

fn detail(text: &str) -> String {
    json!({"detail": text}).to_string()
}

#[tokio::test]
async fn what_is_white_changes_and_not_one_pixel_more() {
    let (stage, old) = (Stage::new().await, motley(200, 128));
    // Half as large: a mask is brought to the picture's size.
    let mask = png(&halves(100, 64, 255, 0));
    for (name, ask) in [
        ("image-inpaint", json!({"image": png(&old), "mask": mask, "prompt": "a cat", "seed": 5, "grow_mask": 20})),
        ("image-erase-object", json!({"image": webp(&old), "mask": mask, "seed": 5})),
        ("image-inpaint", json!({"image": png(&half_transparent(&old)), "prompt": "a cat", "seed": 5})),
    ] {
        let reply = stage.reply(&service(name), &ask).await;
        assert_eq!((&reply["seeds"], &reply["finish_reasons"]), (&json!([5]), &json!([null])));
        let new = decoded(&reply["images"][0]);
        let (inside, outside) = changed(&old, &new, left(200));
        assert!(inside > 0.99 && outside == 0.0, "{name}: {inside} {outside}");
        assert_eq!(new.color(), image::ColorType::Rgb8);
    }
}

#[tokio::test]
async fn grey_in_a_mask_is_strength() {
    let (stage, old) = (Stage::new().await, plain(128, 128, [0, 0, 0]));
    let inpaint = service("image-inpaint");
    let ask = |mask: u8| json!({"image": png(&old), "mask": png(&plain(64, 64, [mask; 3])), "prompt": "a", "seed": 3});
    let sum = async |mask| mean(&stage.picture(&inpaint, &ask(mask)).await).iter().sum::<f64>();
    let (none, half, all) = (sum(0).await, sum(128).await, sum(255).await);
    assert!(none == 0.0 && (half / all - 0.5).abs() < 0.02, "{none} {half} {all}");
}

#[tokio::test]
async fn a_prompt_points_at_the_ellipse_in_the_middle() {
    let (stage, old) = (Stage::new().await, motley(200, 120));
    let inside = |x: u32, y: u32| {
        let (x, y) = ((f64::from(x) + 0.5 - 100.0) / 50.0, (f64::from(y) + 0.5 - 60.0) / 30.0);
        x * x + y * y < 1.0
    };
    for (name, prompt) in [("image-search-replace", "search_prompt"), ("image-search-recolor", "select_prompt")] {
        let ask = json!({"image": png(&old), "prompt": "red", prompt: "the hat", "seed": 5});
        let new = stage.picture(&service(name), &ask).await;
        let (in_ellipse, around) = changed(&old, &new, inside);
        assert!(in_ellipse > 0.99 && around < 0.01, "{name}: {in_ellipse} {around}");
    }
}

#[tokio::test]
async fn recolouring_keeps_the_shapes() {
    let (stage, old) = (Stage::new().await, halves(200, 120, 10, 250));
    let ask = json!({"image": png(&old), "prompt": "red", "select_prompt": "the hat", "seed": 5});
    let new = stage.picture(&service("image-search-recolor"), &ask).await.to_rgb8();
    let light = |x| new.get_pixel(x, 60).0.map(u32::from).iter().sum::<u32>();
    assert!(light(80) * 2 < light(120), "{} {}", light(80), light(120));
}

#[tokio::test]
async fn outpainting_adds_margins() {
    let (stage, old) = (Stage::new().await, motley(120, 100));
    let ask = json!({"image": png(&old), "left": 40, "up": 20, "down": 7, "prompt": "a beach", "seed": 5});
    let new = stage.picture(&service("outpaint"), &ask).await;
    assert_eq!((new.width(), new.height()), (160, 127));
    assert_eq!(rgba(&new.crop_imm(40, 20, 120, 100)), rgba(&old));
    assert!(mean(&new.crop_imm(0, 0, 40, 127)).iter().sum::<f64>() > 10.0, "the margin is painted");
    for ask in [json!({"image": png(&old)}), json!({"image": png(&old), "left": 0, "prompt": "a"})] {
        let expect = detail("at least one of left, right, up and down must be greater than 0");
        assert_eq!(stage.complaint(&service("outpaint"), &ask).await, expect);
    }
}

#[tokio::test]
async fn the_background_becomes_transparent_or_white() {
    let (stage, old) = (Stage::new().await, motley(120, 100));
    for format in ["png", "webp"] {
        let ask = json!({"image": png(&old), "output_format": format});
        let new = stage.picture(&service("image-remove-background"), &ask).await;
        let new = new.as_rgba8().unwrap();
        let pixel = |x, y| new.get_pixel(x, y).0;
        assert_eq!([pixel(0, 0)[3], pixel(119, 50)[3], pixel(60, 2)[3]], [0; 3], "{format}");
        assert_eq!(pixel(60, 50), rgba(&old).get_pixel(60, 50).0, "{format}");
    }
    let ask = json!({"image": png(&old), "output_format": "jpeg"});
    let new = stage.picture(&service("image-remove-background"), &ask).await.to_rgb8();
    assert!(new.get_pixel(2, 2).0.iter().all(|channel| *channel > 245));
}

#[tokio::test]
async fn upscalers_enlarge() {
    let (stage, small) = (Stage::new().await, halves(64, 48, 20, 200));
    let prompted = json!({"image": png(&small), "prompt": "sharp", "seed": 1});
    let portrait = plain(64, 128, [9; 3]);
    let tall = json!({"image": png(&portrait), "prompt": "sharp", "seed": 1});
    for (name, ask, size) in [
        ("fast-upscale", json!({"image": png(&small)}), (256, 192)),
        ("conservative-upscale", tall.clone(), (256, 512)),
        ("creative-upscale", tall, (1024, 2048)),
    ] {
        let new = stage.picture(&service(name), &ask).await;
        assert_eq!((new.width(), new.height()), size, "{name}");
    }
    let new = stage.picture(&service("fast-upscale"), &json!({"image": png(&small)})).await.to_rgb8();
    assert_eq!((new.get_pixel(10, 10).0, new.get_pixel(245, 180).0), ([20; 3], [200; 3]));
    for (name, ask, range) in [
        ("fast-upscale", json!({"image": png(&grey(1537, 64))}), "width and height must be between 32 and 1536 pixels"),
        (
            "fast-upscale",
            json!({"image": png(&grey(1200, 1200))}),
            "total number of pixels must be between 1024 and 1048576",
        ),
        ("conservative-upscale", prompted.clone(), "width and height must be at least 64 pixels"),
        ("creative-upscale", prompted, "width and height must be at least 64 pixels"),
    ] {
        assert_eq!(stage.complaint(&service(name), &ask).await, detail(&format!("image: {range}")));
    }
}

#[tokio::test]
async fn pictures_that_are_followed_lend_their_colours() {
    let stage = Stage::new().await;
    // Three to two, which is one of the models' ratios.
    let (red, blue) = (plain(96, 64, [220, 20, 30]), plain(96, 64, [10, 40, 230]));
    let of = |image: &DynamicImage| json!({"image": png(image), "prompt": "a cat", "seed": 5});
    let wide = (1216, 832);
    for (model, extra, size) in [
        (service("image-control-sketch"), json!({}), wide),
        (service("image-control-structure"), json!({"control_strength": 0.9}), wide),
        (service("image-style-guide"), json!({"aspect_ratio": "9:21"}), (640, 1536)),
        ("stability.stable-image-ultra-v1%3A1".to_owned(), json!({}), wide),
        (SD35.to_owned(), json!({"mode": "image-to-image", "strength": 0.5}), wide),
    ] {
        let mut means = Vec::new();
        for image in [&red, &blue] {
            let mut ask = of(image);
            ask.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let new = stage.picture(&model, &ask).await;
            assert_eq!((new.width(), new.height()), size, "{model}");
            means.push(mean(&new));
        }
        let leans = means[0][0] > means[0][2] + 50.0 && means[1][2] > means[1][0] + 50.0;
        assert!(leans, "{model}: {means:?}");
    }
    let transfer =
        |init: &DynamicImage, style: &DynamicImage| json!({"init_image": png(init), "style_image": png(style)});
    let both = mean(&stage.picture(&service("style-transfer"), &transfer(&red, &blue)).await);
    assert!((both[0] - both[2]).abs() < 50.0, "{both:?}");
}

#[tokio::test]
async fn every_format_comes_back() {
    let (stage, old) = (Stage::new().await, motley(100, 100));
    for (format, kind) in [("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)] {
        for name in ["image-search-replace", "image-search-recolor"] {
            let pointer = if name.ends_with("recolor") { "select_prompt" } else { "search_prompt" };
            let ask = json!({"image": jpeg(&old), "prompt": "a", "output_format": format, pointer: "b"});
            let reply = stage.reply(&service(name), &ask).await;
            let bytes = BASE64_STANDARD.decode(reply["images"][0].as_str().unwrap()).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), kind);
        }
    }
}

#[tokio::test]
async fn pictures_are_refused_by_their_kind() {
    let (stage, good) = (Stage::new().await, motley(100, 100));
    let inpaint = service("image-inpaint");
    let decode = "image: unable to decode, expected base64 of jpeg, png or webp";
    let mask = png(&halves(64, 64, 0, 255));
    let ask = |image: String| json!({"image": image, "prompt": "a", "mask": mask});
    let mut cut = file(&good, ImageFormat::Png);
    cut.truncate(cut.len() / 2);
    for (image, expect) in [
        (format!("data:image/png;base64,{}", png(&good)), decode),
        ("YWJj".to_owned(), decode),
        (BASE64_STANDARD.encode(cut), decode),
        (png(&motley(63, 100)), "image: width and height must be at least 64 pixels"),
        (png(&grey(100, 251)), "image: aspect ratio must be between 1:2.5 and 2.5:1"),
        (png(&grey(3072, 3073)), "image: total number of pixels must be between 0 and 9437184"),
    ] {
        assert_eq!(stage.complaint(&inpaint, &ask(image)).await, detail(expect));
    }
    let masked = json!({"image": png(&good), "prompt": "a", "mask": "YWJj"});
    assert_eq!(stage.complaint(&inpaint, &masked).await, detail(&decode.replace("image:", "mask:")));
    for opaque in [good.clone(), DynamicImage::ImageRgba8(good.to_rgba8())] {
        let ask = json!({"image": png(&opaque), "prompt": "a"});
        let expect = detail("mask is required when the image has no transparent pixels");
        assert_eq!(stage.complaint(&inpaint, &ask).await, expect);
    }
    for kind in [grey(100, 100), DynamicImage::ImageRgb16(good.to_rgb16())] {
        assert_eq!(stage.answer(&inpaint, &ask(png(&kind))).await.0, 200, "{:?}", kind.color());
    }
}

#[tokio::test]
async fn services_answer_through_profiles_only() {
    let (stage, ask) = (Stage::new().await, json!({"image": png(&motley(64, 64))}));
    let profile =
        "arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Ainference-profile%2Fus.stability.stable-fast-upscale-v1%3A0";
    assert_eq!(stage.answer(profile, &ask).await.0, 200);
    let message = stage.complaint("stability.stable-fast-upscale-v1%3A0", &ask).await;
    assert_eq!(
        message,
        "Invocation of model ID stability.stable-fast-upscale-v1:0 with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."
    );
}

#[tokio::test]
async fn stable_diffusion_xl_has_a_shape_of_its_own() {
    let stage = Stage::new().await;
    let (status, _, _) = stage.answer("stability.stable-diffusion-xl-v1", &json!({})).await;
    assert_eq!(status, 404, "it has ended, but for those who have their own");
    let model = "arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aprovisioned-model%2Fsdxl12345678";
    let ask = json!({"text_prompts": [{"text": "a cat", "weight": 1}], "cfg_scale": 7, "steps": 30, "seed": 5,
        "width": 640, "height": 1536, "style_preset": "anime"});
    let reply = stage.reply(model, &ask).await;
    let picture = decoded(&reply["artifacts"][0]["base64"]);
    assert_eq!((picture.width(), picture.height()), (640, 1536));
    let expect = json!({"result": "success", "artifacts": [
        {"base64": reply["artifacts"][0]["base64"], "seed": 5, "finishReason": "SUCCESS"}]});
    assert_eq!(reply, expect);
    let faulty = |fault: &str| json!({"text_prompts": [{"text": format!("a cat emulate:{fault}")}]});
    for (fault, reason) in [("filter-all", "CONTENT_FILTERED"), ("inference-error", "ERROR")] {
        let reply = stage.reply(model, &faulty(fault)).await;
        assert_eq!(reply["artifacts"][0]["finishReason"], reason);
    }
    assert_eq!(stage.reply(model, &faulty("empty")).await, json!({"result": "success", "artifacts": []}));
    let blocked =
        "This request has been blocked by our content filters. Please adjust your text prompt to submit a new request.";
    assert_eq!(stage.complaint(model, &faulty("filter-input")).await, blocked);
    let odd = stage.reply(model, &faulty("odd-json")).await;
    assert!(decoded(&odd["artifacts"][0]["base64"]).width() == 1024 && odd["result"] == "success");
}

#[tokio::test]
async fn faults_work_for_edits_too() {
    let (stage, image) = (Stage::new().await, png(&motley(320, 320)));
    let nova = |text: &str| {
        json!({"taskType": "INPAINTING",
            "inPaintingParams": {"image": image, "maskPrompt": "a hat", "text": format!("a cat emulate:{text}")}})
    };
    let replace =
        |text: &str| json!({"image": image, "prompt": format!("a cat emulate:{text}"), "search_prompt": "a hat"});
    let blocked = |what: &str| {
        format!(
            "This request has been blocked by our content filters. Please adjust your {what} to submit a new request."
        )
    };
    assert_eq!(stage.complaint(super::NOVA, &nova("filter-image")).await, blocked("input image"));
    assert_eq!(stage.complaint(super::NOVA, &nova("filter-input")).await, blocked("text prompt"));
    let model = service("image-search-replace");
    for (fault, reason) in [
        ("filter-image", "Filter reason: input image"),
        ("filter-input", "Filter reason: prompt"),
        ("filter-all", "Filter reason: output image"),
        ("inference-error", "Inference error"),
    ] {
        assert_eq!(stage.reply(&model, &replace(fault)).await, json!({"finish_reasons": [reason]}));
    }
    for (model, ask) in [(super::NOVA, nova("tiny")), (model.as_str(), replace("tiny"))] {
        let tiny = stage.picture(model, &ask).await;
        assert_eq!((tiny.width(), tiny.height()), (64, 64));
    }
    for (model, ask) in [(super::NOVA, nova("odd-json")), (model.as_str(), replace("odd-json"))] {
        assert_eq!(stage.picture(model, &ask).await.width(), 320);
    }
    stage.emulator.script([Some("filter-image".parse().unwrap())]);
    let ask: Value = json!({"image": image});
    let reply = stage.reply(&service("image-remove-background"), &ask).await;
    assert_eq!(reply, json!({"finish_reasons": ["Filter reason: input image"]}));
}
