use proptest::prelude::*;
use shardpack_formats::{Schema, crc32c};

use super::*;
use crate::ErrorKind;

fn shard(path: &str, split: Option<&str>, samples: u64, digest: u128) -> Shard {
    Shard {
        path: format!("shards/{path}.tar"),
        split: split.map(str::to_owned),
        samples,
        files: 2 * samples,
        body_bytes: 100 * samples,
        bytes: 10_240,
        stream_bytes: 10_240,
        crc64nvme: 0x0011_2233_4455_6677,
        digest: Digest::from_u128(digest),
        index: Sidecar { path: format!("index/{path}.index"), bytes: 400, crc64nvme: 0xab },
        sources: None,
    }
}

fn fields(samples: u64) -> BTreeMap<String, FieldTotals> {
    let one = |bytes| FieldTotals { files: samples, bytes: bytes * samples };
    [("cls".to_owned(), one(1)), ("jpg".to_owned(), one(99))].into()
}

/// Three shards in two splits, with everything that can be there.
fn example() -> Manifest {
    let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Shuffle(42));
    manifest.tool = Tool { name: "shardpack".into(), version: "0.1.0".into() };
    let sources = b"[1,\"jpg\",\"dog/1.JPEG\"]\n";
    let sources = Some(Sidecar::of("index/train/a-00001-of-00002.sources", sources));
    for shard in [
        shard("train/a-00000-of-00002", Some("train"), 3, 7),
        Shard { sources, ..shard("train/a-00001-of-00002", Some("train"), 2, u128::MAX) },
        shard("val/a-00000-of-00001", Some("val"), 1, 1 << 127),
    ] {
        let fields = fields(shard.samples);
        manifest.push(shard, &fields).unwrap();
    }
    let classes = [("cat".to_owned(), 0), ("dog".to_owned(), 1)].into();
    manifest.labels = Some(Labels { map: Some("labels.json".into()), classes });
    manifest.options = [("target", "150000000"), ("split", "train=0.9,val=0.1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    manifest.plan = Some(Fingerprint(0xfeed));
    manifest.tombstones = vec!["cat/1".into(), "dog/\"2\"".into()];
    manifest.tombstone_places = vec![(0, 2), (1, 0)];
    manifest
}

#[test]
fn the_example_of_the_specification() {
    let spec = include_str!("SPEC.md");
    let json = spec.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(String::from_utf8(example().to_bytes().unwrap()).unwrap(), json);
    assert_eq!(Manifest::parse(json.as_bytes()).unwrap(), example());
}

#[test]
fn pushing_keeps_the_sums() {
    let manifest = example();
    let totals = Totals { samples: 6, files: 12, body_bytes: 600, shard_bytes: 30_720 };
    assert_eq!(manifest.totals, totals);
    assert_eq!(manifest.digest, Digest::from_u128((1 << 127) + 6));
    assert_eq!(manifest.fields["jpg"], FieldTotals { files: 6, bytes: 594 });
    assert_eq!(manifest.shards_of("train").unwrap().len(), 2);
    assert_eq!(manifest.shards_of("val").unwrap(), &manifest.shards[2..]);
    assert!(manifest.shards_of("test").is_none());
}

/// The crc32c of every whole index is one constant; what the manifest keeps must differ.
#[test]
fn sidecars_of_equal_length_are_told_apart() {
    let whole = |body: &[u8]| [body, &crc32c(body).to_le_bytes()].concat();
    let (a, b) = (whole(b"one index"), whole(b"two index"));
    assert_eq!(crc32c(&a), crc32c(&b));
    assert_ne!(Sidecar::of("i", &a), Sidecar::of("i", &b));
}

#[test]
fn every_cut_is_an_error() {
    let bytes = example().to_bytes().unwrap();
    for len in 0..bytes.len() {
        let error = Manifest::parse(&bytes[..len]).unwrap_err();
        assert!(error.is_damage(), "{len}: {error}");
    }
    assert!(Manifest::parse(&[&bytes[..], b"\n"].concat()).is_err());
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = example().to_bytes().unwrap();
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::parse(&damaged).is_err(), "bit {bit}");
    }
}

/// The same text with another beginning and a right checksum.
fn resealed(edit: impl FnOnce(String) -> String) -> Vec<u8> {
    let text = String::from_utf8(example().to_bytes().unwrap()).unwrap();
    let body = edit(text[..text.rfind("  \"crc32c\"").unwrap()].to_owned());
    let crc = crc32c(body.as_bytes());
    format!("{body}  \"crc32c\": \"{crc:08x}\"\n}}\n").into_bytes()
}

#[test]
fn unknown_fields_are_ignored() {
    let bytes = resealed(|text| {
        text.replace("  \"order\"", "  \"later\": [{\"x\": 1}],\n  \"order\"")
            .replace("\"stream_bytes\":", "\"mood\":\"good\",\"stream_bytes\":")
    });
    assert_eq!(Manifest::parse(&bytes).unwrap(), example());
}

