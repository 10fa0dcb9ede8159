//! Samples that are left out of every epoch: those that the manifest marks as deleted, and those
//! that a quarantine adds.

use std::collections::BTreeSet;

use shardpack_manifest::{Manifest, Quarantine};

use crate::open::open;
use crate::{Error, ReadOptions, Result};

/// What a quarantine lays over a manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    /// Numbers of shard and record, rising.
    places: Vec<(u64, u64)>,
}

impl Overlay {
    /// Reads the quarantine at a path or an `s3://` address; nothing without one.
    pub(crate) fn load(options: &ReadOptions, manifest: &Manifest) -> Result<Self> {
        let Some(place) = options.quarantine.as_deref() else { return Ok(Self::default()) };
        let (folder, name) = match place.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(split) => split,
            None => (".", place),
        };
        let bytes = shardpack_dataset::read(&*open(folder, options)?, name)?;
        let places = Quarantine::parse(&bytes).and_then(|found| found.places(manifest));
        Ok(Self { places: places.map_err(|error| error.in_file(place))? })
    }

    /// All places in a dataset that no epoch has, given those of its tombstones.
    pub(crate) fn with(&self, tombstones: &[(u64, u64)]) -> BTreeSet<(u64, u64)> {
        self.places.iter().chain(tombstones).copied().collect()
    }

    /// How many samples of these shards, rows of the manifest, it leaves out: deleted ones too.
    pub(crate) fn count(&self, rows: impl IntoIterator<Item = usize>) -> u64 {
        let rows: BTreeSet<u64> = rows.into_iter().map(|row| row as u64).collect();
        self.places.iter().filter(|(row, _)| rows.contains(row)).count() as u64
    }
}

/// Without a manifest there are no places.
pub(crate) fn refuse(place: Option<&str>) -> Result<()> {
    match place {
        Some(place) => Err(Error::usage(format!(
            "{place}: a quarantine belongs to a manifest, and these shards have none"
        ))),
        None => Ok(()),
    }
}
