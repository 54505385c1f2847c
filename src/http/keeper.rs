//! Puts a picture into the store while it passes, and says what its link is.
//!
//! Holds no more of a picture than one piece. Must not know whether a folder or a bucket keeps it.

use std::sync::Arc;

use super::extract::App;
use crate::image::Format;
use crate::router::Broken;
use crate::store::{Error, Writer};
use crate::unbase64::{Decoder, NotBase64};

/// So many bytes tell what a picture is.
const HEAD: usize = 12;

/// Keeps one picture after the other.
pub(super) struct Keeper {
    app: Arc<App>,
    base_url: String,
    decoder: Decoder,
    /// The first bytes of a picture, until there are enough of them.
    head: Vec<u8>,
    writer: Option<Writer>,
}

impl Keeper {
    /// For links that begin with `base_url`.
    pub(super) fn new(app: Arc<App>, base_url: String) -> Self {
        Self { app, base_url, decoder: Decoder::new(), head: Vec::new(), writer: None }
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.decoder = Decoder::new();
        self.head.clear();
        self.writer = None;
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, base64: &[u8]) -> Result<(), Broken> {
        let bytes = self.decoder.feed(base64).map_err(malformed)?;
        self.keep(bytes).await
    }

    /// The picture is whole: its link.
    pub(super) async fn end(&mut self) -> Result<String, Broken> {
        let rest = std::mem::take(&mut self.decoder).finish().map_err(malformed)?;
        self.keep(rest).await?;
        let (Some(writer), Some(links)) = (self.writer.take(), &self.app.links) else { return Err(no_picture()) };
        let name = writer.finish().await.map_err(not_kept)?;
        Ok(format!("{}{}", self.base_url, links.path(name)))
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
