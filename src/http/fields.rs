//! The body of a request, JSON or form: its members, and its pictures in files of their own.
//!
//! Holds no more of a body than a quarter of a megabyte at a time. Must not know what the members mean, save which may
//! be pictures.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, EXPECT};
use http_body::Body as _;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::ApiError;
use super::extract::App;
use super::once::Print;
use super::{form, pictures};
use crate::blob::{Blob, Spooler};
use crate::image::Intent;
use crate::openai::{ImageRequest, Invalid, Slimmer, Step, Unreadable, members};
use crate::picture::Picture;

/// Sixteen pictures of a dozen megabytes; Bedrock takes less, but large ones are made smaller.
const MAX_BODY: usize = 200_000_000;

/// What is painted from words has few pictures beside them.
const MAX_GENERATION: usize = 64_000_000;

/// What nobody wants of a body is read for so long at the most.
const MOST_DRAINING: Duration = Duration::from_secs(5);

/// Longest pause of a body that comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// After such a pause the whole of a body has to have come at this rate, in bytes a millisecond (or KB a second).
const SLOWEST: usize = 8;

/// JSON up to this length is held and read at once.
const MAX_HELD: usize = 256 * 1024;

/// A body as it came.
#[derive(Debug)]
pub(super) struct Raw {
    /// Files in them are named by `picture::attachment`.
    pub(super) members: Map<String, Value>,
    pub(super) files: Vec<Blob>,
}

impl Raw {
    /// What makes it the same as another.
    pub(super) fn print(&self) -> Print {
        Print::new(&self.members, &self.files)
    }

    /// The same with its pictures looked into.
    pub(super) async fn read(self, app: &Arc<App>) -> Result<Fields, ApiError> {
        let print = self.print();
        let Self { mut members, files } = self;
        let pictures = pictures::read(app, &mut members, &files).await?;
        Ok(Fields { members, pictures, print })
    }
}

/// A body whose pictures have been read.
#[derive(Debug)]
pub(super) struct Fields {
    /// Pictures in them are named by `picture::attachment`.
    pub(super) members: Map<String, Value>,
    pub(super) pictures: Vec<Picture>,
    /// What made it the same as another when it came.
    pub(super) print: Print,
}

impl Fields {
    /// The request in them; `drops` are the members left out for the model it names.
    pub(super) fn image_request(
        self,
        intent: Intent,
        drops: impl FnOnce(Option<&str>) -> Vec<String>,
    ) -> Result<ImageRequest, ApiError> {
        Ok(ImageRequest::from_members(self.members, self.pictures, intent, drops)?)
    }
}

impl FromRequest<Arc<App>> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Raw::from_request(request, app).await?.read(app).await
    }
}

impl FromRequest<Arc<App>> for Raw {
    type Rejection = ApiError;

    /// JSON is read whatever its content type says: curl calls it a form.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.to_owned();
        let spooler = app.raster.spooler();
        let most = if request.uri().path().contains("/generations") { MAX_GENERATION } else { MAX_BODY };
        if request.body().size_hint().lower() > most as u64 {
            drain(request).await;
            return Err(ApiError::too_large(most));
        }
        let reading = Reading::new(request.into_body(), most);
        let rest = reading.clone();
        let read = async {
            match form::boundary(&kind) {
                Some(boundary) if !reading.is_object().await? => form::read(reading, boundary, spooler).await,
                _ => json(reading, &kind, spooler).await,
            }
        };
        let read = read.await;
        rest.drain().await;
        let (members, files) = read?;
        Ok(Self { members, files })
    }
}

async fn json(reading: Reading, kind: &str, spooler: &Spooler) -> Result<(Map<String, Value>, Vec<Blob>), ApiError> {
    let mut held = BytesMut::new();
    while held.len() <= MAX_HELD {
        match reading.next().await? {
            Some(piece) => held.extend_from_slice(&piece),
            None => return members(&held).map(|members| (members, Vec::new())).map_err(|error| refusal(error, kind)),
        }
    }
    let (rest, files) = slimmed(held.freeze(), reading, spooler).await?;
    members(&rest).map(|members| (members, files)).map_err(|error| refusal(error, kind))
}

/// What is no JSON, and does not pretend to be.
fn refusal(invalid: Invalid, kind: &str) -> ApiError {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.starts_with("multipart/") || kind == "application/x-www-form-urlencoded" {
        true => ApiError::not_json(&kind),
        false => invalid.into(),
    }
}

