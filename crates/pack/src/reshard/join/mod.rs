//! Fields that another dataset or a table adds to samples, by key.
//!
//! What is added is listed first, as a catalog of its own. When the samples are listed, each takes
//! its fields from there, with their places: from then on they are fields like all others, read from
//! the other dataset's shards. The values of a table are written to a scratch file once, one after
//! another, which is such a shard too. The other catalog costs as much a field as the samples' own, and
//! is gone when these are listed.

mod columns;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod table;
#[cfg(all(test, feature = "parquet"))]
mod tests;

use shardpack_store::FileId;

pub use table::{Column, Table, TableKind};

use super::catalog::{Catalog, NewField, Place, Record};
use super::merge::{distinct, hashes};
use super::select::Selection;
use crate::dataset::Dataset;
use crate::error::Offenders;
use crate::{Error, Result, hash};

/// Where fields come from, and what becomes of samples and rows that have no partner.
#[derive(Debug)]
pub struct Join<'s> {
    /// Where from.
    pub with: With<'s>,
    /// What messages call it.
    pub name: String,
    /// Columns of a table, or fields of a dataset; empty takes all of them.
    pub columns: Vec<Column>,
    /// Samples that it has nothing for. Default error.
    pub missing: Missing,
    /// Rows or samples of it without a sample are an error; else they are counted.
    pub unused_is_error: bool,
}

/// A dataset or a table.
#[derive(Debug)]
pub enum With<'s> {
    /// Its fields are added; its labels are not.
    Dataset(Box<Dataset<'s>>),
    /// Values of its columns are added.
    Table(Table),
}

/// What becomes of samples that nothing can be added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// An error that names the first ten, before anything is written.
    #[default]
    Error,
    /// They are left out and counted.
    Inner,
    /// They stay as they are.
    Left,
}

/// What can be added, by key.
pub(super) struct Other {
    name: String,
    /// What its samples are called in messages.
    word: &'static str,
    catalog: Catalog,
    hashed: Vec<(u64, u32)>,
    used: Vec<bool>,
    /// How many of them have nothing that is taken.
    without: u64,
    key: String,
}

impl Other {
    /// Fails with [`Error::Refused`] where a key is there twice, naming both.
    pub(super) fn new(
        catalog: Catalog,
        (name, word): (&str, &'static str),
        without: u64,
    ) -> Result<Self> {
        let hashed = hashes(&catalog);
        let rule = format!(
            "--with {name} has several {word} for one key, of which only one can be added; remove the others"
        );
        distinct(&catalog, &hashed, &rule)?;
        let used = vec![false; catalog.len()];
        let name = name.to_owned();
        Ok(Self { name, word, catalog, hashed, used, without, key: String::new() })
    }

    /// The one that has `key`, which is used from now on.
    pub(super) fn find(&mut self, key: &str) -> Option<usize> {
        let found = self.look(key)?;
        *self.used.get_mut(found)? = true;
        Some(found)
    }

    /// The one that has `key`.
    pub(super) fn look(&mut self, key: &str) -> Option<usize> {
        let wanted = hash(key, 0);
        let first = self.hashed.partition_point(|(hash, _)| *hash < wanted);
        let alike = self.hashed.get(first..)?.iter().take_while(|(hash, _)| *hash == wanted);
        for &(_, i) in alike {
            self.catalog.key(i as usize, &mut self.key);
            if self.key == key {
                return Some(i as usize);
            }
        }
        None
    }

    /// Its fields.
    pub(super) fn fields(&self, found: usize) -> impl Iterator<Item = NewField<'_>> {
        self.catalog.files(found).map(|file| self.field(file))
    }

