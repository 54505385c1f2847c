//! Command line of easel.
fn main() {}
