//! Reads shard sets in training jobs.
//!
//! `channel -> plan -> windows -> samples`. [`plan`] says which sample is handed out at which step of
//! which rank; it computes and reads nothing. [`Reader`] is the read path where shards can be sought,
//! [`stream`] where they cannot; `deliver.rs` and `stream/samples.rs` are the only places that start
//! threads. [`Mixed`] draws from several datasets.
//!
//! Without the feature `s3` (on by default) there is no AWS SDK and no TLS in the program, and an
//! `s3://` address is an error that says so.

mod channel;
pub mod coverage;
mod deliver;
mod either;
mod error;
mod inflate;
mod mixed;
mod open;
mod options;
pub mod pipe;
pub mod plan;
mod pool;
mod process;
mod reader;
mod sample;
mod segment;
mod set;
mod stats;
pub mod stream;

pub use channel::Channel;
pub use either::{ChannelReader, ChannelSamples};
pub use error::{Error, Result};
pub use mixed::{Mixed, MixedSamples};
pub use options::{Damage, ReadOptions};
pub use reader::{Reader, Samples};
pub use sample::Sample;
pub use stats::{Skipped, Stats};
pub use stream::{Promises, Resume};
