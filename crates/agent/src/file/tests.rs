use std::collections::BTreeMap;

use shardpack_channel::{Assign, ChannelRequest, InputMode, Rank};

use super::*;
use crate::objects::LocalObjects;

/// A channel of the files below a folder.
fn channel(folder: &Path) -> Surveyed {
    let objects: Arc<dyn Objects> = Arc::new(LocalObjects::list(folder).unwrap());
    let files = (0..objects.len()).map(|i| (i, objects.key(i).to_owned())).collect();
    Surveyed {
        request: ChannelRequest::s3("train", "s3://local-path/x/", InputMode::File),
        contents: Contents::Objects { objects, files, folders: Vec::new() },
        rank: Rank { rank: 0, world: 1 },
        assign: Assign::default(),
    }
}

struct Place {
    home: tempfile::TempDir,
    progress: Progress,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self { home: tempfile::tempdir().unwrap(), progress: Progress::default() };
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn fetch(&self) -> Result<()> {
        let channel = channel(&self.path("source"));
        let (folder, journal) = (self.path("train"), self.path("journal"));
        let target = Target { folder: &folder, journal: &journal };
        fetch(&channel, &target, 3, &Stop::default(), &self.progress)
    }

    fn there(&self) -> BTreeMap<String, String> {
        let folder = self.path("train");
        let read = |path: PathBuf| {
            let name = path.strip_prefix(&folder).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        };
        walk(&folder).into_iter().map(read).collect()
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_channel_is_copied_and_never_linked() {
    let place = Place::new(&[("a", "one"), ("b/c", "two"), ("empty", "")]);
    place.fetch().unwrap();
    let wanted = [("a", "one"), ("b/c", "two"), ("empty", "")];
    assert_eq!(place.there(), wanted.map(|(n, t)| (n.to_owned(), t.to_owned())).into());
    fs::write(place.path("train/a"), "written by the container").unwrap();
    assert_eq!(fs::read_to_string(place.path("source/a")).unwrap(), "one");
}

#[test]
fn a_second_run_fetches_what_changed_and_removes_what_is_gone() {
    let place = Place::new(&[("a", "one"), ("b", "two"), ("c", "three")]);
    place.fetch().unwrap();
    fs::remove_file(place.path("source/c")).unwrap();
    place.write("b", "other");
    fs::write(place.path("train/d.shardpack-unfinished"), "half").unwrap();
    let before = place.progress.files_done();
    place.fetch().unwrap();
    assert_eq!(place.progress.files_done() - before, 1, "b alone");
    let wanted = [("a", "one"), ("b", "other")];
    assert_eq!(place.there(), wanted.map(|(n, t)| (n.to_owned(), t.to_owned())).into());
}

/// A kill may come between any two steps: what has a file's name must have its note by then, or it
/// would be somebody else's file to the next run.
#[test]
fn a_file_is_noted_before_it_has_its_name() {
    let place = Place::new(&[("a", "one")]);
    fs::create_dir_all(place.path("train/a")).unwrap(); // no file can get this name
    place.fetch().unwrap_err();
    assert!(fs::read_to_string(place.path("journal")).unwrap().ends_with(" \"a\"\n"));
    // The note alone tells nothing.
    fs::remove_dir(place.path("train/a")).unwrap();
    place.fetch().unwrap();
    assert_eq!(place.there(), [("a".to_owned(), "one".to_owned())].into());
}

#[test]
fn files_of_others_are_in_the_way() {
    let place = Place::new(&[("a", "one")]);
    fs::create_dir_all(place.path("train")).unwrap();
    fs::write(place.path("train/mine"), "precious").unwrap();
    let error = place.fetch().unwrap_err();
    assert!(
        matches!(&error, Error::InTheWay { path, .. } if path.ends_with("train/mine")),
        "{error}"
    );
    assert_eq!(fs::read_to_string(place.path("train/mine")).unwrap(), "precious");
}

#[test]
fn a_full_disk_is_told_before_the_first_byte() {
    let folder = tempfile::tempdir().unwrap();
    assert!(room_for(0, folder.path()).is_ok());
    assert!(matches!(
        room_for(u64::MAX, folder.path()),
        Err(Error::Space { needed: u64::MAX, .. })
    ));
}
