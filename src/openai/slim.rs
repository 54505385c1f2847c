//! A JSON body with megabytes of pictures in it, read in pieces: the pictures are taken out, the rest stays JSON.
//!
//! No I/O; holds no picture. Must not know which members may be pictures: any long text is taken for one.

use bytes::Bytes;

use crate::lexer::{Lexer, Malformed, Token};
use crate::picture::attachment;
use crate::unbase64::Decoder;

/// Texts up to this length stay where they are.
const MAX_TEXT: usize = 64 * 1024;

/// What is left of a body is at most this long.
const MAX_REST: usize = 1 << 20;

/// Longest beginning of a data URL, such as `data:image/png;base64,`.
const MAX_URL_HEAD: usize = 256;

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error("{0}")]
    Json(Malformed),
    /// A member's text is too long for a text and no picture.
    #[error("'{0}' is longer than {limit} KB and no picture in base64", limit = MAX_TEXT / 1024)]
    LongText(String),
    /// Even without pictures it is too long.
    #[error("there is more than {limit} KB in it beside pictures", limit = MAX_REST / 1024)]
    TooLong,
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Json(malformed)
    }
}

/// What comes out beside the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next bytes of a picture, decoded. A first step begins it.
    Bytes(Vec<u8>),
    /// The picture is whole, with these bytes.
    Ends(Vec<u8>),
}

#[derive(Debug)]
enum Text {
    /// Between texts, or in a name.
    Outside,
    /// In a text that may still turn out long; its characters so far, and where it begins in the rest.
    Short { start: usize, text: Vec<u8> },
    /// In a picture.
    Picture(Box<Decoder>),
}

/// Reads one body, in whatever pieces it comes.
#[derive(Debug)]
pub struct Slimmer {
    lexer: Lexer,
    rest: Vec<u8>,
    text: Text,
    /// The name that was read last, for messages.
    name: Vec<u8>,
    in_name: bool,
    pictures: usize,
}

impl Default for Slimmer {
    fn default() -> Self {
        Self::new()
    }
}

impl Slimmer {
    /// A slimmer at the start of a body.
    pub fn new() -> Self {
        Self {
            lexer: Lexer::new(),
            rest: Vec::new(),
            text: Text::Outside,
            name: Vec::new(),
            in_name: false,
            pictures: 0,
        }
    }

