//! Whole-shard compression: one stream around all bytes of a shard.
//!
//! Reading is strict: a stream that is cut or changed is an error, never a short read; streams one
//! after another read as one. Writing is deterministic: the same bytes and level give the same
//! stream on every machine (one compressor thread, no time, no name, a fixed system byte).

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::RangeInclusive;

use crate::{Error, ErrorKind, Position, crc32c, mask};

pub use writer::Compressor;

/// How a shard's bytes are compressed: the whole file is one stream.
///
/// ```
/// use std::io::{Read, Write};
/// use shardpack_formats::Compression;
///
/// let mut shard = Vec::new();
/// let mut writer = Compression::Gzip.writer(None, Box::new(&mut shard))?;
/// writer.write_all(b"records")?;
/// writer.finish()?;
///
/// assert_eq!(Compression::detect(&shard), Compression::Gzip);
/// let mut records = String::new();
/// Compression::Gzip.reader(Box::new(&shard[..]))?.read_to_string(&mut records)?;
/// assert_eq!(records, "records");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// RFC 1952, header without name and time.
    Gzip,
    /// RFC 1950. TFRecord only.
    Zlib,
    /// RFC 8878, with the content checksum. WebDataset only.
    Zstd,
}

/// Compressed bytes read at once: large enough for a network file system, small enough for a
/// core's cache.
const INPUT: usize = 256 << 10;

impl Compression {
    /// Every way, in the order of `--help`.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Zlib, Self::Zstd];

    /// Name on the command line and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }

    /// The compression called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// What a shard's name ends in, after the format's extension and without the dot.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gz"),
            Self::Zlib => Some("zz"),
            Self::Zstd => Some("zst"),
        }
    }

    /// The levels that [`Compression::writer`] takes; larger is smaller and slower.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip | Self::Zlib => 0..=9,
            Self::Zstd => zstd::compression_level_range(),
        }
    }

    /// The level when none is asked for: what zlib and zstd themselves take.
    pub fn default_level(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Gzip | Self::Zlib => 6,
            Self::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
        }
    }

    /// Guesses from the first bytes of a shard; give it 512 of them where there are as many.
    ///
    /// Bytes that prove to be a plain shard are not guessed at: a TFRecord of 376 bytes starts as
    /// zlib does and one of 559,903 as gzip, and a tar may start with a file called `x^2.png`.
    pub fn detect(start: &[u8]) -> Self {
        if is_tfrecord(start) || start.get(257..262) == Some(b"ustar") {
            return Self::None;
        }
        match start {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may stand first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            // Deflate with the usual 32 KiB window, no dictionary, and a header check that holds.
            [0x78, flags, ..] if flags & 0x20 == 0 && (0x7800 + u32::from(*flags)) % 31 == 0 => {
                Self::Zlib
            }
            _ => Self::None,
        }
    }

    /// Reads the plain bytes behind `input`.
    ///
    /// A stream that ends early is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), here or on
    /// reading; one that contradicts itself is [`InvalidData`](io::ErrorKind::InvalidData). Gzip
    /// members and zstd frames one after another are read to the last. A zstd frame that asks for
    /// a window over 128 MiB is refused.
    pub fn reader<'r>(
        self,
        input: Box<dyn Read + Send + 'r>,
    ) -> io::Result<Box<dyn Read + Send + 'r>> {
        if self == Self::None {
            return Ok(input);
        }
        let mut input = BufReader::with_capacity(INPUT, input);
        // No stream at all is a stream cut at its first byte.
        if input.fill_buf()?.is_empty() {
            return Err(reader::cut());
        }
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => reader::inflate(input, flate2::Decompress::new_gzip(15)),
            Self::Zlib => reader::inflate(input, flate2::Decompress::new(true)),
            Self::Zstd => reader::zstd(input)?,
        })
    }

    /// Compresses what is written and passes it on to `output`. Nothing is complete before
    /// [`Compressor::finish`] returned.
    ///
    /// `level` is one of [`Compression::levels`], else [`Compression::default_level`]; any other
    /// is [`InvalidInput`](io::ErrorKind::InvalidInput).
    pub fn writer<'w>(
        self,
        level: Option<i32>,
        output: Box<dyn Write + Send + 'w>,
    ) -> io::Result<Compressor<'w>> {
        let level = level.unwrap_or(self.default_level());
        let levels = self.levels();
        if !levels.contains(&level) {
            let (name, low, high) = (self.name(), levels.start(), levels.end());
            let reason = format!("{name} has no level {level}; its levels are {low} to {high}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Compressor::new(self, level, output)
    }
}

/// True for a whole TFRecord header: it carries a checksum of itself.
fn is_tfrecord(start: &[u8]) -> bool {
    match start.first_chunk::<12>() {
        Some([length @ .., a, b, c, d]) => {
            mask(crc32c(length)) == u32::from_le_bytes([*a, *b, *c, *d])
        }
        None => false,
    }
}

/// A failed read of a stream that may be compressed, as a decoder reports it: damage to the
/// compressed stream is damage to the shard, not trouble with the disk.
#[cfg_attr(
    not(any(feature = "webdataset", feature = "tfrecord", feature = "recordio")),
    allow(dead_code, reason = "only formats read")
)]
pub(crate) fn read_error(source: io::Error, position: Position) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::truncated(source.to_string(), position),
        io::ErrorKind::InvalidData => Error::corrupt(source.to_string(), position),
        _ => Error::at(ErrorKind::Io(source), position),
    }
}
