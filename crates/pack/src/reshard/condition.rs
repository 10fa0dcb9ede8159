//! `--where`: samples for which an expression holds.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde_json::Value;
use shardpack_formats::{Error as FormatError, ErrorKind};
use shardpack_store::FileId;

use super::bodies::{Bodies, Reading, look_into};
use super::catalog::Catalog;
use super::expression::{Expression, Facts, Forms};
use super::select::{BadJson, Selection};
use super::source::DatasetSource;
use crate::{Error, Result};

/// What the fields of a catalog are called in expressions: as in the source, whatever they are
/// renamed to.
pub(super) struct Fields<'f> {
    names: Vec<&'f str>,
    selection: &'f Selection,
    labels: Vec<Forms>,
}

/// What came of a sample's bodies.
enum Verdict {
    Taken,
    Left,
    /// A field of it is no JSON.
    Unclear,
}

/// Leaves out the samples for which the condition does not hold.
pub(super) fn by_condition(
    source: &mut DatasetSource<'_>,
    selection: &Selection,
    reading: Reading<'_>,
) -> Result<()> {
    let Some(condition) = &selection.condition else { return Ok(()) };
    let catalog = source.catalog();
    let fields = Fields::new(condition.named().into_iter().collect(), selection, catalog);
    let samples: Vec<usize> = (0..catalog.len()).filter(|i| catalog.is_taken(*i)).collect();
    let known: Vec<Option<bool>> = samples
        .par_iter()
        .map(|&i| fields.with(catalog, i, None, |f| condition.holds(f)))
        .collect();
    let which = |wanted: Option<bool>| {
        let found = samples.iter().zip(&known).filter(move |(_, holds)| **holds == wanted);
        found.map(|(i, _)| *i).collect::<Vec<_>>()
    };
    let (mut dropped, open) = (which(Some(false)), which(None));
    let verdicts = look_into(
        source,
        &open,
        reading,
        |i| fields.bodies(catalog, i, condition),
        |i, bodies| judge(source, &fields, condition, i, bodies),
    )?;
    let of = |wanted: fn(&Verdict) -> bool| {
        let found = open.iter().zip(&verdicts).filter(move |(_, verdict)| wanted(verdict));
        found.map(|(i, _)| *i).collect::<Vec<_>>()
    };
    dropped.extend(of(|verdict| matches!(verdict, Verdict::Left)));
    let unclear = of(|verdict| matches!(verdict, Verdict::Unclear));
    let catalog = source.catalog_mut();
    catalog.leave_out("samples of which --where does not hold", dropped);
    catalog.leave_out("samples whose field is no JSON (--where-errors skip)", unclear);
    Ok(())
}

fn judge(
    source: &DatasetSource<'_>,
    fields: &Fields<'_>,
    condition: &Expression,
    sample: usize,
    bodies: &Bodies,
) -> Result<Verdict> {
    let catalog = source.catalog();
    let json = match fields.parse(source, sample, bodies) {
        Ok(json) => json,
        Err(_) if fields.selection.bad_json == BadJson::Skip => return Ok(Verdict::Unclear),
        Err(error) => return Err(error),
    };
    Ok(match fields.with(catalog, sample, Some(&json), |facts| condition.holds(facts)) {
        Some(true) => Verdict::Taken,
        _ => Verdict::Left,
    })
}

impl<'f> Fields<'f> {
    pub(super) fn new(names: Vec<&'f str>, selection: &'f Selection, catalog: &Catalog) -> Self {
        let classes: HashMap<u64, &str> =
            catalog.classes().iter().map(|(name, id)| (*id, name.as_str())).collect();
        let labels = catalog.labels().iter().map(|label| Forms::new(label, &classes)).collect();
        Self { names, selection, labels }
    }

    /// The fields that a sample has, by the names that the source calls them.
    fn files(&self, catalog: &Catalog, sample: usize) -> Vec<(&'f str, FileId)> {
        let file = |name: &&'f str| {
            Some((*name, catalog.field(sample, name, self.selection.renamed(name))?))
        };
        self.names.iter().filter_map(file).collect()
    }

    /// Files whose bodies an expression looks into.
    fn bodies(&self, catalog: &Catalog, sample: usize, condition: &Expression) -> Vec<FileId> {
        let inside = condition.fields();
        let files = self.files(catalog, sample).into_iter();
        files.filter(|(name, _)| inside.contains(name)).map(|(_, file)| file).collect()
    }

    /// All files of a sample that have one of the names.
    pub(super) fn all(&self, catalog: &Catalog, sample: usize) -> Vec<FileId> {
        self.files(catalog, sample).into_iter().map(|(_, file)| file).collect()
    }

    /// Calls `use_facts` with what is known of a sample.
    pub(super) fn with<T>(
        &self,
        catalog: &Catalog,
        sample: usize,
        json: Option<&BTreeMap<String, Value>>,
        use_facts: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        let mut key = String::new();
        catalog.key(sample, &mut key);
        let len = |file: FileId| catalog.listing().file(file).len;
        let fields: Vec<(String, u64)> = (self.files(catalog, sample).into_iter())
            .map(|(name, file)| (name.to_owned(), len(file)))
            .collect();
        use_facts(&Facts {
            key: &key,
            label: self.labels.get(catalog.label_number(sample) as usize),
            size: catalog.bytes(sample),
            fields: &fields,
            json,
        })
    }

    /// The bodies that were read of a sample, as JSON. Fails with [`Error::Record`] where one is none.
    pub(super) fn parse(
        &self,
        source: &DatasetSource<'_>,
        sample: usize,
        bodies: &Bodies,
    ) -> Result<BTreeMap<String, Value>> {
        let mut json = BTreeMap::new();
        for (name, file) in self.files(source.catalog(), sample) {
            let Some(body) = bodies.get(&file) else { continue };
            let value = serde_json::from_slice(body)
                .map_err(|error| not_json(source, file, name, &error))?;
            json.insert(name.to_owned(), value);
        }
        Ok(json)
    }
}

fn not_json(
    source: &DatasetSource<'_>,
    file: FileId,
    name: &str,
    error: &serde_json::Error,
) -> Error {
    let position = source.catalog().broken(file, String::new()).position;
    let what = format!(
        "a look into field {name:?}, which is no JSON ({error}); --where-errors skip passes over such samples"
    );
    source.record(file, FormatError::at(ErrorKind::Unsupported { what }, position))
}
