//! Overlays: datasets that only have more fields for the samples of another one.

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::{Digest, Error, Result};

/// The dataset that an overlay lies over. Record `j` of shard `i` of the overlay has fields for the
/// sample in record `j` of shard `i` of its base, whose key it has too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Digest of its samples, those that were skipped left out: names the version.
    pub digest: Digest,
    /// Its [`Manifest::sharding`]: over other shards, or these in another order, the overlay is wrong.
    pub sharding: Digest,
    /// Number of its samples, those that were skipped included.
    pub samples: u64,
    /// Number of its shards.
    pub shards: u64,
    /// Where it was when the overlay was made: an address, or a path relative to the overlay's folder.
    /// None where there is no such path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Base {
    /// The dataset of this manifest, whose live samples have this digest.
    pub fn of(manifest: &Manifest, digest: Digest, place: Option<String>) -> Self {
        Self {
            digest,
            sharding: manifest.sharding(),
            samples: manifest.totals.samples,
            shards: manifest.shards.len() as u64,
            place,
        }
    }

    /// Why a dataset is not the one that the overlay lies over, and what to do; none if it is.
    /// Samples that were deleted since are no difference: the overlay's go with them.
    ///
    /// ```
    /// use shardpack_manifest::{Base, Manifest, Order, RecordFormat};
    ///
    /// let manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Key);
    /// let base = Base::of(&manifest, manifest.digest, Some("../images".into()));
    /// assert_eq!(base.differs(&manifest), None);
    /// ```
    pub fn differs(&self, found: &Manifest) -> Option<String> {
        if self.sharding == found.sharding() {
            return None;
        }
        let now = found.live_digest().unwrap_or(found.digest);
        let told = format!(
            "it was made over digest {} ({} samples in {} shards), and that is digest {now} ({} in {}) now",
            self.digest,
            self.samples,
            self.shards,
            found.totals.samples,
            found.shards.len()
        );
        let anew = "make the overlay anew with `shardpack join --overlay`";
        let before = found.versions_of(self.digest).into_iter().find(|n| *n < found.number());
        Some(match before {
            Some(version) => format!(
                "{told}, as the dataset was changed since its version {version}: {anew}, or read that version by its digest"
            ),
            None if now == self.digest => {
                format!("{told}, the same samples in other shards or another order: {anew}")
            }
            None => format!("{told}, another dataset or one that was made anew: {anew}"),
        })
    }

    /// What holds in the manifest of an overlay.
    pub(super) fn check(&self, overlay: &Manifest) -> Result<()> {
        let found = (overlay.totals.samples, overlay.shards.len() as u64);
        if found != (self.samples, self.shards) {
            return Err(Error::corrupt(format!(
                "{} samples in {} shards over {} in {}",
                found.0, found.1, self.samples, self.shards
            )));
        }
        match &self.place {
            Some(place) if place.is_empty() || place.chars().any(char::is_control) => {
                Err(Error::name(place, "is no place of a dataset"))
            }
            _ => Ok(()),
        }
    }
}
