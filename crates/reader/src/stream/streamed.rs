//! A reader of streams.

use std::sync::Arc;

use super::contents::{Planned, Read};
use super::deal::Rule;
use super::known::Known;
use super::window::Room;
use super::{Contents, Promises, Source, StreamSamples};
use crate::coverage::Origin;
use crate::plan::{Cursor, MAX_WINDOW, Part, Plan, Share, Shuffle, State};
use crate::{Damage, Error, ReadOptions, Result};

/// Bytes of a window that is to shuffle as well as it can, and of any in which nobody knows how
/// long samples are.
const WINDOW: usize = 64 << 20;
/// Windows of a rank where there is no plan that has lanes.
const LANES: u64 = 8;

/// Reads samples from streams.
///
/// ```
/// use std::sync::Arc;
///
/// use shardpack_dataset::{Dataset, ForeignOptions};
/// use shardpack_formats::{DecodeOptions, FormatOptions};
/// use shardpack_reader::ReadOptions;
/// use shardpack_reader::plan::Part;
/// use shardpack_reader::stream::{Contents, Objects, Promises, Streamed};
/// use shardpack_store::{MemoryStore, PutMode, Store};
///
/// let foo = b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0efoo\x61\x8a\xbe\xfe";
/// let store = Arc::new(MemoryStore::new());
/// store.put("a.tfrecord", foo, PutMode::Create)?;
/// store.put("b.tfrecord", foo, PutMode::Create)?;
///
/// let found = Dataset::foreign(&*store, "", &ForeignOptions::default())?;
/// let format = shardpack_formats::open(found.format(), found.format_options())?;
/// let contents = Contents::Foreign { format, decode: found.decode().clone() };
/// let source = Arc::new(Objects::new(store.clone(), &found, None));
/// let reader =
///     Streamed::new(source, contents, Part::default(), ReadOptions::default(), None)?;
/// assert_eq!(reader.promises(), Promises::FOREIGN);
/// for sample in reader.epoch(0) {
///     assert_eq!(sample?.field("data"), Some(&b"foo"[..]));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Streamed(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) source: Arc<dyn Source>,
    pub(super) contents: Read,
    options: ReadOptions,
    /// Among the ranks that get different samples.
    rank: u64,
    world: u64,
    start: Start,
}

/// Where a state goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    /// The epoch, and its positions that are gone.
    pub(super) cursor: Cursor,
    /// Steps from there that the rank took already.
    pub(super) skip: u64,
}

impl Streamed {
    /// A reader, from the beginning or from where `state` was saved. Opens no stream.
    ///
    /// With hosts that get other shards each, `part` counts the ranks of this host alone.
    ///
    /// Fails with [`Error::Different`] for a state of other samples, or of another number of ranks
    /// in the middle of an epoch; with [`Error::State`] for a state that cannot be gone on from.
    pub fn new(
        source: Arc<dyn Source>,
        contents: Contents,
        part: Part,
        mut options: ReadOptions,
        state: Option<&State>,
    ) -> Result<Self> {
        let Part { rank, world, .. } = part.group()?;
        let contents = Read::new(contents, &*source, part, &mut options, state)?;
        let start = match &contents {
            Read::Known(planned) => Start::of(planned, state, world)?,
            Read::Foreign(_) => Start::default(),
        };
        Ok(Self(Arc::new(Inner { source, contents, options, rank, world, start })))
    }

    /// What holds for its samples.
    pub fn promises(&self) -> Promises {
        match &self.0.contents {
            Read::Known(planned) if planned.host.is_some() => Promises::SHARDED,
            Read::Known(_) => Promises::STREAMED,
            Read::Foreign(_) => Promises::FOREIGN,
        }
    }

    /// The plan; none without a manifest. Its order is not the stream's.
    pub fn plan(&self) -> Option<&Plan> {
        self.0.planned().map(|planned| &planned.plan)
    }

    /// What the manifest says, and the plan over it; none without a manifest.
    pub(crate) fn known(&self) -> Option<(&Known, &Plan)> {
        self.0.planned().map(|planned| (&planned.known, &planned.plan))
    }

