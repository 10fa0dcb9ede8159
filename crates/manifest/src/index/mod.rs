//! The sample index of one shard: where each record and each field lies. `SPEC.md` beside this
//! file has the bytes.

mod build;
mod check;
mod interner;
mod view;

#[cfg(test)]
mod tests;

pub use build::{IndexBuilder, IndexEntry};
pub use view::{Fields, Index, IndexRecord};

use shardpack_formats::Compression;

/// PNG's trick: the high bit, both line ends and Ctrl-Z show what mangles text.
const MAGIC: [u8; 8] = *b"\x89SPI\r\n\x1a\n";
const VERSION: u16 = 1;
const HEADER: u64 = 104;
const FORMAT_NAME: usize = 24;
/// Shards below 4 GiB keep offsets and lengths in 4 bytes: 52 bytes a record of one field, not 68.
const NARROW: u64 = u32::MAX as u64;

/// What an index says of its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFile {
    /// Name of the record format: `webdataset`. At most 24 bytes.
    pub format: String,
    /// How the file is compressed. Offsets count bytes before compression.
    pub compression: Compression,
    /// Length of the records and the trailer in bytes, before compression.
    pub stream_bytes: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// CRC-64/NVME of the file.
    pub crc64nvme: u64,
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexField<'a> {
    /// Name without a leading dot.
    pub name: &'a str,
    /// Offset of the body in the uncompressed shard; none where the format split or transformed it.
    pub offset: Option<u64>,
    /// Length of the body in bytes.
    pub len: u64,
    /// crc32c of the body.
    pub crc32c: u32,
}

/// Start of each section, from the counts in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sections {
    word: u64, // bytes of an offset or a length: 4 or 8
    records: u64,
    fields: u64,
    sorted: u64,
    name_ends: u64,
    label_ends: u64,
    keys: u64,
    names: u64,
    labels: u64,
    end: u64, // the checksum
    counts: Counts,
}

/// Rows of the tables and bytes of the heaps. All u32 in the file, so no product overflows u64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    records: u64,
    fields: u64,
    names: u64,
    labels: u64,
    key_bytes: u64,
    name_bytes: u64,
    label_bytes: u64,
}

impl Sections {
    fn new(word: u64, counts: Counts) -> Self {
        let records = HEADER;
        let fields = records + counts.records * (24 + 2 * word);
        let sorted = fields + counts.fields * (8 + 2 * word);
        let name_ends = sorted + counts.records * 4;
        let label_ends = name_ends + counts.names * 4;
        let keys = label_ends + counts.labels * 4;
        let names = keys + counts.key_bytes;
        let labels = names + counts.name_bytes;
        let end = labels + counts.label_bytes;
        Self {
            word,
            records,
            fields,
            sorted,
            name_ends,
            label_ends,
            keys,
            names,
            labels,
            end,
            counts,
        }
    }

    fn word_for(stream_bytes: u64) -> u64 {
        if stream_bytes < NARROW { 4 } else { 8 }
    }
}

fn compression_code(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Zlib => 2,
        Compression::Zstd => 3,
    }
}

fn compression_of(code: u8) -> Option<Compression> {
    [Compression::None, Compression::Gzip, Compression::Zlib, Compression::Zstd]
        .get(usize::from(code))
        .copied()
}