#[test]
fn contradictions_are_refused_behind_a_right_checksum() {
    for (from, to, field) in [
        ("\"samples\":6", "\"samples\":7", "totals"),
        ("\"samples\":3", "\"samples\":4", "totals"),
        ("\"body_bytes\":600", "\"body_bytes\":601", "totals"),
        ("\"files\":6,\"bytes\":594", "\"files\":6,\"bytes\":593", "fields"),
        ("\"digest\": \"8", "\"digest\": \"9", "digest"),
        ("\"first_shard\":2", "\"first_shard\":1", "splits[1]"),
        ("\"first_shard\":2,\"shards\":1", "\"first_shard\":2,\"shards\":2", "splits[1]"),
        ("\"name\":\"val\"", "\"name\":\"train\"", "splits[1]"),
        ("\"name\":\"val\"", "\"name\":\"v/al\"", "splits[1]"),
        ("\"split\":\"val\"", "\"split\":\"train\"", "splits[1]"),
        ("\"dog\": 1", "\"dog\": 0", "classes"),
        ("shards/val/", "shards/../", "shards[2].path"),
        ("shards/val/a-00000-of-00001", "shards/train/a-00001-of-00002", "shards[2].path"),
        ("index/val/a-00000-of-00001.index", "labels.json", "shards[2].index.path"),
        ("train/a-00001-of-00002.sources", "train/../a.sources", "shards[1].sources.path"),
        ("a-00001-of-00002.sources", "a-00001-of-00002.index", "shards[1].sources.path"),
        ("\"stream_bytes\":10240", "\"stream_bytes\":10241", "shards[0]"),
        ("\"cat/1\",\n    \"dog/", "\"dog/1\",\n    \"cat/", "tombstones"),
        ("    [0,2],\n", "", "tombstone_places"),
        ("[0,2]", "[0,3]", "tombstone_places"),
        ("[0,2]", "[3,0]", "tombstone_places"),
        ("[0,2]", "[1,0]", "tombstone_places"),
        ("\"order\": \"shuffle:42\"", "\"order\": \"shuffle:+42\"", "order"),
        ("\"compression\": \"none\"", "\"compression\": \"lzma\"", "compression"),
        ("{\"name\":\"webdataset\"}", "{\"name\":\"mds\"}", "format"),
        ("{\"name\":\"webdataset\"}", "{\"name\":\"webdataset\",\"schema\":\"raw\"}", "format"),
    ] {
        let bytes = resealed(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let error = Manifest::parse(&bytes).unwrap_err();
        let found = error.place().field.clone().unwrap_or_default();
        assert_eq!(found, field, "{from} -> {to}: {error}");
    }
}

#[test]
fn sums_that_overflow_are_refused() {
    let mut manifest = Manifest::new(RecordFormat::new("tfrecord"), Order::Key);
    let huge = Shard { bytes: u64::MAX, stream_bytes: u64::MAX, ..shard("a", None, 0, 0) };
    manifest.push(huge.clone(), &BTreeMap::new()).unwrap();
    assert!(manifest.push(huge, &BTreeMap::new()).is_err());
}

#[test]
fn kinds_tell_a_caller_what_to_do() {
    let kind = |bytes: &[u8]| Manifest::parse(bytes).unwrap_err().kind().clone();
    assert!(matches!(kind(b""), ErrorKind::Truncated { .. }));
    assert!(matches!(kind(b"{}"), ErrorKind::NotThis { .. }));
    assert!(matches!(kind(b"[1]"), ErrorKind::NotThis { .. }));
    assert!(matches!(kind(b"\x1f\x8b"), ErrorKind::NotThis { .. }));
    let later = b"{\"kind\": \"shardpack-dataset\", \"version\": 3, \"all\": \"new\"}";
    assert_eq!(kind(later), ErrorKind::Version { found: 3, newest: 2 });
    let edited = example().to_bytes().unwrap().escape_ascii().to_string();
    assert!(matches!(kind(edited.as_bytes()), ErrorKind::Corrupt { .. }));
    let format = resealed(|text| text.replace("webdataset", "mds"));
    assert!(matches!(kind(&format), ErrorKind::Unsupported { .. }));
    let line = Manifest::parse(&resealed(|t| t.replace("\"order\": ", "\"order\": 5, \"o\": ")));
    assert_eq!(line.unwrap_err().place().line, Some(7));
}

/// The example after a change: the digest of what is live in it is not told by its sums.
fn changed() -> Manifest {
    let version = |event, digest, samples, shards, new_shards| Version {
        event,
        digest: Digest::from_u128(digest),
        samples,
        shards,
        new_shards,
    };
    let history = vec![version(Event::Pack, 5, 6, 3, 3), version(Event::Delete, 9, 4, 3, 0)];
    Manifest { history, ..example() }
}

#[test]
fn versions_are_told_apart() {
    let manifest = changed();
    let bytes = manifest.to_bytes().unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    assert_eq!(manifest.live_digest(), Some(Digest::from_u128(9)));
    assert_eq!((manifest.number(), manifest.live()), (2, 4));
    for (digest, numbers) in [(5, vec![1]), (9, vec![2]), (7, vec![])] {
        assert_eq!(manifest.versions_of(Digest::from_u128(digest)), numbers);
    }
    assert_eq!(manifest.versions(Digest::default()), manifest.history);

    let marked = example();
    assert_eq!((marked.live_digest(), marked.number()), (None, 1));
    let fresh = Manifest { tombstones: vec![], tombstone_places: vec![], ..example() };
    assert_eq!(fresh.live_digest(), Some(fresh.digest));
    assert_eq!(fresh.versions_of(fresh.digest), [1]);
    assert_eq!(fresh.versions(fresh.digest)[0].event, Event::Pack);

    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("{\"event\":\"delete\",\"digest\":"), "{text}");
    let other =
        Manifest { history: vec![Version { samples: 5, ..manifest.history[1] }], ..example() };
    assert!(other.check().unwrap_err().to_string().contains("the last version has 5 samples"));
    let other = Manifest { history: changed().history, ..fresh };
    assert!(other.check().is_err(), "six samples are live");
}

