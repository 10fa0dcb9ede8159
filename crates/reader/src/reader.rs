//! The read path: plan, windows, samples.

use std::sync::Arc;

use shardpack_manifest::{Digest, Manifest, SampleHasher};
use shardpack_store::Traffic;
use tracing::Span;

use crate::coverage::{Progress, pass};
use crate::deliver::{Delivery, pieces};
use crate::plan::{Cursor, Item, Part, Plan, Run, SampleId, Share, State, Window, Windows};
use crate::sample::{Batch, Row, Sample};
use crate::segment::Segment;
use crate::set::Set;
use crate::stats::{Skipped, Stats};
use crate::{Damage, Error, ReadOptions, Result};

/// Reads a dataset in a training job.
///
/// ```
/// use std::sync::Arc;
///
/// use shardpack_pack::{PackOptions, Progress, pack};
/// use shardpack_reader::{ReadOptions, Reader};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let files = MemoryTree::new([("cat/1.jpg", "meow"), ("dog/1.jpg", "woof")]);
/// let store = MemoryStore::new();
/// pack(&files, &store, &PackOptions::default(), &Progress::default())?;
///
/// let reader = Reader::of_store(Arc::new(store), ReadOptions::default())?;
/// for epoch in 0..2 {
///     for sample in reader.epoch(epoch) {
///         let sample = sample?;
///         assert_eq!(sample.field("jpg").unwrap().len(), 4);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader {
    set: Arc<Set>,
    plan: Plan,
    threads: usize,
    memory: u64,
    damage: Damage,
}

impl Reader {
    /// A reader of `set`, from the beginning or from where a state was saved.
    pub(crate) fn new(
        set: Set,
        mut options: ReadOptions,
        threads: usize,
        state: Option<&State>,
    ) -> Result<Self> {
        let shards = set.shards()?;
        fit_window(&mut options, set.mean());
        let part = options.part.unwrap_or(Part { replicas: options.replicas, ..Part::default() });
        let plan = match state {
            None => Plan::new(shards, options.plan, part)?,
            Some(state) => Plan::resume(shards, options.plan, part, state)?,
        };
        let (memory, damage) = (options.memory, options.damage);
        Ok(Self::planned(set, plan, threads, (memory, damage)))
    }

    fn planned(set: Set, plan: Plan, threads: usize, (memory, damage): (u64, Damage)) -> Self {
        let share = plan.share(plan.start());
        // A lane changes from one shard to the next while others are in the middle of theirs. An
        // exact shuffle jumps between all of them.
        set.keep_open(match plan.is_exact() {
            true => MOST_OPEN,
            false => 2 * share.lanes().count() + threads + 1,
        });
        Self { set: Arc::new(set), plan, threads, memory, damage }
    }

    /// A reader of the places of a plan in a set of shards that are cut like those it was made of.
    /// Damage is an error that it goes on behind.
    pub(crate) fn beside(set: Set, plan: Plan, threads: usize) -> Self {
        let memory = ReadOptions::default().memory;
        Self::planned(set, plan, threads, (memory, Damage::Fail))
    }

    /// The same, with so many bytes of memory, and what was to be done with damage.
    pub(crate) fn strict(self, memory: u64) -> (Self, Damage) {
        let damage = self.damage;
        (Self { memory, damage: Damage::Fail, ..self }, damage)
    }

    /// Bytes that are read ahead.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// The shards.
    pub(crate) fn set(&self) -> &Set {
        &self.set
    }

    /// What is left of an epoch.
    pub(crate) fn share(&self, epoch: u64) -> Share {
        let start = self.plan.start();
        let consumed = if epoch == start.epoch { start.consumed } else { 0 };
        self.plan.share(Cursor { epoch, consumed })
    }

    /// Where the plan starts: the first epoch, or where the state was saved.
    pub fn start(&self) -> Cursor {
        self.plan.start()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.set.manifest
    }

    /// How many samples of the shards that are read a quarantine leaves out.
    pub fn quarantined(&self) -> u64 {
        self.set.quarantined()
    }

    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    pub fn epoch(&self, epoch: u64) -> Samples {
        Samples::new(self.clone(), self.share(epoch))
    }

    /// The part of a worker process: see [`Share::worker`].
    pub fn worker(&self, epoch: u64, worker: u64, workers: u64, batch: u64) -> Result<Samples> {
        Ok(Samples::new(self.clone(), self.share(epoch).worker(worker, workers, batch)?))
    }

    /// The sample at a place.
    pub fn get(&self, sample: SampleId) -> Result<Sample> {
        let item = Item { position: 0, sample, real: true };
        let run = Run { lane: 0, shard: sample.shard, first: sample.ordinal, count: 1 };
        let segments = vec![Segment::load(&self.set, &[run])?];
        let batch = Arc::new(Batch { segments, rows: vec![Row { segment: 0, sample: 0 }] });
        self.check(&batch, 0)?;
        Ok(Sample::of_row(batch, 0, item))
    }