    /// For a log of what was consumed; none without a manifest.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let planned = self.0.planned()?;
        let Start { cursor, skip } = self.0.start;
        let host = planned.host.as_ref().map(|(host, _)| *host);
        let state = self.0.state(cursor, skip)?;
        Some(Origin { part: planned.plan.part(), host, state, streamed: true })
    }

    /// Where it starts: the epoch, and how many of its positions are gone.
    pub fn start(&self) -> Cursor {
        let Start { cursor, skip } = self.0.start;
        Cursor { consumed: cursor.consumed + skip * self.0.world, ..cursor }
    }

    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    /// A stream is opened at the first one.
    pub fn epoch(&self, epoch: u64) -> StreamSamples {
        let start = match self.0.start {
            start if start.cursor.epoch == epoch => start,
            _ => Start { cursor: Cursor { epoch, consumed: 0 }, skip: 0 },
        };
        StreamSamples::new(Arc::clone(&self.0), start)
    }
}

impl Start {
    fn of(planned: &Planned, state: Option<&State>, world: u64) -> Result<Self> {
        let cursor = planned.plan.start();
        let Some(state) = state else { return Ok(Self { cursor, skip: 0 }) };
        state.check()?;
        if planned.host.is_some() && state.consumed > 0 {
            return Err(Error::state(
                "saved in the middle of an epoch of shards that a service divides among hosts: \
                 nothing says that this host gets the same ones again; only states between epochs \
                 can be gone on from",
            ));
        }
        let Some(streamed) = state.streamed else { return Ok(Self { cursor, skip: 0 }) };
        if streamed.world != world {
            let then = streamed.world;
            let differences = vec![format!(
                "ranks: {then} then, {world} now, in the middle of an epoch that comes in streams; \
                 go on with {then}, or from a state between epochs"
            )];
            return Err(Error::Different { differences });
        }
        Ok(Self { cursor, skip: (state.consumed - streamed.base) / world })
    }
}

impl Inner {
    pub(super) fn planned(&self) -> Option<&Planned> {
        match &self.contents {
            Read::Known(planned) => Some(planned),
            Read::Foreign(_) => None,
        }
    }

    /// The steps of this rank from `cursor` on; none without a manifest.
    pub(super) fn share(&self, cursor: Cursor) -> Option<Share> {
        self.planned().map(|planned| planned.plan.share(cursor))
    }

    /// Which samples are this rank's.
    pub(super) fn rule(&self, cursor: Cursor) -> Rule {
        let Inner { rank, world, .. } = *self;
        match self.planned() {
            None => Rule::Turn { rank, world, next: 0 },
            Some(Planned { plan, host, .. }) => Rule::new(plan, plan.share(cursor), host.is_some()),
        }
    }

    /// How much the window of an epoch holds. Where a state goes on, it must follow from what the
    /// state has: not from the memory that this run may take.
    pub(super) fn room(&self, cursor: Cursor) -> Room {
        let planned = self.planned();
        let most = match (self.options.plan.shuffle, planned) {
            (Shuffle::Off, _) => 0,
            (Shuffle::Exact, None) => MAX_WINDOW,
            (Shuffle::Exact, Some(planned)) => (WINDOW as u64 / planned.known.mean()).max(1),
            (Shuffle::Window { window, .. }, None) => window.saturating_mul(LANES),
            (Shuffle::Window { window, .. }, Some(planned)) => {
                window.saturating_mul(planned.plan.share(cursor).lanes().count() as u64)
            }
        };
        let bytes = if planned.is_some() { usize::MAX } else { WINDOW };
        Room { most: most.min(MAX_WINDOW) as usize, bytes }
    }

    /// What to save after `steps` of a rank's steps from `cursor` on; none without a manifest.
    pub(super) fn state(&self, cursor: Cursor, steps: u64) -> Option<State> {
        let plan = &self.planned()?.plan;
        let after = plan.share(cursor).after(steps);
        let mut state = plan.state(after);
        if after.epoch == cursor.epoch && steps > 0 {
            let (base, world) = (cursor.consumed, self.world);
            state.streamed = Some(crate::plan::Streamed { base, world });
        }
        Some(state)
    }

    pub(super) fn span(&self, epoch: u64) -> tracing::Span {
        tracing::info_span!("epoch", epoch, rank = self.rank, world = self.world)
    }

    pub(super) fn seed_of(&self, epoch: u64) -> (u64, u64, u64) {
        (self.options.plan.seed, epoch, self.rank)
    }

    pub(super) fn damage(&self) -> Damage {
        self.options.damage
    }

    pub(super) fn memory(&self) -> usize {
        usize::try_from(self.options.memory).unwrap_or(usize::MAX)
    }
}
