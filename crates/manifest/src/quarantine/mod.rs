//! Samples to pass over, kept beside a dataset that stays as it is. `SPEC.md` beside this file has
//! the JSON.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::lines::Lines;
use crate::{Digest, Error, ErrorKind, Manifest, Result, Tool, path, seal};

#[cfg(test)]
mod tests;

const KIND: &str = "shardpack-quarantine";
/// Longest key or reason in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Damaged samples of one dataset. A reader that is told of it treats them as deleted; the dataset
/// is not touched.
///
/// ```
/// # use shardpack_manifest::{Manifest, Order, RecordFormat, Shard, Sidecar};
/// use shardpack_manifest::{Quarantine, Quarantined};
/// # let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Key);
/// # let shard = Shard {
/// #     path: "shards/a.tar".into(), split: None, samples: 3, files: 3, body_bytes: 9, bytes: 1024,
/// #     stream_bytes: 1024, crc64nvme: 7, digest: Default::default(),
/// #     index: Sidecar::of("index/a.index", b""), sources: None,
/// # };
/// # let totals = shardpack_manifest::FieldTotals { files: 3, bytes: 9 };
/// # manifest.push(shard, &[("txt".to_owned(), totals)].into())?;
/// let damaged = Quarantined {
///     shard: "shards/a.tar".into(),
///     record: 2,
///     key: Some("c".into()),
///     reason: "field txt: wrong crc32c".into(),
/// };
/// let quarantine = Quarantine::new(&manifest, vec![damaged]);
/// let bytes = quarantine.to_bytes()?;
/// assert_eq!(Quarantine::parse(&bytes)?.places(&manifest)?, [(0, 2)]);
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantine {
    /// What wrote it.
    pub tool: Tool,
    /// Digest of the dataset that it belongs to.
    pub digest: Digest,
    /// [`Manifest::sharding`] of that dataset: the same samples in other shards have other places.
    pub sharding: Digest,
    /// The samples, by shard and record.
    pub samples: Vec<Quarantined>,
}

/// A damaged sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quarantined {
    /// Path of its shard under the dataset's root.
    pub shard: String,
    /// Number of its record in the shard, from 0.
    pub record: u64,
    /// Its key, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Wire {
    tool: Tool,
    digest: Digest,
    sharding: Digest,
    samples: Vec<Quarantined>,
}

impl Quarantine {
    /// The newest version that this release reads and the one that it writes.
    pub const VERSION: u64 = 1;

    /// Largest file in bytes that is parsed: about a million samples.
    pub const MAX_BYTES: usize = 256 << 20;

    /// These samples of the dataset of `manifest`, each once.
    pub fn new(manifest: &Manifest, mut samples: Vec<Quarantined>) -> Self {
        samples.sort();
        samples.dedup_by(|a, b| (&a.shard, a.record) == (&b.shard, b.record));
        Self {
            tool: Tool::default(),
            digest: manifest.digest,
            sharding: manifest.sharding(),
            samples,
        }
    }

    /// Checks and parses the file.
    ///
    /// Fails with [`NotThis`](ErrorKind::NotThis) for other JSON, [`Version`](ErrorKind::Version)
    /// for a later version, and as damage when it is cut or does not match its checksum.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > Self::MAX_BYTES {
            let (len, limit) = (bytes.len() as u64, Self::MAX_BYTES as u64);
            return Err(Error::new(ErrorKind::TooLarge { what: "quarantine", len, limit }));
        }
        let not_this = || {
            let reason = format!("not a shardpack quarantine: no \"kind\": \"{KIND}\"");
            Error::new(ErrorKind::NotThis { reason })
        };
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(not_this());
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.kind.as_deref() != Some(KIND) {
            return Err(not_this());
        }
        match head.version {
            Some(Self::VERSION) => {}
            Some(found) if found > Self::VERSION => {
                return Err(Error::new(ErrorKind::Version { found, newest: Self::VERSION }));
            }
            _ => return Err(Error::corrupt("no version").in_field("version")),
        }
        seal::check(bytes)?;
        let Wire { tool, digest, sharding, samples } = serde_json::from_slice(bytes)?;
        let quarantine = Self { tool, digest, sharding, samples };
        quarantine.check()?;
        Ok(quarantine)
    }

    /// The bytes of the file. Fails where [`Quarantine::parse`] of them would fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut out = Lines::new();
        out.field("kind", &KIND)?;
        out.field("version", &Self::VERSION)?;
        out.field("tool", &self.tool)?;
        out.field("digest", &self.digest)?;
        out.field("sharding", &self.sharding)?;
        out.list("samples", &self.samples)?;
        Ok(seal::close(out))
    }

    /// Where the samples are in the dataset of `manifest`: numbers of the shard and of the record in
    /// it, both from 0, rising.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) when it belongs to another dataset, and as
    /// damage when it names a sample that does not exist.
    pub fn places(&self, manifest: &Manifest) -> Result<Vec<(u64, u64)>> {
        if self.digest != manifest.digest {
            return Err(Error::unsupported(format!(
                "it belongs to another dataset, with digest {}, not {}; `verify` this one",
                self.digest, manifest.digest
            )));
        }
        if self.sharding != manifest.sharding() {
            return Err(Error::unsupported(
                "it belongs to other shards of the same samples; `verify` these",
            ));
        }
        let rows = manifest.shards.iter().zip(0u64..);
        let rows: HashMap<_, _> = rows.map(|(shard, row)| (&*shard.path, (row, shard))).collect();
        let place = |(i, sample): (usize, &Quarantined)| {
            let at = |error: Error| error.in_field(format!("samples[{i}]"));
            let Some((row, shard)) = rows.get(&*sample.shard) else {
                return Err(at(Error::corrupt(format!("there is no shard {}", sample.shard))));
            };
            match sample.record < shard.samples {
                true => Ok((*row, sample.record)),
                false => Err(at(Error::corrupt(format!(
                    "record {} of {}, which has {}",
                    sample.record, sample.shard, shard.samples
                )))),
            }
        };
        let mut places: Vec<_> =
            self.samples.iter().enumerate().map(place).collect::<Result<_>>()?;
        places.sort_unstable();
        Ok(places)
    }

    fn check(&self) -> Result<()> {
        for (i, sample) in self.samples.iter().enumerate() {
            let at = |error: Error| error.in_field(format!("samples[{i}]"));
            path::check(&sample.shard).map_err(at)?;
            let longest = sample.key.as_ref().map_or(0, String::len).max(sample.reason.len());
            if longest > MAX_TEXT {
                let (len, limit) = (longest as u64, MAX_TEXT as u64);
                let kind = ErrorKind::TooLarge { what: "key or reason", len, limit };
                return Err(at(Error::new(kind)));
            }
        }
        let rises = |a: &Quarantined, b: &Quarantined| (&a.shard, a.record) < (&b.shard, b.record);
        match self.samples.is_sorted_by(rises) {
            true => Ok(()),
            false => Err(Error::corrupt("not sorted, or one stands twice").in_field("samples")),
        }
    }
}
