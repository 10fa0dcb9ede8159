//! One pass over all samples, before anything is decided: how long each record gets, what the format
//! refuses, and what identifies the files. One pass, in the listing's order, because a million
//! samples visited in shuffled order cost a cache miss each.

use std::collections::HashMap;

use rayon::prelude::*;
use shardpack_formats::{ErrorKind, Format, SampleShape};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::Offenders;
use crate::foreign;
use crate::group::{SampleId, Samples};
use crate::options::{Order, PackOptions};
use crate::plan::Shaper;

/// What the pass found.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Encoded length of each sample's record, or [`REFUSED`].
    pub(crate) lens: Vec<u64>,
    /// Hash of each sample's key, for a shuffle; else 0.
    pub(crate) hashes: Vec<u64>,
    /// Samples whose name the format refuses.
    pub(crate) names: Offenders,
    /// Samples that the format refuses for another reason.
    pub(crate) others: Offenders,
    /// Bytes of all bodies.
    pub(crate) body_bytes: u64,
    /// Samples by combination of fields, commonest first.
    pub(crate) field_sets: Vec<(String, u64)>,
    /// Hash of keys, fields, lengths and labels.
    pub(crate) shapes: u128,
    /// Hash of the versions of the files.
    pub(crate) stamps: u128,
}

/// Stands for the length of a refused sample: no record is that long.
pub(crate) const REFUSED: u64 = u64::MAX;

/// Samples measured by one task: large enough to forget the cost of a task.
const CHUNK: usize = 4096;

/// Measures every sample. The result does not depend on the number of threads.
pub(crate) fn measure(
    samples: &Samples<'_>,
    format: &dyn Format,
    options: &PackOptions,
) -> Measured {
    // Lengths and hashes go to their place at once: kept by chunk, what they took stayed with the
    // threads that measured.
    let (mut lens, mut hashes) = (vec![0; samples.len()], vec![0; samples.len()]);
    let chunks: Vec<Chunk> = lens
        .par_chunks_mut(CHUNK)
        .zip(hashes.par_chunks_mut(CHUNK))
        .enumerate()
        .map_init(Scratch::default, |scratch, (chunk, (lens, hashes))| {
            let first = (chunk * CHUNK) as SampleId;
            Chunk::measure(samples, format, options, scratch, first, lens, hashes)
        })
        .collect();
    let mut all = Measured { lens, hashes, ..Measured::default() };
    let mut sets = HashMap::<String, u64>::new();
    let (mut shapes, mut stamps) = (Vec::new(), Vec::new());
    for chunk in chunks {
        all.names.merge(chunk.names);
        all.others.merge(chunk.others);
        all.body_bytes += chunk.body_bytes;
        shapes.extend(chunk.shapes.to_le_bytes());
        stamps.extend(chunk.stamps.to_le_bytes());
        for (set, count) in chunk.sets {
            *sets.entry(set).or_default() += count;
        }
    }
    all.field_sets = sets.into_iter().collect();
    all.field_sets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    (all.shapes, all.stamps) = (xxh3_128(&shapes), xxh3_128(&stamps));
    all
}

/// Buffers of one thread. Each chunk having its own left holes in the heap: 50 MB over a million
/// samples.
#[derive(Default)]
struct Scratch {
    shaper: Shaper,
    shapes: Vec<u8>,
    stamps: Vec<u8>,
}

#[derive(Default)]
struct Chunk {
    names: Offenders,
    others: Offenders,
    body_bytes: u64,
    sets: HashMap<String, u64>,
    shapes: u128,
    stamps: u128,
}