#[test]
fn events_of_later_releases_are_taken() {
    let json = serde_json::to_string(&changed().history[0]).unwrap().replace("pack", "dream");
    let version: Version = serde_json::from_str(&json).unwrap();
    assert_eq!(version.event, Event::Other);
}

#[test]
fn by_place_keys_may_stand_several_times() {
    let mut manifest = example();
    manifest.bury([("cat/1".to_owned(), (2, 0)), ("cat/1".to_owned(), (0, 2))]);
    assert_eq!(manifest.tombstone_places, [(0, 2), (2, 0), (1, 0)]);
    assert!(manifest.check().unwrap_err().to_string().contains("twice"));
    manifest.by_place = true;
    let bytes = manifest.to_bytes().unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"version\": 2,"));
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    manifest.tombstone_places.clear();
    assert!(manifest.check().is_err(), "keys decide nothing");
}

#[test]
fn shards_come_and_go_with_their_sums_and_marks() {
    let manifest = example();
    let all: Vec<usize> = (0..3).collect();
    let new = |path: &str, split: &str| (shard(path, Some(split), 2, 20), fields(2));
    let grown = manifest
        .rebuilt(
            &all,
            &BTreeMap::new(),
            vec![new("val/b", "val"), new("train/b", "train"), new("t", "test")],
        )
        .unwrap();
    grown.check().unwrap();
    let names: Vec<_> = grown.splits.iter().map(|s| (s.name.as_str(), s.shards)).collect();
    assert_eq!(names, [("train", 3), ("val", 2), ("test", 1)]);
    assert_eq!(grown.digest - manifest.digest, Digest::from_u128(60));
    assert_eq!(grown.tombstone_places, manifest.tombstone_places);
    // Behind the new shard of a split before theirs, marks have another number.
    let less =
        grown.rebuilt(&[1, 3], &fields(3 + 2 + 2 + 2), vec![new("train/a", "train")]).unwrap();
    less.check().unwrap();
    assert_eq!(less.tombstones, ["dog/\"2\""]);
    assert_eq!(less.tombstone_places, [(0, 0)]);
    assert_eq!((less.shards.len(), less.totals.samples), (3, 5));
    assert!(manifest.rebuilt(&[1, 0], &BTreeMap::new(), vec![]).is_err());
    assert!(manifest.rebuilt(&[9], &BTreeMap::new(), vec![]).is_err());
    assert!(manifest.rebuilt(&[], &fields(7), vec![]).is_err(), "more than there is");
}

/// An overlay of the example.
fn overlay() -> Manifest {
    let base = Base::of(&example(), Digest::from_u128(9), Some("../images".into()));
    Manifest { base: Some(base), ..example() }
}

