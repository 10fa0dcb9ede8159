//! What is read, skipped and refused, with archives made by hand.

use proptest::prelude::*;

use super::write::any_sample;
use super::*;
use crate::testing::{OneByte, owned};
use crate::{ErrorKind, Format, Position, crc32c};

/// Outlines of what is read, or the error.
fn outlines(bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
    read(bytes).map(|records| outline(&records)).map_err(|e| e.to_string())
}

#[test]
fn neighbours_with_one_key_are_a_sample() {
    for (names, want) in [
        (&["a.cls", "a.jpg", "b.cls"][..], &["a cls,jpg", "b cls"][..]),
        (&["a.jpg", "b.jpg", "a.cls"], &["a jpg", "b jpg", "a cls"]),
        (&["a.jpg", "x/noext", "a.cls"], &["a jpg,cls"]),
        (&["__meta__/i.json", "a.jpg", "__info__"], &["a jpg"]),
        (&["a.JPG", "A.jpg", "a.Seg.PNG"], &["a jpg", "A jpg", "a seg.png"]),
        (&["d.v1/a.jpg", "d.v1/.x.jpg"], &["d.v1/a jpg"]),
        (&["a.", "a..b"], &["a ,.b"]),
        (&["/etc/a.txt", "../a.txt"], &["/etc/a txt", "../a txt"]),
        (&[], &[]),
    ] {
        let found = outlines(&end(files(names))).expect("a shard");
        assert_eq!(found, want, "{names:?}");
    }
}

#[test]
fn repeated_fields_are_an_error() {
    let many: Vec<String> = (0..100).map(|i| format!("a.{i}")).collect();
    let many: Vec<&str> = many.iter().map(|s| &**s).collect();
    assert_eq!(read(&end(files(&many))).expect("a hundred fields")[0].sample.fields.len(), 100);
    for names in
        [vec!["a.jpg", "a.JPG"], [&many[..], &["a.0"]].concat(), [&many[..], &["a.99"]].concat()]
    {
        let error = read(&end(files(&names))).expect_err("a repeated field");
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
        let offset = 1024 * (names.len() as u64 - 1);
        assert_eq!(error.position(), Some(Position { record: 0, offset }));
    }
}

