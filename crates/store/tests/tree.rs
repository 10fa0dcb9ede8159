//! Folders as people leave them: links, loops, pipes, odd names, files that change.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use shardpack_store::{Error, ErrorKind, LocalTree, Source, Symlinks, WalkOptions};
use shardpack_testkit::store_suite::{assert_changed, fetch};

fn paths(tree: &LocalTree) -> Vec<String> {
    tree.listing().iter().map(|file| file.display()).collect()
}

fn skipped(tree: &LocalTree) -> Vec<(&str, u64)> {
    tree.listing().skipped.iter().map(|(why, count)| (why.as_str(), *count)).collect()
}

fn write(root: &Path, path: impl AsRef<OsStr>, bytes: &[u8]) {
    let path = root.join(path.as_ref());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn open(root: &Path) -> Result<LocalTree, Error> {
    LocalTree::open(root, &WalkOptions::default())
}

fn assert_invalid(error: &Error, text: &str) {
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains(text), "{error} should say {text}");
}

#[test]
fn order_is_by_folder_then_name_whatever_the_depth() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["b", "a.d/x", "a/x", "a/b/c", "a/10", "a/9", "B", "a b/1"] {
        write(root, path, b"1");
    }
    let expected = ["B", "b", "a/10", "a/9", "a/x", "a b/1", "a.d/x", "a/b/c"];
    for io_depth in [1, 3, 32] {
        let options = WalkOptions { io_depth, ..WalkOptions::default() };
        assert_eq!(paths(&LocalTree::open(root, &options).unwrap()), expected);
    }
}

#[test]
fn names_of_any_bytes_and_length_pass() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let longest = "x".repeat(255);
    let names: Vec<Vec<u8>> = vec![
        b" ".to_vec(),
        b"new\nline".to_vec(),
        "\u{1f600}.jpg".into(),
        longest.clone().into(),
        (1..=255).filter(|byte| !matches!(byte, b'/' | b'.')).collect(),
        b"\xff\xfe".to_vec(),
    ];
    for name in &names {
        let path = [longest.as_bytes(), b"/", name].concat();
        write(root, OsStr::from_bytes(&path), name);
    }
    let tree = open(root).unwrap();
    assert_eq!(tree.listing().len(), names.len());
    for (id, file) in (0..).zip(tree.listing().iter()) {
        assert_eq!(fetch(&tree, id, 0, file.len).unwrap(), file.name, "{}", file.display());
    }
}

#[test]
fn many_files_in_one_folder_and_one_file_in_many() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for i in 0..700 {
        write(root, format!("flat/{i:04}"), format!("{i}").as_bytes());
        write(root, format!("deep/{i:04}/{}", "d/".repeat(i % 9)) + "x", b"deep");
    }
    let tree = open(root).unwrap();
    assert_eq!((tree.listing().len(), tree.listing().dirs()), (1400, 701));
    let flat = tree.listing().iter().filter(|file| file.dir == b"flat");
    for (i, file) in flat.enumerate() {
        let expected = (format!("{i:04}"), format!("{i}").len() as u64);
        assert_eq!((file.name, file.len), (expected.0.as_bytes(), expected.1));
    }
    for (id, file) in (0..).zip(tree.listing().iter()) {
        assert_eq!(fetch(&tree, id, 0, file.len).unwrap().len() as u64, file.len);
    }
}

#[test]
fn links_are_followed_skipped_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "real/1", b"one");
    write(outside.path(), "sub/2", b"two");
    symlink("1", root.join("real/link")).unwrap();
    symlink(outside.path(), root.join("out")).unwrap();

    let tree = open(root).unwrap();
    assert_eq!(paths(&tree), ["out/sub/2", "real/1", "real/link"]);
    assert_eq!(fetch(&tree, 2, 0, 3).unwrap(), b"one");
    assert_eq!(fetch(&tree, 0, 0, 3).unwrap(), b"two");

    let skip = WalkOptions { symlinks: Symlinks::Skip, ..WalkOptions::default() };
    let tree = LocalTree::open(root, &skip).unwrap();
    assert_eq!(paths(&tree), ["real/1"]);
    assert_eq!(skipped(&tree), [("symbolic link", 2)]);
    // A link in the place of a listed file is not followed then either.
    fs::rename(root.join("real/1"), root.join("real/moved")).unwrap();
    symlink("moved", root.join("real/1")).unwrap();
    assert!(fetch(&tree, 0, 0, 3).is_err());

    let refuse = WalkOptions { symlinks: Symlinks::Error, ..WalkOptions::default() };
    assert_invalid(&LocalTree::open(root, &refuse).unwrap_err(), "is a symbolic link");
}

