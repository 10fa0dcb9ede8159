//! Several datasets in one training loop, by weight.

use shardpack_manifest::Digest;

use crate::plan::{Cursor, Mix, MixState, Plan, Share};
use crate::{ChannelReader, ChannelSamples, Result, Sample, Stats};

/// Draws every step from one of several readers, of whichever kind: [`Reader`](crate::Reader),
/// [`Overlaid`](crate::Overlaid), [`Streamed`](crate::stream::Streamed), or a [`ChannelReader`]. All ranks
/// draw from the same one at the same step; each dataset goes through its own epochs, shuffled anew,
/// without an end.
///
/// The readers have the same part of the job and no tail: nothing is padded or dropped, so every
/// rank has equally many steps, and a loop ends when it has had enough. Each has its own threads and
/// its own memory to read ahead; give them less where they are many.
///
/// # Streams
///
/// Of a stream that brings all shards to every rank, with a manifest, the same holds as of files: which
/// step is whose, that over all ranks an epoch has every sample once, and when the next one begins. In
/// which order a rank's samples of an epoch come the stream dictates, through a window
/// ([`stream`](crate::stream)). Three things differ:
///
/// - For each epoch that it has a sample of, a rank opens a FIFO of its own, and reads it to its end. One
///   that is not there in time is [`Error::Stalled`](crate::Error::Stalled), which names it, and ends the
///   mix.
/// - A state in the middle of an epoch of a stream goes on with as many ranks, and if the stream comes in
///   the same order again. Between the epochs of all of its streams a mix goes on in any world.
/// - Refused are streams without a manifest, and those that bring other shards to each host
///   (ShardedByS3Key): where their epochs end is not known before, or not the same for all ranks.
///
/// ```
/// use std::sync::Arc;
///
/// # use shardpack_pack::{PackOptions, Progress, pack};
/// use shardpack_reader::{Mixed, ReadOptions, Reader};
/// use shardpack_store::MemoryStore;
/// # use shardpack_store::MemoryTree;
///
/// # let packed = |files: &[(&str, &str)]| {
/// #     let store = MemoryStore::new();
/// #     let files = MemoryTree::new(files.iter().copied());
/// #     pack(&files, &store, &PackOptions::default(), &Progress::default()).map(|_| Arc::new(store))
/// # };
/// # let photos = packed(&[("a.txt", "1"), ("b.txt", "2"), ("c.txt", "3")])?;
/// # let drawings = packed(&[("x.txt", "4")])?;
/// // Of channels: Channel::open("photos")?.reader(options)?
/// let reader = |store: &Arc<MemoryStore>| Reader::of_store(store.clone(), ReadOptions::default());
/// let mixed = Mixed::new(vec![reader(&photos)?, reader(&drawings)?], &[0.75, 0.25], 7)?;
/// let mut samples = mixed.samples();
/// for step in samples.by_ref().take(4096) {
///     let (source, sample) = step?;
///     assert!(source < 2 && !sample.key().is_empty());
/// }
/// assert_eq!((samples.taken(0), samples.taken(1)), (3072, 1024));
///
/// // Later, on any number of ranks.
/// let state = samples.state();
/// let resumed = |i: usize, store: &Arc<MemoryStore>| {
///     Reader::resume_store(store.clone(), ReadOptions::default(), Some(&state.sources[i]))
/// };
/// let readers = vec![resumed(0, &photos)?, resumed(1, &drawings)?];
/// let mixed = Mixed::resume(readers, &[0.75, 0.25], 7, &state)?;
/// assert_eq!(mixed.samples().step(), 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mixed {
    readers: Vec<ChannelReader>,
    mix: Mix,
}

impl Mixed {
    /// A mix from where the readers start. Weights are relative to their sum, and held in steps of
    /// 1 in [`SLOTS`](crate::plan::SLOTS); `seed` decides which step is whose.
    ///
    /// Fails with [`Error::Usage`](crate::Error::Usage) for weights that are no weights, for as many
    /// as there are not readers, for readers of worlds of different sizes, and for a stream of which it is
    /// not known where its epochs end.
    pub fn new<R: Into<ChannelReader>>(
        readers: Vec<R>,
        weights: &[f64],
        seed: u64,
    ) -> Result<Self> {
        let (readers, plans) = opened(readers)?;
        let mix = Mix::new(&plans, weights, seed)?;
        Ok(Self { readers, mix })
    }

    /// A mix that goes on where `state` was saved. The readers are resumed from `state.sources`, in
    /// the same order.
    ///
    /// Fails as [`new`](Self::new) does, and with [`Error::Different`](crate::Error::Different) for
    /// other weights, another seed, and readers that start somewhere else.
    pub fn resume<R: Into<ChannelReader>>(
        readers: Vec<R>,
        weights: &[f64],
        seed: u64,
        state: &MixState,
    ) -> Result<Self> {
        let (readers, plans) = opened(readers)?;
        let mix = Mix::resume(&plans, weights, seed, state)?;
        Ok(Self { readers, mix })
    }

