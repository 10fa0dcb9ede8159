//! The pack path, on one screen.

use std::collections::BTreeMap;

use shardpack_formats::Format;
use shardpack_store::{Source, Store};

use crate::context::Context;
use crate::execute::execute;
use crate::group::{Samples, group};
use crate::map::Mapped;
use crate::options::{Order, PackOptions};
use crate::plan::{Plan, plan};
use crate::progress::{Progress, Stage};
use crate::publish::{Prove, publish};
use crate::report::{PackReport, PlanReport};
use crate::reshard::{Copies, Over};
use crate::staging::{self, Found, Identity};
use crate::{Error, Result, difference, labels};

/// Packs the files of `source` into a dataset in `store`.
///
/// Everything is decided in the plan, from names and lengths; shards are written by any number of
/// threads and stay invisible until all are sealed; the manifest is the last write. A killed run
/// is finished by calling this again with the same options.
///
/// ```
/// use shardpack_pack::{PackOptions, Progress, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let files = MemoryTree::new([("cat/1.jpg", "meow"), ("dog/2.jpg", "woof")]);
/// let store = MemoryStore::new();
/// let report = pack(&files, &store, &PackOptions::default(), &Progress::default())?;
/// assert_eq!((report.samples, report.shards), (2, 1));
/// # Ok::<(), shardpack_pack::Error>(())
/// ```
pub fn pack(
    source: &dyn Source,
    store: &dyn Store,
    options: &PackOptions,
    progress: &Progress,
) -> Result<PackReport> {
    let samples = assemble(source, options, progress)?;
    let Some(map) = &options.map else {
        let prepared = decide(samples, options, progress)?;
        return run((source, None), prepared, store, options, progress, &|_| Ok(()));
    };
    let mapped = Mapped::make(&samples, source, map, &store.describe(), options, progress)?;
    drop(samples);
    let prepared = decide(mapped.samples()?, options, progress)?;
    let report = run((&mapped, None), prepared, store, options, progress, &|_| Ok(()))?;
    Ok(PackReport { mapped: Some(mapped.done()), ..report })
}

/// The path from a plan on, of a source and what may be copied of it. `prove` sees the manifest before
/// it is written.
pub(crate) fn run(
    (source, copies): (&dyn Source, Option<&Copies<'_>>),
    (samples, plan, format): Prepared<'_>,
    store: &dyn Store,
    options: &PackOptions,
    progress: &Progress,
    prove: Prove<'_>,
) -> Result<PackReport> {
    let identity = identity(source, &samples, &plan, options);
    let _lock = store.lock("")?; // one run at a time, to the end
    let changed = || difference::first(store, &samples, &*format);
    let todo = match staging::open(store, &plan, &identity, options.restart, &changed)? {
        Found::Complete(manifest) => {
            return Ok(PackReport::complete(store, &samples, &plan, &manifest));
        }
        Found::Todo(todo) => todo,
    };
    let doubts = store.doubts(staging::PROBE)?;
    let resumed = plan.shards.len() - todo.len();
    let context = Context {
        source,
        copies,
        store,
        samples: &samples,
        plan: &plan,
        format: &*format,
        options,
        progress,
    };
    write_shards(&context, todo)?;
    let manifest = publish(&context, &identity, prove)?;
    let report = PackReport::new(store, &samples, &plan, &manifest, resumed);
    Ok(PackReport { doubts, ..report })
}

/// Writes the shards of these numbers, and seals them; all others are.
pub(crate) fn write_shards(context: &Context<'_>, todo: Vec<usize>) -> Result<()> {
    let Context { samples, plan, progress, .. } = *context;
    skip_sealed(progress, samples, plan, &todo);
    progress.enter(Stage::Pack);
    execute(context, todo).map_err(|error| count_sealed(error, progress, plan))?;
    progress.enter(Stage::Publish);
    Ok(())
}

/// Plans without writing anything: `--dry-run`.
pub fn dry_run(
    source: &dyn Source,
    options: &PackOptions,
    progress: &Progress,
) -> Result<PlanReport> {
    options.check_dry()?;
    let samples = assemble(source, options, progress)?;
    let (samples, plan, _) = decide(samples, options, progress)?;
    Ok(PlanReport::new(&samples, &plan, options))
}

/// What is packed, where it goes, and how it looks there.
pub(crate) type Prepared<'s> = (Samples<'s>, Plan, Box<dyn Format>);

