//! A zip archive as a tree of files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::trees;
use shardpack_store::ZipTree;

fuzz_target!(|archive: &[u8]| trees::check(archive, ZipTree::open));
