//! Pay once: a call outlives its caller, and his retry takes it over instead of paying again.
//!
//! `book.rs` knows whose calls there are, `call.rs` carries one out, `follower.rs` hands its reply over, `hold.rs` notices
//! that a caller has gone, `later.rs` answers those who come back by themselves. Must not know what a call is about.

mod book;
mod call;
mod follower;
mod hold;
mod later;
mod print;

use std::sync::Arc;

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName};

pub use book::Book;
pub(super) use later::{cancel, collect};
pub(super) use print::Print;

use super::error::ApiError;
use super::extract::{App, Asked};
use crate::auth::CallerId;
use book::Begun;
use hold::Hold;

/// A request's work: its reply, whatever it is.
type Work = BoxFuture<'static, Response>;

/// The headers that are read of a request.
pub(super) const HEADERS: [HeaderName; 2] = [HeaderName::from_static(KEY), HeaderName::from_static(PREFER)];

const KEY: &str = "idempotency-key";
const PREFER: &str = "prefer";

/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// Whose request it is, and what could make another one the same.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    caller: CallerId,
    print: Print,
    /// His `Idempotency-Key`, with the end user that he names.
    key: Option<String>,
    /// The alias that is asked for, for the log.
    alias: String,
    /// `Prefer: respond-async`.
    later: bool,
    /// What the address of a reply to come begins with.
    base_url: String,
}

impl Ticket {
    pub(super) fn new(asked: &Asked, print: Print, alias: &str) -> Result<Self, ApiError> {
        let key = match asked.headers.get(KEY).map(|key| key.to_str()) {
            None => None,
            Some(Ok(key)) if (1..=MAX_KEY).contains(&key.len()) => Some(print.with_user(key)),
            Some(_) => return Err(ApiError::bad_idempotency_key(MAX_KEY)),
        };
        let later = prefers_later(&asked.headers);
        let base_url = asked.base_url.clone().unwrap_or_default();
        Ok(Self { caller: asked.caller.clone(), print, key, alias: alias.to_owned(), later, base_url })
    }
}

/// Whether `respond-async` is among the preferences (RFC 7240).
fn prefers_later(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|wish| wish.split(';').next().is_some_and(|wish| wish.trim().eq_ignore_ascii_case("respond-async")))
}

/// Does the work, unless the caller has had it done already. An ordinary request goes its own way, and is only adopted
/// when its caller hangs up; one with a key, or whose reply is to be collected later, is carried out apart from the start.
pub(super) async fn once(app: &Arc<App>, ticket: Ticket, work: Work) -> Result<Response, ApiError> {
    let Some(book) = &app.book else {
        // There is no place to keep anything. Collecting later is the only thing that cannot be done without.
        return if ticket.later { Err(ApiError::nothing_is_kept()) } else { Ok(work.await) };
    };
    if ticket.key.is_some() || ticket.later {
        let begun = book.begin(&ticket, work).await?;
        return match (ticket.later, begun) {
            (true, Begun::New(call) | Begun::Joined(call)) => Ok(later::accepted(&call, &ticket.base_url)),
            (false, Begun::New(call)) => book.follow(call, false).await,
            (false, Begun::Joined(call)) => book.follow(call, true).await,
        };
    }
    if let Some(call) = book.take_over(&ticket).await {
        return book.follow(call, true).await;
    }
    if book.finishes() { Ok(Hold::new(book, ticket, work).await) } else { Ok(work.await) }
}
