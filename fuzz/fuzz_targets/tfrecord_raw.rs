//! TFRecord with payloads of any bytes, as it stands and with checksums that hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::{DecodeOptions, Schema, tfrecord::TfRecord};
use shardpack_fuzz::{records, repair};

fuzz_target!(|stream: &[u8]| {
    let (format, options) = (TfRecord::new(Schema::Raw), DecodeOptions::default());
    records::check(&format, &format, stream, &options);
    records::check(&format, &format, &repair::tfrecord(stream), &options);
});
