use aws_sdk_s3::operation::list_objects::builders::ListObjectsFluentBuilder as ListV1;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder as List;
use aws_sdk_s3::types::EncodingType;

use super::{B, client, refusal, run};
use crate::s3::{S3Config, S3Server};

/// The names of all pages, a page in a vector; common prefixes after the keys.
async fn pages(list: List) -> Vec<Vec<String>> {
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let page = list.clone().set_continuation_token(token).send().await.expect("a page");
        let keys = page.contents().iter().filter_map(|object| object.key());
        let prefixes = page.common_prefixes().iter().filter_map(|prefix| prefix.prefix());
        let names: Vec<_> = keys.chain(prefixes).map(str::to_owned).collect();
        assert_eq!(page.key_count(), i32::try_from(names.len()).ok());
        pages.push(names);
        assert_eq!(page.is_truncated(), Some(page.next_continuation_token().is_some()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return pages;
        }
    }
}

#[test]
fn a_listing_is_in_the_order_of_bytes_with_sizes_and_tags() {
    let server = S3Server::start();
    // In UTF-16 the last two change places.
    let keys = ["", "A", "a", "a!", "a/", "a/b", "a0", "ä", "\u{ff61}", "\u{10000}"];
    keys[1..].iter().rev().for_each(|&key| server.put(key, key.as_bytes().to_vec()));
    let client = client(&server);
    run(async {
        let page = client.list_objects_v2().bucket(B).send().await.unwrap();
        let listed: Vec<_> = page.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(listed, keys[1..]);
        for object in page.contents() {
            let stored = server.object(object.key().unwrap()).unwrap();
            assert_eq!(object.size(), i64::try_from(stored.bytes.len()).ok());
            assert_eq!(object.e_tag(), Some(format!("\"{}\"", stored.etag).as_str()));
            assert!(object.last_modified().is_some());
        }
        assert_eq!((page.max_keys(), page.is_truncated()), (Some(1000), Some(false)));
    });
}

#[test]
fn pages_hold_a_thousand_entries_at_most_and_add_up() {
    let server = S3Server::start();
    let keys: Vec<_> = (0..2001).map(|i| format!("k{i:04}")).collect();
    keys.iter().for_each(|key| server.put(key, ""));
    let client = client(&server);
    run(async {
        for (max, sizes) in [(None, [1000, 1000, 1]), (Some(5000), [1000, 1000, 1])] {
            let pages = pages(client.list_objects_v2().bucket(B).set_max_keys(max)).await;
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            assert_eq!(pages.concat(), keys);
        }
        let none = pages(client.list_objects_v2().bucket(B).max_keys(0)).await;
        assert_eq!(none, [[""; 0]]);
        let list = client.list_objects_v2().bucket(B);
        let negative = list.clone().max_keys(-1).send().await;
        assert_eq!(refusal(negative), "400 InvalidArgument");
        let foreign = list.continuation_token("foreign").send().await;
        assert_eq!(refusal(foreign), "400 InvalidArgument");
    });
}

#[test]
fn prefixes_delimiters_and_starts_are_those_of_s3() {
    let server = S3Server::start();
    for key in ["a", "a/1", "a/2/x", "a/2/y", "a/3", "ab", "b/1", "b/2", "c"] {
        server.put(key, "");
    }
    let client = client(&server);
    let list = |prefix: &str, delimiter: &str, after: &str| {
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        client
            .list_objects_v2()
            .bucket(B)
            .set_prefix(set(prefix))
            .set_delimiter(set(delimiter))
            .set_start_after(set(after))
    };
    run(async {
        for (prefix, delimiter, after, names) in [
            ("a", "", "", &["a", "a/1", "a/2/x", "a/2/y", "a/3", "ab"][..]),
            ("a/", "", "", &["a/1", "a/2/x", "a/2/y", "a/3"]),
            ("", "/", "", &["a", "ab", "c", "a/", "b/"]),
            ("a/", "/", "", &["a/1", "a/3", "a/2/"]),
            ("a", "/", "", &["a", "ab", "a/"]),
            ("a/2", "/", "", &["a/2/"]),
            ("a/2/", "/", "", &["a/2/x", "a/2/y"]),
            ("", "2/", "", &["a", "a/1", "a/3", "ab", "b/1", "b/2", "c", "a/2/"]),
            ("", "", "ab", &["b/1", "b/2", "c"]),
            ("", "", "b", &["b/1", "b/2", "c"]),
            ("b/", "", "a", &["b/1", "b/2"]),
            ("b/", "", "c", &[]),
            ("none", "/", "", &[]),
        ] {
            let whole = pages(list(prefix, delimiter, after)).await.concat();
            assert_eq!(whole, names, "{prefix:?} {delimiter:?} {after:?}");
            // One by one the same, in the one order of keys and prefixes.
            let mut sorted = names.to_vec();
            sorted.sort_unstable();
            let single = pages(list(prefix, delimiter, after).max_keys(1)).await.concat();
            assert_eq!(single, sorted, "{prefix:?} {delimiter:?} {after:?}");
        }
    });
}

