//! Easel answers OpenAI's image API and paints on Amazon Bedrock.
pub mod catalog;
pub mod cli;
pub mod config;
pub mod image;
pub mod wishes;
