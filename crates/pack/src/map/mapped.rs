//! Mapped samples as a source.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use shardpack_store::{
    Direct, Error as StoreError, ErrorKind, FileId, Listing, LocalOptions, LocalStore, Lock, Sink,
    Source, Store,
};

use super::command::{Asker, Trials};
#[cfg(feature = "image")]
use super::image::Painter;
use super::journal::{At, Became, Row};
use super::piece::{Made, Pieces, cut};
use super::{Map, MapReport, Mapper, Transform};
use crate::group::{SampleId, Samples};
use crate::options::PackOptions;
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::reshard::{Catalog, CatalogBuilder, NewField, NewSample, Record};
use crate::{Error, Result};

/// Folders of maps in scratch start so.
const PREFIX: &str = "shardpack-map-";
/// Failures that a report names.
const NAMED: usize = 10;

/// Samples after their map: bodies that changed lie in a scratch folder, all others in the source.
pub(crate) struct Mapped<'s> {
    source: &'s dyn Source,
    catalog: Catalog,
    places: Vec<Place>,
    pieces: Vec<Made>,
    store: LocalStore,
    folder: PathBuf,
    lock: Box<dyn Lock>,
    pub(crate) report: MapReport,
}

/// Where the body of a file is.
#[derive(Clone, Copy)]
enum Place {
    Source(FileId),
    Piece(u32, u64),
}

impl<'s> Mapped<'s> {
    /// Maps all samples of `source`; `destination` is part of the scratch folder's name, so that the
    /// same command finds what it left there when it was killed.
    ///
    /// Fails with [`Error::Map`] for a sample that the map fails for, unless it is to be skipped.
    pub(crate) fn make(
        samples: &Samples<'_>,
        source: &'s dyn Source,
        map: &Map,
        destination: &str,
        options: &PackOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let name = format!("{destination}\n{}\n{:?}", source.describe(), map.describe());
        let folder = map.scratch.join(format!("{PREFIX}{:016x}", crate::hash(&name, 0)));
        let (store, lock) = open_scratch(&folder, options.restart)?;
        let jobs = options.jobs.max(1);
        let most = options.memory / 2 / jobs as u64;
        let pieces = Pieces { samples, source, store: &store, map, most };
        let ranges = cut(samples);
        begin(samples, ranges.len(), progress);
        let trials = Trials::default();
        let mappers = Mappers {
            map,
            most,
            progress,
            trials: &trials,
            idle: Mutex::default(),
            made: AtomicUsize::new(0),
        };
        let made = each(ranges.len(), jobs, progress, |i| {
            let range = ranges.get(i).cloned().unwrap_or_default();
            let made = mappers.with(|mapper| pieces.make(i, &range, mapper))?;
            count(samples, range, progress);
            Ok(made)
        });
        drop(mappers); // ends the commands
        let made = made.map_err(|error| match error {
            Error::Stopped { done, shards } => Error::Unmapped { done, pieces: shards },
            other => named_full(other, map),
        })?;
        progress.reset();
        let mut listed = Listed::new(samples)?;
        for (i, (piece, range)) in made.iter().zip(&ranges).enumerate() {
            listed.builder.shard(folder.join(piece.bodies()).display().to_string());
            for (row, sample) in pieces.rows(piece, range)?.iter().zip(range.clone()) {
                listed.row(row, sample, i as u32)?;
            }
        }
        listed.report.resumed_pieces = made.iter().filter(|piece| piece.resumed).count() as u64;
        let (catalog, places, report) = listed.finish(map);
        Ok(Self { source, catalog, places, pieces: made, store, folder, lock, report })
    }

    /// The samples. Fails when none is left.
    pub(crate) fn samples(&self) -> Result<Samples<'_>> {
        let samples = Samples::of(&self.catalog);
        if samples.len() > 0 {
            return Ok(samples);
        }
        let left_out: Vec<_> =
            samples.skipped.iter().map(|(why, count)| format!("{count} {why}")).collect();
        Err(Error::NotFound(format!("no sample is left; left out: {}", left_out.join(", "))))
    }

    /// Removes the scratch folder, once all of it is packed.
    pub(crate) fn done(self) -> MapReport {
        // Nothing else can be done about what stays.
        let _ = fs::remove_dir_all(&self.folder);
        drop(self.lock);
        self.report
    }
}

