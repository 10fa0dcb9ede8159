use proptest::prelude::*;

use super::*;
use crate::{ErrorKind, Labels, Manifest, Order, RecordFormat, Shard, Sidecar};

fn manifest(format: &str, shards: &[(&str, Option<&str>)]) -> Manifest {
    let mut manifest = Manifest::new(RecordFormat::new(format), Order::Key);
    for (path, split) in shards {
        let shard = Shard {
            path: (*path).into(),
            split: split.map(str::to_owned),
            samples: 0,
            files: 0,
            body_bytes: 0,
            bytes: 1,
            stream_bytes: 1,
            crc64nvme: 0,
            digest: Default::default(),
            index: Sidecar { path: format!("index/{path}"), bytes: 0, crc64nvme: 0 },
            sources: None,
        };
        manifest.push(shard, &Default::default()).unwrap();
    }
    manifest
}

const SPLIT: &[(&str, Option<&str>)] = &[
    ("shards/train/a.tfrecord", Some("train")),
    ("shards/train/b.tfrecord", Some("train")),
    ("shards/val/a.tfrecord", Some("val")),
];

#[test]
fn channels_per_split_in_the_words_of_the_api() {
    let manifest = manifest("tfrecord", SPLIT);
    let mut channels =
        channels(&manifest, PLACEHOLDER, InputMode::Pipe, Distribution::ShardedByS3Key).unwrap();
    channels[0].shuffle_seed = Some(42);
    let json: serde_json::Value = serde_json::from_slice(&to_json(&channels).unwrap()).unwrap();
    let want = serde_json::json!([
        {
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": "s3://BUCKET/PREFIX/shards/train/",
                "S3DataDistributionType": "ShardedByS3Key"
            }},
            "ContentType": "application/x-tfrecord",
            "InputMode": "Pipe",
            "ShuffleConfig": {"Seed": 42}
        },
        {
            "ChannelName": "val",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": "s3://BUCKET/PREFIX/shards/val/",
                "S3DataDistributionType": "ShardedByS3Key"
            }},
            "ContentType": "application/x-tfrecord",
            "InputMode": "Pipe"
        }
    ]);
    assert_eq!(json, want);
}

#[test]
fn every_mode_takes_what_was_packed() {
    let manifest = manifest("webdataset", &[("shards/a.tar", None), ("shards/b.tar", None)]);
    for (mode, name) in
        [(InputMode::File, "File"), (InputMode::FastFile, "FastFile"), (InputMode::Pipe, "Pipe")]
    {
        let channels = channels(&manifest, "s3://b/", mode, Distribution::FullyReplicated).unwrap();
        assert_eq!(channels[0].name, "train");
        assert_eq!(channels[0].s3_uri, "s3://b/shards/");
        assert_eq!(channels[0].content_type, None);
        let json: serde_json::Value = serde_json::from_slice(&to_json(&channels).unwrap()).unwrap();
        assert_eq!(json[0]["InputMode"], name);
    }
}

#[test]
fn a_channel_never_takes_more_than_its_split() {
    let refused = |manifest: &Manifest| {
        let result = channels(manifest, "s3://b/", InputMode::File, Distribution::FullyReplicated);
        matches!(result.unwrap_err().kind(), ErrorKind::Unsupported { .. })
    };
    assert!(refused(&manifest("webdataset", &[("a.tar", None)])), "at the root");
    assert!(
        refused(&manifest("webdataset", &[("s/a.tar", None), ("t/b.tar", None)])),
        "two folders"
    );
    let mixed = [("s/a.tar", Some("train")), ("s/b.tar", Some("val"))];
    assert!(refused(&manifest("webdataset", &mixed)), "two splits");
    let nested = [("s/a.tar", Some("train")), ("s/val/b.tar", Some("val"))];
    assert!(refused(&manifest("webdataset", &nested)), "a split below");
    let mut labels = manifest("webdataset", &[("s/a.tar", None)]);
    labels.labels = Some(Labels { map: Some("s/labels.json".into()), ..Labels::default() });
    assert!(refused(&labels), "labels beside the shards");
    assert!(refused(&manifest("webdataset", &[])), "no shards");
}

