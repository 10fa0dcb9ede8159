use proptest::prelude::*;
use shardpack_store::{Bytes, MemoryStore, MemoryTree, PutMode, Store};

use super::*;
use crate::dataset::{
    CatOptions, Dataset, LsOptions, MEMORY, UnpackOptions, VerifyOptions, cat, info, ls, unpack,
    verify,
};
use crate::{Order, PackOptions, Policy, Progress, pack};

/// An inner source with the manifest's objects, each of which holds its own URI.
fn objects(manifest: &AugmentedManifest) -> MemoryTree {
    MemoryTree::new(manifest.uris().map(|uri| (uri.trim_start_matches("s3://"), uri)))
}

fn options(labels: &[&str], keys: SampleKeys) -> AugmentedOptions {
    let labels = labels.iter().map(ToString::to_string).collect();
    AugmentedOptions { name: "m.jsonl".into(), labels, keys }
}

fn source(lines: &str, labels: &[&str], keys: SampleKeys) -> Result<AugmentedSource> {
    let manifest = AugmentedManifest::parse(lines.as_bytes(), &[])?;
    let inner = Box::new(objects(&manifest));
    AugmentedSource::new(manifest, inner, options(labels, keys))
}

fn paths(lines: &str, labels: &[&str]) -> Vec<String> {
    let source = source(lines, labels, SampleKeys::Auto).unwrap();
    source.listing().iter().map(|file| file.display()).collect()
}

