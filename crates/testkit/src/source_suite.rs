//! What every source must do. A new one passes these before it is used.

use shardpack_store::{Bytes, Error, ErrorKind, Source};

/// Runs every rule on a source that lists exactly `files`, in that order.
pub fn source_suite(source: &dyn Source, files: &[(&[u8], &[u8])]) {
    let listing = source.listing();
    let listed: Vec<_> = listing.iter().map(|file| (file.path(), file.len)).collect();
    let expected: Vec<_> = files.iter().map(|(p, b)| (p.to_vec(), b.len() as u64)).collect();
    assert_eq!(listed, expected, "listing of {}", source.describe());
    for (id, (path, bytes)) in (0..).zip(files) {
        let len = bytes.len() as u64;
        let name = String::from_utf8_lossy(path);
        let cuts = [0, 1, len / 3, len / 2, len.saturating_sub(1), len];
        for start in cuts.into_iter().filter(|&start| start <= len) {
            for end in cuts.into_iter().filter(|&end| start <= end && end <= len) {
                let range = start as usize..end as usize;
                let read = fetch(source, id, start, end - start).expect("a range of the file");
                assert_eq!(read, bytes[range], "{name}, bytes {start} to {end}");
            }
        }
        for (start, len) in [(0, len + 1), (len, 1), (1, len), (u64::MAX, 1), (1, u64::MAX)] {
            let error = fetch(source, id, start, len).expect_err("bytes beyond the end");
            assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
        }
    }
    assert!(!source.describe().is_empty());
}

/// Asserts that a file which is not what was listed is refused, whole and in part, by name.
pub fn assert_changed(source: &dyn Source, id: u32) {
    let len = source.listing().file(id).len;
    let name = source.listing().file(id).display();
    for (start, len) in [(0, len), (0, 0), (len, 0), (len / 2, len - len / 2)] {
        let error = fetch(source, id, start, len).expect_err("the file changed");
        assert!(matches!(error.kind(), ErrorKind::Changed { .. }), "{error}");
        assert!(error.name().ends_with(&name), "{error}");
    }
}

/// Reads a range of a file.
pub fn fetch(source: &dyn Source, id: u32, start: u64, len: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    source.fetch(id, start, len, &mut Bytes::new(&mut bytes))?;
    Ok(bytes)
}
