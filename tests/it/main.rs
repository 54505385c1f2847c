//! Integration tests, one binary: files by topic, `support` with what they share.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test starts the servers that it talks to, and they end with it")]

mod broken_upstream;
mod check;
mod config;
mod corpus;
mod doors;
mod emulator;
mod files;
mod generations;
mod litellm_keys;
mod routing;
mod secrecy;
mod signing;
mod support;
mod tidy;