#[test]
fn what_the_api_refuses_is_refused_here() {
    let good = Channel {
        name: "train".into(),
        s3_uri: "s3://b/shards/".into(),
        data_type: DataType::S3Prefix,
        distribution: Distribution::FullyReplicated,
        content_type: None,
        mode: InputMode::Pipe,
        shuffle_seed: Some(1),
    };
    assert!(to_json(std::slice::from_ref(&good)).is_ok());
    let with = |edit: &dyn Fn(&mut Channel)| {
        let mut channel = good.clone();
        edit(&mut channel);
        to_json(&[channel]).is_err()
    };
    assert!(with(&|c| c.name = String::new()));
    assert!(with(&|c| c.name = "n".repeat(65)));
    assert!(with(&|c| c.name = "a/b".into()));
    assert!(with(&|c| c.s3_uri = "b/shards/".into()));
    assert!(with(&|c| c.s3_uri = format!("s3://b/{}", "k".repeat(1024))));
    assert!(with(&|c| c.content_type = Some("t".repeat(257))));
    assert!(with(&|c| c.shuffle_seed = Some(1 << 63)));
    assert!(with(&|c| c.mode = InputMode::File));
    let fast = |c: &mut Channel| (c.mode, c.shuffle_seed) = (InputMode::FastFile, None);
    assert!(!with(&fast));
    assert!(with(&|c| {
        fast(c);
        c.s3_uri = "s3://b/sha".into();
    }));
    assert!(with(&|c| {
        fast(c);
        c.data_type = DataType::ManifestFile;
    }));
    assert!(with(&|c| c.data_type = DataType::AugmentedManifestFile), "attributes are not written");
    assert!(to_json(&[]).is_err());
    assert!(to_json(&[good.clone(), good.clone()]).is_err());
    let named = |i: usize| Channel { name: i.to_string(), ..good.clone() };
    assert!(to_json(&(0..20).map(named).collect::<Vec<_>>()).is_ok());
    assert!(to_json(&(0..21).map(named).collect::<Vec<_>>()).is_err());
}

#[test]
fn manifest_files_of_others() {
    let text = br#" [ {"prefix": "s3://customer_bucket/some/prefix/"}, "relative/path/to/custdata-1", "x y" ] "#;
    let file = ManifestFile::parse(text).unwrap();
    assert_eq!(file.suffixes().len(), 2);
    assert_eq!(
        file.uris().next().unwrap(),
        "s3://customer_bucket/some/prefix/relative/path/to/custdata-1"
    );
    // No slash is added: a prefix may be part of a name.
    let file = ManifestFile::parse(br#"[{"prefix":"s3://b/train-"},"1.rec"]"#).unwrap();
    assert_eq!(file.uris().next().unwrap(), "s3://b/train-1.rec");
}

#[test]
fn manifest_files_of_local_objects() {
    for (prefix, uri, path) in [
        ("file:///data/", "file:///data/a.jpg", "/data/a.jpg"),
        ("/data/x-", "/data/x-a.jpg", "/data/x-a.jpg"),
        ("data/", "data/a.jpg", "data/a.jpg"),
    ] {
        let text = format!("\u{feff}[{{\"prefix\":\"{prefix}\"}},\"a.jpg\"]");
        let file = ManifestFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.uris().next().as_deref(), Some(uri));
        assert_eq!(local_path(uri), Some(path));
    }
    assert!(ManifestFile::new("/data/", ["a"]).is_err(), "SageMaker reads no local files");
}

