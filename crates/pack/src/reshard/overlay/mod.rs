//! What a join adds, as a dataset of its own that lies over the samples.
//!
//! ```text
//! index of each shard of SRC -> by key, join -> as many shards, as many records -> pack -> prove -> manifest
//! source.rs                     ../join/        over.rs
//! ```
//!
//! - SRC is not read beyond its manifest and indexes, and nothing of it is copied.
//! - **Record `j` of shard `i`** of the overlay is for record `j` of shard `i` of SRC. So whatever plan
//!   a reader makes over the one holds for the other, and both are read in step. Hence a record for
//!   each record, for those that are deleted too: their marks are copied.
//! - **A sample that nothing is added to** gets a record without fields. Formats that keep none are
//!   refused before anything is written.
//! - The manifest tells what it lies over ([`Base`](shardpack_manifest::Base)); [`lies_over`] proves it.

mod aligned;
mod over;
mod source;
#[cfg(test)]
mod tests;

use serde::Serialize;
use shardpack_formats::{Label, SampleShape};
use shardpack_store::Store;

pub use aligned::lies_over;
pub(crate) use over::Over;
pub use source::OverlaySource;

use super::proof;
use crate::error::Offenders;
use crate::group::Samples;
use crate::options::{Order, PackOptions, Policy};
use crate::pack::{Prepared, decide, run};
use crate::progress::Progress;
use crate::report::{PackReport, PlanReport};
use crate::{Error, Result};

/// What making an overlay did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct OverlayReport {
    /// The overlay that was made.
    #[serde(flatten)]
    pub pack: PackReport,
    /// What it lies over, as it was named.
    pub base: String,
    /// Digest of the live samples of that.
    pub base_digest: String,
    /// Samples that nothing was added to, deleted ones included.
    pub without: u64,
}

/// Packs what a join adds as an overlay.
///
/// All that [`pack`](crate::pack()) promises holds. Of the options, those of the format, of threads
/// and memory count: samples, their order and their shards are the base's. Fails as
/// [`reshard`](crate::reshard) does; with [`Error::Refused`] where samples have nothing and the format
/// keeps no record without fields, or where it cannot hold the fields that are added; and with
/// [`Error::Occupied`] where the destination holds an overlay of what the base was before.
pub fn overlay(
    source: &OverlaySource<'_>,
    store: &dyn Store,
    options: &PackOptions,
    progress: &Progress,
) -> Result<OverlayReport> {
    let options = its_own(options)?;
    let prepared = prepare(source, &options, progress)?;
    let expected = proof::expected(&prepared.0, &*prepared.2);
    let (over, inner) = (source.over()?, source.source());
    let without = prepared.0.catalog.map_or(0, |catalog| catalog.bare().len() as u64);
    let pack = run((inner, None), prepared, store, &options, progress, &|manifest| {
        proof::same(expected, manifest.digest)?;
        inner.unchanged()
    })?;
    // A dataset of the same names and lengths counts as this one, whatever it lies over.
    let published = shardpack_dataset::manifest(store)?;
    let stale = match &published.base {
        Some(base) => base.differs(&over.manifest),
        None => Some("it is no overlay".to_owned()),
    };
    let same = published.digest == expected;
    let other = (!same).then(|| format!("digest {}, not {expected}", published.digest));
    if let Some(how) = stale.or(other) {
        let what =
            format!("holds an overlay of the same names and lengths: {how}; remove it first");
        return Err(Error::Occupied { destination: store.describe(), what });
    }
    let base_digest = over.base.digest.to_string();
    Ok(OverlayReport { pack, base: source.name().to_owned(), base_digest, without })
}

/// Plans without writing anything.
pub fn dry_overlay(
    source: &OverlaySource<'_>,
    options: &PackOptions,
    progress: &Progress,
) -> Result<PlanReport> {
    let options = its_own(options)?;
    let (samples, plan, _) = prepare(source, &options, progress)?;
    Ok(PlanReport::new(&samples, &plan, &options))
}

/// The options, without what follows from the base.
fn its_own(options: &PackOptions) -> Result<PackOptions> {
    let usage = |what: &str| Err(Error::Usage(what.to_owned()));
    if options.map.is_some() {
        return usage(
            "an overlay holds what is added as it is: map it before, or pack without --overlay",
        );
    }
    if options.bad_names != Policy::Error {
        return usage("--bad-names skip: an overlay has a record for each one of its base");
    }
    let its_own = PackOptions { order: Order::Source, splits: Vec::new(), ..options.clone() };
    its_own.check()?;
    Ok(its_own)
}

fn prepare<'s>(
    source: &'s OverlaySource<'_>,
    options: &PackOptions,
    progress: &Progress,
) -> Result<Prepared<'s>> {
    let mut samples = Samples::of(source.source().catalog());
    if samples.len() == 0 {
        return Err(Error::NotFound(format!("{}: there is no sample", source.name())));
    }
    if options.format != "recordio" {
        samples.ids = Vec::new(); // only its header keeps them
    }
    refuse_bare(source, &samples, options)?;
    decide(samples, options, progress)
}

/// Refuses samples that nothing is added to where the format keeps no record without a field.
fn refuse_bare(
    source: &OverlaySource<'_>,
    samples: &Samples<'_>,
    options: &PackOptions,
) -> Result<()> {
    let format = shardpack_formats::open(&options.format, &options.format_options)?;
    let bare = SampleShape { key: "key", id: 0, fields: &[], label: Label::NONE, splits: &[] };
    let Some(catalog) = samples.catalog.filter(|_| format.check(&bare).is_err()) else {
        return Ok(());
    };
    let (mut offenders, mut key) = (Offenders::default(), String::new());
    for (sample, _) in catalog.bare() {
        samples.key(sample, &mut key);
        offenders.add(|| format!("{key:?}: {}", catalog.whereabouts(sample as usize)));
    }
    let name = source.name();
    offenders.refuse(format!(
        "an overlay has a record for each one of {name}, of deleted samples too, and {} keeps none without a field, as these would be; choose --format tfrecord or recordio-protobuf",
        format.name()
    ))
}