/// The names of all pages of the first version, which starts a page after the name that the one
/// before told, or after its last key.
async fn pages_v1(list: ListV1) -> Vec<String> {
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let page = list.clone().set_marker(marker).send().await.expect("a page");
        let keys = page.contents().iter().filter_map(|object| object.key());
        let prefixes = page.common_prefixes().iter().filter_map(|prefix| prefix.prefix());
        names.extend(keys.chain(prefixes).map(str::to_owned));
        let more = page.is_truncated() == Some(true);
        let told = more && page.delimiter().is_some();
        assert_eq!(page.next_marker().is_some(), told, "told with a delimiter alone");
        let last = page.contents().last().and_then(|object| object.key());
        marker = page.next_marker().or(last).map(str::to_owned);
        if !more {
            return names;
        }
    }
}

#[test]
fn the_first_version_lists_the_same() {
    let server = S3Server::start();
    for key in ["a", "a/1", "a/2/x", "a/2/y", "a/3", "ab", "b/1", "b/2", "c"] {
        server.put(key, "");
    }
    let client = client(&server);
    run(async {
        for (prefix, delimiter) in
            [("", ""), ("a", ""), ("a/", ""), ("", "/"), ("a/", "/"), ("a", "/"), ("", "2/")]
        {
            let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let second = client.list_objects_v2().bucket(B).set_prefix(set(prefix));
            let first = client.list_objects().bucket(B).set_prefix(set(prefix));
            let mut expected = pages(second.set_delimiter(set(delimiter))).await.concat();
            expected.sort_unstable();
            for max in [1, 2, 1000] {
                let list = first.clone().set_delimiter(set(delimiter)).max_keys(max);
                let mut names = pages_v1(list).await;
                names.sort_unstable();
                assert_eq!(names, expected, "{prefix:?} {delimiter:?}, {max} a page");
            }
        }
        let list = client.list_objects().bucket(B);
        // A marker within a folder does not pass over it.
        let within = list.clone().delimiter("/").marker("a/2/x").send().await.unwrap();
        assert_eq!(within.common_prefixes()[0].prefix(), Some("a/"));
        let url = list.marker("b/2").encoding_type(EncodingType::Url).send().await.unwrap();
        assert_eq!((url.contents()[0].key(), url.contents().len()), (Some("c"), 1));
    });
}

#[test]
fn pages_can_be_smaller_and_keys_share_an_object() {
    let server = S3Server::start_with(S3Config { page: 3, ..S3Config::default() });
    let keys: Vec<_> = (0..7).map(|i| format!("k{i}")).collect();
    server.put_many(keys.clone(), "same");
    let client = client(&server);
    run(async {
        let pages = pages(client.list_objects_v2().bucket(B)).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(pages.concat(), keys);
        assert_eq!(pages_v1(client.list_objects().bucket(B)).await, keys);
    });
    server.put("k3", "its own");
    assert_eq!(
        (server.get("k2").unwrap(), server.get("k3").unwrap()),
        ("same".into(), "its own".into())
    );
}

#[test]
fn names_are_encoded_where_that_is_asked_for() {
    let server = S3Server::start();
    server.put("p q/a+b ü\n%.txt", "");
    server.put("p q/d/x", "");
    let client = client(&server);
    run(async {
        let list = client.list_objects_v2().bucket(B).prefix("p q/").delimiter("/");
        let page = list.encoding_type(EncodingType::Url).send().await.unwrap();
        assert_eq!(page.contents()[0].key(), Some("p+q/a%2Bb+%C3%BC%0A%25.txt"));
        assert_eq!(page.common_prefixes()[0].prefix(), Some("p+q/d/"));
        assert_eq!((page.prefix(), page.delimiter()), (Some("p+q/"), Some("/")));
        assert_eq!(page.encoding_type(), Some(&EncodingType::Url));
    });
}
