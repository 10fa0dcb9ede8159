//! `shardpack info`.

use std::path::Path;
use std::sync::Arc;

use shardpack_pack::{InfoReport, Progress, SizeBucket, info};

use super::dataset::Place;
use crate::args::InfoArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{ByteSize, bytes, count, counted};

/// Classes that are shown; `--json` has more.
const CLASSES: usize = 20;
/// Width of the longest bar of the histogram.
const BAR: u64 = 40;

pub(super) fn run(args: &InfoArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let place = Place::of(&args.dataset, log)?;
    let dataset = place.dataset()?;
    let progress = Arc::new(Progress::default());
    let display = super::display(args.output, "reading", &progress, log);
    let report = info(&dataset, args.memory.0, &progress)?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false => {
            head(&report, &args.dataset.path, output)?;
            parts(&report, output)?;
            histogram(&report.sizes, output)?;
        }
    }
    Ok(Exit::Done)
}

fn head(report: &InfoReport, path: &Path, output: &mut Output) -> Result<()> {
    let InfoReport { shards, .. } = report;
    output.line(&format!("dataset  {}", path.display()))?;
    let by = match &report.tool {
        Some(tool) => format!("manifest by {tool}"),
        None if report.has_manifest => "manifest".into(),
        None => "no manifest".into(),
    };
    let schema = report.schema.as_ref().map_or(String::new(), |schema| format!(" ({schema})"));
    let order = report.order.as_ref().map_or(String::new(), |order| format!(", order {order}"));
    output.line(&format!(
        "format   {}{schema}, compression {}{order}, {by}",
        report.format, report.compression
    ))?;
    output.line(&format!("digest   {}", report.digest))?;
    if let Some(over) = &report.over {
        let place = over.place.as_deref().unwrap_or("a dataset");
        output.line(&format!("over     {place}, digest {}", over.digest))?;
    }
    output.line(&format!("samples  {}", count(report.samples)))?;
    if report.deleted > 0 {
        let digest = report.live_digest.as_ref().map(|digest| format!(", digest {digest}"));
        output.line(&format!(
            "         {} of them deleted, {} live{}",
            count(report.deleted),
            count(report.live),
            digest.unwrap_or_default()
        ))?;
    }
    output.line(&format!("fields   {}, {}", count(report.files), bytes(report.file_bytes)))?;
    output.line(&format!(
        "shards   {}, {} in all, {} to {}, {} on average",
        count(shards.count),
        bytes(shards.bytes),
        bytes(shards.min),
        bytes(shards.max),
        bytes(shards.mean)
    ))
}

fn parts(report: &InfoReport, output: &mut Output) -> Result<()> {
    let mut table = |title: &str, rows: Vec<[String; 3]>| -> Result<()> {
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let (name, number) = (width(0), width(1));
        for (i, row) in rows.iter().enumerate() {
            let title = if i == 0 { title } else { "" };
            let line = format!("{title:8} {:name$}  {:>number$}  {}", row[0], row[1], row[2]);
            output.line(line.trim_end())?;
        }
        Ok(())
    };
    let fields = report.fields.iter();
    table("", fields.map(|f| [f.name.clone(), count(f.files), bytes(f.bytes)]).collect())?;
    let splits = report.splits.iter().map(|split| {
        let shards = format!("{} shards, {}", count(split.shards), bytes(split.shard_bytes));
        [split.name.clone(), count(split.samples), shards]
    });
    table("splits", splits.collect())?;
    let versions = (1u64..).zip(&report.versions).map(|(number, version)| {
        let size = format!(
            "{} in {} shards, digest {}",
            counted(version.samples, "sample"),
            count(version.shards),
            version.digest
        );
        [version.event.to_string(), number.to_string(), size]
    });
    table("versions", versions.collect())?;
    let classes = report.classes.iter().take(CLASSES);
    table(
        "classes",
        classes.map(|c| [c.class.clone(), count(c.samples), String::new()]).collect(),
    )?;
    let more = report.distinct_classes.saturating_sub(CLASSES as u64);
    if more > 0 {
        output.line(&format!("         and {} classes more", count(more)))?;
    }
    if report.unlabelled > 0 && report.distinct_classes > 0 {
        output.line(&format!("         {} samples without a label", count(report.unlabelled)))?;
    }
    Ok(())
}

/// Samples by size, a bar a power of two.
fn histogram(sizes: &[SizeBucket], output: &mut Output) -> Result<()> {
    let most = sizes.iter().map(|bucket| bucket.samples).max().unwrap_or(0).max(1);
    for (i, bucket) in sizes.iter().enumerate() {
        let title = if i == 0 { "sizes" } else { "" };
        // A bucket that has a sample shows a bar, however small its share.
        let length = (bucket.samples as u128 * BAR as u128).div_ceil(most as u128) as usize;
        output.line(&format!(
            "{title:8} {:>10} to {:>10}  {:BAR$}  {}",
            ByteSize(bucket.from).to_string(),
            ByteSize(bucket.to).to_string(),
            "#".repeat(length),
            count(bucket.samples),
            BAR = BAR as usize
        ))?;
    }
    Ok(())
}
