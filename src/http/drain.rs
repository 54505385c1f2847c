//! Moves pictures from paintings to the caller. Those that are not yet read wait in their sockets.
//!
//! Must not know in which form they go out, and holds none.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;

use super::access::Story;
use super::error::ApiError;
use super::extract::App;
use super::sink::Sink;
use super::transcoding::Pictures;
use crate::metrics::PictureLabels;
use crate::router::{Arrivals, Broken, Failure, Painting};

/// The pictures of one request on their way out.
pub(super) struct Drain {
    app: Arc<App>,
    arrivals: Arrivals,
    /// The one that is being handed over.
    current: Option<Pictures>,
    sink: Sink,
    /// Pictures of the paintings before it.
    before: u32,
    warnings: Vec<String>,
    /// The last of the calls that failed for good.
    failure: Option<Failure>,
    story: Arc<Story>,
    closed: bool,
    /// What the caller is told instead of pictures.
    error: Option<ApiError>,
}

impl Drain {
    pub(super) fn new(app: Arc<App>, arrivals: Arrivals, sink: Sink, story: Arc<Story>) -> Self {
        let (current, warnings, failure, error) = (None, Vec::new(), None, None);
        Self { app, arrivals, current, sink, before: 0, warnings, failure, story, closed: false, error }
    }

    /// The whole of a short reply. A picture that breaks off is missing from it, and where none is left the break is an
    /// error: a caller whose connection ends would pay again to ask again.
    pub(super) async fn gather(mut self) -> Result<Vec<u8>, ApiError> {
        while !self.closed {
            if let Err(broken) = self.step().await {
                tracing::warn!(detail = %broken, "a picture is not handed over");
                self.account();
                self.miss(broken.failure);
            }
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(std::iter::from_fn(|| self.sink.pop()).flatten().collect()),
        }
    }

    /// The reply. An error ends the caller's connection in the middle of a chunk, so that what has come of a picture
    /// cannot pass for a whole one.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Broken>> {
        // Moved in and out for each piece, so in a box.
        unfold(Box::new(self), |mut drain| async move { drain.next().await.map(|bytes| (bytes, drain)) })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Some(bytes) = self.sink.pop() {
                return Some(Ok(bytes));
            }
            if self.closed {
                return None;
            }
            if let Err(error) = self.step().await {
                self.closed = true;
                self.app.metrics.broken.inc();
                tracing::warn!(detail = %error, "a reply broke in the middle of a picture");
                return Some(Err(error));
            }
        }
    }

    async fn step(&mut self) -> Result<(), Broken> {
        let Some(pictures) = &mut self.current else {
            match self.arrivals.next().await {
                Some(Ok(painting)) => self.begin(painting),
                Some(Err(failure)) => self.miss(failure),
                None => self.close(),
            }
            return Ok(());
        };
        // The other calls go on meanwhile.
        let event = tokio::select! {
            biased;
            event = pictures.next() => event?,
            never = self.arrivals.go_on() => match never {},
        };
        match event {
            Some(event) => self.sink.take(event).await?,
            None => self.settle(),
        }
        Ok(())
    }

    fn begin(&mut self, painting: Box<Painting>) {
        self.story.begins(&painting);
        self.before = self.sink.pictures();
        self.current = Some(Pictures::new(painting, &self.app.raster));
    }

    /// A call has failed for good, or broke.
    fn miss(&mut self, failure: Failure) {
        self.warnings.push(failure.shortfall().to_owned());
        self.failure = Some(failure);
    }

    /// A painting has been handed over: what it cost, and what it lacks.
    fn settle(&mut self) {
        let Some(painting) = self.account() else { return };
        self.warnings.extend(painting.shortfall());
        self.sink.settle(&self.warnings);
    }

    /// A painting ends: what has been handed over of it, and what that cost.
    fn account(&mut self) -> Option<Box<Painting>> {
        let pictures = self.current.take()?;
        self.warnings.extend(pictures.notes());
        let painting = pictures.painting;
        let whole = self.sink.pictures() - self.before;
        let cost = painting.price(whole).unwrap_or_default();
        self.story.delivered(whole, cost);
        let labels =
            PictureLabels { alias: self.story.alias().to_owned(), model: painting.deployment.model.id.clone() };
        self.app.metrics.pictures.get_or_create(&labels).inc_by(whole.into());
        self.app.metrics.cost.get_or_create(&labels).inc_by(cost);
        Some(painting)
    }

    fn close(&mut self) {
        self.closed = true;
        let (asked, pictures) = (self.arrivals.asked(), self.sink.pictures());
        if u32::from(asked) > pictures {
            self.app.metrics.incomplete.inc();
            tracing::warn!(asked, pictures, why = self.warnings.join("; "), "fewer pictures than asked for");
        }
        if let Some(error) = self.sink.finish(&self.warnings, self.failure.take()) {
            self.story.failed(error.code());
            self.error = Some(error);
        }
    }
}
