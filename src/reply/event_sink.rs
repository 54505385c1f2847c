//! Writes events as OpenAI's server-sent events, one for each picture: `image_generation.completed` and its like.
//!
//! Pictures pass through uncopied. Must not know where they come from.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::json;

use super::head::Head;
use super::json_sink::Easel;
use crate::image::Format;
use crate::openai::{ErrorBody, Usage};

/// The events under way.
#[derive(Debug)]
pub struct EventSink {
    ready: VecDeque<Bytes>,
    /// The events' type.
    name: &'static str,
    created: i64,
    pictures: u32,
    head: Head,
    /// The last picture is whole, but its event is not closed: it may be the one that tells the warnings.
    open: bool,
    /// How many of the warnings have been told.
    told: usize,
}

impl EventSink {
    /// Events of type `name`, such as `image_generation.completed`, of a request from `created` (Unix seconds).
    pub fn new(name: &'static str, created: i64) -> Self {
        Self { ready: VecDeque::new(), name, created, pictures: 0, head: Head::default(), open: false, told: 0 }
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
        self.close(&[]);
        self.head = Head::default();
        let Self { name, created, .. } = self;
        let opening = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"created_at\":{created},\"b64_json\":\"");
        self.ready.push_back(opening.into());
    }

    /// A stretch of the picture, base64.
    pub fn bytes(&mut self, base64: Bytes) {
        self.head.feed(&base64);
        self.ready.push_back(base64);
    }

    /// The picture is whole.
    pub fn end(&mut self) {
        self.head.end();
        self.pictures += 1;
        self.open = true;
    }

    /// Closes the event of the last picture, if it is open, with those of the request's warnings so far that none
    /// has told. OpenAI's members are all there: strict clients want them.
    pub fn close(&mut self, warnings: &[String]) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let (format, size) = match self.head.found() {
            Some((format, size)) => (format, size.to_string()),
            None => (Format::Png, "auto".to_owned()),
        };
        let mut closing = format!(
            "\",\"background\":\"auto\",\"output_format\":\"{}\",\"quality\":\"auto\",\"size\":\"{size}\",\"usage\":{}",
            format.name(),
            Usage::default().json()
        );
        if self.has_untold(warnings) {
            closing += &format!(",\"easel\":{}", json!(Easel { warnings: &warnings[self.told..] }));
            self.told = warnings.len();
        }
        closing += "}\n\n";
        self.ready.push_back(closing.into());
    }

    /// Whether no event has told all of these warnings of the request.
    pub fn has_untold(&self, warnings: &[String]) -> bool {
        self.told < warnings.len()
    }

    /// An error that came too late for the status line. SDKs raise it.
    pub fn error(&mut self, error: &ErrorBody) {
        self.ready.push_back(format!("event: error\ndata: {}\n\n", json!(error)).into());
    }
}
