//! Which samples each rank consumed, written down as it goes, and the proof that every sample was
//! seen exactly as often as it should be, through crashes and changes of world size.
//!
//! A rank's samples of an epoch are `first, first + world, first + 2 * world, ...` in the plan, so
//! how many it took says which: a [`Coverage`] log is a line of two numbers now and then, whatever
//! the dataset. SPEC.md beside this file has the lines.
//!
//! A stream has an order of its own, which follows from that of its shards: a log of one tells that, too.
//! Each kind of reader is logged alike ([`LoggedReader`]), and a job may have logs of both kinds, where it
//! went on in another input mode.
//!
//! [`audit`] reads the logs of all processes of a job, from its first start to its last. A start goes
//! on from a checkpoint, and what was consumed at and behind it before was forgotten with the crash:
//! it is undone, not seen twice. What remains must be every sample once.
//!
//! ```
//! # use std::sync::Arc;
//! # use shardpack_pack::{PackOptions, Progress, pack};
//! # use shardpack_store::{MemoryStore, MemoryTree};
//! use shardpack_reader::coverage::{AuditOptions, Coverage, Log, audit};
//! use shardpack_reader::{ReadOptions, Reader};
//!
//! # let files = MemoryTree::new([("a.txt", "1"), ("b.txt", "2"), ("c.txt", "3")]);
//! # let store = MemoryStore::new();
//! # pack(&files, &store, &PackOptions::default(), &Progress::default())?;
//! # let folder = tempfile::tempdir()?;
//! let reader = Reader::of_store(Arc::new(store), ReadOptions::default())?;
//! let mut coverage = Coverage::create(folder.path(), &reader)?;
//! for epoch in 0..2 {
//!     let mut samples = reader.epoch(epoch);
//!     while let Some(sample) = samples.next() {
//!         let sample = sample?; // a step of training
//!         coverage.note(&samples)?;
//!     }
//!     coverage.sync()?; // before every checkpoint
//! }
//!
//! let log = Log::open(coverage.path())?.unwrap();
//! let report = audit(&reader, &[log], &AuditOptions::default())?;
//! assert!(report.is_exact() && report.epochs.len() == 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempts;
mod audit;
mod counts;
mod lines;
mod log;
mod progress;
mod report;
mod streams;
mod writer;

#[cfg(test)]
mod tests;

pub use audit::{AuditOptions, audit};
pub use log::Log;
pub(crate) use progress::{Delivered, Origin, Progress, pass};
pub use progress::{LoggedReader, LoggedSamples};
pub use report::{AuditReport, EpochAudit, Seen, Start};
pub use writer::Coverage;
