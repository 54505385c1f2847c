//! Painting from text: whole bodies, and what is said of them. Must not call anyone.

use serde_json::{Value, json};

use super::*;
use crate::provider::size;

#[track_caller]
fn make(model: &str, members: Value, defaults: Value, part: Part) -> Result<Made, Unsupported> {
    Ask { defaults, part, ..Ask::new(model, members) }.make()
}

#[track_caller]
fn check(model: &str, members: Value, body: Value, mapped: &[&str], ignored: &[&str]) {
    Ask::new(model, members).check(body, mapped, ignored);
}

#[track_caller]
fn check_refused(model: &str, members: Value, param: &str, message: &str) {
    Ask::new(model, members).check_refused(param, message);
}

#[test]
fn nova_text_image() {
    check(
        NOVA,
        json!({}),
        json!({"textToImageParams": {"text": "a cat"}, "taskType": "TEXT_IMAGE",
               "imageGenerationConfig": {"numberOfImages": 1, "seed": 7}}),
        &[],
        &[],
    );
    check(
        NOVA,
        json!({"size": "1792x1024", "quality": "hd", "seed": 42, "negative_prompt": "dogs", "cfgScale": 8, "style": "vivid",
               "user": "u", "foo": 1}),
        json!({"textToImageParams": {"text": "a cat", "negativeText": "dogs"}, "taskType": "TEXT_IMAGE",
               "imageGenerationConfig": {"numberOfImages": 1, "width": 1792, "height": 1024, "quality": "premium",
                                         "cfgScale": 8.0, "seed": 42}}),
        &["quality=hd->premium"],
        &["style", "user", "foo"],
    );
}

#[test]
fn nova_native_members_anywhere() {
    let config = json!({"numberOfImages": 1, "width": 640, "height": 320, "cfgScale": 3.5, "seed": 9});
    check(
        NOVA,
        json!({"textToImageParams": {"text": "a dog", "style": "PHOTOREALISM", "conditionImage": "data:image/png;base64,AAAA",
                                     "controlMode": "SEGMENTATION", "controlStrength": 0.5},
               "imageGenerationConfig": {"width": 640, "height": 320, "cfgScale": 3.5, "seed": 1, "stream": false}, "seed": 9}),
        json!({"textToImageParams": {"text": "a dog", "style": "PHOTOREALISM", "conditionImage": "AAAA",
                                     "controlMode": "SEGMENTATION", "controlStrength": 0.5},
               "taskType": "TEXT_IMAGE", "imageGenerationConfig": config}),
        &[],
        &["imageGenerationConfig.stream"],
    );
    check(
        NOVA,
        json!({"taskType": "COLOR_GUIDED_GENERATION",
               "colorGuidedGenerationParams": {"colors": ["#FF9900", "#000000"], "negativeText": "x", "referenceImage": "BBBB"}}),
        json!({"colorGuidedGenerationParams": {"text": "a cat", "negativeText": "x", "colors": ["#FF9900", "#000000"],
                                               "referenceImage": "BBBB"},
               "taskType": "COLOR_GUIDED_GENERATION", "imageGenerationConfig": {"numberOfImages": 1, "seed": 7}}),
        &[],
        &[],
    );
}

#[test]
fn nova_sizes() {
    let mapped = |size: &str| {
        let made = make(NOVA, json!({"size": size}), json!({}), ONE).unwrap();
        let config = &made.body["imageGenerationConfig"];
        (format!("{}x{}", config["width"], config["height"]), made.mapped)
    };
    for size in ["512x512", "1024x1024", "1792x1024", "1024x1792", "1536x1024", "2048x2048", "320x320", "4096x1024"] {
        assert_eq!(mapped(size), (size.to_owned(), vec![]));
    }
    assert_eq!(mapped("256x256"), ("320x320".into(), vec!["size=256x256->320x320".into()]));
    assert_eq!(mapped("1000x1000"), ("1008x1008".into(), vec!["size=1000x1000->1008x1008".into()]));
    assert_eq!(mapped("3840x2160"), ("2720x1536".into(), vec!["size=3840x2160->2720x1536".into()]));
    assert_eq!(mapped("256x1024").0, "320x1280");
    check_refused(NOVA, json!({"size": "10x10"}), "size", "'size' is '10x10'. The nearest valid is '320x320'");
    check_refused(
        NOVA,
        json!({"size": "5000x1000"}),
        "size",
        "'size' is '5000x1000'. The nearest valid is '4000x1008'",
    );
    check_refused(
        NOVA,
        json!({"size": "99999x99999"}),
        "size",
        "'size' is '99999x99999'. The nearest valid is '2048x2048'",
    );
}

