//! What is known of the samples that are taken, as arrays.

mod build;

use std::collections::BTreeMap;
use std::ops::Range;

use shardpack_formats::{Label, Position};
use shardpack_store::{FileId, Listing};

pub(crate) use build::{CatalogBuilder, NewField, NewSample, Record};

use super::overlay::Over;
use super::shards::Broken;
use crate::Result;
use crate::plan::Body;

/// The samples of one or more datasets: their files, labels and places.
///
/// A file is a field of a sample. Its stamp in the listing is the crc32c of its body.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    listing: Listing,
    /// Where the key ends in each file's name.
    cuts: Vec<u32>,
    /// Shard of each file, over all inputs.
    shards: Vec<u32>,
    /// Its record there.
    records: Vec<u32>,
    /// Where its body lies there; [`NOWHERE`] where the record must be decoded.
    offsets: Vec<u64>,
    /// Bodies without a place, by file.
    whole: Vec<Whole>,
    /// Names of their fields in the records.
    stored: Vec<String>,
    originals: Originals,
    /// Files that are only looked into, in order: no field of what is made.
    hidden: Vec<FileId>,
    samples: Vec<Row>,
    /// Whether a sample is taken; samples that are not are few, or were asked to be left out.
    taken: Vec<bool>,
    labels: Vec<Label>,
    ids: Vec<u64>,
    classes: BTreeMap<String, u64>,
    /// Names of the shards, for messages.
    names: Vec<String>,
    /// Places of the samples that are taken, where the source was arranged.
    pub(super) places: Vec<u32>,
    /// The shard whose records are lines of a table, if there is one.
    pub(super) table: Option<u32>,
    /// The dataset whose records these samples lie over, for an overlay.
    pub(crate) over: Option<Over>,
    /// What was asked for, as flags and values.
    pub(crate) described: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    first: u32,
    label: u32,
}

/// A body that is only had by decoding its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    file: FileId,
    /// Its number among the record's fields.
    pub(super) field: u32,
    /// Its name there, which a rename does not change, in [`Catalog::stored`].
    name: u32,
    /// The record's place in the shard.
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Stands for a body that has no place.
const NOWHERE: u64 = u64::MAX;

/// Names that files had before they were first packed, where key and field do not tell them.
#[derive(Debug, Default)]
struct Originals {
    /// File, and where its name ends in `text`. An empty name is that of a label.
    ends: Vec<(FileId, u64)>,
    text: String,
}

/// Where a body lies.
#[derive(Debug)]
pub(super) enum Place<'c> {
    /// At an offset of the uncompressed shard.
    At(u64),
    /// In a record, under a name.
    In(&'c Whole, &'c str),
}

impl Catalog {
    pub(crate) fn listing(&self) -> &Listing {
        &self.listing
    }

    pub(crate) fn cuts(&self) -> &[u32] {
        &self.cuts
    }

    pub(crate) fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub(crate) fn classes(&self) -> &BTreeMap<String, u64> {
        &self.classes
    }

