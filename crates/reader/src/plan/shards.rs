//! Which samples there are, and where they are stored.

use shardpack_manifest::Digest;

use super::random;
use super::subset::{Subset, apportion};
use crate::{Error, Result};

/// Most samples of a dataset, and most positions of an epoch: 2^48, so that sums of a few do not
/// overflow and a `f64` holds them exactly.
pub const MAX_SAMPLES: u64 = 1 << 48;

/// A sample by its place: shard in the list, and ordinal among all that are stored in the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleId {
    /// Number of the shard in the list that the plan was made of.
    pub shard: u32,
    /// Number of the sample in its shard, dead ones counted too.
    pub ordinal: u64,
}

/// The samples of a list of shards, and which of them are dead.
///
/// ```
/// use shardpack_reader::plan::Shards;
///
/// let shards = Shards::new([3, 0, 2])?.without(vec![1])?;
/// assert_eq!(shards.live(), 4);
/// # Ok::<_, shardpack_reader::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Shards {
    pub(crate) dataset: Digest,
    /// Stored samples before each shard, and of all.
    stored: Vec<u64>,
    /// Numbers of the dead among all that are stored, rising.
    dead: Vec<u64>,
    /// Samples that the plan hands out before each shard, and of all.
    starts: Vec<u64>,
}

impl Shards {
    /// Shards with these numbers of samples, in the dataset's order; zero is allowed.
    pub fn new(counts: impl IntoIterator<Item = u64>) -> Result<Self> {
        let mut stored = vec![0];
        let mut total = 0u64;
        for count in counts {
            total = total.saturating_add(count);
            stored.push(total);
        }
        if total > MAX_SAMPLES {
            return Err(Error::usage(format!("{total} samples: at most {MAX_SAMPLES}")));
        }
        if u32::try_from(stored.len()).is_err() {
            return Err(Error::usage(format!("{} shards: at most 2^32 - 2", stored.len() - 1)));
        }
        Ok(Self { dataset: Digest::default(), starts: stored.clone(), stored, dead: Vec::new() })
    }

