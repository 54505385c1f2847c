//! Holds the work of a request as long as its caller is there, and hands it to the book when he goes before the first
//! byte of a picture.
//!
//! Must not cost anything while he stays: what is here is one box and a flag.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::super::access::Story;
use super::book::Book;
use super::{Ticket, Work};

/// The work, until its reply is there.
pub(super) struct Hold {
    book: Arc<Book>,
    /// Both are gone once the reply is there.
    work: Option<(Ticket, Work)>,
}

impl Hold {
    pub(super) fn new(book: &Arc<Book>, ticket: Ticket, work: Work) -> Self {
        Self { book: book.clone(), work: Some((ticket, work)) }
    }
}

impl Future for Hold {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let Some((_, work)) = &mut self.work else { return Poll::Pending };
        let Poll::Ready(response) = work.poll_unpin(context) else { return Poll::Pending };
        let Some((ticket, _)) = self.work.take() else { return Poll::Pending };
        Poll::Ready(watched(response, &self.book, ticket))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((ticket, work)) = self.work.take() {
            self.book.adopt(ticket, work);
        }
    }
}

/// Events may begin before a picture does, so their caller may still go too early.
fn watched(response: Response, book: &Arc<Book>, ticket: Ticket) -> Response {
    let streams = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let story = response.extensions().get::<Arc<Story>>().filter(|story| streams && !story.has_begun()).cloned();
    let Some(story) = story else { return response };
    let (head, body) = response.into_parts();
    let unbegun = Unbegun { book: book.clone(), ticket, head: head.clone(), said: Vec::new(), story };
    Response::from_parts(head, Body::new(Events { body: Some(body), unbegun: Some(unbegun) }))
}

/// Events; as long as no picture has begun, with what is needed to go on without their caller.
struct Events {
    body: Option<Body>,
    unbegun: Option<Unbegun>,
}

struct Unbegun {
    book: Arc<Book>,
    ticket: Ticket,
    head: Parts,
    /// What has been sent, which is short.
    said: Vec<Bytes>,
    story: Arc<Story>,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        let ends = matches!(polled, Poll::Ready(None | Some(Err(_))));
        if ends || this.unbegun.as_ref().is_some_and(|unbegun| unbegun.story.has_begun()) {
            this.unbegun = None;
        }
        if let (Some(unbegun), Poll::Ready(Some(Ok(frame)))) = (&mut this.unbegun, &polled) {
            unbegun.said.extend(frame.data_ref().cloned());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let (Some(Unbegun { book, ticket, head, said, .. }), Some(body)) = (self.unbegun.take(), self.body.take())
        else {
            return;
        };
        let said = stream::iter(said.into_iter().map(Ok));
        let whole = Response::from_parts(head, Body::from_stream(said.chain(body.into_data_stream())));
        book.adopt(ticket, async move { whole }.boxed());
    }
}
