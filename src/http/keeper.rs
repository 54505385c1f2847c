//! Puts a picture into the store while it passes, and says what its link is.
//!
//! Holds one piece of a picture, beside those that the store has not written yet. Must not know whether a folder or a
//! bucket keeps it.

use std::sync::Arc;

use super::extract::App;
use crate::image::Format;
use crate::router::Broken;
use crate::store::{Error, Writer};
use crate::unbase64::{Decoder, NotBase64};

/// What goes to the store at once has so many bytes, at least: enough to tell what a picture is. Long pieces go as they are,
/// for to put them together would be to copy them.
const PIECE: usize = 4096;

/// Keeps one picture after the other.
pub(super) struct Keeper {
    app: Arc<App>,
    base_url: String,
    decoder: Decoder,
    /// What the store does not have yet.
    held: Vec<u8>,
    /// Of a picture whose first piece has gone there.
    writer: Option<Writer>,
}

impl Keeper {
    /// For links that begin with `base_url`.
    pub(super) fn new(app: Arc<App>, base_url: String) -> Self {
        Self { app, base_url, decoder: Decoder::new(), held: Vec::new(), writer: None }
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.decoder = Decoder::new();
        self.held.clear();
        self.writer = None;
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, base64: &[u8]) -> Result<(), Broken> {
        if self.held.len() >= PIECE {
            let mut writer = self.writer()?;
            writer.write(std::mem::take(&mut self.held)).await.map_err(not_kept)?;
            self.writer = Some(writer);
        }
        self.decoder.feed_into(base64, &mut self.held).map_err(malformed)
    }

    /// The picture is whole: its link.
    pub(super) async fn end(&mut self) -> Result<String, Broken> {
        let mut rest = std::mem::take(&mut self.decoder).finish().map_err(malformed)?;
        self.held.append(&mut rest);
        let writer = self.writer()?;
        let name = writer.finish(std::mem::take(&mut self.held)).await.map_err(not_kept)?;
        let links = self.app.links.as_ref().ok_or_else(no_picture)?;
        Ok(format!("{}{}", self.base_url, links.path(name)))
    }

    /// Opened when the first bytes are there, which tell what the picture is.
    fn writer(&mut self) -> Result<Writer, Broken> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let format = Format::of(&self.held).ok_or_else(no_picture)?;
        let links = self.app.links.as_ref().ok_or_else(no_picture)?;
        links.writer(format).map_err(not_kept)
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
    Broken::unkept(format!("a picture cannot be kept: {error}"))
}
