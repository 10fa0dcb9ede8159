use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::{Error, ErrorKind};

fn parse(text: &str, names: &[&str]) -> Result<AugmentedManifest> {
    AugmentedManifest::parse(text.as_bytes(), names)
}

/// What is delivered, line by line: URIs as they are.
fn delivered(manifest: &AugmentedManifest) -> Vec<Vec<String>> {
    let value = |row, column| match manifest.value(row, column).unwrap() {
        Value::Ref { uri, .. } => uri.to_owned(),
        Value::Inline(value) => value.text().into_owned(),
    };
    let columns = manifest.attributes().len();
    (0..manifest.len()).map(|row| (0..columns).map(|c| value(row, c)).collect()).collect()
}

/// The shape of the developer guide: a reference and a class, now as a text, now as a number.
#[test]
fn attributes_are_delivered_in_the_order_that_was_asked_for() {
    let text = "{\"image-ref\": \"s3://b/0001.jpg\", \"is-a-cat\": 1}\n\
                {\"is-a-cat\": \"0\", \"image-ref\": \"s3://b/0002.jpg\"}\n";
    let manifest = parse(text, &["is-a-cat", "image-ref"]).unwrap();
    assert_eq!(delivered(&manifest), [["1", "s3://b/0001.jpg"], ["0", "s3://b/0002.jpg"]]);
    assert_eq!((manifest.is_ref(0), manifest.is_ref(1), manifest.is_ref(2)), (false, true, false));
    assert_eq!((manifest.value(2, 0), manifest.value(0, 2)), (None, None));
    assert_eq!((manifest.value(usize::MAX, 1), manifest.line(2)), (None, None));
}

