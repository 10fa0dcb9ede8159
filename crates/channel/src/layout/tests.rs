use proptest::prelude::*;

use super::*;
use InputMode::{FastFile, File, Pipe};

fn paths<'k>(mode: InputMode, naming: &Naming<'_>, keys: &[&'k str]) -> Vec<&'k str> {
    let layout = layout(mode, naming, keys.iter().map(|key| (*key, 1))).unwrap();
    assert_eq!(layout.left_out, [], "{keys:?}");
    layout.files.iter().map(|(_, path)| *path).collect()
}

#[test]
fn files_of_a_channel_by_the_golden_table() {
    for (prefix, keys, wanted) in [
        // A folder, with and without its slash; the whole bucket.
        ("train", &["train/class_dog/x.jpg"][..], &["class_dog/x.jpg"][..]),
        ("train/", &["train/class_dog/x.jpg"], &["class_dog/x.jpg"]),
        ("", &["a.jpg", "d/b.jpg"], &["a.jpg", "d/b.jpg"]),
        // One object.
        ("data/train-01.tar", &["data/train-01.tar"], &["train-01.tar"]),
        ("train.tar", &["train.tar"], &["train.tar"]),
        // Names that the prefix begins keep their whole last part.
        ("data/train", &["data/train-data.csv"], &["train-data.csv"]),
        ("data/train", &["data/train-01/c.rec"], &["train-01/c.rec"]),
        ("tra", &["train/a.rec"], &["train/a.rec"]),
        // The folder goes once.
        ("in", &["in/in/a.rec"], &["in/a.rec"]),
        ("in/", &["in/in/a.rec"], &["in/a.rec"]),
        // Odd, but names like others.
        (
            "d/",
            &["d/a\\b", "d/d\u{e9}j\u{e0} vu?#%", "d/..a/b.."],
            &["a\\b", "d\u{e9}j\u{e0} vu?#%", "..a/b.."],
        ),
    ] {
        assert_eq!(paths(File, &Naming::prefix(prefix), keys), wanted, "{prefix}");
    }
    let keys = ["some/prefix/relative/a-1", "some/prefix/relative/a-2"];
    assert_eq!(paths(File, &Naming::Key, &keys), keys, "a manifest keeps whole keys");
    let below = Naming::Below("some/prefix/rel");
    assert_eq!(paths(File, &below, &keys), ["ative/a-1", "ative/a-2"], "or what it lists");
}

#[test]
fn what_no_directory_can_hold_is_left_out() {
    let long = format!("d/{}", "n".repeat(256));
    for (key, why) in [
        ("d//a", LeftOut::Empty),
        ("d/a//b", LeftOut::Empty),
        ("d/./a", LeftOut::Dots),
        ("d/a/..", LeftOut::Dots),
        ("d/../../etc/passwd", LeftOut::Dots),
        ("d/a\0b", LeftOut::Nul),
        (&long, LeftOut::Long),
        ("d/a/", LeftOut::Folder),
        ("d/", LeftOut::Folder),
        ("e/a", LeftOut::Outside),
    ] {
        for mode in [File, FastFile] {
            let found = layout(mode, &Naming::prefix("d/"), [(key, 1), ("d/good", 1)]).unwrap();
            assert_eq!(found.left_out, [(0, why)], "{key:?} {mode}");
            assert_eq!(found.files, [(1, "good")]);
        }
    }
    let found = layout(Pipe, &Naming::prefix("d/"), [("d//../a/", 1), ("d//b", 0)]).unwrap();
    assert_eq!((found.files.len(), found.left_out.len()), (2, 0), "a pipe has no paths");
}

#[test]
fn folders_are_no_files() {
    let keys = [("d/", 0), ("d/a/", 0), ("d/a/b/", 0), ("d/c//", 0), ("d/a/x", 0), ("d/a", 5)];
    let naming = Naming::prefix("d/");
    let copied = layout(File, &naming, keys).unwrap();
    assert_eq!(copied.folders, [(1, "a"), (2, "a/b")]);
    assert_eq!(copied.files, [(4, "a/x")], "empty files are files");
    assert_eq!(copied.left_out, [(5, LeftOut::Directory)]);
    let streamed = layout(Pipe, &naming, keys).unwrap();
    assert_eq!(streamed.files.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [4, 5]);
    // An empty folder is there for a mount, and not for a copy.
    let keys = [("d/a", 5), ("d/a/", 0)];
    assert_eq!(layout(File, &naming, keys).unwrap().files, [(0, "a")]);
    assert_eq!(layout(FastFile, &naming, keys).unwrap().left_out, [(0, LeftOut::Directory)]);
}

#[test]
fn directories_hide_files_of_their_name() {
    let keys = ["d/blue", "d/blue-x", "d/blue/image.jpg", "d/blue/a", "d/blue/a/b/c"];
    for mode in [File, FastFile] {
        let objects = keys.iter().map(|key| (*key, 1));
        let found = layout(mode, &Naming::prefix("d/"), objects).unwrap();
        assert_eq!(found.files, [(1, "blue-x"), (2, "blue/image.jpg"), (4, "blue/a/b/c")]);
        assert_eq!(found.left_out, [(0, LeftOut::Directory), (3, LeftOut::Directory)]);
    }
}

#[test]
fn one_path_has_one_object() {
    let keys = [("data/train-x", 1), ("data/train/train-x", 1), ("data/train/y", 1)];
    let found = layout(File, &Naming::prefix("data/train"), keys).unwrap();
    assert_eq!(found.files, [(0, "train-x"), (2, "y")]);
    assert_eq!(found.left_out, [(1, LeftOut::Taken(0))]);
    assert_eq!(found.mixed, Some(("data/train/train-x", "data/train-x")));
    let twice = layout(File, &Naming::Key, [("a", 1), ("a", 1)]).unwrap();
    assert_eq!((twice.files.len(), twice.left_out.len()), (1, 1), "listed twice");
    let twice = layout(Pipe, &Naming::Key, [("a", 1), ("a", 1)]).unwrap();
    assert_eq!(twice.files.len(), 2, "streamed twice");
    assert_eq!(twice.mixed, None);
}

#[test]
fn fastfile_takes_a_folder_or_one_key() {
    for (prefix, keys, said) in [
        ("b/train-01/", &["b/train-01/data.csv", "b/train-01/"][..], None),
        ("b/train-01", &["b/train-01/data.csv"], None),
        ("", &["a", "b/c"], None),
        ("b/train.tar", &["b/train.tar"], None),
        ("b/none", &[], None),
        (
            "b/train",
            &["b/train-01/data.csv"],
            Some(
                "is the beginning of \"b/train-01/data.csv\" and no folder; name the folder and end it in /",
            ),
        ),
        (
            "b/train-01",
            &["b/train-01.txt", "b/train-01/data.csv"],
            Some(
                "is the folder of \"b/train-01/data.csv\" and the beginning of \"b/train-01.txt\"; end it in / to take the folder",
            ),
        ),
        (
            "b/train-01",
            &["b/train-01/data.csv", "b/train-011/x"],
            Some(
                "is the folder of \"b/train-01/data.csv\" and the beginning of \"b/train-011/x\"; end it in / to take the folder",
            ),
        ),
        (
            "b/train.tar",
            &["b/train.tar", "b/train.tar.idx"],
            Some(
                "is a key and the beginning of \"b/train.tar.idx\"; FastFile takes a folder or one key",
            ),
        ),
    ] {
        let naming = Naming::prefix(prefix);
        let result = layout(FastFile, &naming, keys.iter().map(|key| (*key, 0)));
        let said = said.map(|reason| format!("prefix {prefix:?}: {reason}"));
        assert_eq!(result.err().map(|error| error.to_string()), said, "{prefix} {keys:?}");
        assert!(layout(File, &naming, keys.iter().map(|key| (*key, 0))).is_ok());
    }
}

proptest! {
    /// Files can be created side by side, and nothing is lost on the way.
    #[test]
    fn every_layout_is_a_tree(keys in prop::collection::vec(("[ab./]{0,6}", 0u64..2), 0..20), prefix in "[ab/]{0,3}", fast in any::<bool>()) {
        let mode = if fast { FastFile } else { File };
        let objects = keys.iter().map(|(key, len)| (key.as_str(), *len));
        let Ok(found) = layout(mode, &Naming::prefix(&prefix), objects) else { return Ok(()) };
        let mut seen = HashSet::new();
        for (object, path) in &found.files {
            prop_assert!(keys[*object].0.ends_with(path));
            prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", path);
            prop_assert!(seen.insert(*path), "{} twice", path);
            let below = format!("{path}/");
            prop_assert!(found.files.iter().all(|(_, other)| !other.starts_with(&below)));
        }
        let folders = keys.iter().filter(|(key, len)| *len == 0 && (key.ends_with('/') || *key == prefix)).count();
        let told = found.files.len() + found.left_out.len();
        prop_assert!((keys.len() - folders..=keys.len()).contains(&told));
    }
}
