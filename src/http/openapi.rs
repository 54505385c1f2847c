//! What can be asked here, for machines (`/openapi.json`) and for people (`/docs`).
//!
//! `openapi.json` is written by hand, and a test sends every member of it. Must not load anything from elsewhere.

use std::fmt::Write as _;

use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::Value;

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub(super) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.replace("VERSION", env!("CARGO_PKG_VERSION"))).into_response()
}

/// `GET /docs`: the same as a page.
pub(super) async fn page() -> Html<String> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Easel: the API</title>\n<style>body { font: \
         16px/1.5 system-ui; max-width: 60em; margin: 3em auto; padding: 0 1em } td, th { text-align: left; \
         vertical-align: top; padding: .2em 1em .2em 0; border-bottom: 1px solid #ddd } code { white-space: nowrap \
         }</style>\n<h1>Easel: the API</h1>\n<p>The same for machines: <a href=\"openapi.json\">openapi.json</a>.</p>\n<table>",
    );
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            row(&mut html, &format!("{method} {path}"), "", operation["summary"].as_str().unwrap_or_default());
        }
    }
    for (name, title) in [
        ("ImageRequest", "A request for pictures"),
        ("EditRequest", "A request to change pictures"),
        ("ChatRequest", "A chat"),
        ("ImageReply", "The reply"),
    ] {
        let schema = &document["components"]["schemas"][name];
        let about = schema["description"].as_str().unwrap_or_default();
        let _ = write!(html, "</table>\n<h2>{title}</h2>\n<p>{about}</p>\n<table>");
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            let kind = schema["type"].as_str().unwrap_or_default();
            row(&mut html, member, kind, schema["description"].as_str().unwrap_or_default());
        }
    }
    html += "</table></html>\n";
    Html(html)
}

fn row(html: &mut String, name: &str, kind: &str, text: &str) {
    let _ = writeln!(html, "<tr><td><code>{name}</code><td>{kind}<td>{text}</tr>");
}
