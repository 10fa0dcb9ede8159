use proptest::prelude::*;
use shardpack_formats::{Compression, Label};

use super::mxnet::{Keys, LstLine};
use super::wds::Version;
use super::*;
use crate::{ErrorKind, IndexBuilder, IndexEntry, IndexField, ShardFile};

const DALI_WDS: &[u8] = include_bytes!("../../../../testdata/webdataset/v1.2.idx");
const DALI_TFRECORD: &[u8] =
    include_bytes!("../../../../testdata/tfrecord/dali_extra_small_coco.idx");
const MXNET_IMAGES: &[u8] = include_bytes!("../../../../testdata/recordio/golden/images.idx");

/// Key, id, labels, fields as (name, body offset in the record, length); records of 2048 bytes.
type Row<'a> = (&'a str, u64, &'a [f64], &'a [(&'a str, u64, u64)]);

fn index_of(format: &str, compression: Compression, rows: &[Row<'_>]) -> Index<'static> {
    let mut builder = IndexBuilder::default();
    for (i, (key, id, values, fields)) in rows.iter().enumerate() {
        let offset = 2048 * i as u64;
        let fields: Vec<_> = (fields.iter())
            .map(|&(name, at, len)| IndexField { name, offset: Some(offset + at), len, crc32c: 0 })
            .collect();
        let label = Label { values: values.to_vec(), text: None };
        let entry = IndexEntry {
            key,
            id: *id,
            label: &label,
            offset,
            len: 2048,
            crc32c: 0,
            fields: &fields,
        };
        builder.push(&entry).unwrap();
    }
    let bytes = 2048 * rows.len() as u64 + 1024;
    let format = format.to_owned();
    let shard = ShardFile { format, compression, stream_bytes: bytes, bytes, crc64nvme: 0 };
    Index::parse(builder.finish(&shard).unwrap()).unwrap()
}

fn index(format: &str, rows: &[Row<'_>]) -> Index<'static> {
    index_of(format, Compression::None, rows)
}

const TWO: &[Row<'_>] = &[
    ("d/a", 10, &[1.0], &[("cls", 512, 1), ("seg.png", 1536, 9)]),
    ("d/b", 11, &[2.0, 0.5], &[("jpg", 512, 5)]),
];
const SINGLE: &[Row<'_>] =
    &[("d/a", 10, &[], &[("jpg", 32, 1)]), ("d/b", 11, &[2.0, 0.5], &[("jpg", 32, 5)])];

fn is_name<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result.unwrap_err().kind(), ErrorKind::Name { .. })
}

fn is_unsupported<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result.unwrap_err().kind(), ErrorKind::Unsupported { .. })
}

#[test]
fn dali_wds_text() {
    let shard = index("webdataset", TWO);
    let text = wds::write(&shard, Version::V1_2).unwrap();
    assert_eq!(text, "v1.2 2\ncls 512 1 d/a.cls seg.png 1536 9 d/a.seg.png\njpg 2560 5 d/b.jpg\n");
    let text = wds::write(&shard, Version::V1_1).unwrap();
    assert_eq!(text, "v1.1 2\ncls 512 1 seg.png 1536 9\njpg 2560 5\n");
}

#[test]
fn dali_wds_refuses_what_dali_cannot_read() {
    let write = |key, ext| {
        wds::write(&index("webdataset", &[(key, 0, &[], &[(ext, 512, 1)])]), Version::V1_2)
    };
    assert!(write("a", "jpg").is_ok());
    for (key, ext) in
        [("a b", "jpg"), ("a\tb", "jpg"), ("a\u{a0}b", "jpg"), ("a", ""), ("a", "j g")]
    {
        assert!(is_name(write(key, ext)), "{key:?} {ext:?}");
    }
    let spaced = index("webdataset", &[("a b", 0, &[], &[("jpg", 512, 1)])]);
    assert!(wds::write(&spaced, Version::V1_1).is_ok());
    assert!(is_unsupported(wds::write(&index("webdataset", &[]), Version::V1_2)));
    assert!(is_unsupported(wds::write(&index("tfrecord", TWO), Version::V1_2)));
    let gzip = index_of("webdataset", Compression::Gzip, TWO);
    assert!(is_unsupported(wds::write(&gzip, Version::V1_2)));
    let odd = index("webdataset", &[("a", 0, &[], &[("jpg", 513, 1)])]);
    assert!(wds::write(&odd, Version::V1_2).unwrap_err().is_damage());
}

#[test]
fn dali_wds_of_dali_extra() {
    let parsed = wds::parse(DALI_WDS).unwrap();
    assert_eq!((parsed.version, parsed.samples.len()), (Version::V1_2, 47));
    let swan = &parsed.samples[1];
    assert_eq!((swan[0].ext.as_str(), swan[0].offset, swan[0].size), ("cls", 168_960, 3));
    assert_eq!(swan[1].name.as_deref(), Some("single_cpy/jpeg/100/swan-3584559_640.jpg"));
    let mut bytes = DALI_WDS.to_vec();
    bytes[3] = b'9';
    assert!(matches!(wds::parse(&bytes).unwrap_err().kind(), ErrorKind::NotThis { .. }));
}

#[test]
fn ours_read_back() {
    for version in [Version::V1_1, Version::V1_2] {
        let parsed = wds::parse(wds::write(&index("webdataset", TWO), version).unwrap().as_bytes());
        let parsed = parsed.unwrap();
        assert_eq!((parsed.version, parsed.samples.len()), (version, 2));
        assert_eq!(parsed.samples[0][1].offset, 1536);
        let name = (version == Version::V1_2).then(|| "d/a.seg.png".to_owned());
        assert_eq!(parsed.samples[0][1].name, name);
    }
    let shard = index("tfrecord", SINGLE);
    let text = tfrecord::write(&shard).unwrap();
    assert_eq!(text, "0 2048\n2048 2048\n");
    assert_eq!(tfrecord::parse(text.as_bytes()).unwrap(), [(0, 2048), (2048, 2048)]);
}

#[test]
fn every_cut_of_a_foreign_index_is_noticed_or_a_whole_line() {
    for len in 0..DALI_WDS.len() {
        assert!(wds::parse(&DALI_WDS[..len]).unwrap_err().is_damage(), "{len}");
    }
    for len in 0..DALI_TFRECORD.len() {
        // The text has no count: a cut between lines cannot be seen.
        let whole = len == 0 || DALI_TFRECORD[len - 1] == b'\n';
        assert_eq!(tfrecord::parse(&DALI_TFRECORD[..len]).is_ok(), whole, "{len}");
    }
}

#[test]
fn tfrecord_index_of_dali_extra() {
    let records = tfrecord::parse(DALI_TFRECORD).unwrap();
    assert_eq!((records.len(), records[1]), (64, (18_545, 37_353)));
    for bad in [
        "16 16\n",
        "0 15\n",
        "0 16\n17 16\n",
        "0 -16\n",
        "0 16 1\n",
        "0\n",
        "0  16\n",
        "x y\n",
        "0 16\n\n",
    ] {
        let error = tfrecord::parse(bad.as_bytes()).unwrap_err();
        assert!(error.is_damage() && error.place().line.is_some(), "{bad:?}: {error}");
    }
    assert!(tfrecord::pypi_reads(&index("tfrecord", SINGLE)));
    assert!(!tfrecord::pypi_reads(&index("tfrecord", &SINGLE[..1])));
    assert!(is_unsupported(tfrecord::write(&index_of("tfrecord", Compression::Zlib, SINGLE))));
}

#[test]
fn wids_json() {
    let mut wids = wids::WidsIndex::new("d\"1");
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    wids.push("../shards/b.tar", &index("webdataset", TWO), None).unwrap();
    wids.push("../shards/a.tar", &index("webdataset", &TWO[..1]), Some(md5)).unwrap();
    assert_eq!(
        wids.finish().unwrap(),
        r#"{
  "__kind__": "wids-shard-index-v1",
  "wids_version": 1,
  "name": "d\"1",
  "shardlist": [
    {"url":"../shards/a.tar","nsamples":1,"filesize":3072,"md5sum":"d41d8cd98f00b204e9800998ecf8427e"},
    {"url":"../shards/b.tar","nsamples":2,"filesize":5120}
  ]
}
"#
    );
}

#[test]
fn wids_refuses_what_wids_confuses() {
    let two = index("webdataset", TWO);
    let push = |url: &str, index: &Index<'_>, md5| wids::WidsIndex::new("d").push(url, index, md5);
    assert!(is_name(push("a?.tar", &two, None)));
    assert!(is_name(push("", &two, None)));
    assert!(push("a.tar", &two, Some("D41D")).is_err());
    assert!(is_unsupported(push("a.rec", &index("recordio", SINGLE), None)));
    let key = "k".repeat(96);
    assert!(
        push("a.tar", &index("webdataset", &[(&key, 0, &[], &[("jpg", 512, 1)])]), None).is_ok()
    );
    let key = "k".repeat(97);
    assert!(is_name(push(
        "a.tar",
        &index("webdataset", &[(&key, 0, &[], &[("jpg", 512, 1)])]),
        None
    )));
    assert!(is_unsupported(wids::WidsIndex::new("d").finish()));
    let mut wids = wids::WidsIndex::new("d");
    wids.push("train/a.tar", &two, None).unwrap();
    wids.push("val/a.tar", &two, None).unwrap();
    assert!(is_name(wids.finish()));
}

#[test]
fn mxnet_idx_of_one_shard_and_of_many() {
    let (one, two) = (index("recordio", SINGLE), index("recordio", SINGLE));
    assert_eq!(mxnet::write(&one, Keys::Id).unwrap(), "10\t0\n11\t2048\n");
    let mut all = mxnet::IdxWriter::new(Keys::Number);
    all.push(&one).unwrap();
    all.push(&two).unwrap();
    assert_eq!(all.finish(), "0\t0\n1\t2048\n2\t5120\n3\t7168\n");
    let mut all = mxnet::IdxWriter::new(Keys::Id);
    all.push(&one).unwrap();
    assert!(is_unsupported(all.push(&two)));
    assert!(is_unsupported(mxnet::write(&index("recordio-protobuf", SINGLE), Keys::Id)));
}

#[test]
fn mxnet_idx_of_mxnet() {
    let records = mxnet::parse(MXNET_IMAGES).unwrap();
    assert_eq!(records, [(0, 0), (10, 96), (20, 196), (30, 256), (40, 288), (50, 336)]);
    for bad in
        ["0 0\n", "0\t0", "0\t2\n", "0\t18446744073709551615\n", "\t0\n", "a\t0\n", "0\t0\t0\n"]
    {
        assert!(mxnet::parse(bad.as_bytes()).unwrap_err().is_damage(), "{bad:?}");
    }
}

#[test]
fn lst_both_ways() {
    let text = mxnet::write_lst(&index("recordio", SINGLE)).unwrap();
    assert_eq!(text, "10\t0\td/a.jpg\n11\t2\t0.5\td/b.jpg\n");
    let line =
        |id, labels: &[f64], path: &str| LstLine { id, labels: labels.to_vec(), path: path.into() };
    let both = [line(10, &[0.0], "d/a.jpg"), line(11, &[2.0, 0.5], "d/b.jpg")];
    assert_eq!(mxnet::parse_lst(text.as_bytes()).unwrap(), both);
    // As im2rec writes floats, with CRLF, and without the last line end.
    let im2rec = mxnet::parse_lst(b"3\t1.000000\ta b.png\r\n4\t-2e3\tc.png").unwrap();
    assert_eq!(im2rec, [line(3, &[1.0], "a b.png"), line(4, &[-2000.0], "c.png")]);
    for bad in
        ["1\ta.jpg", "1 2 a.jpg", "x\t1\ta", "1\tx\ta", "1\tnan\ta", "-1\t1\ta", "", "1\t2\t"]
    {
        let text = format!("0\t0\tok\n{bad}\n");
        assert_eq!(mxnet::parse_lst(text.as_bytes()).unwrap_err().place().line, Some(2), "{bad:?}");
    }
    for key in ["a\tb", " a", "a\nb"] {
        assert!(
            is_name(mxnet::write_lst(&index("recordio", &[(key, 0, &[], &[("jpg", 32, 1)])]))),
            "{key:?}"
        );
    }
    let nan: Row<'_> = ("a", 0, &[f64::NAN], &[("jpg", 32, 1)]);
    assert!(is_unsupported(mxnet::write_lst(&index("recordio", &[nan]))));
    assert!(is_unsupported(mxnet::write_lst(&index("webdataset", TWO))));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(v1\\.[12] [0-9]{1,3}\n)?([a-z0-9 \t]{0,20}\n){0,6}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for input in [text.as_bytes(), &bytes] {
            let _ = wds::parse(input);
            let _ = tfrecord::parse(input);
            let _ = mxnet::parse(input);
            let _ = mxnet::parse_lst(input);
        }
    }

    #[test]
    fn labels_of_a_lst_come_back(labels in prop::collection::vec(-1e30f64..1e30, 1..4)) {
        let index = index("recordio", &[("k", 1, &labels, &[("jpg", 32, 1)])]);
        let text = mxnet::write_lst(&index).unwrap();
        prop_assert_eq!(&mxnet::parse_lst(text.as_bytes()).unwrap()[0].labels, &labels);
    }
}
