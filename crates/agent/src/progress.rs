//! How far the downloads are.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that anybody may read while channels are brought up.
#[derive(Debug, Default)]
pub struct Progress {
    counts: [AtomicU64; 4],
}

impl Progress {
    pub(crate) fn plan(&self, files: u64, bytes: u64) {
        let [all_files, _, all_bytes, _] = &self.counts;
        all_files.fetch_add(files, Relaxed);
        all_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn file(&self) {
        self.counts[1].fetch_add(1, Relaxed);
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.counts[3].fetch_add(bytes, Relaxed);
    }

    /// Files that are to be fetched.
    pub fn files_planned(&self) -> u64 {
        self.counts[0].load(Relaxed)
    }

    /// Files that are there.
    pub fn files_done(&self) -> u64 {
        self.counts[1].load(Relaxed)
    }

    /// Bytes that are to be fetched.
    pub fn bytes_planned(&self) -> u64 {
        self.counts[2].load(Relaxed)
    }

    /// Bytes that are there.
    pub fn bytes_done(&self) -> u64 {
        self.counts[3].load(Relaxed)
    }
}
