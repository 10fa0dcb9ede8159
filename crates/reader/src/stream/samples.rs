//! The loop's end of a stream.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use shardpack_manifest::{Digest, SampleHasher};

use super::Stop;
use super::queue::{Batch, Queue};
use super::streamed::{Inner, Pass};
use super::work::Work;
use crate::coverage::{self, Delivered, Progress};
use crate::plan::State;
use crate::{Error, Result, Sample, Stats};

/// A rank's samples of one epoch, as a stream brings them. The stream is opened, and a thread
/// started, at the first one; dropped, it closes the stream within a tenth of a second.
///
/// After a damaged sample the next call goes on behind it; any other error is the end. The last
/// call, which gives none, returns once the stream has ended and proved whole: a loop that stops
/// after its last step has not seen that.
#[derive(Debug)]
pub struct StreamSamples {
    inner: Arc<Inner>,
    pass: Pass,
    queue: Arc<Queue>,
    stop: Stop,
    /// The process that the thread lives in; none before it is started.
    process: Option<u32>,
    batch: std::vec::IntoIter<Result<Sample>>,
    /// Steps of the share that are gone.
    taken: u64,
    /// Tells this iterator from every other of the process.
    number: u64,
    /// Shards of the plan, in the order in which they came so far.
    shards: Vec<u32>,
    /// Positions whose own sample was damaged, among those that came so far.
    lost: Vec<u64>,
    over: bool,
    digest: Digest,
    hasher: SampleHasher,
    stats: Stats,
}

impl StreamSamples {
    pub(super) fn new(inner: Arc<Inner>, pass: Pass) -> Self {
        let quarantined = inner.planned().map_or(0, |planned| planned.known.quarantined());
        let stats = Stats { quarantined, ..Stats::default() };
        Self {
            queue: Arc::new(Queue::new(inner.memory())),
            inner,
            stop: Stop::default(),
            process: None,
            batch: Vec::new().into_iter(),
            taken: pass.share.as_ref().map_or(0, |(_, skip)| *skip),
            pass,
            number: coverage::pass(),
            shards: Vec::new(),
            lost: Vec::new(),
            over: false,
            digest: Digest::default(),
            hasher: SampleHasher::default(),
            stats,
        }
    }

    /// What to save to go on behind the samples that were handed out so far. Right when every rank
    /// has taken equally many. None without a manifest.
    pub fn state(&self) -> Option<State> {
        self.inner.state(self.inner.after(&self.pass, self.taken)?)
    }

    /// Samples that are left, padding included. None without a manifest.
    pub fn left(&self) -> Option<u64> {
        self.pass.share.as_ref().map(|(share, _)| share.len().saturating_sub(self.taken))
    }

    /// What was read, and what was waited for. Bytes are all of the stream's, other ranks' too.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sum of the digests of the real samples so far. Over all ranks, an epoch adds up to the
    /// digest in the manifest: every sample was handed out exactly once.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// For a log of what was consumed; none without a manifest.
    pub(crate) fn progress(&self) -> Option<Progress<'_>> {
        let Self { pass, number, taken, lost, shards, .. } = self;
        let (plan, (share, skip)) = (&self.inner.planned()?.plan, pass.share.as_ref()?);
        let stream = Some(Delivered { skip: *skip, window: pass.room.most as u64, shards });
        Some(Progress { plan, share, pass: *number, taken: *taken, lost, stream })
    }

    /// Notes that what was handed out at a position is damaged otherwise.
    pub(crate) fn lose(&mut self, position: u64) {
        self.lost.push(position);
    }

    /// Waits for the next batch; none at the end.
    fn load(&mut self) -> Result<Option<Batch>> {
        let process = std::process::id();
        match self.process {
            None => self.begin(process)?,
            Some(started) if started == process => {}
            Some(_) => {
                return Err(Error::usage(
                    "this process was forked off after the stream was begun: a stream has one \
                     reader, so begin the epoch where it is read",
                ));
            }
        }
        let start = Instant::now();
        let batch = self.queue.pop();
        self.stats.waited += start.elapsed();
        Ok(batch)
    }

    fn begin(&mut self, process: u32) -> Result<()> {
        let (queue, stop) = (Arc::clone(&self.queue), self.stop.clone());
        let (inner, pass) = (Arc::clone(&self.inner), self.pass.clone());
        let work = Work { inner, pass, queue, stop };
        let span = self.inner.span(self.pass.epoch);
        let name = "shardpack-stream".to_owned();
        thread::Builder::new()
            .name(name)
            .spawn(move || span.in_scope(|| work.run()))
            .map_err(|error| shardpack_store::Error::io(error, "a thread that reads"))?;
        self.process = Some(process);
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Sample>> {
        loop {
            if let Some(sample) = self.batch.next() {
                return sample.map(Some);
            }
            let Some(batch) = self.load()? else { return Ok(None) };
            self.stats.windows += 1;
            self.stats.bytes += batch.read;
            self.stats.skipped.extend(batch.skipped);
            self.lost.extend(batch.lost);
            self.shards.extend(batch.shards);
            self.batch = batch.samples.into_iter();
        }
    }
}

impl Iterator for StreamSamples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.over {
            return None;
        }
        match self.advance() {
            Ok(Some(sample)) => {
                self.taken += 1;
                self.stats.samples += 1;
                if sample.is_real() {
                    self.digest += sample.digest(&mut self.hasher);
                }
                Some(Ok(sample))
            }
            Ok(None) => {
                self.over = true;
                None
            }
            Err(error) => {
                match error {
                    Error::Damaged(_) => self.taken += 1,
                    _ => self.over = true,
                }
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A last error may follow the last sample.
        let most = self.left().and_then(|left| usize::try_from(left).ok()?.checked_add(1));
        (0, most.filter(|_| !self.over))
    }
}

/// Ends the thread. Nobody waits for it, as a read from a network may take long.
impl Drop for StreamSamples {
    fn drop(&mut self) {
        if self.process.is_none_or(|process| process == std::process::id()) {
            self.stop.set();
            self.queue.close();
        }
    }
}
