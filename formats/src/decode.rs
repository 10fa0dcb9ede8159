//! Reading records back.

use crate::{Position, Result, Sample};

/// How strictly, and within which limits, a stream is decoded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Largest record in bytes that is read into memory; a longer one is
    /// [`TooLarge`](crate::ErrorKind::TooLarge). Default 1 GiB. Checked before memory is asked for.
    pub max_record: u64,
    /// The stream may hold several shards one after another: a tar goes on after end blocks.
    /// Default false: what follows the end is an error.
    pub concatenated: bool,
    /// The stream may lack its end marker (a tar without end blocks). Default false: truncated.
    pub missing_end: bool,
    /// A record whose framing holds but whose payload does not is handed out, with
    /// [`Record::damage`], and reading goes on behind it: for who knows from an index which record it
    /// was. TFRecord and recordio-protobuf can. Default false: an error, the last thing that is read.
    pub keep_damaged: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_record: 1 << 30, concatenated: false, missing_end: false, keep_damaged: false }
    }
}

/// One record as it stands in the stream. Reuse it: buffers keep their capacity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Offset of its first byte in the uncompressed shard.
    pub offset: u64,
    /// Its encoded length in bytes, framing and padding included.
    pub len: u64,
    /// crc32c of those encoded bytes.
    pub crc32c: u32,
    /// What is in it.
    pub sample: Sample,
    /// What is wrong with its payload, where [`DecodeOptions::keep_damaged`] lets it pass: then the
    /// sample has neither fields nor a name.
    pub damage: Option<String>,
}

#[cfg(any(feature = "tfrecord", feature = "recordio-protobuf"))]
impl Record {
    /// Makes it one that is damaged. Its place in the stream stays.
    pub(crate) fn damaged(&mut self, reason: String) {
        self.sample.clear();
        self.damage = Some(reason);
    }
}

/// What a stream held beside its records. Only tar has such things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Directories. Nothing is lost.
    pub directories: u64,
    /// Hard links: a further name of a file stored before. That field is lost to every reader of
    /// the shard; write the archive again with `--hard-dereference`.
    pub hard_links: u64,
    /// Symbolic links, devices, FIFOs and members of unknown type. Not followed, lost.
    pub specials: u64,
    /// Files whose name does not split into key and field, or stands for metadata (`__x__`).
    pub unnamed: u64,
    /// Name of the first one of these that is not a directory.
    pub first: Option<String>,
}

/// Reads one record after another. After an error every further call returns an error.
pub trait Decoder {
    /// Reads the next record. False at a proper end of the stream.
    fn read(&mut self, record: &mut Record) -> Result<bool>;

    /// Where the next record starts, or where the damage is after an error.
    fn position(&self) -> Position;

    /// What was passed over so far because it belongs to no record.
    fn skipped(&self) -> Skipped {
        Skipped::default()
    }
}
