//! Datasets as a source: what is packed already is packed anew, in another order, size or format.
//!
//! There is one packing path. A [`DatasetSource`] lists each field of each sample of one or more
//! datasets as a file `KEY.FIELD`, with its length and its place in a shard; reading it is a range of
//! that shard. Planning, units, writing, resuming and publishing know nothing else.
//!
//! ```text
//! SRC ... -> index of each shard -> join -> merge -> select -> arrange -> catalog -> pack -> prove -> manifest
//!            index.rs, list.rs      join/   merge.rs select.rs arrange.rs catalog.rs pack.rs  proof.rs
//!            labels.rs                               condition.rs dedupe.rs
//! ```
//!
//! - An **input** is one SRC: a dataset with a manifest, or shards that something else wrote, which
//!   are decoded once from end to end for an index in memory.
//! - The **catalog** is what is known of the samples that are taken, as arrays: a file costs 32 bytes
//!   and its name in the listing and 20 here (where its key ends, shard, record, offset), a sample
//!   9, and 8 more where it has a header id: some 80 bytes a file with a name of 15. A body without a
//!   place of its own costs 32 more.
//! - A key ends where the source says, not at its first dot: grouping takes it from the catalog.
//! - A body that the format split or keeps in another form has no place of its own. Its record is
//!   read and decoded each time it is wanted, within a share of the memory (`shards.rs`).
//! - Compressed shards are decompressed once, into a scratch folder (`scratch.rs`).
//! - Most is decided by names and lengths. What needs bodies (`bodies.rs`: `--where`, an order by a
//!   field's value) reads them in stored order, many in flight, only of samples that are left by
//!   then, and compares them with their crc32c. A field that is not taken but looked into is in the
//!   catalog, hidden.
//! - A **join** (`join/`) adds fields of another dataset or of a table, by key, while samples are
//!   listed. From then on they are fields like all others.
//! - An **overlay** (`overlay/`) is what a join adds and nothing else, record for record.
//! - A **span** (`spans.rs`) is a run of records that stay as they are: a store that can copies it.
//! - **Proof**: an index has the crc32c of each body, and a body that has another one ends the run
//!   with its shard, record and offset. Before the manifest is written, its digest must be the sum
//!   of those that the indexes give for the samples taken, and the sources' manifests must be what
//!   they were.
//!
//! Labels that a format carries as fields (`cls`) are labels again where the source says that they
//! were: the next format carries them its own way.

mod arrange;
mod bodies;
mod catalog;
mod condition;
mod dedupe;
mod expression;
mod index;
mod join;
mod labels;
mod list;
mod merge;
mod overlay;
pub(crate) mod proof;
mod scratch;
mod select;
mod shards;
mod source;
mod spans;
#[cfg(test)]
mod tests;

use serde::Serialize;
use shardpack_formats::Format;
use shardpack_store::{Source, Store};

pub use arrange::Arrangement;
pub(crate) use catalog::{Catalog, CatalogBuilder, NewField, NewSample, Record};
pub use dedupe::{Dedupe, SameSamples};
pub use expression::{DEEPEST_EXPRESSION, Expression, ExpressionError, LONGEST_EXPRESSION, Term};
pub use join::{Column, Join, Missing, Table, TableKind, With};
pub(crate) use overlay::Over;
pub use overlay::{OverlayReport, OverlaySource, dry_overlay, lies_over, overlay};
pub use select::{BadJson, Duplicates, Fold, Selection};
pub(crate) use shards::Broken;
pub use source::{DatasetSource, SourceOptions};
pub(crate) use spans::{Copies, Span};

use crate::group::Samples;
use crate::map::Mapped;
use crate::options::PackOptions;
use crate::pack::{decide, run};
use crate::progress::Progress;
use crate::report::{PackReport, PlanReport};
use crate::{Error, Result};

/// What resharding did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReshardReport {
    /// The dataset that was made.
    #[serde(flatten)]
    pub pack: PackReport,
    /// Samples in the sources, deleted ones left out.
    pub source_samples: u64,
    /// Digest of those samples.
    pub source_digest: String,
    /// True when the dataset has exactly the samples of the sources: the digests are equal.
    pub same: bool,
    /// Why not, and what else is not as it was.
    pub notes: Vec<String>,
}

