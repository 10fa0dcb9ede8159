//! What was fetched into a channel's folder: one line a file, written just before it has its name.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::UNFINISHED;
use crate::{Error, Result};

/// A file, and which object's bytes it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) len: u64,
    pub(super) stamp: u64,
}

#[derive(Debug)]
pub(super) struct Journal {
    known: HashMap<String, Entry>,
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Opens or starts one. A last line that was cut off tells nothing.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(error, path)),
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let entries = whole.lines().filter_map(parse);
        let known = entries.map(|entry| (entry.path.clone(), entry)).collect();
        let mut open = OpenOptions::new();
        let mut file =
            open.create(true).append(true).open(path).map_err(|error| Error::io(error, path))?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(|error| Error::io(error, path))?;
        }
        Ok(Self { known, path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Looks at what lies in `folder`: keeps what is wanted as it is, and removes what an agent put
    /// there before. Anything else is in the way.
    pub(super) fn keep<'e>(
        &self,
        folder: &Path,
        wanted: impl Iterator<Item = &'e Entry>,
    ) -> Result<HashSet<Entry>> {
        let wanted: HashSet<&Entry> = wanted.collect();
        let mut kept = HashSet::new();
        for path in files(folder)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let known = self.known.get(&name);
            let len = path.symlink_metadata().map(|found| found.len());
            match known {
                Some(entry) if wanted.contains(entry) && len.is_ok_and(|len| len == entry.len) => {
                    kept.insert(entry.clone());
                }
                None if !name.ends_with(UNFINISHED) => {
                    let what = "is no file of this channel; move it, or take another --root";
                    let path = path.display().to_string();
                    return Err(Error::InTheWay { path, what: what.into() });
                }
                _ => fs::remove_file(&path).map_err(|error| Error::io(error, &path))?,
            }
        }
        Ok(kept)
    }

    /// Notes a file that is whole, and about to get its name.
    pub(super) fn note(&self, entry: &Entry) -> Result<()> {
        let path = serde_json::Value::from(entry.path.as_str());
        let line = format!("{} {:016x} {path}\n", entry.len, entry.stamp);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|error| Error::io(error, &self.path))
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut parts = line.splitn(3, ' ');
    let (len, stamp) = (parts.next()?.parse().ok()?, u64::from_str_radix(parts.next()?, 16).ok()?);
    Some(Entry { path: serde_json::from_str(parts.next()?).ok()?, len, stamp })
}

/// Everything below a folder that is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed = |error| Error::io(error, &folder);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_type().map_err(failed)?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}
