//! A dataset in figures.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use serde::Serialize;
use shardpack_formats::{Compression, Label, Schema};
use shardpack_manifest::{Base, Digest, Manifest, SampleHasher, Version};

use super::check::read_failed;
use super::ls::{View, samples};
use super::scan::Next;
use super::{Dataset, DatasetShard};
use crate::progress::Progress;
use crate::{Error, Result};
use shardpack_dataset::ShardReader;

/// What is in a dataset.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct InfoReport {
    /// Where it is.
    pub dataset: String,
    /// True when there is a manifest.
    pub has_manifest: bool,
    /// Program and version that wrote it, where a manifest says so.
    pub tool: Option<String>,
    /// Name of the record format.
    pub format: String,
    /// TFRecord's schema: `fields`, `image` or `raw`.
    pub schema: Option<String>,
    /// Name of the compression; `mixed` where foreign shards differ.
    pub compression: String,
    /// Order of the samples: `shuffle:SEED`, `key` or `source`; none without a manifest.
    pub order: Option<String>,
    /// Digest of all samples.
    pub digest: String,
    /// Digest of those that are live, which readers are pinned to; none where deleted samples were
    /// marked by a release that did not note it.
    pub live_digest: Option<String>,
    /// The versions of the dataset, the first one first; empty when it was never changed.
    pub versions: Vec<Version>,
    /// What it lies over, where it is an overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Base>,
    /// Samples.
    pub samples: u64,
    /// Samples that the manifest says are to be skipped; they are in all other figures.
    pub deleted: u64,
    /// Samples that are not: those that readers see.
    pub live: u64,
    /// Files: fields of all samples.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// The shards' sizes.
    pub shards: ShardSizes,
    /// By field, sorted by name.
    pub fields: Vec<FieldInfo>,
    /// The splits, in dataset order.
    pub splits: Vec<SplitInfo>,
    /// Samples by label, commonest first; at most 1,000.
    pub classes: Vec<ClassCount>,
    /// Number of distinct labels.
    pub distinct_classes: u64,
    /// Samples without a label.
    pub unlabelled: u64,
    /// Samples by the sum of their fields' bytes; only buckets that have samples between the
    /// smallest and the largest, empty ones in between included.
    pub sizes: Vec<SizeBucket>,
    /// The options that decided the bytes.
    pub options: BTreeMap<String, String>,
}

/// Sizes of shards in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ShardSizes {
    /// Number of shards.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Bytes before compression.
    pub stream_bytes: u64,
    /// Smallest.
    pub min: u64,
    /// Mean.
    pub mean: u64,
    /// Largest.
    pub max: u64,
}

/// One field's name in all samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Name.
    pub name: String,
    /// How many samples have it.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SplitInfo {
    /// Name.
    pub name: String,
    /// Shards.
    pub shards: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes of its shards.
    pub shard_bytes: u64,
}

/// Samples of one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClassCount {
    /// The class's name, else its numbers.
    pub class: String,
    /// Samples.
    pub samples: u64,
}

/// Samples of at least `from` and below `to` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SizeBucket {
    /// Least bytes: 0 or a power of two.
    pub from: u64,
    /// First size that is too large for the bucket.
    pub to: u64,
    /// Samples.
    pub samples: u64,
}

/// Counts what is in a dataset: from manifest and indexes where there are, else by decoding.
/// `memory` is for buffers, in bytes.
///
/// Where labels are fields (`cls.txt`, `cls`), equal bytes count as one class; with an index only
/// one body of each class is read.
pub fn info(dataset: &Dataset<'_>, memory: u64, progress: &Progress) -> Result<InfoReport> {
    let mut report = head(dataset);
    let (mut fields, mut sizes, mut digest) = (BTreeMap::new(), [0; BUCKETS], Digest::default());
    let (mut classes, mut hasher) = (Classes::default(), SampleHasher::default());
    for number in 0..dataset.shards().len() {
        samples(dataset, number, memory, progress, &mut |view| {
            let entry = &view.entry;
            if progress.stopped() {
                return Err(Error::Stopped { done: number, shards: dataset.shards().len() });
            }
            report.samples += 1;
            report.files += entry.fields.len() as u64;
            let bytes = entry.fields.iter().map(|f| f.bytes).sum::<u64>();
            report.file_bytes += bytes;
            sizes[bucket(bytes)] += 1;
            for field in entry.fields {
                if !fields.contains_key(field.name) {
                    fields.insert(field.name.to_owned(), (0, 0));
                }
                if let Some((files, sum)) = fields.get_mut(field.name) {
                    *files += 1;
                    *sum += field.bytes;
                }
            }
            classes.add(number, view);
            if dataset.manifest().is_none() {
                let all: Vec<_> = entry.fields.iter().map(|f| f.to_index()).collect();
                digest += hasher.digest(entry.key, &view.label, &all);
            }
            Ok(Next::Record)
        })?;
    }
    report.live = report.samples.saturating_sub(report.deleted);
    report.digest = dataset.manifest().map_or(digest, |m| m.digest).to_string();
    let row = |(name, (files, bytes))| FieldInfo { name, files, bytes };
    report.fields = fields.into_iter().map(row).collect();
    report.sizes = buckets(&sizes);
    classes.count(dataset, &mut report)?;
    Ok(report)
}