#[test]
fn duplicates_of_a_manifest_file() {
    let file = ManifestFile::parse(br#"[{"prefix":"s3://b/"},"c","a","c","b","a","c"]"#).unwrap();
    assert_eq!(file.duplicates(), [(1, 3), (2, 5), (1, 6)]);
    assert_eq!(ManifestFile::new("s3://b/", ["a", "b"]).unwrap().duplicates(), []);
}

#[test]
fn bad_manifest_files() {
    let long = format!("[{{\"prefix\":\"s3://b/\"}},\"{}\"]", "k".repeat(1025));
    for (text, kind, field, words) in [
        ("", "Truncated", None, "ends"),
        (r#"[{"prefix":"s3://b/"},"a""#, "Truncated", None, "ends"),
        (r#"[{"prefix":"s3://b/"},"a"]x"#, "Corrupt", None, "trailing"),
        (r#"[{'prefix':"s3://b/"},"a"]"#, "Corrupt", None, "key must be a string"),
        ("{}", "NotThis", None, "no JSON array"),
        ("[]", "NotThis", None, "empty"),
        (r#"["a","b"]"#, "NotThis", None, "no object with a prefix"),
        (r#"[{"Prefix":"s3://b/"},"a"]"#, "NotThis", None, "has no prefix"),
        (r#"[{"prefix":5},"a"]"#, "Corrupt", Some("[0]"), "expected a string"),
        (r#"[{"prefix":"s3://b/","prefix":"s3://c/"},"a"]"#, "Corrupt", Some("[0]"), "duplicate"),
        (r#"[{"prefix":""},"a"]"#, "Name", Some("[0].prefix"), "is empty; write"),
        (r#"[{"prefix":"s3:///"},"a"]"#, "Name", Some("[0].prefix"), "of the form"),
        (r#"[{"prefix":"gs://b/"},"a"]"#, "Name", Some("[0].prefix"), "none of s3://"),
        (r#"[{"prefix":"file://b/"},"a"]"#, "Name", Some("[0].prefix"), "write file:///"),
        (r#"[{"prefix":"s3://b/"}]"#, "Unsupported", None, "at least one"),
        (
            r#"[{"prefix":"s3://b/"},"a",{"prefix":"s3://c/"}]"#,
            "Unsupported",
            Some("[2]"),
            "another manifest",
        ),
        (r#"[{"prefix":"s3://b/"},"a","b",5]"#, "Corrupt", Some("[3]"), "between double quotes"),
        (r#"[{"prefix":"s3://b/"},["a"]]"#, "Corrupt", Some("[1]"), "between double quotes"),
        (r#"[{"prefix":"s3://b/"},"\ud800"]"#, "Corrupt", Some("[1]"), "hex escape"),
        (r#"[{"prefix":"s3://b/"},"a\nb"]"#, "Name", Some("[1]"), "control character"),
        (r#"[{"prefix":"s3://b/"},"a","b/"]"#, "Name", Some("[2]"), "names a folder"),
        (r#"[{"prefix":"s3://b"},"ucket/a"]"#, "Name", Some("[1]"), "end the prefix with a slash"),
        (&long, "Name", Some("[1]"), "longer than 1024 bytes"),
    ] {
        let error = ManifestFile::parse(text.as_bytes()).unwrap_err();
        let said = error.to_string();
        assert!(format!("{:?}", error.kind()).starts_with(kind), "{text}: {said}");
        assert_eq!(error.place().field.as_deref(), field, "{text}: {said}");
        assert!(said.contains(words), "{text}: {said}");
    }
    assert!(ManifestFile::new("s3://b/p", ["a"]).is_err(), "no slash");
    assert!(ManifestFile::new("s3://b/p/", ["../a"]).is_err(), "leads out");
    assert!(ManifestFile::new("s3://b/p/", Vec::<String>::new()).is_err(), "empty");
}

proptest! {
    #[test]
    fn manifest_files_come_back(paths in prop::collection::vec("[a-z\"\u{e9} ]{1,8}(/[a-z]{1,3})?", 1..6)) {
        let file = ManifestFile::new(PLACEHOLDER, paths).unwrap();
        prop_assert_eq!(ManifestFile::parse(&file.to_bytes()).unwrap(), file);
    }

    /// Whatever is accepted is written as itself, however it was spelled.
    #[test]
    fn manifest_files_of_others_come_back(prefix in prop::sample::select(vec!["s3://b/", "s3://b/x-", "https://h/", "file:///d/", "/d/", "d"]), suffixes in prop::collection::vec(any::<String>(), 1..5)) {
        let entries = [serde_json::json!({"prefix": prefix, "other": 1})];
        let text = serde_json::Value::from_iter(entries.into_iter().chain(suffixes.into_iter().map(Into::into)));
        if let Ok(file) = ManifestFile::parse(format!("{text:#}").as_bytes()) {
            prop_assert_eq!(ManifestFile::parse(&file.to_bytes()).unwrap(), file);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}\",:a-z/0-9]{0,60}") {
        let _ = ManifestFile::parse(&bytes);
        let _ = ManifestFile::parse(text.as_bytes());
    }
}
