//! What outlives a request: pictures behind links, in a folder or in an S3-compatible bucket.
//!
//! Names of files come only from random ids. Must not know who asks, or where a link begins.

mod bucket;
mod buffer;
mod chain;
mod disk;
mod folder;
mod kept;
mod key;
mod name;
mod wire;
mod write_behind;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Method;
use tokio::io::AsyncReadExt;

pub use buffer::Buffer;
pub use kept::{Body, Kept, Label, Reader as BodyReader};
pub use name::Name;

use crate::clock::Clock;
use crate::config::Delivery;
use crate::image::Format;
use bucket::Bucket;
use buffer::Spare;
use folder::Folder;
use key::Key;

/// The store fails; the text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// Why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLink {
    /// It never was one of ours.
    Unknown,
    /// It was, until it expired.
    Expired,
}

/// A link that was true and has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveLink {
    /// What it leads to.
    pub name: Name,
    /// How much longer it lives.
    pub left: Duration,
}

/// Where a picture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In this file.
    File(PathBuf),
    /// At this address, for as long as the link lives.
    Elsewhere(String),
}

/// Keeps pictures and makes links to them.
#[derive(Debug)]
pub struct Links {
    place: Place,
    key: Key,
    life: Duration,
    clock: Clock,
    spare: Spare,
}

#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// A picture being kept. It appears whole, by [`Writer::finish`]; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    name: Name,
    place: Writing,
}

#[derive(Debug)]
enum Writing {
    Folder(folder::Writer),
    Bucket(bucket::Writer),
}

/// A kept picture being read.
pub enum Reader {
    /// From the folder.
    File(tokio::fs::File),
    /// From the bucket.
    Stream(BoxStream<'static, object_store::Result<Bytes>>),
}

/// What is read from a file at once.
const STRIDE: usize = 192 * 1024;

impl Links {
    /// What the config says, its folder made where it is missing. The error is one line that says what to do.
    pub fn open(delivery: &Delivery, clock: Clock) -> Result<Self, String> {
        let settings = &delivery.links;
        let life = settings.expires_in;
        if let (Some(bucket), Some(secret)) = (&settings.bucket, &settings.secret) {
            let place = Place::Bucket(Bucket::open(bucket, life, clock).map_err(|error| error.to_string())?);
            return Ok(Self { place, key: Key::from_secret(secret), life, clock, spare: Spare::default() });
        }
        let hint = "Set easel_settings.data_dir or EASEL_DATA_DIR to a folder that Easel may write";
        let Some(data_dir) = &delivery.data_dir else {
            return Err(format!("there is no folder for them. {hint}"));
        };
        let failed = |error| format!("{}: {error}. {hint}", data_dir.display());
        let folder = Folder::open(data_dir, settings.max_bytes, life, clock).map_err(failed)?;
        let key = match &settings.secret {
            Some(secret) => Key::from_secret(secret),
            None => Key::kept_in(data_dir).map_err(failed)?,
        };
        Ok(Self { place: Place::Folder(folder), key, life, clock, spare: Spare::default() })
    }

    /// An empty one, for a stretch of a picture that is to be kept.
    pub fn buffer(&self) -> Buffer {
        self.spare.buffer()
    }

    /// Keeps a new picture of this format.
    pub fn writer(&self, format: Format) -> Result<Writer, Error> {
        let name = Name::random(format).map_err(Error::new)?;
        let place = match &self.place {
            Place::Folder(folder) => Writing::Folder(folder.writer().map_err(Error::new)?),
            Place::Bucket(bucket) => Writing::Bucket(bucket.writer(name)),
        };
        Ok(Writer { name, place })
    }

    /// The path of a link that lives from now on, such as `/files/1764068689.Zm9v.../6b1f....png`.
    pub fn path(&self, name: Name) -> String {
        let expiry = self.clock.unix().saturating_add_unsigned(self.life.as_secs().max(1));
        format!("/files/{}/{name}", self.key.pass(name, expiry))
    }

    /// Judges the last two parts of a link's path.
    pub fn check(&self, pass: &str, file: &str) -> Result<LiveLink, DeadLink> {
        let name: Name = file.parse().map_err(|()| DeadLink::Unknown)?;
        let expiry = self.key.expiry(pass, name).ok_or(DeadLink::Unknown)?;
        let left = u64::try_from(expiry.saturating_sub(self.clock.unix())).unwrap_or_default();
        if left == 0 {
            return Err(DeadLink::Expired);
        }
        Ok(LiveLink { name, left: Duration::from_secs(left) })
    }

    /// Judges an address that may be a link of ours, whatever host it names. `None` if it does not look like one.
    pub fn check_url(&self, url: &str) -> Option<Result<LiveLink, DeadLink>> {
        let (rest, file) = url.rsplit_once('/')?;
        let (rest, pass) = rest.rsplit_once('/')?;
        rest.ends_with("/files").then(|| self.check(pass, file))
    }

    /// Where the picture of a link is, for a request by this method; `None` if it has been removed.
    pub async fn find(&self, link: LiveLink, method: Method) -> Result<Option<Found>, Error> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.find(link.name).await.map(Found::File)),
            Place::Bucket(bucket) => bucket.address(link, method).await.map(|url| Some(Found::Elsewhere(url))),
        }
    }

    /// Reads a picture that has been kept; `None` if it has been removed.
    pub async fn read(&self, name: Name) -> Result<Option<Reader>, Error> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.read(name).await.map_err(Error::new)?.map(Reader::File)),
            Place::Bucket(bucket) => Ok(bucket.read(name).await?.map(Reader::Stream)),
        }
    }

    /// Removes what has expired, and what a crash has left.
    pub async fn clean(&self) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => folder.clean().await.map_err(Error::new),
            Place::Bucket(bucket) => bucket.clean().await,
        }
    }
}

impl Writer {
    /// Takes a piece. That it could not be written may be said later.
    pub async fn write(&mut self, piece: Buffer) -> Result<(), Error> {
        match &mut self.place {
            Writing::Folder(writer) => writer.write(piece).await.map_err(Error::new),
            Writing::Bucket(writer) => writer.write(piece.filled()).await,
        }
    }

    /// The picture is whole with this.
    pub async fn finish(self, last: Buffer) -> Result<Name, Error> {
        match self.place {
            Writing::Folder(writer) => writer.finish(last, self.name).await.map_err(Error::new)?,
            Writing::Bucket(mut writer) => {
                writer.write(last.filled()).await?;
                writer.finish().await?;
            }
        }
        Ok(self.name)
    }
}

impl Reader {
    /// The next piece, never empty; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::File(file) => {
                let mut piece = Vec::with_capacity(STRIDE);
                file.take(STRIDE as u64).read_to_end(&mut piece).await.map_err(Error::new)?;
                Ok(Some(Bytes::from(piece)).filter(|piece| !piece.is_empty()))
            }
            Self::Stream(stream) => stream.next().await.transpose().map_err(Error::new),
        }
    }
}

#[cfg(test)]
mod tests;
