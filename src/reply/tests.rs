//! Replies cut at every place, against a plain reading of the same bytes. Must not trust the scanner's own grammar.

mod fuzz;
mod plain;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use plain::plain;

/// What a reply comes to: its pictures and what it says.
type Read = (Vec<String>, Said);

fn scan(pieces: impl IntoIterator<Item = Bytes>) -> Result<Read, Malformed> {
    let (mut scanner, mut pictures, mut open, mut ended) = (Scanner::new(), Vec::new(), false, false);
    for piece in pieces {
        scanner.feed(piece);
        while let Some(event) = scanner.next_event()? {
            assert!(!ended, "nothing comes after the end");
            match event {
                Event::PictureBegins => {
                    assert!(!open);
                    open = true;
                    pictures.push(String::new());
                }
                Event::PictureBytes(bytes) => {
                    // Sinks put it between quotes as it is.
                    assert!(open && !bytes.is_empty());
                    assert!(bytes.iter().all(|b| matches!(b, b'#'..=0x7f) && *b != b'\\'));
                    pictures.last_mut().unwrap().push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Event::PictureEnds => {
                    assert!(open);
                    open = false;
                }
                Event::End => ended = true,
            }
        }
    }
    scanner.finish()?;
    assert!(ended && !open);
    Ok((pictures, scanner.said().clone()))
}

#[track_caller]
fn check(reply: &str) {
    let bytes = Bytes::copy_from_slice(reply.as_bytes());
    let expected = plain(reply.as_bytes());
    for cut in 0..=bytes.len() {
        let read = scan([bytes.slice(..cut), bytes.slice(cut..)]).ok();
        assert_eq!(read, expected, "cut at {cut} of {reply}");
    }
    let read = scan((0..bytes.len()).map(|at| bytes.slice(at..=at))).ok();
    assert_eq!(read, expected, "byte by byte: {reply}");
    for end in 0..bytes.len() {
        let cut = bytes.slice(..end);
        assert_eq!(scan([cut.clone()]).ok(), plain(&cut), "ends after {end} of {reply}");
    }
}

const REPLIES: &[&str] = &[
    r#"{"images":["aGVsbG8=","d29ybGQ="],"error":null}"#,
    r#"{"images":["aGVsbG8="],"error":"Some of the generated images have been blocked by our content filters."}"#,
    r#"{"error":"All of the generated images have been blocked by our content filters.","images":[]}"#,
    r#"{"seeds":[42],"finish_reasons":[null],"images":["aGVsbG8="]}"#,
    r#"{"finish_reasons":["Filter reason: prompt"]}"#,
    " {\r\n\t\"images\" : [ \"a\\/b\\u002bc=\" , null , \"\" ] , \"maskImage\" : \"eHh4\" , \"x\" : { \"images\" : [ \"no\" , { } ] , \"y\" : [ ] } }\n ",
    r#"{"a":-0.5e+10,"b":[1,2.5,true,false,null,{"c":"\"\\\n"}],"images":["eA=="],"amazon-bedrock-guardrailAction":"INTERVENED"}"#,
    r#"{"im\u0061ges":["eA=="],"error":"caf\u00e9 \ud83d\ude00 é"}"#,
    r#"{"result":"success","artifacts":[{"seed":1,"base64":"aGVsbG8=","finishReason":"SUCCESS"},{"base64":"d29ybGQ=","seed":2}]}"#,
    " { \"artifacts\" : [ { } , null , { \"finishReason\" : \"CONTENT_FILTERED\" , \"x\" : { \"base64\" : \"no\" , \"y\" : [ { } ] } , \"base64\" : \"a\\/b=\" } ] , \"error\" : \"e\" } ",
    r#"{"base64":"no","finishReason":"no","artifacts":[{"base64":null,"finishReason":"ERROR"},{"base64":["no"]},{"base64":{"base64":"no"}}]}"#,
    r#"{"artifacts":[],"x":{"artifacts":[{"base64":"no"}]}}"#,
    r#"{"artifacts":null,"images":["eA=="]}"#,
    r#"{"artifacts":[{"base64":"eA=="}],"images":["eA=="]}"#,
    r#"{"artifacts":"eA=="}"#,
    r#"{"artifacts":["eA=="]}"#,
    r#"{"artifacts":[["eA=="]]}"#,
    r#"{"artifacts":[{"base64":"e A=="}]}"#,
    r#"{"artifacts":[{"base64":"eA==",}]}"#,
    r#"{"images":null}"#,
    r#"{"images":[1,true]}"#,
    r#"{"images":"eA=="}"#,
    r#"{"images":[["eA=="]]}"#,
    r#"{"images":["e A=="]}"#,
    r#"{"images":["e\nA=="]}"#,
    r#"{"images":["é"]}"#,
    r#"{"images":["eA=="],}"#,
    r#"{"images":["eA==",]}"#,
    r#"{"images":["eA=="]}}"#,
    r#"{"images":["eA=="]} x"#,
    r#"{"error":tru}"#,
    r#"{"error":01}"#,
    r#"{"error":1.}"#,
    r#"{"error":-}"#,
    r#"{"x":1 2}"#,
    r#"{"x":[1}"#,
    r#"{"x":nu ll}"#,
    r#"{"x" "y"}"#,
    "{\"x\":\"\u{1}\"}",
    r#"{"x":"\q"}"#,
    r#"{"x":"\u00g0"}"#,
    "{}",
    "[]",
    "null",
    "7",
    "\"images\"",
    "<html>",
    "",
];

#[test]
fn every_cut_of_every_reply_reads_the_same() {
    REPLIES.iter().for_each(|reply| check(reply));
}

#[test]
fn members_that_come_twice() {
    assert_eq!(
        scan([Bytes::from_static(br#"{"images":["eA=="],"images":["eQ=="]}"#)]),
        Err(Malformed::Shape("the pictures come twice"))
    );
}

#[test]
fn nesting_is_bounded_as_in_serde_json() {
    let nested = |deep: usize| format!("{{\"x\":{}{}}}", "[".repeat(deep - 1), "]".repeat(deep - 1));
    assert_eq!(scan([nested(127).into()]), Ok(Read::default()));
    assert_eq!(scan([nested(128).into()]), Err(Malformed::Depth));
    assert!(
        serde_json::from_str::<Value>(&nested(127)).is_ok() && serde_json::from_str::<Value>(&nested(128)).is_err()
    );
}

#[test]
fn long_members_are_passed_over_wherever_they_are_cut() {
    let error = |length: usize| format!("{{\"error\" :  \"a{}b\" , \"images\":[\"eA==\"]}}", "x".repeat(length - 4));
    let (kept, passed_over) = (error(64 * 1024), error(64 * 1024 + 1));
    assert!(plain(kept.as_bytes()).unwrap().1.error.is_some());
    assert_eq!(plain(passed_over.as_bytes()).unwrap().1, Said::default());
    let reasons = format!("{{\"finish_reasons\":[\"a\",\"{}\",\"b\"]}}", "x".repeat(70_000));
    for reply in [kept, passed_over, error(70_000), reasons] {
        let bytes = Bytes::from(reply.into_bytes());
        let ends = [0, 1, 2, 3, 4, 5, 20, 21, 22];
        for cut in (0..25).chain(ends.map(|end| bytes.len() - end)) {
            let read = scan([bytes.slice(..cut), bytes.slice(cut..)]).ok();
            assert!(read == plain(&bytes), "cut at {cut} of {}", bytes.len());
        }
        assert!(scan((0..bytes.len()).map(|at| bytes.slice(at..=at))).ok() == plain(&bytes), "byte by byte");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[A-Za-z0-9+/]{0,12}=?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                "images|artifacts|base64|finishReason|error|finish_reasons|.{0,3}",
                inner,
                0..4
            )
            .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_in_any_pieces(value in json_value(), pretty in any::<bool>(), size in 1usize..20) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let bytes = Bytes::from(text.into_bytes());
        let pieces = (0..bytes.len()).step_by(size).map(|at| bytes.slice(at..bytes.len().min(at + size)));
        prop_assert_eq!(scan(pieces).ok(), plain(&bytes));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(b"{}[]:,\"\\ un0e-.1imagesrlt".to_vec()), 0..40)) {
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(scan([bytes.clone()]).ok(), plain(&bytes));
    }
}

#[test]
fn the_sink_writes_openai_json() {
    let png = {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\0\x80\x08\x02\0\0\0".to_vec();
        bytes.extend([0; 40]);
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
    };
    let mut sink = JsonSink::new(1_700_000_000);
    for _ in 0..2 {
        sink.begin();
        png.as_bytes().chunks(7).for_each(|piece| sink.bytes(Bytes::copy_from_slice(piece)));
        sink.end();
    }
    sink.finish(&["one \"picture\" is missing".into()]);
    let written: Vec<u8> = std::iter::from_fn(|| sink.pop()).flatten().collect();
    let usage = json!({"total_tokens": 0, "input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}, "output_tokens": 0});
    let expected = json!({
        "created": 1_700_000_000, "data": [{"b64_json": png}, {"b64_json": png}], "output_format": "png", "size": "256x128",
        "usage": usage, "easel": {"warnings": ["one \"picture\" is missing"]},
    });
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), expected);
}