#[test]
fn every_clamped_size_is_legal() {
    use proptest::prelude::*;
    let rule = size::Pixels { min_side: 320, max_side: 4096, multiple: 16, max_pixels: 4_194_304, max_ratio: 4 };
    proptest!(|(width in 64u32..=8192, height in 64u32..=8192)| {
        if let Ok(near) = rule.nearest(Size::new(width, height)) {
            prop_assert_eq!(rule.nearest(near), Ok(near));
        }
    });
}

#[test]
fn stability_takes_the_nearest_ratio() {
    for (size, ratio) in [
        ("1024x1024", "1:1"),
        ("256x256", "1:1"),
        ("1792x1024", "16:9"),
        ("1024x1792", "9:16"),
        ("1536x1024", "3:2"),
        ("1024x1536", "2:3"),
        ("2100x900", "21:9"),
        ("640x1600", "9:21"),
    ] {
        check(
            CORE,
            json!({"size": size}),
            json!({"prompt": "a cat", "aspect_ratio": ratio, "seed": 8, "output_format": "png"}),
            &[&format!("size={size}->aspect_ratio={ratio}")],
            &[],
        );
    }
    check_refused(CORE, json!({"size": "9000x100"}), "size", "'size' is '9000x100'. The nearest valid is '1568x672'");
}

#[test]
fn stability_maps_refuses_and_drops() {
    check(
        SD35,
        json!({"negativeText": "dogs", "aspect_ratio": "21:9", "output_format": "webp", "quality": "hd", "seed": 3}),
        json!({"prompt": "a cat", "negative_prompt": "dogs", "aspect_ratio": "21:9", "seed": 3, "output_format": "webp"}),
        &[],
        &["quality"],
    );
    check_refused(
        CORE,
        json!({"cfgScale": 8}),
        "cfgScale",
        "'cfgScale' is nothing this model takes here. Leave it out, or send drop_params: true",
    );
    check_refused(
        CORE,
        json!({"colors": ["#FF9900"]}),
        "colors",
        "'colors' is nothing this model takes here. Leave it out, or send drop_params: true",
    );
    check(
        CORE,
        json!({"colors": ["#FF9900"], "cfgScale": 8, "background": "transparent", "drop_params": true}),
        json!({"prompt": "a cat", "seed": 8, "output_format": "png"}),
        &[],
        &["cfgScale", "background", "colors"],
    );
    let image = "'image' is nothing this model takes. It paints from text alone";
    check_refused(CORE, json!({"image": "AAAA"}), "image", image);
}

#[test]
fn stability_paints_over_a_picture() {
    check(
        SD35,
        json!({"image": "AAAA", "strength": 0.5}),
        json!({"prompt": "a cat", "image": "AAAA", "strength": 0.5, "mode": "image-to-image", "seed": 8, "output_format": "png"}),
        &[],
        &[],
    );
    check(
        ULTRA,
        json!({"image": "AAAA", "size": "512x512"}),
        json!({"prompt": "a cat", "image": "AAAA", "strength": 0.35, "seed": 8, "output_format": "png"}),
        &[],
        &["size"],
    );
}

/// What is asked of the model, what is made of its answer, and what has no effect.
#[track_caller]
fn check_encoding(model: &str, members: Value, asked: Option<&str>, transcode: Option<(Format, u8)>, ignored: &[&str]) {
    let made = make(model, members, json!({}), ONE).unwrap();
    assert_eq!(made.body["output_format"].as_str(), asked);
    assert_eq!(made.transcode, transcode.map(|(format, quality)| Encoding { format, quality }));
    assert_eq!((made.mapped.len(), &*made.ignored), (0, &*ignored.iter().map(ToString::to_string).collect::<Vec<_>>()));
}

#[test]
fn encodings_are_the_models_own_where_it_has_them() {
    let plain = |format: &str| json!({"output_format": format});
    let squeezed = |format: &str| json!({"output_format": format, "output_compression": 60});
    check_encoding(NOVA, json!({}), None, None, &[]);
    check_encoding(NOVA, plain("png"), None, None, &[]);
    check_encoding(NOVA, plain("jpeg"), None, Some((Format::Jpeg, 100)), &[]);
    check_encoding(NOVA, squeezed("webp"), None, Some((Format::Webp, 60)), &[]);
    check_encoding(NOVA, squeezed("png"), None, None, &["output_compression"]);
    check_encoding(NOVA, json!({"output_compression": 60}), None, None, &["output_compression"]);
    check_encoding(NOVA, json!({"output_compression": 100}), None, None, &[]);
    check_encoding(CORE, plain("jpeg"), Some("jpeg"), None, &[]);
    check_encoding(CORE, plain("webp"), Some("png"), Some((Format::Webp, 100)), &[]);
    check_encoding(CORE, squeezed("jpeg"), Some("png"), Some((Format::Jpeg, 60)), &[]);
    check_encoding(SD35, plain("webp"), Some("webp"), None, &[]);
    let message =
        "'output_format' is 'jpeg', and 'background' is 'transparent', which JPEG has not. Use 'png' or 'webp'";
    check_refused(NOVA, json!({"output_format": "jpeg", "background": "transparent"}), "output_format", message);
}

