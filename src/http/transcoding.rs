//! A painting's pictures in the encoding that the caller wants: as they come, or encoded anew.
//!
//! Holds no picture: what has to be encoded anew is spooled. Must not know in which form the pictures go out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::blob::{Pieces, Spool};
use crate::image::Encoding;
use crate::raster::{self, Raster};
use crate::reply::Event;
use crate::router::{Broken, Painting};
use crate::unbase64::Decoder;

/// A painting on its way out.
pub(super) struct Pictures {
    pub(super) painting: Box<Painting>,
    transcoding: Option<Transcoding>,
}

struct Transcoding {
    raster: Raster,
    to: Encoding,
    decoder: Decoder,
    /// The picture that comes in.
    spool: Spool,
    /// The picture that goes out.
    pieces: Option<Pieces>,
    flattened: bool,
}

impl Pictures {
    pub(super) fn new(painting: Box<Painting>, raster: &Raster) -> Self {
        let transcoding = painting.request.transcode.map(|to| Transcoding {
            raster: raster.clone(),
            to,
            decoder: Decoder::new(),
            spool: raster.spooler().spool(),
            pieces: None,
            flattened: false,
        });
        Self { painting, transcoding }
    }

    /// The next event of the pictures; `None` at the end of a whole reply.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Broken> {
        match &mut self.transcoding {
            None => self.painting.next().await,
            Some(transcoding) => transcoding.next(&mut self.painting).await,
        }
    }

    /// After the end: what the caller has to know of the pictures that came.
    pub(super) fn notes(&self) -> Option<String> {
        let flattened = self.transcoding.as_ref().is_some_and(|transcoding| transcoding.flattened);
        flattened.then(|| "transparency was laid on white: JPEG has none. Ask for 'png' or 'webp' to keep it".into())
    }
}

impl Transcoding {
    async fn next(&mut self, painting: &mut Painting) -> Result<Option<Event>, Broken> {
        loop {
            if let Some(pieces) = &mut self.pieces {
                let piece = pieces.next().await.map_err(failed)?;
                if piece.is_none() {
                    self.pieces = None;
                }
                // All pieces but the last are a multiple of three bytes long, so their base64 can be put together.
                let base64 = |piece: Bytes| Event::PictureBytes(STANDARD.encode(piece).into());
                return Ok(Some(piece.map_or(Event::PictureEnds, base64)));
            }
            match painting.next().await? {
                None => return Ok(None),
                Some(Event::PictureBegins) => {
                    self.decoder = Decoder::new();
                    self.spool = self.raster.spooler().spool();
                }
                Some(Event::PictureBytes(base64)) => {
                    let bytes = self.decoder.feed(&base64).map_err(broken)?;
                    self.spool.write(&bytes).await.map_err(failed)?;
                }
                Some(Event::PictureEnds) => {
                    self.encode().await?;
                    return Ok(Some(Event::PictureBegins));
                }
                Some(Event::End) => {}
            }
        }
    }

    async fn encode(&mut self) -> Result<(), Broken> {
        let rest = std::mem::take(&mut self.decoder).finish().map_err(broken)?;
        self.spool.write(&rest).await.map_err(failed)?;
        let spool = std::mem::replace(&mut self.spool, self.raster.spooler().spool());
        let picture = spool.finish().await.map_err(failed)?;
        let (picture, flattened) = self.raster.transcode(picture, self.to).await.map_err(failed)?;
        self.pieces = Some(picture.pieces());
        self.flattened |= flattened;
        Ok(())
    }
}

/// It is not what Bedrock should have sent.
fn broken(error: impl std::fmt::Display) -> Broken {
    Broken::new(format!("a picture cannot be encoded anew: {error}"))
}

/// Whether that is the picture's fault or the folder's for uploads.
fn failed(error: impl Into<raster::Error>) -> Broken {
    match error.into() {
        raster::Error::Picture(unsupported) => broken(unsupported.message),
        raster::Error::Storage(words) => {
            Broken::unspooled(format!("a picture cannot be spooled to be encoded anew: {words}"))
        }
    }
}
