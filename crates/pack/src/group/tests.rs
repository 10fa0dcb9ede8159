use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;
use shardpack_store::ListingBuilder;

use super::*;
use crate::measure::measure;
use crate::options::Grouping;

/// A listing of files in the given order, one byte each.
pub(crate) fn listing(paths: &[&str]) -> Listing {
    let mut builder = ListingBuilder::default();
    let mut dirs = BTreeMap::new();
    for path in paths {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let id = *dirs.entry(dir.to_string()).or_insert_with(|| builder.dir(dir.as_bytes()));
        builder.file(id, name.as_bytes(), 1, 0);
    }
    builder.finish(Vec::new())
}

fn show(samples: &Samples<'_>) -> Vec<String> {
    let mut key = String::new();
    (0..samples.len() as SampleId)
        .map(|s| {
            samples.key(s, &mut key);
            let fields: Vec<_> = samples.members(s).iter().map(|f| samples.field(*f)).collect();
            format!("{key}:{}", fields.join(","))
        })
        .collect()
}

fn options() -> PackOptions {
    PackOptions::default()
}

#[test]
fn files_share_a_sample_up_to_the_first_dot() {
    for (paths, want) in [
        (vec!["b.txt", "a.jpg", "a.json"], vec!["a:jpg,json", "b:txt"]),
        (vec!["d/a.seg.PNG", "d/a.jpg"], vec!["d/a:jpg,seg.png"]),
        (vec!["d.v1/a.jpg", "d.v1/b.jpg"], vec!["d.v1/a:jpg", "d.v1/b:jpg"]),
        // '-' sorts before '.', so these names interleave in byte order of their stems.
        (vec!["a-b.jpg", "a.jpg", "a-b.txt", "a.txt"], vec!["a-b:jpg,txt", "a:jpg,txt"]),
        (vec!["x/a.jpg", "y/a.jpg"], vec!["x/a:jpg", "y/a:jpg"]),
        (vec!["ä/ö.jpg"], vec!["ä/ö:jpg"]),
    ] {
        let listing = listing(&paths);
        let samples = group(&listing, &options()).unwrap();
        assert_eq!(show(&samples), want, "{paths:?}");
    }
}

#[test]
fn a_pattern_names_key_and_field() {
    let listing = listing(&["img/1.jpg", "ann/1.json", "img/2.jpg", "ann/2.json"]);
    let grouped = |pattern: &str| {
        let grouping = Grouping::Pattern(Regex::new(pattern).unwrap());
        let options = PackOptions { grouping, ..options() };
        group(&listing, &options).map(|samples| show(&samples)).map_err(|error| error.to_string())
    };
    for (pattern, want) in [
        // The key in the name, in the folder, across both; the field in either.
        (r"^(?<field>img|ann)/(?<key>[^.]+)\.", &["1:ann,img", "2:ann,img"][..]),
        (r"(?<key>.+?)/.\.(?<field>.*)", &["ann:json", "img:jpg"]),
        (r"^..(?<key>.*)\.(?<field>.*)$", &["g/1:jpg", "g/2:jpg", "n/1:json", "n/2:json"]),
    ] {
        match grouped(pattern) {
            Ok(samples) => assert_eq!(samples, want, "{pattern}"),
            // Two files of one folder are the same field of the sample that is named after it.
            Err(error) => {
                assert!(error.contains("ann/1.json and ann/2.json"), "{pattern}: {error}");
            }
        }
    }
    for pattern in [r"(?<key>img.+)\.(?<field>.*)", r"(?<key>x?)(?<field>g)"] {
        let error = grouped(pattern).unwrap_err();
        assert!(error.contains("ann/1.json: --group does not match"), "{pattern}: {error}");
    }
}

