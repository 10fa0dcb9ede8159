//! What must hold for every archive that is read as a tree of files.

use std::io::Write;
use std::path::PathBuf;

use shardpack_store::{Bytes, Result, Source};
use tempfile::NamedTempFile;

use crate::within;

/// Largest file that is read: a small archive may hold a large one.
const LARGEST: u64 = 1 << 20;

/// Headers of 1 MiB before they prove true, and what the table of files takes.
const ALLOWANCE: usize = 4 << 20;

/// Lists `archive` and reads its files, whole and in part: each is as long as the listing says, or
/// reading it fails.
pub fn check<S: Source>(archive: &[u8], open: impl FnOnce(PathBuf) -> Result<S>) {
    let mut file = NamedTempFile::new().expect("a place for the archive");
    file.write_all(archive).expect("room for the archive");
    let worth = ALLOWANCE + 64 * archive.len();
    let Ok(tree) = within(worth, || open(file.path().to_owned())) else { return };
    for (id, file) in (0..).zip(tree.listing().iter().filter(|file| file.len <= LARGEST)) {
        let read = |start, len| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            tree.fetch(id, start, len, &mut Bytes::new(&mut bytes))?;
            Ok(bytes)
        };
        let Ok(whole) = read(0, file.len) else { continue };
        assert_eq!(whole.len() as u64, file.len);
        let middle = file.len / 2;
        let rest = read(middle, file.len - middle).expect("part of what was read whole");
        assert_eq!(rest, whole[middle as usize..]);
    }
}
