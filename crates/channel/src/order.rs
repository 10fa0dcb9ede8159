//! Which objects of a channel a host gets, and in which order.
//!
//! AWS documents neither: only that each of n hosts gets about 1/n of the objects, and that a seed
//! decides the order. What is here is our own, fixed for ever by tests, and never to be taken for
//! what a job on SageMaker gets. A reader must list what it sees, not predict it.

use std::str::FromStr;

use shardpack_manifest::sagemaker::{Distribution, InputMode};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Error, Rank, Result};

/// How objects are dealt out to hosts by `ShardedByS3Key`. The unit is the object, whatever its
/// length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assign {
    /// The i-th object goes to host i modulo n: `round-robin`.
    #[default]
    RoundRobin,
    /// Each host gets a run of neighbours: `contiguous`. Runs differ by one at most, and the first
    /// ones are longer.
    Contiguous,
}

impl FromStr for Assign {
    type Err = Error;

    /// Fails with [`ErrorKind::Value`](crate::ErrorKind::Value), which tells the words there are.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "contiguous" => Ok(Self::Contiguous),
            _ => Err(Error::value("assignment", text, "must be round-robin or contiguous")),
        }
    }
}

/// What decides which objects of a channel a host gets, and in which order.
///
/// ```
/// use shardpack_channel::{Assign, Delivery, Distribution, InputMode, Rank};
///
/// let delivery = Delivery {
///     channel: "train",
///     mode: InputMode::Pipe,
///     distribution: Distribution::ShardedByS3Key,
///     assign: Assign::RoundRobin,
///     seed: None,
/// };
/// assert_eq!(delivery.objects(5, Rank { rank: 1, world: 2 }, 0), [1, 3]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'c> {
    /// Name of the channel.
    pub channel: &'c str,
    /// How it arrives. Pipe channels are shuffled anew for every epoch, the others once.
    pub mode: InputMode,
    /// Whether hosts share the objects.
    pub distribution: Distribution,
    /// And how.
    pub assign: Assign,
    /// The seed of `ShuffleConfig`, if there is one.
    pub seed: Option<i64>,
}

impl Delivery<'_> {
    /// The numbers of this host's objects among `count`, in the order of delivery. Objects are
    /// numbered in the order of their keys as bytes, which is that of a listing, or as the
    /// manifest lists them.
    ///
    /// All objects are shuffled first and dealt out then. So the hosts of an epoch get every
    /// object exactly once, and an object may go to another host in the next epoch. More hosts
    /// than objects leave some with nothing.
    pub fn objects(&self, count: usize, host: Rank, epoch: u64) -> Vec<usize> {
        let epoch = if self.mode == InputMode::Pipe { epoch } else { 0 };
        let mut order = match self.seed {
            Some(seed) => permutation(count, seed, self.channel, epoch),
            None => (0..count).collect(),
        };
        if self.distribution == Distribution::ShardedByS3Key {
            let mut place = 0..;
            order.retain(|_| {
                place
                    .next()
                    .is_some_and(|place| self.assign.owner(place, count, host.world) == host.rank)
            });
        }
        order
    }
}

impl Assign {
    /// The host that gets the object at `place` of `count`.
    fn owner(self, place: usize, count: usize, world: u32) -> u32 {
        let world = (world as usize).max(1);
        let host = match self {
            Self::RoundRobin => place % world,
            Self::Contiguous => {
                let (short, longer) = (count / world, count % world);
                let head = longer * (short + 1);
                match place < head {
                    true => place / (short + 1),
                    false => longer + (place - head) / short.max(1),
                }
            }
        };
        host as u32 // below world
    }
}

