//! SageMaker's ManifestFile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within_worth;
use shardpack_manifest::sagemaker::ManifestFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = within_worth(bytes, || ManifestFile::parse(bytes)) else { return };
    assert_eq!(ManifestFile::parse(&file.to_bytes()).expect("a file of our own"), file);
});