/// What manifest and shards say without looking at a sample.
fn head(dataset: &Dataset<'_>) -> InfoReport {
    let manifest = dataset.manifest();
    let schema = match dataset.format_options().schema {
        Schema::Fields => "fields",
        Schema::Image => "image",
        Schema::Raw => "raw",
    };
    let split = |split: &shardpack_manifest::Split| SplitInfo {
        name: split.name.clone(),
        shards: split.shards,
        samples: split.totals.samples,
        shard_bytes: split.totals.shard_bytes,
    };
    InfoReport {
        dataset: dataset.describe(),
        has_manifest: manifest.is_some(),
        tool: manifest.map(|m| format!("{} {}", m.tool.name, m.tool.version)),
        format: dataset.format().into(),
        schema: (dataset.format() == "tfrecord").then(|| schema.to_owned()),
        compression: compression(dataset),
        order: manifest.map(|m| m.order.to_string()),
        live_digest: manifest.and_then(Manifest::live_digest).map(|digest| digest.to_string()),
        versions: manifest.map(|m| m.history.clone()).unwrap_or_default(),
        over: manifest.and_then(|m| m.base.clone()),
        deleted: manifest.map_or(0, |m| m.tombstones.len() as u64),
        shards: shard_sizes(dataset),
        splits: manifest.iter().flat_map(|m| &m.splits).map(split).collect(),
        options: manifest.map(|m| m.options.clone()).unwrap_or_default(),
        ..InfoReport::default()
    }
}

fn shard_sizes(dataset: &Dataset<'_>) -> ShardSizes {
    let sizes = || dataset.shards().iter().map(|s| s.bytes);
    let (count, bytes) = (dataset.shards().len() as u64, sizes().sum::<u64>());
    let stream = dataset.manifest().map(|m| m.shards.iter().map(|s| s.stream_bytes).sum());
    ShardSizes {
        count,
        bytes,
        stream_bytes: stream.unwrap_or(bytes),
        min: sizes().min().unwrap_or(0),
        mean: bytes.checked_div(count).unwrap_or(0),
        max: sizes().max().unwrap_or(0),
    }
}

/// Name of the compression of all shards.
pub(super) fn compression(dataset: &Dataset<'_>) -> String {
    let mut kinds = dataset.shards().iter().map(|s| s.compression.name());
    let first = kinds.next().unwrap_or("none");
    if kinds.all(|kind| kind == first) { first.into() } else { "mixed".into() }
}

/// 0, then one for each power of two.
const BUCKETS: usize = 65;

fn bucket(bytes: u64) -> usize {
    (u64::BITS - bytes.leading_zeros()) as usize
}

fn buckets(counts: &[u64; BUCKETS]) -> Vec<SizeBucket> {
    let first = counts.iter().position(|c| *c > 0).unwrap_or(BUCKETS);
    let last = counts.iter().rposition(|c| *c > 0).unwrap_or(0);
    let power = |i: usize| 1u64.checked_shl(i as u32).unwrap_or(u64::MAX);
    (first..=last)
        .map(|i| SizeBucket {
            from: if i == 0 { 0 } else { power(i - 1) },
            to: power(i),
            samples: counts[i],
        })
        .collect()
}

/// Samples by label: told by the index, or by the length and checksum of a label's field.
#[derive(Default)]
struct Classes {
    named: HashMap<String, u64>,
    /// By length and crc32c of the field: count, and what it says or where.
    bodies: HashMap<(u64, u32), (u64, Class)>,
    none: u64,
}

/// What a label's field says.
enum Class {
    Text(String),
    /// Not read yet: shard, offset and length.
    At(usize, u64, u64),
}

