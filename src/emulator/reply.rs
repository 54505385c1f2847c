//! A model's reply as text and pictures; the pictures become base64 only while they are sent.
//! It must not hold a picture twice.
use super::{fault::Fault, models::Family};
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

/// What was painted for a reply.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    pub(super) finished: Vec<Bytes>,
    pub(super) mask: Option<Bytes>,
    /// The first picture's.
    pub(super) seed: u64,
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
    pub(super) fn new(family: Family, pictures: Pictures, fault: Option<Fault>) -> Self {
        let Pictures { finished, mask, seed } = pictures;
        let odd = fault == Some(Fault::OddJson);
        let mut parts = match (family, odd) {
            (Family::Amazon, false) => around("{\"images\":[", ",", finished, "]"),
            (Family::Amazon, true) => {
                let head = "\n{ \"later\" : {\"images\":[{\"deep\":[\"]}\"]}],\"n\":1.5e3} ,\t\"error\" : null,\r\n \"images\" :\n [ ";
                around(head, " ,\n ", finished, " ]")
            }
            (Family::Stability, false) => {
                let head = format!("{{\"seeds\":[{seed}],\"finish_reasons\":[null],\"images\":[");
                around(&head, ",", finished, "]}")
            }
            (Family::Stability, true) => {
                let tail = format!(
                    " ]\n, \"later\" : {{\"images\":[\"x\\\"]\"]}}, \"finish_reasons\" : [ null ] , \"seeds\" : [ {seed} ] }}\n"
                );
                around("\n{\t\"images\" : [ ", " , ", finished, &tail)
            }
            (Family::StableDiffusionXl, false) => {
                let reason = if filters_output(fault) { "CONTENT_FILTERED" } else { "SUCCESS" };
                let tail = format!(",\"seed\":{seed},\"finishReason\":\"{reason}\"}}]}}");
                around("{\"result\":\"success\",\"artifacts\":[{\"base64\":", ",", finished, &tail)
            }
            (Family::StableDiffusionXl, true) => {
                let head = format!(
                    "\n{{\t\"artifacts\" : [ {{ \"finishReason\":\"SUCCESS\" ,\"seed\" : {seed},\n \"base64\" : "
                );
                around(
                    &head,
                    " , ",
                    finished,
                    " } ] , \"later\" : {\"base64\":\"\\\"\"},\r\n\"result\" : \"success\" }\n",
                )
            }
        };
        if family == Family::Amazon {
            parts.extend(ending(mask, odd, fault));
        }
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

/// What follows Amazon's pictures: a mask that was wanted back, and the error.
fn ending(mask: Option<Bytes>, odd: bool, fault: Option<Fault>) -> Vec<Part> {
    let filtered = fault == Some(Fault::FilterSome);
    let error = match (odd, filtered) {
        (true, _) => " }\n".to_owned(),
        (false, true) => format!(",\"error\":\"{SOME_FILTERED}\"}}"),
        (false, false) => ",\"error\":null}".to_owned(),
    };
    let mask = mask.or_else(|| odd.then(|| Bytes::from_static(b"\x89PNG\r\n\x1a\n")));
    let mask = mask
        .into_iter()
        .flat_map(|mask| around(if odd { " , \"maskImage\" : " } else { ",\"maskImage\":" }, "", vec![mask], ""));
    mask.chain([Part::Text(error)]).collect()
}

fn filters_output(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::FilterAll | Fault::FilterSome))
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
pub(super) fn without_pictures(family: Family, fault: Fault) -> Option<String> {
    let finished = |reason: &str| json!({"finish_reasons": [reason]});
    let body = match (family, fault) {
        (Family::Stability, Fault::FilterInput) => finished("Filter reason: prompt"),
        (Family::Stability, Fault::FilterImage) => finished("Filter reason: input image"),
        (Family::Stability, Fault::FilterAll | Fault::FilterSome) => finished("Filter reason: output image"),
        (Family::Stability, Fault::InferenceError) => finished("Inference error"),
        (Family::Amazon, Fault::FilterAll) => json!({"images": [], "error": ALL_FILTERED}),
        (Family::StableDiffusionXl, Fault::InferenceError) => {
            json!({"result": "success", "artifacts": [{"base64": "", "seed": 0, "finishReason": "ERROR"}]})
        }
        (_, Fault::Guardrail) => {
            json!({"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {"guardrail": {}}})
        }
        (Family::StableDiffusionXl, Fault::Empty) => json!({"result": "success", "artifacts": []}),
        (_, Fault::Empty) => json!({"images": []}),
        (_, Fault::NullBody) => json!(null),
        _ => return None,
    };
    Some(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const ALL: [Family; 3] = [Family::Amazon, Family::Stability, Family::StableDiffusionXl];

    fn reply(finished: Vec<Bytes>) -> Reply {
        Reply::new(Family::Amazon, Pictures { finished, ..Pictures::default() }, None)
    }

    fn sent(family: Family, fault: Option<Fault>) -> (Option<usize>, Vec<u8>) {
        let mut finished = vec![Bytes::from(vec![0xfb; 100_000])];
        if family != Family::StableDiffusionXl {
            finished.push(Bytes::from_static(&[0xff; 7]));
        }
        let reply = Reply::new(family, Pictures { finished, mask: None, seed: 5 }, fault);
        (reply.length(), reply.pieces().collect::<Vec<_>>().concat())
    }

    #[test]
    fn the_length_is_told_before() {
        for family in ALL {
            let (length, body) = sent(family, None);
            assert_eq!(length, Some(body.len()));
        }
    }

    #[test]
    fn pieces_are_small_and_join_to_json() {
        let picture = Bytes::from(vec![1; 200_000]);
        let reply = reply(vec![picture.clone()]);
        assert!(reply.clone().pieces().all(|piece| piece.len() <= 65_536));
        let body: Value = serde_json::from_slice(&reply.pieces().collect::<Vec<_>>().concat()).unwrap();
        assert_eq!(BASE64_STANDARD.decode(body["images"][0].as_str().unwrap()).unwrap(), picture);
        assert_eq!(body["error"], Value::Null);
    }

    #[test]
    fn an_odd_dress_means_the_same() {
        for family in ALL {
            let (plain, odd) = (sent(family, None).1, sent(family, Some(Fault::OddJson)).1);
            let (plain, odd): (Value, Value) =
                (serde_json::from_slice(&plain).unwrap(), serde_json::from_slice(&odd).unwrap());
            assert_eq!(plain["images"], odd["images"]);
            assert_eq!(plain["seeds"], odd["seeds"]);
            assert_eq!(plain["artifacts"], odd["artifacts"]);
        }
        let text = String::from_utf8(sent(Family::Amazon, Some(Fault::OddJson)).1).unwrap();
        assert!(text.contains("\\/") && text.contains("\\u002b"));
    }

    #[test]
    fn the_middle_lies_in_the_first_picture() {
        let reply = reply(vec![Bytes::from(vec![0; 300]), Bytes::from(vec![0; 3000])]);
        let (middle, body) = (reply.middle(), reply.pieces().collect::<Vec<_>>().concat());
        assert_eq!(middle, "{\"images\":[\"".len() + 200);
        assert_eq!(body[middle], b'A');
    }
}
