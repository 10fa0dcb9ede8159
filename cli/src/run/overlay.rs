//! `shardpack join --overlay`, and what `verify` says of an overlay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardpack_formats::Schema;
use shardpack_pack::{
    Dataset, OverlayReport, OverlaySource, PackOptions, PlanReport, Progress, VerifyReport,
    dry_overlay, lies_over, overlay,
};
use shardpack_store::S3Uri;

use super::dataset::Place;
use super::join::Added;
use super::{destination, map, pack, reshard, s3};
use crate::args::{
    AnewArgs, DuplicatesArg, FieldArgs, JoinArgs, MissingArg, RefusalArg, SampleOrder, SelectArgs,
    ShardArgs, VerifyArgs,
};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

pub(super) fn run(args: &JoinArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let JoinArgs { source, destination, with, anew, .. } = args;
    for read in [source, &with.with] {
        destination::check(read, destination, true)?;
    }
    refuse(args, log)?;
    let place = Place::at(source, &anew.s3, log)?;
    place.with_manifest()?;
    let base = place.dataset()?;
    let added = Added::open(with, &anew.s3, log)?;
    let options = options(anew, destination, &base)?;

    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let display = super::display(anew.output, "joining", &progress, log);
    let how = reshard::looking(anew, std::slice::from_ref(&place), &options);
    let seen = seen_from(destination, source)?;
    let base = (base, reshard::name(source)?);
    let source = OverlaySource::open(base, added.join()?, seen, &how, &progress)?;
    if anew.run.dry_run {
        let report = dry_overlay(&source, &options, &progress)?;
        drop(display);
        return match anew.output.json {
            true => output.json(&report),
            false => print_plan(&report, output),
        }
        .map(|()| Exit::Done);
    }
    let store = reshard::target(destination, anew, &options, source.as_source(), log)?;
    let report = overlay(&source, &*store, &options, &progress)
        .map_err(|error| pack::name_full_device(error, destination))?;
    drop(display);
    match anew.output.json {
        true => output.json(&report)?,
        false if anew.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// Refuses what says which samples there are, in which order and shards: SRC does.
fn refuse(args: &JoinArgs, log: Log) -> Result<()> {
    let AnewArgs { select, fields, shards, map, .. } = &args.anew;
    if args.with.missing == MissingArg::Inner {
        return Err(Failure::new("--missing inner: an overlay leaves no sample out").hint(
            "take them with --missing left; or mark them with `shardpack delete`, or make new shards without --overlay",
        ));
    }
    let flag = selecting(select)
        .or(changing(fields))
        .or(map::options(map, log)?.map(|_| "--map-cmd or what changes pictures"))
        .or(sharding(shards));
    match flag {
        None => Ok(()),
        Some(flag) => Err(Failure::new(format!(
            "{flag}: not with --overlay, which has a record for each one of SRC, in the same order and shards"
        ))
        .hint(format!("leave {flag} out, or make new shards without --overlay"))),
    }
}

/// The first of these flags that is given.
fn first(flags: &[(&'static str, bool)]) -> Option<&'static str> {
    flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
}

fn selecting(select: &SelectArgs) -> Option<&'static str> {
    first(&[
        ("--duplicates", select.duplicates != DuplicatesArg::Error),
        ("--split-from", !select.split_from.is_empty()),
        ("--slice", select.slice.is_some()),
        ("--keys", select.keys.is_some()),
        ("--glob", !select.glob.is_empty()),
        ("--label", !select.label.is_empty()),
        ("--where", select.condition.is_some()),
        ("--dedupe", select.dedupe.is_some()),
        ("--min-size", select.min_size.is_some()),
        ("--max-size", select.max_size.is_some()),
        ("--fold", select.fold.is_some()),
        ("--sample-per-class", select.sample_per_class.is_some()),
        ("--head", select.head.is_some()),
        ("--bad-names", select.bad_names != RefusalArg::Error),
    ])
}

fn changing(fields: &FieldArgs) -> Option<&'static str> {
    first(&[
        ("--fields", !fields.fields.is_empty()),
        ("--drop-field", !fields.drop_field.is_empty()),
        ("--rename", !fields.rename.is_empty()),
        ("--drop-labels", fields.drop_labels),
        ("--label-fields", fields.label_fields),
    ])
}

fn sharding(shards: &ShardArgs) -> Option<&'static str> {
    let defaults = PackOptions::default();
    first(&[
        ("--order", shards.order != SampleOrder::Plain(defaults.order)),
        ("--split", !shards.split.is_empty()),
        ("--target", shards.target.0 != defaults.target),
        ("--max-samples", shards.max_samples.is_some()),
        ("--shard-multiple", shards.shard_multiple != defaults.shard_multiple),
        ("--name", shards.name != defaults.name.to_string()),
    ])
}

/// What is added is no picture because SRC's samples are: the schema is `fields` unless it is given.
fn options(anew: &AnewArgs, destination: &Path, base: &Dataset<'_>) -> Result<PackOptions> {
    let mut options = reshard::options(anew, destination, Some(base))?;
    if anew.format.schema.is_none() {
        options.format_options.schema = Schema::Fields;
    }
    Ok(options)
}

fn print(report: &OverlayReport, output: &mut Output) -> Result<()> {
    output.line(&format!("lies over {}: digest {}", report.base, report.base_digest))?;
    if report.without > 0 {
        let without = count(report.without);
        output.line(&format!("{without} of the records have no field: nothing is added there"))?;
    }
    pack::print(&report.pack, output)
}

fn print_plan(plan: &PlanReport, output: &mut Output) -> Result<()> {
    output.line(&format!(
        "records  {} in {}, {}: those of SRC",
        count(plan.samples),
        counted(plan.shards.len() as u64, "shard"),
        bytes(plan.shard_bytes)
    ))?;
    for (fields, samples) in &plan.field_sets {
        let fields = if fields.is_empty() { "no field" } else { fields };
        output.line(&format!("         {} with {fields}", count(*samples)))?;
    }
    for (reason, number) in &plan.skipped {
        output.line(&format!("left out {}: {reason}", count(*number)))?;
    }
    output.line("nothing was written (--dry-run)")
}

/// Looks whether an overlay lies over what it was made for, where that can be found. Gives its name.
pub(super) fn verify(
    args: &VerifyArgs,
    dataset: &Dataset<'_>,
    jobs: usize,
    report: &mut VerifyReport,
    log: Log,
) -> Result<Option<String>> {
    let path = args.dataset.path.as_path();
    let base = match (dataset.manifest().and_then(|m| m.base.as_ref()), &args.over) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(Failure::new(format!("--over: {} is no overlay", path.display()))
                .hint("overlays are made by: shardpack join --overlay"));
        }
        (Some(base), _) => base,
    };
    let over = match (&args.over, &base.place) {
        (Some(over), _) => over.clone(),
        (None, Some(place)) => resolved(path, place)?,
        (None, None) => {
            let what = "it lies over a dataset that it does not say the place of".to_owned();
            report.caveats.push(format!("{what}: compare it with --over SRC"));
            return Ok(None);
        }
    };
    let name = over.display().to_string();
    let compared = Place::at(&over, &args.dataset.s3, log)
        .and_then(|place| Ok(lies_over(dataset, &place.dataset()?, jobs, report)?));
    match compared {
        Ok(()) => Ok(Some(name)),
        Err(failure) if args.over.is_none() => {
            let why = failure.message;
            report.caveats.push(format!(
                "not compared with {name}, which it lies over: {why}; tell where that is with --over SRC"
            ));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Where SRC is, seen from DST: relative on one disk or in one bucket, so that both can be moved
/// together. None for a disk's path seen from S3, where it means nothing.
fn seen_from(destination: &Path, source: &Path) -> Result<Option<String>> {
    Ok(match (s3::uri(source)?, s3::uri(destination)?) {
        (Some(source), Some(destination)) if source.bucket() == destination.bucket() => {
            Some(relative(destination.key(), source.key()))
        }
        (Some(source), _) => Some(source.to_string()),
        (None, Some(_)) => None,
        (None, None) => Some(relative(&absolute(destination)?, &absolute(source)?)),
    })
}

/// What a place that is told in the manifest of an overlay at `overlay` means.
fn resolved(overlay: &Path, place: &str) -> Result<PathBuf> {
    if S3Uri::is_one(place) {
        return Ok(place.into());
    }
    Ok(match s3::uri(overlay)? {
        Some(uri) => {
            let key = parts(&format!("{}/{place}", uri.key())).join("/");
            format!("s3://{}/{key}", uri.bucket()).into()
        }
        None => {
            let path = parts(&format!("{}/{place}", absolute(overlay)?)).join("/");
            format!("/{path}").into()
        }
    })
}

fn absolute(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).map_err(|e| Failure::of(&e))?;
    absolute.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(format!("{}: the name is no UTF-8", path.display()))
            .hint("an overlay tells where its SRC is; rename the folder")
    })
}

