//! What differs between two datasets, by sample.
//!
//! Indexes are read, shards are not: a sample is its key, label and fields, a field its length and
//! crc32c. How samples are spread over shards, in which order and format, is no difference. Tars have
//! labels as fields: beside one, the labels of any other format count as the fields that they would be.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;
use shardpack_formats::{Label, crc32c};
use shardpack_manifest::{Index, IndexField, IndexRecord, SampleHasher};
use xxhash_rust::xxh3::xxh3_128;

use super::Dataset;
use crate::labels::as_fields;
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::{Error, Result};

/// How two datasets are compared.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Differences that are listed at most; all are counted. Default 100.
    pub most: usize,
    /// Indexes that are read at a time. Default: the cores.
    pub jobs: usize,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { most: 100, jobs: super::cores() }
    }
}

/// How two datasets differ. Deleted samples are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiffReport {
    /// Where they are.
    pub a: String,
    /// Where the other is.
    pub b: String,
    /// Samples that are the same in both.
    pub same: u64,
    /// Samples whose key is only in the first.
    pub only_in_a: u64,
    /// Samples whose key is only in the second.
    pub only_in_b: u64,
    /// Samples whose key is in both, with another label or other fields.
    pub changed: u64,
    /// The first of these: in the order in which the first dataset stores them, then those that only
    /// the second has, in its order.
    pub differences: Vec<Difference>,
}

impl DiffReport {
    /// True when both have the same samples.
    pub fn is_same(&self) -> bool {
        self.only_in_a + self.only_in_b + self.changed == 0
    }
}

/// One sample that is not in both, or not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// Only the first dataset has it.
    OnlyInA {
        /// Its key.
        key: String,
    },
    /// Only the second dataset has it.
    OnlyInB {
        /// Its key.
        key: String,
    },
    /// Both have it.
    Changed {
        /// Its key.
        key: String,
        /// Whether its label is another.
        label: bool,
        /// Fields that only the first dataset has.
        fields_only_in_a: Vec<String>,
        /// Fields that only the second dataset has.
        fields_only_in_b: Vec<String>,
        /// Fields of other bytes.
        fields_changed: Vec<String>,
    },
}

/// Compares two datasets that have manifests, by their indexes. Takes 40 bytes a sample of both.
///
/// Fails with [`Error::NotFound`] without a manifest, and with [`Error::Shard`] when an index is
/// damaged.
///
/// ```
/// use shardpack_pack::{Dataset, DiffOptions, PackOptions, Progress, diff, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let (a, b) = (MemoryStore::new(), MemoryStore::new());
/// let (options, progress) = (PackOptions::default(), Progress::default());
/// pack(&MemoryTree::new([("1.txt", "one"), ("2.txt", "two")]), &a, &options, &progress)?;
/// pack(&MemoryTree::new([("1.txt", "one"), ("2.txt", "zwo")]), &b, &options, &progress)?;
/// let (a, b) = (Dataset::open(&a)?, Dataset::open(&b)?);
/// let report = diff(&a, &b, &DiffOptions::default(), &progress)?;
/// assert_eq!((report.same, report.changed, report.is_same()), (1, 1, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diff(
    a: &Dataset<'_>,
    b: &Dataset<'_>,
    options: &DiffOptions,
    progress: &Progress,
) -> Result<DiffReport> {
    progress.enter(Stage::Plan);
    let is_tar = |dataset: &Dataset<'_>| dataset.format() == "webdataset";
    let (spelt_a, spelt_b) = (!is_tar(a) && is_tar(b), is_tar(a) && !is_tar(b));
    let (in_a, in_b) =
        (samples(a, spelt_a, options, progress)?, samples(b, spelt_b, options, progress)?);
    let mut report = DiffReport { a: a.describe(), b: b.describe(), ..DiffReport::default() };
    let mut pairs = Vec::new();
    for pair in Merge::new(&in_a, &in_b) {
        match pair {
            (Some(x), Some(y)) if x.digest == y.digest => {
                report.same += 1;
                continue;
            }
            (Some(_), Some(_)) => report.changed += 1,
            (Some(_), None) => report.only_in_a += 1,
            (None, _) => report.only_in_b += 1,
        }
        pairs.push(pair);
    }
    let place = |sample: Option<&Sample>| sample.map_or((u32::MAX, 0), |s| (s.shard, s.ordinal));
    pairs.sort_unstable_by_key(|(x, y)| (place(*x), place(*y)));
    let (mut of_a, mut of_b) = (Indexes::new(a, spelt_a), Indexes::new(b, spelt_b));
    for (x, y) in pairs.into_iter().take(options.most) {
        report.differences.push(explain(x, y, &mut of_a, &mut of_b)?);
    }
    Ok(report)
}

/// A sample, by what makes it one.
#[derive(Clone, Copy, Debug)]
struct Sample {
    key: u128,
    digest: u128,
    shard: u32,
    ordinal: u32,
}

/// A record as it is compared, its label among its fields if it is to be spelt out.
struct Compared {
    label: Label,
    /// Name, length and crc32c of each field.
    fields: Vec<(String, u64, u32)>,
}

impl Compared {
    fn of(record: &IndexRecord<'_>, spelt: bool) -> Self {
        let field = |field: IndexField<'_>| (field.name.to_owned(), field.len, field.crc32c);
        let mut fields: Vec<_> = record.fields.clone().map(field).collect();
        let mut label = record.label.to_label();
        if spelt {
            let body = |(name, body): &(&'static str, Vec<u8>)| {
                ((*name).to_owned(), body.len() as u64, crc32c(body))
            };
            fields.extend(as_fields(&label).iter().map(body));
            label = Label::default();
        }
        Self { label, fields }
    }

