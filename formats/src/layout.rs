//! A record as a list of segments, so that one engine writes every format without copying bodies
//! into messages first, and so that sizes are exact before a byte is read.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use crate::{Crc32c, DecodeOptions, Decoder, Result, SampleShape, SplitScan, mask};

/// A record format.
pub trait Format: Send + Sync + fmt::Debug {
    /// Name on the command line and in manifests: `webdataset`.
    fn name(&self) -> &'static str;

    /// Extension of a shard without the dot: `tar`.
    fn extension(&self) -> &'static str;

    /// Refuses what the format, or a known reader of it, cannot carry: names, labels, lengths.
    fn check(&self, sample: &SampleShape<'_>) -> Result<()>;

    /// Length in bytes of the whole record, framing and padding included: exactly what
    /// [`Format::layout`] lays out. Holds for any sample that [`Format::check`] accepts.
    fn encoded_len(&self, sample: &SampleShape<'_>) -> u64;

    /// Appends the record's segments to `out`.
    fn layout(&self, sample: &SampleShape<'_>, out: &mut Layout);

    /// Bytes that end a shard.
    fn trailer(&self) -> &'static [u8] {
        &[]
    }

    /// The little-endian word that forces a split where it stands at a multiple of four in the
    /// payload. A writer scans for it and lays the record out again with
    /// [`SampleShape::splits`] set.
    fn split_word(&self) -> Option<u32> {
        None
    }

    /// Offset in the payload at which the first field's body starts (a multiple of four).
    fn body_offset(&self, _sample: &SampleShape<'_>) -> u64 {
        0
    }

    /// The payload of a whole framed record, where it lies there in one piece: none where the format
    /// split it, keeps several, or these bytes are no record. Checksums are not compared.
    fn payload<'r>(&self, _record: &'r [u8]) -> Option<&'r [u8]> {
        None
    }

    /// Reads records from an uncompressed stream.
    fn decoder<'r>(
        &self,
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
    ) -> Box<dyn Decoder + 'r>;
}

/// One piece of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes known while planning: a range of [`Layout::literals`].
    Literal(Range<usize>),
    /// Bytes of a field's body.
    Body {
        /// Which field of the sample.
        field: usize,
        /// First byte of the body that belongs here.
        start: u64,
        /// How many bytes belong here.
        len: u64,
    },
    /// Here the checked part begins.
    ChecksumStart,
    /// Four bytes: TFRecord's masked crc32c of all since the last [`Segment::ChecksumStart`].
    MaskedCrc32c,
}

/// The segments of a record. Clear and reuse it.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Bytes that [`Segment::Literal`] points into.
    pub literals: Vec<u8>,
    /// The record, in order.
    pub segments: Vec<Segment>,
}

impl Layout {
    /// Empties the layout and keeps its buffers.
    pub fn clear(&mut self) {
        self.literals.clear();
        self.segments.clear();
    }

    /// Appends bytes; neighbouring literals become one segment.
    pub fn literal(&mut self, bytes: &[u8]) {
        let start = self.literals.len();
        self.literals.extend_from_slice(bytes);
        self.seal_literal(start);
    }

    /// Makes the literal bytes from `start` on a segment: for writers that append to
    /// [`Layout::literals`] themselves.
    pub fn seal_literal(&mut self, start: usize) {
        let end = self.literals.len();
        if start == end {
            return;
        }
        if let Some(Segment::Literal(last)) = self.segments.last_mut()
            && last.end == start
        {
            last.end = end;
            return;
        }
        self.segments.push(Segment::Literal(start..end));
    }

    /// Appends the whole body of a field of `len` bytes.
    pub fn body(&mut self, field: usize, len: u64) {
        self.segments.push(Segment::Body { field, start: 0, len });
    }

    /// Length of the record in bytes.
    pub fn encoded_len(&self) -> u64 {
        self.segments
            .iter()
            .map(|s| match s {
                Segment::Literal(range) => range.len() as u64,
                Segment::Body { len, .. } => *len,
                Segment::ChecksumStart => 0,
                Segment::MaskedCrc32c => 4,
            })
            .sum()
    }
}

/// Encodes one sample held in memory, appending to `out`: the comfortable way, for small tools and
/// tests. `bodies` are the fields of `sample`, in its order.
pub fn encode(
    format: &dyn Format,
    sample: &SampleShape<'_>,
    bodies: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<()> {
    format.check(sample)?;
    let splits = match format.split_word() {
        Some(word) => find_splits(word, format.body_offset(sample), bodies),
        None => Vec::new(),
    };
    let mut layout = Layout::default();
    format.layout(&SampleShape { splits: &splits, ..*sample }, &mut layout);
    let mut checked = Crc32c::default();
    for segment in &layout.segments {
        let bytes = match segment {
            Segment::Literal(range) => &layout.literals[range.clone()],
            Segment::Body { field, start, len } => {
                &bodies[*field][*start as usize..(*start + *len) as usize]
            }
            Segment::ChecksumStart => {
                checked = Crc32c::default();
                continue;
            }
            Segment::MaskedCrc32c => {
                out.extend_from_slice(&mask(checked.value()).to_le_bytes());
                continue;
            }
        };
        checked.update(bytes);
        out.extend_from_slice(bytes);
    }
    Ok(())
}

fn find_splits(word: u32, body_offset: u64, bodies: &[&[u8]]) -> Vec<u64> {
    let mut scan = SplitScan::new(word, body_offset);
    for body in bodies {
        scan.update(body);
    }
    scan.finish()
}
