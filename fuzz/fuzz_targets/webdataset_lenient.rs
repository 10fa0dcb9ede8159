//! Tars one after another, without their ends, to samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::{DecodeOptions, webdataset::WebDataset};
use shardpack_fuzz::{records, repair};

fuzz_target!(|stream: &[u8]| {
    let mut options = DecodeOptions::default();
    (options.concatenated, options.missing_end) = (true, true);
    records::check(&WebDataset, &WebDataset, &repair::tar(stream), &options);
});
