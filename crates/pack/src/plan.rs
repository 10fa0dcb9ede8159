//! The plan: which samples go to which shard, in which order. Pure; needs names and sizes only.
//!
//! Everything is decided here, so that the parallel part decides nothing and the same input and
//! options give the same bytes on any machine.

use rayon::prelude::*;
use shardpack_formats::{FieldShape, Format, Label, SampleShape};
use xxhash_rust::xxh3::Xxh3;

use crate::group::{SampleId, Samples};
use crate::labels::as_fields;
use crate::measure::{REFUSED, measure};
use crate::options::{PackOptions, Policy};
use crate::{Error, Result};

/// Seed of the hash that assigns samples to splits. Fixed for ever: a new one would move samples
/// between the training and the validation part of datasets that grow.
const SPLIT_SEED: u64 = 0x5350_4c49_5431;

/// Name of the only part when a run has no `--split`.
pub(crate) const WHOLE: &str = "data";

/// What is packed where.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Samples in dataset order: shard after shard, split after split.
    pub(crate) order: Vec<SampleId>,
    /// Encoded length of each sample's record, in the same order.
    pub(crate) lens: Vec<u64>,
    /// Shards in dataset order.
    pub(crate) shards: Vec<ShardPlan>,
    /// Bytes of all bodies that come from files.
    pub(crate) body_bytes: u64,
    /// Samples by combination of fields, commonest first: what is not in the first row is an
    /// orphan or a fragment.
    pub(crate) field_sets: Vec<(String, u64)>,
    /// Identifies what is packed (keys, fields, lengths, labels, order, shards), not when or where:
    /// the same on any machine.
    pub(crate) fingerprint: u128,
    /// Identifies the versions of the files: differs when one was written since.
    pub(crate) stamps: u128,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardPlan {
    /// Path in the dataset: `shards/train/train-00000-of-00010.tar`.
    pub(crate) path: String,
    /// Name of its split; [`WHOLE`] without splits.
    pub(crate) split: String,
    /// Its samples, as a range of [`Plan::order`].
    pub(crate) start: usize,
    /// End of that range.
    pub(crate) end: usize,
    /// Length before compression, without splits of records that are only known on reading.
    pub(crate) bytes: u64,
}

/// Shape of a sample, built in reused buffers.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    pub(crate) key: String,
    names: Vec<String>,
    lens: Vec<u64>,
    /// Where each field's bytes come from.
    pub(crate) bodies: Vec<Body>,
    inline: Vec<(&'static str, Vec<u8>)>,
    /// Empty between calls: kept for its memory.
    shapes: Vec<FieldShape<'static>>,
}

/// Where the bytes of a field come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A file of the listing.
    File(u32),
    /// A label that became a field, by number.
    Inline(usize),
}

impl Shaper {
    /// Calls `use_shape` with the shape of `sample`; `number` is its place in the dataset.
    pub(crate) fn with<T>(
        &mut self,
        samples: &Samples<'_>,
        sample: SampleId,
        number: u64,
        labels_are_fields: bool,
        use_shape: impl FnOnce(&SampleShape<'_>, &[Body], &[(&'static str, Vec<u8>)]) -> T,
    ) -> T {
        samples.key(sample, &mut self.key);
        let files = samples.members(sample);
        let label = samples.label(sample);
        self.inline.clear();
        if labels_are_fields && !label.is_empty() {
            self.inline = as_fields(label);
        }
        self.fill(samples, files);
        let mut shapes: Vec<FieldShape<'_>> = std::mem::take(&mut self.shapes);
        let fields = self.names.iter().zip(&self.lens);
        shapes.extend(fields.map(|(name, &len)| FieldShape { name, len }));
        let shape = SampleShape {
            key: &self.key,
            id: samples.ids.get(sample as usize).copied().unwrap_or(number),
            fields: &shapes,
            label: if labels_are_fields { Label::NONE } else { label },
            splits: &[],
        };
        let used = use_shape(&shape, &self.bodies, &self.inline);
        shapes.clear();
        // Of nothing, but in the same memory: collecting a vector's own iterator keeps it.
        self.shapes = shapes.into_iter().map(|_| FieldShape { name: "", len: 0 }).collect();
        used
    }

    fn fill(&mut self, samples: &Samples<'_>, files: &[u32]) {
        self.bodies.clear();
        self.lens.clear();
        let mut push = |names: &mut Vec<String>, name: &str, len: u64, body: Body| {
            match names.get_mut(self.bodies.len()) {
                Some(slot) => {
                    slot.clear();
                    slot.push_str(name);
                }
                None => names.push(name.to_string()),
            }
            self.lens.push(len);
            self.bodies.push(body);
        };
        for &file in files {
            let len = samples.listing().file(file).len;
            push(&mut self.names, &samples.field(file), len, Body::File(file));
        }
        for (i, (name, bytes)) in self.inline.iter().enumerate() {
            push(&mut self.names, name, bytes.len() as u64, Body::Inline(i));
        }
        if !self.inline.is_empty() {
            let mut all: Vec<_> = (0..self.bodies.len())
                .map(|i| (std::mem::take(&mut self.names[i]), self.lens[i], self.bodies[i]))
                .collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            for (i, (name, len, body)) in all.into_iter().enumerate() {
                self.names[i] = name;
                self.lens[i] = len;
                self.bodies[i] = body;
            }
        }
    }
}

