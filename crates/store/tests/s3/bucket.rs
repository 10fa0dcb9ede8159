//! The same rules on any server that the standard AWS configuration leads to, Amazon's included:
//!
//! `SHARDPACK_S3_TEST=s3://bucket/prefix cargo test -p shardpack-store --test s3 -- --ignored`
//!
//! Writes 2,100 objects and 60 MB below that prefix, and removes them. `SHARDPACK_S3_LACKS=conditions`
//! says that the server is known to ignore `If-None-Match`, as Garage 2.5 does. Without it such a
//! server fails; with it one that honours conditions does.

use std::thread;

use super::*;

/// A place of its own in the bucket, which is empty and is emptied.
struct Place {
    s3: S3,
    all: S3Store,
    uri: String,
    number: AtomicU64,
}

impl Place {
    fn new(test: &str) -> Self {
        let uri = std::env::var("SHARDPACK_S3_TEST").expect("SHARDPACK_S3_TEST=s3://bucket/prefix");
        let uri = format!("{}/{test}-{}", uri.trim_end_matches('/'), std::process::id());
        let s3 = S3::connect(&uri.parse().unwrap(), S3Options::default()).unwrap();
        let all = S3Store::open(s3.clone(), uri.parse().unwrap());
        assert_eq!(all.list("").unwrap(), [], "{uri} is empty");
        Self { s3, all, uri, number: AtomicU64::new(0) }
    }

    /// A part of it that no one has used.
    fn part(&self) -> S3Store {
        let uri = format!("{}/{}", self.uri, self.number.fetch_add(1, SeqCst));
        S3Store::open(self.s3.clone(), uri.parse().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for part in 0..self.number.load(SeqCst) {
            let gone = self.all.remove(&part.to_string()).and_then(|()| self.all.sweep(""));
            if let Err(error) = gone {
                eprintln!("left behind: {error}");
            }
        }
    }
}

#[test]
#[ignore = "needs a bucket"]
fn a_bucket_of_yours_is_a_store() {
    let place = Place::new("store");
    let new = || -> Box<dyn Store> { Box::new(place.part()) };
    match std::env::var("SHARDPACK_S3_LACKS").as_deref() {
        Ok("conditions") => store_suite_without_conditions(&new),
        _ => store_suite(&new),
    }
    assert_eq!(place.all.unfinished().unwrap(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a bucket"]
fn a_bucket_of_yours_holds_large_objects() {
    let place = Place::new("large");
    let store = place.part();
    let bytes = pattern(30_000_000);
    let len = bytes.len() as u64;
    let upload = store.create("large", Some(len)).unwrap();
    for (i, piece) in bytes.chunks(1_000_003).enumerate() {
        upload.write_at(i as u64 * 1_000_003, piece).unwrap();
    }
    assert_eq!(store.list("").unwrap(), [], "not there before it is sealed");
    upload.seal(len, Some(crc64(&bytes))).unwrap();
    store.prove("large", len, crc64(&bytes)).unwrap();
    assert!(store.prove("large", len, !crc64(&bytes)).unwrap_err().is_changed());
    assert!(read(&store, "large") == bytes);

    let upload = store.create("wrong", Some(len)).unwrap();
    upload.write_at(0, &bytes).unwrap();
    assert!(upload.seal(len, Some(!crc64(&bytes))).unwrap_err().is_changed());

    let upload = store.create("dropped", Some(len)).unwrap();
    upload.write_at(0, &bytes[..20_000_000]).unwrap();
    drop(upload);
    assert_eq!(store.unfinished().unwrap(), Vec::<String>::new());
    assert_eq!(store.list("").unwrap().len(), 1, "neither of the two is there");
}

#[test]
#[ignore = "needs a bucket"]
fn a_bucket_of_yours_is_a_source() {
    let place = Place::new("source");
    let store = place.part();
    let odd =
        ["a b", "a+b", "\u{fc}/\u{e9}", "x%2Fy", "q?=&#", "~t-._", "(b)!*'", "tab\tc", "$,;:@"];
    let counted = (0..2_091).map(|i| format!("d{}/{i:05}.jpg", i % 3));
    let mut names: Vec<String> = odd.into_iter().map(str::to_owned).chain(counted).collect();
    thread::scope(|scope| {
        for part in names.chunks(names.len() / 8) {
            let put = |name: &String| store.put(name, name.as_bytes(), PutMode::Replace).unwrap();
            scope.spawn(move || part.iter().for_each(put));
        }
    });
    let uri = format!("{}/0/", place.uri).parse().unwrap();
    let tree = S3Tree::open(place.s3.clone(), &uri, &|_| None).unwrap();
    names.sort();
    let mut listed: Vec<String> =
        tree.listing().iter().map(|file| String::from_utf8(file.path()).unwrap()).collect();
    listed.sort();
    assert!(listed == names, "{} of {}", listed.len(), names.len());
    for (id, file) in (0..).zip(tree.listing().iter()) {
        let odd = file.len < 10; // the others are alike
        if odd || id % 100 == 0 {
            assert_eq!(fetch(&tree, id, 0, file.len).unwrap(), file.path());
            assert_eq!(fetch(&tree, id, 1, 1).unwrap(), file.path()[1..2]);
        }
    }
    let name = tree.listing().file(0).display();
    store.put(&name, &vec![b'!'; name.len()], PutMode::Replace).unwrap(); // as long
    assert_changed(&tree, 0);
}
