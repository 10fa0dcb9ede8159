use proptest::prelude::*;

use super::*;

const MOST: usize = 1_000;

fn sample() -> Sample {
    Sample {
        key: "cat/1".into(),
        label: Label { values: vec![3.0], text: Some("cat".into()) },
        fields: vec![("jpg".into(), b"JPEG!".to_vec()), ("txt".into(), b"hi".to_vec())],
    }
}

/// The answer in `text`, whose NULs are written as `␀`.
fn parse(frame: Frame, text: &str) -> Parsed<Option<(Verdict, Range<usize>)>> {
    let bytes = text.replace('␀', "\0").into_bytes();
    let head = frame.head(&bytes, &sample(), MOST)?;
    Ok(head.map(|head| (head.verdict, head.bodies)))
}

fn fields(fields: &[(&str, Option<Range<usize>>)], label: Option<Label>) -> Verdict {
    let fields = fields.iter().map(|(name, place)| ((*name).into(), place.clone())).collect();
    Verdict::Fields { fields, label }
}

#[test]
fn requests_are_as_specified() {
    let json = r#"{"key":"cat/1","label":{"values":[3.0],"text":"cat"},"fields":[{"name":"jpg","len":5},{"name":"txt","len":2}]}"#;
    let nul = "cat/1␀3␀cat␀2␀jpg␀5␀txt␀2␀".replace('␀', "\0");
    for (frame, want) in [(Frame::Json, format!("{json}\n")), (Frame::Nul, nul)] {
        let request = frame.request(&sample()).expect("a request");
        assert_eq!(String::from_utf8(request).expect("UTF-8"), want);
    }
    let plain = Sample { label: Label::default(), ..sample() };
    assert!(
        !String::from_utf8(Frame::Json.request(&plain).expect("JSON"))
            .expect("UTF-8")
            .contains("label")
    );
    let odd = Sample { key: "a\0b".into(), ..sample() };
    assert!(Frame::Nul.request(&odd).expect_err("a NUL").contains("json"));
    assert!(Frame::Json.request(&odd).is_ok());
}

#[test]
fn answers_are_as_specified() {
    let label = Label { values: vec![4.0], text: None };
    for (frame, text, want) in [
        (Frame::Json, "{\"key\":\"cat/1\"}\n", Verdict::Keep),
        (Frame::Json, "{\"key\":\"cat/1\",\"drop\":true}\n", Verdict::Drop),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"error\":\"no JPEG\"}\n",
            Verdict::Error("no JPEG".into()),
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"label\":{\"values\":[4]}}\n",
            fields(&[("jpg", None), ("txt", None)], Some(label)),
        ),
        (Frame::Nul, "keep␀cat/1␀", Verdict::Keep),
        (Frame::Nul, "drop␀cat/1␀", Verdict::Drop),
        (Frame::Nul, "error␀cat/1␀no JPEG␀", Verdict::Error("no JPEG".into())),
    ] {
        let end = text.replace('␀', "\0").len();
        assert_eq!(parse(frame, text), Ok(Some((want, end..end))), "{text}");
    }
    // Bodies come in the order of the answer, fields in that of their names.
    for (frame, text) in [
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"txt\"},{\"name\":\"png\",\"len\":3},{\"name\":\"a\",\"len\":2}]}\n",
        ),
        (Frame::Nul, "fields␀cat/1␀3␀txt␀␀png␀3␀a␀2␀"),
    ] {
        let end = text.replace('␀', "\0").len();
        let want = [("a", Some(end + 3..end + 5)), ("png", Some(end..end + 3)), ("txt", None)];
        assert_eq!(parse(frame, text), Ok(Some((fields(&want, None), end..end + 5))), "{text}");
        // Cut anywhere, more is waited for.
        let text = text.replace('␀', "\0");
        for cut in 0..text.len() {
            let head = frame.head(&text.as_bytes()[..cut], &sample(), MOST);
            assert!(matches!(head, Ok(None)), "cut at {cut}: {head:?}");
        }
    }
}

