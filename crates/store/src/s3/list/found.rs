//! What a listing found.

use crate::{Error, Result};

/// Objects of a listing, keys end to end: 32 bytes an object beside its key.
#[derive(Debug, Default)]
pub(in crate::s3) struct Found {
    keys: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    end: u64,
    len: u64,
    stamp: u64,
    modified: u32,
}

/// One object of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::s3) struct Entry<'a> {
    pub(in crate::s3) key: &'a str,
    pub(in crate::s3) len: u64,
    /// Hash of its ETag.
    pub(in crate::s3) stamp: u64,
    /// When it was written, in seconds since 1970; 0 where the server does not tell.
    pub(in crate::s3) modified: u32,
}

impl Found {
    pub(in crate::s3) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, entry: Entry<'_>) {
        self.keys.push_str(entry.key);
        let end = self.keys.len() as u64;
        let Entry { len, stamp, modified, .. } = entry;
        self.rows.push(Row { end, len, stamp, modified });
    }

    pub(in crate::s3) fn get(&self, i: usize) -> Entry<'_> {
        let start = if i == 0 { 0 } else { self.rows[i - 1].end };
        let Row { end, len, stamp, modified } = self.rows[i];
        Entry { key: &self.keys[start as usize..end as usize], len, stamp, modified }
    }

    pub(in crate::s3) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// True when each key is greater than the one before.
    pub(super) fn is_sorted(&self) -> bool {
        let keys = self.iter().map(|entry| entry.key);
        keys.is_sorted_by(|a, b| a < b)
    }

    /// Gives back what growing took too much.
    pub(super) fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// All parts in one, in the order of keys, each once. They hold little memory twice: each part
    /// goes as soon as it is taken over.
    pub(super) fn join(parts: Vec<Self>, bucket: &str) -> Result<Self> {
        let mut all = Self::default();
        all.keys.reserve_exact(parts.iter().map(|part| part.keys.len()).sum());
        all.rows.reserve_exact(parts.iter().map(Self::len).sum());
        for part in parts {
            part.iter().for_each(|entry| all.push(entry));
        }
        if all.is_sorted() { Ok(all) } else { all.sorted(bucket) }
    }

    /// In the order of keys, each once. A page that came twice is no harm; two answers that
    /// differ are.
    fn sorted(self, bucket: &str) -> Result<Self> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&i| self.get(i).key);
        let mut sorted = Self::default();
        let mut last: Option<Entry<'_>> = None;
        for entry in order.into_iter().map(|i| self.get(i)) {
            match last.filter(|last| last.key == entry.key) {
                Some(last) if last == entry => continue,
                Some(_) => {
                    let name = format!("s3://{bucket}/{}", entry.key);
                    return Err(Error::changed(name, "it was written while it was being listed"));
                }
                None => sorted.push(entry),
            }
            last = Some(entry);
        }
        Ok(sorted)
    }
}
