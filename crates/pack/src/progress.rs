//! What a run tells while it works. Counters only: drawing is the caller's business.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

/// Counters of a run, and its stop button. Share it; read it from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    /// Files to be packed, once planned.
    pub files_planned: AtomicU64,
    /// Body bytes to be packed, once planned.
    pub bytes_planned: AtomicU64,
    /// Shards of the plan.
    pub shards_planned: AtomicU64,
    /// Files packed, those of earlier runs included.
    pub files: AtomicU64,
    /// Body bytes packed, those of earlier runs included.
    pub bytes: AtomicU64,
    /// Shards sealed, those of earlier runs included.
    pub shards: AtomicU64,
    /// Most threads that worked at a time.
    pub threads: AtomicU64,
    stop: AtomicBool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Grouping, labelling, planning.
    Plan,
    /// Mapping samples; shards are pieces of them.
    Map,
    /// Reading files and writing shards.
    Pack,
    /// Manifest and indexes.
    Publish,
}

impl Progress {
    /// Where the run is.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Plan,
            1 => Stage::Map,
            2 => Stage::Pack,
            _ => Stage::Publish,
        }
    }

    /// Says where the run is. For whoever shows work of its own by these counters.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// Asks the run to stop after the records in hand. Sealed shards stay for the next run.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// True once [`Progress::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Forgets what was counted while a source was listed.
    pub(crate) fn reset(&self) {
        for counter in [&self.files, &self.bytes, &self.shards] {
            counter.store(0, Relaxed);
        }
    }

    pub(crate) fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}
