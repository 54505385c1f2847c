//! Bedrock's reply as it comes: bytes in, *picture begins / bytes / picture ends* out, and what else it says.
//!
//! No I/O; holds no picture. The pictures are the strings of the top-level array `images` (Nova Canvas, Titan and
//! Stability alike), or each `base64` of the objects in `artifacts` (Stable Diffusion XL). Must not decide what a
//! missing picture means.

use bytes::Bytes;
use serde_json::Value;

use crate::lexer::{Lexer, Malformed, Token};

/// Most bytes of a member that is read whole; longer ones are passed over.
const MAX_CAPTURE: usize = 64 * 1024;

/// Names of members that a reply usually has are no longer.
const KEY: usize = 32;

/// What comes out of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A picture begins: its first byte is there. An empty string is no picture.
    PictureBegins,
    /// A stretch of the picture, base64 without escapes.
    PictureBytes(Bytes),
    /// The picture is whole.
    PictureEnds,
    /// The document is complete.
    End,
}

/// What a reply says beside its pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Nova's `error`: some or all pictures were filtered.
    pub error: Option<String>,
    /// Stability's `finish_reasons`, without the nulls, or each `finishReason` of `artifacts` that is no success.
    pub finish_reasons: Vec<String>,
    /// A guardrail stepped in (`amazon-bedrock-guardrailAction`).
    pub guardrail: bool,
}

/// Where in the document the next token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the top-level object.
    Start,
    /// Between two members of it, or of an artifact; or after it.
    Between,
    /// In the name of a member.
    Key,
    /// Between a name and its value.
    Colon,
    /// In a value that is passed over.
    Skip,
    /// In a value that is read whole.
    Capture,
    /// In `images`, between pictures.
    Images,
    /// In `artifacts`, between them.
    Artifacts,
    /// In a string that is a picture; whether a byte of it has come.
    Picture { begun: bool },
}

/// Reads one reply, in whatever pieces it comes.
#[derive(Debug)]
pub struct Scanner {
    lexer: Lexer,
    place: Place,
    key: Vec<u8>,
    capture: Vec<u8>,
    input: Bytes,
    queued: Option<Event>,
    /// Whether `images` or `artifacts` has come.
    seen_pictures: bool,
    /// Whether the members are those of an artifact.
    in_artifacts: bool,
    ended: bool,
    said: Said,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a reply.
    pub fn new() -> Self {
        Self {
            lexer: Lexer::new(),
            place: Place::Start,
            key: Vec::with_capacity(KEY),
            capture: Vec::new(),
            input: Bytes::new(),
            queued: None,
            seen_pictures: false,
            in_artifacts: false,
            ended: false,
            said: Said::default(),
        }
    }

