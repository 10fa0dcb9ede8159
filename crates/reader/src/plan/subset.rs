//! A part of each shard, and the division behind it.

use std::cmp::Reverse;

use crate::{Error, Result};

/// Which samples take part. The first of every shard, in proportion: packed order is shuffled
/// already, and shards are still read from front to back. The same in every epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Subset {
    /// Every sample.
    #[default]
    All,
    /// Exactly this many of the live samples.
    Count(u64),
    /// This fraction of the live samples, above 0 and at most 1; rounded, and at least one sample.
    Fraction(f64),
}

impl Subset {
    /// How many of `samples`.
    pub(crate) fn of(self, samples: u64) -> Result<u64> {
        match self {
            Self::All => Ok(samples),
            Self::Count(count) if count <= samples => Ok(count),
            Self::Count(count) => {
                Err(Error::usage(format!("subset of {count} samples: there are {samples}")))
            }
            Self::Fraction(part) if part > 0.0 && part <= 1.0 => {
                // Exact: samples are fewer than 2^53.
                Ok(((samples as f64 * part).round() as u64).clamp(samples.min(1), samples))
            }
            Self::Fraction(part) => {
                Err(Error::usage(format!("subset {part}: above 0 and at most 1")))
            }
        }
    }
}

/// Divides `total` in proportion to `weights`: rounded down, and what is left goes to the largest
/// remainders, of equal ones to the first. No part is above its weight when `total` is not above
/// their sum. `None` when the weights are all zero and `total` is not, or when their sum is above
/// 2^63.
pub(crate) fn apportion(total: u64, weights: &[u64]) -> Option<Vec<u64>> {
    let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
    if sum > 1 << 63 || (sum == 0 && total > 0) {
        return None;
    }
    let share = |weight: u64| u128::from(weight) * u128::from(total);
    let sum = sum.max(1);
    let mut parts: Vec<_> = weights.iter().map(|&w| (share(w) / sum) as u64).collect();
    let mut largest: Vec<_> = (0..weights.len()).collect();
    largest.sort_by_key(|&i| Reverse(share(weights[i]) % sum));
    let left = total - parts.iter().sum::<u64>();
    largest.iter().take(left as usize).for_each(|&i| parts[i] += 1);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn divides_by_largest_remainder() {
        assert_eq!(apportion(10, &[1, 1, 1]), Some(vec![4, 3, 3]));
        assert_eq!(apportion(3, &[5, 0, 1]), Some(vec![3, 0, 0])); // 2.5 and 0.5: the first
        assert_eq!(apportion(0, &[0, 0]), Some(vec![0, 0]));
        assert_eq!(apportion(1, &[0]), None);
        assert_eq!(apportion(1, &[u64::MAX]), None);
        assert_eq!(apportion(u64::MAX, &[1, 1 << 62]).map(|p| p.iter().sum()), Some(u64::MAX));
    }

    #[test]
    fn subset_is_checked() {
        assert_eq!(Subset::All.of(7).unwrap(), 7);
        assert_eq!(Subset::Fraction(0.001).of(7).unwrap(), 1);
        assert_eq!(Subset::Fraction(0.5).of(0).unwrap(), 0);
        assert_eq!(Subset::Fraction(1.0).of(7).unwrap(), 7);
        for bad in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
            assert!(Subset::Fraction(bad).of(7).is_err(), "{bad}");
        }
        assert!(Subset::Count(8).of(7).is_err());
    }

    proptest! {
        #[test]
        fn parts_add_up_and_fit(weights in prop::collection::vec(0u64..50, 1..20), part in 0.0..=1.0f64) {
            let sum: u64 = weights.iter().sum();
            let total = (sum as f64 * part) as u64;
            let parts = apportion(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            for (&part, &weight) in parts.iter().zip(&weights) {
                prop_assert!(part <= weight);
                let ideal = weight as f64 * total as f64 / sum.max(1) as f64;
                prop_assert!((part as f64 - ideal).abs() < 1.0);
            }
        }
    }
}
