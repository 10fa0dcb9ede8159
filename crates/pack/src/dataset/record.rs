//! One record against what the index says of it.

use shardpack_formats::{FormatOptions, Label, Record, Schema, crc32c};
use shardpack_manifest::{IndexRecord, LabelRef};

use super::Dataset;

/// What a format stores of a sample, and what only the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    keys: Keys,
    /// Field names are stored, or made up from what is stored.
    names: bool,
    /// The sample's number is stored.
    ids: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Stored,
    /// Records of other writers may lack a key; the decoder then gives their number.
    Perhaps,
    Never,
}

impl Rules {
    pub(super) fn of(dataset: &Dataset<'_>) -> Self {
        // The index of shards that were found, not packed, says what the decoder says.
        let found = dataset.manifest().is_none_or(|m| m.plan.is_none());
        Self::new(dataset.format(), dataset.format_options(), found)
    }

    fn new(format: &str, options: &FormatOptions, found: bool) -> Self {
        let nameless = match format {
            "recordio" => true,
            "tfrecord" => options.schema == Schema::Raw,
            _ => false,
        };
        let keys = match format {
            "webdataset" => Keys::Stored,
            _ if nameless => Keys::Never,
            _ if found => Keys::Perhaps,
            _ => Keys::Stored,
        };
        Self { keys, names: found || !nameless, ids: format == "recordio" }
    }

    /// How `decoded` contradicts the index, if it does. The decoder started at `base` in the
    /// shard, and `number` records ago.
    pub(super) fn contradiction(
        &self,
        index: &IndexRecord<'_>,
        decoded: &Record,
        base: u64,
        number: u64,
    ) -> Option<String> {
        let sample = &decoded.sample;
        if (decoded.offset + base, decoded.len) != (index.offset, index.len) {
            return Some(format!(
                "the record has {} bytes at {}, the index says {} bytes at {}",
                decoded.len,
                decoded.offset + base,
                index.len,
                index.offset
            ));
        }
        let key_agrees = match self.keys {
            Keys::Stored => sample.key == index.key,
            Keys::Perhaps => sample.key == index.key || sample.key == number.to_string(),
            Keys::Never => true,
        };
        if !key_agrees {
            return Some(format!("the key is {:?}, the index says {:?}", sample.key, index.key));
        }
        if self.ids && sample.id != index.id {
            return Some(format!("the id is {}, the index says {}", sample.id, index.id));
        }
        if let Some(found) = label_differs(&sample.label, &index.label) {
            return Some(found);
        }
        self.fields(index, decoded, base)
    }

    fn fields(&self, index: &IndexRecord<'_>, decoded: &Record, base: u64) -> Option<String> {
        let sample = &decoded.sample;
        if sample.fields.len() != index.fields.len() {
            let names: Vec<_> = sample.fields.iter().map(|f| f.name.as_str()).collect();
            return Some(format!(
                "it has {} fields ({}), the index says {}",
                names.len(),
                names.join(", "),
                index.fields.len()
            ));
        }
        for (i, wanted) in index.fields.clone().enumerate() {
            let place = |f: &shardpack_formats::Field| f.name == wanted.name;
            let found = match self.names {
                true => sample.fields.get(i).filter(|f| place(f)).or_else(|| {
                    sample.fields.iter().find(|f| place(f)) // stored in another order
                }),
                false => sample.fields.get(i),
            };
            let Some(found) = found else {
                return Some(format!("it has no field {:?}, as the index says", wanted.name));
            };
            let body = sample.body(found);
            let (len, crc) = (body.len() as u64, crc32c(body));
            let moved = found.offset.zip(wanted.offset).is_some_and(|(a, b)| a + base != b);
            if (len, crc) != (wanted.len, wanted.crc32c) || moved {
                return Some(format!(
                    "field {:?} has {len} bytes with crc32c {crc:08x}, the index says {} with {:08x}{}",
                    wanted.name,
                    wanted.len,
                    wanted.crc32c,
                    if moved { ", and elsewhere" } else { "" },
                ));
            }
        }
        None
    }
}

/// Formats keep labels as they can: numbers as f32, or no text. What they keep must agree.
fn label_differs(stored: &Label, index: &LabelRef<'_>) -> Option<String> {
    let wanted: Vec<f64> = index.values().collect();
    let near = |a: f64, b: f64| a == b || a as f32 == b as f32 || (a.is_nan() && b.is_nan());
    let numbers = wanted.is_empty()
        || (wanted.len() == stored.values.len()
            && wanted.iter().zip(&stored.values).all(|(a, b)| near(*a, *b)));
    let text = stored.text.is_none() || stored.text.as_deref() == index.text();
    let said = || format!("the label is {stored:?}, the index says {:?}", index.to_label());
    (!numbers || !text).then(said)
}

/// Why the crc32c of a record does not hold: which field it is, or what is around the fields.
/// `bytes` is the record.
pub(super) fn blame(index: &IndexRecord<'_>, bytes: &[u8]) -> String {
    for field in index.fields.clone() {
        let Some(offset) = field.offset else { continue };
        let start = (offset - index.offset) as usize;
        let crc = bytes.get(start..start + field.len as usize).map(crc32c);
        if let Some(crc) = crc.filter(|crc| *crc != field.crc32c) {
            return field_damage(field.name, offset, crc, field.crc32c);
        }
    }
    let found = crc32c(bytes);
    format!(
        "the record around its fields (header, framing, padding) has changed: crc32c {found:08x}, not {:08x}",
        index.crc32c
    )
}

/// A body that is not what the index says.
pub(super) fn field_damage(name: &str, offset: u64, found: u32, wanted: u32) -> String {
    format!("field {name:?} at offset {offset} has crc32c {found:08x}, not {wanted:08x}")
}