/// Plans a dataset. Names that `format` refuses are dropped from `samples` when the policy says so.
pub(crate) fn plan(
    samples: &mut Samples<'_>,
    format: &dyn Format,
    options: &PackOptions,
) -> Result<Plan> {
    let mut measured = measure(samples, format, options);
    let refused = std::mem::take(&mut measured.names);
    if options.bad_names == Policy::Skip && refused.count() > 0 {
        samples.skipped.push(("samples with bad names (--bad-names skip)".into(), refused.count()));
        let lens = &measured.lens;
        samples.retain(|i| lens[i] != REFUSED);
        let mut kept = lens.iter().map(|len| *len != REFUSED);
        measured.hashes.retain(|_| kept.next().unwrap_or(true));
        measured.lens.retain(|len| *len != REFUSED);
        if samples.len() == 0 {
            return Err(Error::EmptySource { what: "the source: every name was refused".into() });
        }
    } else {
        let way_out = match samples.catalog {
            None => "rename the files or leave them out with --exclude or --bad-names skip",
            Some(catalog) if catalog.over.is_some() => {
                "give fields another name with --column NAME=FIELD, or choose --format tfrecord"
            }
            Some(_) => {
                "rename fields with --rename, or leave these samples out with --bad-names skip"
            }
        };
        refused
            .refuse(format!("{} readers would misread these names; {way_out}", format.name()))?;
    }
    let way_out = match samples.catalog {
        None => "",
        Some(catalog) if catalog.over.is_some() => {
            "; add one field with --column or --as json=FIELD, or choose --format tfrecord"
        }
        Some(_) => {
            "; choose fields with --fields or --drop-field, names with --rename, or leave labels behind with --drop-labels"
        }
    };
    std::mem::take(&mut measured.others)
        .refuse(format!("{} cannot hold these samples{way_out}", format.name()))?;

    let hashes = std::mem::take(&mut measured.hashes);
    let mut plan = Plan {
        order: Vec::with_capacity(samples.len()),
        lens: Vec::new(),
        shards: Vec::new(),
        body_bytes: measured.body_bytes,
        field_sets: std::mem::take(&mut measured.field_sets),
        stamps: measured.stamps,
        fingerprint: 0,
    };
    match samples.catalog.and_then(|catalog| catalog.over.as_ref()) {
        Some(over) => {
            plan.order.extend(0..samples.len() as SampleId);
            plan.shards = over.shards(&measured.lens, format, options)?;
        }
        None => plan.fill(samples, &measured.lens, hashes, format, options)?,
    }
    plan.lens = plan.order.iter().map(|s| measured.lens[*s as usize]).collect();
    plan.fingerprint = plan.identify(measured.shapes);
    Ok(plan)
}

/// The samples of each split, in order.
fn split(
    samples: &Samples<'_>,
    options: &PackOptions,
    ordered: Vec<SampleId>,
) -> Result<Vec<(String, Vec<SampleId>)>> {
    if options.splits.is_empty() {
        return Ok(vec![(WHOLE.into(), ordered)]);
    }
    let part_of: Vec<u16> = ordered
        .par_iter()
        .map_init(String::new, |key, &sample| {
            samples.key(sample, key);
            split_of(key, options) as u16
        })
        .collect();
    let mut parts: Vec<(String, Vec<SampleId>)> =
        options.splits.iter().map(|s| (s.name.clone(), Vec::new())).collect();
    for (sample, part) in ordered.into_iter().zip(part_of) {
        parts[part as usize].1.push(sample);
    }
    if options.existing.is_some() {
        parts.retain(|(_, part)| !part.is_empty());
    }
    match parts.iter().find(|(_, part)| part.is_empty()) {
        Some((name, _)) => Err(Error::Usage(format!(
            "--split: {name} gets no sample out of {}; give it a larger share",
            samples.len()
        ))),
        None => Ok(parts),
    }
}

/// The split of a key depends on the key and the shares alone, not on its neighbours.
fn split_of(key: &str, options: &PackOptions) -> usize {
    let point = crate::hash(key, SPLIT_SEED) as f64 / 2f64.powi(64);
    let mut sum = 0.0;
    for (i, split) in options.splits.iter().enumerate() {
        sum += split.fraction;
        if point < sum {
            return i;
        }
    }
    options.splits.len() - 1
}

