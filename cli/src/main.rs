//! The `shardpack` binary.
fn main() {}
