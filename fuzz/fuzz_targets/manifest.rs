//! A dataset's manifest, as it stands and with a seal that holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::{repair, within_worth};
use shardpack_manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &repair::manifest(bytes)] {
        let Ok(manifest) = within_worth(bytes, || Manifest::parse(bytes)) else { continue };
        let written = manifest.to_bytes().expect("what parses can be written");
        assert_eq!(Manifest::parse(&written).expect("a manifest of our own"), manifest);
    }
});
