//! Some of an archive's files.
//!
//! A folder is walked with the rules, so that what they leave out is never looked at. An archive
//! is listed whole first; this leaves out afterwards, with the same reasons.

use shardpack_store::{File, FileId, Listing, ListingBuilder, Result, Sink, Source};

/// The files of a source that rules leave.
pub(super) struct Selected<S> {
    source: S,
    ids: Vec<FileId>,
    listing: Listing,
}

impl<S: Source> Selected<S> {
    /// Takes the files that `refuse` has no reason against.
    pub(super) fn new(source: S, refuse: impl Fn(&File<'_>) -> Option<&'static str>) -> Self {
        let all = source.listing();
        let mut listing = ListingBuilder::default();
        for dir in 0..all.dirs() as u32 {
            listing.dir(all.dir(dir));
        }
        let mut ids = Vec::new();
        let mut skipped = all.skipped.clone();
        for (id, file) in (0..).zip(all.iter()) {
            match refuse(&file) {
                None => {
                    listing.file(file.dir_id, file.name, file.len, file.stamp);
                    ids.push(id);
                }
                Some(reason) => match skipped.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, count)) => *count += 1,
                    None => skipped.push((reason.to_owned(), 1)),
                },
            }
        }
        Self { listing: listing.finish(skipped), ids, source }
    }
}

impl<S: Source> Source for Selected<S> {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, file: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        self.source.fetch(self.ids[file as usize], start, len, sink)
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

#[cfg(test)]
mod tests {
    use shardpack_store::{Bytes, MemoryTree};

    use super::*;

    #[test]
    fn ids_lead_to_the_files_that_are_left() {
        let tree = MemoryTree::new([("a/1", "one"), ("a/2", "two"), ("b/3", "three")]);
        let selected = Selected::new(tree, |file| (file.name == b"2").then_some("excluded"));
        let names: Vec<_> = selected.listing().iter().map(|file| file.display()).collect();
        assert_eq!(names, ["a/1", "b/3"]);
        assert_eq!(selected.listing().skipped, [("excluded".to_owned(), 1)]);
        let mut body = Vec::new();
        selected.fetch(1, 0, 5, &mut Bytes::new(&mut body)).expect("a body");
        assert_eq!(body, b"three");
    }
}
