//! Stability's services: whole bodies with every field, what is missing, and who stands in for whom. Must not know
//! other models.

use serde_json::{Value, json};

use super::*;
use crate::picture::attachment;

const IMAGE: &str = "<image: 512x512 png, 100 bytes>";
const MASK: &str = "<mask: mask of 512x512, white is edited>";

fn id(service: &str) -> String {
    format!("us.stability.stable-{service}-v1:0")
}

fn edit(service: &str, members: Value) -> Ask {
    Ask::edit(&id(service), members)
}

/// Every member in, and the same members out beside the picture.
#[track_caller]
fn all_fields(service: &str, members: Value) {
    let mut body = members.clone();
    body.as_object_mut().unwrap().insert("image".into(), IMAGE.into());
    for asked in [Asked::Alone, Asked::Fallback] {
        let made = edit(service, members.clone()).asked(asked).make().unwrap();
        assert_eq!((&made.body, made.request.makeshift), (&body, false));
        assert_eq!((made.mapped.len(), made.ignored.len()), (0, 0), "{:?} {:?}", made.mapped, made.ignored);
    }
    // Forms hold texts.
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Value =
        members.as_object().unwrap().iter().map(|(k, v)| (k.clone(), Value::from(text(v.clone())))).collect();
    assert_eq!(edit(service, texts).make().unwrap().body, body);
}

#[test]
fn every_field_of_every_service() {
    let words = json!({"prompt": "a hat", "negative_prompt": "dogs", "seed": 5, "output_format": "webp", "style_preset": "anime"});
    let with = |base: &Value, more: Value| {
        let mut members = base.clone();
        members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        members
    };
    all_fields("image-search-replace", with(&words, json!({"search_prompt": "a cap", "grow_mask": 20})));
    all_fields("image-search-recolor", with(&words, json!({"select_prompt": "a cap", "grow_mask": 0})));
    let margins = json!({"left": 2000, "right": 1, "up": 3, "down": 4, "creativity": 0.1, "prompt": "a hat", "seed": 5,
                         "output_format": "jpeg", "style_preset": "tile-texture"});
    all_fields("outpaint", margins);
    let control = |service, more: Value| {
        let task = with(&words, more);
        let mut body = task.clone();
        body.as_object_mut().unwrap().insert("image".into(), IMAGE.into());
        edit(service, task).check(body, &[], &[]);
    };
    control("image-control-sketch", json!({"control_strength": 0.7}));
    control("image-control-structure", json!({"control_strength": 1.0}));
    control("image-style-guide", json!({"fidelity": 0.5, "aspect_ratio": "21:9"}));
    control("creative-upscale", json!({"creativity": 0.5}));
    let plain =
        json!({"prompt": "a hat", "negative_prompt": "dogs", "seed": 5, "output_format": "png", "creativity": 0.1});
    let mut body = plain.clone();
    body.as_object_mut().unwrap().insert("image".into(), IMAGE.into());
    edit("conservative-upscale", plain).check(body, &[], &[]);
    let bare = json!({"image": IMAGE, "output_format": "jpeg"});
    let members = || json!({"prompt": "", "output_format": "jpeg"});
    edit("fast-upscale", members()).check(bare.clone(), &[], &[]);
    edit("image-remove-background", members()).check(bare, &[], &[]);
}