    /// The samples at these places, in this order; read in the order in which they are stored, and
    /// those that lie close together at once.
    pub fn get_many(&self, samples: &[SampleId]) -> Result<Vec<Sample>> {
        let batch = Arc::new(self.load(samples)?);
        let sample = |(row, &sample): (usize, &SampleId)| {
            self.check(&batch, row)?;
            let item = Item { position: row as u64, sample, real: true };
            Ok(Sample::of_row(Arc::clone(&batch), row as u32, item))
        };
        samples.iter().enumerate().map(sample).collect()
    }

    /// The place of the sample called `key`: a binary search in the index of each shard.
    pub fn find(&self, key: &str) -> Result<Option<SampleId>> {
        self.set.find(key)
    }

    /// The key of the sample at a place, from its index.
    pub fn key(&self, sample: SampleId) -> Result<String> {
        let shard = Arc::clone(&self.set.open(sample.shard)?.indexed);
        let SampleId { ordinal, .. } = sample;
        let record = usize::try_from(ordinal).ok().and_then(|i| shard.index.get(i));
        record.map(|record| record.key.to_owned()).ok_or_else(|| Error::Shard {
            shard: shard.path.clone(),
            reason: format!("no sample {ordinal}"),
        })
    }

    /// Reads windows ahead.
    fn delivery(&self, windows: Windows, span: &Span) -> Delivery {
        let samples = self.set.together(windows.lanes());
        let windows = windows.at_least(samples);
        Delivery::new(Arc::clone(&self.set), windows, self.threads, self.memory, span.clone())
    }

    /// Reads samples on this thread.
    fn load(&self, samples: &[SampleId]) -> Result<Batch> {
        let mut sorted: Vec<u32> = (0..samples.len() as u32).collect();
        sorted.sort_by_key(|&i| samples[i as usize]);
        let mut window = Window { first: 0, runs: Vec::new(), order: vec![0; samples.len()] };
        let mut last = None;
        for i in sorted {
            let sample = samples[i as usize];
            if last != Some(sample) {
                let SampleId { shard, ordinal } = sample;
                window.runs.push(Run { lane: 0, shard, first: ordinal, count: 1 });
                last = Some(sample);
            }
            window.order[i as usize] = window.runs.len() as u32 - 1;
        }
        let (rows, pieces) = pieces(&window, self.set.mean());
        let segments: Result<Vec<Segment>> =
            pieces.iter().map(|runs| Segment::load(&self.set, runs)).collect();
        Ok(Batch { segments: segments?, rows })
    }

    /// The place of a sample; an error for one that failed its check.
    fn check(&self, batch: &Batch, row: usize) -> Result<SampleId> {
        let Some((segment, sample)) = batch.segment(row as u32) else {
            return Err(Error::usage("a sample that was not read"));
        };
        let place = SampleId { shard: segment.number, ordinal: sample.ordinal };
        match segment.is_whole() {
            true => Ok(place),
            false => segment.damage(sample.ordinal).map_or(Ok(place), |reason| {
                Err(Error::Damaged(Skipped::new(segment, sample.ordinal, reason)))
            }),
        }
    }
}

/// Shards that an exact shuffle keeps open.
const MOST_OPEN: usize = 4096;
/// Bytes of the windows of a rank with eight lanes.
const WINDOWS: u64 = 16 << 20;
/// Shortest window that is chosen.
const LEAST_WINDOW: u64 = 8;

/// The default window is one of small samples: 256 samples of 100 KB in each of 8 lanes would be
/// 200 MB.
pub(crate) fn fit_window(options: &mut ReadOptions, mean: u64) {
    use crate::plan::Shuffle;
    if options.plan.shuffle == Shuffle::default()
        && let Shuffle::Window { window, .. } = &mut options.plan.shuffle
    {
        *window = (WINDOWS / 8 / mean).clamp(LEAST_WINDOW, *window);
    }
}

/// A rank's samples of one epoch, in order. After an error the next call goes on behind it where
/// it can; a shard that cannot be read ends it.
#[derive(Debug)]
pub struct Samples {
    reader: Reader,
    share: Share,
    delivery: Delivery,
    batch: Arc<Batch>,
    row: usize,
    /// Steps that were handed out.
    taken: u64,
    failed: bool,
    /// Tells this iterator from every other of the process.
    pass: u64,
    /// Positions whose own sample was damaged.
    lost: Vec<u64>,
    digest: Digest,
    hasher: SampleHasher,
    stats: Stats,
    /// What the reader had taken before.
    before: Traffic,
    span: Span,
}

