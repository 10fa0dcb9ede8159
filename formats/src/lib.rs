//! Record formats as pure codecs: bytes in, bytes out.
//!
//! A [`Format`] lays a sample out as a [`Layout`] (literal bytes, field bodies, checksums) whose
//! length is known before any body is read, and decodes a byte stream back into [`Record`]s.
//! This crate opens no file, starts no thread and knows no network; who moves the bytes is
//! somebody else's business. Each format has a folder of its own with a `SPEC.md`.

mod checksum;
mod compress;
mod decode;
mod error;
mod layout;
mod list;
#[cfg(any(feature = "tfrecord", feature = "recordio-protobuf"))]
#[cfg_attr(
    not(all(feature = "tfrecord", feature = "recordio-protobuf")),
    allow(dead_code, reason = "two formats share it; each alone leaves parts unused")
)]
mod protobuf;
mod sample;
#[cfg(any(feature = "tfrecord", feature = "recordio"))]
mod sniff;
mod split;
#[cfg(any(feature = "tfrecord", feature = "recordio"))]
#[cfg_attr(
    not(feature = "recordio-protobuf"),
    allow(dead_code, reason = "only recordio-protobuf reads all of it")
)]
mod stream;
#[cfg(all(test, any(feature = "webdataset", feature = "tfrecord", feature = "recordio")))]
mod testing;

#[cfg(feature = "recordio")]
pub mod recordio;
#[cfg(feature = "recordio-protobuf")]
pub mod recordio_protobuf;
#[cfg(feature = "tfrecord")]
pub mod tfrecord;
#[cfg(feature = "webdataset")]
pub mod webdataset;

pub use checksum::{Crc32c, Crc64Nvme, combine_crc64, crc32c, crc64nvme, mask, unmask};
pub use compress::{Compression, Compressor};
pub use decode::{DecodeOptions, Decoder, Record, Skipped};
pub use error::{Error, ErrorKind, Position, Result};
pub use layout::{Format, Layout, Segment, encode};
pub use list::{FormatOptions, NAMES, Schema, open};
pub use sample::{Field, FieldShape, Label, Sample, SampleShape};
pub use split::SplitScan;
