//! The image header at the start of a payload (`IRHeader`), 24 bytes, and the labels behind it.

use crate::{Label, SampleShape};

/// What the header says beside padding fields. The second id, always 0 in files that `im2rec`
/// wrote, is not kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    /// Number of labels behind the header; 0: the label is in the header.
    pub(super) flag: u32,
    pub(super) label: f32,
    pub(super) id: u64,
}

impl Header {
    /// Its length in bytes.
    pub(super) const LEN: u64 = 24;

    /// The header of `payload` and the labels behind it; none when the payload is too short for
    /// what it states, as one without a header nearly always is.
    pub(super) fn parse(payload: &[u8]) -> Option<(Self, &[[u8; 4]])> {
        let (flag, rest) = payload.split_first_chunk()?;
        let (label, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (_id2, rest) = rest.split_first_chunk::<8>()?;
        let header = Self {
            flag: u32::from_le_bytes(*flag),
            label: f32::from_le_bytes(*label),
            id: u64::from_le_bytes(*id),
        };
        let labels = rest.as_chunks().0.get(..usize::try_from(header.flag).ok()?)?;
        Some((header, labels))
    }

    /// Appends the record's labels to `values`.
    pub(super) fn labels(&self, packed: &[[u8; 4]], values: &mut Vec<f64>) {
        if self.flag == 0 {
            values.push(self.label.into());
        }
        values.extend(packed.iter().map(|label| f64::from(f32::from_le_bytes(*label))));
    }
}

/// The labels that stand behind the header: none or several. One alone stands in the header.
pub(super) fn packed_labels(label: &Label) -> &[f64] {
    match &label.values[..] {
        [] | [_] => &[],
        several => several,
    }
}

/// Appends the header of `sample` and its labels. With several, the label in the header is 0, as
/// MXNet's Python writes it.
pub(super) fn put(sample: &SampleShape<'_>, out: &mut Vec<u8>) {
    let packed = packed_labels(sample.label);
    let label = match sample.label.values[..] {
        [one] => one as f32,
        _ => 0.0,
    };
    out.extend((packed.len() as u32).to_le_bytes());
    out.extend(label.to_le_bytes());
    out.extend(sample.id.to_le_bytes());
    out.extend([0; 8]);
    packed.iter().for_each(|value| out.extend((*value as f32).to_le_bytes()));
}
