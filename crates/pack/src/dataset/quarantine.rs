//! What a verify found, as something that readers can pass over.

use shardpack_manifest::{Manifest, Quarantine, Quarantined};

use super::VerifyReport;
use crate::{Error, Result};

/// The damaged samples of a report on the dataset of `manifest`, and how many of its rows are of no
/// single sample: a shard that is missing or cut, an index, objects that do not belong there. Those
/// no quarantine helps against.
///
/// Fails with [`Error::Usage`] for a quick report, and for one that does not list all damage: what is
/// left out would meet the training job.
pub fn quarantine(report: &VerifyReport, manifest: &Manifest) -> Result<(Quarantine, u64)> {
    if report.quick {
        return Err(Error::Usage(
            "a quick check reads no sample, so it finds no damaged one".into(),
        ));
    }
    if report.damage_not_listed > 0 {
        return Err(Error::Usage(format!(
            "{} damaged places are not in the report: a shard with so many is to be restored, not \
             passed over",
            report.damage_not_listed
        )));
    }
    let whole_files = report.shard_reports.iter().filter(|shard| shard.read_to_end);
    let readable: std::collections::HashSet<&str> = whole_files.map(|shard| &*shard.path).collect();
    let mut samples = Vec::new();
    let mut others = (report.duplicates.len() + report.extra.len()) as u64;
    for damage in &report.damage {
        match damage.record {
            Some(record) if readable.contains(&*damage.shard) => samples.push(Quarantined {
                shard: damage.shard.clone(),
                record,
                key: damage.key.clone(),
                reason: damage.reason.clone(),
            }),
            _ => others += 1,
        }
    }
    Ok((Quarantine::new(manifest, samples), others))
}
