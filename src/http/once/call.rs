//! A call that is carried out apart from its caller: its reply goes into a file, and whoever wants it reads that.
//!
//! Must not know who wants it: that is `book.rs`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::response::Parts;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::error::MayBeBilled;
use super::Work;
use crate::store::{Body as Keeping, BodyReader, Kept};

/// One call and what has come of it so far.
#[derive(Debug)]
pub(super) struct Call {
    /// What nobody can guess.
    pub(super) id: String,
    /// Who asked, and for what.
    pub(super) asked: WhoAndWhat,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) stop: CancellationToken,
    /// Unix seconds; 0 while it is under way.
    pub(super) expires: AtomicU64,
}

/// See [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WhoAndWhat {
    pub(super) caller: String,
    pub(super) request: String,
    pub(super) key: Option<String>,
    /// Its caller had gone, so whoever asks the same may have it, once.
    pub(super) abandoned: bool,
    /// Its reply is collected by its id, also when it is an error.
    pub(super) later: bool,
    pub(super) alias: String,
}

/// What of a reply is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) head: Option<Parts>,
    /// Where the body is while it has no name in the folder.
    pub(super) body: Option<BodyReader>,
    /// How much of it.
    pub(super) length: u64,
    pub(super) end: Option<End>,
}

/// How a reply has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it is there.
    Whole,
    /// The rest will not come.
    Broken,
}

/// What became of a call.
pub(super) enum Outcome {
    /// A reply with pictures, whole, to be kept.
    Painted(Parts, Keeping),
    /// Another reply, which has been written for those who wait.
    Answered,
    /// Nothing whole.
    Broken,
    /// The folder does not take it; the text is for the log.
    Unkept(String),
}

impl Call {
    pub(super) fn new(id: String, asked: WhoAndWhat) -> Arc<Self> {
        let progress = watch::Sender::new(Progress::default());
        Arc::new(Self { id, asked, progress, stop: CancellationToken::new(), expires: AtomicU64::new(0) })
    }

    /// Whether something is still to come.
    pub(super) fn is_under_way(&self) -> bool {
        self.progress.borrow().end.is_none()
    }

    /// Whether nothing more will come, and what there is lacks its end.
    pub(super) fn is_broken(&self) -> bool {
        self.progress.borrow().end == Some(End::Broken)
    }

    /// Whether its answer is an error that costs nothing and waits for nobody: who asks again has it done again, from the
    /// moment that the first may know.
    pub(super) fn is_in_vain(&self) -> bool {
        let unpaid = |head: &Parts| !head.status.is_success() && head.extensions.get::<MayBeBilled>().is_none();
        !self.asked.later && self.progress.borrow().head.as_ref().is_some_and(unpaid)
    }

    pub(super) fn expires(&self) -> u64 {
        self.expires.load(Ordering::Relaxed)
    }

    /// How long its body is so far.
    pub(super) fn length(&self) -> u64 {
        self.progress.borrow().length
    }

    pub(super) fn end(&self, end: End) {
        self.progress.send_if_modified(|progress| {
            let first = progress.end.is_none();
            progress.end = progress.end.or(Some(end));
            first
        });
    }

    /// Does the work and writes its reply down as it comes. Ends at once when the call is stopped.
    pub(super) async fn carry_out(&self, work: Work, kept: &Kept) -> Outcome {
        let work = async {
            let response = work.await;
            self.write(response, kept).await
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Outcome::Broken,
            outcome = work => outcome,
        }
    }

    async fn write(&self, response: Response, kept: &Kept) -> Outcome {
        let (parts, body) = response.into_parts();
        let mut file = match kept.body().await {
            Ok(file) => file,
            Err(error) => return Outcome::Unkept(error.to_string()),
        };
        self.progress.send_modify(|progress| {
            progress.head = Some(parts.clone());
            progress.body = Some(file.reader());
        });
        let mut pieces = Body::into_data_stream(body);
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else { return Outcome::Broken };
            match file.write(piece).await {
                Ok(length) => self.progress.send_modify(|progress| progress.length = length),
                Err(error) => return Outcome::Unkept(error.to_string()),
            }
        }
        match parts.status.is_success() {
            true => Outcome::Painted(parts, file),
            false => Outcome::Answered,
        }
    }
}