/// The numbers below `count` in the order of an epoch.
///
/// Each number i is hashed: xxh3-64 of its 8 bytes (little-endian), seeded with the xxh3-64 of
/// the channel's name that is seeded with the xxh3-64 of the epoch's 8 bytes that is seeded with
/// the seed. Numbers are sorted by hash, equal ones by themselves.
pub fn permutation(count: usize, seed: i64, channel: &str, epoch: u64) -> Vec<usize> {
    let epoch_seed = xxh3_64_with_seed(&epoch.to_le_bytes(), seed as u64);
    let channel_seed = xxh3_64_with_seed(channel.as_bytes(), epoch_seed);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|i| xxh3_64_with_seed(&(*i as u64).to_le_bytes(), channel_seed));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sharded(assign: Assign, seed: Option<i64>) -> Delivery<'static> {
        let (mode, distribution) = (InputMode::Pipe, Distribution::ShardedByS3Key);
        Delivery { channel: "train", mode, distribution, assign, seed }
    }

    #[test]
    fn objects_are_dealt_out() {
        for (assign, count, world, wanted) in [
            (Assign::RoundRobin, 5, 2, &[&[0, 2, 4][..], &[1, 3]][..]),
            (Assign::Contiguous, 5, 2, &[&[0, 1, 2], &[3, 4]]),
            (Assign::Contiguous, 10, 4, &[&[0, 1, 2], &[3, 4, 5], &[6, 7], &[8, 9]]),
            (Assign::RoundRobin, 2, 3, &[&[0], &[1], &[]]),
            (Assign::Contiguous, 2, 3, &[&[0], &[1], &[]]),
            (Assign::Contiguous, 0, 2, &[&[], &[]]),
            (Assign::RoundRobin, 3, 1, &[&[0, 1, 2]]),
        ] {
            for (rank, wanted) in (0..world).zip(wanted) {
                let got = sharded(assign, None).objects(count, Rank { rank, world }, 7);
                assert_eq!(got, *wanted, "{assign:?} {count} {rank}/{world}");
            }
        }
    }

    /// Computed by another implementation of xxh3 (python-xxhash) after the words above. A change
    /// here changes what every job reads.
    #[test]
    fn permutations_are_for_ever() {
        for (seed, channel, epoch, wanted) in [
            (0, "train", 0, [6, 1, 3, 2, 5, 4, 0, 7]),
            (0, "train", 1, [0, 7, 2, 6, 3, 1, 4, 5]),
            (-1, "train", 0, [2, 7, 0, 4, 3, 1, 5, 6]),
            (0, "validation", 0, [1, 4, 5, 6, 2, 0, 3, 7]),
        ] {
            assert_eq!(permutation(8, seed, channel, epoch), wanted, "{seed} {channel} {epoch}");
        }
    }

    #[test]
    fn only_pipes_are_shuffled_anew() {
        let host = Rank { rank: 0, world: 1 };
        for (mode, anew) in
            [(InputMode::File, false), (InputMode::FastFile, false), (InputMode::Pipe, true)]
        {
            let delivery = Delivery { mode, ..sharded(Assign::RoundRobin, Some(3)) };
            let epochs = [0, 1].map(|epoch| delivery.objects(50, host, epoch));
            assert_eq!(epochs[0] != epochs[1], anew, "{mode}");
            assert_ne!(epochs[0], Vec::from_iter(0..50));
        }
        let all = Delivery {
            distribution: Distribution::FullyReplicated,
            ..sharded(Assign::RoundRobin, None)
        };
        assert_eq!(all.objects(3, Rank { rank: 1, world: 2 }, 0), [0, 1, 2]);
    }

    #[test]
    fn assignments_have_words() {
        assert_eq!("round-robin".parse::<Assign>().unwrap(), Assign::default());
        assert_eq!("contiguous".parse::<Assign>().unwrap(), Assign::Contiguous);
        let error = "hash".parse::<Assign>().unwrap_err().to_string();
        assert_eq!(error, "assignment is \"hash\": must be round-robin or contiguous");
    }

    proptest! {
        /// Every epoch gives every object to exactly one host, and to each about as many.
        #[test]
        fn hosts_share_without_loss(count in 0usize..60, world in 1u32..9, seed in any::<Option<i64>>(), epoch in any::<u64>(), contiguous in any::<bool>()) {
            let assign = if contiguous { Assign::Contiguous } else { Assign::RoundRobin };
            let parts: Vec<_> = (0..world)
                .map(|rank| sharded(assign, seed).objects(count, Rank { rank, world }, epoch))
                .collect();
            let lens = parts.iter().map(Vec::len);
            prop_assert!(lens.clone().max().unwrap() - lens.min().unwrap() <= 1);
            let mut all = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, Vec::from_iter(0..count));
        }
    }
}
