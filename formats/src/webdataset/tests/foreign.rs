//! Shards written by others.

use std::collections::BTreeMap;
use std::io::Read;

use super::*;
use crate::testing::hex;
use crate::{Compression, Format, Skipped};

fn read_shard(bytes: &[u8]) -> (Vec<Record>, Skipped) {
    let mut decoder = WebDataset.decoder(Box::new(bytes), &DecodeOptions::default());
    let (mut records, mut record) = (Vec::new(), Record::default());
    while decoder.read(&mut record).expect("a foreign shard") {
        records.push(record.clone());
    }
    (records, decoder.skipped())
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = Compression::detect(bytes).reader(Box::new(bytes)).expect("a stream");
    reader.read_to_end(&mut out).expect("its bytes");
    out
}

/// `key.field` and body of every field, in order.
fn fields(records: &[Record]) -> Vec<(String, Vec<u8>)> {
    let of = |r: &Record| {
        let name = |f: &crate::Field| format!("{}.{}", r.sample.key, f.name);
        r.sample.fields.iter().map(|f| (name(f), r.sample.body(f).to_vec())).collect::<Vec<_>>()
    };
    records.iter().flat_map(of).collect()
}

/// Rows of a listing that stands beside golden shards, by shard.
fn listing(path: &str) -> BTreeMap<String, Vec<Vec<String>>> {
    let text = String::from_utf8(testdata(path)).expect("a listing");
    let mut shards: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut row = line.split('\t').map(str::to_owned);
        let file = row.next().expect("a file");
        shards.entry(file).or_default().push(row.collect());
    }
    shards
}

#[test]
fn every_flavour_of_tar() {
    for (list, shards) in [("gnu-tar", 6), ("tarfile", 4)] {
        let listed = listing(&format!("tar/golden/{list}.tsv"));
        assert_eq!(listed.len(), shards, "{list}");
        for (file, rows) in listed {
            let bytes = testdata(&format!("tar/golden/{file}"));
            if file.contains("sparse") {
                let error = read(&bytes).expect_err("a sparse file");
                assert!(matches!(error.kind(), crate::ErrorKind::Unsupported { .. }), "{error}");
                assert!(error.to_string().contains("sparse.jpg"), "{error}");
                continue;
            }
            let (records, skipped) = read_shard(&bytes);
            let of = |kind: &str| rows.iter().filter(|row| row[1] == kind).count() as u64;
            let want: Vec<_> = rows
                .iter()
                .filter(|row| row[1] == "file")
                .map(|row| (row[0].clone(), hex(&row[2])))
                .collect();
            assert_eq!(fields(&records), want, "{file}");
            assert_eq!(skipped.directories, of("directory"), "{file}");
            assert_eq!(skipped.hard_links, of("hardlink"), "{file}");
            assert_eq!(skipped.specials, of("symlink"), "{file}");
        }
    }
}

#[test]
fn shards_of_the_webdataset_library() {
    let listed = listing("webdataset/golden/tarwriter.tsv");
    assert_eq!(listed.len(), 3);
    for (file, rows) in listed {
        let bytes = plain(&testdata(&format!("webdataset/golden/{file}")));
        let want: Vec<_> =
            rows.iter().map(|row| (format!("{}.{}", row[0], row[1]), hex(&row[2]))).collect();
        assert_eq!(fields(&read_shard(&bytes).0), want, "{file}");
    }
}

#[test]
fn a_gzipped_shard_of_pictures() {
    let bytes = plain(&testdata("webdataset/sample.tgz"));
    let (records, skipped) = read_shard(&bytes);
    assert_eq!((records.len(), skipped), (90, Skipped::default()));
    for record in &records {
        let names: Vec<&str> = record.sample.fields.iter().map(|f| &*f.name).collect();
        assert_eq!(names, ["cls", "png"]);
        assert!(record.sample.field("png").is_some_and(|png| png.starts_with(b"\x89PNG")));
    }
    // Offsets as another tar reader sees them.
    let mut archive = tar::Archive::new(&bytes[..]);
    let want: Vec<u64> = archive
        .entries()
        .and_then(|entries| entries.map(|e| e.map(|e| e.raw_file_position())).collect())
        .expect("entries");
    let found: Vec<u64> =
        records.iter().flat_map(|r| r.sample.fields.iter().filter_map(|f| f.offset)).collect();
    assert_eq!(found, want);
}

#[test]
fn archives_of_a_tar_library_s_tests() {
    let key = "this_is_a_folder_with_a_name_that_just_keeps_going_on_and_on_and_on_\
               it_is_a_very_very_long_folder_name/test";
    let long = format!("{key} txt");
    for (file, want, skipped) in [
        ("7z_long_path", &[&*long][..], [1, 0, 0, 0]),
        ("directory", &[], [2, 0, 0, 1]),
        ("duplicate_dirs", &[], [2, 0, 0, 0]),
        ("link", &[], [0, 0, 1, 1]),
        ("pax", &["Cargo toml", "src/lib rs"], [0, 0, 0, 0]),
        ("pax_size", &[], [0, 0, 0, 1]),
        ("simple", &[], [0, 0, 0, 3]),
        ("simple_missing_last_header", &[], [0, 0, 0, 3]),
    ] {
        let (records, s) = read_shard(&testdata(&format!("tar/{file}.tar")));
        assert_eq!(outline(&records), want, "{file}");
        assert_eq!([s.directories, s.hard_links, s.specials, s.unnamed], skipped, "{file}");
    }
}
