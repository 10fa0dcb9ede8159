//! The index of a whole WebDataset that `wids` opens: `shardindex.json`.

use serde::Serialize;

use super::{member, need};
use crate::hex::{self, hex128};
use crate::lines::Lines;
use crate::{Error, Index, Result};

/// wids' reader takes a member's name from the 100 bytes of the header's name field alone.
const MAX_NAME: usize = 100;

/// Collects shards. Give the shards of one split: wids knows no splits.
#[derive(Debug)]
pub struct WidsIndex {
    name: String,
    shards: Vec<Shard>,
}

#[derive(Debug, Serialize)]
struct Shard {
    url: String,
    nsamples: u64,
    filesize: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5sum: Option<String>,
}

impl WidsIndex {
    /// An index of the dataset called `name`, without shards.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), shards: Vec::new() }
    }

    /// Adds a shard. `url` is relative to the JSON file (`../shards/a.tar`) or absolute. `md5` may
    /// be left out, as wids does not look at it: 32 lower-case hexadecimal digits.
    ///
    /// Fails with [`Name`](crate::ErrorKind::Name) for a URL that wids would split, and for a
    /// member whose name is longer than 100 bytes, which wids would read cut.
    pub fn push(&mut self, url: &str, index: &Index<'_>, md5: Option<&str>) -> Result<()> {
        need(index, "webdataset", "a wids index")?;
        if url.is_empty() || url.chars().any(|c| c.is_control() || "?#;".contains(c)) {
            return Err(Error::name(url, "wids reads a URL only up to `?`, `#` or `;`; rename it"));
        }
        for record in index.iter() {
            for field in record.fields {
                if record.key.len() + 1 + field.name.len() > MAX_NAME {
                    let reason = "longer than the 100 bytes that wids reads; use a shorter name";
                    return Err(Error::name(member(record.key, field.name), reason));
                }
            }
        }
        if let Some(md5) = md5 {
            hex::parse(md5, hex128::DIGITS).map_err(|e| Error::corrupt(e).in_field("md5sum"))?;
        }
        self.shards.push(Shard {
            url: url.to_owned(),
            nsamples: index.len() as u64,
            filesize: index.shard().bytes,
            md5sum: md5.map(str::to_owned),
        });
        Ok(())
    }

    /// The JSON, shards sorted by URL.
    ///
    /// Fails with [`Name`](crate::ErrorKind::Name) when two shards have the same file name, even in
    /// different folders: wids' cache keeps files by that name and would confuse them. Fails
    /// without shards, as wids would.
    pub fn finish(mut self) -> Result<String> {
        if self.shards.is_empty() {
            return Err(Error::unsupported("a wids index without shards"));
        }
        self.shards.sort_by(|a, b| a.url.cmp(&b.url));
        let mut files: Vec<_> = self.shards.iter().map(|s| file_name(&s.url)).collect();
        files.sort_unstable();
        if let Some([file, _]) = files.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = "two shards share this file name and wids' cache would confuse them; \
                          write one index a split or put {split} into the shards' names";
            return Err(Error::name(*file, reason));
        }
        let mut out = Lines::new();
        out.field("__kind__", &"wids-shard-index-v1")?;
        out.field("wids_version", &1)?;
        out.field("name", &self.name)?;
        out.list("shardlist", &self.shards)?;
        Ok(out.finish())
    }
}

fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
