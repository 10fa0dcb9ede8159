//! Files in memory, as a source.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::path::display;
use crate::source::pour;
use crate::{Error, ErrorKind, FileId, Listing, ListingBuilder, Result, Sink, Source};

/// Files in memory. Clones share them: a test keeps one to change files behind a packer's back.
#[derive(Clone, Default)]
pub struct MemoryTree {
    listing: Arc<Listing>,
    files: Arc<RwLock<HashMap<Vec<u8>, Versioned>>>,
}

#[derive(Clone, Default)]
struct Versioned {
    bytes: Arc<[u8]>,
    version: u64,
}

impl MemoryTree {
    /// Lists the files in the order given. The last of two with the same path counts.
    pub fn new<P: AsRef<[u8]>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        let mut listing = ListingBuilder::default();
        let mut map = HashMap::new();
        for (path, bytes) in files {
            let (path, bytes) = (path.as_ref(), bytes.as_ref());
            listing.path(path, bytes.len() as u64, 0);
            map.insert(path.to_vec(), Versioned { bytes: bytes.into(), version: 0 });
        }
        Self { listing: Arc::new(listing.finish(Vec::new())), files: Arc::new(RwLock::new(map)) }
    }

    /// Writes a file anew, after it was listed.
    pub fn write(&self, path: &[u8], bytes: &[u8]) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let file = files.entry(path.to_vec()).or_default();
        *file = Versioned { bytes: bytes.into(), version: file.version + 1 };
    }

    /// Removes a file, after it was listed.
    pub fn remove(&self, path: &[u8]) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

impl Source for MemoryTree {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, id: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        let file = self.listing.file(id);
        let range = file.range(start, len)?;
        let path = file.path();
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = files.get(&path).cloned() else {
            return Err(Error::new(ErrorKind::NotFound, display(&path)));
        };
        drop(files);
        if (now.bytes.len() as u64, now.version) != (file.len, file.stamp) {
            let what = format!(
                "listed as version {} with {} bytes, now {} with {}",
                file.stamp,
                file.len,
                now.version,
                now.bytes.len()
            );
            return Err(Error::changed(display(&path), what));
        }
        let read = |buf: &mut [u8], at: u64| {
            let rest = now.bytes.get(at as usize..).unwrap_or_default();
            let n = buf.len().min(rest.len());
            buf[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        };
        pour((range.start, range.end), sink, read, |e| Error::io(e, display(&path)))?;
        Ok(())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

impl fmt::Debug for MemoryTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTree").field("files", &self.listing.len()).finish_non_exhaustive()
    }
}
