//! The index of a TFRecord shard that DALI and PyPI's `tfrecord` read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within_worth;
use shardpack_manifest::foreign::tfrecord;

fuzz_target!(|text: &[u8]| {
    let Ok(records) = within_worth(text, || tfrecord::parse(text)) else { return };
    assert!(records.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
    let again: String = records.iter().map(|(offset, len)| format!("{offset} {len}\n")).collect();
    assert_eq!(tfrecord::parse(again.as_bytes()).expect("the same index"), records);
});
