//! The commands that are not serving.
//!
//! Must not read the environment or the clock, nor end the program: `main.rs` hands both in and exits.

pub mod check;
pub mod doctor;
pub mod health;
pub mod litellm_flags;
pub mod token;
