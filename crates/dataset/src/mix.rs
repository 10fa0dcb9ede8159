//! How well samples are mixed: distinct classes in a window, against what chance would give.

use std::collections::HashMap;

use serde::Serialize;
use shardpack_manifest::{Index, IndexRecord};

use crate::{Dataset, Error, Result, index};

/// Samples in a window where nobody says: a small batch of an image classifier.
pub const WINDOW: usize = 64;

/// How well a split is mixed as it is stored, or will be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Mixing {
    /// The split; none where the dataset has none.
    pub split: Option<String>,
    /// Samples that have a label and are not deleted: the others are left out.
    pub samples: u64,
    /// Samples without a label.
    pub unlabelled: u64,
    /// Distinct labels.
    pub classes: u64,
    /// Samples in a window.
    pub window: u64,
    /// Full windows of consecutive samples.
    pub windows: u64,
    /// Distinct classes in a window, on average.
    pub mean: f64,
    /// The same of a random permutation of these samples, expected.
    pub ideal: f64,
    /// The mean over the ideal: 1 is as good as chance, 1 over the ideal is sorted by class.
    pub score: f64,
}

/// Chance that a class of `size` among `total` samples is in a window that is drawn without putting
/// back: 1 - C(total - size, window) / C(total, window).
pub fn present(size: u64, total: u64, window: u64) -> f64 {
    let absent: f64 = (0..window)
        .map(|i| total.saturating_sub(size).saturating_sub(i) as f64 / (total - i) as f64)
        .product();
    1.0 - absent
}

/// Counts distinct classes in windows of `window` consecutive samples, in stored order, split by
/// split. Reads indexes, no shard.
///
/// Fails with [`Error::Usage`] without a manifest, and for a split that has no full window.
pub fn mixing(dataset: &Dataset<'_>, window: usize) -> Result<Vec<Mixing>> {
    if dataset.manifest().is_none() {
        return Err(Error::Usage("shards without a manifest have no labels to go by".into()));
    }
    let mut counts: Vec<(Option<String>, Count)> = Vec::new();
    let mut classes = Classes::default();
    for (number, shard) in dataset.shards().iter().enumerate() {
        if counts.last().is_none_or(|(split, _)| *split != shard.split) {
            counts.push((shard.split.clone(), Count::default()));
        }
        let Some((_, count)) = counts.last_mut() else { continue };
        let index = index(dataset, number)?;
        for (place, record) in (0..).zip(index.iter().flat_map(Index::iter)) {
            match Class::of(&record) {
                _ if dataset.is_deleted(number, place, record.key) => {}
                None => count.unlabelled += 1,
                Some(class) => count.add(classes.number(class), window),
            }
        }
    }
    counts.into_iter().map(|(split, count)| count.mixing(split, window)).collect()
}

/// The same of a split that is planned: the number of each sample's label in order, 0 for none.
/// None without a full window. Costs a look-up a sample and a sort a window.
pub fn planned(
    split: Option<String>,
    labels: impl Iterator<Item = u32>,
    window: usize,
) -> Option<Mixing> {
    let mut count = Count::default();
    for label in labels {
        match label {
            0 => count.unlabelled += 1,
            class => count.add(class, window),
        }
    }
    count.mixing(split, window).ok()
}

/// Fields that hold a label, the one that tells most first: an id, a name, several numbers.
const LABELS: [&str; 3] = ["cls", "cls.txt", "cls.json"];

/// What tells the classes of two samples apart.
#[derive(PartialEq, Eq, Hash)]
enum Class {
    /// A label in the index.
    Label(Vec<u64>, Option<String>),
    /// WebDataset's labels are fields. Their bytes are in the shard, but the index has their crc32c:
    /// of a thousand classes, two are taken for one in about one set of ten thousand.
    Field { bytes: u64, crc32c: u32 },
}

impl Class {
    fn of(record: &IndexRecord<'_>) -> Option<Self> {
        let label = &record.label;
        if !label.is_empty() {
            let values = label.values().map(f64::to_bits).collect();
            return Some(Self::Label(values, label.text().map(str::to_owned)));
        }
        let named = |name| record.fields.clone().find(|field| field.name == name);
        let class = LABELS.into_iter().find_map(named)?;
        Some(Self::Field { bytes: class.len, crc32c: class.crc32c })
    }
}

