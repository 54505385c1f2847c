//! Writes pictures as the answer of a chat: `message.images` in one document, or `delta.images` in events.
//!
//! Pictures pass through uncopied, as data URLs. Must not know where they come from.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::image::Format;
use crate::openai::{ChatUsage, ErrorBody};
use crate::unbase64::Decoder;

/// Base64 characters that tell what a picture is.
const HEAD: usize = 16;

/// How the answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatForm {
    /// One document.
    Document,
    /// Events; the last but one tells the usage if that is asked for.
    Events {
        /// `stream_options.include_usage`.
        include_usage: bool,
    },
}

/// The answer under way.
#[derive(Debug)]
pub struct ChatSink {
    ready: VecDeque<Bytes>,
    form: ChatForm,
    /// What each event and the document say of themselves: id, creation, model.
    id: String,
    created: i64,
    model: String,
    pictures: u32,
    /// The first characters of a picture, until they tell what it is.
    head: Option<Vec<u8>>,
}

impl ChatSink {
    /// An answer by the alias `model`, created at `created` (Unix seconds).
    pub fn new(form: ChatForm, id: String, created: i64, model: String) -> Self {
        let mut sink = Self { ready: VecDeque::new(), form, id, created, model, pictures: 0, head: None };
        match form {
            ChatForm::Document => {
                let (opening, _) = sink.around_document();
                sink.ready.push_back(opening.into());
            }
            ChatForm::Events { .. } => sink.event(json!({ "role": "assistant", "content": "" }), None),
        }
        sink
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
        self.head = Some(Vec::new());
    }

    /// A stretch of the picture, base64.
    pub fn bytes(&mut self, base64: Bytes) {
        match &mut self.head {
            None => self.ready.push_back(base64),
            Some(head) => {
                head.extend_from_slice(&base64);
                if head.len() >= HEAD {
                    self.open();
                }
            }
        }
    }

    /// The picture is whole.
    pub fn end(&mut self) {
        self.open();
        let closing = format!("\"}},\"index\":{}}}", self.pictures);
        self.ready.push_back(closing.into());
        if let ChatForm::Events { .. } = self.form {
            let (_, closing) = self.around_images();
            self.ready.push_back(closing.into());
        }
        self.pictures += 1;
    }

    /// All pictures are there: closes the answer with a text beside them.
    pub fn finish(&mut self, text: &str) {
        match self.form {
            ChatForm::Document => {
                let (_, closing) = self.around_document();
                let closing = closing.replacen("\"\"", &json!(text).to_string(), 1);
                self.ready.push_back(closing.into());
            }
            ChatForm::Events { include_usage } => {
                self.event(json!({ "content": text }), None);
                self.event(json!({}), Some("stop"));
                if include_usage {
                    let mut usage = self.named("chat.completion.chunk", json!([]));
                    usage["usage"] = json!(ChatUsage::default());
                    self.data(&usage);
                }
                self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
            }
        }
    }

    /// An error that came too late for the status line.
    pub fn error(&mut self, error: &ErrorBody) {
        self.data(&json!(error));
    }

    /// Begins the picture's data URL, now that its first characters are there.
    fn open(&mut self) {
        let Some(head) = self.head.take() else { return };
        let first = Decoder::new().feed(&head[..head.len().min(HEAD)]).unwrap_or_default();
        let format = Format::of(&first).unwrap_or(Format::Png);
        let comma = if self.form == ChatForm::Document && self.pictures > 0 { "," } else { "" };
        let before = match self.form {
            ChatForm::Document => String::new(),
            ChatForm::Events { .. } => self.around_images().0,
        };
        let opening = format!(
            "{before}{comma}{{\"type\":\"image_url\",\"image_url\":{{\"detail\":\"auto\",\"url\":\"data:image/{};base64,",
            format.name()
        );
        self.ready.push_back(opening.into());
        self.ready.push_back(head.into());
    }

    fn event(&mut self, delta: Value, finish_reason: Option<&str>) {
        let choice = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }]);
        let event = self.named("chat.completion.chunk", choice);
        self.data(&event);
    }

    fn data(&mut self, event: &Value) {
        self.ready.push_back(format!("data: {event}\n\n").into());
    }

    fn named(&self, object: &str, choices: Value) -> Value {
        json!({ "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices })
    }

    /// What stands around the pictures of an event.
    fn around_images(&self) -> (String, String) {
        let choice = json!([{ "index": 0, "delta": { "images": [] }, "logprobs": null, "finish_reason": null }]);
        let (before, after) = split(&self.named("chat.completion.chunk", choice));
        (format!("data: {before}"), format!("{after}\n\n"))
    }

    /// What stands around the pictures of the document; the text is still empty.
    fn around_document(&self) -> (String, String) {
        let message = json!({ "role": "assistant", "images": [], "content": "", "refusal": null });
        let choice = json!([{ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" }]);
        let mut document = self.named("chat.completion", choice);
        document["usage"] = json!(ChatUsage::default());
        split(&document)
    }
}

/// A document before and after what will stand in its array `images`.
fn split(document: &Value) -> (String, String) {
    let text = document.to_string();
    let (before, after) = text.split_once("\"images\":[").unwrap_or((&text, ""));
    (format!("{before}\"images\":["), after.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";

    fn written(form: ChatForm) -> String {
        let model = "a \"images\":[ model".to_owned();
        let mut sink = ChatSink::new(form, "chatcmpl-1".into(), 7, model);
        for picture in [PNG, "/9j/4AAQSkZJRgABAQAAAQ"] {
            sink.begin();
            for piece in picture.as_bytes().chunks(5) {
                sink.bytes(Bytes::copy_from_slice(piece));
            }
            sink.end();
        }
        sink.finish("two \"pictures\"");
        let pieces: Vec<_> = std::iter::from_fn(|| sink.pop()).collect();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn a_document_is_a_message_with_images() {
        let document: Value = serde_json::from_str(&written(ChatForm::Document)).unwrap();
        let message = &document["choices"][0]["message"];
        assert_eq!((&message["content"], &message["role"]), (&json!("two \"pictures\""), &json!("assistant")));
        let url = |place: usize| message["images"][place]["image_url"]["url"].as_str().unwrap();
        assert_eq!(url(0), format!("data:image/png;base64,{PNG}"));
        assert!(url(1).starts_with("data:image/jpeg;base64,/9j/"));
        assert_eq!((&document["object"], &document["usage"]["total_tokens"]), (&json!("chat.completion"), &json!(0)));
    }

    #[test]
    fn events_are_deltas_and_end() {
        let text = written(ChatForm::Events { include_usage: true });
        let mut events: Vec<_> =
            text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(events.pop(), Some("[DONE]"));
        let events: Vec<Value> = events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        assert_eq!(events.len(), 6);
        assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["id"] == "chatcmpl-1"));
        let delta = |place: usize| &events[place]["choices"][0]["delta"];
        assert_eq!(delta(0)["role"], "assistant");
        assert_eq!(delta(1)["images"][0]["image_url"]["url"], format!("data:image/png;base64,{PNG}"));
        assert_eq!(delta(2)["images"][0]["index"], 1);
        assert_eq!(delta(3)["content"], "two \"pictures\"");
        assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
        assert_eq!((&events[5]["choices"], &events[5]["usage"]["total_tokens"]), (&json!([]), &json!(0)));
    }
}
