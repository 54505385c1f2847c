//! Writes events as OpenAI's JSON document, `{"created":…,"data":[{"b64_json":…}],…}`, or with links.
//!
//! Pictures pass through uncopied. Must not know where they come from.

use std::collections::VecDeque;
use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::head::Head;
use crate::openai::Usage;

/// The end of a document without warnings is no longer, in bytes.
const CLOSING: usize = 256;

/// The document under way.
#[derive(Debug)]
pub struct JsonSink {
    ready: VecDeque<Bytes>,
    pictures: u32,
    /// The head of the first picture, whose size is reported.
    first: Head,
}

/// A member that OpenAI does not have: what was learned after the headers had gone.
#[derive(Serialize)]
pub(super) struct Easel<'a> {
    pub(super) warnings: &'a [String],
}

impl JsonSink {
    /// A document created at `created` (Unix seconds).
    pub fn new(created: i64) -> Self {
        let opening = format!("{{\"created\":{created},\"data\":[");
        Self { ready: VecDeque::from([opening.into()]), pictures: 0, first: Head::default() }
    }

    /// How many pictures have been written whole.
    pub fn pictures(&self) -> u32 {
        self.pictures
    }

    /// The next bytes to send, if any are ready.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// A picture begins.
    pub fn begin(&mut self) {
        let opening: &'static [u8] = if self.pictures == 0 { b"{\"b64_json\":\"" } else { b",{\"b64_json\":\"" };
        self.ready.push_back(Bytes::from_static(opening));
    }

    /// A stretch of the picture, base64.
    pub fn bytes(&mut self, base64: Bytes) {
        self.look(&base64);
        self.ready.push_back(base64);
    }

    /// The picture is whole.
    pub fn end(&mut self) {
        self.count();
        self.ready.push_back(Bytes::from_static(b"\"}"));
    }

    /// A picture that goes elsewhere begins. One before it may have broken off.
    pub fn begin_elsewhere(&mut self) {
        if self.pictures == 0 {
            self.first = Head::default();
        }
    }

    /// A stretch of a picture that goes elsewhere, base64: only looked at.
    pub fn look(&mut self, base64: &[u8]) {
        if self.pictures == 0 {
            self.first.feed(base64);
        }
    }

    /// The picture that went elsewhere is whole, and is to be fetched here.
    pub fn link(&mut self, url: &str) {
        let comma = if self.pictures == 0 { "" } else { "," };
        self.ready.push_back(format!("{comma}{}", json!({ "url": url })).into());
        self.count();
    }

    fn count(&mut self) {
        if self.pictures == 0 {
            self.first.end();
        }
        self.pictures += 1;
    }

    /// All pictures are there: closes the document. `size` and `output_format` are what the first picture says
    /// of itself, left out where it says nothing.
    pub fn finish(&mut self, warnings: &[String]) {
        let mut closing = String::with_capacity(CLOSING);
        // Writing into a string does not fail.
        closing.push(']');
        if let Some((format, size)) = self.first.found() {
            let _ = write!(closing, ",\"output_format\":\"{}\",\"size\":\"{size}\"", format.name());
        }
        let _ = write!(closing, ",\"usage\":{}", Usage::default().json());
        if !warnings.is_empty() {
            let _ = write!(closing, ",\"easel\":{}", json!(Easel { warnings }));
        }
        closing.push('}');
        self.ready.push_back(closing.into());
    }
}
