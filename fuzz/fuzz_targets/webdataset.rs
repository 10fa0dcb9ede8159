//! Tar to samples, as it stands and with header checksums that hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::{DecodeOptions, webdataset::WebDataset};
use shardpack_fuzz::{records, repair};

fuzz_target!(|stream: &[u8]| {
    let options = DecodeOptions::default();
    records::check(&WebDataset, &WebDataset, stream, &options);
    records::check(&WebDataset, &WebDataset, &repair::tar(stream), &options);
});
