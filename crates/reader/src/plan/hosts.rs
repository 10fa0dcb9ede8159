//! Equal steps on hosts that see different shards.

use std::ops::RangeInclusive;

use super::{MAX_SAMPLES, Tail, rank_steps};
use crate::{Error, Result};

/// Shards that a service has divided among hosts, each whole and nobody knows where
/// (ShardedByS3Key). A host plans over the shards it sees, with its own ranks as the world; how
/// long an epoch is must follow from what every host knows: all lengths, and that each host has as
/// many shards as any other, or one more.
///
/// ```
/// use shardpack_reader::plan::{Hosts, Tail};
///
/// let hosts = Hosts::new(vec![100, 90, 110, 100, 95], 2)?;
/// hosts.check(3)?;
/// // The two shortest shards hold 185 samples: 23 batches of 4 on each of 2 ranks.
/// assert_eq!(hosts.length(2, 4, Tail::Drop)?, 184);
/// # Ok::<_, shardpack_reader::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hosts {
    shards: RangeInclusive<u64>,
    samples: RangeInclusive<u64>,
}

impl Hosts {
    /// Live samples of every shard of the channel, and how many hosts share them.
    pub fn new(mut counts: Vec<u64>, hosts: u64) -> Result<Self> {
        let shards = counts.len() as u64;
        if hosts == 0 || shards < hosts {
            return Err(Error::usage(format!(
                "{shards} shards for {hosts} hosts: a host would have none"
            )));
        }
        counts.sort_unstable();
        let (fewest, most) = (shards / hosts, shards.div_ceil(hosts));
        let total = |counts: &mut dyn Iterator<Item = &u64>| {
            counts.fold(0u64, |sum, &count| sum.saturating_add(count))
        };
        let least = total(&mut counts.iter().take(fewest as usize));
        let greatest = total(&mut counts.iter().rev().take(most as usize));
        if greatest > MAX_SAMPLES {
            return Err(Error::usage(format!("{greatest} samples: at most {MAX_SAMPLES}")));
        }
        Ok(Self { shards: fewest..=most, samples: least..=greatest })
    }

    /// How few and how many shards a host may have.
    pub fn shards(&self) -> RangeInclusive<u64> {
        self.shards.clone()
    }

    /// How few and how many samples a host may have.
    pub fn samples(&self) -> RangeInclusive<u64> {
        self.samples.clone()
    }

    /// Whether a host that sees so many shards was given its even part.
    pub fn check(&self, visible: u64) -> Result<()> {
        let (&fewest, &most) = (self.shards.start(), self.shards.end());
        match self.shards.contains(&visible) {
            true => Ok(()),
            false => Err(Error::Uneven { visible, fewest, most }),
        }
    }

    /// The length of an epoch in positions, the same on every host, for
    /// [`PlanOptions::length`](super::PlanOptions::length). `world` counts the ranks of a host
    /// that get different samples. `Drop` takes what the host with the fewest possible samples
    /// has, `Pad` and `Mask` what the one with the most has.
    pub fn length(&self, world: u64, batch: u64, tail: Tail) -> Result<u64> {
        let unit = world.checked_mul(batch).filter(|unit| (1..=MAX_SAMPLES).contains(unit));
        if unit.is_none() {
            return Err(Error::usage(format!("batch {batch} on {world} ranks")));
        }
        let samples = match tail {
            Tail::Drop => *self.samples.start(),
            Tail::Pad | Tail::Mask => *self.samples.end(),
        };
        match rank_steps(samples, world, batch, tail) * world {
            0 => Err(Error::usage(format!(
                "an epoch has no step: a host may have only {samples} samples"
            ))),
            length => Ok(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Part, Plan, PlanOptions, Shards};
    use proptest::prelude::*;

    #[test]
    fn an_uneven_division_is_refused() {
        let hosts = Hosts::new(vec![10; 10], 4).unwrap();
        assert_eq!((hosts.shards(), hosts.samples()), (2..=3, 20..=30));
        assert!(hosts.check(2).and(hosts.check(3)).is_ok());
        let error = hosts.check(4).unwrap_err();
        assert!(matches!(error, Error::Uneven { visible: 4, fewest: 2, most: 3 }));
        assert!(error.to_string().contains("explicitly"));
        assert!(Hosts::new(vec![10; 3], 4).is_err());
        assert!(Hosts::new(vec![10; 3], 0).is_err());
        assert!(Hosts::new(vec![u64::MAX, u64::MAX], 1).is_err());
        for (world, batch) in [(0, 1), (1, 0), (u64::MAX, 2), (7, 3)] {
            assert!(hosts.length(world, batch, Tail::Drop).is_err(), "{world} {batch}");
        }
    }

    proptest! {
        /// However the shards fall, every rank of every host has the same steps, and `Mask` counts
        /// every sample of the channel once.
        #[test]
        fn steps_are_equal_on_all_hosts(
            counts in prop::collection::vec(1u64..30, 1..24),
            hosts in 1u64..6,
            world in 1u64..4,
            batch in 1u64..4,
            tail in prop::sample::select(vec![Tail::Pad, Tail::Drop, Tail::Mask]),
            deal in any::<u64>(),
        ) {
            prop_assume!(counts.len() as u64 >= hosts);
            let all = Hosts::new(counts.clone(), hosts).unwrap();
            let Ok(length) = all.length(world, batch, tail) else { return Ok(()) };
            let order = crate::plan::random::shuffled(deal, counts.len() as u32);
            let mut real = 0;
            for host in 0..hosts as usize {
                let visible: Vec<_> = order.iter().skip(host).step_by(hosts as usize)
                    .map(|&shard| counts[shard as usize]).collect();
                all.check(visible.len() as u64).unwrap();
                for rank in 0..world {
                    let options = PlanOptions { tail, batch: Some(batch), length: Some(length), ..PlanOptions::default() };
                    let part = Part { rank, world, replicas: 1 };
                    let plan = Plan::new(Shards::new(visible.clone()).unwrap(), options, part).unwrap();
                    let share = plan.share(plan.start());
                    prop_assert_eq!(share.len() * world, length);
                    real += share.items(0).filter(|item| item.real).count() as u64;
                }
            }
            if tail == Tail::Mask {
                prop_assert_eq!(real, counts.iter().sum::<u64>());
            }
        }
    }
}
