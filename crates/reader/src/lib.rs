//! Reads shard sets in training jobs.
//!
//! [`plan`] says which sample is handed out at which step of which rank; it computes and reads
//! nothing.

mod error;
pub mod plan;

pub use error::{Error, Result};
