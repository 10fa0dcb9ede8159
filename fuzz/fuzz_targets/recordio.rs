//! MXNet's RecordIO.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::{DecodeOptions, recordio::RecordIo};
use shardpack_fuzz::records;

fuzz_target!(|stream: &[u8]| {
    records::check(&RecordIo, &RecordIo, stream, &DecodeOptions::default());
});