/// The shape that Ground Truth writes.
#[test]
fn without_names_all_but_the_metadata() {
    let text = r#"{"source-ref":"s3://b/a.jpg","boxes":{"image_size":[{"width": 500, "height":400,"depth":3}],"annotations":[{"class_id":0,"left":111}]},"boxes-metadata":{"job-name":"j"}}
{"source-ref":"s3://b/b.jpg","boxes":{"annotations":[]},"boxes-metadata":{},"later":1}"#;
    let manifest = parse(text, &[]).unwrap();
    assert!(manifest.attributes().eq(["source-ref", "boxes"]));
    let boxes: Vec<_> = delivered(&manifest).into_iter().map(|mut row| row.remove(1)).collect();
    let first = r#"{"image_size":[{"width":500,"height":400,"depth":3}],"annotations":[{"class_id":0,"left":111}]}"#;
    assert_eq!(boxes, [first, r#"{"annotations":[]}"#]);
    let metadata = parse(text, &["boxes-metadata"]).unwrap();
    assert_eq!(delivered(&metadata), [[r#"{"job-name":"j"}"#], ["{}"]]);
}

#[test]
fn values_keep_their_spelling() {
    for (value, text, string) in [
        ("1", "1", false),
        ("\"1\"", "1", true),
        ("-0.10E+05", "-0.10E+05", false),
        ("123456789012345678901234567890", "123456789012345678901234567890", false),
        ("1e999", "1e999", false),
        ("true", "true", false),
        ("null", "null", false),
        ("\"\"", "", true),
        (r#""a\tb\"\u00e9\ud83d\ude00""#, "a\tb\"\u{e9}\u{1f600}", true),
        (r#"[ 2.0 , "x y", { "b": 1, "a": [] } ]"#, r#"[2.0,"x y",{"b":1,"a":[]}]"#, false),
    ] {
        let manifest = parse(&format!("{{\"v\": {value} }}"), &["v"]).unwrap();
        let Some(Value::Inline(found)) = manifest.value(0, 0) else { panic!("{value}") };
        assert_eq!((&*found.text(), found.is_string()), (text, string));
    }
}

#[test]
fn lines_of_every_editor() {
    let plain = parse("{\"a\":1}\n{\"a\":2}\n", &["a"]).unwrap();
    for text in [
        "{\"a\":1}\n{\"a\":2}",
        "\u{feff}{\"a\":1}\r\n{\"a\":2}\r\n",
        "{\"a\":1}\n{\"a\":2}\n\n \t\r\n",
        " {\"a\" : 1 } \n{\"\\u0061\":2}",
    ] {
        assert_eq!(delivered(&parse(text, &["a"]).unwrap()), delivered(&plain), "{text:?}");
    }
    let gaps = parse("\n\n{\"a\":1}\n\n{\"a\":2}", &["a"]).unwrap();
    assert_eq!((gaps.line(0), gaps.line(1), gaps.len()), (Some(3), Some(5), 2));
}

#[test]
fn an_object_is_listed_once() {
    let text = "{\"a-ref\":\"s3://b/2\",\"b-ref\":\"s3://b/1\"}\n{\"a-ref\":\"s3://b/1\",\"b-ref\":\"s3://b/3\"}";
    let manifest = parse(text, &["b-ref", "a-ref"]).unwrap();
    assert!(manifest.uris().eq(["s3://b/1", "s3://b/2", "s3://b/3"]));
    let uri = |row, column| match manifest.value(row, column) {
        Some(Value::Ref { number, .. }) => number,
        other => panic!("{other:?}"),
    };
    assert_eq!((uri(0, 0), uri(0, 1), uri(1, 0), uri(1, 1)), (0, 1, 2, 0));
}

fn kind(error: &Error) -> String {
    let kind = format!("{:?}", error.kind());
    kind.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Kind, place and the words that say what to do.
#[test]
fn every_error_names_its_place_and_the_way_out() {
    let good = "{\"i-ref\":\"s3://b/k\",\"c\":1}\n";
    let names = &["i-ref", "c"][..];
    for (line, want, field, words) in [
        ("[1]", "Corrupt", None, "without brackets"),
        ("[{\"prefix\": \"s3://b/\"}, \"k\"]", "Corrupt", None, "this is a ManifestFile"),
        ("5", "Corrupt", None, "write one object a line"),
        ("\u{1}", "Corrupt", None, "write one object a line"),
        ("{'i-ref': 's3://b/k', 'c': 1}", "Corrupt", None, "single quotes at byte 2"),
        ("{\"i-ref\": 's3://b/k'}", "Corrupt", None, "single quotes at byte 11"),
        ("{\"c\": NaN}", "Corrupt", None, "no JSON at byte 7"),
        ("{\"c\": 1} x", "Corrupt", None, "trailing characters"),
        ("{\"c\": 1", "Corrupt", None, "does not end on its line"),
        ("{\"c\":1,\"c\":2}", "Corrupt", Some("c"), "twice"),
        ("{\"x\":1,\"c\":2,\"\\u0078\":3}", "Corrupt", Some("x"), "twice"),
        ("{\"i-ref\":\"s3://b/k\",\"C\":1}", "Corrupt", Some("c"), "it has \"C, i-ref\""),
        ("{\"c\":1}", "Corrupt", Some("i-ref"), "name attributes that every line has"),
        ("{\"i-ref\":5,\"c\":1}", "Corrupt", Some("i-ref"), "holds the URI"),
        ("{\"i-ref\":null,\"c\":1}", "Corrupt", Some("i-ref"), "holds the URI"),
        ("{\"i-ref\":\"k.jpg\",\"c\":1}", "Name", Some("i-ref"), "write s3://bucket/key"),
        ("{\"i-ref\":\"https://h/k\",\"c\":1}", "Name", Some("i-ref"), "write s3://bucket/key"),
        ("{\"i-ref\":\"s3://b/\",\"c\":1}", "Name", Some("i-ref"), "names a folder"),
        ("{\"i-ref\":\"s3://b\",\"c\":1}", "Name", Some("i-ref"), "no key"),
        ("{\"i-ref\":\"s3://b/k\\n\",\"c\":1}", "Name", Some("i-ref"), "control character"),
        ("{\"i-ref\":\"\\ud800\",\"c\":1}", "Corrupt", Some("i-ref"), "escape"),
        ("{\"i-ref\":\"s3://b/k\",\"c\":\"\\ud800\"}", "Corrupt", Some("c"), "escape"),
    ] {
        let error = parse(&format!("\n{good}{line}\n{good}"), names).unwrap_err();
        let text = error.to_string();
        assert_eq!(kind(&error), want, "{line}: {text}");
        assert_eq!(error.place().line, Some(3), "{line}: {text}");
        assert_eq!(error.place().field.as_deref(), field, "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
    }
    let error = AugmentedManifest::parse(b"{\"c\":\"\xff\"}", &["c"]).unwrap_err();
    assert!(error.to_string().contains("line 1: corrupt: byte 7 is no UTF-8"), "{error}");
    let cut = parse(&format!("{good}{{\"i-ref\":\"s3"), names).unwrap_err();
    assert_eq!((kind(&cut), cut.place().line), ("Truncated".into(), Some(2)));
    for empty in ["", "\n\n", "\u{feff}", " \r\n"] {
        assert_eq!(kind(&parse(empty, names).unwrap_err()), "NotThis", "{empty:?}");
    }
}

#[test]
fn names_that_the_api_refuses() {
    let refused = |names: &[&str]| {
        let error = AugmentedBuilder::new(names.iter().copied()).unwrap_err();
        matches!(error.kind(), ErrorKind::Unsupported { .. })
    };
    let (most, over) = ("n".repeat(256), "n".repeat(257));
    assert!(refused(&[""]) && refused(&[&over]) && refused(&["a", "b", "a"]));
    assert!(AugmentedBuilder::new([most, "A".into(), "a".into()]).is_ok());
    let names: Vec<_> = (0..17).map(|i| i.to_string()).collect();
    assert!(AugmentedBuilder::new(names[..16].iter().cloned()).is_ok());
    assert!(AugmentedBuilder::new(names.iter().cloned()).is_err());
    // The first line is held to the same.
    let line = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| format!("\"{i}\":{i}")).collect();
        format!("{{{}, \"x-metadata\": 0}}", members.join(","))
    };
    assert_eq!(parse(&line(16), &[]).unwrap().attributes().len(), 16);
    for text in [&line(17), "{\"x-metadata\": 0}", "{\"\":1}", &format!("{{\"{over}\":1}}")] {
        let error = parse(text, &[]).unwrap_err();
        assert_eq!((kind(&error), error.place().line), ("Unsupported".into(), Some(1)), "{text}");
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_memory() {
    let mut builder = AugmentedBuilder::new(["a"]).unwrap();
    builder.push(b"{\"a\":1}\n{\"a\":\"").unwrap();
    let piece = vec![b'x'; 1 << 20];
    let error = (0..17).find_map(|_| builder.push(&piece).err()).expect("a limit");
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: 0x0100_0000, .. }), "{error}");
    assert_eq!(error.place().line, Some(2));
}

/// 20 bytes a line beside the URIs, as the type's documentation says.
#[test]
fn the_table_is_small() {
    let lines: String = (0..10_000)
        .map(|i| format!("{{\"i-ref\":\"s3://bucket/{i:06}.jpg\",\"c\":{}}}\n", i % 10))
        .collect();
    let manifest = parse(&lines, &[]).unwrap();
    let uris: usize = manifest.uris().map(str::len).sum();
    assert!(manifest.memory() <= uris + 20 * 10_000 + 1000, "{}", manifest.memory());
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value as Json;
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z ]{0,3}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "([{}\\[\\]\":,'a-z0-9\\\\\n -]|-ref|s3://b/k){0,80}") {
        let _ = AugmentedManifest::parse(&bytes, &[]);
        let _ = AugmentedManifest::parse(text.as_bytes(), &[]);
        let _ = AugmentedManifest::parse(text.as_bytes(), &["a"]);
    }

    #[test]
    fn values_are_json_as_it_was(values in prop::collection::vec(any_json(), 1..8), pretty in any::<bool>()) {
        // Blanks between parts, but no line breaks.
        let spell = |value: &serde_json::Value| match pretty {
            true => serde_json::to_string_pretty(value).unwrap().replace('\n', "\t"),
            false => value.to_string(),
        };
        let text: String = values.iter().map(|v| format!("{{\"v\":{}}}\n", spell(v))).collect();
        let manifest = parse(&text, &["v"]).unwrap();
        for (row, value) in values.iter().enumerate() {
            let Some(Value::Inline(found)) = manifest.value(row, 0) else { panic!() };
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(found.json()).unwrap(), value);
            let want = value.as_str().map_or_else(|| Cow::from(value.to_string()), Cow::from);
            prop_assert_eq!(found.text(), want);
        }
    }

    #[test]
    fn pieces_do_not_matter(cuts in prop::collection::vec(0usize..200, 0..6), end in any::<bool>()) {
        let mut text = "\u{feff}{\"a\":1}\r\n\n{\"a\":\"\u{e9}\u{e9}\"}\n{\"a\":[1,2]}".to_owned();
        if end { text.push('\n'); }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut builder = AugmentedBuilder::new(["a"]).unwrap();
        let mut at = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            builder.push(&text.as_bytes()[at..cut]).unwrap();
            at = cut;
        }
        let manifest = builder.finish().unwrap();
        prop_assert_eq!(delivered(&manifest), [["1"], ["\u{e9}\u{e9}"], ["[1,2]"]]);
    }
}
