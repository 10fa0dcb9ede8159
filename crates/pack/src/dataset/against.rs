//! A dataset against the files that it was packed from.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use shardpack_formats::Crc32c;
use shardpack_store::{FileId, Listing, Sink, Source};

use super::ls::samples;
use super::parallel::{check_stopped, each};
use super::report::AgainstReport;
use super::scan::Next;
use super::verify::VerifyOptions;
use super::{Dataset, sidecar};
use crate::Result;
use crate::progress::Progress;

/// Reads every file of `source` that the dataset has, and compares length and crc32c with what
/// the index says, which [`verify`](super::verify) has compared with the shards.
pub(super) fn compare(
    dataset: &Dataset<'_>,
    source: &dyn Source,
    options: &VerifyOptions<'_>,
    progress: &Progress,
) -> Result<AgainstReport> {
    let paths = Paths::new(source.listing());
    let seen: Vec<AtomicBool> = source.listing().iter().map(|_| AtomicBool::new(false)).collect();
    let shards = each(dataset.shards().len(), options.jobs, progress, |number| {
        let names = sidecar::names(dataset, number)?;
        let mut sink = Checksum::new();
        let mut report = AgainstReport::default();
        let memory = options.memory / options.jobs.max(1) as u64;
        samples(dataset, number, memory, progress, &mut |sample| {
            let entry = &sample.entry;
            check_stopped(progress)?;
            for field in entry.fields {
                let path = sidecar::path_of(&names, entry.record, entry.key, field.name);
                let Some(path) = path else { continue };
                let Some(id) = paths.find(path.as_bytes()) else {
                    report.extra.add(path);
                    continue;
                };
                if seen.get(id as usize).is_some_and(|seen| seen.swap(true, Relaxed)) {
                    report.extra.add(format!("{path} (a second time)"));
                    continue;
                }
                let len = source.listing().file(id).len;
                let equal = len == field.bytes && sink.of(source, id, len)? == field.crc32c;
                progress.add(1, len);
                if equal {
                    report.equal += 1;
                } else {
                    report.different.add(path);
                }
            }
            Ok(Next::Record)
        })?;
        Ok(report)
    })?;
    let mut report = AgainstReport { source: source.describe(), ..AgainstReport::default() };
    for shard in shards {
        report.equal += shard.equal;
        report.extra.merge(shard.extra);
        report.different.merge(shard.different);
    }
    let left_out = LeftOut::of(dataset);
    for (file, seen) in source.listing().iter().zip(&seen) {
        if seen.load(Relaxed) {
            continue;
        }
        match left_out.has(file.name) {
            true => report.left_out += 1,
            false => report.missing.add(file.display()),
        }
    }
    Ok(report)
}

/// Finds files by path, at 16 bytes a file.
struct Paths<'l> {
    listing: &'l Listing,
    sorted: Vec<(u64, FileId)>,
}

impl<'l> Paths<'l> {
    fn new(listing: &'l Listing) -> Self {
        let mut sorted: Vec<_> =
            listing.iter().zip(0..).map(|(file, id)| (hash(&file.path()), id)).collect();
        sorted.sort_unstable();
        Self { listing, sorted }
    }

    fn find(&self, path: &[u8]) -> Option<FileId> {
        let hash = hash(path);
        let first = self.sorted.partition_point(|(other, _)| *other < hash);
        let same = self.sorted[first..].iter().take_while(|(other, _)| *other == hash);
        same.map(|(_, id)| *id).find(|id| self.listing.file(*id).is_at(path))
    }
}

fn hash(path: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(path)
}

/// Files that the options of the pack leave out.
struct LeftOut {
    fields: Option<Vec<String>>,
    /// Some option drops samples for reasons that names do not tell.
    any: bool,
}

impl LeftOut {
    fn of(dataset: &Dataset<'_>) -> Self {
        let option = |name: &str| dataset.manifest().and_then(|m| m.options.get(name));
        let fields = option("fields");
        let skips = ["bad-names", "missing", "unlabelled"];
        Self {
            fields: fields.map(|fields| fields.split(',').map(str::to_owned).collect()),
            any: skips.iter().any(|name| option(name).is_some_and(|value| value == "skip"))
                || (fields.is_some() && option("group").is_some()),
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        let unwanted = |fields: &Vec<String>| {
            let name = String::from_utf8_lossy(name).to_lowercase();
            let field = name.split_once('.').map(|(_, field)| field);
            field.is_none_or(|field| !fields.iter().any(|wanted| wanted == field))
        };
        self.any || self.fields.as_ref().is_some_and(unwanted)
    }
}

/// The crc32c of what arrives.
struct Checksum {
    buffer: Vec<u8>,
    crc: Crc32c,
}

impl Checksum {
    fn new() -> Self {
        Self { buffer: vec![0; 256 << 10], crc: Crc32c::default() }
    }

    /// The crc32c of a whole file.
    fn of(&mut self, source: &dyn Source, file: FileId, len: u64) -> Result<u32> {
        self.crc = Crc32c::default();
        source.fetch(file, 0, len, self)?;
        Ok(self.crc.value())
    }
}

impl Sink for Checksum {
    fn space(&mut self) -> shardpack_store::Result<&mut [u8]> {
        Ok(&mut self.buffer)
    }

    fn advance(&mut self, n: usize) -> shardpack_store::Result<()> {
        self.crc.update(&self.buffer[..n]);
        Ok(())
    }
}
