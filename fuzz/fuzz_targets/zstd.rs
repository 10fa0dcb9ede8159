//! Shards compressed by zstd.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::Compression;
use shardpack_fuzz::compressed;

fuzz_target!(|stream: &[u8]| compressed::check(Compression::Zstd, stream));
