//! `shardpack simulate`.

use serde::Serialize;
use shardpack_advise::{Model, Run, Unit, simulate};

use super::advise::data;
use crate::args::SimulateArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

/// What was played, and what came of it.
#[derive(Serialize)]
struct Played<'a> {
    source: &'a str,
    /// Rates that hold nothing back are null: JSON has no infinity.
    model: &'a Model,
    run: &'a Run,
}

pub(super) fn run(args: &SimulateArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let found = data::find(&args.data, &args.files, &args.s3, log)?;
    let model = model(args);
    let run =
        simulate(&model, &found.data.lens).map_err(|error| data::failure(&error, &found.name))?;
    match args.report.json {
        true => output.json(&Played { source: &found.name, model: &model, run: &run })?,
        false if args.report.quiet => {}
        false => print(&model, &run, output)?,
    }
    Ok(Exit::Done)
}

fn model(args: &SimulateArgs) -> Model {
    let mut model = Model::of(args.mode.into());
    (model.hosts, model.workers, model.sharded) = (args.hosts, args.workers, args.sharded);
    let set = |place: &mut f64, told: Option<f64>| *place = told.unwrap_or(*place);
    set(&mut model.consume, args.consume.map(|rate| rate.0));
    set(&mut model.bandwidth, args.bandwidth.map(|rate| rate.0));
    set(&mut model.stream, args.stream.map(|rate| rate.0));
    set(&mut model.total, args.total.map(|rate| rate.0));
    set(&mut model.disk, args.disk.map(|rate| rate.0));
    set(&mut model.latency, args.latency.map(|time| time.0));
    set(&mut model.start, args.start.map(|time| time.0));
    model.in_flight = args.in_flight.unwrap_or(model.in_flight);
    model.request = args.request.map_or(model.request, |size| size.0);
    model.ahead = args.ahead.map_or(model.ahead, |size| size.0);
    model
}

fn print(model: &Model, run: &Run, output: &mut Output) -> Result<()> {
    let seconds = |seconds: f64| Unit::Seconds.show(seconds);
    let rate = |rate: f64| match rate.is_finite() {
        true => Unit::Rate.show(rate),
        false => "unlimited".into(),
    };
    output.line(&format!(
        "model        {}, {}, {} each, consumer {}",
        model.way.title(),
        counted(model.hosts, "host"),
        counted(model.workers, "worker"),
        rate(model.consume)
    ))?;
    output.line(&format!(
        "             latency {}, stream {}, host {}, store {}, {} in flight of {} each",
        seconds(model.latency),
        rate(model.stream),
        rate(model.bandwidth),
        rate(model.total),
        count(model.in_flight),
        bytes(model.request)
    ))?;
    output.line(&format!(
        "set          {}, {}; {} fetched in {}",
        counted(run.objects, "object"),
        bytes(run.bytes),
        bytes(run.fetched),
        counted(run.requests, "request")
    ))?;
    output.line(&format!("start        {}", seconds(run.start)))?;
    output.line(&format!("first batch  {}", seconds(run.first_batch)))?;
    output.line(&format!("epoch        {}", seconds(run.epoch)))?;
    output.line(&format!("throughput   {}", rate(run.throughput)))?;
    output.line(&format!("starved      {} of the epoch", Unit::Share.show(run.starved)))?;
    output.line(&format!(
        "skew         hosts {:.2}, workers {:.2} (longest over shortest)",
        run.host_skew, run.worker_skew
    ))?;
    match run.idle_hosts {
        0 => Ok(()),
        idle => output.line(&format!("note         {} get nothing", counted(idle, "host"))),
    }
}