/// A body too long to be held: its long texts go into files as they come.
async fn slimmed(begun: Bytes, reading: Reading, spooler: &Spooler) -> Result<(Bytes, Vec<Blob>), ApiError> {
    let (mut slimmer, mut files, mut open) = (Slimmer::new(), Vec::new(), None);
    let mut piece = Some(begun);
    while let Some(mut input) = piece {
        while let Some(step) = slimmer.next(&mut input).map_err(unreadable)? {
            let mut spool = open.take().unwrap_or_else(|| spooler.spool());
            let (Step::Bytes(bytes) | Step::Ends(bytes)) = &step;
            spool.write(bytes).await.map_err(|error| ApiError::storage(&error))?;
            pictures::check_length("image", spool.len())?;
            match step {
                Step::Bytes(_) => open = Some(spool),
                Step::Ends(_) => files.push(spool.finish().await.map_err(|error| ApiError::storage(&error))?),
            }
        }
        piece = reading.next().await?;
    }
    Ok((slimmer.finish().map_err(unreadable)?.into(), files))
}

fn unreadable(error: Unreadable) -> ApiError {
    match error {
        Unreadable::Json(error) => Invalid::body(&format!("the body is not valid JSON: {error}")).into(),
        Unreadable::LongText(name) => Invalid::long_text(&name).into(),
        Unreadable::TooLong => Invalid::body(&format!("the body cannot be read: {error}")).into(),
    }
}

/// A body as it comes, up to a length. Copies read on where another has stopped.
#[derive(Clone)]
pub(super) struct Reading(Arc<Mutex<Rest>>);

struct Rest {
    stream: BodyDataStream,
    /// What has been looked at and not yet been taken.
    begun: Option<Bytes>,
    length: usize,
    /// The most that is taken.
    most: usize,
    /// When the first piece was asked for.
    since: Option<Instant>,
}

impl Rest {
    /// When the next piece has to be there.
    fn latest(&mut self) -> Instant {
        let now = Instant::now();
        let earned = Duration::from_millis((self.length / SLOWEST) as u64);
        let since = *self.since.get_or_insert(now);
        (now + PATIENCE).min(since + PATIENCE + earned)
    }

    /// The next piece, whatever has come before it; `None` after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(begun) = self.begun.take() {
            return Ok(Some(begun));
        }
        let piece = tokio::time::timeout_at(self.latest(), self.stream.next()).await;
        let piece = piece.map_err(|_| ApiError::slow_body(PATIENCE, SLOWEST))?;
        let piece = piece.transpose().map_err(|_| ApiError::unreadable_body())?;
        self.length += piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }
}

/// Reads a body that nobody wants to its end, as long as it comes quickly: see [`Reading::drain`]. Who waits for leave to
/// send his need not send it.
pub(super) async fn drain(request: Request) {
    if !request.headers().contains_key(EXPECT) {
        Reading::new(request.into_body(), 0).drain().await;
    }
}

impl Reading {
    fn new(body: Body, most: usize) -> Self {
        let stream = body.into_data_stream();
        Self(Arc::new(Mutex::new(Rest { stream, begun: None, length: 0, most, since: None })))
    }

    /// Whether it begins as a JSON object does, whatever it is called.
    async fn is_object(&self) -> Result<bool, ApiError> {
        let begun = self.next().await?;
        let first = begun.iter().flatten().find(|byte| !byte.is_ascii_whitespace()).copied();
        self.0.lock().await.begun = begun;
        Ok(first == Some(b'{'))
    }

    /// The next piece; `None` after the last.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, ApiError> {
        let mut rest = self.0.lock().await;
        let piece = rest.piece().await?;
        if rest.length > rest.most { Err(ApiError::too_large(rest.most)) } else { Ok(piece) }
    }

    /// Reads to the end what nobody wants: behind a form, behind a mistake, or beyond what is taken. A connection that is
    /// closed with bytes unread is reset, and takes the reply with it.
    async fn drain(self) {
        let mut rest = self.0.lock().await;
        let all = async { while let Ok(Some(_)) = rest.piece().await {} };
        // Who does not end his body does not hold us up for long.
        let _ = tokio::time::timeout(MOST_DRAINING, all).await;
    }
}
