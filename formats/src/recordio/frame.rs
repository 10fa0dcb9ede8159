//! RecordIO's framing, which MXNet and SageMaker share, and the two ways to join the parts of a
//! split record, which they do not.

use std::io::Read;

use crate::stream::Stream;
use crate::{Position, Record, Result, SplitScan};

/// First word of every part, little-endian.
pub(crate) const MAGIC: u32 = 0xced7_230a;
/// Magic and length word before a part's data, in bytes.
pub(crate) const PART_HEADER: u64 = 8;
/// Most bytes of a payload: a length has 29 bits, and dmlc's writer wants the whole record to fit.
pub(crate) const MAX_PAYLOAD: u64 = (1 << 29) - 1;

/// How the parts of a split record become one payload. The bytes do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A split stands for the aligned magic that was there; parts but the last are whole words.
    Dmlc,
    /// Parts are joined as they are; each may have any length. A payload may hold the magic.
    SageMaker,
}

/// Zeros that fill a payload of `len` bytes up to whole words.
pub(crate) fn padding(len: u64) -> &'static [u8] {
    match len % 4 {
        0 => &[],
        1 => &[0; 3],
        2 => &[0; 2],
        _ => &[0; 1],
    }
}

/// Magic and length word. Flags: 0 whole, 1 first, 2 middle, 3 last part.
pub(crate) fn part_header(flag: u32, len: u64) -> [u8; 8] {
    debug_assert!(len <= MAX_PAYLOAD);
    (u64::from(flag << 29 | len as u32) << 32 | u64::from(MAGIC)).to_le_bytes()
}

/// The payload of a framed record; none of one that is split.
pub(crate) fn payload(record: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = record.split_first_chunk()?;
    let (word, rest) = rest.split_first_chunk()?;
    let (magic, word) = (u32::from_le_bytes(*magic), u32::from_le_bytes(*word));
    let whole = magic == MAGIC && word >> 29 == 0;
    rest.get(..word as usize).filter(|p| whole && rest.len() == p.len().next_multiple_of(4))
}

/// Reads payloads, parts joined.
pub(crate) struct Frames<'r> {
    stream: Stream<'r>,
    dialect: Dialect,
    max_record: u64,
    payload_offset: Option<u64>,
}

impl<'r> Frames<'r> {
    pub(crate) fn new(input: Box<dyn Read + 'r>, dialect: Dialect, max_record: u64) -> Self {
        Self { stream: Stream::new(input), dialect, max_record, payload_offset: None }
    }

    /// Reads the next payload into `record.sample.bytes`, the rest of the sample cleared, and
    /// returns where it started; none at the end of the stream.
    pub(crate) fn read(&mut self, record: &mut Record) -> Result<Option<Position>> {
        let (dialect, max_record) = (self.dialect, self.max_record);
        let position = self.stream.position();
        let mut parts = 0;
        let found = self.stream.record(|stream| {
            record.sample.clear();
            parts = read_parts(stream, dialect, max_record, &mut record.sample.bytes)?;
            record.sample.payload = record.sample.bytes.len();
            (record.len, record.crc32c) = stream.measure();
            Ok(parts > 0)
        })?;
        record.offset = position.offset;
        self.payload_offset = (parts == 1).then_some(position.offset + PART_HEADER);
        Ok(found.then_some(position))
    }

    /// Where the payload read last starts in the shard; none when it was split.
    pub(crate) fn payload_offset(&self) -> Option<u64> {
        self.payload_offset
    }

    /// Where the next record starts, or the damaged one.
    pub(crate) fn position(&self) -> Position {
        self.stream.position()
    }

    /// Marks the record just read, which started at `position`, as damaged.
    pub(crate) fn reject(&mut self, position: Position, reason: String) -> crate::Error {
        self.stream.reject(position);
        crate::Error::corrupt(reason, position)
    }
}

/// Reads one record's parts; returns how many there were, 0 at the end of the stream.
fn read_parts(
    stream: &mut Stream<'_>,
    dialect: Dialect,
    max_record: u64,
    payload: &mut Vec<u8>,
) -> Result<u64> {
    for parts in 0u64.. {
        let mut header = [0; PART_HEADER as usize];
        if !stream.header(&mut header, "a part's header")? {
            return if parts == 0 { Ok(0) } else { Err(stream.truncated("a split record")) };
        }
        let (flag, len) = parse_part_header(stream, header)?;
        match (parts, flag) {
            (0, 0 | 1) | (1.., 2 | 3) => {}
            (0, _) => return Err(stream.corrupt(format!("a record begins with flag {flag}"))),
            _ => return Err(stream.corrupt(format!("a split record goes on with flag {flag}"))),
        }
        if parts > 0 && dialect == Dialect::Dmlc {
            payload.extend_from_slice(&MAGIC.to_le_bytes());
        }
        stream.check_len(payload.len() as u64 + len, max_record)?;
        let start = payload.len();
        stream.body(len, payload, "the payload")?;
        read_padding(stream, dialect, len)?;
        let last = matches!(flag, 0 | 3);
        if dialect == Dialect::Dmlc {
            check_part(stream, payload.get(start..).unwrap_or_default(), last)?;
        }
        if last {
            return Ok(parts + 1);
        }
    }
    Ok(0)
}

fn parse_part_header(stream: &Stream<'_>, header: [u8; 8]) -> Result<(u32, u64)> {
    let [a, b, c, d, e, f, g, h] = header;
    let (magic, word) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if magic != MAGIC {
        return Err(stream.corrupt(format!("a part begins with {magic:#010x}, not {MAGIC:#010x}")));
    }
    let flag = word >> 29;
    if flag > 3 {
        return Err(stream.corrupt(format!("a part has flag {flag}; flags end at 3")));
    }
    Ok((flag, u64::from(word & MAX_PAYLOAD as u32)))
}

fn read_padding(stream: &mut Stream<'_>, dialect: Dialect, len: u64) -> Result<()> {
    let mut pad = [0; 3];
    let Some(pad) = pad.get_mut(..padding(len).len()).filter(|pad| !pad.is_empty()) else {
        return Ok(());
    };
    if !stream.header(pad, "the padding")? {
        return Err(stream.truncated("the padding"));
    }
    // Writers of SageMaker's dialect are known to leave rubbish here.
    if dialect == Dialect::Dmlc && pad.iter().any(|byte| *byte != 0) {
        return Err(stream.corrupt(format!("padding is {pad:02x?}, not zero")));
    }
    Ok(())
}

/// There is no checksum, so a wrong length must show in other ways: a record that swallowed its
/// neighbour holds an aligned magic, which no writer of this dialect leaves unescaped.
fn check_part(stream: &Stream<'_>, part: &[u8], last: bool) -> Result<()> {
    if !last && !part.len().is_multiple_of(4) {
        return Err(
            stream.corrupt(format!("a split part has {} bytes: no whole words", part.len()))
        );
    }
    let mut scan = SplitScan::new(MAGIC, 0);
    scan.update(part);
    match scan.finish().first() {
        None => Ok(()),
        Some(at) => Err(stream.corrupt(format!(
            "the magic stands unescaped {at} bytes into a part: a damaged length, or a shard of \
             recordio-protobuf"
        ))),
    }
}
