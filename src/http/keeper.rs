//! Puts a picture into the store while it passes, and says what its link is.
//!
//! Holds one stretch of a picture, beside those that the store has not written yet. Must not know whether a folder or a
//! bucket keeps it.

use std::sync::Arc;

use super::extract::App;
use crate::image::Format;
use crate::router::Broken;
use crate::store::{Buffer, Error, Links, Writer};
use crate::unbase64::{Decoder, GROUP, NotBase64};

/// Keeps one picture after the other.
pub(super) struct Keeper {
    app: Arc<App>,
    base_url: String,
    decoder: Decoder,
    /// What the store does not have yet.
    held: Option<Buffer>,
    /// Of a picture whose first stretch has gone there.
    writer: Option<Writer>,
}

impl Keeper {
    /// For links that begin with `base_url`.
    pub(super) fn new(app: Arc<App>, base_url: String) -> Self {
        Self { app, base_url, decoder: Decoder::new(), held: None, writer: None }
    }

    /// A picture begins.
    pub(super) fn begin(&mut self) {
        self.decoder = Decoder::new();
        self.held = None;
        self.writer = None;
    }

    /// A stretch of the picture, base64.
    pub(super) async fn bytes(&mut self, mut base64: &[u8]) -> Result<(), Broken> {
        while !base64.is_empty() {
            let mut held = self.hold(GROUP).await?;
            let (taken, written) = self.decoder.feed_into(base64, held.room()).map_err(malformed)?;
            held.advance(written);
            base64 = &base64[taken..];
            self.held = Some(held);
        }
        Ok(())
    }

    /// The picture is whole: its link.
    pub(super) async fn end(&mut self) -> Result<String, Broken> {
        let rest = std::mem::take(&mut self.decoder).finish().map_err(malformed)?;
        let mut last = self.hold(rest.len()).await?;
        last.put(&rest);
        let writer = self.writer(&last)?;
        let name = writer.finish(last).await.map_err(not_kept)?;
        Ok(format!("{}{}", self.base_url, self.links()?.path(name)))
    }

    /// What is held, where there is room for so many bytes more; else it goes to the store, and an empty one comes.
    async fn hold(&mut self, room: usize) -> Result<Buffer, Broken> {
        if let Some(mut held) = self.held.take() {
            if held.room().len() >= room {
                return Ok(held);
            }
            let mut writer = self.writer(&held)?;
            writer.write(held).await.map_err(not_kept)?;
            self.writer = Some(writer);
        }
        Ok(self.links()?.buffer())
    }

    /// Opened when the first bytes are there, which tell what the picture is.
    fn writer(&mut self, first: &Buffer) -> Result<Writer, Broken> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => {
                let format = Format::of(first.filled()).ok_or_else(no_picture)?;
                self.links()?.writer(format).map_err(not_kept)
            }
        }
    }

    fn links(&self) -> Result<&Links, Broken> {
        self.app.links.as_ref().ok_or_else(no_picture)
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
