//! Integration tests, one binary: files by topic, `support` with what they share.
#![cfg(test)]

mod check;
mod config;
mod emulator;
mod root_files;