    /// The readers.
    pub fn readers(&self) -> &[ChannelReader] {
        &self.readers
    }

    /// Which reader is drawn from at which step.
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// This rank's samples, each with the number of its reader. Never ends by itself.
    pub fn samples(&self) -> MixedSamples {
        let sources = self.readers.iter().map(|reader| Source::new(reader.clone())).collect();
        MixedSamples { mix: self.mix.clone(), step: self.mix.start(), sources, failed: false }
    }
}

/// Readers of any kind, and their plans.
fn opened<R: Into<ChannelReader>>(readers: Vec<R>) -> Result<(Vec<ChannelReader>, Vec<Plan>)> {
    let readers: Vec<ChannelReader> = readers.into_iter().map(Into::into).collect();
    let plans = readers.iter().map(ChannelReader::repeated).collect::<Result<_>>()?;
    Ok((readers, plans))
}

/// A rank's samples of a mix. After a damaged sample the next call goes on behind it; any other
/// error is the end.
#[derive(Debug)]
pub struct MixedSamples {
    mix: Mix,
    /// Steps of each rank so far, counted from the first start.
    step: u64,
    sources: Vec<Source>,
    failed: bool,
}

/// One of the readers, epoch after epoch.
#[derive(Debug)]
struct Source {
    reader: ChannelReader,
    /// Those of the present epoch; none before the first.
    samples: Option<ChannelSamples>,
    /// Steps since the start.
    taken: u64,
    /// Digests and figures of the epochs before.
    digest: Digest,
    stats: Stats,
}

impl MixedSamples {
    /// What to save to go on behind the samples so far: in any world, or in one of the same size where
    /// one of them is in the middle of a stream. Right when every rank has taken equally many.
    pub fn state(&self) -> MixState {
        let mut state = self.mix.state(self.step);
        for (source, saved) in self.sources.iter().zip(&mut state.sources) {
            saved.streamed = source.reader.streamed(saved.cursor());
        }
        state
    }

    /// Steps of each rank so far, those before a resumption included.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps that went to a reader since this start; none for one that is not there.
    pub fn taken(&self, source: usize) -> u64 {
        self.sources.get(source).map_or(0, |source| source.taken)
    }

    /// How far all ranks together have come in a dataset: its epoch, from 0, and the positions of it
    /// that are gone. None for one that is not there.
    pub fn cursor(&self, source: usize) -> Option<Cursor> {
        self.mix.cursor(source, self.step)
    }

    /// Sum of the digests of a reader's samples since this start. Over all ranks, `n` whole epochs
    /// add up to `n` times the digest in its manifest.
    pub fn digest(&self, source: usize) -> Digest {
        self.sources.get(source).map_or_else(Digest::default, |source| {
            source.samples.as_ref().map_or(source.digest, |now| source.digest + now.digest())
        })
    }

    /// What was read of a dataset, and what was waited for, since this start.
    pub fn stats(&self, source: usize) -> Stats {
        let Some(source) = self.sources.get(source) else { return Stats::default() };
        let mut stats = source.stats.clone();
        if let Some(samples) = &source.samples {
            stats.add(samples.stats());
        }
        stats
    }
}

impl Iterator for MixedSamples {
    type Item = Result<(usize, Sample)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let number = self.mix.source(self.step);
        let endless = self.mix.sources().get(number)?;
        let source = self.sources.get_mut(number)?;
        let sample = source.next(|step| endless.shares(step).next())?;
        match &sample {
            Ok(_) | Err(crate::Error::Damaged(_)) => self.step += 1,
            Err(_) => self.failed = true,
        }
        Some(sample.map(|sample| (number, sample)))
    }
}

impl Source {
    fn new(reader: ChannelReader) -> Self {
        let (digest, stats) = (Digest::default(), Stats::default());
        Self { reader, samples: None, taken: 0, digest, stats }
    }

    /// The next sample; `share` gives the steps from one on to the end of its epoch.
    fn next(&mut self, share: impl Fn(u64) -> Option<Share>) -> Option<Result<Sample>> {
        loop {
            if let Some(sample) = self.samples.as_mut().and_then(Iterator::next) {
                self.taken += u64::from(matches!(&sample, Ok(_) | Err(crate::Error::Damaged(_))));
                return Some(sample);
            }
            if let Some(over) = self.samples.take() {
                self.digest += over.digest();
                self.stats.add(over.stats());
            }
            self.samples = Some(self.reader.share(share(self.taken)?));
        }
    }
}