/// Fields that hold a class, the one that people read first.
const CLASS_FIELDS: [&str; 2] = ["cls.txt", "cls"];
/// Classes that a report lists.
const MOST_CLASSES: usize = 1000;
/// A longer field is no class.
const LONGEST_CLASS: u64 = 4096;

impl Classes {
    fn add(&mut self, shard: usize, view: &View<'_>) {
        if !view.label.is_empty() {
            *self.named.entry(text(&view.label)).or_default() += 1;
            return;
        }
        let fields = view.entry.fields;
        let class = CLASS_FIELDS.iter().find_map(|name| fields.iter().find(|f| f.name == *name));
        let Some(field) = class.filter(|field| field.bytes <= LONGEST_CLASS) else {
            self.none += 1;
            return;
        };
        let class = self.bodies.entry((field.bytes, field.crc32c)).or_insert_with(|| {
            // Without an index the body is here; with one it is read later.
            let body = view.sample.and_then(|sample| sample.field(field.name));
            let class = match (body, field.offset) {
                (Some(body), _) => Class::Text(String::from_utf8_lossy(body).into_owned()),
                (None, Some(offset)) => Class::At(shard, offset, field.bytes),
                (None, None) => Class::Text(format!("crc32c {:08x}", field.crc32c)),
            };
            (0, class)
        });
        class.0 += 1;
    }

    fn count(self, dataset: &Dataset<'_>, report: &mut InfoReport) -> Result<()> {
        report.unlabelled = self.none;
        report.distinct_classes = (self.named.len() + self.bodies.len()) as u64;
        let named = self.named.into_iter().map(|(name, count)| (count, Class::Text(name)));
        let mut all: Vec<_> = named.chain(self.bodies.into_values()).collect();
        all.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        all.truncate(MOST_CLASSES);
        read_texts(dataset, &mut all)?;
        let row = |(samples, class)| match class {
            Class::Text(class) => ClassCount { class, samples },
            Class::At(..) => ClassCount { class: String::new(), samples },
        };
        report.classes = all.into_iter().map(row).collect();
        report.classes.sort_by(|a, b| b.samples.cmp(&a.samples).then(a.class.cmp(&b.class)));
        Ok(())
    }
}

/// Reads the bodies of classes, in the order in which they lie: a compressed shard has to be read
/// up to its last one, but only once.
fn read_texts(dataset: &Dataset<'_>, classes: &mut [(u64, Class)]) -> Result<()> {
    let mut places: Vec<_> = classes
        .iter_mut()
        .filter_map(|(_, class)| match *class {
            Class::At(shard, offset, len) => Some((shard, offset, len, class)),
            Class::Text(_) => None,
        })
        .collect();
    places.sort_by_key(|(shard, offset, ..)| (*shard, *offset));
    for group in places.chunk_by_mut(|a, b| a.0 == b.0) {
        let DatasetShard { path, compression, .. } = &dataset.shards()[group[0].0];
        let object = dataset.store().open(path)?;
        let failed = |error| read_failed(Some(error), path);
        let reader = Box::new(ShardReader::new(&*object, 64 << 10));
        let mut stream = compression.reader(reader).map_err(failed)?;
        let mut at = 0;
        for (_, offset, len, class) in group {
            let mut body = vec![0; *len as usize]; // at most LONGEST_CLASS
            if *compression == Compression::None {
                object.read_at(*offset, &mut body)?;
            } else {
                io::copy(&mut stream.by_ref().take(*offset - at), &mut io::sink())
                    .and_then(|_| stream.read_exact(&mut body))
                    .map_err(failed)?;
                at = *offset + *len;
            }
            **class = Class::Text(String::from_utf8_lossy(&body).into_owned());
        }
    }
    Ok(())
}

/// The class's name, else its numbers.
fn text(label: &Label) -> String {
    let numbers = || label.values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    label.text.clone().unwrap_or_else(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        for (bytes, want) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (u64::MAX, 64)] {
            assert_eq!(bucket(bytes), want, "{bytes}");
        }
        let mut counts = [0; BUCKETS];
        (counts[2], counts[4]) = (5, 1);
        let rows: Vec<_> = buckets(&counts).iter().map(|b| (b.from, b.to, b.samples)).collect();
        assert_eq!(rows, [(2, 4, 5), (4, 8, 0), (8, 16, 1)]);
        assert!(buckets(&[0; BUCKETS]).is_empty());
    }
}
