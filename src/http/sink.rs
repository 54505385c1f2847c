//! Where pictures go: into one JSON document, as base64 or as links, or into events.
//!
//! Must not know where they come from, or why one is missing.

use bytes::Bytes;

use super::chat_sink::ChatSink;
use super::error::ApiError;
use super::link_sink::LinkSink;
use crate::reply::{Event, EventSink, JsonSink};
use crate::router::{Broken, Failure};

/// One of OpenAI's forms.
pub(super) enum Sink {
    /// A document with base64 in it.
    Base64(JsonSink),
    /// A document with links in it.
    Links(Box<LinkSink>),
    /// Server-sent events.
    Events(EventSink),
    /// The answer of a chat.
    Chat(Box<ChatSink>),
}

impl Sink {
    /// Whether it goes out as events.
    pub(super) fn streams(&self) -> bool {
        match self {
            Self::Base64(_) | Self::Links(_) => false,
            Self::Events(_) => true,
            Self::Chat(sink) => sink.streams(),
        }
    }

    /// Whether its replies are short whatever is painted, so that they can wait until they are whole.
    pub(super) fn is_short(&self) -> bool {
        matches!(self, Self::Links(_))
    }

    /// What sets its replies apart from those of other forms.
    pub(super) fn form(&self) -> &'static str {
        match self {
            Self::Base64(_) => "base64",
            Self::Links(_) => "links",
            Self::Events(_) => "events",
            Self::Chat(_) => "chat",
        }
    }

    /// Whether its replies may hold links.
    pub(super) fn makes_links(&self) -> bool {
        matches!(self, Self::Links(_) | Self::Chat(_))
    }

    /// The next bytes to send, if any are ready.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        match self {
            Self::Base64(sink) => sink.pop(),
            Self::Links(sink) => sink.pop(),
            Self::Events(sink) => sink.pop(),
            Self::Chat(sink) => sink.pop(),
        }
    }

    /// How many pictures are whole.
    pub(super) fn pictures(&self) -> u32 {
        match self {
            Self::Base64(sink) => sink.pictures(),
            Self::Links(sink) => sink.pictures(),
            Self::Events(sink) => sink.pictures(),
            Self::Chat(sink) => sink.pictures(),
        }
    }

    /// What comes of a picture. Keeping one takes many steps, and is in a box: other sinks need no room for them.
    pub(super) async fn take(&mut self, event: Event) -> Result<(), Broken> {
        match (self, event) {
            (_, Event::End) => {}
            (Self::Base64(sink), Event::PictureBegins) => sink.begin(),
            (Self::Base64(sink), Event::PictureBytes(bytes)) => sink.bytes(bytes),
            (Self::Base64(sink), Event::PictureEnds) => sink.end(),
            (Self::Links(sink), Event::PictureBegins) => sink.begin(),
            (Self::Links(sink), Event::PictureBytes(bytes)) => Box::pin(sink.bytes(&bytes)).await?,
            (Self::Links(sink), Event::PictureEnds) => Box::pin(sink.end()).await?,
            (Self::Events(sink), Event::PictureBegins) => sink.begin(),
            (Self::Events(sink), Event::PictureBytes(bytes)) => sink.bytes(bytes),
            (Self::Events(sink), Event::PictureEnds) => sink.end(),
            (Self::Chat(sink), Event::PictureBegins) => sink.begin(),
            (Self::Chat(sink), Event::PictureBytes(bytes)) => Box::pin(sink.bytes(bytes)).await,
            (Self::Chat(sink), Event::PictureEnds) => Box::pin(sink.end()).await,
        }
        Ok(())
    }

    /// A call has brought all that it brings. `warnings` are those of the request so far.
    pub(super) fn settle(&mut self, warnings: &[String]) {
        match self {
            Self::Base64(_) | Self::Links(_) | Self::Chat(_) => {}
            Self::Events(sink) => sink.close(warnings),
        }
    }

    /// Every call has. An error if there is one to tell: a failure that no event has told, as there are no more, or one
    /// that left nothing to link to.
    pub(super) fn finish(&mut self, warnings: &[String], failure: Option<Failure>) -> Option<ApiError> {
        match self {
            Self::Base64(sink) => {
                sink.finish(warnings);
                None
            }
            Self::Links(sink) => sink.finish(warnings, failure),
            Self::Events(sink) => {
                let error = failure.filter(|_| sink.has_untold(warnings)).map(ApiError::from)?;
                sink.error(&error.clone().body());
                Some(error)
            }
            Self::Chat(sink) => sink.finish(warnings, failure),
        }
    }
}