#[test]
fn what_is_no_answer_is_told() {
    let many = format!("fields␀cat/1␀{}␀", FIELDS + 1);
    for (frame, text, word) in [
        (Frame::Json, "hello\n", "no answer in JSON"),
        (Frame::Json, "{\"key\":\"cat/2\"}\n", "order of the requests"),
        (Frame::Json, "{\"key\":\"cat/1\",\"dorp\":true}\n", "dorp"),
        (Frame::Json, "{\"key\":\"cat/1\",\"drop\":true,\"error\":\"x\"}\n", "several things"),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"drop\":true,\"label\":{\"values\":[]}}\n",
            "several things",
        ),
        (Frame::Json, "{\"key\":\"cat/1\",\"fields\":[]}\n", "0 fields"),
        (Frame::Json, "{\"key\":\"cat/1\",\"label\":{\"values\":[1e999]}}\n", "is no number"),
        (Frame::Json, "{\"key\":\"cat/1\",\"label\":{\"values\":[\"4\"]}}\n", "is no number"),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"png\"}]}\n",
            "has none of that name",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"\",\"len\":1}]}\n",
            "a name of its own",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"a\",\"len\":1},{\"name\":\"a\",\"len\":1}]}\n",
            "a name of its own",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"a\",\"len\":-1}]}\n",
            "no answer in JSON",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"a\",\"len\":1001}]}\n",
            "may have 1000",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"a\",\"len\":1000},{\"name\":\"b\",\"len\":1}]}\n",
            "may have 1000",
        ),
        (
            Frame::Json,
            "{\"key\":\"cat/1\",\"fields\":[{\"name\":\"a\",\"len\":18446744073709551615}]}\n",
            "may have 1000",
        ),
        (Frame::Nul, "maybe␀cat/1␀", "none of keep"),
        (Frame::Nul, "keep␀dog␀", "order of the requests"),
        (Frame::Nul, "fields␀cat/1␀-1␀", "is no number"),
        (Frame::Nul, "fields␀cat/1␀1␀a␀+3␀", "is no number"),
        (Frame::Nul, "fields␀cat/1␀0␀", "0 fields"),
        (Frame::Nul, &many, "at most 1000"),
    ] {
        let error = parse(frame, text).expect_err(text);
        assert!(error.contains(word), "{text}: {error}");
    }
    let endless = vec![b'x'; HEAD];
    for frame in [Frame::Json, Frame::Nul] {
        assert!(frame.head(&endless, &sample(), MOST).expect_err("too long").contains("no end"));
        let not_text = b"\xff\0\xff\n";
        assert!(frame.head(not_text, &sample(), MOST).is_err());
    }
}

proptest! {
    #[test]
    fn a_request_is_an_answer_that_changes_nothing(
        values in prop::collection::vec(-1e300..1e300f64, 1..4),
        text in any::<Option<String>>(),
        key in any::<String>(),
    ) {
        let label = Label { values, text };
        let sample = Sample { key, label, ..sample() };
        let request = Frame::Json.request(&sample).map_err(TestCaseError::fail)?;
        let head = Frame::Json.head(&request, &sample, MOST).map_err(TestCaseError::fail)?;
        let head = head.ok_or_else(|| TestCaseError::fail("more is waited for"))?;
        let Verdict::Fields { label, fields } = head.verdict else { panic!("fields") };
        prop_assert_eq!(label, Some(sample.label));
        prop_assert_eq!((fields.len(), head.bodies.len()), (2, 7));
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(
        start in prop::sample::select(vec!["", "fields\0cat/1\0", "{\"key\":\"cat/1\",\"fields\":["]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [start.as_bytes(), &rest].concat();
        for frame in [Frame::Json, Frame::Nul] {
            if let Ok(Some(head)) = frame.head(&bytes, &sample(), MOST) {
                prop_assert!(head.bodies.start <= bytes.len());
                prop_assert!(head.bodies.len() <= MOST);
            }
        }
    }
}
