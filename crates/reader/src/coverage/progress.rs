//! What logs are kept of: where a reader begins, and how far an iterator has come.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shardpack_channel::Rank;

use crate::plan::{Part, Plan, Share, State};
use crate::stream::{StreamSamples, Streamed};
use crate::{
    ChannelReader, ChannelSamples, Error, Overlaid, OverlaidSamples, OverlaidStream,
    OverlaidStreamSamples, Reader, Result, Samples,
};

/// A reader that a [`Coverage`](super::Coverage) log can be begun for: a [`Reader`], a [`Streamed`]
/// with a manifest, the same with overlays ([`Overlaid`], [`OverlaidStream`]), whose samples are those of
/// what the overlays lie over, and a [`ChannelReader`], whichever of these it is. No other type has it.
pub trait LoggedReader: sealed::Begins {}

/// Its samples: [`Samples`], [`StreamSamples`], [`OverlaidSamples`], [`OverlaidStreamSamples`] and
/// [`ChannelSamples`]. No other type has it.
pub trait LoggedSamples: sealed::Goes {}

impl<R: sealed::Begins> LoggedReader for R {}
impl<S: sealed::Goes> LoggedSamples for S {}

pub(super) mod sealed {
    use super::{Origin, Progress};
    use crate::Result;

    pub trait Begins {
        fn origin(&self) -> Result<Origin>;
    }

    pub trait Goes {
        fn progress(&self) -> Result<Progress<'_>>;
    }
}

/// Who reads what, from where.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where hosts have other shards each, among the ranks of this host.
    pub(crate) part: Part,
    pub(crate) host: Option<Rank>,
    pub(crate) state: State,
    pub(crate) streamed: bool,
}

/// How far an iterator has come.
#[derive(Debug)]
pub struct Progress<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) share: &'a Share,
    /// Tells the iterator from every other of the process.
    pub(crate) pass: u64,
    /// Steps of the share that are gone.
    pub(crate) taken: u64,
    /// Positions whose own sample was damaged.
    pub(crate) lost: &'a [u64],
    pub(crate) stream: Option<Delivered<'a>>,
}

/// How a stream brought them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'a> {
    /// Steps that had been taken before, and were passed over.
    pub(crate) skip: u64,
    /// Samples of the shuffle's window.
    pub(crate) window: u64,
    /// Shards of the plan, in the order in which they came so far.
    pub(crate) shards: &'a [u32],
}

/// A number for an iterator, of which there is no other in this process.
pub(crate) fn pass() -> u64 {
    static PASSES: AtomicU64 = AtomicU64::new(0);
    PASSES.fetch_add(1, Relaxed)
}

impl sealed::Begins for Reader {
    fn origin(&self) -> Result<Origin> {
        let (part, state) = (self.plan().part(), self.plan().state(self.start()));
        Ok(Origin { part, host: None, state, streamed: false })
    }
}

impl sealed::Begins for Streamed {
    fn origin(&self) -> Result<Origin> {
        self.origin().ok_or_else(unknown)
    }
}

impl sealed::Begins for Overlaid {
    fn origin(&self) -> Result<Origin> {
        sealed::Begins::origin(self.base())
    }
}

impl sealed::Begins for OverlaidStream {
    fn origin(&self) -> Result<Origin> {
        sealed::Begins::origin(self.base())
    }
}

impl sealed::Begins for ChannelReader {
    fn origin(&self) -> Result<Origin> {
        match self {
            Self::Seek(reader) => sealed::Begins::origin(reader),
            Self::Stream(streamed) => sealed::Begins::origin(streamed),
            Self::Overlaid(overlaid) => sealed::Begins::origin(overlaid),
            Self::OverlaidStream(overlaid) => sealed::Begins::origin(overlaid),
        }
    }
}

impl sealed::Goes for Samples {
    fn progress(&self) -> Result<Progress<'_>> {
        Ok(self.progress())
    }
}

impl sealed::Goes for StreamSamples {
    fn progress(&self) -> Result<Progress<'_>> {
        self.progress().ok_or_else(unknown)
    }
}

impl sealed::Goes for OverlaidSamples {
    fn progress(&self) -> Result<Progress<'_>> {
        Ok(self.progress())
    }
}

impl sealed::Goes for OverlaidStreamSamples {
    fn progress(&self) -> Result<Progress<'_>> {
        sealed::Goes::progress(self.base())
    }
}

impl sealed::Goes for ChannelSamples {
    fn progress(&self) -> Result<Progress<'_>> {
        match self {
            Self::Seek(samples) => sealed::Goes::progress(samples),
            Self::Stream(samples) => sealed::Goes::progress(samples),
            Self::Overlaid(samples) => sealed::Goes::progress(samples),
            Self::OverlaidStream(samples) => sealed::Goes::progress(samples),
        }
    }
}

fn unknown() -> Error {
    Error::usage(
        "these shards have no manifest, so nothing says which samples there are, and there is no \
         coverage to log; give the manifest, which shardpack index makes",
    )
}