/// Packs the samples of datasets anew.
///
/// All that [`pack`](crate::pack()) promises holds. Options that say how files become samples
/// ([`PackOptions::grouping`], `fields`, `required`, `bare_field`, `labels`) are of no use: samples
/// are what they are, and the source's [`Selection`] says which. Fails as `pack` does, and with
/// [`Error::Record`] for a body that is not the one that the source's index has; then nothing is
/// published.
pub fn reshard(
    source: &DatasetSource<'_>,
    store: &dyn Store,
    options: &PackOptions,
    progress: &Progress,
) -> Result<ReshardReport> {
    let samples = chosen(source, options)?;
    let make = |map| Mapped::make(&samples, source, map, &store.describe(), options, progress);
    let mapped = options.map.as_ref().map(make).transpose()?;
    let (input, samples): (&dyn Source, _) = match &mapped {
        None => (source, samples),
        Some(mapped) => (mapped, mapped.samples()?),
    };
    let prepared = decide(samples, options, progress)?;
    let expected = proof::expected(&prepared.0, &*prepared.2);
    let changing = mapped.as_ref().filter(|mapped| mapped.report.changed > 0);
    let flag = changing.and(options.map.as_ref()).map(|map| map.transform.flag());
    let notes = notes(source, &prepared.0, &*prepared.2, flag);
    let copies = mapped.is_none().then(|| Copies::new(source));
    let mut pack =
        run((input, copies.as_ref()), prepared, store, options, progress, &|manifest| {
            proof::same(expected, manifest.digest)?;
            source.unchanged()
        })?;
    if pack.digest != expected.to_string() {
        return Err(Error::Occupied {
            destination: store.describe(),
            what: format!(
                "holds a dataset of the same names and lengths with other bytes: digest {}, not {expected}; remove it first",
                pack.digest
            ),
        });
    }
    pack.mapped = mapped.map(Mapped::done);
    Ok(ReshardReport {
        source_samples: source.samples,
        source_digest: source.digest.to_string(),
        same: expected == source.digest,
        notes,
        pack,
    })
}

/// Plans without writing anything.
pub fn dry_reshard(
    source: &DatasetSource<'_>,
    options: &PackOptions,
    progress: &Progress,
) -> Result<PlanReport> {
    options.check_dry()?;
    let (samples, plan, _) = decide(chosen(source, options)?, options, progress)?;
    Ok(PlanReport::new(&samples, &plan, options))
}

/// The samples that are taken.
fn chosen<'c>(source: &'c DatasetSource<'_>, options: &PackOptions) -> Result<Samples<'c>> {
    options.check()?;
    arrange::agrees(source.catalog(), options.order)?;
    if options.labels.is_some() || !options.fields.is_empty() || !options.required.is_empty() {
        return Err(Error::Usage(
            "samples of a dataset have their labels and fields: choose with the selection".into(),
        ));
    }
    let mut samples = Samples::of(source.catalog());
    if samples.len() == 0 {
        let left_out: Vec<_> =
            samples.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
        return Err(Error::NotFound(match left_out.is_empty() {
            true => format!("{}: there is no sample", source.describe()),
            false => format!("no sample is left; left out: {}", left_out.join(", ")),
        }));
    }
    if options.format != "recordio" {
        samples.ids = Vec::new(); // only its header keeps them
    }
    Ok(samples)
}

/// Why the samples are not those of the sources, as far as their number does not tell.
fn notes(
    source: &DatasetSource<'_>,
    samples: &Samples<'_>,
    format: &dyn Format,
    map: Option<&str>,
) -> Vec<String> {
    let mut notes = source.notes.clone();
    if format.name() == "recordio" {
        notes.extend(source.ids_note.map(str::to_owned)); // only its header keeps them
    }
    let described = source.catalog().described();
    let mut changed: Vec<_> = ["fields", "drop-field", "rename", "drop-labels"]
        .into_iter()
        .filter(|flag| described.contains_key(*flag))
        .map(|flag| format!("--{flag}"))
        .collect();
    changed.extend(map.map(str::to_owned));
    if !changed.is_empty() {
        notes.push(format!("samples are not what they were: {}", changed.join(", ")));
    }
    let labelled = samples.labels.len() > 1;
    let fields = |name: &str| name == "webdataset";
    let moved = source
        .inputs
        .iter()
        .take(source.left)
        .any(|i| fields(i.dataset.format()) != fields(format.name()));
    if labelled && moved {
        notes.push(
            "labels are fields in webdataset and labels elsewhere, which digests tell".into(),
        );
    }
    notes
}