    /// Reads on to the next step; `None` when the input is spent.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Step>, Unreadable> {
        while let Some((token, length)) = self.lexer.next(input, false)? {
            let raw = input.split_to(length);
            if let Some(step) = self.token(token, &raw)? {
                return Ok(Some(step));
            }
        }
        // The beginning of a token whose end comes later. In a picture it is an escape, which is read by its token.
        if !matches!(self.text, Text::Picture(_)) {
            self.keep(input)?;
        }
        input.clear();
        Ok(None)
    }

    /// The JSON that is left, with `picture::attachment` in the places of the pictures, in their order.
    pub fn finish(self) -> Result<Vec<u8>, Unreadable> {
        self.lexer.finish()?;
        Ok(self.rest)
    }

    fn token(&mut self, token: Token, raw: &[u8]) -> Result<Option<Step>, Unreadable> {
        let mut buffer = [0; 4];
        let characters = match token {
            Token::Text => raw,
            Token::Escaped(c) => c.encode_utf8(&mut buffer).as_bytes(),
            _ => &[],
        };
        match (&mut self.text, token) {
            (Text::Picture(decoder), Token::CloseString) => {
                let last = std::mem::take(&mut **decoder).finish();
                self.text = Text::Outside;
                self.keep(b"\"")?;
                return last.map(|last| Some(Step::Ends(last))).map_err(|_| self.long_text());
            }
            (Text::Picture(decoder), _) => {
                let bytes = decoder.feed(&unwrapped(characters));
                return bytes.map(|bytes| Some(Step::Bytes(bytes))).map_err(|_| self.long_text());
            }
            (Text::Short { text, .. }, Token::Text | Token::Escaped(_)) => text.extend_from_slice(characters),
            (Text::Short { .. }, _) => self.text = Text::Outside,
            (Text::Outside, Token::OpenString { key }) => {
                self.in_name = key;
                if key {
                    self.name.clear();
                }
            }
            (Text::Outside, _) if self.in_name && self.name.len() < MAX_URL_HEAD => {
                self.name.extend_from_slice(characters);
            }
            (Text::Outside, _) => {}
        }
        self.keep(raw)?;
        if token == (Token::OpenString { key: false }) {
            self.text = Text::Short { start: self.rest.len(), text: Vec::new() };
        }
        match &mut self.text {
            Text::Short { start, text } if text.len() > MAX_TEXT => {
                let (start, text) = (*start, std::mem::take(text));
                self.picture_begins(start, &text).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A text has turned out to be too long for one.
    fn picture_begins(&mut self, start: usize, text: &[u8]) -> Result<Step, Unreadable> {
        self.rest.truncate(start);
        let place = serde_json::Value::from(attachment(self.pictures)).to_string();
        self.rest.extend_from_slice(place.trim_matches('"').as_bytes());
        self.pictures += 1;
        let base64 = match text.strip_prefix(b"data:") {
            None => text,
            Some(url) => {
                let comma =
                    url[..MAX_URL_HEAD].iter().position(|byte| *byte == b',').ok_or_else(|| self.long_text())?;
                &url[comma + 1..]
            }
        };
        let mut decoder = Decoder::new();
        let bytes = decoder.feed(&unwrapped(base64)).map_err(|_| self.long_text())?;
        self.text = Text::Picture(Box::new(decoder));
        Ok(Step::Bytes(bytes))
    }

    fn keep(&mut self, raw: &[u8]) -> Result<(), Unreadable> {
        self.rest.extend_from_slice(raw);
        if self.rest.len() > MAX_REST { Err(Unreadable::TooLong) } else { Ok(()) }
    }

    fn long_text(&self) -> Unreadable {
        let name: String = String::from_utf8_lossy(&self.name).chars().take(60).collect();
        Unreadable::LongText(name)
    }
}

/// Base64 without the line breaks that some encoders put in.
fn unwrapped(base64: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match base64.iter().any(u8::is_ascii_whitespace) {
        false => base64.into(),
        true => base64.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::attached;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    /// What is left, and the pictures, of a body in pieces of this size.
    fn slim(body: &str, size: usize) -> Result<(Value, Vec<Vec<u8>>), Unreadable> {
        let (mut slimmer, mut pictures, mut open) = (Slimmer::new(), Vec::<Vec<u8>>::new(), false);
        for piece in body.as_bytes().chunks(size) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(step) = slimmer.next(&mut input)? {
                if !open {
                    pictures.push(Vec::new());
                }
                open = matches!(step, Step::Bytes(_));
                let (Step::Bytes(bytes) | Step::Ends(bytes)) = step;
                pictures.last_mut().unwrap().extend(bytes);
            }
        }
        Ok((serde_json::from_slice(&slimmer.finish()?).unwrap(), pictures))
    }

    #[test]
    fn pictures_are_taken_out_and_the_rest_stays() {
        let picture: Vec<u8> = (0..200_000_u32).map(|i| u8::try_from(i * 7 % 256).unwrap()).collect();
        let base64 = STANDARD.encode(&picture);
        for (text, size) in [
            (base64.clone(), 1000),
            (base64.trim_end_matches('=').to_owned(), 1),
            (format!("data:image/png;base64,{base64}"), 65_537),
            (base64.replace('/', "\\/").replace('+', "\\u002b"), 777),
            (base64.clone(), usize::MAX),
        ] {
            let body = format!(
                r#"{{"prompt":"a \"cat\"\u00e9", "images": [ {{"image_url":"{text}"}} ], "n": 2, "x":{{"y":[null,1.5]}} }}"#
            );
            let (rest, pictures) = slim(&body, size).unwrap();
            let expected = json!({"prompt": "a \"cat\"é", "images": [{"image_url": attachment(0)}], "n": 2,
                                  "x": {"y": [null, 1.5]}});
            assert_eq!(rest, expected);
            assert_eq!(attached(rest["images"][0]["image_url"].as_str().unwrap()), Some(0));
            assert_eq!(pictures, [picture.as_slice()], "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let long = "x y ".repeat(30_000);
        let refused = slim(&format!(r#"{{"prompt":"{long}!"}}"#), 5000).unwrap_err();
        assert_eq!(refused.to_string(), "'prompt' is longer than 64 KB and no picture in base64");
        let many = format!("[{}1]", "1,".repeat(1 << 20));
        assert_eq!(slim(&many, 50_000), Err(Unreadable::TooLong));
        assert!(slim(r#"{"a": tru }"#, 3).is_err());
        assert!(slim(r#"{"a": "#, 3).is_err());
    }
}
