//! What holds for the samples that a reader hands out.

/// What holds, beside what always does: bytes are those that were stored, and what is cut, missing
/// or changed is an error as far as there is anything to see it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promises {
    /// The number of samples of an epoch is known beforehand.
    pub counts: bool,
    /// The order follows from (seed, epoch, rank, world). Otherwise the stream dictates it, and a
    /// window shuffles what passes.
    pub order: bool,
    /// Every sample is compared with the index, and the end with the manifest.
    pub checked: bool,
    /// Every rank has equally many steps.
    pub equal_steps: bool,
    /// Where a saved state goes on.
    pub resume: Resume,
}

/// Where a state that was saved goes on with nothing repeated and nothing lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nowhere: there is no state. Begin another epoch.
    Never,
    /// Between epochs.
    Epochs,
    /// Anywhere, with as many ranks, if the stream comes in the same order again.
    SameWorld,
    /// Anywhere, with any number of ranks.
    AnyWorld,
}

impl Promises {
    /// A manifest, and shards that can be sought.
    pub const SOUGHT: Self = Self {
        counts: true,
        order: true,
        checked: true,
        equal_steps: true,
        resume: Resume::AnyWorld,
    };

    /// A manifest, and a stream of all of its shards.
    pub const STREAMED: Self = Self { order: false, resume: Resume::SameWorld, ..Self::SOUGHT };

    /// A manifest, and a stream of those of its shards that this host was given.
    pub const SHARDED: Self = Self { counts: false, resume: Resume::Epochs, ..Self::STREAMED };

    /// Streams without a manifest.
    pub const FOREIGN: Self = Self {
        counts: false,
        order: false,
        checked: false,
        equal_steps: false,
        resume: Resume::Never,
    };
}