fn bytes(source: &dyn Source, id: FileId, start: u64, len: u64) -> shardpack_store::Result<String> {
    let mut bytes = Vec::new();
    source.fetch(id, start, len, &mut Bytes::new(&mut bytes))?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn fields_are_named_by_the_stated_rule() {
    for (line, want) in [
        (r#"{"source-ref":"s3://b/d/7.JPG","class":1}"#, &["7.jpg", "7.class.json"][..]),
        (r#"{"i-ref":"s3://b/7.v2.nii.gz","a":"x"}"#, &["7.nii.gz", "7.a.txt"]),
        (r#"{"image-ref":"s3://b/7"}"#, &["7.image"]),
        (r#"{"image-ref":"s3://b/7.jpg","mask-ref":"s3://b/m"}"#, &["7.image.jpg", "7.mask"]),
        (
            r#"{"x":[1, 2],"y":{},"z":true,"n":null}"#,
            &[
                "line-00000001.x.json",
                "line-00000001.y.json",
                "line-00000001.z.json",
                "line-00000001.n.json",
            ],
        ),
        (
            r#"{"a b":1,"A_b":2,"a_b-2":3}"#,
            &["line-00000001.a_b.json", "line-00000001.a_b-2.json", "line-00000001.a_b-2-3.json"],
        ),
        (r#"{"image-ref":"s3://b/7.jpg","image":"x"}"#, &["7.jpg", "7.image-2.txt"]),
    ] {
        assert_eq!(paths(line, &[]), want, "{line}");
    }
    // A text in any line makes texts of all.
    let mixed = paths("{\"c\":1}\n{\"c\":\"1\"}", &[]);
    assert_eq!(mixed, ["line-00000001.c.txt", "line-00000002.c.txt"]);
    // What WebDataset calls labels stays free for them.
    let labelled = paths(r#"{"i-ref":"s3://b/7.jpg","cls":"x","l":1}"#, &["l"]);
    assert_eq!(labelled, ["7.jpg", "7.cls-2.txt"]);
}

#[test]
fn keys_are_names_where_they_are_distinct() {
    let lines = |uris: &[&str]| {
        let line = |uri: &&str| format!("{{\"a-ref\":\"{uri}\"}}\n");
        uris.iter().map(line).collect::<String>()
    };
    assert_eq!(paths(&lines(&["s3://b/x/1.jpg", "s3://b/x/2.jpg"]), &[]), ["1.jpg", "2.jpg"]);
    for (uris, complaint) in [
        (["s3://b/x/1.jpg", "s3://b/y/1.png"], "lines 1 and 2: \"1\""),
        (["s3://b/1.jpg", "s3://b/1.jpg"], "lines 1 and 2: \"1\""),
        (["s3://b/1.jpg", "s3://b/.jpg"], "line 2: \"\" is no key"),
        (["s3://b/__1.jpg", "s3://b/2.jpg"], "line 1: \"__1\" is no key"),
    ] {
        let text = lines(&uris);
        assert!(paths(&text, &[])[1].starts_with("line-00000002."), "{uris:?}");
        let error = source(&text, &[], SampleKeys::Name).unwrap_err().to_string();
        assert!(error.starts_with("m.jsonl: ") && error.contains(complaint), "{error}");
    }
    let error = source("{\"a\":1}", &[], SampleKeys::Name).unwrap_err().to_string();
    assert!(error.contains("no attribute ends in -ref"), "{error}");
    let numbered = source(&lines(&["s3://b/1.jpg"]), &[], SampleKeys::Line).unwrap();
    assert_eq!(numbered.keys(), SampleKeys::Line);
    let named = source(&lines(&["s3://b/1.jpg"]), &[], SampleKeys::Auto).unwrap();
    assert_eq!(named.keys(), SampleKeys::Name);
    assert_eq!(numbered.listing().file(0).display(), "line-00000001.jpg");
    // Lines that are blank are counted.
    assert_eq!(paths("\n\n{\"a\":\"\"}", &[]), ["line-00000003.a.txt"]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let lines = r#"{"i-ref":"s3://b/1.jpg","c":1}"#;
    for (labels, want) in [
        (&["C"][..], "--label-attribute C: no such attribute; there are i-ref, c"),
        (&["i-ref"], "refers to objects"),
        (&["c", "c"], "named twice"),
    ] {
        let error = source(lines, labels, SampleKeys::Auto).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let error = source("{\"c\":1}", &["c"], SampleKeys::Auto).unwrap_err().to_string();
    assert!(error.contains("nothing is left to pack"), "{error}");
    for (inner, want) in [
        (&["a", "b"][..], "m.jsonl: refers to 1 objects, of which 2 were listed"),
        (&["b/2.jpg"], "m.jsonl: s3://b/1.jpg was listed as b/2.jpg"),
    ] {
        let manifest = AugmentedManifest::parse(lines.as_bytes(), &[]).unwrap();
        let inner = Box::new(MemoryTree::new(inner.iter().map(|path| (path, ""))));
        let error = AugmentedSource::new(manifest, inner, options(&[], SampleKeys::Auto));
        assert_eq!(error.unwrap_err().to_string(), want);
    }
}

#[test]
fn files_are_objects_or_values() {
    let lines = "{\"i-ref\":\"s3://b/1.jpg\",\"t\":\"\\u00e9 \\\"\"}\n{\"i-ref\":\"s3://b/1.jpg\",\"t\":[1, 2]}";
    let manifest = AugmentedManifest::parse(lines.as_bytes(), &[]).unwrap();
    let inner = objects(&manifest);
    let options = options(&[], SampleKeys::Auto);
    let source = AugmentedSource::new(manifest, Box::new(inner.clone()), options).unwrap();
    let all: Vec<_> = (0..)
        .zip(source.listing().iter())
        .map(|(id, file)| bytes(&source, id, 0, file.len).unwrap())
        .collect();
    assert_eq!(all, ["s3://b/1.jpg", "\u{e9} \"", "s3://b/1.jpg", "[1,2]"]);
    assert_eq!(bytes(&source, 0, 5, 3).unwrap(), "b/1");
    assert_eq!(bytes(&source, 3, 1, 3).unwrap(), "1,2");
    assert_eq!(bytes(&source, 3, 5, 0).unwrap(), "");
    for (start, len) in [(0, 6), (6, 0), (u64::MAX, 1), (1, u64::MAX)] {
        let error = bytes(&source, 3, start, len).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
        assert_eq!(error.name(), "line-00000002.t.txt");
    }
    assert_eq!(source.describe(), "m.jsonl");
    // A value that is edited is another version of its file; an object's version is its own.
    let stamp = |source: &AugmentedSource, id| source.listing().file(id).stamp;
    let edited = super::tests::source(&lines.replace("[1", "[3"), &[], SampleKeys::Auto).unwrap();
    assert_ne!(stamp(&source, 3), stamp(&edited, 3));
    assert_eq!((stamp(&source, 1), stamp(&source, 0)), (stamp(&edited, 1), stamp(&edited, 0)));
    inner.write(b"b/1.jpg", b"another cat!");
    let error = bytes(&source, 2, 0, 12).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Changed { .. }), "{error}");
}

const LINES: &str = "{\"image-ref\": \"s3://b/a.jpg\", \"caption\": \"eine Katze\", \"box\": [1, 2.50], \"class\": \"cat\"}\n\
\n\
{\"image-ref\": \"s3://b/b.png\", \"caption\": \"\", \"box\": [], \"class\": \"ant\"}\n\
{\"image-ref\": \"s3://b/c.jpg\", \"caption\": \"\\u00fc\", \"box\": {\"x\": 1}, \"class\": \"cat\"}";

/// Packed into every format and read back: the same bytes, and the label where the format has it.
#[test]
fn every_format_holds_the_lines() {
    for format in shardpack_formats::NAMES {
        let source = source(LINES, &["class"], SampleKeys::Auto).unwrap();
        let store = MemoryStore::new();
        let one = *format == "recordio"; // which has one field a record
        let options = PackOptions {
            format: (*format).into(),
            labels: source.labels(),
            order: Order::Source,
            fields: if one { vec!["jpg".into(), "png".into()] } else { Vec::new() },
            ..PackOptions::default()
        };
        pack(&source, &store, &options, &Progress::default()).unwrap();
        let dataset = Dataset::open(&store).unwrap();
        let mut found = Vec::new();
        ls(&dataset, &LsOptions::default(), &mut |entry| {
            let fields = entry.fields.iter().map(|field| field.name);
            found.extend(fields.map(|field| format!("{}.{field}", entry.key)));
            Ok(())
        })
        .unwrap();
        let body = |name: &str| {
            let mut out = Vec::new();
            cat(&dataset, name, &mut out, &CatOptions::default()).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut want =
            vec![("a.jpg", "s3://b/a.jpg"), ("b.png", "s3://b/b.png"), ("c.jpg", "s3://b/c.jpg")];
        if !one {
            want.extend([
                ("a.box.json", "[1,2.50]"),
                ("a.caption.txt", "eine Katze"),
                ("b.box.json", "[]"),
                ("b.caption.txt", ""),
                ("c.box.json", "{\"x\":1}"),
                ("c.caption.txt", "\u{fc}"),
            ]);
        }
        if *format == "webdataset" {
            want.extend([("a.cls", "1"), ("b.cls", "0"), ("c.cls", "1")]);
            want.extend([("a.cls.txt", "cat"), ("b.cls.txt", "ant"), ("c.cls.txt", "cat")]);
        }
        for (name, text) in &want {
            assert!(found.iter().any(|found| found == name), "{format} {name}: {found:?}");
            assert_eq!(body(name), *text, "{format} {name}");
        }
        assert_eq!(found.len(), want.len(), "{format}: {found:?}");
        assert!(found.is_sorted_by_key(|name| name.split('.').next()), "{format}: {found:?}");
        let classes = info(&dataset, MEMORY, &Progress::default()).unwrap().classes;
        let classes: Vec<_> = classes.iter().map(|c| (c.class.as_str(), c.samples)).collect();
        assert_eq!(classes, [("cat", 2), ("ant", 1)], "{format}");
        let against = VerifyOptions { against: Some(&source), ..Default::default() };
        let report = verify(&dataset, &against, &Progress::default()).unwrap();
        assert!(report.is_whole(), "{format}: {:?}", report.damage);
    }
}

#[test]
fn unpacking_gives_files_by_key_and_field() {
    let source = source(LINES, &["class"], SampleKeys::Auto).unwrap();
    let store = MemoryStore::new();
    let options = PackOptions { labels: source.labels(), ..PackOptions::default() };
    pack(&source, &store, &options, &Progress::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dataset = Dataset::open(&store).unwrap();
    unpack(&dataset, folder.path(), &UnpackOptions::default(), &Progress::default()).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains(".cls"))
        .collect();
    names.sort();
    let mut listed: Vec<_> = source.listing().iter().map(|file| file.display()).collect();
    listed.sort();
    assert_eq!(names, listed);
}

#[test]
fn labels_are_a_table_in_the_manifests_lines() {
    let table = |lines: &str, labels: &[&str]| match source(lines, labels, SampleKeys::Auto)
        .unwrap()
        .labels()
    {
        Some(Labels::JsonLines { table, name }) => {
            assert_eq!(name, "m.jsonl");
            String::from_utf8(table).unwrap()
        }
        other => panic!("{other:?}"),
    };
    let lines = "{\"i\":0,\"c\":1.50,\"d\":[2, 3]}\n\n{\"i\":0,\"c\":null,\"d\":[]}\n{\"i\":0,\"c\":true,\"d\":\"\\u00e9\"}";
    let key = |line: u32| format!("{{\"key\":\"line-{line:08}\",\"label\":");
    let want =
        [key(1) + "[2, 3,1.50]}", String::new(), String::new(), key(4) + "[\"\\u00e9\",\"true\"]}"];
    assert_eq!(table(lines, &["d", "c"]).replace("2,3", "2, 3"), want.join("\n"));
    assert!(source(lines, &[], SampleKeys::Auto).unwrap().labels().is_none());
}

#[test]
fn labels_follow_the_rules_of_tables() {
    let classes = |lines: &str, unlabelled| {
        let source = source(lines, &["c"], SampleKeys::Auto).unwrap();
        let options = PackOptions {
            labels: source.labels(),
            format: "tfrecord".into(),
            unlabelled,
            ..PackOptions::default()
        };
        let store = MemoryStore::new();
        pack(&source, &store, &options, &Progress::default()).map_err(|e| e.to_string())?;
        let report = info(&Dataset::open(&store).unwrap(), MEMORY, &Progress::default()).unwrap();
        Ok::<_, String>(
            report.classes.iter().map(|c| (c.class.clone(), c.samples)).collect::<Vec<_>>(),
        )
    };
    let lines = |labels: &[&str]| {
        let line = |label: &&str| format!("{{\"t\":\"x\",\"c\":{label}}}\n");
        labels.iter().map(line).collect::<String>()
    };
    let label = |text: &str, n| (text.to_owned(), n);
    for (labels, want) in [
        (&["7", "\"7\"", "8.5"][..], vec![label("7", 2), label("8.5", 1)]),
        (&["true", "false", "true"], vec![label("true", 2), label("false", 1)]),
        (&["[1,2]", "[1, 2]"], vec![label("1,2", 2)]),
    ] {
        assert_eq!(classes(&lines(labels), Policy::Error).unwrap(), want);
    }
    let gap = lines(&["1", "null"]);
    let error = classes(&gap, Policy::Error).unwrap_err();
    assert!(error.contains("m.jsonl has no label") && error.contains("line-00000002"), "{error}");
    assert_eq!(classes(&gap, Policy::Skip).unwrap(), [label("1", 1)]);
    for (bad, why) in [
        ("{}", "no label that is a number"),
        ("[]", "no label"),
        ("[[1]]", "no label"),
        ("1e999", "out of range"),
    ] {
        let error = classes(&lines(&["1", bad]), Policy::Error).unwrap_err();
        assert!(error.starts_with("m.jsonl, line 2: ") && error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn a_manifest_is_read_in_pieces() {
    let store = MemoryStore::new();
    let pad = "x".repeat(PIECE / 3);
    let lines: String = (0..7).map(|i| format!("{{\"i\":{i},\"pad\":\"{pad}\"}}\n")).collect();
    let read = |text: &str, attributes: &[&str]| {
        store.put("m", text.as_bytes(), PutMode::Replace).unwrap();
        let attributes: Vec<_> = attributes.iter().map(ToString::to_string).collect();
        read_augmented(&*store.open("m").unwrap(), "s3://b/m", &attributes)
    };
    let manifest = read(&lines, &["i"]).unwrap();
    assert_eq!((manifest.len(), manifest.line(6)), (7, Some(7)));
    let error = read(&(lines + "{'i': 7}"), &["i"]).unwrap_err();
    let Error::Manifest(error) = error else { panic!("{error:?}") };
    let error = error.to_string();
    assert!(error.starts_with("s3://b/m: line 8: corrupt: single quotes"), "{error}");
    assert!(read("", &["i"]).is_err());
}

/// 36 bytes a file beside its name, as the type's documentation says.
#[test]
fn the_listing_is_small() {
    let lines: String = (0..5000)
        .map(|i| format!("{{\"i-ref\":\"s3://b/{i:06}.jpg\",\"c\":{}}}\n", i % 7))
        .collect();
    let source = source(&lines, &[], SampleKeys::Auto).unwrap();
    let names: usize = source.listing().iter().map(|file| file.name.len()).sum();
    let uris: usize = source.manifest().uris().map(str::len).sum();
    let held = source.listing().memory() + source.manifest().memory();
    // Names may take twice their length: their text grows by doubling.
    assert!(held <= 2 * names + uris + 10_000 * 36 + 5000 * 12 + 1000, "{held}");
}

proptest! {
    /// Whatever the attributes are called and hold, every format takes the names.
    #[test]
    fn any_attribute_can_be_packed(names in prop::collection::btree_set(".{1,6}(-ref)?", 1..6), texts in prop::collection::vec(any::<String>(), 6)) {
        let value = |(name, text): (&String, &String)| {
            let text = if name.ends_with("-ref") { format!("s3://b/{}.{}x", name.len(), text.len()) } else { text.clone() };
            format!("{}:{}", serde_json::json!(name), serde_json::json!(text))
        };
        let line = format!("{{{}}}", names.iter().zip(&texts).map(value).collect::<Vec<_>>().join(","));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let manifest = AugmentedManifest::parse(line.as_bytes(), &names).unwrap();
        let inner = Box::new(objects(&manifest));
        let source = AugmentedSource::new(manifest, inner, AugmentedOptions::default()).unwrap();
        for format in ["webdataset", "tfrecord", "recordio-protobuf"] {
            let options = PackOptions { format: format.into(), ..PackOptions::default() };
            let report = pack(&source, &MemoryStore::new(), &options, &Progress::default()).unwrap();
            prop_assert_eq!((report.samples, report.files), (1, names.len() as u64));
        }
    }
}
