//! Bedrock's reply on its way to the caller: scanned into events, written in OpenAI's form.
//!
//! State machines without I/O; no picture is held whole. Must not know HTTP, or why a reply was asked for.

mod chat_sink;
mod event_sink;
mod head;
mod json_sink;
mod scan;

pub use crate::lexer::Malformed;
pub use chat_sink::{ChatForm, ChatSink};
pub use event_sink::EventSink;
pub use json_sink::JsonSink;
pub use scan::{Event, Said, Scanner};

#[cfg(test)]
mod tests;
