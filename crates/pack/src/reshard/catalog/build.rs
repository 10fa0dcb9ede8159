//! Catalogs, sample by sample.

use std::collections::{BTreeMap, HashMap};

use shardpack_formats::Label;
use shardpack_store::{FileId, ListingBuilder};

use super::{Catalog, NOWHERE, Originals, Row, Whole};
use crate::{Error, Result};

/// Fills a [`Catalog`], sample by sample.
#[derive(Debug)]
pub(crate) struct CatalogBuilder {
    catalog: Catalog,
    listing: ListingBuilder,
    folders: HashMap<String, u32>,
    numbers: HashMap<(Vec<u64>, Option<String>), u32>,
    name: String,
}

/// The record that a field is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) shard: u32,
    pub(crate) number: u32,
    /// Its offset and length.
    pub(crate) place: (u64, u64),
}

/// A field that a sample brings.
#[derive(Clone, Debug)]
pub(crate) struct NewField<'a> {
    /// Its name from now on.
    pub(crate) name: &'a str,
    /// Whether it is only looked into.
    pub(crate) hidden: bool,
    pub(crate) from: Record,
    pub(crate) offset: Option<u64>,
    pub(crate) len: u64,
    pub(crate) crc32c: u32,
    /// Its number in the record, and its name there.
    pub(crate) number: u32,
    pub(crate) stored: &'a str,
    /// The name that its file had, or none for a label, where that is known.
    pub(crate) original: Option<Option<&'a str>>,
}

/// A sample that is added.
#[derive(Debug)]
pub(crate) struct NewSample<'a> {
    pub(crate) key: &'a str,
    pub(crate) label: Label,
    /// Header id, where its format has one.
    pub(crate) id: Option<u64>,
    /// At least one, sorted by name.
    pub(crate) fields: &'a [NewField<'a>],
}

impl CatalogBuilder {
    pub(crate) fn new() -> Self {
        let catalog = Catalog { labels: vec![Label::default()], ..Catalog::default() };
        Self {
            catalog,
            listing: ListingBuilder::default(),
            folders: HashMap::new(),
            numbers: HashMap::new(),
            name: String::new(),
        }
    }

    /// Registers a shard; numbers count from 0.
    pub(crate) fn shard(&mut self, name: String) {
        self.catalog.names.push(name);
    }

    /// Registers a table, whose lines are records, as the last shard.
    pub(crate) fn table(&mut self, name: String) {
        self.catalog.table = Some(self.catalog.names.len() as u32);
        self.catalog.names.push(name);
    }

    /// Adds classes; fails where another input numbers them otherwise.
    pub(crate) fn classes(&mut self, classes: &BTreeMap<String, u64>, input: &str) -> Result<()> {
        for (name, &id) in classes {
            let known = self.catalog.classes.iter().find(|(n, i)| *n == name || **i == id);
            match known {
                Some((other, &at)) if other != name || at != id => {
                    return Err(Error::Usage(format!(
                        "class {name:?} is {id} in {input}, but {other:?} is {at} in a source before it: their labels mean different things; give one of them the other's class ids, or leave labels behind with --drop-labels"
                    )));
                }
                Some(_) => {}
                None => {
                    self.catalog.classes.insert(name.clone(), id);
                }
            }
        }
        Ok(())
    }

    /// Number of the next sample.
    pub(crate) fn len(&self) -> usize {
        self.catalog.samples.len()
    }

    /// Adds a sample.
    pub(crate) fn push(&mut self, sample: &NewSample<'_>) -> Result<()> {
        let first = self.catalog.cuts.len();
        if u32::try_from(first + sample.fields.len()).is_err() {
            return Err(Error::Usage("more than 2^32 fields: reshard in parts".into()));
        }
        let label = self.label(&sample.label);
        self.catalog.samples.push(Row { first: first as u32, label });
        self.catalog.taken.push(true);
        self.catalog.ids.extend(sample.id);
        // An empty folder would lose the slash of a key like "/a".
        let (folder, stem) = match sample.key.rsplit_once('/') {
            Some((folder, stem)) if !folder.is_empty() => (folder, stem),
            _ => ("", sample.key),
        };
        let folder = match self.folders.get(folder) {
            Some(&known) => known,
            None => {
                let new = self.listing.dir(folder.as_bytes());
                self.folders.insert(folder.to_owned(), new);
                new
            }
        };
        for field in sample.fields {
            self.file(folder, stem, field);
        }
        Ok(())
    }

    fn file(&mut self, folder: u32, stem: &str, field: &NewField<'_>) {
        let catalog = &mut self.catalog;
        let id = catalog.cuts.len() as FileId;
        self.name.clear();
        self.name.push_str(stem);
        self.name.push('.');
        self.name.push_str(field.name);
        self.listing.file(folder, self.name.as_bytes(), field.len, u64::from(field.crc32c));
        catalog.cuts.push(stem.len() as u32);
        catalog.shards.push(field.from.shard);
        catalog.records.push(field.from.number);
        if field.hidden {
            catalog.hidden.push(id);
        }
        catalog.offsets.push(field.offset.unwrap_or(NOWHERE));
        if field.offset.is_none() {
            let known = catalog.stored.iter().position(|name| name == field.stored);
            let name = known.unwrap_or_else(|| {
                catalog.stored.push(field.stored.to_owned());
                catalog.stored.len() - 1
            });
            catalog.whole.push(Whole {
                file: id,
                field: field.number,
                name: name as u32,
                offset: field.from.place.0,
                len: field.from.place.1,
            });
        }
        if let Some(original) = field.original {
            let Originals { ends, text } = &mut catalog.originals;
            text.push_str(original.unwrap_or_default());
            ends.push((id, text.len() as u64));
        }
    }

    /// Number of a label.
    fn label(&mut self, label: &Label) -> u32 {
        if label.is_empty() {
            return 0;
        }
        let bits = label.values.iter().map(|v| v.to_bits()).collect();
        let labels = &mut self.catalog.labels;
        *self.numbers.entry((bits, label.text.clone())).or_insert_with(|| {
            labels.push(label.clone());
            (labels.len() - 1) as u32
        })
    }

    /// The catalog, with what was left out so far and why.
    pub(crate) fn finish(self, skipped: Vec<(String, u64)>) -> Catalog {
        let mut catalog = self.catalog;
        catalog.listing = self.listing.finish(skipped);
        // Some inputs have header ids, some have none: then nobody's mean anything.
        if catalog.ids.len() != catalog.samples.len() {
            catalog.ids = Vec::new();
        }
        catalog
    }
}
