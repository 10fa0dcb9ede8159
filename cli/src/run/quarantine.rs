//! Quarantines: where `verify` writes them, and what `why` reads in them.

use std::path::Path;

use shardpack_manifest::Quarantine;
use shardpack_pack::{Dataset, Error, VerifyReport};
use shardpack_store::PutMode;

use super::dataset::Place;
use crate::args::S3Args;
use crate::exit::{Failure, Result};
use crate::log::Log;
use crate::size::counted;

/// Writes the damaged samples of a report, in one atomic step. Returns what to tell.
pub(super) fn write(
    file: &Path,
    dataset: &Dataset<'_>,
    report: &VerifyReport,
    s3: &S3Args,
    log: Log,
) -> Result<String> {
    let Some(manifest) = dataset.manifest() else { return Err(without_manifest(file)) };
    let (quarantine, others) = shardpack_pack::quarantine(report, manifest)?;
    let bytes = quarantine.to_bytes().map_err(Error::from)?;
    let (place, name) = split(file, s3, log)?;
    place.store().put(name, &bytes, PutMode::Replace)?;
    let samples = counted(quarantine.samples.len() as u64, "sample");
    let rest = match others {
        0 => String::new(),
        _ => format!("; {others} other damage it does not help against"),
    };
    Ok(format!("quarantine: {samples} in {}{rest}", file.display()))
}

/// Refused before anything is read.
pub(super) fn without_manifest(file: &Path) -> Failure {
    Failure::new(format!("{}: a quarantine belongs to a manifest", file.display()))
        .hint("shards that another tool wrote get one from: shardpack index DST")
}

/// Why a quarantine has the sample in a record of a shard; none if it has not.
pub(super) fn reason(
    file: &str,
    dataset: &Dataset<'_>,
    (shard, record): (&str, u64),
    s3: &S3Args,
    log: Log,
) -> Result<Option<String>> {
    let (place, name) = split(Path::new(file), s3, log)?;
    let bytes = shardpack_dataset::read(place.store(), name).map_err(Error::from)?;
    let quarantine = Quarantine::parse(&bytes).and_then(|found| {
        if let Some(manifest) = dataset.manifest() {
            found.places(manifest)?;
        }
        Ok(found)
    });
    let quarantine = quarantine.map_err(|error| Error::from(error.in_file(file)))?;
    let found = quarantine.samples.into_iter().find(|s| s.shard == shard && s.record == record);
    Ok(found.map(|sample| sample.reason))
}

/// The folder of a file, and its name there.
fn split<'f>(file: &'f Path, s3: &S3Args, log: Log) -> Result<(Place, &'f str)> {
    let named = || Failure::new(format!("{}: names no file", file.display()));
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(named)?;
    let folder = file.parent().ok_or_else(named)?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok((Place::at(folder, s3, log)?, name))
}
