//! One successful call on its way to the caller: its reply, from the first picture byte on.
//!
//! Must not write in OpenAI's form; holds no more than one piece of the reply.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Failure;
use crate::bedrock::{Error, Kind, Reply};
use crate::config::Deployment;
use crate::image::Part;
use crate::provider::Request;
use crate::reply::{Event, Said, Scanner};
use crate::traces::Trace;

/// How long the connection of a whole reply may take to end.
const FAREWELL: Duration = Duration::from_millis(250);

/// A reply broke after a picture had begun; the text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Broken {
    why: String,
    /// What its caller may hear, where he can still be told.
    pub failure: Failure,
}

impl Broken {
    /// It broke for this reason. Callers hear that Bedrock's answer was not whole.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), failure: Failure::Upstream { paid: true } }
    }

    /// The picture came, and could not be kept.
    pub fn unkept(why: impl Into<String>) -> Self {
        Self { why: why.into(), failure: Failure::Unkept }
    }

    /// The picture came, and could not be spooled to be encoded anew.
    pub fn unspooled(why: impl Into<String>) -> Self {
        Self { why: why.into(), failure: Failure::Unspooled }
    }
}

/// A reply whose first picture has begun.
#[derive(Debug)]
pub struct Painting {
    /// Who paints.
    pub deployment: Arc<Deployment>,
    /// What was sent; its body is gone.
    pub request: Request,
    /// Which of the request's pictures these are.
    pub part: Part,
    /// How long the call waited for its turn.
    pub queued: Duration,
    /// How long it took from sending the call to the first byte of a picture.
    pub upstream: Duration,
    /// The span of the call, which ends with this.
    pub(super) trace: Trace,
    reply: Reply,
    scanner: Scanner,
    /// The first event, which has been waited for.
    first: Option<Event>,
    whole: u8,
    ended: bool,
}

impl Painting {
    /// Reads up to the first byte of a picture. A reply that ends before is an error that says why. It goes through many
    /// hands, so in a box.
    pub(super) async fn begin(
        deployment: Arc<Deployment>,
        request: Request,
        part: Part,
        reply: Reply,
    ) -> Result<Box<Self>, Error> {
        let scanner = Scanner::new();
        let (queued, upstream, trace) = (Duration::ZERO, Duration::ZERO, Trace::default());
        let (first, whole, ended) = (None, 0, false);
        let painting = Self { deployment, request, part, queued, upstream, trace, reply, scanner, first, whole, ended };
        let mut painting = Box::new(painting);
        match painting.event().await? {
            Some(event) => painting.first = Some(event),
            None => return Err(no_picture(painting.scanner.said(), painting.reply.request_id())),
        }
        Ok(painting)
    }

    /// The next event of the pictures; `None` at the end of a whole reply.
    pub async fn next(&mut self) -> Result<Option<Event>, Broken> {
        match self.first.take() {
            Some(event) => Ok(Some(event)),
            None => self.event().await.map_err(|error| Broken::new(error.detail)),
        }
    }

    async fn event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.scanner.next_event().map_err(|error| Error::local(Kind::Broken, error.to_string()))? {
                Some(Event::End) => self.ended = true,
                Some(event) => {
                    self.whole += u8::from(event == Event::PictureEnds);
                    return Ok(Some(event));
                }
                None => match self.piece().await? {
                    Some(piece) => self.scanner.feed(piece),
                    None if self.ended => return Ok(None),
                    None => self.scanner.finish().map_err(|error| Error::local(Kind::Broken, error.to_string()))?,
                },
            }
        }
    }

    /// The next piece of the reply. What is complete as a document is whole, whatever becomes of the connection: it
    /// only gets a moment to end too, so that it can be used again.
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.ended {
            return self.reply.next().await;
        }
        let rest = tokio::time::timeout(FAREWELL, self.reply.next()).await;
        Ok(rest.ok().and_then(Result::ok).flatten())
    }

    /// After the end: what the caller has to know, if fewer pictures came than this call was to bring, or others.
    pub fn shortfall(&self) -> Option<String> {
        let missing = self.part.count.saturating_sub(self.whole);
        let said = self.scanner.said();
        if missing == 0 {
            // Stable Diffusion XL blurs a picture that its filter does not like.
            let reason = said.finish_reasons.first()?;
            return Some(format!("a picture came that may not be what was asked for. The model says: {reason}"));
        }
        let why = match said.error.as_deref().or(said.finish_reasons.first().map(String::as_str)) {
            Some(words) => format!("The model says: {words}"),
            None => "The model does not say why".into(),
        };
        Some(format!("{missing} of {} pictures did not come. {why}", self.part.count))
    }

    /// List price in US dollars of `pictures` of these, if it is known.
    pub fn price(&self, pictures: u32) -> Option<f64> {
        self.deployment.price_of(self.request.size, self.request.quality, pictures)
    }

    /// `x-amzn-RequestId`, for the log.
    pub fn request_id(&self) -> Option<&str> {
        self.reply.request_id()
    }
}

/// Why a whole reply holds no picture.
fn no_picture(said: &Said, request_id: Option<&str>) -> Error {
    let reason = said.finish_reasons.first().map(String::as_str).unwrap_or_default();
    let error = said.error.as_deref().unwrap_or_default();
    let (kind, detail) = if said.guardrail {
        (Kind::Filtered, "a guardrail stepped in")
    } else if reason == "Inference error" {
        (Kind::InferenceFailed, reason)
    } else if reason.starts_with("Filter reason")
        || reason == "CONTENT_FILTERED"
        || error.contains("blocked by our content filters")
    {
        (Kind::Filtered, if reason.is_empty() { error } else { reason })
    } else if !reason.is_empty() {
        (Kind::InferenceFailed, reason)
    } else {
        (Kind::NoPicture, if error.is_empty() { "the reply holds no picture" } else { error })
    };
    Error { request_id: request_id.map(str::to_owned), ..Error::local(kind, detail) }
}