#[test]
fn an_overlay_says_what_it_lies_over() {
    let bytes = overlay().to_bytes().unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap(), overlay());
    let text = String::from_utf8(bytes).unwrap();
    let line = text.lines().find(|line| line.starts_with("  \"base\": ")).unwrap();
    assert!(line.ends_with("\"samples\":6,\"shards\":3,\"place\":\"../images\"},"), "{line}");

    let base = overlay().base.unwrap();
    let with = |base| Manifest { base: Some(base), ..example() };
    for (wrong, told) in [
        (with(Base { samples: 7, ..base.clone() }), "6 samples in 3 shards over 7 in 3"),
        (with(Base { shards: 2, ..base.clone() }), "over 6 in 2"),
        (with(Base { place: Some(String::new()), ..base.clone() }), "no place"),
        (with(Base { place: Some("a\nb".into()), ..base.clone() }), "no place"),
        (with(Base { place: Some("a".repeat(1 << 17)), ..base }), "131072"),
    ] {
        let error = wrong.to_bytes().unwrap_err();
        assert_eq!(error.place().field.as_deref(), Some("base"));
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn an_overlay_knows_its_base() {
    let base = overlay().base.unwrap();
    // Marks of deletion are no other shards.
    let unmarked = Manifest { tombstones: vec![], tombstone_places: vec![], ..example() };
    for same in [example(), changed(), unmarked] {
        assert_eq!(base.differs(&same), None);
    }
    let mut grown = changed();
    grown.shards[0].samples += 1;
    let mut swapped = example();
    swapped.shards.swap(0, 1);
    let version_1 = Base { digest: Digest::from_u128(5), ..base.clone() };
    let now = Base { digest: swapped.digest, ..base.clone() };
    swapped.tombstones.clear();
    for (base, found, told) in [
        (&version_1, &grown, "changed since its version 1: make the overlay anew"),
        (&base, &swapped, "another dataset or one that was made anew"),
        (&now, &swapped, "the same samples in other shards or another order"),
    ] {
        let reason = base.differs(found).unwrap();
        for told in [told, &base.digest.to_string(), "`shardpack join --overlay`"] {
            assert!(reason.contains(told), "{told:?} is not in {reason}");
        }
        let digest = found.live_digest().unwrap().to_string();
        assert!(reason.contains(&digest), "{digest} is not in {reason}");
    }
}

#[test]
fn formats_keep_their_choices() {
    let mut tfrecord = RecordFormat::new("tfrecord");
    tfrecord.options.schema = Schema::Image;
    let mut protobuf = RecordFormat::new("recordio-protobuf");
    protobuf.options.dmlc_parts = true;
    for (format, text) in [
        (tfrecord, "{\"name\":\"tfrecord\",\"schema\":\"image\"}"),
        (protobuf, "{\"name\":\"recordio-protobuf\",\"parts\":\"dmlc\"}"),
        (RecordFormat::new("recordio"), "{\"name\":\"recordio\"}"),
    ] {
        let mut manifest = Manifest::new(format, Order::Source);
        manifest.compression = Compression::Gzip;
        let bytes = manifest.to_bytes().unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(text), "{text}");
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    }
}

#[test]
fn ten_thousand_shards_stay_small() {
    let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Key);
    for i in 0..10_000 {
        manifest.push(shard(&format!("a-{i:05}-of-10000"), None, 1400, i), &fields(1400)).unwrap();
    }
    let bytes = manifest.to_bytes().unwrap();
    assert!(bytes.len() < 10_000 * 400, "{}", bytes.len());
    assert_eq!(
        bytes.split(|&b| b == b'\n').filter(|l| l.starts_with(b"    {\"path\"")).count(),
        10_000
    );
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
}

proptest! {
    #[test]
    fn round_trip(
        shards in prop::collection::vec((0u64..1 << 40, any::<u128>(), any::<u64>()), 0..8),
        options in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        classes in prop::option::of(prop::collection::btree_set(any::<String>(), 0..4)),
        seed in any::<u64>(),
        train in 0usize..9,
    ) {
        let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Shuffle(seed));
        for (i, (samples, digest, crc64nvme)) in shards.iter().enumerate() {
            let split = if i < train { "train" } else { "val" };
            let mut shard = shard(&format!("{split}/{i}"), Some(split), *samples, *digest);
            if *samples == 0 { shard.digest = Digest::default(); }
            shard.crc64nvme = *crc64nvme;
            shard.index.crc64nvme = *crc64nvme;
            let path = format!("index/{i}.sources");
            shard.sources = (crc64nvme % 2 == 0).then_some(Sidecar { path, bytes: *samples, crc64nvme: *crc64nvme });
            manifest.push(shard, &fields(*samples)).unwrap();
        }
        manifest.options = options;
        manifest.labels = classes.map(|c| Labels { map: None, classes: c.into_iter().zip(0..).collect() });
        let bytes = manifest.to_bytes().unwrap();
        prop_assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::parse(&bytes).is_err());
    }

    #[test]
    fn resealed_edits_never_panic(at in any::<prop::sample::Index>(), text in "[0-9\"{}\\[\\],:a-z-]{0,6}") {
        let bytes = resealed(|body| {
            let at = at.index(body.len());
            format!("{}{text}{}", &body[..at], &body[at..])
        });
        if let Ok(manifest) = Manifest::parse(&bytes) {
            prop_assert!(manifest.to_bytes().is_ok());
        }
    }
}
