//! Easel answers OpenAI's image API and paints on Amazon Bedrock.
//!
//! # Floors
//!
//! A file imports only from lower floors; `tests/it/tidy.rs` holds the code to it.
//!
//! | floor | modules |
//! |---|---|
//! | F7 | `main`, with `ciphers`, `logging` and `surroundings` |
//! | F6 | [`cli`] |
//! | F5 | [`server`] |
//! | F4 | [`http`], [`emulator`] (which imports nothing of ours) |
//! | F3 | [`auth`], [`router`] |
//! | F2 | [`bedrock`], [`fetch`], [`store`] |
//! | F1 | [`config`], [`provider`], [`raster`], [`reply`], [`openai`] |
//! | F0 | [`api_key`], [`blob`], [`catalog`], [`clock`], [`image`], [`lexer`], [`loopback`], [`metrics`], [`payload`], [`picture`],
//! [`traces`], [`unbase64`], [`wishes`] |
//!
//! # One request
//!
//! 1. `http::access` gives it an id, a span and a watch.
//! 2. `http::extract` asks `auth` who calls, and holds the body.
//! 3. `openai::ImageRequest` parses it into an `image::Task`, well-formed but not yet legal for any one model.
//! 4. `router::Router::dispatch` takes the alias's deployments and fallbacks in order.
//! 5. `Dialect::request` makes the body or says what is unsupported; `bedrock::Client::invoke` signs and sends it.
//! 6. A failure has a kind, and the kind says: once more, the next deployment, or stop.
//! 7. `reply::Scanner` finds the pictures as they come; `http::drain` hands them to a sink: a document with base64 or
//!    links, or events. The status line waited for the first byte of each call's first picture.
//! 8. The watch, dropped at the end, writes the access line and the figures. Errors leave by `http::error`.

pub mod api_key;
pub mod auth;
mod aws_http;
pub mod bedrock;
pub mod blob;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod emulator;
pub mod fetch;
pub mod http;
pub mod image;
pub mod lexer;
pub mod loopback;
pub mod metrics;
pub mod openai;
pub mod payload;
pub mod picture;
pub mod provider;
pub mod raster;
pub mod reply;
pub mod router;
pub mod server;
pub mod store;
pub mod traces;
pub mod unbase64;
pub mod wishes;
