//! What only stores on a disk can get wrong: full devices, leftovers, other people's files.

use std::fs;
use std::path::Path;

use shardpack_store::{
    AlignedBuf, BLOCK, Direct, Error, ErrorKind, LocalOptions, LocalStore, PutMode, Store,
};
use shardpack_testkit::store_suite::pattern;

fn store(root: &Path, direct: Direct) -> LocalStore {
    LocalStore::open(root, &LocalOptions { durable: false, direct, expected_bytes: 0 })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn leftovers_of_dead_writers_are_in_no_list_and_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), Direct::Never);
    store.put("shards/whole", b"1", PutMode::Create).unwrap();
    let upload = store.create("shards/half", Some(10)).unwrap();
    upload.write_at(0, b"half").unwrap();
    std::mem::forget(upload); // as a killed process would
    assert_eq!(names(&folder.path().join("shards")).len(), 2);
    assert_eq!(store.list("").unwrap().len(), 1);
    assert_eq!(store.sweep("shards").unwrap(), 1);
    assert_eq!(names(&folder.path().join("shards")), ["whole"]);
}

#[test]
fn locks_leave_no_file_and_mind_none() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) = (store(folder.path(), Direct::Never), store(folder.path(), Direct::Never));
    let path = folder.path().join(".shardpack-lock");
    fs::write(&path, b"of a killed process").unwrap();
    let lock = mine.lock("").unwrap();
    let error = other.lock("").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy), "{error}");
    assert_eq!(error.name(), folder.path().display().to_string());
    drop(lock);
    assert!(!path.exists());
    drop(other.lock("").unwrap());

    // Whoever removes the file of a lock that is held only makes room for another lock.
    let lock = mine.lock("").unwrap();
    fs::remove_file(&path).unwrap();
    let second = other.lock("").unwrap();
    drop(lock);
    assert!(mine.lock("").is_err(), "the file that is there is the second's");
    drop(second);

    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert!(mine.lock("").is_err(), "a link is not followed");
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn aligned_and_shifted_buffers_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(5_000_003);
    for direct in [Direct::Always, Direct::Never] {
        let store = store(folder.path(), direct);
        for shift in [0, 1, 512, BLOCK - 1] {
            let mut buffer = AlignedBuf::new(shift + bytes.len());
            buffer[shift..].copy_from_slice(&bytes);
            let upload = store.create("object", Some(bytes.len() as u64)).unwrap();
            for start in (0..bytes.len()).step_by(1_500_001) {
                let end = bytes.len().min(start + 1_500_001);
                upload.write_at(start as u64, &buffer[shift + start..shift + end]).unwrap();
            }
            upload.seal(bytes.len() as u64, None).unwrap();
            assert!(fs::read(folder.path().join("object")).unwrap() == bytes, "shift {shift}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn any_cut_of_an_object_in_any_order_gives_its_bytes(
        len in 1usize..60_000,
        cuts in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0u64..), 0..40),
        shift in 0..BLOCK,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut buffer = AlignedBuf::new(len + shift);
        buffer[shift..].copy_from_slice(&pattern(len));
        let bytes = &buffer[shift..];
        let mut ends: Vec<(usize, u64)> = cuts.iter().map(|(at, order)| (at.index(len), *order)).collect();
        ends.push((len, 0));
        ends.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for (end, order) in ends {
            pieces.push((order, start, end));
            start = end;
        }
        pieces.sort_unstable();
        // Of unknown length, so that short ones are direct as well.
        let upload = store(folder.path(), Direct::Always).create("object", None).unwrap();
        for (_, start, end) in pieces {
            upload.write_at(start as u64, &bytes[start..end]).unwrap();
        }
        upload.seal(len as u64, None).unwrap();
        proptest::prop_assert!(fs::read(folder.path().join("object")).unwrap() == bytes);
    }
}

#[test]
fn foreign_files_are_seen_and_refused_where_they_cannot_be_keys() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), Direct::Never);
    assert!(store.list("").unwrap().is_empty());
    fs::create_dir_all(folder.path().join("a/empty")).unwrap();
    fs::write(folder.path().join("a/.DS_Store"), b"1").unwrap();
    std::os::unix::fs::symlink("a/.DS_Store", folder.path().join("link")).unwrap();
    let keys: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(keys, ["a/.DS_Store", "link"]);
    let error = store.open("a").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    let error = store.put("link/below", b"1", PutMode::Create).unwrap_err();
    assert!(!error.to_string().is_empty());

    std::os::unix::fs::symlink("nowhere", folder.path().join("broken")).unwrap();
    let error = store.list("").unwrap_err();
    assert!(error.is_not_found() && error.name().ends_with("broken"), "{error}");

    let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
    fs::write(folder.path().join("a").join(odd), b"1").unwrap();
    let error = store.list("a").unwrap_err();
    assert!(error.to_string().contains("no UTF-8"), "{error}");
    assert_eq!(store.list("link").unwrap().len(), 1);
}

#[test]
fn a_name_too_long_for_the_file_system_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = store(folder.path(), Direct::Never).put(&"x".repeat(256), b"1", PutMode::Create);
    assert!(error.unwrap_err().to_string().contains("too long"));
}

/// A file system of 1 MiB needs a mount, hence root; elsewhere the mapping of the error is tested.
#[test]
fn a_full_device_says_so_and_keeps_nothing() {
    assert!(is_full(&Error::io(std::io::Error::from_raw_os_error(28), "x")), "ENOSPC");
    assert!(is_full(&Error::io(std::io::Error::from_raw_os_error(122), "x")), "EDQUOT");
    let folder = tempfile::tempdir().unwrap();
    let Some(_mount) = Tmpfs::mount(folder.path()) else { return };
    for direct in [Direct::Never, Direct::Always] {
        let store = store(folder.path(), direct);
        let upload = store.create("shards/big", Some(8 << 20)).unwrap();
        let written = (0..8).try_for_each(|mib| upload.write_at(mib << 20, &pattern(1 << 20)));
        assert!(is_full(&written.expect_err("8 MiB do not fit")));
        drop(upload);
        assert!(is_full(&store.put("big", &pattern(2 << 20), PutMode::Create).unwrap_err()));
        assert!(store.list("").unwrap().is_empty());
        assert_eq!(store.sweep("").unwrap(), 0);
        store.put("small", b"fits again", PutMode::Replace).unwrap();
        store.remove("small").unwrap();
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Full)
}

struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mut command = std::process::Command::new("mount");
        let status = command.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(path).status();
        status.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}
