//! A dataset against the files that it was packed from.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shardpack_formats::Crc32c;
use shardpack_store::{FileId, Listing, Sink, Source};

use super::ls::samples;
use super::report::AgainstReport;
use super::scan::Next;
use super::verify::VerifyOptions;
use super::{Dataset, sidecar};
use crate::Result;
use crate::parallel::{check_stopped, each};
use crate::progress::Progress;

/// Reads every file of `source` that the dataset has, and compares length and crc32c with what
/// the index says, which [`verify`](super::verify) has compared with the shards.
pub(super) fn compare(
    dataset: &Dataset<'_>,
    source: &dyn Source,
    options: &VerifyOptions<'_>,
    progress: &Progress,
) -> Result<AgainstReport> {
    let expected = Expected::new(source.listing());
    let shards = each(dataset.shards().len(), options.jobs, progress, |number| {
        let memory = options.memory / options.jobs.max(1) as u64;
        expected.of_shard(dataset, number, memory, progress)
    })?;
    let mut report = AgainstReport { source: source.describe(), ..AgainstReport::default() };
    for shard in shards {
        report.extra.merge(shard.extra);
        report.different.merge(shard.different);
    }
    // In the order of the listing, whatever the order in the shards: folder by folder.
    let files = source.listing().len();
    let silent = Progress::default();
    let chunks = each(files.div_ceil(CHUNK), options.jobs.max(READERS), &silent, |chunk| {
        let end = files.min((chunk + 1) * CHUNK);
        expected.read(source, chunk * CHUNK..end, progress)
    })?;
    for chunk in chunks {
        report.equal += chunk.equal;
        report.different.merge(chunk.different);
    }
    let left_out = LeftOut::of(dataset);
    for (id, file) in source.listing().iter().enumerate() {
        let found = expected.files[id].load(Relaxed);
        if found & SEEN != 0 {
            continue;
        }
        match found & DELETED != 0 || left_out.has(file.name) {
            true => report.left_out += 1,
            false => report.missing.add(file.display()),
        }
    }
    Ok(report)
}

/// Files that are read one after another by one thread.
pub(crate) const CHUNK: usize = 64;
/// Files that are read at a time: on a cold disk or a network, waiting takes most of the time.
pub(crate) const READERS: usize = 32;

/// The file is in the dataset.
const SEEN: u64 = 1 << 32;
/// Its bytes must be read: they should have the crc32c that stands in the lower half.
const READ: u64 = 1 << 33;

/// A sample that is deleted was made of it. Another one may be, too.
const DELETED: u64 = 1 << 34;

/// What the dataset says of each file, at 8 bytes a file, beside the table of paths.
struct Expected<'l> {
    paths: Paths<'l>,
    files: Vec<AtomicU64>,
}

impl<'l> Expected<'l> {
    fn new(listing: &'l Listing) -> Self {
        let files = listing.iter().map(|_| AtomicU64::new(0)).collect();
        Self { paths: Paths::new(listing), files }
    }

    /// Notes the fields of one shard; reports those that need no reading to be wrong.
    fn of_shard(
        &self,
        dataset: &Dataset<'_>,
        number: usize,
        memory: u64,
        progress: &Progress,
    ) -> Result<AgainstReport> {
        let names = sidecar::names(dataset, number)?;
        let mut report = AgainstReport::default();
        samples(dataset, number, memory, progress, &mut |sample| {
            let entry = &sample.entry;
            check_stopped(progress)?;
            for field in entry.fields {
                let path = sidecar::path_of(&names, entry.record, entry.key, field.name);
                let Some(path) = path else { continue };
                if dataset.is_deleted(number, entry.record, entry.key) {
                    // Whether its file is deleted too is not this dataset's business.
                    if let Some(id) = self.paths.find(path.as_bytes()) {
                        self.files[id as usize].fetch_or(DELETED, Relaxed);
                    }
                    continue;
                }
                let Some(id) = self.paths.find(path.as_bytes()) else {
                    report.extra.add(path);
                    continue;
                };
                let file = &self.files[id as usize];
                if file.fetch_or(SEEN, Relaxed) & SEEN != 0 {
                    report.extra.add(format!("{path} (a second time)"));
                } else if self.paths.listing.file(id).len != field.bytes {
                    report.different.add(path);
                } else {
                    file.fetch_or(READ | u64::from(field.crc32c), Relaxed);
                }
            }
            Ok(Next::Record)
        })?;
        Ok(report)
    }

    /// Reads files and compares them.
    fn read(
        &self,
        source: &dyn Source,
        files: Range<usize>,
        progress: &Progress,
    ) -> Result<AgainstReport> {
        let mut report = AgainstReport::default();
        let mut sink = Checksum::new();
        for id in files {
            check_stopped(progress)?;
            let file = self.paths.listing.file(id as FileId);
            let expected = self.files[id].load(Relaxed);
            if expected & READ == 0 {
                continue;
            }
            let equal = sink.of(source, id as FileId, file.len)? == expected as u32;
            progress.add(1, file.len);
            match equal {
                true => report.equal += 1,
                false => report.different.add(file.display()),
            }
        }
        Ok(report)
    }
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
pub(crate) struct Checksum {
    buffer: Vec<u8>,
    crc: Crc32c,
}

impl Checksum {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; 256 << 10], crc: Crc32c::default() }
    }

    /// The crc32c of a whole file.
    pub(crate) fn of(&mut self, source: &dyn Source, file: FileId, len: u64) -> Result<u32> {
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
