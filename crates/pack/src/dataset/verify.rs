//! Proving a dataset.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use shardpack_formats::Position;
use shardpack_manifest::{Digest, FieldTotals, Index, Manifest, Shard};
use shardpack_store::{Object, Source};

use super::check::{self, Outcome};
use super::keys::{self, KeyPlace, of_record};
use super::runs::Budget;
use super::scan::{Next, ScanBudget, scan};
use super::{Damage, Dataset, VerifyReport, against, sidecar, strict};
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::{Error, Result, staging};

/// How a dataset is verified.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// The files that were packed: every one is read and compared.
    pub against: Option<&'a dyn Source>,
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB.
    pub memory: u64,
    /// Check files, lengths, manifest and indexes, and read no shard. Default false.
    pub quick: bool,
}

/// Checks everything that can be checked, and reports everything that is wrong: damage is a row of
/// the report, an error is what kept the check from running.
///
/// With a manifest: files, lengths, checksums of files and indexes, and every record by the index,
/// so that k damaged records are k rows. Without one: what the format itself can tell.
///
/// Fails with [`Error::Usage`] for `quick` or `against` where their base is missing, with
/// [`Error::Stopped`] after [`Progress::stop`], and with the store's errors.
pub fn verify(
    dataset: &Dataset<'_>,
    options: &VerifyOptions<'_>,
    progress: &Progress,
) -> Result<VerifyReport> {
    if options.quick && dataset.manifest().is_none() {
        return Err(Error::Usage("a quick check needs a manifest; `index` makes one".into()));
    }
    plan(dataset, options, progress);
    let outcomes = match dataset.manifest() {
        Some(manifest) => each(manifest.shards.len(), options.jobs, progress, |i| {
            with_manifest(dataset, i, manifest, options, progress)
        })?,
        None => each(dataset.shards().len(), options.jobs, progress, |i| {
            let object = dataset.store().open(&dataset.shards()[i].path)?;
            let budget = ScanBudget::new(options.memory, options.jobs);
            let (outcome, _) = strict::shard(dataset, i, &*object, budget, progress)?;
            Ok(Checked { outcome, fields: None })
        })?,
    };
    let mut report = gather(dataset, options, outcomes)?;
    if dataset.manifest().is_some() {
        report.extra = extra(dataset)?;
        if !report.extra.is_empty() && staging::unfinished(dataset.store())?.is_some() {
            report.caveats.push(UNFINISHED.into());
        }
    }
    if let Some(source) = options.against {
        match against::compare(dataset, source, options, progress) {
            Ok(against) => report.against = Some(against),
            // The damage is a row already; without this shard the rest would look lost.
            Err(Error::Shard { shard, reason }) if !report.damage.is_empty() => {
                let source = source.describe();
                report.caveats.push(format!("not compared with {source}: {shard}: {reason}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Says how much there is to read: shards before compression, and the files to compare with.
fn plan(dataset: &Dataset<'_>, options: &VerifyOptions<'_>, progress: &Progress) {
    progress.enter(Stage::Pack);
    let mut bytes = match dataset.manifest() {
        _ if options.quick => 0,
        Some(manifest) => manifest.shards.iter().map(|s| s.stream_bytes).sum(),
        None => dataset.shards().iter().map(|s| s.bytes).sum(),
    };
    let mut shards = dataset.shards().len() as u64;
    if let Some(source) = options.against {
        let listing = source.listing();
        bytes += listing.iter().map(|file| file.len).sum::<u64>();
        shards *= 2;
        progress.files_planned.store(listing.len() as u64, Relaxed);
    }
    progress.bytes_planned.store(bytes, Relaxed);
    progress.shards_planned.store(shards, Relaxed);
}

/// What came of a shard, and the sums over its index.
struct Checked {
    outcome: Outcome,
    fields: Option<BTreeMap<String, FieldTotals>>,
}

fn with_manifest(
    dataset: &Dataset<'_>,
    number: usize,
    manifest: &Manifest,
    options: &VerifyOptions<'_>,
    progress: &Progress,
) -> Result<Checked> {
    let row = &manifest.shards[number];
    let object = match dataset.store().open(&row.path) {
        Ok(object) => Some(object),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let index = shardpack_dataset::examine(dataset.store(), manifest, row)?;
    let fields = index.as_ref().ok().map(|index| index.summary().fields);
    let mut outcome = match (&object, &index) {
        (None, _) => {
            let mut outcome = Outcome::new(&dataset.shards()[number]);
            outcome.report.read_to_end = false;
            let reason = format!("missing; {} samples are lost", row.samples);
            outcome.damaged(None, None, reason);
            outcome
        }
        (Some(object), _) if options.quick => quick(dataset, number, row, &**object),
        (Some(object), Ok(index)) => {
            let budget = Budget::new(options.memory, options.jobs);
            check::shard(dataset, number, row, index, &**object, budget, progress)?
        }
        (Some(object), Err(_)) => {
            without_index(dataset, number, row, &**object, options, progress)?
        }
    };
    if let Err(reason) = &index {
        outcome.report.damaged += 1;
        outcome.damage.push(beside(&row.index.path, reason.clone()));
    }
    if let Some(damage) = damaged_sources(dataset, number, index.as_ref().ok())? {
        outcome.report.damaged += 1;
        outcome.damage.push(damage);
    }
    Ok(Checked { outcome, fields })
}

/// A shard whose index is gone can still be proved as a whole.
fn without_index(
    dataset: &Dataset<'_>,
    number: usize,
    row: &Shard,
    object: &dyn Object,
    options: &VerifyOptions<'_>,
    progress: &Progress,
) -> Result<Outcome> {
    let budget = ScanBudget::new(options.memory, options.jobs);
    let (mut outcome, crc64) = strict::shard(dataset, number, object, budget, progress)?;
    let wrong = crc64.is_some_and(|crc64| (object.len(), crc64) != (row.bytes, row.crc64nvme));
    if outcome.damage.is_empty() && wrong {
        let reason = "CRC-64/NVME or length are not those of the manifest; without its index nobody can say where";
        outcome.damaged(None, None, reason);
    }
    Ok(outcome)
}

fn quick(dataset: &Dataset<'_>, number: usize, row: &Shard, object: &dyn Object) -> Outcome {
    let mut outcome = Outcome::new(&dataset.shards()[number]);
    outcome.report.bytes = object.len();
    outcome.report.samples = row.samples;
    outcome.report.files = row.files;
    outcome.report.file_bytes = row.body_bytes;
    outcome.report.digest = row.digest.to_string();
    outcome.digest = row.digest;
    if object.len() != row.bytes {
        let reason =
            format!("the file has {} bytes, the manifest says {}", object.len(), row.bytes);
        outcome.damaged(None, Some(object.len().min(row.bytes)), reason);
    }
    outcome
}

/// Checks the names that the shard's files had.
fn damaged_sources(
    dataset: &Dataset<'_>,
    number: usize,
    index: Option<&Index<'_>>,
) -> Result<Option<Damage>> {
    let names = match sidecar::names(dataset, number) {
        Ok(names) => names,
        Err(Error::Shard { shard, reason }) => return Ok(Some(beside(&shard, reason))),
        Err(error) => return Err(error),
    };
    let sources = dataset.manifest().and_then(|m| m.shards.get(number)?.sources.as_ref());
    let (Some(index), Some(sources)) = (index, sources) else { return Ok(None) };
    let stray = names.keys().filter(|(record, field)| {
        let record = usize::try_from(*record).ok().and_then(|i| index.get(i));
        !record.is_some_and(|r| r.fields.clone().any(|f| f.name == field))
    });
    Ok(stray.min().map(|(record, field)| {
        let reason =
            format!("names a field {field:?} of record {record} that the index does not have");
        beside(&sources.path, reason)
    }))
}

/// Damage to a file beside the shards.
fn beside(path: &str, reason: String) -> Damage {
    Damage { shard: path.to_owned(), record: None, key: None, offset: None, reason }
}

fn gather(
    dataset: &Dataset<'_>,
    options: &VerifyOptions<'_>,
    checked: Vec<Checked>,
) -> Result<VerifyReport> {
    let mut report = VerifyReport {
        dataset: dataset.describe(),
        format: dataset.format().into(),
        compression: super::info::compression(dataset),
        has_manifest: dataset.manifest().is_some(),
        quick: options.quick,
        shards: checked.len() as u64,
        deleted: dataset.manifest().map_or(0, |m| m.tombstones.len() as u64),
        ..VerifyReport::default()
    };
    let (mut digest, mut places, mut fields) =
        (Digest::default(), Vec::new(), Some(BTreeMap::new()));
    let (mut undecoded, mut skipped) = (0, Vec::new());
    for Checked { outcome, fields: of_shard } in checked {
        report.samples += outcome.report.samples;
        report.files += outcome.report.files;
        report.file_bytes += outcome.report.file_bytes;
        report.shard_bytes += outcome.report.bytes;
        report.damage.extend(outcome.damage);
        report.damage_not_listed += outcome.not_listed;
        report.shard_reports.push(outcome.report);
        digest += outcome.digest;
        places.extend(outcome.keys);
        undecoded += outcome.undecoded;
        skipped.push(outcome.skipped);
        fields = fields.zip(of_shard).map(|(sum, shard)| add(sum, shard));
    }
    report.digest = digest.to_string();
    for damage in &mut report.damage {
        if is_deleted(dataset, damage) {
            damage.reason.push_str("; the sample is deleted, readers pass over it");
        }
    }
    // A damaged record is in no place.
    let marks = dataset.manifest().filter(|_| !options.quick && report.damage.is_empty());
    if let Some(reason) = marks.and_then(|manifest| wrong_mark(manifest, &places)) {
        report.damage.push(beside(staging::MANIFEST, reason));
    }
    // A key may be deleted in one shard and live in another.
    places.retain(|place| !dataset.is_deleted(place.shard as usize, place.record.into(), ""));
    report.duplicates = keys::duplicates(dataset, places, |place| key_at(dataset, place, options))?;
    sums(dataset, fields, &mut report);
    report.caveats = caveats(dataset, options, undecoded, &skipped);
    Ok(report)
}

/// Whether readers pass over a damaged record.
fn is_deleted(dataset: &Dataset<'_>, damage: &Damage) -> bool {
    let shard = dataset.shards().iter().position(|shard| shard.path == damage.shard);
    let place = shard.zip(damage.record).zip(damage.key.as_ref());
    place.is_some_and(|((shard, record), key)| dataset.is_deleted(shard, record, key))
}

/// The first tombstone that is of no sample, or of one elsewhere than the manifest says.
fn wrong_mark(manifest: &Manifest, places: &[KeyPlace]) -> Option<String> {
    let hashes: Vec<u128> = manifest.tombstones.iter().map(|key| keys::hash(key)).collect();
    let by_key: HashMap<u128, usize> = hashes.iter().copied().zip(0..).collect();
    let by_place: HashMap<(u64, u64), usize> =
        manifest.tombstone_places.iter().copied().zip(0..).collect();
    let mut found = vec![None; hashes.len()];
    let mut right = vec![false; hashes.len()];
    for place in places {
        let at = (u64::from(place.shard), u64::from(place.record));
        if let Some(&number) = by_key.get(&place.hash) {
            found[number] = Some(at);
            right[number] |= by_place.is_empty();
        }
        if let Some(&number) = by_place.get(&at) {
            right[number] |= hashes[number] == place.hash;
        }
    }
    let wrong = right.iter().position(|right| !right)?;
    let key = manifest.tombstones.get(wrong)?;
    Some(match found.get(wrong)? {
        None => format!("no sample has the key {key:?}, which is marked as deleted"),
        Some((shard, record)) => format!(
            "{key:?}, which is marked as deleted, is record {record} of shard {shard}, not where the mark says"
        ),
    })
}

fn add(
    mut sum: BTreeMap<String, FieldTotals>,
    shard: BTreeMap<String, FieldTotals>,
) -> BTreeMap<String, FieldTotals> {
    for (name, totals) in shard {
        let field = sum.entry(name).or_default();
        field.files += totals.files;
        field.bytes = field.bytes.saturating_add(totals.bytes);
    }
    sum
}

/// What only shows when all shards are seen.
fn sums(
    dataset: &Dataset<'_>,
    fields: Option<BTreeMap<String, FieldTotals>>,
    report: &mut VerifyReport,
) {
    let Some(manifest) = dataset.manifest() else { return };
    if fields.is_some_and(|fields| fields != manifest.fields) {
        let reason = "the sums by field are not those of the indexes".into();
        report.damage.push(beside(staging::MANIFEST, reason));
    }
    if report.is_whole() && report.digest != manifest.digest.to_string() {
        let reason = format!("the samples have digest {}, not {}", report.digest, manifest.digest);
        report.damage.push(beside(staging::MANIFEST, reason));
    }
}

/// The key at a place, for messages.
fn key_at(dataset: &Dataset<'_>, place: KeyPlace, options: &VerifyOptions<'_>) -> Result<String> {
    let number = place.shard as usize;
    if let Some(manifest) = dataset.manifest()
        && let Ok(index) =
            shardpack_dataset::examine(dataset.store(), manifest, &manifest.shards[number])?
    {
        return Ok(index.get(place.record as usize).map(|r| r.key.to_owned()).unwrap_or_default());
    }
    let object = dataset.store().open(&dataset.shards()[number].path)?;
    let mut key = String::new();
    let budget = ScanBudget::new(options.memory, 1);
    let start = Position::default();
    scan(dataset, number, &*object, start, budget, &Progress::default(), &mut |scanned| {
        if scanned.number != u64::from(place.record) {
            return Ok(Next::Record);
        }
        key = of_record(dataset, number, &scanned);
        Ok(Next::Stop)
    })?;
    Ok(key)
}

/// Said of extra shards where a run says that they may be its own.
const UNFINISHED: &str = "a run that adds shards here is at work or was killed: extra ones may be its own until the same command has finished it";

/// Objects under `shards/` that are no shards of any version of this dataset.
fn extra(dataset: &Dataset<'_>) -> Result<Vec<String>> {
    let mut known: HashSet<String> = dataset.shards().iter().map(|s| s.path.clone()).collect();
    for (_, manifest) in shardpack_dataset::versions(dataset.store())? {
        known.extend(manifest.shards.into_iter().map(|shard| shard.path));
    }
    let objects = dataset.store().list("shards")?;
    Ok(objects.into_iter().map(|o| o.key).filter(|key| !known.contains(key)).collect())
}

/// What stays open even when nothing was found.
fn caveats(
    dataset: &Dataset<'_>,
    options: &VerifyOptions<'_>,
    undecoded: u64,
    skipped: &[shardpack_formats::Skipped],
) -> Vec<String> {
    let mut caveats = Vec::new();
    if options.quick {
        caveats.push(
            "no shard was read: only files, lengths, manifest and indexes were checked".into(),
        );
    }
    if undecoded > 0 {
        caveats.push(format!(
            "records over a quarter of --memory a job, compared by checksum but not decoded: {undecoded}"
        ));
    }
    if dataset.manifest().is_none() {
        caveats.push(
            "without a manifest nobody knows which shards and samples there should be".into(),
        );
        caveats.push(match dataset.format() {
            "webdataset" => "a tar has checksums of its headers only: changed bodies, and changed names in extended headers, cannot be seen".into(),
            "tfrecord" => "a shard that was cut between two records cannot be seen".into(),
            _ => "RecordIO has no checksums: changed bytes and a cut between two records cannot be seen".to_owned(),
        });
    }
    caveats.extend(
        super::adopt::skipped_rows(skipped).into_iter().map(|(why, n)| format!("{n} {why}")),
    );
    caveats
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        Self { against: None, jobs: super::cores(), memory: super::MEMORY, quick: false }
    }
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("against", &self.against.map(Source::describe))
            .field("jobs", &self.jobs)
            .field("memory", &self.memory)
            .field("quick", &self.quick)
            .finish()
    }
}
