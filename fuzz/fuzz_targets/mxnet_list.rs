//! MXNet's `.lst`: both readers say the same, and what one wrote reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::recordio::lst::{self, Entry, Reader};
use shardpack_fuzz::within_worth;
use shardpack_manifest::foreign::mxnet;

fuzz_target!(|text: &[u8]| {
    let strict = within_worth(text, || mxnet::parse_lst(text));
    let entries: Vec<_> = within_worth(text, || Reader::new(text).collect());
    for entry in entries.iter().flatten() {
        let mut line = Vec::new();
        if lst::write(entry, &mut line).is_ok() {
            let again: Result<Vec<_>, _> = Reader::new(&line[..]).collect();
            assert_eq!(again.expect("an entry of our own"), std::slice::from_ref(entry));
        }
    }
    let Ok(strict) = strict else { return };
    let strict = strict.into_iter().map(|line| (line.id, line.labels, line.path));
    let of = |entry: Entry| (entry.id, entry.labels, entry.path);
    assert!(strict.eq(entries.into_iter().map(|entry| of(entry.expect("the laxer reader")))));
});
