//! DALI's index of a WebDataset shard.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within_worth;
use shardpack_manifest::foreign::wds;

fuzz_target!(|text: &[u8]| {
    let Ok(index) = within_worth(text, || wds::parse(text)) else { return };
    let mut again = format!("{} {}\n", index.version.name(), index.samples.len());
    for sample in &index.samples {
        for wds::Member { ext, offset, size, name } in sample {
            again += &format!("{ext} {offset} {size} {} ", name.as_deref().unwrap_or_default());
        }
        again += "\n";
    }
    assert_eq!(wds::parse(again.as_bytes()).expect("the same index"), index);
});
