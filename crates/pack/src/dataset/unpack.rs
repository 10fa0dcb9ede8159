//! From shards back to files.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use shardpack_formats::{Crc32c, Error as FormatError, ErrorKind, Position, Record, crc32c};
use shardpack_manifest::{Index, IndexField, IndexRecord};
use shardpack_store::{LocalOptions, LocalStore, Object, PutMode, Store, Upload};

use super::Dataset;
use super::check::{overlap, read_failed, said};
use super::ls::{matching, samples};
use super::record::field_damage;
use super::runs::{Budget, Cut, Runs, Step};
use super::scan::Next;
use super::sidecar::{self, Names};
use crate::parallel::{check_stopped, each};
use crate::progress::{Progress, Stage};
use crate::{Error, Result};
use shardpack_dataset::ShardReader;

/// What is unpacked, and how.
#[derive(Clone, Debug)]
pub struct UnpackOptions {
    /// Only these splits; empty unpacks all.
    pub splits: Vec<String>,
    /// Only shards whose path this glob matches.
    pub shards: Option<String>,
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB.
    pub memory: u64,
    /// Whether the files are on the disk, not only in memory, at the end. Default true.
    pub durable: bool,
}

/// What an unpack wrote.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct UnpackReport {
    /// Where the files are.
    pub destination: String,
    /// Shards that were read.
    pub shards: u64,
    /// Samples that were unpacked.
    pub samples: u64,
    /// Files that were written.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// Fields that were no files: labels that pack wrote as fields.
    pub label_fields: u64,
}

/// Writes every field of every sample as a file below `out`, under the name that it had when it
/// was packed, else `KEY.FIELD`. `out` must be new or empty.
///
/// Every body is checked against the index before its file appears, a file appears whole or not at
/// all, no name leads out of `out`, and two samples with one name are refused. The first error ends
/// the run: damage ([`Error::Record`]), a name that cannot be a file ([`Error::Record`]), an `out`
/// that holds something ([`Error::Occupied`]).
pub fn unpack(
    dataset: &Dataset<'_>,
    out: &Path,
    options: &UnpackOptions,
    progress: &Progress,
) -> Result<UnpackReport> {
    must_be_empty(out)?;
    let local = LocalOptions { durable: false, ..LocalOptions::default() };
    let files = LocalStore::open(out, &local);
    let report = unpack_into(dataset, &files, options, progress)?;
    if options.durable && fs::exists(out).unwrap_or(false) {
        sync(out).map_err(|e| shardpack_store::Error::io(e, out.display().to_string()))?;
    }
    Ok(report)
}

/// [`unpack`] into any store, which must hold nothing yet.
pub fn unpack_into(
    dataset: &Dataset<'_>,
    files: &dyn Store,
    options: &UnpackOptions,
    progress: &Progress,
) -> Result<UnpackReport> {
    let numbers = chosen(dataset, options)?;
    if let Some(object) = files.list("")?.first() {
        return Err(occupied(files.describe(), &object.key));
    }
    progress.enter(Stage::Pack);
    plan(dataset, &numbers, progress);
    let shards = each(numbers.len(), options.jobs, progress, |i| {
        let mut shard = Unpack::new(dataset, numbers[i], files, progress)?;
        match shardpack_dataset::index(dataset, numbers[i])? {
            Some(index) => shard.indexed(&index, Budget::new(options.memory, options.jobs))?,
            None => shard.decoded(options.memory / options.jobs.max(1) as u64)?,
        }
        Ok(shard.report)
    })?;
    let mut report = UnpackReport {
        destination: files.describe(),
        shards: shards.len() as u64,
        ..UnpackReport::default()
    };
    for shard in shards {
        report.samples += shard.samples;
        report.files += shard.files;
        report.file_bytes += shard.file_bytes;
        report.label_fields += shard.label_fields;
    }
    Ok(report)
}