#[test]
fn seeds_count_up_and_wrap_and_zero_is_drawn() {
    let seed = |model: &str, seed: u64, first| {
        let made = make(model, json!({"seed": seed}), json!({}), Part { first, count: 1 }).unwrap();
        made.body["seed"].as_u64().or(made.body["imageGenerationConfig"]["seed"].as_u64()).unwrap()
    };
    assert_eq!(seed(SD35, 42, 3), 45);
    assert_eq!(seed(SD35, 4_294_967_294, 1), 1);
    assert_eq!(seed(CORE, 0, 0), 8);
    assert_eq!(seed(NOVA, 0, 0), 0);
    assert_eq!(seed(NOVA, 2_147_483_646, 1), 0);
    check_refused(
        NOVA,
        json!({"seed": 2_147_483_647}),
        "seed",
        "'seed' is 2147483647. This model takes at most 2147483646",
    );
}

#[test]
fn the_config_speaks_where_the_caller_is_silent_and_never_refuses() {
    let defaults = json!({"quality": "premium", "seed": 5, "size": "512x512", "colors": ["#FF9900"], "cfgScale": 2});
    let made = make(CORE, json!({"seed": 6}), defaults, ONE).unwrap();
    assert_eq!(made.body, json!({"prompt": "a cat", "aspect_ratio": "1:1", "seed": 6, "output_format": "png"}));
    let made = make(NOVA, json!({"size": "1024x1024"}), json!({"quality": "premium", "size": "512x512"}), ONE).unwrap();
    assert_eq!(made.body["imageGenerationConfig"]["quality"], "premium");
    assert_eq!(made.body["imageGenerationConfig"]["width"], 1024);
}

#[test]
fn long_prompts_and_strict_members_are_refused() {
    let long = "é".repeat(1025);
    check_refused(
        NOVA,
        json!({"prompt": long}),
        "prompt",
        "'prompt' has 1025 characters. This model takes at most 1024",
    );
    assert!(make(CORE, json!({"prompt": long}), json!({}), ONE).is_ok());
    check_refused(NOVA, json!({"foo": 1, "strict": 1}), "foo", "unknown parameter: 'foo'");
}

#[test]
fn titan_speaks_novas_envelope_with_less_in_it() {
    check(
        TITAN,
        json!({"size": "1792x1024", "quality": "hd", "seed": 4, "negative_prompt": "dogs", "style": "PHOTOREALISM",
               "conditionImage": "AAAA"}),
        json!({"textToImageParams": {"text": "a cat", "negativeText": "dogs", "conditionImage": "AAAA"},
               "taskType": "TEXT_IMAGE",
               "imageGenerationConfig": {"numberOfImages": 1, "width": 1408, "height": 768, "quality": "premium", "seed": 4}}),
        &["size=1792x1024->1408x768", "quality=hd->premium"],
        &["style"],
    );
    for (size, nearest) in
        [("1024x1024", "1024x1024"), ("256x256", "512x512"), ("1024x1536", "768x1152"), ("2000x2000", "1024x1024")]
    {
        let made = make(TITAN, json!({"size": size}), json!({}), ONE).unwrap();
        let config = &made.body["imageGenerationConfig"];
        assert_eq!(format!("{}x{}", config["width"], config["height"]), nearest, "{size}");
    }
    let colors = json!({"taskType": "COLOR_GUIDED_GENERATION", "colors": ["#FF9900"]});
    assert!(make(TITAN, colors.clone(), json!({}), ONE).is_ok());
    let message = "'taskType' is 'COLOR_GUIDED_GENERATION'. This model takes TEXT_IMAGE, IMAGE_VARIATION, INPAINTING, OUTPAINTING";
    check_refused(TITAN_1, colors, "taskType", message);
    let long = "x".repeat(513);
    check_refused(
        TITAN,
        json!({"prompt": long}),
        "prompt",
        "'prompt' has 513 characters. This model takes at most 512",
    );
}