    /// Header ids of the samples that are taken; empty where none are carried.
    pub(crate) fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Number of samples that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
    }

    /// Files and label of each sample that is taken.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (impl Iterator<Item = FileId>, u32)> {
        let numbers = (0..self.samples.len()).filter(|i| self.taken[*i]);
        numbers.map(|i| (self.visible(i), self.samples[i].label))
    }

    /// Places of the samples that are taken; empty where the source was not arranged.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    /// The options that chose these samples.
    pub(crate) fn described(&self) -> &BTreeMap<String, String> {
        &self.described
    }

    /// The name that a file had before it was packed: none where key and field tell it, else the
    /// path, or none for a label.
    pub(crate) fn original(&self, file: FileId) -> Option<Option<&str>> {
        let Originals { ends, text } = &self.originals;
        let i = ends.binary_search_by_key(&file, |(file, _)| *file).ok()?;
        let start = i.checked_sub(1).and_then(|i| ends.get(i)).map_or(0, |(_, end)| *end);
        let name = text.get(start as usize..ends.get(i)?.1 as usize)?;
        Some((!name.is_empty()).then_some(name))
    }

    /// Compares what was read of a sample with what its source's index says of it.
    pub(crate) fn prove(&self, key: &str, bodies: &[Body], found: &[u32]) -> Result<()> {
        for (body, found) in bodies.iter().zip(found) {
            if let Body::File(file) = *body {
                self.compare(file, *found, || key.to_owned())?;
            }
        }
        Ok(())
    }

    /// Compares the crc32c of a body with what its source's index says of it.
    pub(crate) fn check(&self, file: FileId, found: u32) -> Result<()> {
        self.compare(file, found, || {
            let mut key = String::new();
            self.key_of(file, &mut key);
            key
        })
    }

    fn compare(&self, file: FileId, found: u32, key: impl FnOnce() -> String) -> Result<()> {
        let wanted = self.listing.file(file).stamp as u32;
        if found == wanted {
            return Ok(());
        }
        let field = self.field_name(file);
        let reason = format!(
            "field {field:?} has crc32c {found:08x}, the source's index says {wanted:08x}: damaged, or changed since it was indexed"
        );
        Err(self.broken(file, reason).into_error(&key()))
    }

    /// What is wrong with the record that holds a file.
    pub(super) fn broken(&self, file: FileId, reason: String) -> Broken {
        let i = file as usize;
        let offset = match self.place(file) {
            Place::At(offset) => offset,
            Place::In(whole, _) => whole.offset,
        };
        let position = Position { record: u64::from(self.records[i]), offset };
        Broken { shard: self.names[self.shards[i] as usize].clone(), position, reason }
    }

    /// Shard of a file.
    pub(super) fn shard(&self, file: FileId) -> u32 {
        self.shards[file as usize]
    }

    /// Record of a file in its shard.
    pub(super) fn record(&self, file: FileId) -> u32 {
        self.records[file as usize]
    }

    /// Where the body of a file lies in its shard.
    pub(super) fn place(&self, file: FileId) -> Place<'_> {
        match self.offsets[file as usize] {
            NOWHERE => match self.whole.binary_search_by_key(&file, |whole| whole.file) {
                Ok(i) => Place::In(&self.whole[i], &self.stored[self.whole[i].name as usize]),
                Err(_) => Place::At(0), // there is one for each
            },
            offset => Place::At(offset),
        }
    }

    /// Name of a shard, for messages.
    pub(super) fn name(&self, shard: u32) -> &str {
        &self.names[shard as usize]
    }

    /// Bytes of memory that this holds beside the listing.
    pub(crate) fn memory(&self) -> usize {
        let files = self.cuts.capacity() + self.shards.capacity() + self.records.capacity();
        files * size_of::<u32>()
            + self.offsets.capacity() * size_of::<u64>()
            + self.whole.capacity() * size_of::<Whole>()
            + self.originals.ends.capacity() * size_of::<(FileId, u64)>()
            + self.originals.text.capacity()
            + self.hidden.capacity() * size_of::<FileId>()
            + self.samples.capacity() * size_of::<Row>()
            + self.places.capacity() * size_of::<u32>()
            + self.taken.capacity()
            + self.ids.capacity() * size_of::<u64>()
    }

    /// Number of samples, those that are not taken included.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Files of sample `i`, taken or not.
    pub(super) fn files(&self, i: usize) -> Range<FileId> {
        let end = self.samples.get(i + 1).map_or(self.listing.len() as u32, |next| next.first);
        self.samples[i].first..end
    }

    pub(super) fn label_number(&self, i: usize) -> u32 {
        self.samples[i].label
    }

    /// Files of sample `i` that become fields, taken or not.
    pub(super) fn visible(&self, i: usize) -> impl Iterator<Item = FileId> {
        self.files(i).filter(|file| self.hidden.binary_search(file).is_err())
    }

    /// Samples of an overlay that nothing was added to, by number, and the hidden file of each. All
    /// samples of an overlay are taken.
    pub(crate) fn bare(&self) -> Vec<(u32, FileId)> {
        if self.over.is_none() {
            return Vec::new();
        }
        let hidden = |(i, row): (u32, &Row)| {
            self.hidden.binary_search(&row.first).is_ok().then_some((i, row.first))
        };
        (0..).zip(&self.samples).filter_map(hidden).collect()
    }

    /// The file of sample `i` that the source calls `stored`, and that is called `name` from now on,
    /// if it is taken.
    pub(super) fn field(&self, i: usize, stored: &str, name: &str) -> Option<FileId> {
        let is_it = |file: &FileId| match self.hidden.binary_search(file) {
            Ok(_) => self.field_name(*file) == stored,
            Err(_) => self.field_name(*file) == name,
        };
        self.files(i).find(is_it)
    }

    /// Writes the key of sample `i` into `key`.
    pub(super) fn key(&self, i: usize, key: &mut String) {
        self.key_of(self.samples[i].first, key);
    }

    /// Writes the key of the sample that a file belongs to into `key`.
    pub(super) fn key_of(&self, id: FileId, key: &mut String) {
        key.clear();
        let file = self.listing.file(id);
        if !file.dir.is_empty() {
            key.push_str(std::str::from_utf8(file.dir).unwrap_or_default());
            key.push('/');
        }
        key.push_str(self.split(id).0);
    }

    /// Shard and record of sample `i`, for messages.
    pub(super) fn whereabouts(&self, i: usize) -> String {
        // Fields that were added are in later shards.
        let places = self.files(i).map(|f| (self.shards[f as usize], self.records[f as usize]));
        let (shard, record) = places.min().unwrap_or_default();
        let word = if self.table == Some(shard) { "line" } else { "record" };
        format!("{} {word} {record}", self.names[shard as usize])
    }

    /// Bytes of a sample's bodies.
    pub(super) fn bytes(&self, i: usize) -> u64 {
        self.visible(i).map(|file| self.listing.file(file).len).fold(0, u64::saturating_add)
    }

    pub(super) fn is_taken(&self, i: usize) -> bool {
        self.taken[i]
    }

    /// Leaves samples out; `dropped` says which.
    pub(super) fn leave_out(&mut self, reason: &str, dropped: impl IntoIterator<Item = usize>) {
        let mut count = 0;
        for i in dropped {
            count += u64::from(std::mem::replace(&mut self.taken[i], false));
        }
        if count > 0 {
            self.listing.skipped.push((reason.to_owned(), count));
        }
    }

    /// Keeps the header ids of what is taken, or none of them.
    pub(super) fn settle_ids(&mut self, keep: bool) {
        let mut i = 0;
        self.ids.retain(|_| {
            i += 1;
            keep && self.taken[i - 1]
        });
    }

    /// True when two samples that are taken have the same header id.
    pub(super) fn ids_collide(&self) -> bool {
        let mut ids: Vec<u64> =
            self.ids.iter().zip(&self.taken).filter(|(_, t)| **t).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Name of the field that a file is.
    pub(super) fn field_name(&self, file: FileId) -> &str {
        self.split(file).1
    }

    /// Key's last part and field of a file's name.
    fn split(&self, file: FileId) -> (&str, &str) {
        let name = self.listing.file(file).text.unwrap_or_default();
        let at = self.cuts[file as usize] as usize;
        (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default())
    }
}
