//! Easel answers OpenAI's image API and paints on Amazon Bedrock.
pub mod auth;
pub mod bedrock;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod image;
pub mod metrics;
pub mod openai;
pub mod provider;
pub mod reply;
pub mod router;
pub mod wishes;
