//! `shardpack why`.

use std::sync::Arc;

use serde::Serialize;
use shardpack_pack::{Dataset, Error, WhyField, WhyReport, why};
use shardpack_reader::plan::{Cursor, Part};
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::Store;

use super::dataset::Place;
use super::ls::plain;
use super::{quarantine, s3};
use crate::args::WhyArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::count;

/// Memory for a record that must be decoded as a whole.
const MEMORY: u64 = 512 << 20;

/// What is printed: all that the shards say, and all that the plan says.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    sample: WhyReport,
    /// Why the quarantine has it; none if it has not.
    quarantined: Option<String>,
    /// None for a sample that no epoch has.
    read: Option<Reading>,
}

/// When and by whom a sample is read.
#[derive(Serialize)]
struct Reading {
    epoch: u64,
    seed: u64,
    shuffle: String,
    lanes: u64,
    position: u64,
    rank: u64,
    world: u64,
    step: u64,
    /// True when the epoch ends before that step.
    dropped: bool,
}

pub(super) fn run(args: &WhyArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let place = Place::at(&args.path, &args.s3, log)?;
    let store = place.with_manifest()?;
    let dataset = Dataset::open(&*store).map_err(Error::from)?;
    let sample = why(&dataset, &args.key, MEMORY)?;
    let mut options = ReadOptions::default();
    options.plan = args.order.options();
    options.part = Some(Part { rank: 0, world: args.order.world, replicas: 1 });
    options.split = args.order.part.split.clone();
    options.quarantine = args.order.part.quarantine.clone();
    options.s3 = s3::options(&args.s3, s3::Limits::default(), log);
    let here = (sample.shard.as_str(), sample.record);
    let quarantined = match &options.quarantine {
        Some(file) => quarantine::reason(file, &dataset, here, &args.s3, log)?,
        None => None,
    };
    let read = match sample.deleted || quarantined.is_some() {
        true => None,
        false => match reader(store.clone(), options).and_then(|reader| reading(&reader, args)) {
            // A plan is made of shards that are there; the damage is told already.
            Err(failure) if !sample.is_whole() => {
                log.note(&format!("who reads it is not known: {}", failure.message));
                None
            }
            read => read?,
        },
    };
    let exit = if sample.is_whole() { Exit::Done } else { Exit::Damage };
    let told = Told { sample, quarantined, read };
    match (args.report.json, args.report.quiet) {
        (true, _) => output.json(&told)?,
        (false, true) => {}
        (false, false) => print(&told, output)?,
    }
    Ok(exit)
}

fn reader(store: Arc<dyn Store>, options: ReadOptions) -> Result<Reader> {
    Ok(Reader::of_store(store, options)?)
}

/// What the plan says; none when the sample is not in the split or subset.
fn reading(reader: &Reader, args: &WhyArgs) -> Result<Option<Reading>> {
    let (plan, epoch) = (reader.plan(), args.epoch);
    let found = reader.find(&args.key)?;
    let position = found.and_then(|sample| plan.epoch(epoch).position(sample));
    let Some(position) = position else { return Ok(None) };
    let state = plan.state(Cursor { epoch, consumed: 0 });
    let world = args.order.world;
    let step = position / world;
    // Every rank has equally many steps.
    let steps = plan.share(Cursor { epoch, consumed: 0 }).len();
    Ok(Some(Reading {
        epoch,
        seed: state.seed,
        shuffle: state.shuffle.to_string(),
        lanes: state.lanes,
        position,
        rank: position % world,
        world,
        step,
        dropped: step >= steps,
    }))
}

fn print(told: &Told, output: &mut Output) -> Result<()> {
    let sample = &told.sample;
    let split = sample.split.as_ref().map_or(String::new(), |split| format!(", split {split}"));
    output.line(&format!("sample   {}, number {}", plain(&sample.key), count(sample.id)))?;
    output.line(&format!("shard    {}, record {}{split}", plain(&sample.shard), sample.record))?;
    output.line(&format!(
        "record   {} bytes at offset {}, crc32c {:08x}",
        sample.bytes, sample.offset, sample.crc32c
    ))?;
    for (i, field) in sample.fields.iter().enumerate() {
        let title = if i == 0 { "fields" } else { "" };
        output.line(&format!("{title:8} {}", line(field)))?;
    }
    for damage in &sample.damage {
        output.line(&format!("DAMAGED  {damage}"))?;
    }
    output.line(match (sample.is_whole(), sample.deleted) {
        (true, false) => "state    whole",
        (true, true) => "state    whole, but deleted: nobody reads it",
        (false, false) => "state    DAMAGED",
        (false, true) => "state    DAMAGED, and deleted: nobody reads it",
    })?;
    if let Some(reason) = &told.quarantined {
        output.line(&format!("state    in quarantine, nobody reads it: {}", plain(reason)))?;
    }
    match &told.read {
        Some(read) => output.line(&format!("read     {}", when(read))),
        None if sample.deleted || told.quarantined.is_some() || !sample.is_whole() => Ok(()),
        None => output.line("read     never: it is not in this split or subset"),
    }
}

fn line(field: &WhyField) -> String {
    let at = field.offset.map_or(String::new(), |at| format!(" at offset {at}"));
    let source = match &field.source {
        Some(source) => format!("file {}", plain(source)),
        None => "no file".to_owned(),
    };
    let check = field.damage.as_ref().map_or("whole".into(), |damage| format!("DAMAGED: {damage}"));
    let name = plain(&field.name);
    format!("{name}: {} bytes{at}, crc32c {:08x}, {source}, {check}", field.bytes, field.crc32c)
}

fn when(read: &Reading) -> String {
    let Reading { epoch, seed, shuffle, lanes, position, rank, world, step, dropped } = read;
    let which = format!("epoch {epoch} (seed {seed}, shuffle {shuffle}, lanes {lanes})");
    match dropped {
        true => format!("never in {which}: position {position} is left out by --tail drop"),
        false => format!("{which}: position {position}, by rank {rank} of {world} at step {step}"),
    }
}
