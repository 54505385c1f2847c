//! Puts pictures into the store as they come, and links to them into a document.
//!
//! Holds no more of a picture than one piece. Must not know whether a folder or a bucket keeps it.

use std::sync::Arc;

use bytes::Bytes;

use super::error::ApiError;
use super::extract::App;
use crate::image::Format;
use crate::reply::JsonSink;
use crate::router::Broken;
use crate::store::{Error, Writer};
use crate::unbase64::{Decoder, NotBase64};

/// So many bytes tell what a picture is.
const HEAD: usize = 12;

/// The document under way.
pub(super) struct LinkSink {
    app: Arc<App>,
    base_url: String,
    document: JsonSink,
    decoder: Decoder,
    /// The first bytes of a picture, until there are enough of them.
    head: Vec<u8>,
    writer: Option<Writer>,
}

impl LinkSink {
    /// Links that begin with `base_url`, where there is a store for what is behind them.
    pub(super) fn new(app: Arc<App>, base_url: Option<String>) -> Result<Self, ApiError> {
        if app.links.is_none() {
            return Err(ApiError::links_are_off());
        }
        let base_url = base_url.ok_or_else(ApiError::no_host)?;
        let document = JsonSink::new(app.clock.unix());
        Ok(Self { app, base_url, document, decoder: Decoder::new(), head: Vec::new(), writer: None })
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.document.pop()
    }

    pub(super) fn pictures(&self) -> u32 {
        self.document.pictures()
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.decoder = Decoder::new();
        self.head.clear();
        self.writer = None;
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, base64: &[u8]) -> Result<(), Broken> {
        self.document.look(base64);
        let bytes = self.decoder.feed(base64).map_err(malformed)?;
        self.keep(bytes).await
    }

    /// The picture is whole.
    pub(super) async fn end(&mut self) -> Result<(), Broken> {
        let rest = std::mem::take(&mut self.decoder).finish().map_err(malformed)?;
        self.keep(rest).await?;
        let (Some(writer), Some(links)) = (self.writer.take(), &self.app.links) else { return Err(no_picture()) };
        let name = writer.finish().await.map_err(not_kept)?;
        self.document.link(&format!("{}{}", self.base_url, links.path(name)));
        Ok(())
    }

    /// All pictures are there.
    pub(super) fn finish(&mut self, warnings: &[String]) {
        self.document.finish(warnings);
    }

    async fn keep(&mut self, mut bytes: Vec<u8>) -> Result<(), Broken> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                self.head.append(&mut bytes);
                if self.head.len() < HEAD {
                    return Ok(());
                }
                let format = Format::of(&self.head).ok_or_else(no_picture)?;
                let links = self.app.links.as_ref().ok_or_else(no_picture)?;
                bytes = std::mem::take(&mut self.head);
                self.writer.insert(links.writer(format).map_err(not_kept)?)
            }
        };
        writer.write(&bytes).await.map_err(not_kept)
    }
}

fn malformed(_: NotBase64) -> Broken {
    Broken::new("a picture is not base64")
}

fn no_picture() -> Broken {
    Broken::new("a picture is neither PNG, JPEG nor WebP")
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn not_kept(error: Error) -> Broken {
    Broken::new(format!("a picture cannot be kept: {error}"))
}