#[test]
fn loops_end_and_are_counted_and_broken_links_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a/b/1", b"one");
    symlink("..", root.join("a/b/up")).unwrap();
    symlink("../..", root.join("a/b/top")).unwrap();
    symlink(".", root.join("a/b/here")).unwrap();
    symlink("a", root.join("twice")).unwrap(); // no loop: its files are there twice
    let tree = open(root).unwrap();
    assert_eq!(paths(&tree), ["a/b/1", "twice/b/1"]);
    assert_eq!(skipped(&tree), [("symbolic link to a folder above it", 6)]);

    symlink("nowhere", root.join("broken")).unwrap();
    assert_invalid(&open(root).unwrap_err(), "broken: is a symbolic link that points nowhere");
    fs::remove_file(root.join("broken")).unwrap();
    symlink("self", root.join("self")).unwrap();
    assert_invalid(&open(root).unwrap_err(), "self: is a symbolic link that leads back to itself");
    let skip = WalkOptions { symlinks: Symlinks::Skip, ..WalkOptions::default() };
    assert_eq!(paths(&LocalTree::open(root, &skip).unwrap()), ["a/b/1"]);
}

#[test]
fn hidden_excluded_and_special_files_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["1.jpg", "1.txt", ".DS_Store", ".git/config", "cache/2.jpg", "sub/3.jpg"] {
        write(root, path, b"1");
    }
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let tree = open(root).unwrap();
    assert_eq!(paths(&tree), ["1.jpg", "1.txt", "cache/2.jpg", "sub/3.jpg"]);
    assert_eq!(skipped(&tree), [("hidden", 2), ("no file (pipe, socket or device)", 1)]);

    let keep = |path: &[u8]| path.ends_with(b".jpg") || path == b".git/config";
    let enter = |path: &[u8]| path != b"cache";
    let options = WalkOptions {
        hidden: true,
        keep: Some(&keep),
        enter: Some(&enter),
        ..WalkOptions::default()
    };
    let tree = LocalTree::open(root, &options).unwrap();
    assert_eq!(paths(&tree), ["1.jpg", ".git/config", "sub/3.jpg"]);
    assert_eq!(skipped(&tree), [("excluded", 3), ("no file (pipe, socket or device)", 1)]);
}

#[test]
fn roots_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "file", b"1");
    let error = open(&folder.path().join("missing")).unwrap_err();
    assert!(error.is_not_found() && error.name().ends_with("missing"), "{error}");
    assert_invalid(&open(&folder.path().join("file")).unwrap_err(), "is no folder");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(open(&empty).unwrap().listing().is_empty());
}

#[test]
fn a_file_that_changed_since_it_was_listed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let replacement = folder.path().join(".replacement");
    let reset = || {
        fs::write(&path, b"0123456789").unwrap();
        open(folder.path()).unwrap()
    };
    let tree = reset();
    assert_eq!(fetch(&tree, 0, 0, 10).unwrap(), b"0123456789");

    let tree = reset();
    fs::write(&path, b"0123456789 and more").unwrap();
    assert_changed(&tree, 0);

    let tree = reset();
    File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
    assert_changed(&tree, 0);

    let tree = reset();
    let touched = SystemTime::now() + Duration::from_secs(5);
    File::options().write(true).open(&path).unwrap().set_modified(touched).unwrap();
    assert_changed(&tree, 0);

    let tree = reset();
    fs::write(&replacement, b"9876543210").unwrap();
    fs::File::open(&replacement).unwrap().set_modified(touched).unwrap();
    fs::rename(&replacement, &path).unwrap();
    assert_changed(&tree, 0);

    let tree = reset();
    fs::remove_file(&path).unwrap();
    let error = fetch(&tree, 0, 0, 10).unwrap_err();
    assert!(error.is_not_found() && error.name() == "file", "{error}");

    // A pipe must not block the reader, and a folder is no file.
    rustix_mkfifo(&path);
    assert!(fetch(&tree, 0, 0, 10).is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(fetch(&tree, 0, 0, 10).is_err());
}

fn rustix_mkfifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
}

#[test]
fn a_folder_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "locked/1", b"1");
    let locked = folder.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let opened = open(folder.path());
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(opened.unwrap().listing().len(), 1); // root may read everything
    } else {
        let error = opened.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Denied), "{error}");
        assert!(error.name().ends_with("locked"), "{error}");
    }
}

#[test]
fn lists_name_the_line_of_what_is_missing_or_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a/1", b"one");
    write(root, "2", b"two");
    let list = |text: &str| LocalTree::from_list(root, text.as_bytes(), b'\n', 4);
    let absolute = format!("{}/2\n./a//1\n", root.display());
    assert_eq!(paths(&list(&absolute).unwrap()), ["2", "a/1"]);
    assert!(list("\n").unwrap().listing().is_empty());

    let error = list("2\n\nmissing\na/1\n").unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(error.to_string(), "line 3: missing: not found");
    assert_invalid(&list("a\n").unwrap_err(), "line 1: a: is a folder, not a file");
    assert_invalid(&list("2\n../2\n").unwrap_err(), "line 2: ../2: the path has .. in it");
    assert_invalid(&list("2\na/1\n./2\n").unwrap_err(), "line 3: 2: line 1 names it already");
}
