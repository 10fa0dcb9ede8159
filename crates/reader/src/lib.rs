//! Reads shard sets in training jobs.
//!
//! `channel -> plan -> windows -> samples`. [`plan`] says which sample is handed out at which step of
//! which rank; it computes and reads nothing. [`Reader`] is the read path where shards can be sought,
//! [`stream`] where they cannot; `deliver.rs` and `stream/samples.rs` are the only places that start
//! threads. [`Mixed`] draws from several datasets, [`Overlaid`] adds the fields of overlays.
//!
//! Without the feature `s3` (on by default) there is no AWS SDK and no TLS in the program, and an
//! `s3://` address is an error that says so.
//!
//! # Tracing
//!
//! With a subscriber of the crate `tracing`: the span `epoch` (epoch, rank, world), in it `open` (a
//! shard), `read` (a stretch of a shard, with its bytes) and `wait` (for a FIFO and its writer); the
//! events `window`, `shard` (one begins in a stream) and `damaged sample`. Nothing tells of a single
//! sample: a loop takes a million of 4 KB in seconds, and a span costs as much as checking one.

mod channel;
pub mod coverage;
mod deliver;
mod either;
mod error;
mod example;
mod inflate;
mod mixed;
mod open;
mod options;
mod overlay;
pub mod pipe;
pub mod plan;
mod pool;
mod quarantine;
mod reader;
mod sample;
mod segment;
mod set;
mod stats;
pub mod stream;

pub use channel::Channel;
pub use either::{ChannelReader, ChannelSamples};
pub use error::{Error, Result};
pub use example::{Example, FeatureFault};
pub use mixed::{Mixed, MixedSamples};
pub use options::{Damage, ReadOptions};
pub use overlay::{Overlaid, OverlaidSamples, OverlaidStream, OverlaidStreamSamples};
pub use reader::{Reader, Samples};
pub use sample::Sample;
pub use shardpack_store::CacheOptions;
#[cfg(feature = "s3")]
pub use shardpack_store::S3Options;
pub use stats::{Skipped, Stats};
pub use stream::{Promises, Resume};
