//! Looking at datasets and proving them: everything that reads what is there.
//!
//! A [`Dataset`] is shards in a store, with our manifest and indexes or without. With an index a
//! record is found, checked and read by its range, and damage costs exactly the records it hit.
//! Without one, shards are decoded from their start.

mod adopt;
mod against;
mod cat;
mod check;
mod diff;
mod indexed;
mod info;
mod keys;
mod ls;
mod quarantine;
mod record;
mod report;
mod runs;
mod scan;
mod sidecar;
mod strict;
mod unpack;
mod verify;
mod why;

#[cfg(test)]
mod tests;

pub(crate) use shardpack_dataset::{Dataset, DatasetShard};

#[cfg(test)]
pub(crate) use tests::packed;

pub(crate) use adopt::skipped_rows;
pub(crate) use against::{CHUNK, Checksum, READERS};
pub(crate) use indexed::indexed;
pub(crate) use ls::glob;
pub(crate) use sidecar::names;
pub(crate) use unpack::decode;

pub use adopt::{AdoptOptions, AdoptReport, adopt};
pub use cat::{CatOptions, cat};
pub use diff::{DiffOptions, DiffReport, Difference, diff};
pub use info::{ClassCount, FieldInfo, InfoReport, ShardSizes, SizeBucket, SplitInfo, info};
pub use ls::{Entry, EntryField, LsOptions, ls};
pub use quarantine::quarantine;
pub use report::{AgainstReport, Damage, Duplicate, ShardReport, Sightings, VerifyReport};
pub use unpack::{UnpackOptions, UnpackReport, unpack, unpack_into};
pub use verify::{VerifyOptions, verify};
pub use why::{WhyField, WhyReport, why};

/// Memory for buffers unless said otherwise, in bytes.
pub(crate) const MEMORY: u64 = 512 << 20;

/// Threads unless said otherwise: the cores.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
