//! The conformance suites, on every store and source of this crate.

use std::path::Path;

use shardpack_store::{
    Direct, LocalOptions, LocalStore, LocalTree, MemoryStore, MemoryTree, Store, WalkOptions,
};
use shardpack_testkit::store_suite::{assert_changed, fetch, source_suite, store_suite};

const FILES: [(&[u8], &[u8]); 5] = [
    (b"empty.txt", b""),
    (b"readme.md", b"# read me"),
    (b"cats/1.jpg", b"one"),
    (b"cats/10.jpg", b"t"),
    (b"cats/new\nline \xff.jpg", b"0123456789"),
];

#[test]
fn memory_is_a_store() {
    store_suite(&|| Box::new(MemoryStore::new()));
}

#[test]
fn a_folder_is_a_store() {
    for durable in [false, true] {
        for direct in [Direct::Never, Direct::Always, Direct::Auto] {
            let scratch = tempfile::tempdir().unwrap();
            let options = LocalOptions { durable, direct, expected_bytes: 0 };
            let number = std::cell::Cell::new(0);
            store_suite(&|| -> Box<dyn Store> {
                number.set(number.get() + 1);
                // Not there yet, nor is the folder above.
                let root = scratch.path().join(format!("new/{}", number.get()));
                Box::new(LocalStore::open(root, &options))
            });
        }
    }
}

#[test]
fn memory_is_a_source() {
    let tree = MemoryTree::new(FILES);
    source_suite(&tree, &FILES);
    tree.write(b"cats/1.jpg", b"two"); // as long as before
    assert_changed(&tree, 2);
    tree.remove(b"readme.md");
    assert!(fetch(&tree, 1, 0, 1).unwrap_err().is_not_found());
}

#[test]
fn a_folder_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    for io_depth in [0, 1, 2, 32] {
        let options = WalkOptions { io_depth, ..WalkOptions::default() };
        source_suite(&LocalTree::open(folder.path(), &options).unwrap(), &FILES);
    }
}

#[test]
fn a_list_of_files_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    let mut files = FILES;
    files.reverse();
    let list: Vec<u8> = files.iter().flat_map(|(path, _)| [path, &b"\0"[..]].concat()).collect();
    source_suite(&LocalTree::from_list(folder.path(), &list, 0, 4).unwrap(), &files);
}

fn lay_out(root: &Path) {
    use std::os::unix::ffi::OsStrExt;
    std::fs::create_dir(root.join("cats")).unwrap();
    for (path, bytes) in FILES {
        std::fs::write(root.join(std::ffi::OsStr::from_bytes(path)), bytes).unwrap();
    }
}