impl Chunk {
    fn measure(
        samples: &Samples<'_>,
        format: &dyn Format,
        options: &PackOptions,
        scratch: &mut Scratch,
        first: SampleId,
        lens: &mut [u64],
        hashes: &mut [u64],
    ) -> Self {
        let labels_are_fields = crate::labels_are_fields(format);
        let Scratch { shaper, shapes, stamps } = scratch;
        shapes.clear();
        stamps.clear();
        let mut chunk = Self::default();
        let mut set = Set::default();
        for (sample, (len, hash)) in (first..).zip(lens.iter_mut().zip(hashes)) {
            for &file in samples.members(sample) {
                let file = samples.listing().file(file);
                chunk.body_bytes += file.len;
                stamps.extend(file.stamp.to_le_bytes());
            }
            *len = shaper.with(samples, sample, 0, labels_are_fields, |shape, _, inline| {
                identify(shape, inline, shapes);
                set.add(shape, &mut chunk.sets);
                if let Order::Shuffle(seed) = options.order {
                    *hash = crate::hash(shape.key, seed);
                }
                match format.check(shape) {
                    Ok(()) => {
                        if let Some(why) = foreign::complaint(shape, options) {
                            chunk.others.add(|| format!("{}: {why}", shape.key));
                        }
                        format.encoded_len(shape)
                    }
                    Err(error) => {
                        let offenders = match error.kind() {
                            ErrorKind::Name { .. } => &mut chunk.names,
                            _ => &mut chunk.others,
                        };
                        offenders.add(|| format!("{}: {error}", shape.key));
                        REFUSED
                    }
                }
            });
        }
        set.flush(&mut chunk.sets);
        (chunk.shapes, chunk.stamps) = (xxh3_128(shapes), xxh3_128(stamps));
        chunk
    }
}

/// Appends what identifies a sample. Every text ends in a byte that is no UTF-8, so two different
/// samples never give the same bytes.
fn identify(shape: &SampleShape<'_>, inline: &[(&'static str, Vec<u8>)], bytes: &mut Vec<u8>) {
    let mut text = |text: &[u8]| {
        bytes.extend_from_slice(text);
        bytes.push(0xff);
    };
    text(shape.key.as_bytes());
    for field in shape.fields {
        text(field.name.as_bytes());
        text(&field.len.to_le_bytes());
    }
    for (_, body) in inline {
        text(body);
    }
    text(&shape.id.to_le_bytes());
    for value in &shape.label.values {
        text(&value.to_le_bytes());
    }
    text(shape.label.text.as_deref().unwrap_or_default().as_bytes());
}

/// Counts combinations of fields; neighbours mostly have the same one.
#[derive(Default)]
struct Set {
    last: Vec<String>,
    count: u64,
}

impl Set {
    fn add(&mut self, shape: &SampleShape<'_>, sets: &mut HashMap<String, u64>) {
        let names = shape.fields.iter().map(|f| f.name);
        if self.count > 0 && names.clone().eq(self.last.iter()) {
            self.count += 1;
            return;
        }
        self.flush(sets);
        self.last = names.map(str::to_owned).collect();
        self.count = 1;
    }

    fn flush(&mut self, sets: &mut HashMap<String, u64>) {
        if self.count > 0 {
            *sets.entry(self.last.join(",")).or_default() += self.count;
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{group, tests::listing};

    fn measured(paths: &[&str]) -> Measured {
        let listing = listing(paths);
        let samples = group(&listing, &PackOptions::default()).unwrap();
        let format = shardpack_formats::open("webdataset", &Default::default()).unwrap();
        measure(&samples, &*format, &PackOptions::default())
    }

    #[test]
    fn orphans_show_in_the_field_sets() {
        let all = measured(&["a.jpg", "a.json", "b.jpg", "c.jpg", "c.json"]);
        assert_eq!(all.field_sets, [("jpg,json".to_string(), 2), ("jpg".to_string(), 1)]);
        assert_eq!((all.body_bytes, &all.lens[..]), (5, &[2048, 1024, 2048][..]));
    }

    #[test]
    fn names_and_lengths_identify_what_is_packed() {
        let base = measured(&["a.jpg", "b.jpg"]);
        assert_eq!(base.shapes, measured(&["b.jpg", "a.jpg"]).shapes);
        for other in [&["a.jpg", "c.jpg"][..], &["a.jpg", "b.png"], &["a.jpg"]] {
            assert_ne!(base.shapes, measured(other).shapes, "{other:?}");
        }
    }

    #[test]
    fn refused_names_are_counted() {
        let all = measured(&["__x.jpg", "a.jpg"]);
        assert_eq!((all.names.count(), all.lens[0]), (1, REFUSED));
    }
}