impl Samples {
    pub(crate) fn new(reader: Reader, share: Share) -> Self {
        let Part { rank, world, .. } = reader.plan.part();
        let epoch = share.epoch().number();
        let span = tracing::info_span!("epoch", epoch, rank, world);
        let delivery = reader.delivery(share.windows(), &span);
        let stats = Stats { quarantined: reader.set.quarantined(), ..Stats::default() };
        let before = reader.set.traffic();
        Self {
            before,
            reader,
            share,
            delivery,
            batch: Arc::default(),
            row: 0,
            taken: 0,
            failed: false,
            pass: pass(),
            lost: Vec::new(),
            digest: Digest::default(),
            hasher: SampleHasher::default(),
            stats,
            span,
        }
    }

    /// What to save to go on behind the samples that were handed out so far, in any world. Right
    /// when every rank, and all workers together, have taken equally many: after whole steps.
    pub fn state(&self) -> State {
        self.reader.plan.state(self.share.after(self.taken))
    }

    /// Samples that are left, padding included.
    pub fn left(&self) -> u64 {
        self.share.len() - self.taken
    }

    /// What was read, and what was waited for.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sum of the digests of the real samples so far. Over all ranks, an epoch adds up to the
    /// digest in the manifest: every sample was handed out exactly once. Deleted and
    /// [quarantined](Stats::quarantined) ones are not in it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// For a log of what was consumed.
    pub(crate) fn progress(&self) -> Progress<'_> {
        let Self { reader, share, pass, taken, lost, .. } = self;
        Progress { plan: &reader.plan, share, pass: *pass, taken: *taken, lost, stream: None }
    }

    fn advance(&mut self) -> Result<Option<Sample>> {
        while self.row == self.batch.rows.len() {
            if self.taken >= self.share.len() {
                return Ok(None);
            }
            self.batch = Arc::default(); // the next may use its memory
            self.batch = Arc::new(self.load()?);
            self.row = 0;
        }
        let (row, taken) = (self.row, self.taken);
        self.row += 1;
        self.taken += 1;
        let position = self.share.position(taken);
        let real = taken < self.share.real() || !self.share.is_masked();
        match self.reader.check(&self.batch, row) {
            Ok(sample) => Ok(Some(self.sample(row, Item { position, sample, real }))),
            Err(error) => self.replace(row, position, error).map(Some),
        }
    }

    fn sample(&self, row: usize, item: Item) -> Sample {
        Sample::of_row(Arc::clone(&self.batch), row as u32, item)
    }

    /// The next window, or what pads the end.
    fn load(&mut self) -> Result<Batch> {
        if !self.delivery.is_alive() {
            let windows = self.share.windows().from(self.taken);
            self.delivery = self.reader.delivery(windows, &self.span);
        }
        if self.taken >= self.share.real() {
            let samples = self.share.items(self.taken).map(|item| item.sample);
            return self.reader.load(&samples.take(PADDING).collect::<Vec<_>>());
        }
        let Some((batch, waited)) = self.delivery.next() else {
            return Err(Error::usage("the plan ended before its samples did"));
        };
        let batch = batch?;
        self.stats.window(&batch, waited);
        self.stats.traffic(self.reader.set.traffic().since(&self.before));
        let (samples, bytes) = (batch.rows.len(), batch.bytes());
        tracing::debug!(parent: &self.span, samples, bytes, ?waited, "window");
        Ok(batch)
    }

    /// A neighbour in place of a damaged sample.
    fn replace(&mut self, row: usize, position: u64, error: Error) -> Result<Sample> {
        self.lost.push(position);
        tracing::warn!(parent: &self.span, position, %error, "damaged sample");
        let Damage::Skip { most } = self.reader.damage else { return Err(error) };
        let Error::Damaged(skipped) = error else { return Err(error) };
        self.stats.skipped.push(skipped.clone());
        if self.stats.skipped.len() as u64 > most {
            return Err(Error::TooManyDamaged { most, last: skipped });
        }
        let rows = self.batch.rows.len();
        let whole = |row| Some((row, self.reader.check(&self.batch, row).ok()?));
        match (row + 1..rows).chain(0..row).find_map(whole) {
            Some((row, sample)) => Ok(self.sample(row, Item { position, sample, real: false })),
            None => Err(Error::Damaged(skipped)),
        }
    }
}

/// Samples of padding that are read at once.
const PADDING: usize = 64;

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.failed {
            return None;
        }
        match self.advance() {
            Ok(Some(sample)) => {
                self.stats.samples += 1;
                if sample.is_real() {
                    self.digest += sample.digest(&mut self.hasher);
                }
                Some(Ok(sample))
            }
            Ok(None) => None,
            Err(error) => {
                self.failed = !matches!(error, Error::Damaged(_));
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left() as usize;
        (0, Some(left))
    }
}