    fn digest(&self, key: &str, hasher: &mut SampleHasher) -> u128 {
        let fields: Vec<_> = (self.fields.iter())
            .map(|(name, len, crc32c)| IndexField {
                name,
                offset: None,
                len: *len,
                crc32c: *crc32c,
            })
            .collect();
        hasher.digest(key, &self.label, &fields).to_u128()
    }
}

/// The live samples of a dataset, in order of their keys' hashes; their labels spelt out or not.
fn samples(
    dataset: &Dataset<'_>,
    spelt: bool,
    options: &DiffOptions,
    progress: &Progress,
) -> Result<Vec<Sample>> {
    let Some(manifest) = dataset.manifest() else {
        return Err(Error::NotFound(format!("there is no manifest in {}", dataset.describe())));
    };
    let shards = each(manifest.shards.len(), options.jobs, progress, |number| {
        let mut samples = Vec::new();
        let Some(index) = shardpack_dataset::index(dataset, number)? else { return Ok(samples) };
        let mut hasher = SampleHasher::default();
        for (ordinal, record) in (0..).zip(index.iter()) {
            if !dataset.is_deleted(number, ordinal.into(), record.key) {
                let digest = match spelt {
                    true => Compared::of(&record, true).digest(record.key, &mut hasher),
                    false => hasher.digest_record(&record).to_u128(),
                };
                let key = xxh3_128(record.key.as_bytes());
                samples.push(Sample { key, digest, shard: number as u32, ordinal });
            }
        }
        Ok(samples)
    })?;
    let mut samples = shards.concat();
    samples.par_sort_unstable_by_key(|sample| (sample.key, sample.digest));
    Ok(samples)
}

/// Pairs of samples with the same key. Where a key is there several times, equal ones come first.
struct Merge<'s> {
    a: &'s [Sample],
    b: &'s [Sample],
}

impl<'s> Merge<'s> {
    fn new(a: &'s [Sample], b: &'s [Sample]) -> Self {
        Self { a, b }
    }
}

impl<'s> Iterator for Merge<'s> {
    type Item = (Option<&'s Sample>, Option<&'s Sample>);

    fn next(&mut self) -> Option<Self::Item> {
        let (first_a, first_b) = (self.a.first(), self.b.first());
        let pair = match (first_a, first_b) {
            (None, None) => return None,
            (Some(x), Some(y)) if x.key < y.key => (Some(x), None),
            (Some(x), Some(y)) if x.key > y.key => (None, Some(y)),
            pair => pair,
        };
        self.a = &self.a[usize::from(pair.0.is_some())..];
        self.b = &self.b[usize::from(pair.1.is_some())..];
        Some(pair)
    }
}

/// Indexes that were used last.
struct Indexes<'d> {
    dataset: &'d Dataset<'d>,
    /// Whether labels are spelt out.
    spelt: bool,
    open: HashMap<u32, Index<'static>>,
}

/// Indexes that are kept: some 100 KB each.
const OPEN: usize = 64;

impl<'d> Indexes<'d> {
    fn new(dataset: &'d Dataset<'d>, spelt: bool) -> Self {
        Self { dataset, spelt, open: HashMap::new() }
    }

    fn get(&mut self, shard: u32) -> Result<&Index<'static>> {
        if !self.open.contains_key(&shard) {
            if self.open.len() >= OPEN {
                self.open.clear();
            }
            if let Some(index) = shardpack_dataset::index(self.dataset, shard as usize)? {
                self.open.insert(shard, index);
            }
        }
        let gone = || Error::Shard {
            shard: self.dataset.describe(),
            reason: format!("the index of shard {shard} is gone; run again"),
        };
        self.open.get(&shard).ok_or_else(gone)
    }

    fn compared(&mut self, sample: &Sample) -> Result<Option<Compared>> {
        let spelt = self.spelt;
        let record = self.get(sample.shard)?.get(sample.ordinal as usize);
        Ok(record.map(|record| Compared::of(&record, spelt)))
    }

    fn key(&mut self, sample: &Sample) -> Result<String> {
        let record = self.get(sample.shard)?.get(sample.ordinal as usize);
        Ok(record.map(|record| record.key.to_owned()).unwrap_or_default())
    }
}

fn explain(
    x: Option<&Sample>,
    y: Option<&Sample>,
    of_a: &mut Indexes<'_>,
    of_b: &mut Indexes<'_>,
) -> Result<Difference> {
    let (x, y) = match (x, y) {
        (Some(x), Some(y)) => (x, y),
        (Some(x), None) => return Ok(Difference::OnlyInA { key: of_a.key(x)? }),
        (None, Some(y)) => return Ok(Difference::OnlyInB { key: of_b.key(y)? }),
        (None, None) => return Err(Error::Usage("no sample differs from none".into())),
    };
    let key = of_a.key(x)?;
    let (Some(a), Some(b)) = (of_a.compared(x)?, of_b.compared(y)?) else {
        return Ok(Difference::OnlyInA { key });
    };
    let (mut only_in_a, mut changed) = (Vec::new(), Vec::new());
    for field in &a.fields {
        match b.fields.iter().find(|other| other.0 == field.0) {
            None => only_in_a.push(field.0.clone()),
            Some(other) if other != field => changed.push(field.0.clone()),
            Some(_) => {}
        }
    }
    let new = |field: &&(String, u64, u32)| a.fields.iter().all(|other| other.0 != field.0);
    let only_in_b = b.fields.iter().filter(new).map(|field| field.0.clone());
    Ok(Difference::Changed {
        key,
        label: a.label != b.label,
        fields_only_in_a: only_in_a,
        fields_only_in_b: only_in_b.collect(),
        fields_changed: changed,
    })
}