/// Ends of shards over records of the given lengths: as few shards as the target allows (rounded
/// up to the multiple), then as even as whole records allow, so that there is no runt at the end.
/// A record over the target is alone in its shard.
fn cut(
    lens: impl Iterator<Item = u64>,
    overhead: u64,
    options: &PackOptions,
) -> std::result::Result<Vec<usize>, String> {
    let mut sums = vec![0u64];
    for len in lens {
        sums.push(sums[sums.len() - 1] + len);
    }
    let samples = sums.len() - 1;
    let room = options.target.saturating_sub(overhead);
    let most = options.max_samples.map_or(usize::MAX, |m| m as usize);
    let fewest = fill(&sums, room, most).len();
    let mut shards = fewest.next_multiple_of(options.shard_multiple as usize);
    if options.existing.is_some() {
        shards = shards.min(samples); // a few samples more are no reason to refuse them
    }
    if shards > samples {
        return Err(format!(
            "{samples} samples do not fill {shards} shards; lower --shard-multiple"
        ));
    }
    // Never above the room, even where single records are: beyond it more room may take more shards.
    let (mut low, mut high) = ((sums[samples] / shards as u64).min(room), room);
    while low < high {
        let middle = low + (high - low) / 2;
        if fill(&sums, middle, most).len() <= shards { high = middle } else { low = middle + 1 }
    }
    let mut ends = fill(&sums, low, most);
    while ends.len() < shards {
        halve_longest(&sums, &mut ends);
    }
    Ok(ends)
}

/// Fills shards one after another up to `room` bytes and `most` records. `sums` are running totals.
fn fill(sums: &[u64], room: u64, most: usize) -> Vec<usize> {
    let samples = sums.len() - 1;
    let mut ends = Vec::new();
    let mut start = 0;
    while start < samples {
        let limit = sums[start].saturating_add(room);
        let fitting = sums[start + 1..].partition_point(|sum| *sum <= limit);
        start += fitting.max(1).min(most);
        ends.push(start);
    }
    ends
}

/// Splits the longest shard of more than one record: only needed when records are so uneven that
/// an even share gives fewer shards than asked for.
fn halve_longest(sums: &[u64], ends: &mut Vec<usize>) {
    let start = |i: usize| if i == 0 { 0 } else { ends[i - 1] };
    let longest = (0..ends.len())
        .filter(|i| ends[*i] - start(*i) > 1)
        .max_by_key(|i| (sums[ends[*i]] - sums[start(*i)], std::cmp::Reverse(*i)));
    if let Some(i) = longest {
        let (from, to) = (start(i), ends[i]);
        let middle = sums[from] + (sums[to] - sums[from]) / 2;
        let at = from + sums[from + 1..to].partition_point(|sum| *sum <= middle);
        ends.insert(i, at.clamp(from + 1, to - 1));
    }
}

fn shard_path(
    options: &PackOptions,
    format: &dyn Format,
    split: &str,
    shard: usize,
    shards: usize,
) -> String {
    let ext = match options.compression.extension() {
        None => format.extension().to_string(),
        Some(compressed) => format!("{}.{compressed}", format.extension()),
    };
    let name = options.name.render(split, shard, shards, &ext);
    match options.splits.is_empty() {
        true => format!("shards/{name}"),
        false => format!("shards/{split}/{name}"),
    }
}

impl Plan {
    /// Puts samples into shards, in the order and of the size that the options say.
    fn fill(
        &mut self,
        samples: &Samples<'_>,
        lens: &[u64],
        hashes: Vec<u64>,
        format: &dyn Format,
        options: &PackOptions,
    ) -> Result<()> {
        let ordered = samples.ordered(options.order, hashes);
        let overhead = format.trailer().len() as u64;
        let before = options.existing.as_ref().map_or(0, |existing| existing.shards as usize);
        for (name, part) in split(samples, options, ordered)? {
            let ends = cut(part.iter().map(|s| lens[*s as usize]), overhead, options)
                .map_err(|why| Error::Usage(format!("split {name}: {why}")))?;
            let mut start = 0;
            let shards = ends.len();
            for (i, end) in ends.into_iter().enumerate() {
                let bytes: u64 = part[start..end].iter().map(|s| lens[*s as usize]).sum();
                self.shards.push(ShardPlan {
                    path: shard_path(options, format, &name, before + i, before + shards),
                    split: name.clone(),
                    start: self.order.len() + start,
                    end: self.order.len() + end,
                    bytes: bytes + overhead,
                });
                start = end;
            }
            self.order.extend(part);
        }
        Ok(())
    }

    /// Hash of the samples (as `shapes` identifies them), their order and their shards.
    fn identify(&self, shapes: u128) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&shapes.to_le_bytes());
        for shard in &self.shards {
            hash.update(shard.path.as_bytes());
            hash.update(&(shard.end as u64).to_le_bytes());
        }
        let mut bytes = [[0; 4]; 1 << 10];
        for chunk in self.order.chunks(bytes.len()) {
            for (bytes, sample) in bytes.iter_mut().zip(chunk) {
                *bytes = sample.to_le_bytes();
            }
            hash.update(bytes[..chunk.len()].as_flattened());
        }
        hash.digest128()
    }

    /// Bytes of memory that the plan holds.
    pub(crate) fn memory(&self) -> usize {
        self.order.capacity() * size_of::<SampleId>() + self.lens.capacity() * size_of::<u64>()
    }

    /// Bytes of all shards, before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(|s| s.bytes).sum()
    }
}

#[cfg(test)]
mod tests;
