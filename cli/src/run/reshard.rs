//! `shardpack reshard`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardpack_formats::{Compression, FormatOptions, Schema};
use shardpack_pack::{
    Arrangement, BadJson, Dataset, DatasetSource, ForeignOptions, PackOptions, Policy, Progress,
    ReshardReport, SameSamples, Selection, SourceOptions, dry_reshard, reshard,
};
use shardpack_store::{LocalStore, S3Store, Source, Store};

use super::dataset::Place;
use super::join::Added;
use super::{destination, map, pack, plan, s3};
use crate::args::{AnewArgs, RefusalArg, ReshardArgs, SampleOrder, WithArgs, WorkArgs};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;

pub(super) fn run(args: &ReshardArgs, log: Log, output: &mut Output) -> Result<Exit> {
    anew(&args.sources, &args.destination, &args.anew, None, log, output)
}

/// Packs samples anew, with what is added to them.
pub(super) fn anew(
    sources: &[PathBuf],
    destination: &Path,
    args: &AnewArgs,
    with: Option<&WithArgs>,
    log: Log,
    output: &mut Output,
) -> Result<Exit> {
    for source in sources.iter().chain(with.map(|with| &with.with)) {
        destination::check(source, destination, true)?;
    }
    let selection = selection(args)?;
    selection.check()?;
    let foreign = foreign(args);
    let place = |source: &PathBuf| Place::of_shards(source, foreign.clone(), &args.s3, log);
    let places = sources.iter().map(place).collect::<Result<Vec<_>>>()?;
    let inputs = (places.iter().zip(sources))
        .map(|(place, source)| Ok((place.dataset()?, name(source)?)))
        .collect::<Result<Vec<_>>>()?;
    let added = with.map(|with| Added::open(with, &args.s3, log)).transpose()?;
    let mut options = options(args, destination, inputs.first().map(|(dataset, _)| dataset))?;
    options.map = map::options(&args.map, log)?;
    if let Some(arrangement) = &selection.arrangement {
        options.order = arrangement.order();
    }
    options.check()?;

    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let work = if with.is_some() { "joining" } else { "resharding" };
    let display = super::display(args.output, work, &progress, log);
    let how = looking(args, &places, &options);
    let source = match &added {
        None => DatasetSource::open(inputs, &selection, &how, &progress)?,
        Some(added) => DatasetSource::join(inputs, added.join()?, &selection, &how, &progress)?,
    };
    if let Some(file) = &args.select.dedupe_report {
        report_same(file, source.same_samples())?;
    }
    if args.run.dry_run {
        let report = dry_reshard(&source, &options, &progress)?;
        drop(display);
        return match args.output.json {
            true => output.json(&report),
            false => plan::print(&report, &source.describe(), &options, output),
        }
        .map(|()| Exit::Done);
    }
    let store = target(destination, args, &options, &source, log)?;
    let report = reshard(&source, &*store, &options, &progress)
        .map_err(|error| pack::name_full_device(error, destination))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// How the sources are looked at.
pub(super) fn looking(args: &AnewArgs, places: &[Place], options: &PackOptions) -> SourceOptions {
    let defaults = SourceOptions::default();
    let work = WorkArgs { jobs: args.run.jobs, memory: args.run.memory };
    SourceOptions {
        jobs: places.iter().map(|place| place.jobs(work, defaults.jobs)).max().unwrap_or(1),
        memory: options.memory,
        io_depth: options.io_depth,
        scratch: args.map.scratch.clone().unwrap_or(defaults.scratch),
    }
}

pub(super) fn target(
    destination: &Path,
    args: &AnewArgs,
    options: &PackOptions,
    source: &dyn Source,
    log: Log,
) -> Result<Box<dyn Store>> {
    // A quarter of the memory is for parts on their way to S3.
    let limits = s3::Limits { io_depth: options.io_depth, memory: options.memory / 4 };
    Ok(match s3::uri(destination)? {
        Some(uri) => Box::new(S3Store::open(s3::connect(&uri, &args.s3, limits, log)?, uri)),
        None => Box::new(LocalStore::open(destination, &pack::local_options(&args.run, source))),
    })
}

/// One JSON object a line.
fn report_same(file: &Path, groups: &[SameSamples]) -> Result<()> {
    let failed = |e: std::io::Error| {
        Failure::from(shardpack_store::Error::io(e, format!("--dedupe-report {}", file.display())))
    };
    let mut writer = BufWriter::new(File::create(file).map_err(failed)?);
    for group in groups {
        serde_json::to_writer(&mut writer, group).map_err(|e| failed(e.into()))?;
        writer.write_all(b"\n").map_err(failed)?;
    }
    writer.flush().map_err(failed)
}

/// The source's path is made absolute: a killed run is known again whatever folder it is finished
/// from.
pub(super) fn name(source: &Path) -> Result<String> {
    if let Some(uri) = s3::uri(source)? {
        return Ok(uri.to_string());
    }
    let absolute = std::path::absolute(source).map_err(|e| Failure::of(&e))?;
    Ok(absolute.components().collect::<PathBuf>().display().to_string())
}

/// The verdict, then what packing tells.
fn print(report: &ReshardReport, output: &mut Output) -> Result<()> {
    for note in &report.notes {
        output.line(&format!("note: {note}"))?;
    }
    let (source, result) = (&report.source_digest, &report.pack.digest);
    output.line(&match report.same {
        true => format!("same samples as the source: digest {source}"),
        false => format!(
            "every sample taken is what its index says; digest of the source {source}, of the result {result}"
        ),
    })?;
    pack::print(&report.pack, output)
}

fn foreign(args: &AnewArgs) -> ForeignOptions {
    let foreign = &args.foreign;
    ForeignOptions {
        format: foreign.from_format.clone(),
        compression: foreign.from_compress.as_deref().and_then(Compression::from_name),
        schema: foreign.from_schema.map(Into::into),
        dmlc_parts: foreign.dmlc_parts,
        concatenated: foreign.concatenated,
        missing_end: foreign.missing_end,
    }
}

fn selection(args: &AnewArgs) -> Result<Selection> {
    let AnewArgs { select, fields, shards, .. } = args;
    let read = |file: &PathBuf, flag: &str| {
        std::fs::read_to_string(file).map_err(|e| {
            Failure::from(shardpack_store::Error::io(e, format!("{flag}{}", file.display())))
        })
    };
    let arrangement = match &shards.order {
        SampleOrder::Plain(_) => None,
        SampleOrder::Field { by, descending } => {
            Some(Arrangement::Field { by: by.clone(), descending: *descending })
        }
        SampleOrder::Map(file) => Some(Arrangement::Map {
            keys: read(file, "--order map:")?,
            name: file.display().to_string(),
        }),
    };
    Ok(Selection {
        keys: select.keys.as_ref().map(|file| read(file, "--keys ")).transpose()?,
        condition: select.condition.clone(),
        bad_json: match select.where_errors {
            RefusalArg::Error => BadJson::Error,
            RefusalArg::Skip => BadJson::Skip,
        },
        dedupe: select.dedupe.clone(),
        arrangement,
        globs: select.glob.clone(),
        labels: select.label.clone(),
        slice: select.slice.clone(),
        splits: select.split_from.clone(),
        min_size: select.min_size.map(|size| size.0),
        max_size: select.max_size.map(|size| size.0),
        fields: fields.fields.clone(),
        drop_fields: fields.drop_field.clone(),
        rename: fields.rename.clone(),
        drop_labels: fields.drop_labels,
        label_fields: fields.label_fields,
        duplicates: select.duplicates.into(),
        fold: select.fold(),
        per_class: select.sample_per_class,
        head: select.head,
        seed: select.pick_seed,
    })
}

pub(super) fn options(
    args: &AnewArgs,
    destination: &Path,
    first: Option<&Dataset<'_>>,
) -> Result<PackOptions> {
    let AnewArgs { format, shards, run, .. } = args;
    let defaults = PackOptions::default();
    let compression = Compression::from_name(&format.compress).unwrap_or_default();
    let name = match (&format.format, first) {
        (Some(name), _) => name.clone(),
        (None, Some(first)) => first.format().to_owned(),
        (None, None) => defaults.format.clone(),
    };
    Ok(PackOptions {
        format_options: format_options(args, &name, first)?,
        format: name,
        compression,
        level: pack::level(format.level, compression)?,
        bad_names: match args.select.bad_names {
            RefusalArg::Error => Policy::Error,
            RefusalArg::Skip => Policy::Skip,
        },
        order: match shards.order {
            SampleOrder::Plain(order) => order,
            _ => defaults.order, // the source is arranged
        },
        splits: shards.split.clone(),
        target: shards.target.0,
        max_samples: shards.max_samples,
        shard_multiple: shards.shard_multiple,
        name: shards.name.parse()?,
        jobs: run.jobs.unwrap_or(defaults.jobs),
        io_depth: run.io_depth,
        memory: run.memory.0,
        indexes: shards.index.clone(),
        s3_prefix: match (&shards.s3_prefix, s3::uri(destination)?) {
            (None, Some(uri)) => Some(uri.to_string()),
            (prefix, _) => prefix.clone(),
        },
        restart: run.restart,
        ..defaults
    })
}

fn format_options(
    args: &AnewArgs,
    name: &str,
    first: Option<&Dataset<'_>>,
) -> Result<FormatOptions> {
    let mut options = FormatOptions::default();
    let kept = first.filter(|first| args.format.format.is_none() && first.format() == name);
    options.schema = match args.format.schema {
        Some(schema) => schema.into(),
        None => kept.map_or(Schema::Fields, |first| first.format_options().schema),
    };
    match options.schema != Schema::Fields && name != "tfrecord" {
        true => Err(Failure::new(format!("--schema: {name} has none"))
            .hint("schemas are for --format tfrecord")),
        false => Ok(options),
    }
}