#[test]
fn names_that_cannot_be_split_are_refused_or_skipped() {
    let names: Vec<String> = (0..25).map(|i| format!("d/noext{i:02}")).collect();
    let mut paths: Vec<&str> = names.iter().map(String::as_str).collect();
    paths.extend(["d/.hidden.jpg", "d/a.", "d/fine.jpg"]);
    let listing = listing(&paths);
    let error = group(&listing, &options()).unwrap_err();
    let Error::Refused { examples, count, .. } = &error else { panic!("{error}") };
    assert_eq!((examples.len(), *count), (10, 27));
    assert!(error.to_string().contains("and 17 more (27 in all)"), "{error}");

    let skip = PackOptions { bad_names: Policy::Skip, ..options() };
    let samples = group(&listing, &skip).unwrap();
    assert_eq!(show(&samples), ["d/fine:jpg"]);
    assert_eq!(samples.skipped[0].1, 27);

    let bare = PackOptions { bare_field: Some("bin".into()), bad_names: Policy::Skip, ..options() };
    let samples = group(&listing, &bare).unwrap();
    assert_eq!(samples.len(), 26);
    assert!(show(&samples).contains(&"d/noext07:bin".to_string()));
}

#[test]
fn fields_that_fold_together_are_refused_with_both_paths() {
    let listing = listing(&["d/a.JPG", "d/a.jpg"]);
    let error = group(&listing, &options()).unwrap_err().to_string();
    assert!(error.contains("d/a.JPG and d/a.jpg"), "{error}");
}

#[test]
fn required_fields_follow_their_policy() {
    let listing = listing(&["a.jpg", "a.json", "b.jpg"]);
    let require = |missing| PackOptions { required: vec!["json".into()], missing, ..options() };
    let error = group(&listing, &require(Policy::Error)).unwrap_err().to_string();
    assert!(error.contains("b: has jpg, lacks json"), "{error}");
    let skipped = group(&listing, &require(Policy::Skip)).unwrap();
    assert_eq!(show(&skipped), ["a:jpg,json"]);
    assert_eq!(skipped.skipped, [("samples without a required field".to_string(), 1)]);
    let allowed = group(&listing, &require(Policy::Allow)).unwrap();
    assert_eq!(show(&allowed), ["a:jpg,json", "b:jpg"]);
}

#[test]
fn an_empty_source_says_what_was_left_out() {
    let mut builder = ListingBuilder::default();
    builder.dir(b"");
    let listing = builder.finish(vec![("hidden files".into(), 3)]);
    let error = group(&listing, &options()).unwrap_err().to_string();
    assert!(error.contains("3 hidden files"), "{error}");
}

#[test]
fn orders() {
    let listing = listing(&["b.jpg", "a-c.jpg", "a/z.jpg", "c.jpg"]);
    let samples = group(&listing, &options()).unwrap();
    let keys = |order| {
        let mut key = String::new();
        let options = PackOptions { order, ..options() };
        let format = shardpack_formats::open("webdataset", &Default::default()).unwrap();
        let hashes = measure(&samples, &*format, &options).hashes;
        samples
            .ordered(order, hashes)
            .into_iter()
            .map(|s| {
                samples.key(s, &mut key);
                key.clone()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(Order::Key), ["a-c", "a/z", "b", "c"]);
    assert_eq!(keys(Order::Source), ["b", "a-c", "a/z", "c"]);
    assert_ne!(keys(Order::Shuffle(1)), keys(Order::Shuffle(2)));
    assert_eq!(keys(Order::Shuffle(1)), keys(Order::Shuffle(1)));
}

proptest! {
    /// The order of the listing does not matter, and every file is in exactly one sample.
    #[test]
    fn grouping_equals_a_map(
        paths in prop::collection::hash_set("[ab]{1,2}(/[ab-]{1,2})?\\.(jpg|txt|a\\.b)", 1..40),
        seed in any::<u64>(),
    ) {
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.sort_by_key(|p| crate::hash(p, seed));
        let mut model = BTreeMap::<String, Vec<String>>::new();
        for path in &paths {
            let dot = path.rfind('/').map_or(0, |s| s + 1);
            let dot = dot + path[dot..].find('.').unwrap();
            model.entry(path[..dot].into()).or_default().push(path[dot + 1..].into());
        }
        let want: Vec<String> = model
            .into_iter()
            .map(|(key, mut fields)| { fields.sort(); format!("{key}:{}", fields.join(",")) })
            .collect();
        let listing = listing(&paths);
        let samples = group(&listing, &options()).unwrap();
        let mut got = show(&samples);
        got.sort();
        let mut want = want;
        want.sort();
        prop_assert_eq!(got, want);
    }
}
