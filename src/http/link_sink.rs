//! Puts pictures into the store as they come, and links to them into a document.
//!
//! Holds no more of a picture than its keeper. Must not know how pictures are kept: `keeper.rs` does.

use std::sync::Arc;

use bytes::Bytes;

use super::error::ApiError;
use super::extract::App;
use super::keeper::Keeper;
use crate::reply::JsonSink;
use crate::router::{Broken, Failure};

/// The document under way.
pub(super) struct LinkSink {
    document: JsonSink,
    keeper: Keeper,
}

impl LinkSink {
    /// Links that begin with `base_url`, where there is a store for what is behind them.
    pub(super) fn new(app: Arc<App>, base_url: Option<String>) -> Result<Self, ApiError> {
        if app.links.is_none() {
            return Err(ApiError::links_are_off());
        }
        let base_url = base_url.ok_or_else(ApiError::no_host)?;
        let document = JsonSink::new(app.clock.unix());
        Ok(Self { document, keeper: Keeper::new(app, base_url) })
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.document.pop()
    }

    pub(super) fn pictures(&self) -> u32 {
        self.document.pictures()
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.document.begin_elsewhere();
        self.keeper.begin();
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, base64: &[u8]) -> Result<(), Broken> {
        self.document.look(base64);
        self.keeper.bytes(base64).await
    }

    /// The picture is whole.
    pub(super) async fn end(&mut self) -> Result<(), Broken> {
        let link = self.keeper.end().await?;
        self.document.link(&link);
        Ok(())
    }

    /// Every call has brought all that it brings. An error if there are no pictures, but a failure.
    pub(super) fn finish(&mut self, warnings: &[String], failure: Option<Failure>) -> Option<ApiError> {
        let failure = failure.filter(|_| self.pictures() == 0);
        if failure.is_none() {
            self.document.finish(warnings);
        }
        failure.map(ApiError::from)
    }
}