/// The samples of a source, with their labels.
fn assemble<'s>(
    source: &'s dyn Source,
    options: &PackOptions,
    progress: &Progress,
) -> Result<Samples<'s>> {
    options.check()?;
    if let Order::Field | Order::Map = options.order {
        return Err(Error::Usage(format!(
            "--order {}: files have no such order; pack them, then use it with reshard",
            options.order
        )));
    }
    progress.enter(Stage::Plan);
    let mut samples = group(source.listing(), options).map_err(|error| name(error, source))?;
    labels::assign(&mut samples, options)?;
    Ok(samples)
}

/// Plans samples whose labels are known.
pub(crate) fn decide<'s>(
    mut samples: Samples<'s>,
    options: &PackOptions,
    progress: &Progress,
) -> Result<Prepared<'s>> {
    let format = shardpack_formats::open(&options.format, &options.format_options)?;
    let plan = plan(&mut samples, &*format, options)?;
    progress.files_planned.store(samples.files() as u64, std::sync::atomic::Ordering::Relaxed);
    progress.bytes_planned.store(plan.body_bytes, std::sync::atomic::Ordering::Relaxed);
    progress.shards_planned.store(plan.shards.len() as u64, std::sync::atomic::Ordering::Relaxed);
    Ok((samples, plan, format))
}

/// Grouping knows a listing, not where it is from.
fn name(error: Error, source: &dyn Source) -> Error {
    match error {
        Error::EmptySource { what } => {
            Error::EmptySource { what: what.replacen("the source", &source.describe(), 1) }
        }
        other => other,
    }
}

pub(crate) fn identity(
    source: &dyn Source,
    samples: &Samples<'_>,
    plan: &Plan,
    options: &PackOptions,
) -> Identity {
    let hex = |value: u128| format!("{value:032x}");
    Identity {
        version: 1,
        tool: format!("shardpack {}", env!("CARGO_PKG_VERSION")),
        source: source.describe(),
        options: described(samples, options),
        samples: samples.len() as u64,
        shards: plan.shards.len() as u64,
        fingerprint: hex(plan.fingerprint),
        stamps: hex(plan.stamps),
        paths: Vec::new(),
    }
}

/// The options that decide bytes, those that chose the samples included.
fn described(samples: &Samples<'_>, options: &PackOptions) -> BTreeMap<String, String> {
    let mut all = options.describe();
    let Some(catalog) = samples.catalog else { return all };
    all.extend(catalog.described().clone());
    if catalog.over.is_some() {
        Over::describe(&mut all);
    }
    all
}

/// Counts what earlier runs did.
fn skip_sealed(progress: &Progress, samples: &Samples<'_>, plan: &Plan, todo: &[usize]) {
    let mut waiting = todo.iter().peekable();
    for (i, shard) in plan.shards.iter().enumerate() {
        if waiting.next_if_eq(&&i).is_some() {
            continue;
        }
        let files = plan.order[shard.start..shard.end].iter().flat_map(|s| samples.members(*s));
        let (count, bytes) =
            files.fold((0, 0), |(n, b), f| (n + 1, b + samples.listing().file(*f).len));
        progress.add(count, bytes);
        progress.shards.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn count_sealed(error: Error, progress: &Progress, plan: &Plan) -> Error {
    match error {
        Error::Interrupted { .. } => Error::Interrupted {
            sealed: progress.shards.load(std::sync::atomic::Ordering::Relaxed) as usize,
            shards: plan.shards.len(),
        },
        other => other,
    }
}
