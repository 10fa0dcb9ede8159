//! A prefix of a bucket as a store.

use std::collections::BTreeSet;
use std::ops::Range;

use super::connect::S3;
use super::copy::copy;
use super::list::list;
use super::multipart::{LEAST_PART, abort, unfinished};
use super::object::S3Object;
use super::put::{Target, doubts, head, put, remove, swap};
use super::upload::S3Upload;
use super::uri::{LONGEST_KEY, S3Uri};
use crate::{
    Address, Copied, Error, Lock, Object, ObjectMeta, PutMode, Result, Store, Traffic, Upload, key,
};

/// A folder of a bucket.
///
/// Objects are written where they belong, not moved: a dataset is there when its manifest is.
///
/// ```no_run
/// use shardpack_store::{PutMode, S3, S3Options, S3Store, S3Uri, Store};
///
/// let uri: S3Uri = "s3://pictures/packed/".parse()?;
/// let store = S3Store::open(S3::connect(&uri, S3Options::default())?, uri);
/// store.put("manifest.json", b"{}", PutMode::Create)?;
/// # Ok::<(), shardpack_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct S3Store {
    s3: S3,
    root: S3Uri,
}

/// Nothing: S3 has no locks that end with their holder.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

impl S3Store {
    /// The objects below `root`, which is taken for a folder.
    pub fn open(s3: S3, root: S3Uri) -> Self {
        Self { s3, root: root.folder() }
    }

    /// Uploads below the root that have not ended, by key: what killed runs left, and what runs
    /// elsewhere are sending right now.
    pub fn unfinished(&self) -> Result<Vec<String>> {
        let found =
            self.s3.wait(unfinished(self.s3.calls(), self.root.bucket(), self.root.key()))?;
        Ok(found.into_iter().map(|(target, _)| target.name()).collect())
    }

    fn target(&self, key: &str) -> Result<Target> {
        key::check(key)?;
        let key = format!("{}{key}", self.root.key());
        if key.len() > LONGEST_KEY {
            let name = format!("s3://{}/{key}", self.root.bucket());
            return Err(Error::invalid(name, "a key on S3 has at most 1,024 bytes"));
        }
        Ok(Target { bucket: self.root.bucket().into(), key })
    }

    /// The whole key of a prefix, without its last slash.
    fn prefix(&self, prefix: &str) -> Result<String> {
        let below = key::prefix(prefix)?.unwrap_or_default();
        Ok(format!("{}{below}", self.root.key()))
    }
}

impl Store for S3Store {
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let inside = key::prefix(prefix)?;
        let found = list(self.s3.revive()?, self.root.bucket(), &self.prefix(prefix)?)?;
        let below = |entry: super::list::Entry<'_>| {
            let key = entry.key.strip_prefix(self.root.key())?;
            // Consoles make empty objects that look like folders.
            let counts = !key.is_empty() && !key.ends_with('/') && key::is_below(key, inside);
            counts.then(|| ObjectMeta { key: key.to_owned(), len: entry.len })
        };
        Ok(found.iter().filter_map(below).collect())
    }

    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let target = self.target(key)?;
        let found = self.s3.revive()?.wait(head(self.s3.calls(), &target))?;
        let etag =
            found.etag.ok_or_else(|| Error::invalid(target.name(), "the server tells no ETag"))?;
        let pinned = target.pinned(found.len, &etag);
        Ok(Box::new(S3Object::new(self.s3.clone(), pinned, found.crc64nvme)))
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        Ok(Box::new(S3Upload::new(&self.s3, self.target(key)?, len)))
    }

    fn create_around(&self, key: &str, len: u64, copies: &[Range<u64>]) -> Result<Box<dyn Upload>> {
        Ok(Box::new(S3Upload::around(&self.s3, self.target(key)?, len, copies)))
    }

    fn least_copy(&self) -> Option<u64> {
        Some(LEAST_PART.min(self.s3.calls().options.part))
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        let target = self.target(key)?;
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        self.s3.wait(put(self.s3.calls(), &target, bytes, mode))
    }

    /// By requests that carry no bytes, where both lie with the same service.
    fn copy(&self, key: &str, from: &Address) -> Result<Option<Copied>> {
        let Some(from) = self.s3.beside(from) else { return Ok(None) };
        self.s3.revive()?.wait(async {
            let found = head(self.s3.calls(), &from).await?;
            // Parts of two versions would make a third.
            let Some(etag) = found.etag else { return Ok(None) };
            copy(self.s3.calls(), &self.target(key)?, &from.pinned(found.len, &etag)).await
        })
    }

    fn address(&self, key: &str) -> Option<Address> {
        let Target { bucket, key } = self.target(key).ok()?;
        Some(Address::S3 { endpoint: self.s3.endpoint(), bucket, key })
    }

    fn swap(&self, key: &str, old: &[u8], new: &[u8]) -> Result<()> {
        let target = self.target(key)?;
        let new = bytes::Bytes::copy_from_slice(new);
        self.s3.wait(swap(self.s3.calls(), &target, old, new))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.target(key::folder(from)?).and(self.target(key::folder(to)?))?;
        Err(Error::invalid(self.root.join(from), "S3 cannot rename objects"))
    }

    fn moves(&self) -> bool {
        false
    }

    fn gathers(&self) -> bool {
        true
    }

    fn remove(&self, key: &str) -> Result<()> {
        let whole = self.target(key::folder(key)?)?.key;
        let found = list(&self.s3, self.root.bucket(), &whole)?;
        let keys: Vec<String> = found
            .iter()
            .filter(|entry| key::is_below(entry.key, Some(&whole)))
            .map(|entry| entry.key.to_owned())
            .collect();
        self.s3.wait(remove(self.s3.calls(), self.root.bucket(), &keys))
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        let whole = self.prefix(prefix)?;
        let calls = self.s3.calls();
        let found = self.s3.wait(unfinished(calls, self.root.bucket(), &whole))?;
        let mut swept = BTreeSet::new();
        for (target, id) in found {
            if whole.ends_with('/') || whole.is_empty() || key::is_below(&target.key, Some(&whole))
            {
                self.s3.wait(abort(calls, &target, &id))?;
                swept.insert(id);
            }
        }
        Ok(swept.len() as u64)
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        key::prefix(prefix)?;
        Ok(Box::new(NoLock))
    }

    fn locks(&self) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        self.s3.calls().backlog.has_room()
    }

    fn prove(&self, key: &str, len: u64, crc64nvme: u64) -> Result<()> {
        let target = self.target(key)?;
        let found = self.s3.wait(head(self.s3.calls(), &target))?;
        if found.len != len {
            return Err(Error::changed(
                target.name(),
                format!("sent {len} bytes, {} are there", found.len),
            ));
        }
        match found.crc64nvme {
            Some(there) if there != crc64nvme => Err(Error::changed(
                target.name(),
                format!("sent with CRC-64/NVME {crc64nvme:016x}, what is there has {there:016x}"),
            )),
            _ => Ok(()),
        }
    }

    fn doubts(&self, key: &str) -> Result<Vec<String>> {
        let target = self.target(key)?;
        self.s3.wait(doubts(self.s3.calls(), &target))
    }

    fn traffic(&self) -> Traffic {
        Traffic { retries: self.s3.retries(), ..Traffic::default() }
    }

    fn describe(&self) -> String {
        self.root.to_string()
    }
}