/// Says how much there is to write, where the manifest tells.
fn plan(dataset: &Dataset<'_>, numbers: &[usize], progress: &Progress) {
    progress.shards_planned.store(numbers.len() as u64, Relaxed);
    if let Some(manifest) = dataset.manifest() {
        let shards = || numbers.iter().filter_map(|i| manifest.shards.get(*i));
        progress.bytes_planned.store(shards().map(|s| s.body_bytes).sum(), Relaxed);
        progress.files_planned.store(shards().map(|s| s.files).sum(), Relaxed);
    }
}

/// One sync of the file system costs less than one a file.
fn sync(out: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(out)?)?)
}

/// Shards of the splits and paths asked for.
fn chosen(dataset: &Dataset<'_>, options: &UnpackOptions) -> Result<Vec<usize>> {
    let mut numbers = matching(dataset, options.shards.as_deref())?;
    if options.splits.is_empty() {
        return Ok(numbers);
    }
    let known: Vec<_> =
        dataset.manifest().iter().flat_map(|m| &m.splits).map(|s| s.name.as_str()).collect();
    if let Some(unknown) = options.splits.iter().find(|s| !known.contains(&s.as_str())) {
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(Error::NotFound(format!("no split {unknown:?}; splits: {known}")));
    }
    numbers.retain(|i| {
        let split = dataset.shards()[*i].split.as_ref();
        split.is_some_and(|split| options.splits.contains(split))
    });
    Ok(numbers)
}

/// Only what this run writes is below `out`: no file is replaced and no link followed.
fn must_be_empty(out: &Path) -> Result<()> {
    let name = || out.display().to_string();
    let io = |e| Error::Store(shardpack_store::Error::io(e, name()));
    match fs::read_dir(out) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io(e)),
        Ok(mut entries) => match entries.next().transpose().map_err(io)? {
            None => Ok(()),
            Some(entry) => Err(occupied(name(), &entry.file_name().display().to_string())),
        },
    }
}

fn occupied(destination: String, there: &str) -> Error {
    let what = format!("is not empty ({there} is there); choose an empty or new folder");
    Error::Occupied { destination, what }
}

/// One shard on its way back.
struct Unpack<'a> {
    dataset: &'a Dataset<'a>,
    number: usize,
    files: &'a dyn Store,
    progress: &'a Progress,
    names: Names,
    large: Vec<LargeFile>,
    report: UnpackReport,
}

/// A file that is written in pieces.
struct LargeFile {
    upload: Option<Box<dyn Upload>>,
    path: String,
    crc: Crc32c,
}

impl<'a> Unpack<'a> {
    fn new(
        dataset: &'a Dataset<'a>,
        number: usize,
        files: &'a dyn Store,
        progress: &'a Progress,
    ) -> Result<Self> {
        Ok(Self {
            dataset,
            number,
            files,
            progress,
            names: sidecar::names(dataset, number)?,
            large: Vec::new(),
            report: UnpackReport::default(),
        })
    }

