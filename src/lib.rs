//! Easel answers OpenAI's image API and paints on Amazon Bedrock.
pub mod catalog;
pub mod config;
pub mod emulator;
pub mod image;
pub mod wishes;
