//! Whatever is cut, changed, doubled or left out is an error that names its place.

use shardpack_reader::plan::{Shuffle, Tail};
use shardpack_reader::{Damage, Error, ReadOptions, Sample};

use crate::support::*;

fn read(set: &Set, bytes: Vec<u8>) -> (Vec<Sample>, Vec<Error>) {
    let mut options = options(Tail::Mask);
    options.plan.shuffle = Shuffle::Off;
    with(set, bytes, &options)
}

fn with(set: &Set, bytes: Vec<u8>, options: &ReadOptions) -> (Vec<Sample>, Vec<Error>) {
    let (mut samples, mut errors) = (Vec::new(), Vec::new());
    for sample in set.streamed(bytes, part(0, 1), options).epoch(0) {
        match sample {
            Ok(sample) => samples.push(sample),
            Err(error) => errors.push(error),
        }
    }
    (samples, errors)
}

/// The shard that an error is about, and what it says.
fn shard(errors: &[Error]) -> (&str, String) {
    match errors {
        [error @ Error::Shard { shard, .. }] => (shard, error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_is_cut_at_any_byte_names_the_shard_that_is_not_whole() {
    for format in FORMATS {
        let set = Make::tiny(format).dataset();
        let shards = &set.manifest.shards;
        assert!(shards.len() > 1, "{format}");
        let order = [1, 0, 2].map(|number| number % shards.len());
        let order = &order[..shards.len()];
        let whole = set.joined(order.iter().copied());
        assert!(read(&set, whole.clone()).1.is_empty(), "{format}");
        for end in 0..whole.len() {
            let (samples, errors) = read(&set, whole[..end].to_vec());
            let (named, said) = shard(&errors);
            // The shard that is cut; where the cut lies between two, one that is missing.
            let mut start = 0;
            let cut = order.iter().position(|&number| {
                start += shards[number].bytes as usize;
                end < start
            });
            let path = |place: usize| &*shards[order[place]].path;
            // Only a tar's next header tells that its last sample is complete.
            let before = cut.filter(|_| format == "webdataset").and_then(|cut| cut.checked_sub(1));
            let cut = [cut, before].into_iter().flatten().any(|place| path(place) == named);
            let missing = said.contains("did not come") && samples.len() % 2 == 0;
            assert!(cut || named == "memory" || missing, "{format} {end}: {said}");
            assert!(named != "memory" || said.contains("truncated"), "{format} {end}: {said}");
        }
    }
}

#[test]
fn no_byte_can_be_changed_unseen() {
    for format in FORMATS {
        let set = Make::tiny(format).dataset();
        let whole = set.all();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let (samples, errors) = read(&set, bytes);
            assert!(!errors.is_empty(), "{format} {at}");
            assert!(samples.len() <= 6);
            let known = |error: &Error| matches!(error, Error::Shard { .. } | Error::Damaged(_));
            assert!(errors.iter().all(known), "{format} {at}: {errors:?}");
        }
    }
}

#[test]
fn shards_that_come_twice_not_at_all_or_from_elsewhere_are_named() {
    for format in FORMATS {
        let set = Make::new(format).dataset();
        let shards = &set.manifest.shards;
        let last = shards.len() - 1;

        let (_, errors) = read(&set, set.joined([0, 1, 0]));
        let (named, said) = shard(&errors);
        assert_eq!(named, shards[0].path);
        assert!(said.contains("comes a second time, at byte"), "{said}");

        let (samples, errors) = read(&set, set.joined((0..last).rev()));
        let (named, said) = shard(&errors);
        assert_eq!(named, shards[last].path);
        assert!(said.ends_with("did not come in memory"), "{said}");
        assert_eq!(samples.len() as u64, 300 - shards[last].samples);

        let mut other = Make::new(format);
        other.first = 900;
        let foreign = other.dataset().shard(0);
        let (_, errors) = read(&set, [set.shard(3), foreign].concat());
        if format == "recordio" {
            // Known by their numbers, which are those of other samples here.
            assert!(matches!(errors.first(), Some(Error::Damaged(_))), "{errors:?}");
            continue;
        }
        let (named, said) = shard(&errors);
        assert_eq!(named, "memory");
        assert!(said.contains("begins no shard of the manifest"), "{said}");
    }
}

#[test]
fn records_that_are_missing_within_a_shard_are_missed() {
    // Formats whose records are whole wherever they stand.
    for format in ["tfrecord", "recordio", "recordio-protobuf"] {
        let set = Make::new(format).dataset();
        let index = shardpack_dataset::examine(&*set.store, &set.manifest, &set.manifest.shards[1]);
        let index = index.unwrap().unwrap();
        let row = index.get(4).unwrap();
        let (start, end) = (row.offset as usize, (row.offset + row.len) as usize);
        let second = set.shard(1);
        let without = [&second[..start], &second[end..]].concat();
        let rest = set.joined(2..set.manifest.shards.len());

        let (_, errors) = read(&set, [set.shard(0), without, rest.clone()].concat());
        let (named, said) = shard(&errors);
        assert_eq!(named, set.manifest.shards[1].path);
        assert!(said.contains("record 4 is "), "{said}");

        let cut = [set.shard(0), second[..start].to_vec(), rest].concat();
        let (_, errors) = read(&set, cut);
        let (named, said) = shard(&errors);
        assert_eq!(named, set.manifest.shards[1].path);
        let third = &set.manifest.shards[2].path;
        assert!(said.contains("ends before record 4 of"), "{said}");
        assert!(said.ends_with(&format!("{third} follows")), "{said}");
    }
}

/// The dataset's bytes with the first body changed of the first and the third record, of those
/// that were not split, of the first shard; numbers and keys of them.
fn changed(set: &Set) -> (Vec<u8>, Vec<(u64, String)>) {
    let row = &set.manifest.shards[0];
    let index = shardpack_dataset::examine(&*set.store, &set.manifest, row).unwrap().unwrap();
    let mut bytes = set.all();
    let mut changed = Vec::new();
    let whole = index.iter().enumerate().filter_map(|(number, said)| {
        let offset = said.fields.clone().next()?.offset?;
        Some((number as u64, said.key.to_owned(), offset as usize))
    });
    for (number, key, offset) in whole.step_by(2).take(2) {
        bytes[offset] ^= 1;
        changed.push((number, key));
    }
    (bytes, changed)
}

#[test]
fn a_damaged_record_is_named_and_the_next_call_goes_on() {
    // RecordIO has no checksum of its own, so only the index sees it.
    for format in ["webdataset", "tfrecord", "recordio", "recordio-protobuf"] {
        let set = Make::new(format).dataset();
        // Also the very first one, by which the shard is known.
        let (bytes, changed) = changed(&set);
        assert!(changed[0].0 == 0 || format.starts_with("recordio"));
        let (samples, errors) = read(&set, bytes);
        assert_eq!(samples.len(), 298, "{format}: {errors:?}");
        let damaged = errors.iter().map(|error| match error {
            Error::Damaged(skipped) => {
                assert_eq!(skipped.shard, set.manifest.shards[0].path);
                (skipped.record, skipped.key.clone())
            }
            other => panic!("{other}"),
        });
        assert_eq!(damaged.collect::<Vec<_>>(), changed);
    }
}

/// Whatever bit is wrong in a shard, no sample of it is handed out wrong, and where the framing holds
/// all others are.
#[test]
fn a_bit_that_flips_anywhere_costs_one_tfrecord_or_is_an_error() {
    let set = Make::new("tfrecord").dataset();
    let (whole, _) = read(&set, set.all());
    let row = &set.manifest.shards[0];
    let index = shardpack_dataset::examine(&*set.store, &set.manifest, row).unwrap().unwrap();
    let first = index.get(0).unwrap();
    for at in 0..first.len as usize {
        let mut bytes = set.all();
        bytes[at] ^= 0x10;
        let (samples, errors) = read(&set, bytes);
        assert_eq!(errors.len(), 1, "byte {at}: {errors:?}");
        match &errors[0] {
            Error::Damaged(skipped) => {
                assert_eq!((skipped.record, samples.len()), (0, whole.len() - 1), "byte {at}");
            }
            Error::Shard { .. } => assert!(at < 12, "byte {at}: the framing is whole"),
            other => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn damaged_records_are_replaced_and_counted_where_asked() {
    let set = Make::new("webdataset").dataset();
    let (bytes, changed) = changed(&set);
    let mut options = options(Tail::Mask);
    options.damage = Damage::Skip { most: 2 };
    let reader = set.streamed(bytes.clone(), part(0, 1), &options);
    let mut samples = reader.epoch(0);
    let real = samples.by_ref().filter(|sample| sample.as_ref().unwrap().is_real()).count();
    assert_eq!((real, samples.stats().samples), (298, 300));
    let skipped: Vec<_> = samples.stats().skipped.iter().map(|skipped| &skipped.key).collect();
    assert_eq!(skipped, [&changed[0].1, &changed[1].1]);
    options.damage = Damage::Skip { most: 1 };
    let (_, errors) = with(&set, bytes, &options);
    assert!(
        matches!(&errors[..], [Error::TooManyDamaged { most: 1, last }] if last.key == changed[1].1),
        "{errors:?}"
    );
}

#[test]
fn an_index_that_is_missing_is_named() {
    let set = Make::new("recordio").dataset();
    let index = &set.manifest.shards[2].index.path;
    shardpack_store::Store::remove(&*set.store, index).unwrap();
    let (_, errors) = read(&set, set.all());
    assert_eq!(shard(&errors).0, index);
}