    fn shard(&self) -> &'a str {
        &self.dataset.shards()[self.number].path
    }

    /// By the index: ranges are known, so bodies of any length pass through.
    fn indexed(&mut self, index: &Index<'_>, budget: Budget) -> Result<()> {
        let object = self.dataset.store().open(self.shard())?;
        let compression = self.dataset.shards()[self.number].compression;
        let object: &dyn Object = &*object;
        let reader = ShardReader::new(object, budget.piece);
        let stream = compression.reader(Box::new(reader));
        let stream =
            stream.map_err(|e| self.cut(index, Cut { record: 0, offset: 0, error: Some(e) }))?;
        let mut runs = Runs::new(index, stream, budget);
        loop {
            check_stopped(self.progress)?;
            match runs.next() {
                Ok(Some(Step::Records { first, end, offset, bytes })) => {
                    for i in first..end {
                        let Some(record) = index.get(i) else { break };
                        let start = (record.offset - offset) as usize;
                        let body = bytes.get(start..start + record.len as usize);
                        self.sample(i as u64, &record, body.unwrap_or_default())?;
                    }
                }
                Ok(Some(Step::Large { record: i, offset, bytes, last })) => {
                    let Some(record) = index.get(i) else { break };
                    self.large(i as u64, &record, offset, bytes, last)?;
                }
                Ok(Some(Step::Outside { .. })) => {}
                Ok(None) => return Ok(()),
                Err(cut) if cut.record >= index.len() => return Ok(()), // `verify` tells of it
                Err(cut) => return Err(self.cut(index, cut)),
            }
        }
        Ok(())
    }

    /// Without an index: every record is decoded in memory.
    fn decoded(&mut self, memory: u64) -> Result<()> {
        let (dataset, number, progress) = (self.dataset, self.number, self.progress);
        samples(dataset, number, memory, progress, &mut |view| {
            check_stopped(self.progress)?;
            let entry = &view.entry;
            let Some(sample) = view.sample else { return Ok(Next::Record) };
            for field in &sample.fields {
                let place = (entry.record, entry.offset, entry.key);
                self.put(place, &field.name, sample.body(field))?;
            }
            self.report.samples += 1;
            Ok(Next::Record)
        })
    }

    /// Writes the fields of one record, whose bytes are `bytes`.
    fn sample(&mut self, number: u64, index: &IndexRecord<'_>, bytes: &[u8]) -> Result<()> {
        if self.dataset.is_deleted(self.number, number, index.key) {
            return Ok(());
        }
        let place = (number, index.offset, index.key);
        let mut decoded = None;
        for (i, field) in index.fields.clone().enumerate() {
            let body = match field.offset {
                Some(offset) => {
                    let start = (offset - index.offset) as usize;
                    bytes.get(start..start + field.len as usize).unwrap_or_default()
                }
                // The format split the body, or keeps it in another form.
                None => {
                    if decoded.is_none() {
                        let record = decode(self.dataset, bytes);
                        decoded = Some(record.map_err(|e| self.damaged(place, said(&e)))?);
                    }
                    decoded.as_ref().map_or(&[][..], |record| body_of(record, i, &field))
                }
            };
            let crc = crc32c(body);
            if (body.len() as u64, crc) != (field.len, field.crc32c) {
                let at = field.offset.unwrap_or(index.offset);
                return Err(self.damaged(place, field_damage(field.name, at, crc, field.crc32c)));
            }
            self.put(place, field.name, body)?;
        }
        self.report.samples += 1;
        Ok(())
    }

    fn put(&mut self, place: (u64, u64, &str), field: &str, body: &[u8]) -> Result<()> {
        let Some(path) = sidecar::path_of(&self.names, place.0, place.2, field) else {
            self.report.label_fields += 1;
            return Ok(());
        };
        let path = plain(&path);
        self.files
            .put(path, body, PutMode::Create)
            .map_err(|error| self.refused(place, path, error))?;
        self.wrote(body.len() as u64);
        Ok(())
    }

    fn wrote(&mut self, bytes: u64) {
        self.report.files += 1;
        self.report.file_bytes += bytes;
        self.progress.add(1, bytes);
    }

    /// Takes the next piece of a record that is larger than memory allows.
    fn large(
        &mut self,
        number: u64,
        index: &IndexRecord<'_>,
        offset: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<()> {
        if self.dataset.is_deleted(self.number, number, index.key) {
            return Ok(());
        }
        let place = (number, index.offset, index.key);
        if self.large.is_empty() {
            for field in index.fields.clone() {
                let file = self.start(place, &field)?;
                self.large.push(file);
            }
        }
        for (file, field) in self.large.iter_mut().zip(index.fields.clone()) {
            let Some(at) = field.offset else { continue };
            let piece = overlap(offset, bytes, at, field.len);
            file.crc.update(piece);
            if let Some(upload) = file.upload.as_ref().filter(|_| !piece.is_empty()) {
                upload.write_at(offset.max(at) - at, piece)?;
            }
        }
        if !last {
            return Ok(());
        }
        for (file, field) in std::mem::take(&mut self.large).into_iter().zip(index.fields.clone()) {
            let at = field.offset.unwrap_or_default();
            if file.crc.value() != field.crc32c {
                let reason = field_damage(field.name, at, file.crc.value(), field.crc32c);
                return Err(self.damaged(place, reason));
            }
            let Some(upload) = file.upload else {
                self.report.label_fields += 1;
                continue;
            };
            if self.files.open(&file.path).is_ok() {
                return Err(self.taken(place, &file.path));
            }
            upload.seal(field.len, None)?;
            self.wrote(field.len);
        }
        self.report.samples += 1;
        Ok(())
    }

    fn start(&self, place: (u64, u64, &str), field: &IndexField<'_>) -> Result<LargeFile> {
        let crc = Crc32c::default();
        let Some(path) = sidecar::path_of(&self.names, place.0, place.2, field.name) else {
            return Ok(LargeFile { upload: None, path: String::new(), crc });
        };
        if field.offset.is_none() {
            let name = field.name;
            return Err(self.damaged(place, format!(
                "the body of {name:?} does not lie in one piece, and the record is too large to be decoded in memory; give more --memory"
            )));
        }
        let path = plain(&path).to_owned();
        let upload = self
            .files
            .create(&path, Some(field.len))
            .map_err(|error| self.refused(place, &path, error))?;
        Ok(LargeFile { upload: Some(upload), path, crc })
    }

    fn damaged(&self, place: (u64, u64, &str), reason: String) -> Error {
        let (record, offset, key) = place;
        let source = FormatError::corrupt(reason, Position { record, offset });
        Error::Record { shard: self.shard().into(), key: key.into(), source }
    }

    /// A path that cannot be written.
    fn refused(&self, place: (u64, u64, &str), path: &str, error: shardpack_store::Error) -> Error {
        let (record, offset, key) = place;
        let reason = match error.kind() {
            shardpack_store::ErrorKind::Exists => return self.taken(place, path),
            shardpack_store::ErrorKind::Invalid { reason } => reason.clone(),
            _ => return error.into(),
        };
        let kind = ErrorKind::Name { name: path.to_owned(), reason };
        let source = FormatError::at(kind, Position { record, offset });
        Error::Record { shard: self.shard().into(), key: key.into(), source }
    }

    fn taken(&self, (record, offset, key): (u64, u64, &str), path: &str) -> Error {
        let reason = "another sample has been written to this path; nothing is replaced".into();
        let kind = ErrorKind::Name { name: path.to_owned(), reason };
        let source = FormatError::at(kind, Position { record, offset });
        Error::Record { shard: self.shard().into(), key: key.into(), source }
    }

    fn cut(&self, index: &Index<'_>, cut: Cut) -> Error {
        let record = index.get(cut.record);
        let key = record.as_ref().map_or("", |r| r.key);
        let place = (cut.record as u64, record.as_ref().map_or(cut.offset, |r| r.offset), key);
        match cut.error {
            None => self.damaged(place, format!("the shard ends at {}", cut.offset)),
            Some(e) if is_damage(&e) => self.damaged(place, format!("the compressed stream: {e}")),
            error => read_failed(error, self.shard()),
        }
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

/// Decodes the only record in `bytes`.
pub(crate) fn decode(dataset: &Dataset<'_>, bytes: &[u8]) -> shardpack_formats::Result<Record> {
    let mut record = Record::default();
    let mut options = dataset.decode().clone();
    options.max_record = bytes.len() as u64;
    options.missing_end = true;
    let mut decoder = dataset.codec().decoder(Box::new(bytes), &options);
    match decoder.read(&mut record)? {
        true => Ok(record),
        false => Err(FormatError::corrupt("there is no record", Position::default())),
    }
}

/// The body of the index's field number `i` in a decoded record. Formats without names keep order.
pub(super) fn body_of<'r>(record: &'r Record, i: usize, field: &IndexField<'_>) -> &'r [u8] {
    let sample = &record.sample;
    sample
        .field(field.name)
        .or_else(|| sample.fields.get(i).map(|f| sample.body(f)))
        .unwrap_or_default()
}

/// `tar c .` starts every name with `./`.
fn plain(path: &str) -> &str {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    path
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            splits: Vec::new(),
            shards: None,
            jobs: super::cores(),
            memory: super::MEMORY,
            durable: true,
        }
    }
}
