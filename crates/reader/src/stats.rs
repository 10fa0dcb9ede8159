//! What was read, and what was waited for.

use std::fmt;
use std::time::Duration;

use shardpack_store::Traffic;

use crate::sample::Batch;
use crate::segment::Segment;

/// What was read so far, and what was waited for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Samples handed out, padding included.
    pub samples: u64,
    /// Bytes of shards read for them.
    pub bytes: u64,
    /// Windows.
    pub windows: u64,
    /// Time that the loop stood still for its samples: training is starved where this grows as
    /// fast as the clock.
    pub waited: Duration,
    /// Samples of the shards that are read which a quarantine leaves out of every epoch.
    pub quarantined: u64,
    /// Samples that failed their check and were replaced.
    pub skipped: Vec<Skipped>,
    /// Requests to S3 that were sent again. These and the following are the reader's since this
    /// epoch was begun, indexes and what was read ahead included; 0 of streams.
    pub retries: u64,
    /// Bytes that came from the cache, also where their block was fetched just before for others; 0
    /// without one.
    pub cached: u64,
    /// Bytes that the cache did not have, and that were fetched: whole blocks of 1 MiB, which it
    /// keeps. 0 without one.
    pub fetched: u64,
    /// What went wrong first with the cache, if anything did. It was read past: training goes on,
    /// at the speed of the store.
    pub cache_trouble: Option<String>,
}

impl Stats {
    /// Those of another epoch, too.
    pub(crate) fn add(&mut self, more: &Self) {
        let Self { samples, bytes, windows, waited, quarantined, .. } = more;
        self.samples += samples;
        self.bytes += bytes;
        self.windows += windows;
        self.waited += *waited;
        self.quarantined = *quarantined; // the same in every epoch
        let Self { skipped, retries, cached, fetched, cache_trouble, .. } = more;
        self.skipped.extend(skipped.iter().cloned());
        self.retries += retries;
        self.cached += cached;
        self.fetched += fetched;
        self.cache_trouble = self.cache_trouble.take().or_else(|| cache_trouble.clone());
    }

    pub(crate) fn traffic(&mut self, traffic: Traffic) {
        let Traffic { retries, cached, fetched, trouble, .. } = traffic;
        (self.retries, self.cached, self.fetched) = (retries, cached, fetched);
        self.cache_trouble = trouble;
    }

    pub(crate) fn window(&mut self, batch: &Batch, waited: Duration) {
        self.windows += 1;
        self.waited += waited;
        self.bytes += batch.bytes();
    }
}

/// A sample that failed its check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path of its shard in the dataset.
    pub shard: String,
    /// Its number in the shard, from 0.
    pub record: u64,
    /// Offset of its record in the uncompressed shard.
    pub offset: u64,
    /// Its key, as the index has it.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

impl Skipped {
    pub(crate) fn new(segment: &Segment, record: u64, reason: &str) -> Self {
        let found = segment.record(record);
        Self {
            shard: segment.shard.path.clone(),
            record,
            offset: found.as_ref().map_or(0, |found| found.offset),
            key: found.map_or(String::new(), |found| found.key.to_owned()),
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, record, offset, key, reason } = self;
        write!(f, "{shard}: record {record} at byte {offset}, key {key:?}: {reason}")
    }
}
