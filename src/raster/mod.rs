//! The only place where pixels are touched: what pictures are, what is made of them before they are sent,
//! and how painted ones are encoded anew.
//!
//! Works off the async threads, on few pixels at a time. Must not know models, or why a recipe asks for something.

mod draw;
mod inspect;
mod jpeg;
mod transcode;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use crate::blob::{Blob, Spooler};
use crate::image::{Encoding, Unsupported};
use crate::payload::{self, MAX_PAYLOAD, Payload};
use crate::picture::{Draft, Part, Picture, Recipe};

/// Pictures of more pixels are not read: 40 million of RGBA would be 160 MB.
pub const MAX_PIXELS: u64 = 33_554_432;

/// Pixels that may be held decoded at the same time, in all: four bytes each, and twice that while they are redrawn.
const PIXELS_AT_ONCE: u64 = MAX_PIXELS / 4;

/// One permit stands for this many pixels.
const PIXELS_A_PERMIT: u64 = 4096;

/// Why a picture could not be made ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller's: it cannot be read, or cannot be what it is sent for.
    Picture(Unsupported),
    /// The operator's: the folder for uploads fails, in these words.
    Storage(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picture(unsupported) => f.write_str(&unsupported.message),
            Self::Storage(words) => f.write_str(words),
        }
    }
}

impl From<Unsupported> for Error {
    fn from(unsupported: Unsupported) -> Self {
        Self::Picture(unsupported)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Works on pictures. Copies share the bound on pixels.
#[derive(Clone, Debug)]
pub struct Raster {
    permits: Arc<Semaphore>,
    spooler: Spooler,
}

/// What has been made of one request's pictures, so that each is made once however many calls carry it.
#[derive(Clone, Default)]
pub struct Prints(Arc<Mutex<Vec<Print>>>);

struct Print {
    blob: Blob,
    recipe: Recipe,
    made: Arc<OnceCell<Result<Blob, Error>>>,
}

impl fmt::Debug for Prints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prints")
    }
}

impl Raster {
    /// What is made goes where uploads go.
    pub fn new(spooler: Spooler) -> Self {
        let permits = usize::try_from(PIXELS_AT_ONCE / PIXELS_A_PERMIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), spooler }
    }

    /// Where uploads go.
    pub fn spooler(&self) -> &Spooler {
        &self.spooler
    }

    /// What a file says of itself, or why it is no picture that can be read. `name` is the parameter it came as.
    pub async fn inspect(&self, name: &str, blob: Blob) -> Result<Picture, Error> {
        let picture = {
            let (name, blob) = (name.to_owned(), blob);
            off_thread(move || Ok(inspect::head(&name, &blob)?)).await?
        };
        // Only WebP is decoded whole for its alpha; PNG is read row by row.
        let _permit = self.permit(picture.size.pixels()).await;
        off_thread(move || Ok(inspect::alpha(picture)?)).await
    }

    /// A draft with its pictures made ready.
    pub async fn payload(&self, draft: &Draft, prints: &Prints) -> Result<Payload, Error> {
        let mut parts = Vec::new();
        let mut largest: Option<&Picture> = None;
        for part in &draft.parts {
            parts.push(match part {
                Part::Text(text) => payload::Part::Text(text.clone()),
                Part::Picture { picture, recipe } => {
                    largest = largest.filter(|other| other.blob.len() >= picture.blob.len()).or(Some(picture));
                    payload::Part::Base64(self.made(picture, *recipe, prints).await?)
                }
            });
        }
        let payload: Payload = parts.into_iter().collect();
        match largest {
            Some(picture) if payload.len() > MAX_PAYLOAD => Err(too_long(&picture.name, payload.len()).into()),
            _ => Ok(payload),
        }
    }

    async fn made(&self, picture: &Picture, recipe: Recipe, prints: &Prints) -> Result<Blob, Error> {
        if recipe == Recipe::AsIs {
            return Ok(picture.blob.clone());
        }
        let print = prints.print(&picture.blob, recipe);
        print.get_or_init(|| self.make(picture, recipe)).await.clone()
    }

    async fn make(&self, picture: &Picture, recipe: Recipe) -> Result<Blob, Error> {
        // What is decoded, and what is made of it.
        let _permit = self.permit(picture.size.pixels().max(draw::pixels(recipe))).await;
        let picture = picture.clone();
        let bytes = off_thread(move || Ok(draw::draw(&picture, recipe)?)).await?;
        let mut spool = self.spooler.spool();
        spool.write(&bytes).await?;
        Ok(spool.finish().await?)
    }

    /// A painted picture encoded anew, and whether transparency was laid on white because JPEG has none.
    pub async fn transcode(&self, blob: Blob, to: Encoding) -> Result<(Blob, bool), Error> {
        let picture = off_thread(move || Ok(inspect::head("the picture", &blob)?)).await?;
        let permit = self.permit(picture.size.pixels()).await;
        let encode = move || {
            let encoded = transcode::transcode(&picture, to);
            Ok(encoded.map_err(|error| inspect::broken(&picture.name, picture.format, &error))?)
        };
        let (bytes, flattened) = off_thread(encode).await?;
        drop(permit);
        let mut spool = self.spooler.spool();
        spool.write(&bytes).await?;
        Ok((spool.finish().await?, flattened))
    }

    /// Waits until so many pixels may be decoded. A picture that is larger than the bound has it for itself.
    async fn permit(&self, pixels: u64) -> Option<SemaphorePermit<'_>> {
        let permits = pixels.min(PIXELS_AT_ONCE).div_ceil(PIXELS_A_PERMIT);
        // It is never closed, so there is always a permit in the end.
        self.permits.acquire_many(u32::try_from(permits).unwrap_or(u32::MAX)).await.ok()
    }
}

impl Prints {
    fn print(&self, blob: &Blob, recipe: Recipe) -> Arc<OnceCell<Result<Blob, Error>>> {
        let mut prints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(print) = prints.iter().find(|print| print.blob == *blob && print.recipe == recipe) {
            return print.made.clone();
        }
        let made = Arc::<OnceCell<_>>::default();
        prints.push(Print { blob: blob.clone(), recipe, made: made.clone() });
        made
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(Error::Storage(panic.to_string())))
}

fn too_long(name: &str, length: u64) -> Unsupported {
    let message = format!(
        "the pictures come to {:.1} MB as base64. Bedrock takes {} MB in all: send them smaller",
        megabytes(length),
        MAX_PAYLOAD / 1_000_000
    );
    Unsupported::new(name, message)
}

#[cfg(test)]
mod tests;

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
