//! A sample index with a checksum that holds: every row, every search, and the index written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::{indexes, repair, within};
use shardpack_manifest::Index;

fuzz_target!(|bytes: &[u8]| {
    let bytes = repair::index(bytes);
    // A parsed index lies where it is; only its format's name or an error's reason is new.
    let Ok(index) = within(4 << 10, || Index::parse(&bytes[..])) else { return };
    indexes::check(&index);
});