#[test]
fn extensions_name_and_size_a_member() {
    let long = format!("{}/{}.jpg", "d".repeat(150), "k".repeat(300));
    let key = long.strip_suffix(".jpg").expect("the field");
    let gnu = |name: &str| member(b'L', b"././@LongLink", &[name.as_bytes(), b"\0"].concat());
    let target = member(b'K', b"././@LongLink", b"a target\0");
    let file = |name: &[u8]| member(b'0', name, b"x");
    let parts: Vec<(Vec<u8>, &str)> = vec![
        ([gnu(&long), file(b"cut")].concat(), key),
        ([target.clone(), gnu(&long), file(b"cut")].concat(), key),
        ([gnu(&long), target, file(b"cut")].concat(), key),
        ([pax(b'x', "path", long.as_bytes()), file(b"cut")].concat(), key),
        ([pax(b'X', "path", long.as_bytes()), file(b"cut")].concat(), key),
        ([gnu("other.jpg"), pax(b'x', "path", long.as_bytes()), file(b"cut")].concat(), key),
        ([pax(b'g', "path", b"g.jpg"), file(b"a.jpg")].concat(), "g"),
        ([pax(b'g', "path", b"g.jpg"), pax(b'x', "path", b"x.jpg"), file(b"a.jpg")].concat(), "x"),
        ([pax(b'g', "comment", b"none"), file(b"a.jpg")].concat(), "a"),
        (patched(b"a.jpg", b"x", |h| h[257..265].copy_from_slice(b"ustar  \0")), "a"),
        (patched(b"a.jpg", b"x", |h| h[257..265].fill(0)), "a"),
        (patched(b"a.jpg", b"x", |h| h[345..347].copy_from_slice(b"p/")), "p//a"),
        (patched(b"a.jpg", b"x", |h| h[345..346].copy_from_slice(b"p")), "p/a"),
        // GNU keeps other things there.
        (
            patched(b"a.jpg", b"x", |h| {
                h[257..265].copy_from_slice(b"ustar  \0");
                h[345..346].copy_from_slice(b"p");
            }),
            "a",
        ),
        (
            patched(b"a.jpg", b"x", |h| {
                h[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x01");
            }),
            "a",
        ),
        (member(0, b"a.jpg", b"x"), "a"),
        (member(b'7', b"a.jpg", b"x"), "a"),
    ];
    for (bytes, key) in parts {
        let records = read(&end(bytes.clone())).expect(key);
        assert_eq!(outline(&records), [format!("{key} jpg")]);
        assert_eq!(records[0].sample.bytes, b"x");
        assert_eq!((records[0].offset, records[0].len), (0, bytes.len() as u64), "{key}");
        assert_eq!(records[0].crc32c, crc32c(&bytes), "{key}");
        assert_eq!(records[0].sample.fields[0].offset, Some(bytes.len() as u64 - 512), "{key}");
    }
}

#[test]
fn a_size_in_pax_overrides_the_header() {
    let mut file = member(b'0', b"a.jpg", &[7; 700]);
    file = [pax(b'x', "size", b"700"), file].concat();
    let zero = patched(b"a.jpg", b"", |_| ());
    let body = member(b'0', b"a.jpg", &[7; 700])[BLOCK..].to_vec();
    for bytes in [file, [pax(b'x', "size", b"700"), zero, body].concat()] {
        assert_eq!(read(&end(bytes)).expect("a shard")[0].sample.bytes, [7; 700]);
    }
}

#[test]
fn what_is_no_field_is_skipped_and_counted() {
    let bytes = [
        member(b'5', b"d/", b""),
        member(0, b"old/", b""),
        files(&["d/a.cls"]),
        member(b'1', b"d/a.hard", b""),
        member(b'2', b"d/a.soft", b""),
        member(b'6', b"d/fifo.x", b""),
        member(b'V', b"volume.x", b"a body"),
        // A link states its target's size and has no body all the same.
        patched(b"d/link.x", b"", |h| {
            h[156] = b'1';
            h[124..136].copy_from_slice(b"00000001000\0");
        }),
        files(&["d/a.jpg", "noext", "__x__/y.z"]),
    ]
    .concat();
    let bytes = end(bytes);
    let mut decoder = WebDataset.decoder(Box::new(&bytes[..]), &DecodeOptions::default());
    let mut record = Record::default();
    assert!(decoder.read(&mut record).expect("a sample"));
    assert_eq!(outline(std::slice::from_ref(&record)), ["d/a cls,jpg"]);
    assert!(!decoder.read(&mut record).expect("the end"));
    let skipped = decoder.skipped();
    assert_eq!(skipped.first.as_deref(), Some("d/a.hard"));
    let counts = (skipped.directories, skipped.hard_links, skipped.specials, skipped.unnamed);
    assert_eq!(counts, (2, 2, 3, 2));
}

#[test]
fn refused_archives() {
    type Is = fn(&ErrorKind) -> bool;
    let corrupt: Is = |kind| matches!(kind, ErrorKind::Corrupt { .. });
    let unsupported: Is = |kind| matches!(kind, ErrorKind::Unsupported { .. });
    let large: Is = |kind| matches!(kind, ErrorKind::TooLarge { .. });
    let truncated: Is = |kind| matches!(kind, ErrorKind::Truncated { .. });
    let name: Is = |kind| matches!(kind, ErrorKind::Name { .. });
    let file = files(&["a.jpg"]);
    let zeroes = vec![0; BLOCK];
    for (what, bytes, is) in [
        ("sparse", end(member(b'S', b"a.jpg", b"")), unsupported),
        (
            "pax sparse",
            end([pax(b'x', "GNU.sparse.major", b"1"), file.clone()].concat()),
            unsupported,
        ),
        ("latin 1", end(member(b'0', b"\xe9.jpg", b"")), name),
        ("pax latin 1", end([pax(b'x', "path", b"\xe9.jpg"), file.clone()].concat()), name),
        ("long extension", end(member(b'x', b"pax", &vec![b' '; 1 << 20])), large),
        (
            "endless extension",
            patched(b"L", b"", |h| {
                h[156] = b'L';
                h[124..136].copy_from_slice(b"77777777777\0");
            }),
            large,
        ),
        ("many extensions", pax(b'g', "comment", b"x").repeat(2000), large),
        ("pax without member", end(pax(b'x', "path", b"a.jpg")), corrupt),
        ("pax and nothing", pax(b'x', "path", b"a.jpg"), truncated),
        ("bad pax", end([member(b'x', b"pax", b"nonsense"), file.clone()].concat()), corrupt),
        ("negative size", patched(b"a.jpg", b"", |h| h[124..136].fill(0xff)), corrupt),
        ("no number", patched(b"a.jpg", b"", |h| h[124] = b'x'), corrupt),
        ("a single zero block", [file.clone(), zeroes.clone()].concat(), truncated),
        ("data after one zero block", end([file.clone(), zeroes, file.clone()].concat()), corrupt),
        ("data after the end", end([end(file.clone()), file.clone()].concat()), corrupt),
        ("junk after the end", [end(file.clone()), b"junk".to_vec()].concat(), truncated),
        ("nothing", vec![], truncated),
        ("text", b"not a tar ".repeat(100), corrupt),
        (
            "huge size",
            patched(b"a.jpg", b"", |h| {
                h[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
            }),
            large,
        ),
        (
            "huge size of a skipped member",
            patched(b"noext", b"", |h| {
                h[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
            }),
            truncated,
        ),
    ] {
        let error = read(&bytes).expect_err(what);
        assert!(is(error.kind()), "{what}: {error}");
        assert!(error.position().is_some(), "{what}: {error}");
    }
}

#[test]
fn missing_ends_and_further_archives_only_when_allowed() {
    let (a, b) = (files(&["a.jpg"]), files(&["a.cls", "b.jpg"]));
    let padded = |members: &[u8]| [members, &[0; 9 * BLOCK]].concat();
    let separate = &["a jpg", "a cls", "b jpg"][..];
    for (what, bytes, concatenated, missing_end, want) in [
        ("plain", end(a.clone()), false, false, Some(&["a jpg"][..])),
        ("padded", padded(&a), false, false, Some(&["a jpg"])),
        ("no end", a.clone(), false, true, Some(&["a jpg"])),
        ("one zero block", [a.clone(), vec![0; BLOCK]].concat(), false, true, Some(&["a jpg"])),
        ("nothing", vec![], false, true, Some(&[])),
        ("only an end", end(vec![]), false, false, Some(&[])),
        ("two", [end(a.clone()), end(b.clone())].concat(), true, false, Some(separate)),
        ("two, padded", [padded(&a), padded(&b)].concat(), true, false, Some(separate)),
        (
            "an empty one first",
            [end(vec![]), end(a.clone())].concat(),
            true,
            false,
            Some(&["a jpg"]),
        ),
        ("two, one end cut", [end(a.clone()), b.clone()].concat(), true, false, None),
        ("two, one end cut", [end(a.clone()), b.clone()].concat(), true, true, Some(separate)),
        (
            "a directory between",
            [end(a.clone()), member(b'5', b"d/", b""), end(b.clone())].concat(),
            true,
            false,
            Some(separate),
        ),
        (
            "half an end between",
            [a.clone(), vec![0; BLOCK], end(b.clone())].concat(),
            true,
            false,
            None,
        ),
        ("half an end between", [a, vec![0; BLOCK], end(b)].concat(), true, true, Some(separate)),
    ] {
        let (records, error) = read_with(&bytes, |options| {
            options.concatenated = concatenated;
            options.missing_end = missing_end;
        });
        assert_eq!(
            error.is_none().then(|| outline(&records)).as_deref(),
            want.map(|w| w.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
            "{what}: {error:?}"
        );
    }
}

#[test]
fn global_records_end_with_their_archive() {
    let one = end([pax(b'g', "path", b"g.jpg"), files(&["a.jpg"])].concat());
    let (records, error) =
        read_with(&[one, end(files(&["b.jpg"]))].concat(), |o| o.concatenated = true);
    assert!(error.is_none());
    assert_eq!(outline(&records), ["g jpg", "b jpg"]);
}

#[test]
fn the_limit_counts_the_whole_record() {
    let bytes =
        shard(&[sample("a", &[("cls", b"7"), ("jpg", &[1; 600])]), sample("b", &[("cls", b"7")])]);
    let (records, error) = read_with(&bytes, |options| options.max_record = 2560);
    assert!(error.is_none() && records.len() == 2);
    let (records, error) = read_with(&bytes, |options| options.max_record = 2559);
    let error = error.expect("over the limit");
    assert!(records.is_empty());
    assert!(
        matches!(error.kind(), ErrorKind::TooLarge { what: "record", len: 2560, limit: 2559 }),
        "{error}"
    );
    assert_eq!(error.position(), Some(Position { record: 0, offset: 1024 }));
}

#[test]
fn positions_are_where_members_start() {
    let bytes = [files(&["a.cls", "a.jpg", "skipped", "b.jpg"]), vec![0; 10 * BLOCK]].concat();
    let mut decoder = WebDataset.decoder(Box::new(&bytes[..]), &DecodeOptions::default());
    let mut record = Record::default();
    let mut positions = Vec::new();
    while decoder.read(&mut record).expect("a sample") {
        positions.push((record.offset, record.len, decoder.position()));
    }
    assert_eq!(
        positions,
        [
            (0, 2048, Position { record: 1, offset: 3072 }),
            (3072, 1024, Position { record: 2, offset: 4096 }),
        ]
    );
    assert_eq!(decoder.position(), Position { record: 2, offset: 4096 });
    assert!(!decoder.read(&mut record).expect("the end stays the end"));
}

#[test]
fn a_stream_may_come_in_pieces() {
    let bytes = shard(&[
        sample("a", &[("cls", b"7"), ("jpg", &[3; 700_000])]),
        sample("b", &[("cls", b"8")]),
    ]);
    let want = read(&bytes).expect("a shard");
    assert_eq!(want.len(), 2);
    let (found, error) = read_from(&WebDataset, OneByte(&bytes), &DecodeOptions::default());
    assert!(error.is_none());
    assert_eq!(found, want);
}

proptest! {
    #[test]
    fn any_chunking_reads_the_same(
        samples in prop::collection::vec(any_sample(), 1..4),
        sizes in prop::collection::vec(1usize..2000, 1..10),
    ) {
        struct Pieces<'a>(&'a [u8], std::iter::Cycle<std::vec::IntoIter<usize>>);
        impl std::io::Read for Pieces<'_> {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                let n = buf.len().min(self.1.next().unwrap_or(1));
                self.0.read(&mut buf[..n])
            }
        }
        let bytes = shard(&samples);
        let pieces = Pieces(&bytes, sizes.into_iter().cycle());
        let (found, error) = read_from(&WebDataset, pieces, &DecodeOptions::default());
        let (want, want_error) = read_from(&WebDataset, &bytes[..], &DecodeOptions::default());
        prop_assert_eq!(error.is_none(), want_error.is_none());
        prop_assert_eq!(found, want);
    }

    /// Reading two shards one after another equals reading each.
    #[test]
    fn concatenation(a in prop::collection::vec(any_sample(), 0..4), b in prop::collection::vec(any_sample(), 0..4)) {
        let dedup = |mut samples: Vec<Owned>| {
            samples.dedup_by(|a, b| a.key == b.key);
            shard(&samples)
        };
        let (a, b) = (dedup(a), dedup(b));
        let (both, error) = read_with(&[&a[..], &b].concat(), |o| o.concatenated = true);
        prop_assert!(error.is_none());
        let samples = |records: Vec<Record>| records.iter().map(|r| owned(&r.sample).fields).collect::<Vec<_>>();
        let each = [read(&a).expect("a"), read(&b).expect("b")].concat();
        prop_assert_eq!(samples(both), samples(each));
    }

    /// A record's bytes alone give the same record: what an index and random access rest on.
    #[test]
    fn a_record_stands_for_itself(mut samples in prop::collection::vec(any_sample(), 1..5)) {
        samples.dedup_by(|a, b| a.key == b.key);
        let bytes = shard(&samples);
        for record in read(&bytes).expect("a shard") {
            let slice = &bytes[record.offset as usize..(record.offset + record.len) as usize];
            prop_assert_eq!(record.crc32c, crc32c(slice));
            let (alone, error) = read_with(slice, |o| o.missing_end = true);
            prop_assert!(error.is_none());
            prop_assert_eq!(&alone[0].sample.bytes, &record.sample.bytes);
            for field in &record.sample.fields {
                let at = field.offset.expect("an offset") as usize;
                prop_assert_eq!(at % BLOCK, 0);
                let body = record.sample.body(field);
                prop_assert_eq!(&bytes[at..at + body.len()], body);
            }
        }
    }
}