impl Source for Mapped<'_> {
    fn listing(&self) -> &Listing {
        self.catalog.listing()
    }

    /// Whether a body is the one that was mapped only its crc32c can tell: packing compares it.
    fn fetch(
        &self,
        file: FileId,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> shardpack_store::Result<()> {
        let listed = self.listing().file(file);
        let invalid =
            |reason: String| StoreError::new(ErrorKind::Invalid { reason }, listed.display());
        if start.checked_add(len).is_none_or(|end| end > listed.len) {
            return Err(invalid(format!("no bytes {start}+{len} in a field of {}", listed.len)));
        }
        let (piece, offset) = match self.places.get(file as usize) {
            Some(Place::Source(id)) => return self.source.fetch(*id, start, len, sink),
            Some(Place::Piece(piece, offset)) => (self.pieces.get(*piece as usize), *offset),
            None => (None, 0),
        };
        let piece = piece.ok_or_else(|| invalid("it is not mapped".into()))?;
        let object = self.store.open(&piece.bodies())?;
        let at = offset.saturating_add(start);
        let end = at.saturating_add(len);
        match shardpack_store::pour_at(&*object, at..end, sink)? == end {
            true => Ok(()),
            false => {
                let what = format!("{}: it ends before byte {end}", piece.bodies());
                Err(StoreError::new(ErrorKind::Changed { what }, self.store.describe()))
            }
        }
    }

    fn describe(&self) -> String {
        format!("{}, mapped", self.source.describe())
    }
}

/// The maps of a run's threads; those that nobody needs at the moment.
struct Mappers<'a> {
    map: &'a Map,
    most: u64,
    progress: &'a Progress,
    trials: &'a Trials,
    idle: Mutex<Vec<Box<dyn Mapper + 'a>>>,
    made: AtomicUsize,
}

impl<'a> Mappers<'a> {
    /// Calls `work` with a map that no other thread has.
    fn with<T>(&self, work: impl FnOnce(&mut dyn Mapper) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let mut mapper = known.unwrap_or_else(|| self.new_one());
        let outcome = work(&mut *mapper);
        idle().push(mapper);
        outcome
    }

    fn new_one(&self) -> Box<dyn Mapper + 'a> {
        let number = self.made.fetch_add(1, Relaxed);
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        match &self.map.transform {
            Transform::Command(command) => {
                Box::new(Asker::new(command, most, number, self.progress, self.trials))
            }
            #[cfg(feature = "image")]
            Transform::Image(options) => Box::new(Painter::new(options)),
        }
    }
}

/// Goes through the rows of all pieces.
struct Listed<'a> {
    samples: &'a Samples<'a>,
    builder: CatalogBuilder,
    places: Vec<Place>,
    report: MapReport,
}

impl<'a> Listed<'a> {
    fn new(samples: &'a Samples<'a>) -> Result<Self> {
        let mut builder = CatalogBuilder::new();
        builder.classes(&samples.classes, "the source")?;
        Ok(Self { samples, builder, places: Vec::new(), report: MapReport::default() })
    }