    /// The same shards without the samples of these numbers, counted through all that are stored.
    /// They must rise.
    pub fn without(mut self, dead: Vec<u64>) -> Result<Self> {
        if let Some(pair) = dead.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::usage(format!("tombstones do not rise: {pair:?}")));
        }
        let stored = self.stored();
        if let Some(last) = dead.last().filter(|&&last| last >= stored) {
            return Err(Error::usage(format!("tombstone {last}: there are {stored} samples")));
        }
        self.dead = dead;
        self.starts = self.stored.iter().map(|&start| self.live_before(start)).collect();
        Ok(self)
    }

    /// The same shards, of this dataset. A saved state is refused for shards of another digest.
    ///
    /// The digest must change with the order of samples and their sharding, as one over the shards'
    /// checksums does; a digest of the set of samples is not enough.
    pub fn of_dataset(mut self, digest: Digest) -> Self {
        self.dataset = digest;
        self
    }

    /// The part of each shard that `subset` says.
    pub(crate) fn part(mut self, subset: Subset) -> Result<Self> {
        let live: Vec<_> = self.starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let parts = apportion(subset.of(self.live())?, &live).unwrap_or(live);
        let mut total = 0;
        for (start, part) in self.starts.iter_mut().skip(1).zip(parts) {
            total += part;
            *start = total;
        }
        Ok(self)
    }

    /// Samples that are not dead, and of a plan's subset.
    pub fn live(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Samples that are stored, dead or not.
    pub fn stored(&self) -> u64 {
        self.stored.last().copied().unwrap_or(0)
    }

    /// Shards, empty ones too.
    pub fn count(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// Number of a sample among all that are stored; `None` when there is none.
    pub fn number(&self, sample: SampleId) -> Option<u64> {
        let shard = sample.shard as usize;
        let (&start, &end) = self.stored.get(shard).zip(self.stored.get(shard + 1))?;
        (sample.ordinal < end - start).then(|| start + sample.ordinal)
    }

    /// Samples that are stored in `shard`, dead or not; none in one that is not there.
    pub(crate) fn stored_in(&self, shard: u32) -> u64 {
        let ends = self.stored.get(shard as usize).zip(self.stored.get(shard as usize + 1));
        ends.map_or(0, |(start, end)| end - start)
    }

    /// First live sample of `shard` and the one after its last.
    pub(crate) fn bounds(&self, shard: u32) -> (u64, u64) {
        (self.starts[shard as usize], self.starts[shard as usize + 1])
    }

    /// Where live sample `live` is, and how many from it on are stored in a row.
    pub(crate) fn locate(&self, live: u64) -> (SampleId, u64) {
        let shard = self.starts.partition_point(|&start| start <= live) - 1;
        let left = self.starts[shard + 1] - live;
        let start = self.stored[shard];
        let ordinal = live - self.starts[shard];
        if self.dead.is_empty() {
            return (SampleId { shard: shard as u32, ordinal }, left);
        }
        // Of all live samples, also those outside of the subset.
        let live = self.live_before(start) + ordinal;
        // dead[i] - i live samples are before dead sample i.
        let before = lower_bound(self.dead.len(), |i| self.dead[i] - i as u64 <= live);
        let number = live + before as u64;
        let run = self.dead.get(before).map_or(left, |&next| left.min(next - number));
        (SampleId { shard: shard as u32, ordinal: number - start }, run)
    }

    /// The inverse of [`locate`](Self::locate): `None` for a sample that is dead, outside of the
    /// subset or not there.
    pub(crate) fn live_number(&self, sample: SampleId) -> Option<u64> {
        let number = self.number(sample)?;
        if self.dead.binary_search(&number).is_ok() {
            return None;
        }
        let shard = sample.shard as usize;
        let ordinal = self.live_before(number) - self.live_before(self.stored[shard]);
        let (start, end) = self.bounds(sample.shard);
        (ordinal < end - start).then(|| start + ordinal)
    }

    /// A number that is another one for other lengths, tombstones or subset.
    pub(crate) fn layout(&self) -> u64 {
        let lists = [&self.stored, &self.dead, &self.starts];
        random::key(
            lists
                .iter()
                .flat_map(|list| std::iter::once(list.len() as u64).chain(list.iter().copied())),
        )
    }

    fn live_before(&self, number: u64) -> u64 {
        number - self.dead.partition_point(|&dead| dead < number) as u64
    }
}

/// First number of `0..len` for which `is_before` is not true; it is true up to some number.
fn lower_bound(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        match is_before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(shard: u32, ordinal: u64) -> SampleId {
        SampleId { shard, ordinal }
    }

    #[test]
    fn dead_samples_are_stepped_over() {
        // Stored: shard 0 has 0 1 2, shard 2 has 3 4, shard 3 has 5 6 7. Dead: 0 2 3 4 6.
        let shards = Shards::new([3, 0, 2, 3]).unwrap().without(vec![0, 2, 3, 4, 6]).unwrap();
        let seen: Vec<_> = (0..shards.live()).map(|live| shards.locate(live)).collect();
        assert_eq!(seen, [(id(0, 1), 1), (id(3, 0), 1), (id(3, 2), 1)]);
        for (live, (sample, _)) in seen.iter().enumerate() {
            assert_eq!(shards.live_number(*sample), Some(live as u64));
        }
        for none in [id(0, 0), id(0, 3), id(1, 0), id(2, 1), id(3, 1), id(4, 0), id(9, u64::MAX)] {
            assert_eq!(shards.live_number(none), None, "{none:?}");
        }
    }

    #[test]
    fn runs_end_at_the_dead_at_shards_and_at_the_subset() {
        let shards = Shards::new([4, 6]).unwrap().without(vec![2]).unwrap();
        let part = shards.clone().part(Subset::Count(6)).unwrap();
        assert_eq!(part.live(), 6); // 2 of 3 and 4 of 6
        assert_eq!(part.locate(0), (id(0, 0), 2));
        assert_eq!(part.locate(2), (id(1, 0), 4));
        assert_eq!(part.live_number(id(0, 3)), None);
        assert_ne!(part.layout(), shards.layout());
    }

    #[test]
    fn lists_are_checked() {
        assert!(Shards::new([MAX_SAMPLES, 1]).is_err());
        assert!(Shards::new([u64::MAX, u64::MAX]).is_err());
        let shards = Shards::new([2, 2]).unwrap();
        for dead in [vec![1, 1], vec![2, 1], vec![4]] {
            assert!(shards.clone().without(dead.clone()).is_err(), "{dead:?}");
        }
        assert_eq!(shards.without(vec![0, 1, 2, 3]).unwrap().live(), 0);
        assert_eq!(Shards::new([]).unwrap().live(), 0);
    }
}