#[test]
fn masks_are_white_where_something_is_changed() {
    let words = json!({"prompt": "a hat", "negative_prompt": "dogs", "seed": 5, "output_format": "png",
                       "style_preset": "origami", "grow_mask": 7});
    let body = |more: Value| {
        let mut body = words.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let masked = body(json!({"image": IMAGE, "mask": MASK}));
    edit("image-inpaint", words.clone()).mask(transparent("mask", 512, 512)).check(masked.clone(), &[], &[]);
    let scaled = &["mask=256x256->512x512"];
    edit("image-inpaint", words.clone()).mask(png("mask", 256, 256)).check(masked, scaled, &[]);
    // The service reads the picture's own transparency.
    let own = edit("image-inpaint", words.clone()).images([transparent("image", 512, 512)]);
    own.check(body(json!({"image": IMAGE})), &[], &[]);
    let erased = json!({"image": IMAGE, "mask": MASK, "seed": 5, "output_format": "png", "grow_mask": 7});
    edit("image-erase-object", json!({"prompt": "", "seed": 5, "grow_mask": 7}))
        .mask(transparent("mask", 512, 512))
        .asked(Asked::Fallback)
        .check(erased, &[], &[]);
    // Nova Canvas's own member, in its own shades.
    let attached = vec![png("maskImage", 512, 512)];
    let ask = Ask { attached, ..edit("image-inpaint", json!({"maskImage": attachment(0), "taskType": "INPAINTING"})) };
    let body = json!({"prompt": "a cat", "image": IMAGE, "mask": "<maskImage: mask of 512x512, white is edited>",
                      "seed": 8, "output_format": "png"});
    ask.check(body, &[], &[]);
}

#[test]
fn one_picture_takes_the_style_of_another() {
    let two = || [png("image[0]", 512, 512), png("image[1]", 640, 480)];
    let members = json!({"prompt": "", "negative_prompt": "dogs", "seed": 5, "output_format": "png",
                         "composition_fidelity": 0.9, "style_strength": 1, "change_strength": 0.1});
    let mut body = members.clone();
    body.as_object_mut().unwrap().remove("prompt");
    body.as_object_mut().unwrap().extend(
        json!({"init_image": "<image[0]: 512x512 png, 100 bytes>",
        "style_image": "<image[1]: 640x480 png, 100 bytes>"})
        .as_object()
        .unwrap()
        .clone(),
    );
    edit("style-transfer", members).images(two()).check(body, &[], &[]);
    let attached = vec![png("init_image", 512, 512), png("style_image", 512, 512)];
    let members = json!({"init_image": attachment(0), "style_image": attachment(1)});
    let ask = Ask { attached, intent: Intent::Edit, ..Ask::new(&id("style-transfer"), members) };
    let body = json!({"prompt": "a cat", "init_image": "<init_image: 512x512 png, 100 bytes>",
        "style_image": "<style_image: 512x512 png, 100 bytes>", "seed": 8, "output_format": "png"});
    ask.asked(Asked::Fallback).check(body, &[], &[]);
    let one = "'style_image' is missing. This model gives one picture the style of another: send two";
    edit("style-transfer", json!({"task": "style-transfer"})).check_refused("style_image", one);
}

#[test]
fn values_out_of_range_are_named() {
    for (service, members, message) in [
        (
            "image-search-replace",
            json!({"grow_mask": 21}),
            "'grow_mask' is the number 21. It takes a whole number from 0 to 20",
        ),
        (
            "image-search-replace",
            json!({"grow_mask": 1.5}),
            "'grow_mask' is the number 1.5. It takes a whole number from 0 to 20",
        ),
        (
            "outpaint",
            json!({"left": 1, "creativity": 0.05}),
            "'creativity' is the number 0.05. It takes a number from 0.1 to 1",
        ),
        ("outpaint", json!({"left": -1}), "'left' is the number -1. It takes a whole number from 0 to 2000"),
        (
            "image-control-sketch",
            json!({"control_strength": 2}),
            "'control_strength' is the number 2. It takes a number from 0 to 1",
        ),
        (
            "image-style-guide",
            json!({"fidelity": "much"}),
            "'fidelity' is the string 'much'. It takes a number from 0 to 1",
        ),
        (
            "creative-upscale",
            json!({"creativity": 0.6}),
            "'creativity' is the number 0.6. It takes a number from 0.1 to 0.5",
        ),
        (
            "conservative-upscale",
            json!({"creativity": 0.6}),
            "'creativity' is the number 0.6. It takes a number from 0.1 to 0.5",
        ),
    ] {
        let mut members = members;
        members["search_prompt"] = json!("x");
        if service != "image-search-replace" {
            members.as_object_mut().unwrap().remove("search_prompt");
        }
        let refused = edit(service, members).make().unwrap_err();
        assert_eq!(refused.message, message);
    }
    let style = edit("outpaint", json!({"left": 1, "style_preset": "cubist"})).make().unwrap_err();
    assert!(style.message.starts_with("'style_preset' is 'cubist'. It takes 3d-model, "), "{}", style.message);
    for name in ["composition_fidelity", "style_strength", "change_strength"] {
        let two = [png("image[0]", 512, 512), png("image[1]", 512, 512)];
        let refused = edit("style-transfer", json!({name: 1.1})).images(two).make().unwrap_err();
        assert_eq!(refused.param, name);
    }
    let seed = edit("outpaint", json!({"left": 1, "seed": 4_294_967_295_u32})).make().unwrap_err();
    assert_eq!(seed.message, "'seed' is 4294967295. This model takes at most 4294967294");
}

#[test]
fn what_is_missing_is_named() {
    for (service, members, param, message) in [
        (
            "image-inpaint",
            json!({}),
            "mask",
            "'mask' is missing. This model paints where a mask or the picture's own transparency says: send one, or a picture that is transparent there",
        ),
        (
            "image-erase-object",
            json!({}),
            "mask",
            "'mask' is missing. This model takes away what a mask or the picture's own transparency marks: send one, or a picture that is transparent there",
        ),
        (
            "outpaint",
            json!({"size": "512x512"}),
            "left",
            "nothing says how far. This model paints around a picture, by left, right, up and down, or a larger size",
        ),
        (
            "image-search-replace",
            json!({}),
            "search_prompt",
            "'search_prompt' is missing. This model replaces what search_prompt describes",
        ),
        (
            "image-search-recolor",
            json!({}),
            "select_prompt",
            "'select_prompt' is missing. This model gives other colours to what select_prompt describes",
        ),
        (
            "image-control-sketch",
            json!({"prompt": ""}),
            "prompt",
            "'prompt' is missing. This model needs one here: say what to paint",
        ),
    ] {
        edit(service, members).check_refused(param, message);
    }
    let generation = Ask::new(&id("fast-upscale"), json!({}));
    let message = "'image' is missing. This model enlarges a picture four times: it paints nothing from text alone";
    generation.check_refused("image", message);
}

#[test]
fn what_a_service_does_not_know_is_refused_or_named() {
    let unknown =
        |name: &str| format!("'{name}' is nothing this model takes here. Leave it out, or send drop_params: true");
    for (service, name, value) in [
        ("fast-upscale", "creativity", json!(0.2)),
        ("outpaint", "grow_mask", json!(2)),
        ("image-control-sketch", "similarityStrength", json!(0.5)),
        ("image-control-sketch", "strength", json!(0.5)),
        ("conservative-upscale", "style_preset", json!("anime")),
        ("conservative-upscale", "cfgScale", json!(3)),
        ("outpaint", "negative_prompt", json!("dogs")),
    ] {
        let mut members = json!({name: value});
        if service == "outpaint" {
            members["left"] = json!(5);
        }
        edit(service, members.clone()).check_refused(name, &unknown(name));
        members["drop_params"] = json!(true);
        assert!(edit(service, members).make().unwrap().ignored.contains(&name.to_owned()));
    }
    let mask = "'mask' is nothing this model takes here. Leave it out, or send drop_params: true";
    edit("image-control-sketch", json!({})).mask(png("mask", 512, 512)).check_refused("mask", mask);
    let members = json!({"quality": "hd", "style": "vivid", "moderation": "low", "input_fidelity": "high", "size": "1024x1024",
                         "background": "opaque", "foo": 1, "seed": 4});
    let made = edit("fast-upscale", members).make().unwrap();
    assert_eq!(made.request.seed, None);
    let mut ignored = made.ignored;
    ignored.sort();
    assert_eq!(ignored, ["foo", "input_fidelity", "moderation", "prompt", "quality", "seed", "size", "style"]);
    let many = "'n' is 3. This model makes the same picture each time: use 1";
    edit("fast-upscale", json!({"n": 3})).check_refused("n", many);
}

#[test]
fn margins_may_be_told_by_size() {
    let made = edit("outpaint", json!({"size": "1024x768"})).asked(Asked::Fallback).make().unwrap();
    let body = json!({"prompt": "a cat", "image": IMAGE, "left": 256, "right": 256, "up": 128, "down": 128, "seed": 8,
                      "output_format": "png"});
    assert_eq!((made.body, made.request.size), (body, Size::new(1024, 768)));
    assert_eq!(made.mapped, ["size=1024x768->left=256 right=256 up=128 down=128"]);
    // Who has this service alone means it, whatever the shape.
    let same_shape = edit("outpaint", json!({"size": "515x512"})).make().unwrap();
    assert_eq!((&same_shape.body["left"], &same_shape.body["right"]), (&json!(1), &json!(2)));
    let far = "'size' is '8000x600', and the picture 512x512. At most 2000 are added a side";
    edit("outpaint", json!({"size": "8000x600"})).check_refused("size", far);
}

#[test]
fn members_of_other_families_have_counterparts() {
    let made = edit("image-control-structure", json!({"controlStrength": 0.4, "style": "line-art"})).make().unwrap();
    assert_eq!((&made.body["control_strength"], &made.body["style_preset"]), (&json!(0.4), &json!("line-art")));
    assert_eq!(made.mapped, ["controlStrength=0.4->control_strength=0.4"]);
    for name in ["mask_prompt", "maskPrompt"] {
        let ask = edit("image-search-replace", json!({name: "a cap"})).asked(Asked::Fallback);
        let made = ask.make().unwrap();
        assert_eq!((&made.body["search_prompt"], made.request.makeshift), (&json!("a cap"), false));
        assert_eq!(made.mapped, [format!("{name}->search_prompt")]);
    }
    let guide = edit("image-style-guide", json!({"size": "1792x1024"})).make().unwrap();
    assert_eq!((&guide.body["aspect_ratio"], guide.mapped.len()), (&json!("16:9"), 1));
}

#[test]
fn a_service_does_what_it_is_for() {
    let refused = |service: &str, members: Value, asked| edit(service, members).asked(asked).make().err();
    let other = "'task' is 'inpaint'. This model makes a painting of a sketch";
    for asked in [Asked::Alone, Asked::Among, Asked::Fallback] {
        assert_eq!(refused("image-control-sketch", json!({"task": "inpaint"}), asked).unwrap().message, other);
    }
    let plain = |service: &str, asked| edit(service, json!({})).asked(asked).make().map(|made| made.request.makeshift);
    for service in ["image-control-sketch", "image-control-structure", "image-style-guide"] {
        assert_eq!(plain(service, Asked::Alone), Ok(true), "{service}");
        assert_eq!(plain(service, Asked::Among), Ok(true), "{service}");
        assert!(plain(service, Asked::Fallback).is_err(), "{service}");
    }
    for service in ["image-remove-background", "fast-upscale", "conservative-upscale", "creative-upscale"] {
        assert_eq!(plain(service, Asked::Alone), Ok(true), "{service}");
        let elsewhere = plain(service, Asked::Among).unwrap_err();
        assert!(elsewhere.message.starts_with("'image' asks for 'image-to-image', which this model does not do. "));
        assert_eq!(plain(service, Asked::Fallback).unwrap_err(), elsewhere);
    }
    for (service, members) in [
        ("image-remove-background", json!({"background": "transparent"})),
        ("outpaint", json!({"up": 10})),
        ("image-search-replace", json!({"search_prompt": "cap"})),
        ("image-search-recolor", json!({"select_prompt": "cap"})),
        ("image-control-sketch", json!({"task": "sketch"})),
        ("image-control-structure", json!({"task": "structure"})),
        ("image-style-guide", json!({"task": "style-guide"})),
        ("fast-upscale", json!({"task": "upscale"})),
        ("conservative-upscale", json!({"task": "conservative-upscale"})),
        ("creative-upscale", json!({"task": "creative-upscale"})),
    ] {
        let made = edit(service, members).asked(Asked::Fallback).make().unwrap();
        assert!(!made.request.makeshift, "{service}");
    }
}
