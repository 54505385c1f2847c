//! Integration tests, one binary: files by topic, `support` with what they share.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test starts the servers that it talks to, and they end with it")]

mod broken_upstream;
mod catalogue;
mod chain;
mod chaos;
mod chat;
mod check;
mod config;
mod config_signing;
mod configuration;
mod corpus;
mod doctor;
mod doors;
mod edited_pixels;
mod emulator;
mod events;
mod files;
mod formats;
mod from_litellm;
mod generations;
mod guide;
mod keys;
mod life;
mod linked;
mod links;
mod litellm_keys;

mod malformed;
mod memory;
mod models;
mod observability;
mod openapi;
mod overload;
mod parameters;
mod pay_once;
mod proxies;
mod refresh;
mod reliability;
mod roles;
mod root_files;
mod routing;
mod secrecy;
mod signing;
mod support;
mod tidy;
mod token;
mod traces;
mod traffic;
mod uploads;
mod validate;
mod who_edits;
