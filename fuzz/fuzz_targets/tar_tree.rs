//! A tar archive as a tree of files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::{repair, trees};
use shardpack_store::TarTree;

fuzz_target!(|archive: &[u8]| trees::check(&repair::tar(archive), TarTree::open));
