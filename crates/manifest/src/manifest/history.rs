//! Versions of a dataset: what was done to it, and what it was each time.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::Digest;

/// What made a version of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event {
    /// It was packed, resharded or indexed: the first version.
    Pack,
    /// New samples were added.
    Append,
    /// It was made to hold what a source holds.
    Sync,
    /// Samples were marked as deleted, or marks were taken back.
    Delete,
    /// Shards were rewritten without the samples that are skipped.
    Compact,
    /// Shards of several datasets were put together: the first version.
    Merge,
    /// Something that a later release does.
    #[serde(other)]
    Other,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pack => "pack",
            Self::Append => "append",
            Self::Sync => "sync",
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::Merge => "merge",
            Self::Other => "other",
        })
    }
}

/// A version of a dataset. There is no time in it: the same steps give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What made it.
    pub event: Event,
    /// Digest of its samples, those that are skipped left out: what a reader is pinned to.
    pub digest: Digest,
    /// Number of those samples.
    pub samples: u64,
    /// Number of its shards.
    pub shards: u64,
    /// Shards that it had and no version before it: names of shards go on from their sum.
    pub new_shards: u64,
}

impl Manifest {
    /// Samples that are not skipped.
    pub fn live(&self) -> u64 {
        self.totals.samples.saturating_sub(self.tombstones.len() as u64)
    }

    /// Digest of the samples that are not skipped, where it is known without the indexes.
    pub fn live_digest(&self) -> Option<Digest> {
        match (self.history.last(), self.tombstones.is_empty()) {
            (Some(version), _) => Some(version.digest),
            (None, true) => Some(self.digest),
            (None, false) => None,
        }
    }

    /// Number of this version, from 1.
    pub fn number(&self) -> u64 {
        self.history.len().max(1) as u64
    }

    /// Where the manifest of version `number` is kept once a later one has taken its place.
    pub fn kept_path(number: u64) -> String {
        format!("manifests/{number:06}.json")
    }

    /// The versions, the first one first. `digest` is that of this version's live samples, for a
    /// dataset that was never changed.
    pub fn versions(&self, digest: Digest) -> Vec<Version> {
        if !self.history.is_empty() {
            return self.history.clone();
        }
        let shards = self.shards.len() as u64;
        let event = Event::Pack;
        vec![Version { event, digest, samples: self.live(), shards, new_shards: shards }]
    }

    /// Numbers of the versions whose samples have this digest, the first one first.
    pub fn versions_of(&self, digest: Digest) -> Vec<u64> {
        if self.history.is_empty() {
            return if self.live_digest() == Some(digest) { vec![1] } else { Vec::new() };
        }
        let numbered = (1..).zip(&self.history);
        numbered.filter(|(_, v)| v.digest == digest).map(|(number, _)| number).collect()
    }
}
