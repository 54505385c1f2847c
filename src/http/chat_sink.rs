//! Puts pictures into a chat's answer, and links to them beside: shown in a document, noted unseen in events.
//!
//! Must not fail for a link's sake: the picture itself is in the answer.

use std::sync::Arc;

use bytes::Bytes;

use super::error::ApiError;
use super::extract::App;
use super::keeper::Keeper;
use crate::openai::picture_notes;
use crate::reply::{ChatForm, ChatSink as Answer};
use crate::router::Failure;

/// The answer under way.
pub(super) struct ChatSink {
    answer: Answer,
    form: ChatForm,
    alias: String,
    /// Absent where there are no links, or once one has failed.
    keeper: Option<Keeper>,
    links: Vec<String>,
}

impl ChatSink {
    /// An answer by `alias`. Chat UIs that stream keep the pictures themselves, but do not send them when the chat goes
    /// on; others show what the text links to.
    pub(super) fn new(app: Arc<App>, form: ChatForm, alias: String, base_url: Option<String>) -> Self {
        let answer = Answer::new(form, Self::id(), app.clock.unix(), alias.clone());
        let links = app.links.is_some();
        let keeper = base_url.filter(|_| links).map(|base_url| Keeper::new(app, base_url));
        Self { answer, form, alias, keeper, links: Vec::new() }
    }

    /// A new answer's id.
    pub(super) fn id() -> String {
        format!("chatcmpl-{}", uuid::Uuid::new_v4().simple())
    }

    /// Whether the answer goes out as events.
    pub(super) fn streams(&self) -> bool {
        self.form != ChatForm::Document
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.answer.pop()
    }

    pub(super) fn pictures(&self) -> u32 {
        self.answer.pictures()
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.answer.begin();
        if let Some(keeper) = &mut self.keeper {
            keeper.begin();
        }
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, base64: Bytes) {
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.bytes(&base64).await
        {
            tracing::warn!(detail = %error, "a picture of a chat has no link");
            self.keeper = None;
        }
        self.answer.bytes(base64);
    }

    /// The picture is whole.
    pub(super) async fn end(&mut self) {
        self.answer.end();
        if let Some(keeper) = &mut self.keeper {
            match keeper.end().await {
                Ok(link) => self.links.push(link),
                Err(error) => {
                    tracing::warn!(detail = %error, "a picture of a chat has no link");
                    self.keeper = None;
                }
            }
        }
    }

    /// Every call has brought all that it brings. An error if there are no pictures, but a failure.
    pub(super) fn finish(&mut self, warnings: &[String], failure: Option<Failure>) -> Option<ApiError> {
        if self.answer.pictures() == 0
            && let Some(failure) = failure
        {
            let error = ApiError::from(failure);
            self.answer.error(&error.clone().body());
            return Some(error);
        }
        self.answer.finish(&self.text(warnings));
        None
    }

    /// What a reader sees beside the pictures.
    fn text(&self, warnings: &[String]) -> String {
        let shown = if self.streams() { &[] } else { &self.links[..] };
        let mut lines: Vec<_> = shown.iter().map(|link| format!("![picture]({link})")).collect();
        if lines.is_empty() {
            lines.push(format!("Painted by {}.", self.alias));
        }
        lines.extend(warnings.iter().map(|warning| format!("{warning}.")));
        if self.streams() && !self.links.is_empty() {
            lines.push(picture_notes(&self.links));
        }
        lines.join("\n\n")
    }
}
