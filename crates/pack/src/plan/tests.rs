use proptest::prelude::*;

use super::*;
use crate::options::Split;

fn options(target: u64) -> PackOptions {
    PackOptions { target, ..PackOptions::default() }
}

fn sizes(lens: &[u64], ends: &[usize]) -> Vec<u64> {
    let mut start = 0;
    ends.iter()
        .map(|end| {
            let sum = lens[start..*end].iter().sum();
            start = *end;
            sum
        })
        .collect()
}

#[test]
fn shards_are_few_and_even() {
    let lens = vec![100; 10];
    let cuts = |o: &PackOptions| sizes(&lens, &cut(lens.iter().copied(), 0, o).unwrap());
    assert_eq!(cuts(&options(1000)), [1000]);
    // Greedy filling would give 900 and 100.
    assert_eq!(cuts(&options(900)), [500, 500]);
    assert_eq!(cuts(&options(499)), [400, 400, 200]);
    let multiple = PackOptions { shard_multiple: 4, ..options(1000) };
    assert_eq!(cuts(&multiple), [300, 300, 300, 100]);
    let counted = PackOptions { max_samples: Some(3), ..options(1000) };
    assert_eq!(cuts(&counted).len(), 4);
}

#[test]
fn a_record_over_the_target_is_alone() {
    let lens = [10, 5000, 10, 10];
    let ends = cut(lens.iter().copied(), 0, &options(100)).unwrap();
    assert_eq!(sizes(&lens, &ends), [10, 5000, 20]);
}

/// Found by the promises below: room for the longest record let others share a shard over the target.
#[test]
fn records_over_the_target_let_no_other_shard_grow_over_it() {
    let lens = [146, 498, 204, 21, 78, 66, 440, 371, 435, 87, 442, 56, 46, 140];
    let ends = cut(lens.into_iter(), 0, &options(300)).unwrap();
    let shards = sizes(&lens, &ends);
    assert!(shards.iter().all(|size| *size <= 300 || lens.contains(size)), "{shards:?}");
}

#[test]
fn too_few_samples_for_the_multiple_is_an_error() {
    let o = PackOptions { shard_multiple: 8, ..options(1000) };
    let error = cut([1, 2, 3].into_iter(), 0, &o).unwrap_err();
    assert!(error.contains("lower --shard-multiple"), "{error}");
}

#[test]
fn a_key_stays_in_its_split_when_others_come() {
    let splits = vec![
        Split { name: "train".into(), fraction: 0.9 },
        Split { name: "val".into(), fraction: 0.1 },
    ];
    let o = PackOptions { splits, ..PackOptions::default() };
    let val = (0..10_000).filter(|i| split_of(&format!("k{i}"), &o) == 1).count();
    assert!((900..1100).contains(&val), "{val} of 10000 in a share of 0.1");
    // Pinned: these values must never change.
    let parts: Vec<_> =
        ["a", "b", "cat/1", "dog/2", "x/y/z"].iter().map(|k| split_of(k, &o)).collect();
    assert_eq!(parts, PINNED);
}

/// Where the keys of the test above go, for ever.
const PINNED: [usize; 5] = [0, 0, 0, 1, 0];

proptest! {
    #[test]
    fn cuts_keep_their_promises(
        lens in prop::collection::vec(1u64..500, 1..300),
        target in 300u64..3000,
        multiple in 1u64..5,
        most in prop::option::of(1u64..50),
    ) {
        let o = PackOptions { shard_multiple: multiple, max_samples: most, ..options(target) };
        let Ok(ends) = cut(lens.iter().copied(), 0, &o) else {
            prop_assert!(multiple > 1, "without a multiple there is always a cut");
            return Ok(());
        };
        prop_assert_eq!(*ends.last().unwrap(), lens.len());
        prop_assert_eq!(ends.len() % multiple as usize, 0);
        let mut start = 0;
        for end in &ends {
            prop_assert!(*end > start);
            let bytes: u64 = lens[start..*end].iter().sum();
            prop_assert!(bytes <= target || end - start == 1);
            prop_assert!(most.is_none_or(|m| (end - start) as u64 <= m));
            start = *end;
        }
        // No larger than needed: one shard more than the bytes and the count ask for, at most
        // doubled by records that do not fit together, then rounded up.
        let total: u64 = lens.iter().sum();
        let by_bytes = 2 * total.div_ceil(target) + 1;
        let by_count = most.map_or(0, |m| (lens.len() as u64).div_ceil(m));
        prop_assert!(ends.len() as u64 <= (by_bytes + by_count).next_multiple_of(multiple));
    }
}

/// Hashes go by sample: those of refused samples must go with them, or a shuffle loses samples.
#[test]
fn skipping_refused_names_keeps_all_others_in_their_order() {
    let shuffled = |paths: &[&str]| {
        let listing = crate::group::tests::listing(paths);
        let options = PackOptions { bad_names: Policy::Skip, ..PackOptions::default() };
        let mut samples = crate::group::group(&listing, &options).unwrap();
        let format = shardpack_formats::open("webdataset", &Default::default()).unwrap();
        let plan = plan(&mut samples, &*format, &options).unwrap();
        let mut key = String::new();
        let key = |s: &SampleId| {
            samples.key(*s, &mut key);
            key.clone()
        };
        plan.order.iter().map(key).collect::<Vec<_>>()
    };
    let kept = shuffled(&["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]);
    assert_eq!(kept.len(), 5);
    assert_eq!(
        shuffled(&["__0.jpg", "a.jpg", "b.jpg", "__c.jpg", "c.jpg", "d.jpg", "e.jpg"]),
        kept
    );
}
