//! Integration tests, one binary: files by topic, `support` with what they share.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test starts the servers that it talks to, and they end with it")]

mod broken_upstream;
mod catalogue;
mod check;
mod config;
mod doors;
mod emulator;
mod from_litellm;
mod generations;
mod openapi;
mod routing;
mod secrecy;
mod signing;
mod support;
mod tidy;
