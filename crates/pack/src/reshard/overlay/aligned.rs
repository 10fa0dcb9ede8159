//! Proving that an overlay lies over a dataset.

use crate::dataset::{Dataset, VerifyReport};
use crate::parallel::each;
use crate::progress::Progress;
use crate::{Error, Result};

/// Proves that `overlay` lies over `base`: that its manifest names these shards, and that each of its
/// records has the key of the one that it is for. What is wrong is damage in `report`, of which there
/// is one row a shard at most; [`VerifyReport::over`] tells what is right. Reads indexes alone.
///
/// Fails with [`Error::Usage`] for a dataset that is no overlay, and with the store's errors.
pub fn lies_over(
    overlay: &Dataset<'_>,
    base: &Dataset<'_>,
    jobs: usize,
    report: &mut VerifyReport,
) -> Result<()> {
    let Some((manifest, over)) = overlay.manifest().and_then(|m| Some((m, m.base.as_ref()?)))
    else {
        return Err(Error::Usage(format!("{}: is no overlay", overlay.describe())));
    };
    let reason = match base.manifest() {
        Some(theirs) => over.differs(theirs),
        None => Some("there is no manifest any more".to_owned()),
    };
    if let Some(reason) = reason {
        report.damaged("manifest.json", None, format!("over {}: {reason}", base.describe()));
        return Ok(());
    }
    let shards = manifest.shards.len();
    let found = each(shards, jobs, &Progress::default(), |i| shard(overlay, base, i))?;
    let mut equal = 0;
    for (shard, found) in manifest.shards.iter().zip(found) {
        match found {
            Ok(keys) => equal += keys,
            Err((record, reason)) => report.damaged(&shard.path, record, reason),
        }
    }
    report.over = Some(equal);
    Ok(())
}

/// How many keys two shards share, or the first record in which they do not.
type Shared = std::result::Result<u64, (Option<u64>, String)>;

fn shard(overlay: &Dataset<'_>, base: &Dataset<'_>, number: usize) -> Result<Shared> {
    let index = |dataset| match shardpack_dataset::index(dataset, number) {
        Ok(Some(index)) => Ok(Ok(index)),
        Ok(None) => Ok(Err((None, "it has no index".to_owned()))),
        Err(shardpack_dataset::Error::Shard { shard, reason }) => {
            Ok(Err((None, format!("{shard}: {reason}"))))
        }
        Err(error) => Err(Error::from(error)),
    };
    let (ours, theirs) = match (index(overlay)?, index(base)?) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    if ours.len() != theirs.len() {
        let reason = format!("{} records over {}", ours.len(), theirs.len());
        return Ok(Err((None, reason)));
    }
    let pairs = (0..).zip(ours.iter().zip(theirs.iter()));
    let other = pairs.into_iter().find(|(_, (ours, theirs))| ours.key != theirs.key);
    Ok(match other {
        None => Ok(ours.len() as u64),
        Some((i, (ours, theirs))) => {
            let shard = base.shards().get(number).map_or("", |shard| shard.path.as_str());
            let reason = format!(
                "key {:?} lies over {:?}, record {i} of {shard} there",
                ours.key, theirs.key
            );
            Err((Some(i), reason))
        }
    })
}
