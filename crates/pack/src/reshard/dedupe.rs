//! `--dedupe`: of samples with equal content the first by key stays.
//!
//! Lengths and crc32c from the indexes say which samples may be equal; they are, when all bytes of
//! them are.

use serde::Serialize;
use shardpack_store::{Bytes, FileId, Source};
use xxhash_rust::xxh3::Xxh3;

use super::Broken;
use super::bodies::Reading;
use super::catalog::Catalog;
use super::source::DatasetSource;
use crate::parallel::{check_stopped, each};
use crate::{Error, Result};

/// What makes two samples the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// Fields of the same names and bytes, and the same label.
    Content,
    /// The bytes of this field, by the name that it has from now on; samples without it stay.
    Field(String),
}

/// Samples that are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SameSamples {
    /// Key of the one that stays.
    pub kept: String,
    /// Keys of the others, in order.
    pub dropped: Vec<String>,
    /// Bytes of each that are the same.
    pub bytes: u64,
    /// Whether all of them have the same label.
    pub same_label: bool,
}

/// Bytes of each of two bodies that are compared at a time.
const PIECE: u64 = 256 << 10;

/// Leaves out all but the first of samples that are the same.
pub(super) fn dedupe(
    source: &mut DatasetSource<'_>,
    rule: Option<&Dedupe>,
    reading: Reading<'_>,
) -> Result<()> {
    let Some(rule) = rule else { return Ok(()) };
    let catalog = source.catalog();
    let groups = candidates(catalog, rule)?;
    let work = |i: usize| split(source, rule, groups.get(i).map_or(&[], Vec::as_slice), reading);
    let found = each(groups.len(), reading.depth, reading.progress, work);
    reading.progress.reset();
    let found = found.map_err(|error| match error {
        Error::Stopped { .. } => Error::Stopped { done: 0, shards: source.shard_count() },
        error => error,
    })?;
    let same: Vec<Vec<usize>> = found.into_iter().flatten().filter(|g| g.len() > 1).collect();
    let mut told: Vec<SameSamples> = same.iter().map(|group| tell(catalog, rule, group)).collect();
    told.sort_by(|a, b| a.kept.cmp(&b.kept));
    let dropped = same.into_iter().flat_map(|group| group.into_iter().skip(1)).collect::<Vec<_>>();
    source.catalog_mut().leave_out("samples that are the same as another (--dedupe)", dropped);
    source.same_samples = told;
    Ok(())
}

/// Samples that may be the same, each group in the order of keys.
fn candidates(catalog: &Catalog, rule: &Dedupe) -> Result<Vec<Vec<usize>>> {
    let mut ids: Vec<(u128, usize)> = (0..catalog.len())
        .filter(|i| catalog.is_taken(*i))
        .filter_map(|i| Some((identity(catalog, rule, i)?, i)))
        .collect();
    if let (Dedupe::Field(name), true) = (rule, ids.is_empty()) {
        return Err(Error::NotFound(format!(
            "--dedupe {name}: no sample that is taken has this field"
        )));
    }
    ids.sort_unstable();
    let groups = ids.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    let sorted = |group: &[(u128, usize)]| {
        let mut keyed: Vec<(String, usize)> =
            group.iter().map(|(_, i)| (key(catalog, *i), *i)).collect();
        keyed.sort();
        keyed.into_iter().map(|(_, i)| i).collect()
    };
    Ok(groups.map(sorted).collect())
}

/// Names, lengths and crc32c of what is compared.
fn identity(catalog: &Catalog, rule: &Dedupe, sample: usize) -> Option<u128> {
    let mut hash = Xxh3::new();
    let files = compared(catalog, rule, sample);
    for &file in &files {
        let listed = catalog.listing().file(file);
        let name = catalog.field_name(file).as_bytes();
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(&listed.len.to_le_bytes());
        hash.update(&listed.stamp.to_le_bytes());
    }
    if *rule == Dedupe::Content {
        hash.update(&catalog.label_number(sample).to_le_bytes());
    }
    (!files.is_empty()).then(|| hash.digest128())
}

fn compared(catalog: &Catalog, rule: &Dedupe, sample: usize) -> Vec<FileId> {
    let wanted = |file: &FileId| match rule {
        Dedupe::Content => true,
        Dedupe::Field(name) => catalog.field_name(*file) == name,
    };
    catalog.visible(sample).filter(wanted).collect()
}

/// Cuts a group of candidates into those that are the same.
fn split(
    source: &DatasetSource<'_>,
    rule: &Dedupe,
    group: &[usize],
    reading: Reading<'_>,
) -> Result<Vec<Vec<usize>>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    'samples: for &sample in group {
        for class in &mut classes {
            check_stopped(reading.progress)?;
            let Some(&first) = class.first() else { continue };
            if same(source, rule, first, sample)? {
                class.push(sample);
                continue 'samples;
            }
        }
        classes.push(vec![sample]);
    }
    Ok(classes)
}

/// Whether two samples have the same bytes.
fn same(source: &DatasetSource<'_>, rule: &Dedupe, a: usize, b: usize) -> Result<bool> {
    let catalog = source.catalog();
    let (first, second) = (compared(catalog, rule, a), compared(catalog, rule, b));
    let alike = |(a, b): (&FileId, &FileId)| {
        catalog.field_name(*a) == catalog.field_name(*b)
            && catalog.listing().file(*a).len == catalog.listing().file(*b).len
    };
    if first.len() != second.len() || !first.iter().zip(&second).all(alike) {
        return Ok(false);
    }
    for (a, b) in first.into_iter().zip(second) {
        if !same_bytes(source, a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_bytes(source: &DatasetSource<'_>, a: FileId, b: FileId) -> Result<bool> {
    let len = source.listing().file(a).len;
    let read = |file: FileId, at: u64, bytes: &mut Vec<u8>| {
        bytes.clear();
        let fetched = source.fetch(file, at, PIECE.min(len - at), &mut Bytes::new(bytes));
        fetched.map_err(|error| {
            let mut key = String::new();
            source.catalog().key_of(file, &mut key);
            Broken::told(error, &key)
        })
    };
    let (mut first, mut second, mut at) = (Vec::new(), Vec::new(), 0);
    while at < len {
        read(a, at, &mut first)?;
        read(b, at, &mut second)?;
        if first != second {
            return Ok(false);
        }
        at += first.len() as u64;
    }
    Ok(true)
}

fn tell(catalog: &Catalog, rule: &Dedupe, group: &[usize]) -> SameSamples {
    let mut keys = group.iter().map(|i| key(catalog, *i));
    let labels = group.iter().map(|i| catalog.label_number(*i));
    let first = group.first().copied().unwrap_or_default();
    let files = compared(catalog, rule, first);
    SameSamples {
        kept: keys.next().unwrap_or_default(),
        dropped: keys.collect(),
        bytes: files.iter().map(|file| catalog.listing().file(*file).len).sum(),
        same_label: labels.into_iter().all(|label| label == catalog.label_number(first)),
    }
}

fn key(catalog: &Catalog, sample: usize) -> String {
    let mut key = String::new();
    catalog.key(sample, &mut key);
    key
}
