//! Integration tests, one binary.
#[cfg(test)]
mod check;
#[cfg(test)]
mod config;