    fn field(&self, file: FileId) -> NewField<'_> {
        let catalog = &self.catalog;
        let listed = catalog.listing().file(file);
        let name = catalog.field_name(file);
        let (offset, place, number, stored) = match catalog.place(file) {
            Place::At(offset) => (Some(offset), (0, 0), 0, name),
            Place::In(whole, stored) => (None, (whole.offset, whole.len), whole.field, stored),
        };
        let (shard, record) = (catalog.shard(file), catalog.record(file));
        NewField {
            name,
            hidden: false,
            from: Record { shard, number: record, place },
            offset,
            len: listed.len,
            crc32c: listed.stamp as u32,
            number,
            stored,
            original: catalog.original(file),
        }
    }

    /// What no sample took: counted, or an error.
    pub(super) fn unused(&self, is_error: bool) -> Result<Vec<(String, u64)>> {
        let mut unused = Offenders::default();
        for i in (0..self.used.len()).filter(|i| !self.used[*i]) {
            unused.add(|| {
                let mut key = String::new();
                self.catalog.key(i, &mut key);
                format!("{key:?}: {}", self.catalog.whereabouts(i))
            });
        }
        let count = unused.count();
        let Self { name, word, .. } = self;
        if is_error {
            unused.refuse(format!(
                "--unused error: these {word} of {name} belong to no sample; remove them, or count them with --unused count"
            ))?;
        }
        let counted = [
            (format!("{word} of {name} that belong to no sample"), count),
            (format!("{word} of {name} without a value that is taken"), self.without),
        ];
        Ok(counted.into_iter().filter(|(_, count)| *count > 0).collect())
    }
}

/// Samples that were listed without anything added.
#[derive(Debug, Default)]
pub(super) struct Lacking(pub(super) Vec<usize>);

impl Lacking {
    /// Applies the rule to the samples that other selections left.
    pub(super) fn settle(self, catalog: &mut Catalog, join: &Settings) -> Result<()> {
        match join.missing {
            Missing::Left => Ok(()),
            Missing::Inner => {
                let reason =
                    format!("samples that {} has nothing for (--missing inner)", join.name);
                catalog.leave_out(&reason, self.0);
                Ok(())
            }
            Missing::Error => {
                let mut lacking = Offenders::default();
                for i in self.0.into_iter().filter(|i| catalog.is_taken(*i)) {
                    lacking.add(|| {
                        let mut key = String::new();
                        catalog.key(i, &mut key);
                        format!("{key:?}: {}", catalog.whereabouts(i))
                    });
                }
                lacking.refuse(format!(
                    "--with {} has nothing for these samples; leave them out with --missing inner, or keep them as they are with --missing left",
                    join.name
                ))
            }
        }
    }
}

/// A join without what is read.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) missing: Missing,
    pub(super) unused_is_error: bool,
}

impl Settings {
    /// What is taken of a dataset that is joined.
    pub(super) fn selection(&self) -> Selection {
        let renamed = |column: &Column| Some((column.name.clone(), column.field.clone()?));
        Selection {
            fields: self.columns.iter().map(|column| column.name.clone()).collect(),
            rename: self.columns.iter().filter_map(renamed).collect(),
            drop_labels: true,
            ..Selection::default()
        }
    }

    /// The join as flags and values: what a rerun must agree with. What was added is told by the
    /// fields, whatever it is called and wherever it lies.
    pub(super) fn describe(&self) -> (String, String) {
        let missing = match self.missing {
            Missing::Error => "error",
            Missing::Inner => "inner",
            Missing::Left => "left",
        };
        ("missing".to_owned(), missing.to_owned())
    }
}

/// Refuses columns that are asked for twice, and two that would be one field.
pub(super) fn check_columns(columns: &[Column]) -> Result<()> {
    for (i, column) in columns.iter().enumerate() {
        for before in &columns[..i] {
            if before.name == column.name {
                return Err(Error::Usage(format!("--column {}: is named twice", column.name)));
            }
            if before.field.is_some() && before.field == column.field {
                return Err(Error::Usage(format!(
                    "--column: {} and {} would be one field; name another behind the =",
                    before.name, column.name
                )));
            }
        }
    }
    Ok(())
}