    /// What the reply has said so far beside its pictures.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Hands over the next piece. The one before must be spent: [`Self::next_event`] has answered `None`.
    pub fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty(), "a piece is fed when the last one is spent");
        self.input = piece;
    }

    /// The error for a reply that ends here, if it may not.
    pub fn finish(&self) -> Result<(), Malformed> {
        self.lexer.finish()
    }

    /// The next event; `None` when the piece is spent.
    pub fn next_event(&mut self) -> Result<Option<Event>, Malformed> {
        if let Some(event) = self.queued.take() {
            return Ok(Some(event));
        }
        // What is passed on of a picture stands in a JSON string again, so it must be plain.
        while let Some((token, length)) = self.lexer.next(&self.input, matches!(self.place, Place::Picture { .. }))? {
            let bytes = self.input.split_to(length);
            if let Some(event) = self.token(token, bytes)? {
                return Ok(Some(event));
            }
        }
        // The beginning of a token whose end is in the next piece.
        let rest = std::mem::take(&mut self.input);
        if self.place == Place::Capture {
            self.keep(rest.trim_ascii());
        }
        if self.lexer.done() && !self.ended {
            self.ended = true;
            return Ok(Some(Event::End));
        }
        Ok(None)
    }

    fn token(&mut self, token: Token, bytes: Bytes) -> Result<Option<Event>, Malformed> {
        match (self.place, token) {
            (Place::Picture { begun }, _) => return self.picture_token(token, bytes, begun),
            (Place::Images, _) => return self.images_token(token),
            (Place::Artifacts, _) => return self.artifacts_token(token),
            (Place::Start, Token::OpenObject) => self.place = Place::Between,
            (Place::Start, _) => return Err(Malformed::Shape("the reply is no JSON object")),
            (Place::Between, Token::OpenString { .. }) => {
                self.key.clear();
                self.place = Place::Key;
            }
            (Place::Between, Token::CloseObject) => self.place = self.after_object(),
            (Place::Between, _) | (Place::Colon, Token::Mark) => {}
            (Place::Key, _) => self.key_token(token, &bytes),
            (Place::Colon, _) => return self.value_begins(token, &bytes),
            (Place::Skip | Place::Capture, _) => self.value_token(token, &bytes),
        }
        Ok(None)
    }

    fn key_token(&mut self, token: Token, bytes: &Bytes) {
        match token {
            Token::Text if self.key.len() < MAX_CAPTURE => self.key.extend_from_slice(bytes),
            Token::Escaped(c) if self.key.len() < MAX_CAPTURE => {
                self.key.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Token::CloseString => self.place = Place::Colon,
            _ => {}
        }
    }

    fn value_begins(&mut self, token: Token, bytes: &Bytes) -> Result<Option<Event>, Malformed> {
        match (&*self.key, token) {
            (b"base64", Token::OpenString { .. }) if self.in_artifacts => {
                self.place = Place::Picture { begun: false };
                return Ok(None);
            }
            (b"finishReason", _) if self.in_artifacts => self.place = Place::Capture,
            _ if self.in_artifacts => self.place = Place::Skip,
            (b"images" | b"artifacts", Token::OpenArray) if self.seen_pictures => {
                return Err(Malformed::Shape("the pictures come twice"));
            }
            (b"images", Token::OpenArray) => {
                (self.seen_pictures, self.place) = (true, Place::Images);
                return Ok(None);
            }
            (b"artifacts", Token::OpenArray) => {
                (self.seen_pictures, self.in_artifacts, self.place) = (true, true, Place::Artifacts);
                return Ok(None);
            }
            (b"images" | b"artifacts", Token::OpenObject | Token::OpenString { .. }) => {
                return Err(Malformed::Shape("the pictures are no array"));
            }
            (b"error" | b"finish_reasons" | b"amazon-bedrock-guardrailAction", _) => self.place = Place::Capture,
            _ => self.place = Place::Skip,
        }
        self.capture.clear();
        self.value_token(token, bytes);
        Ok(None)
    }

    fn value_token(&mut self, token: Token, bytes: &Bytes) {
        // An artifact is an object in an array in the document.
        let level = if self.in_artifacts { 3 } else { 1 };
        let closed = token == Token::CloseObject && self.lexer.depth() == level - 1;
        match (closed || token == Token::Mark && self.lexer.depth() == level, self.place) {
            (true, place) => {
                if place == Place::Capture {
                    self.learn();
                }
                self.place = if closed { self.after_object() } else { Place::Between };
            }
            (false, Place::Capture) if token == Token::Text => self.keep(bytes),
            // White space between tokens counts nowhere, so that it does not matter where a reply is cut.
            (false, Place::Capture) => self.keep(bytes.trim_ascii_start()),
            (false, _) => {}
        }
    }

    fn after_object(&self) -> Place {
        if self.in_artifacts { Place::Artifacts } else { Place::Between }
    }

    /// Keeps what there is room for: the beginning of a longer value is no JSON, and says nothing.
    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_CAPTURE - self.capture.len();
        self.capture.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes note of a member that was read whole. A value of another type than expected says nothing.
    fn learn(&mut self) {
        let value: Value = serde_json::from_slice(&self.capture).unwrap_or_default();
        match &*self.key {
            b"error" => self.said.error = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            b"finish_reasons" => {
                let reasons = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                self.said.finish_reasons.extend(reasons.map(str::to_owned));
            }
            b"finishReason" => {
                self.said.finish_reasons.extend(value.as_str().filter(|why| *why != "SUCCESS").map(str::to_owned));
            }
            _ => self.said.guardrail = value.as_str().is_some_and(|action| action.contains("INTERVENED")),
        }
    }

    fn images_token(&mut self, token: Token) -> Result<Option<Event>, Malformed> {
        match token {
            Token::OpenString { key: false } => self.place = Place::Picture { begun: false },
            Token::CloseArray => self.place = Place::Between,
            // `null` for a picture that was filtered.
            Token::Scalar | Token::Mark => {}
            _ => return Err(Malformed::Shape("'images' holds something else than pictures")),
        }
        Ok(None)
    }

    fn artifacts_token(&mut self, token: Token) -> Result<Option<Event>, Malformed> {
        match token {
            Token::OpenObject => self.place = Place::Between,
            Token::CloseArray => (self.in_artifacts, self.place) = (false, Place::Between),
            Token::Scalar | Token::Mark => {}
            _ => return Err(Malformed::Shape("'artifacts' holds something else than objects")),
        }
        Ok(None)
    }

    fn picture_token(&mut self, token: Token, bytes: Bytes, begun: bool) -> Result<Option<Event>, Malformed> {
        let event = match token {
            Token::CloseString => {
                self.place = if self.in_artifacts { Place::Between } else { Place::Images };
                return Ok(begun.then_some(Event::PictureEnds));
            }
            Token::Escaped(c) if matches!(c, '#'..='\x7f') && c != '\\' => {
                Event::PictureBytes(Bytes::copy_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()))
            }
            Token::Text => Event::PictureBytes(bytes),
            _ => return Err(Malformed::Shape("a picture is not base64")),
        };
        self.place = Place::Picture { begun: true };
        if begun {
            return Ok(Some(event));
        }
        self.queued = Some(event);
        Ok(Some(Event::PictureBegins))
    }
}