/// Classes by number.
#[derive(Default)]
struct Classes(HashMap<Class, u32>);

impl Classes {
    fn number(&mut self, class: Class) -> u32 {
        let next = self.0.len() as u32; // as many as samples, of which an index has a u32
        *self.0.entry(class).or_insert(next)
    }
}

#[derive(Default)]
struct Count {
    sizes: HashMap<u32, u64>,
    current: Vec<u32>,
    samples: u64,
    unlabelled: u64,
    windows: u64,
    distinct: u64,
}

impl Count {
    fn add(&mut self, class: u32, window: usize) {
        *self.sizes.entry(class).or_default() += 1;
        self.samples += 1;
        self.current.push(class);
        if self.current.len() >= window.max(1) {
            self.current.sort_unstable();
            self.current.dedup();
            self.distinct += self.current.len() as u64;
            self.windows += 1;
            self.current.clear();
        }
    }

    fn mixing(self, split: Option<String>, window: usize) -> Result<Mixing> {
        let Self { sizes, samples, unlabelled, windows, distinct, .. } = self;
        if window == 0 || windows == 0 {
            let of = split.map_or(String::new(), |split| format!(" of split {split}"));
            return Err(Error::Usage(format!(
                "no full window of {window} in {samples} samples{of} that have a label"
            )));
        }
        let classes = sizes.len() as u64;
        // In one order, so that equal sets have equal sums to the last bit.
        let mut sizes: Vec<u64> = sizes.into_values().collect();
        sizes.sort_unstable();
        let ideal = sizes.into_iter().map(|size| present(size, samples, window as u64)).sum();
        let mean = distinct as f64 / windows as f64;
        let (window, score) = (window as u64, mean / ideal);
        Ok(Mixing { split, samples, unlabelled, classes, window, windows, mean, ideal, score })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(classes: &[u32], window: usize) -> Mixing {
        let mut count = Count::default();
        classes.iter().for_each(|class| count.add(*class, window));
        count.mixing(None, window).expect("a full window")
    }

    #[test]
    fn sorted_classes_mix_badly_and_turns_mix_well() {
        let sorted: Vec<u32> = (0..100).map(|i| i / 10).collect();
        let turns: Vec<u32> = (0..100).map(|i| i % 10).collect();
        let (sorted, turns) = (mix(&sorted, 10), mix(&turns, 10));
        assert_eq!((sorted.mean, turns.mean), (1.0, 10.0));
        assert_eq!((sorted.classes, sorted.windows), (10, 10));
        // Of ten classes of ten, 1 - C(90, 10) / C(100, 10) each: 0.6695.
        assert!((sorted.ideal - 6.695).abs() < 1e-3 && sorted.ideal == turns.ideal);
        assert!(sorted.score < 0.16 && turns.score > 1.4);
    }

    #[test]
    fn the_chance_of_a_class_is_exact() {
        for (size, total, window, want) in [
            (1, 2, 1, 0.5),
            (1, 4, 2, 0.5),
            (2, 4, 2, 1.0 - 1.0 / 6.0),
            (4, 4, 1, 1.0),
            (3, 4, 2, 1.0), // it cannot be missed
            (0, 4, 2, 0.0),
        ] {
            assert!((present(size, total, window) - want).abs() < 1e-12, "{size} {total} {window}");
        }
    }

    #[test]
    fn a_plan_without_a_full_window_has_no_score() {
        let mixing = |labels: &[u32]| planned(None, labels.iter().copied(), 3);
        assert_eq!(mixing(&[1, 0, 2, 0]), None);
        let found = mixing(&[1, 0, 2, 1]).expect("three labels");
        assert_eq!((found.samples, found.unlabelled, found.mean), (3, 1, 2.0));
        assert_eq!(found.score, 1.0);
    }

    #[test]
    fn the_rest_of_a_window_does_not_count() {
        let mixing = mix(&[0, 1, 2, 0, 1], 2);
        assert_eq!((mixing.windows, mixing.samples, mixing.mean), (2, 5, 2.0));
    }
}
