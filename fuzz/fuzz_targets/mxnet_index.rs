//! MXNet's `.idx`: the strict parser and the one that reads what MXNet reads say the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::recordio::idx;
use shardpack_fuzz::within_worth;
use shardpack_manifest::foreign::mxnet;

fuzz_target!(|text: &[u8]| {
    let strict = within_worth(text, || mxnet::parse(text));
    let Ok(entries) = within_worth(text, || idx::parse(text)) else { return };
    assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    let mut again = Vec::new();
    idx::write(&entries, &mut again).expect("memory takes everything");
    assert_eq!(idx::parse(&again).expect("the same index"), entries);
    if let Ok(mut pairs) = strict {
        pairs.sort_by_key(|(_, offset)| *offset);
        assert!(pairs.into_iter().eq(entries.iter().map(|entry| (entry.key, entry.offset))));
    }
});
