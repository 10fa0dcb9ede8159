//! `shardpack pack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardpack_formats::{Compression, FormatOptions, Schema};
use shardpack_pack::{
    Error as PackError, Grouping, Labels, Order, PackOptions, PackReport, Policy, Progress,
    dry_run, pack,
};
use shardpack_store::{
    Error as StoreError, ErrorKind, LocalOptions, LocalStore, S3Store, Source, Store,
};

use super::{destination, map, plan, s3, shuffle_score, source};
use crate::args::{LabelsArg, PackArgs, PolicyArg, RefusalArg, RunArgs, SampleOrder};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, counted};

pub(super) fn run(args: &PackArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let mut options = options(args)?;
    options.map = map::options(&args.map, log)?;
    options.check()?;
    let kind = source::kind(&args.source, &args.files)?;
    let walked =
        matches!(kind, source::Kind::Folder | source::Kind::S3) && args.files.files_from.is_none();
    destination::check(&args.source, &args.destination, walked)?;

    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let display = super::display(args.output, "packing", &progress, log);
    // A quarter of the memory is for parts on their way to or from S3.
    let limits = s3::Limits { io_depth: options.io_depth, memory: options.memory / 4 };
    let opening = source::Opening { files: &args.files, s3: &args.s3, limits, log };
    let source::Opened { source, labels } = source::open(&args.source, opening)?;
    options.labels = options.labels.or(labels);
    if args.run.dry_run {
        let report = dry_run(&*source, &options, &progress)?;
        drop(display);
        return match args.output.json {
            true => output.json(&report),
            false => plan::print(&report, &source.describe(), &options, output),
        }
        .map(|()| Exit::Done);
    }
    let store: Box<dyn Store> = match s3::uri(&args.destination)? {
        Some(uri) => Box::new(S3Store::open(s3::connect(&uri, &args.s3, limits, log)?, uri)),
        None => Box::new(LocalStore::open(&args.destination, &local_options(&args.run, &*source))),
    };
    let report = pack(&*source, &*store, &options, &progress)
        .map_err(|error| name_full_device(error, &args.destination))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// The store's error names the object that found no room; who frees space wants the place.
pub(super) fn name_full_device(error: PackError, destination: &Path) -> Failure {
    // A full scratch folder is named by the error.
    let is_full =
        |e: &StoreError| matches!(e.kind(), ErrorKind::Full) && !e.name().starts_with("--scratch");
    let full = matches!(&error, PackError::Store(e) if is_full(e));
    let failure = Failure::from(error);
    match full {
        true => failure.hint(format!(
            "free space on the device that holds {} and run the same command again: what is sealed is kept",
            destination.display()
        )),
        false => failure,
    }
}

/// The last line says what was written where.
pub(super) fn print(report: &PackReport, output: &mut Output) -> Result<()> {
    for (reason, number) in &report.skipped {
        output.line(&format!("left out {number}: {reason}"))?;
    }
    if let Some(mapped) = &report.mapped {
        map::print(mapped, output)?;
    }
    for doubt in &report.doubts {
        output.line(&format!("warning: {doubt}"))?;
    }
    if report.resumed_shards > 0 && !report.already_complete {
        let shards = counted(report.resumed_shards as u64, "shard");
        output.line(&format!("{shards} were sealed by an earlier run"))?;
    }
    for mixing in &report.mixing {
        output.line(&format!("shuffle {}", shuffle_score::text(mixing)))?;
    }
    output.line(&format!("digest {}", report.digest))?;
    let verb = if report.already_complete { "already complete:" } else { "packed" };
    output.line(&format!(
        "{verb} {} ({}, {}) in {} of {} in all: {}",
        counted(report.samples, "sample"),
        counted(report.files, "file"),
        bytes(report.file_bytes),
        counted(report.shards as u64, "shard"),
        bytes(report.shard_bytes),
        Path::new(&report.destination).join("shards").display(),
    ))
}

pub(super) fn local_options(run: &RunArgs, source: &dyn Source) -> LocalOptions {
    LocalOptions {
        durable: !run.no_fsync,
        direct: run.direct_io,
        expected_bytes: source.listing().iter().map(|file| file.len).sum(),
    }
}

fn options(args: &PackArgs) -> Result<PackOptions> {
    let PackArgs { format, samples, labels, shards, run, .. } = args;
    let defaults = PackOptions::default();
    let compression = Compression::from_name(&format.compress).unwrap_or_default();
    Ok(PackOptions {
        format: format.format.clone(),
        format_options: format_options(args)?,
        compression,
        level: level(format.level, compression)?,
        grouping: grouping(samples.group.as_ref())?,
        fields: folded(&samples.fields),
        required: folded(&samples.require),
        missing: policy(samples.missing),
        bad_names: match samples.bad_names {
            RefusalArg::Error => Policy::Error,
            RefusalArg::Skip => Policy::Skip,
        },
        bare_field: samples.bare_field.clone(),
        labels: labels.labels.as_ref().map(read_labels).transpose()?,
        label_key: labels.label_key.clone(),
        label_columns: labels.label_column.clone(),
        unlabelled: policy(labels.unlabelled),
        order: order(&shards.order)?,
        splits: shards.split.clone(),
        target: shards.target.0,
        max_samples: shards.max_samples,
        shard_multiple: shards.shard_multiple,
        name: shards.name.parse()?,
        jobs: run.jobs.unwrap_or(defaults.jobs),
        io_depth: run.io_depth,
        memory: run.memory.0,
        indexes: shards.index.clone(),
        s3_prefix: match (&shards.s3_prefix, s3::uri(&args.destination)?) {
            (None, Some(uri)) => Some(uri.to_string()),
            (prefix, _) => prefix.clone(),
        },
        restart: run.restart,
        ..defaults
    })
}

fn format_options(args: &PackArgs) -> Result<FormatOptions> {
    let schema = args.format.schema.into();
    if schema != Schema::Fields && args.format.format != "tfrecord" {
        return Err(Failure::new(format!("--schema: {} has none", args.format.format))
            .hint("schemas are for --format tfrecord"));
    }
    let mut options = FormatOptions::default();
    options.schema = schema;
    Ok(options)
}

pub(super) fn level(level: Option<i32>, compression: Compression) -> Result<Option<i32>> {
    let levels = compression.levels();
    match level {
        Some(level) if compression == Compression::None => {
            Err(Failure::new(format!("--level {level}: nothing is compressed"))
                .hint("choose --compress gzip, zlib or zstd"))
        }
        Some(level) if !levels.contains(&level) => Err(Failure::new(format!(
            "--level {level}: {} has levels {} to {}",
            compression.name(),
            levels.start(),
            levels.end()
        ))),
        level => Ok(level),
    }
}

fn grouping(pattern: Option<&regex::Regex>) -> Result<Grouping> {
    let Some(pattern) = pattern else { return Ok(Grouping::FirstDot) };
    for group in ["key", "field"] {
        if !pattern.capture_names().flatten().any(|name| name == group) {
            return Err(Failure::new(format!("--group {pattern}: no group {group:?}"))
                .hint(r"name both groups: '^(?<key>.*)\.(?<field>[a-z]+)$'"));
        }
    }
    Ok(Grouping::Pattern(pattern.clone()))
}

fn order(order: &SampleOrder) -> Result<Order> {
    match order {
        SampleOrder::Plain(order) => Ok(*order),
        other => Err(Failure::new(format!("--order {other}: files have no such order"))
            .hint("pack them in any order, then give it to shardpack reshard")),
    }
}

/// Fields are in lower case, as readers fold them.
fn folded(fields: &[String]) -> Vec<String> {
    fields.iter().map(|field| field.to_lowercase()).collect()
}

fn policy(policy: PolicyArg) -> Policy {
    match policy {
        PolicyArg::Error => Policy::Error,
        PolicyArg::Skip => Policy::Skip,
        PolicyArg::Allow => Policy::Allow,
    }
}

pub(super) fn read_labels(from: &LabelsArg) -> Result<Labels> {
    let read = |file: &PathBuf| -> Result<(Vec<u8>, String)> {
        let name = file.display().to_string();
        let table = fs::read(file).map_err(|e| {
            Failure::from(shardpack_store::Error::io(e, format!("--labels {name}")))
        })?;
        Ok((table, name))
    };
    Ok(match from {
        LabelsArg::Folder => Labels::Folder,
        LabelsArg::Csv(file) => read(file).map(|(table, name)| Labels::Csv { table, name })?,
        LabelsArg::JsonLines(file) => {
            read(file).map(|(table, name)| Labels::JsonLines { table, name })?
        }
        LabelsArg::Lst(file) => read(file).map(|(table, name)| Labels::Lst { table, name })?,
    })
}
