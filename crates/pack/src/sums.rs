//! Checksums of records that nobody reads.

use shardpack_formats::{Crc32c, Layout, SampleShape, Segment, crc32c, mask};
use shardpack_store::Listing;

use crate::plan::Body;
use crate::writer::Written;

/// What writing a record would leave behind, from the crc32c that a dataset's listing has of its
/// bodies. False for a record that is split: then it takes the bodies themselves to tell.
pub(crate) fn sums(
    layout: &Layout,
    shape: &SampleShape<'_>,
    (bodies, inline): (&[Body], &[(&'static str, Vec<u8>)]),
    listing: &Listing,
    written: &mut Written,
) -> bool {
    written.splits.clear();
    written.fields.clear();
    written.fields.extend(bodies.iter().map(|body| match *body {
        Body::File(file) => listing.file(file).stamp as u32,
        Body::Inline(i) => inline.get(i).map_or(0, |(_, body)| crc32c(body)),
    }));
    let mut record = Crc32c::default();
    let mut checked: Option<Crc32c> = None;
    for segment in &layout.segments {
        let (sum, len) = match segment {
            Segment::Literal(range) => {
                let bytes = layout.literals.get(range.clone()).unwrap_or_default();
                (crc32c(bytes), bytes.len() as u64)
            }
            Segment::Body { field, start, len } => {
                if (*start, *len) != (0, shape.fields[*field].len) {
                    return false;
                }
                (written.fields[*field], *len)
            }
            Segment::ChecksumStart => {
                checked = Some(Crc32c::default());
                continue;
            }
            Segment::MaskedCrc32c => {
                let sum = checked.take().unwrap_or_default();
                (crc32c(&mask(sum.value()).to_le_bytes()), 4)
            }
        };
        record.append(sum, len);
        if let Some(checked) = &mut checked {
            checked.append(sum, len);
        }
    }
    written.record = record.value();
    true
}

#[cfg(test)]
mod tests {
    use shardpack_formats::{FieldShape, FormatOptions, Label, NAMES, encode, open};
    use shardpack_store::ListingBuilder;

    use super::*;

    const FILE: &[u8] = &[7; 9_001];

    /// The sums of a record of `bodies`, the first of which is a file, that is split at `splits`.
    fn told(
        format: &str,
        bodies: &[(&'static str, &[u8])],
        splits: &[u64],
    ) -> (bool, Written, u32) {
        let mut files = ListingBuilder::default();
        files.path(b"a.jpg", FILE.len() as u64, crc32c(FILE).into());
        let format = open(format, &FormatOptions::default()).unwrap();
        let shape =
            |(name, body): &(&'static str, &[u8])| FieldShape { name, len: body.len() as u64 };
        let fields: Vec<_> = bodies.iter().map(shape).collect();
        let shape = SampleShape { key: "a", id: 3, fields: &fields, label: Label::NONE, splits };
        let mut layout = Layout::default();
        format.layout(&shape, &mut layout);
        let inline: Vec<_> = bodies.iter().map(|(name, body)| (*name, body.to_vec())).collect();
        let from: Vec<_> = (0..bodies.len()).map(Body::Inline).collect();
        let from = [&[Body::File(0)], &from[1..]].concat();
        let (mut written, listing) = (Written::default(), files.finish(Vec::new()));
        let known = sums(&layout, &shape, (&from, &inline), &listing, &mut written);
        let mut record = Vec::new();
        let bodies: Vec<&[u8]> = bodies.iter().map(|(_, body)| *body).collect();
        encode(&*format, &shape, &bodies, &mut record).unwrap();
        (known, written, crc32c(&record))
    }

    #[test]
    fn they_are_those_of_the_record() {
        for format in NAMES {
            let two = [("jpg", FILE), ("txt", &b"sample"[..])];
            let bodies = if format.starts_with("recordio") { &two[..1] } else { &two[..] };
            let (known, written, record) = told(format, bodies, &[]);
            let fields: Vec<u32> = bodies.iter().map(|(_, body)| crc32c(body)).collect();
            assert!(known, "{format}");
            assert_eq!((written.record, written.fields), (record, fields), "{format}");
        }
    }

    #[test]
    fn of_a_record_that_is_split_they_are_not_known() {
        assert!(!told("recordio", &[("jpg", FILE)], &[100]).0);
    }
}
