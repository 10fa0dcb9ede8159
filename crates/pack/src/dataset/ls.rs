//! What is in a dataset, sample by sample.

use globset::{GlobBuilder, GlobMatcher};
use serde::Serialize;
use shardpack_formats::{ErrorKind, Label, Position, Record, Sample};
use shardpack_manifest::IndexField;

use super::Dataset;
use super::keys::of_record;
use super::scan::{Next, ScanBudget, Scanned, scan};
use super::strict::fields as fields_of;
use crate::progress::Progress;
use crate::{Error, Result};

/// Which samples are listed.
#[derive(Clone, Debug)]
pub struct LsOptions {
    /// Glob over keys (`cats/*`; `*` crosses no slash, `**` does); none lists all.
    pub filter: Option<String>,
    /// Only shards whose path this glob matches.
    pub shards: Option<String>,
    /// Memory for buffers in bytes, where shards must be decoded. Default 512 MiB.
    pub memory: u64,
}

/// One sample.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Path of its shard.
    pub shard: &'a str,
    /// Number of its record in the shard, from 0.
    pub record: u64,
    /// Offset of the record in the uncompressed shard, in bytes.
    pub offset: u64,
    /// Length of the record in bytes.
    pub bytes: u64,
    /// Its key.
    pub key: &'a str,
    /// Its fields, in stored order.
    pub fields: &'a [EntryField<'a>],
}

/// One field of a sample.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct EntryField<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its length in bytes.
    pub bytes: u64,
    /// crc32c of its bytes.
    pub crc32c: u32,
    /// Offset of its bytes in the uncompressed shard, where they lie in one piece.
    pub offset: Option<u64>,
}

/// Calls `each` with every sample that is not deleted, in dataset order, until it fails.
///
/// Fails with [`Error::Usage`] for a glob that is none, with [`Error::NotFound`] when no shard
/// matches, and with [`Error::Shard`] at damage, after the samples before it.
pub fn ls(
    dataset: &Dataset<'_>,
    options: &LsOptions,
    each: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    let filter = options.filter.as_deref().map(glob).transpose()?;
    for number in matching(dataset, options.shards.as_deref())? {
        samples(dataset, number, options.memory, &Progress::default(), &mut |sample| {
            let entry = &sample.entry;
            let wanted = filter.as_ref().is_none_or(|filter| filter.is_match(entry.key));
            if wanted && !dataset.is_deleted(number, entry.record, entry.key) {
                each(entry)?;
            }
            Ok(Next::Record)
        })?;
    }
    Ok(())
}

/// A sample, from an index or decoded.
pub(super) struct View<'a> {
    pub(super) entry: Entry<'a>,
    pub(super) label: Label,
    /// Its bytes, where it was decoded.
    pub(super) sample: Option<&'a Sample>,
}

/// Calls `each` with the samples of shard `number`, in stored order.
pub(super) fn samples(
    dataset: &Dataset<'_>,
    number: usize,
    memory: u64,
    progress: &Progress,
    each: &mut dyn FnMut(&View<'_>) -> Result<Next>,
) -> Result<()> {
    let shard = dataset.shards()[number].path.as_str();
    if let Some(index) = shardpack_dataset::index(dataset, number)? {
        for (i, record) in index.iter().enumerate() {
            let fields: Vec<_> = record.fields.clone().map(EntryField::new).collect();
            let entry = Entry {
                shard,
                record: i as u64,
                offset: record.offset,
                bytes: record.len,
                key: record.key,
                fields: &fields,
            };
            let view = View { entry, label: record.label.to_label(), sample: None };
            if each(&view)? == Next::Stop {
                break;
            }
        }
        return Ok(());
    }
    let object = dataset.store().open(shard)?;
    let budget = ScanBudget::new(memory, 1);
    let mut each = |scanned: Scanned<'_>| {
        let fields: Vec<_> = fields_of(&scanned).map(EntryField::new).collect();
        let key = of_record(dataset, number, &scanned);
        let Record { offset, len, sample, .. } = scanned.record;
        let (record, offset, bytes) = (scanned.number, *offset, *len);
        let entry = Entry { shard, record, offset, bytes, key: &key, fields: &fields };
        each(&View { entry, label: sample.label.clone(), sample: Some(sample) })
    };
    let start = Position::default();
    let end = scan(dataset, number, &*object, start, budget, progress, &mut each)?;
    match end.error {
        Some(error) => Err(unreadable(shard, &error)),
        None => Ok(()),
    }
}

/// The error for damage that keeps a shard from being read on.
pub(super) fn unreadable(shard: &str, error: &shardpack_formats::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::TooLarge { .. } => "; give more --memory",
        _ => "",
    };
    Error::Shard { shard: shard.to_owned(), reason: format!("{error}{hint}") }
}

impl<'a> EntryField<'a> {
    fn new(field: IndexField<'a>) -> Self {
        let IndexField { name, offset, len: bytes, crc32c } = field;
        Self { name, bytes, crc32c, offset }
    }

    pub(super) fn to_index(self) -> IndexField<'a> {
        let Self { name, bytes: len, crc32c, offset } = self;
        IndexField { name, offset, len, crc32c }
    }
}

/// Numbers of the shards whose path a glob matches, all of them without one.
pub(super) fn matching(dataset: &Dataset<'_>, pattern: Option<&str>) -> Result<Vec<usize>> {
    let Some(pattern) = pattern else { return Ok((0..dataset.shards().len()).collect()) };
    let glob = glob(pattern)?;
    let shards = dataset.shards().iter().enumerate();
    let found: Vec<_> = shards.filter(|(_, s)| glob.is_match(&s.path)).map(|(i, _)| i).collect();
    match found.is_empty() {
        true => Err(Error::NotFound(format!("no shard matches {pattern:?}"))),
        false => Ok(found),
    }
}

/// `*` crosses no slash, `**` does.
pub(crate) fn glob(pattern: &str) -> Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|e| Error::Usage(e.to_string()))
}

impl Default for LsOptions {
    fn default() -> Self {
        Self { filter: None, shards: None, memory: super::MEMORY }
    }
}
