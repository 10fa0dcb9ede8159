//! What the data is.

use serde::Serialize;

use crate::{Error, Result};

/// Where data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// S3.
    S3,
    /// EFS.
    Efs,
    /// FSx for Lustre.
    Fsx,
    /// A disk that training hosts do not see.
    Local,
}

/// The files or shards that a job would read: how many, how long, where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Data {
    /// Where they live.
    pub home: Home,
    /// Length of each in bytes, in the order of their names.
    pub lens: Vec<u64>,
    /// Files by ending, the most frequent first: `("jpg", 30_607)`.
    pub formats: Vec<(String, u64)>,
    /// They are shards already.
    pub packed: bool,
    /// They are named by an augmented manifest, line by line.
    pub augmented: bool,
}

/// Files of a range of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// The shortest of the range, in bytes. The longest is just below four times as long.
    pub from: u64,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Lengths that shares of the files do not exceed: a mean alone tells little of two kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Bytes of the file in the middle: half of the files are no longer.
    pub half: u64,
    /// Nine files in ten are no longer.
    pub nine_tenths: u64,
    /// The longest.
    pub all: u64,
    /// Half of all bytes lie in files that are no longer.
    pub half_of_bytes: u64,
}

/// A share of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Data {
    /// Loose files of which no more is known.
    pub fn new(home: Home, lens: Vec<u64>) -> Self {
        Self { home, lens, formats: Vec::new(), packed: false, augmented: false }
    }

    /// Number of files.
    pub fn files(&self) -> u64 {
        self.lens.len() as u64
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        self.lens.iter().fold(0, |sum, len| sum.saturating_add(*len))
    }

    /// Length of the longest.
    pub fn longest(&self) -> u64 {
        self.lens.iter().copied().max().unwrap_or(0)
    }

    /// Files below a length.
    pub fn below(&self, len: u64) -> Part {
        let below = self.lens.iter().filter(|own| **own < len);
        below.fold(Part::default(), |part, own| Part {
            files: part.files + 1,
            bytes: part.bytes.saturating_add(*own),
        })
    }

    /// What lengths files have; all 0 without files.
    pub fn quantiles(&self) -> Quantiles {
        let mut lens = self.lens.clone();
        lens.sort_unstable();
        let at = |files: usize| lens.get(files.saturating_sub(1)).copied().unwrap_or(0);
        let (mut bytes, half) = (0_u64, self.bytes().div_ceil(2));
        let heavy = lens.iter().find(|len| {
            bytes = bytes.saturating_add(**len);
            bytes >= half
        });
        Quantiles {
            half: at(lens.len().div_ceil(2)),
            nine_tenths: at(lens.len().saturating_mul(9).div_ceil(10)),
            all: at(lens.len()),
            half_of_bytes: heavy.copied().unwrap_or(0),
        }
    }

    /// Files by length, each bucket four times as wide as the one before; empty ones between others
    /// are there, so that it can be drawn.
    pub fn histogram(&self) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        for &len in &self.lens {
            let number = len.checked_ilog(4).map_or(0, |power| power as usize + 1);
            while buckets.len() <= number {
                let from = match buckets.len() {
                    0 => 0,
                    power => 4u64.saturating_pow(power as u32 - 1),
                };
                buckets.push(Bucket { from, files: 0, bytes: 0 });
            }
            if let Some(bucket) = buckets.get_mut(number) {
                bucket.files += 1;
                bucket.bytes = bucket.bytes.saturating_add(len);
            }
        }
        let first = buckets.iter().position(|bucket| bucket.files > 0).unwrap_or(0);
        buckets.split_off(first)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.bytes() == 0 { Err(Error::Empty) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_file_once() {
        let data = Data::new(Home::S3, vec![0, 1, 3, 4, 15, 16, 1_000_000, u64::MAX]);
        let buckets = data.histogram();
        assert_eq!(buckets.iter().map(|bucket| bucket.files).sum::<u64>(), 8);
        let at = |from| buckets.iter().find(|bucket| bucket.from == from).map(|b| b.files);
        assert_eq!([at(0), at(1), at(4), at(16), at(64)].map(Option::unwrap), [1, 2, 2, 1, 0]);
        assert_eq!(data.bytes(), u64::MAX); // saturates: no sum of lengths from outside wraps
    }

    #[test]
    fn quantiles_are_lengths_of_files() {
        let of = |lens: &[u64]| {
            let found = Data::new(Home::S3, lens.to_vec()).quantiles();
            [found.half, found.nine_tenths, found.all, found.half_of_bytes]
        };
        assert_eq!(of(&[]), [0; 4]);
        assert_eq!(of(&[7]), [7; 4]);
        assert_eq!(of(&[3, 1, 2, 4]), [2, 4, 4, 3]); // 1 + 2 + 3 are more than half of 10
        let ten: Vec<u64> = (1..=10).rev().collect();
        assert_eq!(of(&ten), [5, 9, 10, 7]);
        // Nine of ten files are short, and nearly all bytes are in the tenth.
        let two_kinds = [[1; 90].as_slice(), &[1_000_000; 10]].concat();
        assert_eq!(of(&two_kinds), [1, 1, 1_000_000, 1_000_000]);
        let data = Data::new(Home::S3, two_kinds);
        assert_eq!(data.below(1_000_000), Part { files: 90, bytes: 90 });
        assert_eq!(data.below(1), Part::default());
    }

    #[test]
    fn a_histogram_starts_at_the_shortest() {
        let data = Data::new(Home::S3, vec![300, 5_000]);
        let from: Vec<u64> = data.histogram().iter().map(|bucket| bucket.from).collect();
        assert_eq!(from, [256, 1024, 4096]);
    }
}