/// The way from one folder to another.
fn relative(from: &str, to: &str) -> String {
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    let down = to.get(shared..).unwrap_or_default().iter().copied();
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The names along a path; `..` takes the one before it away.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_relative_to_the_overlay_where_that_means_something() {
        for (overlay, source, told) in [
            ("/data/captions", "/data/images", Some("../images")),
            ("/data/a/b/", "/data/./images/x", Some("../../images/x")),
            ("/a", "/b/../c", Some("../c")),
            ("s3://bucket/captions", "s3://bucket/images/", Some("../images")),
            ("s3://bucket/sets/captions", "s3://bucket/images", Some("../../images")),
            ("s3://bucket/captions", "s3://other/images", Some("s3://other/images")),
            ("/data/captions", "s3://bucket/images", Some("s3://bucket/images")),
            ("s3://bucket/captions", "/data/images", None),
        ] {
            let place = seen_from(overlay.as_ref(), source.as_ref()).unwrap();
            assert_eq!(place.as_deref(), told, "{source} from {overlay}");
            let Some(place) = place else { continue };
            let back = resolved(overlay.as_ref(), &place).unwrap();
            let same = |path: &str| parts(path).join("/");
            assert_eq!(same(back.to_str().unwrap()), same(source), "{place} from {overlay}");
        }
    }

    #[test]
    fn it_moves_with_the_overlay() {
        let moved = |overlay: &str| resolved(overlay.as_ref(), "../images").unwrap();
        assert_eq!(moved("/mnt/sets/captions"), Path::new("/mnt/sets/images"));
        assert_eq!(moved("s3://copy/v2/captions/"), Path::new("s3://copy/v2/images"));
        assert_eq!(moved("/captions"), Path::new("/images"));
    }
}