    fn row(&mut self, row: &Row, sample: SampleId, piece: u32) -> Result<()> {
        self.report.samples += 1;
        match row.became {
            Became::Kept => self.report.kept += 1,
            Became::Changed => self.report.changed += 1,
            Became::Dropped => self.report.dropped += 1,
            Became::Failed => {
                self.report.failed += 1;
                if self.report.failures.len() < NAMED {
                    let why = row.why.as_deref().unwrap_or_default();
                    self.report.failures.push(format!("{}: {why}", row.key));
                }
            }
        }
        if matches!(row.became, Became::Dropped | Became::Failed) {
            return Ok(());
        }
        let members = self.samples.members(sample);
        let from = |at: At| match at {
            At::Source(i) => members.get(i as usize).copied(),
            At::Piece(_) => None,
        };
        let originals: Vec<Option<Option<String>>> = (row.fields.iter())
            .map(|field| from(field.at).and_then(|file| self.original(file, &row.key, &field.name)))
            .collect();
        let mut fields = Vec::new();
        for (number, (field, original)) in (0..).zip(row.fields.iter().zip(&originals)) {
            let (place, offset) = match (from(field.at), field.at) {
                (Some(file), _) => (Place::Source(file), 0),
                (None, At::Piece(offset)) => (Place::Piece(piece, offset), offset),
                (None, At::Source(_)) => (Place::Piece(piece, 0), 0), // journals name none such
            };
            self.places.push(place);
            fields.push(NewField {
                name: &field.name,
                hidden: false,
                from: Record { shard: piece, number: sample, place: (0, 0) },
                offset: Some(offset),
                len: field.len,
                crc32c: field.crc32c,
                number,
                stored: &field.name,
                original: original.as_ref().map(Option::as_deref),
            });
        }
        let label =
            row.label.as_ref().map_or_else(|| self.samples.label(sample).clone(), Into::into);
        self.builder.push(&NewSample {
            key: &row.key,
            label,
            id: self.samples.ids.get(sample as usize).copied(),
            fields: &fields,
        })
    }

    /// The name that the file of a field had, where key and field do not tell it.
    fn original(&self, file: FileId, key: &str, field: &str) -> Option<Option<String>> {
        if let Some(catalog) = self.samples.catalog {
            return catalog.original(file).map(|name| name.map(str::to_owned));
        }
        let file = self.samples.listing().file(file);
        let path = || String::from_utf8_lossy(&file.path()).into_owned();
        (!file.is_called(key, field)).then(|| Some(path()))
    }

    fn finish(self, map: &Map) -> (Catalog, Vec<Place>, MapReport) {
        let flag = map.transform.flag();
        let mut skipped = self.samples.skipped.clone();
        let counted = [
            (format!("samples that {flag} dropped"), self.report.dropped),
            (format!("samples that {flag} failed for (--map-errors skip)"), self.report.failed),
        ];
        skipped.extend(counted.into_iter().filter(|(_, count)| *count > 0));
        let mut catalog = self.builder.finish(skipped);
        if let Some(before) = self.samples.catalog {
            catalog.described = before.described().clone();
        }
        (catalog, self.places, self.report)
    }
}

/// The folder of a map, for this run alone; what an earlier one left in it stays, unless all is to
/// be done anew.
fn open_scratch(folder: &Path, restart: bool) -> Result<(LocalStore, Box<dyn Lock>)> {
    let failed = |e| StoreError::io(e, format!("--scratch {}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    // A power cut may cost pieces: each is proved before it counts as made.
    let options = LocalOptions { durable: false, direct: Direct::Never, expected_bytes: 0 };
    let store = LocalStore::open(folder, &options);
    let lock = store.lock("")?;
    if restart {
        for key in store.keys("")? {
            store.remove(&key)?;
        }
    }
    store.sweep("")?;
    Ok((store, lock))
}

/// What is to be done, for whoever shows it.
fn begin(samples: &Samples<'_>, pieces: usize, progress: &Progress) {
    progress.enter(Stage::Map);
    progress.reset();
    progress.files_planned.store(samples.files() as u64, Relaxed);
    let members = (0..samples.len() as SampleId).flat_map(|sample| samples.members(sample));
    let bytes = members.map(|file| samples.listing().file(*file).len);
    progress.bytes_planned.store(bytes.fold(0, u64::saturating_add), Relaxed);
    progress.shards_planned.store(pieces as u64, Relaxed);
}

fn count(samples: &Samples<'_>, range: std::ops::Range<SampleId>, progress: &Progress) {
    let files = range.flat_map(|sample| samples.members(sample));
    let (count, bytes) =
        files.fold((0, 0), |(n, b), file| (n + 1, b + samples.listing().file(*file).len));
    progress.add(count, bytes);
}

/// An error about a full disk names the folder, which is what can be changed.
fn named_full(error: Error, map: &Map) -> Error {
    match &error {
        Error::Store(store) if matches!(store.kind(), ErrorKind::Full) => {
            let what = format!("--scratch {}: what maps make lies there", map.scratch.display());
            StoreError::new(ErrorKind::Full, what).into()
        }
        _ => error,
    }
}
