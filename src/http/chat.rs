//! `/v1/chat/completions`: an image model picked in a chat paints, and chores of the chat are answered in words.
//!
//! Must not call a text model: there is none.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::chat_sink::ChatSink;
use super::error::ApiError;
use super::extract::{App, Asked, Caller};
use super::fields::Raw;
use super::images::{document, events, job, paint};
use super::sink::Sink;
use crate::image::Intent;
use crate::openai::{Chat, ChatUsage, ChatWish, ImageRequest};
use crate::reply::ChatForm;

/// `POST /v1/chat/completions`.
pub(super) async fn completions(
    State(app): State<Arc<App>>,
    _: Caller,
    asked: Asked,
    body: Raw,
) -> Result<Response, ApiError> {
    complete(app, asked, body, None).await
}

/// The answer to a chat. `path_model` is the alias of an Azure path, which wins over the body.
pub(super) async fn complete(
    app: Arc<App>,
    asked: Asked,
    body: Raw,
    path_model: Option<&str>,
) -> Result<Response, ApiError> {
    let print = body.print().with(&[path_model.unwrap_or_default()]);
    let Turn { alias, form, wanted } = Turn::read(&app, body, path_model).await?;
    match wanted {
        Wanted::Words(text) => Ok(words(&app, &alias, form, &text)),
        Wanted::Picture(request) => {
            let sink = ChatSink::new(app.clone(), form, alias, asked.base_url.clone());
            paint(app, *request, asked, print, Sink::Chat(Box::new(sink))).await
        }
    }
}

/// What a chat wants now.
pub(super) struct Turn {
    pub(super) alias: String,
    form: ChatForm,
    pub(super) wanted: Wanted,
}

/// Words that answer a chore, or a request for a picture.
pub(super) enum Wanted {
    Words(String),
    Picture(Box<ImageRequest>),
}

impl Turn {
    /// Reads a chat for an alias that is served.
    pub(super) async fn read(app: &Arc<App>, body: Raw, path_model: Option<&str>) -> Result<Self, ApiError> {
        let Raw { members, files } = body;
        let Chat { model, stream, include_usage, wish } = Chat::read(members)?;
        let model = path_model.map(str::to_owned).or(model);
        let alias = app.router.table().alias(model.as_deref()).to_owned();
        let form = if stream { ChatForm::Events { include_usage } } else { ChatForm::Document };
        let wanted = match wish {
            ChatWish::Text(_) if app.router.table().group(&alias).is_none() => return Err(ApiError::no_model(&alias)),
            ChatWish::Text(text) => Wanted::Words(text),
            ChatWish::Picture(members) => picture(app, &alias, Raw { members, files }).await?,
            ChatWish::GoOn(members) => go_on(app, &alias, Raw { members, files }).await?,
        };
        Ok(Self { alias, form, wanted })
    }
}

/// The request for a picture by an alias.
async fn picture(app: &Arc<App>, alias: &str, body: Raw) -> Result<Wanted, ApiError> {
    let request = body.read(app).await?.image_request(Intent::Generate, |_| app.router.table().drops(Some(alias)))?;
    Ok(Wanted::Picture(Box::new(ImageRequest { model: Some(alias.to_owned()), ..request })))
}

/// The request for a picture made of those that an answer linked to; from the words alone, where the links are dead or
/// the alias changes no pictures. A chat would end there otherwise.
async fn go_on(app: &Arc<App>, alias: &str, body: Raw) -> Result<Wanted, ApiError> {
    let mut words = Raw { members: body.members.clone(), files: Vec::new() };
    words.members.shift_remove("image");
    if let Ok(Wanted::Picture(request)) = picture(app, alias, body).await {
        let job = job(app, (*request).clone(), &http::HeaderMap::new())?;
        if app.router.explain(&job).await.is_ok() {
            return Ok(Wanted::Picture(request));
        }
    }
    picture(app, alias, words).await
}

/// The answer to a chore, which costs nothing.
fn words(app: &Arc<App>, alias: &str, form: ChatForm, text: &str) -> Response {
    let (id, created) = (ChatSink::id(), app.clock.unix());
    let named = |object: &str, choice: serde_json::Value| json!({ "id": id, "object": object, "created": created, "model": alias, "choices": choice });
    if form == ChatForm::Document {
        let message = json!({ "role": "assistant", "content": text, "refusal": null });
        let choice = json!([{ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" }]);
        let mut answer = named("chat.completion", choice);
        answer["usage"] = json!(ChatUsage::default());
        return document(http::HeaderMap::new(), Body::from(answer.to_string()));
    }
    let mut sink = crate::reply::ChatSink::new(form, id, created, alias.to_owned());
    sink.finish(text);
    let pieces: Vec<_> = std::iter::from_fn(|| sink.pop()).collect();
    events(http::HeaderMap::new(), Body::from(pieces.concat()))
}
