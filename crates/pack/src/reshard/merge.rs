//! Samples of one key, in one source or in several.

use super::catalog::Catalog;
use super::select::Duplicates;
use crate::error::Offenders;
use crate::{Result, hash};

/// Applies the rule for equal keys. Needs 16 bytes a sample while it looks.
pub(super) fn merge(catalog: &mut Catalog, rule: Duplicates) -> Result<()> {
    let mut same = Offenders::default();
    let mut dropped = Vec::new();
    for samples in same_keys(catalog, &hashes(catalog)) {
        let [_, rest @ ..] = &samples[..] else { continue };
        let Some(last) = rest.last() else { continue };
        match rule {
            Duplicates::Error => same.add(|| places(catalog, &samples)),
            Duplicates::First => dropped.extend_from_slice(rest),
            Duplicates::Last => dropped.extend(samples.iter().filter(|i| *i != last)),
        }
    }
    same.refuse(
        "keys must be unique in a dataset; choose with --duplicates first or last, or leave some out",
    )?;
    let reason = match rule {
        Duplicates::First => "samples whose key an earlier one has (--duplicates first)",
        _ => "samples whose key a later one has (--duplicates last)",
    };
    catalog.leave_out(reason, dropped);
    Ok(())
}

/// Refuses a catalog with two samples of one key; `hashed` are its [`hashes`].
pub(super) fn distinct(catalog: &Catalog, hashed: &[(u64, u32)], rule: &str) -> Result<()> {
    let mut same = Offenders::default();
    for samples in same_keys(catalog, hashed) {
        same.add(|| places(catalog, &samples));
    }
    same.refuse(rule)
}

/// Hashes of keys, in order, and the samples that they are of.
pub(super) fn hashes(catalog: &Catalog) -> Vec<(u64, u32)> {
    let mut key = String::new();
    let mut hashed: Vec<(u64, u32)> = Vec::with_capacity(catalog.len());
    for i in 0..catalog.len() {
        catalog.key(i, &mut key);
        hashed.push((hash(&key, 0), i as u32));
    }
    hashed.sort_unstable();
    hashed
}

/// Samples that share a key with another.
fn same_keys(catalog: &Catalog, hashed: &[(u64, u32)]) -> impl Iterator<Item = Vec<usize>> {
    let groups = hashed.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    groups.flat_map(|group| by_key(catalog, group)).filter(|samples| samples.len() > 1)
}

/// A key, and where its samples are.
fn places(catalog: &Catalog, samples: &[usize]) -> String {
    let mut key = String::new();
    samples.first().inspect(|first| catalog.key(**first, &mut key));
    let places: Vec<_> = samples.iter().map(|i| catalog.whereabouts(*i)).collect();
    format!("{key:?}: {}", places.join(", "))
}

/// Samples of equal hashes by their keys, which are mostly one; each in the sources' order.
fn by_key(catalog: &Catalog, group: &[(u64, u32)]) -> Vec<Vec<usize>> {
    let mut keys: Vec<(String, usize)> = (group.iter())
        .map(|&(_, i)| {
            let mut key = String::new();
            catalog.key(i as usize, &mut key);
            (key, i as usize)
        })
        .collect();
    keys.sort();
    keys.chunk_by(|a, b| a.0 == b.0).map(|same| same.iter().map(|(_, i)| *i).collect()).collect()
}
