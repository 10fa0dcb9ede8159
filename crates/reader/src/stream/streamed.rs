//! A reader of streams.

use std::sync::Arc;

use super::contents::{Planned, Read};
use super::deal::Rule;
use super::known::Known;
use super::window::{Room, Window};
use super::{Contents, Promises, Source, StreamSamples};
use crate::coverage::Origin;
use crate::plan::{self, Cursor, MAX_WINDOW, Part, Plan, Share, Shuffle, State};
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
struct Start {
    at: Cursor,
    /// Positions below are gone; from there on it is the first of each rank's samples.
    base: u64,
}

/// A walk through an epoch.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) epoch: u64,
    /// The rank's steps, and how many of them it took before; none without a manifest.
    pub(super) share: Option<(Share, u64)>,
    pub(super) room: Room,
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
        let host = planned.host.as_ref().map(|(host, _)| *host);
        let state = self.0.state(self.0.start.at)?;
        Some(Origin { part: planned.plan.part(), host, state, streamed: true })
    }

    /// Where it starts: the epoch, and how many of its positions are gone.
    pub fn start(&self) -> Cursor {
        self.0.start.at
    }

    /// The plan from where it starts, for epochs that are gone through again and again.
    ///
    /// Fails with [`Error::Usage`] where nothing says how long an epoch is.
    pub(crate) fn repeated(&self) -> Result<Plan> {
        let name = self.0.source.name();
        match self.0.planned() {
            Some(Planned { host: None, plan, .. }) => Ok(plan.clone().starting_at(self.start())),
            Some(_) => Err(Error::usage(format!(
                "{name}: each host gets other shards (ShardedByS3Key), so its epochs are of other \
                 lengths, which a mix does not pad; deliver all shards to every host (FullyReplicated)"
            ))),
            None => Err(Error::usage(format!(
                "{name}: without a manifest nothing says where an epoch ends, and a mix is made of \
                 whole ones; give the manifest, which shardpack index makes"
            ))),
        }
    }

    /// What is streamed of a state at `cursor`.
    pub(crate) fn streamed(&self, cursor: Cursor) -> Option<plan::Streamed> {
        self.0.streamed(cursor)
    }

    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    /// A stream is opened at the first one.
    pub fn epoch(&self, epoch: u64) -> StreamSamples {
        let (at, base) = (self.0.begins(epoch), self.0.base(epoch));
        let share = self.0.planned().map(|Planned { plan, .. }| {
            let gone = at.consumed - base;
            match gone % self.0.world {
                // The epoch ends where it would have: padding is not repeated.
                0 => (plan.share(Cursor { epoch, consumed: base }), gone / self.0.world),
                // Behind a mix: ranks have not taken equally many, and have equally many left.
                _ => plan.share(at).since(base),
            }
        });
        self.pass(epoch, share)
    }

    /// The samples of a share of the plan, from where it starts or from the beginning of an epoch.
    pub(crate) fn share(&self, share: Share) -> StreamSamples {
        let epoch = share.epoch().number();
        self.pass(epoch, Some(share.since(self.0.base(epoch))))
    }

    fn pass(&self, epoch: u64, share: Option<(Share, u64)>) -> StreamSamples {
        let room = self.0.room(share.as_ref().map(|(share, _)| share));
        StreamSamples::new(Arc::clone(&self.0), Pass { epoch, share, room })
    }
}

impl Start {
    fn of(planned: &Planned, state: Option<&State>, world: u64) -> Result<Self> {
        let at = planned.plan.start();
        let start = Self { at, base: at.consumed };
        let Some(state) = state else { return Ok(start) };
        state.check()?;
        if planned.host.is_some() && state.consumed > 0 {
            return Err(Error::state(
                "saved in the middle of an epoch of shards that a service divides among hosts: \
                 nothing says that this host gets the same ones again; only states between epochs \
                 can be gone on from",
            ));
        }
        let Some(streamed) = state.streamed else { return Ok(start) };
        if streamed.world != world {
            let then = streamed.world;
            let differences = vec![format!(
                "ranks: {then} then, {world} now, in the middle of an epoch that comes in streams; \
                 go on with {then}, or from a state between epochs"
            )];
            return Err(Error::Different { differences });
        }
        Ok(Self { at: state.cursor(), base: streamed.base })
    }
}

