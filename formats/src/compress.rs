//! Whole-shard compression.

use std::io::{self, Read, Write};

/// How a shard's bytes are compressed: the whole file is one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// RFC 1952, header without name and time.
    Gzip,
    /// RFC 1950. TFRecord only.
    Zlib,
    /// RFC 8878. WebDataset only.
    Zstd,
}
