//! Indexes that other tools read: writers from our [`Index`], and readers to hold
//! them against.
//!
//! | tool | file | module |
//! |---|---|---|
//! | DALI `readers.webdataset` | one `<stem>.idx` a shard | [`wds`] |
//! | DALI `readers.tfrecord`, PyPI `tfrecord` | one `.idx` or `.tfindex` a shard | [`tfrecord`] |
//! | wids | one `shardindex.json` | [`wids`] |
//! | MXNet, DALI `readers.mxnet` | one `.idx` a shard, or one over all; `.lst` | [`mxnet`] |
//!
//! All of them count bytes of uncompressed shards, so a compressed one is
//! [`Unsupported`](crate::ErrorKind::Unsupported). Names that a tool would misread are refused with
//! [`Name`](crate::ErrorKind::Name): a wrong index is worse than none.

pub mod mxnet;
pub mod tfrecord;
pub mod wds;
pub mod wids;

#[cfg(test)]
mod tests;

use shardpack_formats::Compression;

use crate::{Error, Index, Result};

/// Refuses shards of another format and compressed ones.
fn need(index: &Index<'_>, format: &str, what: &str) -> Result<()> {
    let shard = index.shard();
    if shard.format != format {
        return Err(Error::unsupported(format!(
            "{what} is for {format} shards; this one is {}",
            shard.format
        )));
    }
    match shard.compression {
        Compression::None => Ok(()),
        _ => Err(Error::unsupported(format!(
            "{what} of a compressed shard; pack without compression"
        ))),
    }
}

/// Lines of a text that ends with a line end, numbered from 1. A text that does not was cut.
fn lines<'a>(bytes: &'a [u8], what: &str) -> Result<impl Iterator<Item = (u64, &'a str)>> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes.iter().take(e.valid_up_to()).filter(|&&b| b == b'\n').count();
        Error::corrupt(format!("{what} is no UTF-8")).in_line(line as u64)
    })?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(Error::truncated(format!("the last line of {what}")));
    }
    Ok((1..).zip(text.lines()))
}

fn number(text: &str, line: u64) -> Result<u64> {
    // parse() alone would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| Error::corrupt(format!("{text:?} is no number")).in_line(line))
}

/// Name of a tar member: how WebDataset joins a key and a field.
fn member(key: &str, field: &str) -> String {
    format!("{key}.{field}")
}
