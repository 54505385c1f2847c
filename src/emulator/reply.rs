//! A model's reply as text and pictures; the pictures become base64 only while they are sent.
//! It must not hold a picture twice.
use super::{fault::Fault, models::Model};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::json;

/// This much of a picture makes 64 KB of base64, without padding in between.
const PIECE: usize = 49_152;

const ALL_FILTERED: &str = "All of the generated images have been blocked by our content filters.";
const SOME_FILTERED: &str = "Some of the generated images have been blocked by our content filters.";

/// A part of a reply's JSON.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(String),
    /// Sent as base64.
    Picture(Bytes),
}

/// A reply of status 200, with pictures.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    parts: Vec<Part>,
    /// Slashes and pluses of the base64 are sent as JSON escapes, which is legal and rare.
    escaped: bool,
}

impl Reply {
    /// The reply that a model gives, bent by those faults that change its text.
    pub(super) fn new(model: Model, pictures: Vec<Bytes>, seed: u64, fault: Option<Fault>) -> Self {
        let odd = fault == Some(Fault::OddJson);
        let parts = match (model, odd) {
            (Model::NovaCanvas, false) => {
                let error =
                    if fault == Some(Fault::FilterSome) { format!("\"{SOME_FILTERED}\"") } else { "null".into() };
                around("{\"images\":[", ",", pictures, &format!("],\"error\":{error}}}"))
            }
            (Model::NovaCanvas, true) => {
                let head = "\n{ \"later\" : {\"images\":[{\"deep\":[\"]}\"]}],\"n\":1.5e3} ,\t\"error\" : null,\r\n \"images\" :\n [ ";
                around(head, " ,\n ", pictures, " ] , \"maskImage\" : \"iVBORw0KGgo=\" }\n")
            }
            (_, false) => {
                let head = format!("{{\"seeds\":[{seed}],\"finish_reasons\":[null],\"images\":[");
                around(&head, ",", pictures, "]}")
            }
            (_, true) => {
                let tail = format!(
                    " ]\n, \"later\" : {{\"images\":[\"x\\\"]\"]}}, \"finish_reasons\" : [ null ] , \"seeds\" : [ {seed} ] }}\n"
                );
                around("\n{\t\"images\" : [ ", " , ", pictures, &tail)
            }
        };
        Self { parts, escaped: odd }
    }

    /// The length in bytes, where it is known before the pictures are encoded.
    pub(super) fn length(&self) -> Option<usize> {
        (!self.escaped).then(|| self.parts.iter().map(length).sum())
    }

    /// A place in the middle of the first picture.
    pub(super) fn middle(&self) -> usize {
        let before = self.parts.iter().take_while(|part| matches!(part, Part::Text(_))).map(length).sum::<usize>();
        let first = self.parts.iter().find(|part| matches!(part, Part::Picture(_))).map_or(0, length);
        before + first / 2
    }

    /// The reply as it is sent, in pieces of at most 64 KB (escapes aside).
    pub(super) fn pieces(self) -> Pieces {
        Pieces { parts: self.parts.into_iter(), picture: Bytes::new(), escaped: self.escaped }
    }
}

fn length(part: &Part) -> usize {
    match part {
        Part::Text(text) => text.len(),
        Part::Picture(picture) => picture.len().div_ceil(3) * 4,
    }
}

fn around(head: &str, between: &str, pictures: Vec<Bytes>, tail: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(head.to_owned())];
    for (index, picture) in pictures.into_iter().enumerate() {
        let open = if index == 0 { "\"".to_owned() } else { format!("{between}\"") };
        parts.extend([Part::Text(open), Part::Picture(picture), Part::Text("\"".to_owned())]);
    }
    parts.push(Part::Text(tail.to_owned()));
    parts
}

/// The bytes of a reply, made while they are asked for.
pub(super) struct Pieces {
    parts: std::vec::IntoIter<Part>,
    picture: Bytes,
    escaped: bool,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.picture.is_empty() {
                let raw = self.picture.split_to(PIECE.min(self.picture.len()));
                let text = BASE64_STANDARD.encode(raw);
                let escape = |text: String| text.replace('/', "\\/").replace('+', "\\u002b");
                return Some(if self.escaped { escape(text) } else { text }.into());
            }
            match self.parts.next()? {
                Part::Text(text) => return Some(text.into()),
                Part::Picture(picture) => self.picture = picture,
            }
        }
    }
}

/// The body of a reply of status 200 that has no picture, for those faults that mean one.
pub(super) fn without_pictures(model: Model, fault: Fault) -> Option<String> {
    let stability = model != Model::NovaCanvas;
    let finished = |reason: &str| json!({"finish_reasons": [reason]});
    let body = match fault {
        Fault::FilterInput if stability => finished("Filter reason: prompt"),
        Fault::FilterAll | Fault::FilterSome if stability => finished("Filter reason: output image"),
        Fault::InferenceError if stability => finished("Inference error"),
        Fault::FilterAll => json!({"images": [], "error": ALL_FILTERED}),
        Fault::Guardrail => {
            json!({"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {"guardrail": {}}})
        }
        Fault::Empty => json!({"images": []}),
        Fault::NullBody => json!(null),
        _ => return None,
    };
    Some(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn sent(model: Model, fault: Option<Fault>) -> (Option<usize>, Vec<u8>) {
        let pictures = vec![Bytes::from(vec![0xfb; 100_000]), Bytes::from_static(&[0xff; 7])];
        let reply = Reply::new(model, pictures, 5, fault);
        (reply.length(), reply.pieces().collect::<Vec<_>>().concat())
    }

    #[test]
    fn the_length_is_told_before() {
        for model in [Model::NovaCanvas, Model::StableImageCore] {
            let (length, body) = sent(model, None);
            assert_eq!(length, Some(body.len()));
        }
    }

    #[test]
    fn pieces_are_small_and_join_to_json() {
        let picture = Bytes::from(vec![1; 200_000]);
        let reply = Reply::new(Model::NovaCanvas, vec![picture.clone()], 0, None);
        assert!(reply.clone().pieces().all(|piece| piece.len() <= 65_536));
        let body: Value = serde_json::from_slice(&reply.pieces().collect::<Vec<_>>().concat()).unwrap();
        assert_eq!(BASE64_STANDARD.decode(body["images"][0].as_str().unwrap()).unwrap(), picture);
        assert_eq!(body["error"], Value::Null);
    }

    #[test]
    fn an_odd_dress_means_the_same() {
        for model in [Model::NovaCanvas, Model::StableImageUltra] {
            let (plain, odd) = (sent(model, None).1, sent(model, Some(Fault::OddJson)).1);
            let (plain, odd): (Value, Value) =
                (serde_json::from_slice(&plain).unwrap(), serde_json::from_slice(&odd).unwrap());
            assert_eq!(plain["images"], odd["images"]);
            assert_eq!(plain["seeds"], odd["seeds"]);
        }
        let text = String::from_utf8(sent(Model::NovaCanvas, Some(Fault::OddJson)).1).unwrap();
        assert!(text.contains("\\/") && text.contains("\\u002b"));
    }

    #[test]
    fn the_middle_lies_in_the_first_picture() {
        let reply = Reply::new(Model::NovaCanvas, vec![Bytes::from(vec![0; 300]), Bytes::from(vec![0; 3000])], 0, None);
        let (middle, body) = (reply.middle(), reply.pieces().collect::<Vec<_>>().concat());
        assert_eq!(middle, "{\"images\":[\"".len() + 200);
        assert_eq!(body[middle], b'A');
    }
}
