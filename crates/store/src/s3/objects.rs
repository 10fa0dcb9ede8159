//! Objects under their own keys, in S3's order: what a channel delivers.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::connect::S3;
use super::get::changed;
use super::list::{Found, list};
use super::put::{Target, head};
use super::range::Pinned;
use super::tree::{Seen, heads};
use super::uri::S3Uri;
use crate::{Error, Result, Sink};

/// Objects of S3 by number: every one whose key starts with a prefix, in the order of keys as
/// bytes, or those that a list names, in its order.
///
/// Unlike [`S3Tree`](super::S3Tree) it leaves nothing out and names nothing anew. Objects are
/// pinned to the length and ETag that were listed.
///
/// ```no_run
/// use shardpack_store::{Bytes, S3, S3Objects, S3Options, S3Uri};
///
/// let uri: S3Uri = "s3://pictures/train/".parse()?;
/// let objects = S3Objects::list(S3::connect(&uri, S3Options::default())?, &uri)?;
/// let mut bytes = Vec::new();
/// objects.fetch(0, 0..objects.size(0), &mut Bytes::new(&mut bytes))?;
/// # Ok::<(), shardpack_store::Error>(())
/// ```
#[derive(Debug)]
pub struct S3Objects {
    s3: S3,
    table: Table,
}

#[derive(Debug)]
enum Table {
    Listed { bucket: String, found: Found },
    Named { uris: Vec<S3Uri>, heads: Vec<Seen> },
}

impl S3Objects {
    /// Lists what starts with the key of `uri`.
    pub fn list(s3: S3, uri: &S3Uri) -> Result<Self> {
        let found = list(s3.revive()?, uri.bucket(), uri.key())?;
        Ok(Self { s3, table: Table::Listed { bucket: uri.bucket().into(), found } })
    }

    /// The objects that `uris` name; each is looked at for its length and version.
    pub fn named(s3: S3, uris: Vec<S3Uri>) -> Result<Self> {
        let heads = s3.wait(heads(&s3, &uris))?;
        Ok(Self { s3, table: Table::Named { uris, heads } })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.table {
            Table::Listed { found, .. } => found.len(),
            Table::Named { uris, .. } => uris.len(),
        }
    }

    /// True without objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Key of an object. Panics where there is none of this number, as all that follow do.
    pub fn key(&self, i: usize) -> &str {
        match &self.table {
            Table::Listed { found, .. } => found.get(i).key,
            Table::Named { uris, .. } => uris[i].key(),
        }
    }

    /// Length in bytes.
    pub fn size(&self, i: usize) -> u64 {
        match &self.table {
            Table::Listed { found, .. } => found.get(i).len,
            Table::Named { heads, .. } => heads[i].len,
        }
    }

    /// What stands for the bytes as they were listed: a hash of the ETag, 0 without one.
    pub fn stamp(&self, i: usize) -> u64 {
        match &self.table {
            Table::Listed { found, .. } => found.get(i).stamp,
            Table::Named { heads, .. } => heads[i].stamp,
        }
    }

    /// When it was written, in whole seconds, as S3 tells; none where it does not.
    pub fn modified(&self, i: usize) -> Option<SystemTime> {
        let seconds = match &self.table {
            Table::Listed { found, .. } => found.get(i).modified,
            Table::Named { heads, .. } => heads[i].modified,
        };
        (seconds > 0).then(|| UNIX_EPOCH + Duration::from_secs(seconds.into()))
    }

    /// The address.
    pub fn uri(&self, i: usize) -> String {
        self.pinned(i).name()
    }

    fn pinned(&self, i: usize) -> Pinned {
        let bucket = match &self.table {
            Table::Listed { bucket, .. } => bucket,
            Table::Named { uris, .. } => uris[i].bucket(),
        };
        let (bucket, key) = (bucket.to_owned(), self.key(i).to_owned());
        Pinned { bucket, key, len: self.size(i), stamp: self.stamp(i), etag: None }
    }

    /// Reads a range into `sink`. Up to 8 MiB are one request, by the calling thread.
    ///
    /// Fails with [`Changed`](crate::ErrorKind::Changed) when the object is not the one that was
    /// listed, and with [`Invalid`](crate::ErrorKind::Invalid) for a range that is not in it.
    pub fn fetch(&self, i: usize, range: Range<u64>, sink: &mut dyn Sink) -> Result<()> {
        let mut pinned = self.pinned(i);
        if range.start > range.end || range.end > pinned.len {
            let reason = format!("no bytes {range:?} in an object of {}", pinned.len);
            return Err(Error::invalid(pinned.name(), reason));
        }
        self.s3.revive()?.read(&mut pinned, range, sink)
    }

    /// Compares the checksum of what arrived with the one that S3 keeps, where it keeps one; fails
    /// with [`Changed`](crate::ErrorKind::Changed) or [`Damaged`](crate::ErrorKind::Damaged).
    pub fn prove(&self, i: usize, crc64nvme: u64) -> Result<()> {
        let pinned = self.pinned(i);
        let target = Target { bucket: pinned.bucket.clone(), key: pinned.key.clone() };
        let now = self.s3.wait(head(self.s3.calls(), &target))?;
        if now.len != pinned.len || !pinned.is_same(now.etag.as_deref()) {
            return Err(changed(&pinned, "its ETag or length differs"));
        }
        match now.crc64nvme {
            Some(kept) if kept != crc64nvme => {
                let what = format!("CRC-64/NVME {crc64nvme:016x}, and S3 keeps {kept:016x}");
                Err(Error::new(crate::ErrorKind::Damaged { what }, pinned.name()))
            }
            _ => Ok(()),
        }
    }
}
