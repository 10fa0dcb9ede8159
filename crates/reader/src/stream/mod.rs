//! Samples from streams that cannot be sought: a Pipe channel's FIFOs, or foreign shards from
//! front to back.
//!
//! `source -> bytes -> records -> which one is it? -> is it ours? -> window -> samples`: one thread,
//! started at the first sample. [`Source`] says where bytes come from ([`Pipe`](crate::pipe::Pipe),
//! [`Objects`]), [`Contents`] what they are, and [`Streamed`] reads them.
//!
//! With a manifest a shard's first record is decoded, which says what shard it is; those behind it are
//! compared with the index and stay where they were read (`passage.rs`).
//!
//! # What holds in which mode
//!
//! | | File, FastFile, S3 | Pipe, all shards on every host | Pipe, sharded by key | no manifest |
//! |---|---|---|---|---|
//! | samples of a rank | by (seed, epoch, world) | the same | every n-th of its host's | every n-th record |
//! | their order | by the same | the stream's, through a window | the stream's, through a window | the stream's, through a window |
//! | every sample once | yes | yes | yes | as far as every rank sees the same stream |
//! | compared with the index | yes | yes | yes | no: formats with checksums compare with those |
//! | a shard cut, missing, there twice | error | error | error; missing ones only by their number | cut in a record: error |
//! | equal steps on all ranks | yes | yes | yes | no |
//! | number of steps known | yes | yes | yes | no |
//! | deleted and quarantined samples left out | yes | yes, a broken frame only behind a shard's second record | the same | - |
//! | a damaged sample may be skipped | yes | where the format can go on behind it | the same | no |
//! | a state goes on | anywhere, any world | anywhere, same world; between epochs, any world | between epochs | no |
//! | a [coverage log](crate::coverage) proves it | yes | yes | yes | no |
//! | can be [mixed](crate::Mixed) with others | yes | yes | no | no |
//!
//! [`Promises`] says the same of a reader. "Every n-th of its host's" counts live samples; `n` is
//! the number of ranks on the host, and a FIFO has one reader, so it is 1 unless hosts are told
//! apart otherwise.
//!
//! # Resuming
//!
//! A FIFO begins at its beginning again. A state that was saved in the middle of an epoch passes
//! over what the rank had handed out: it has to come in the same order, which is so unless the
//! channel is shuffled (SageMaker promises no order, and begins a shuffled one anew). What all
//! ranks had handed out is a part of every rank's stream, not the first positions of the epoch:
//! therefore another number of ranks cannot go on from there, nor can a reader that seeks, and
//! both say so. The other way round works: a state that was saved with shards that can be sought
//! goes on in a stream, in any world.
//!
//! # Memory
//!
//! [`ReadOptions::memory`](crate::ReadOptions::memory) bounds what waits for the loop. On top come
//! the window of the shuffle, the record that is being read (twice, if it is the first of a shard),
//! and up to 16 MiB of samples for padding. Samples that were read together, up to 512 KiB, go
//! together: a shuffle's window may keep some three times its bytes.

mod contents;
mod deal;
mod groups;
mod known;
mod objects;
mod passage;
mod promises;
mod queue;
mod record;
mod replay;
mod samples;
mod streamed;
mod tap;
mod track;
mod window;
mod work;

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

pub use contents::Contents;
pub use objects::Objects;
pub use promises::{Promises, Resume};
pub(crate) use record::StreamRecord;
pub(crate) use replay::Replay;
pub use samples::StreamSamples;
pub use streamed::Streamed;

use crate::Result;

/// A stream of plain bytes, and its name for messages.
pub type Stream = (String, Box<dyn Read + Send>);

/// The streams of one epoch.
pub trait Streams {
    /// Opens the next stream; the one before is dropped. None after the last.
    fn next(&mut self) -> Result<Option<Stream>>;
}

/// Where streams come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// The streams of an epoch. Called on the thread that reads. Whatever waits long gives up when
    /// it is told to [`Stop`].
    fn epoch(&self, epoch: u64, stop: &Stop) -> Result<Box<dyn Streams>>;

    /// Whether all shards stand one after the other in one stream.
    fn is_joined(&self) -> bool;

    /// What to call it in messages. Default "a stream".
    fn name(&self) -> String {
        "a stream".to_owned()
    }

    /// Whether its streams call [`Stop::waiting`] before they wait for bytes. What was read is handed
    /// over then; else it is before every read. Default false.
    fn says_when_it_waits(&self) -> bool {
        false
    }
}

/// Between a stream and those who want its bytes: it learns that nobody wants them any more, and
/// tells that it waits for them.
#[derive(Clone, Default)]
pub struct Stop(Arc<Signals>);

#[derive(Default)]
struct Signals {
    stopped: AtomicBool,
    waiting: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Stop {
    /// Stops.
    pub fn set(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }

    /// Whether it was told to stop.
    pub fn is_set(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Called by a stream before it waits for bytes.
    pub fn waiting(&self) {
        if let Some(told) = self.0.waiting.get() {
            told();
        }
    }

    /// What is done before a stream waits. Once.
    fn when_waiting(&self, told: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.waiting.set(Box::new(told));
    }

    /// An error if it was told to stop. Nobody sees it.
    pub fn check(&self) -> io::Result<()> {
        match self.is_set() {
            true => Err(io::Error::other("stopped")),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_set()).finish()
    }
}