impl Inner {
    pub(super) fn planned(&self) -> Option<&Planned> {
        match &self.contents {
            Read::Known(planned) => Some(planned),
            Read::Foreign(_) => None,
        }
    }

    /// Where an epoch begins: where the state was saved, in its epoch.
    fn begins(&self, epoch: u64) -> Cursor {
        match self.start.at {
            at if at.epoch == epoch => at,
            _ => Cursor { epoch, consumed: 0 },
        }
    }

    /// Where the stream of an epoch begins for all ranks: positions below are gone.
    fn base(&self, epoch: u64) -> u64 {
        if epoch == self.start.at.epoch { self.start.base } else { 0 }
    }

    /// Which samples are this rank's.
    pub(super) fn rule(&self, pass: &Pass) -> Rule {
        let Inner { rank, world, .. } = *self;
        match (self.planned(), &pass.share) {
            (Some(Planned { plan, host, .. }), Some((share, _))) => {
                Rule::new(plan, share.clone(), host.is_some())
            }
            _ => Rule::Turn { rank, world, next: 0 },
        }
    }

    /// How much the window of an epoch holds. Where a state goes on, it must follow from what the
    /// state has: not from the memory that this run may take.
    fn room(&self, share: Option<&Share>) -> Room {
        let planned = self.planned();
        let most = match (self.options.plan.shuffle, planned) {
            (Shuffle::Off, _) => 0,
            (Shuffle::Exact, None) => MAX_WINDOW,
            (Shuffle::Exact, Some(planned)) => (WINDOW as u64 / planned.known.mean()).max(1),
            (Shuffle::Window { window, .. }, _) => {
                window.saturating_mul(share.map_or(LANES, |share| share.lanes().count() as u64))
            }
        };
        let bytes = if planned.is_some() { usize::MAX } else { WINDOW };
        Room { most: most.min(MAX_WINDOW) as usize, bytes }
    }

    /// What to save at `cursor`; none without a manifest.
    pub(super) fn state(&self, cursor: Cursor) -> Option<State> {
        let plan = &self.planned()?.plan;
        Some(State { streamed: self.streamed(cursor), ..plan.state(cursor) })
    }

    /// What of a state at `cursor` is a number of steps; nothing at the beginning of a stream.
    fn streamed(&self, cursor: Cursor) -> Option<plan::Streamed> {
        let (base, world) = (self.base(cursor.epoch), self.world);
        (cursor.consumed > base).then_some(plan::Streamed { base, world })
    }

    /// Where all ranks are after `steps` of a pass; none without a manifest.
    pub(super) fn after(&self, pass: &Pass, steps: u64) -> Option<Cursor> {
        let (plan, (share, skip)) = (&self.planned()?.plan, pass.share.as_ref()?);
        let begins = self.begins(pass.epoch);
        let consumed = begins.consumed + steps.saturating_sub(*skip) * self.world;
        Some(match steps >= share.len() || consumed >= plan.length() {
            true => Cursor { epoch: pass.epoch + 1, consumed: 0 },
            false => Cursor { consumed, ..begins },
        })
    }

    pub(super) fn span(&self, epoch: u64) -> tracing::Span {
        tracing::info_span!("epoch", epoch, rank = self.rank, world = self.world)
    }

    /// The shuffle's window. Its draws go with the positions of a rank, which in a mix are others in
    /// every epoch, so that whoever goes on with them has the same order.
    pub(super) fn window<T>(&self, pass: &Pass) -> Window<T> {
        let rank = pass.share.as_ref().map_or(self.rank, |(share, _)| share.residue());
        Window::new(pass.room, self.options.plan.seed, pass.epoch, rank)
    }

    pub(super) fn damage(&self) -> Damage {
        self.options.damage
    }

    pub(super) fn memory(&self) -> usize {
        usize::try_from(self.options.memory).unwrap_or(usize::MAX)
    }
}
