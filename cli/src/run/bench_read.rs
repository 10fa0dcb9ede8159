//! `shardpack bench-read`.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use shardpack_reader::coverage::Coverage;
use shardpack_reader::plan::Part;
use shardpack_reader::{CacheOptions, ReadOptions, Reader};
use shardpack_store::Store;

use super::dataset::Place;
use super::s3;
use crate::args::BenchReadArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

/// Reads under way at a time on S3, where one connection carries some 50 to 90 MB/s.
const REMOTE_THREADS: usize = 16;
/// Bytes that the plain reading asks for at once.
const PIECE: usize = 4 << 20;

#[derive(Serialize)]
struct Bench {
    dataset: String,
    rank: u64,
    world: u64,
    threads: usize,
    shuffle: String,
    /// Seconds to read the manifest and make the plan.
    open_seconds: f64,
    /// Samples that a quarantine leaves out of every epoch.
    quarantined: u64,
    epochs: Vec<Row>,
    plain: Plain,
}

/// One epoch.
#[derive(Serialize)]
struct Row {
    epoch: u64,
    samples: u64,
    /// Bytes of the samples' fields, and of shards that were read for them.
    bytes: u64,
    shard_bytes: u64,
    /// Bytes that came from the cache, those that were fetched just before included, and that were
    /// fetched; 0 without one.
    cached_bytes: u64,
    fetched_bytes: u64,
    /// Requests to S3 that were sent again.
    retries: u64,
    seconds: f64,
    first_sample_seconds: f64,
    samples_per_second: f64,
    bytes_per_second: f64,
    /// Share of the time that the loop stood still for samples.
    waited: f64,
    /// Of the process, in bytes; none where the system does not tell.
    peak_memory: Option<u64>,
}

/// The same shards from front to back.
#[derive(Serialize)]
struct Plain {
    shards: u64,
    bytes: u64,
    seconds: f64,
    bytes_per_second: f64,
}

pub(super) fn run(args: &BenchReadArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let place = Place::at(&args.path, &args.s3, log)?;
    let store = place.with_manifest()?;
    let options = options(args, place.is_remote(), log);
    let threads = options.threads.unwrap_or_default();
    let start = Instant::now();
    let reader = Reader::of_store(Arc::clone(&store), options)?;
    let open = start.elapsed();
    let mut bench = Bench {
        dataset: store.describe(),
        rank: args.rank,
        world: args.order.world,
        threads,
        shuffle: reader.plan().state(reader.start()).shuffle.to_string(),
        open_seconds: open.as_secs_f64(),
        quarantined: reader.quarantined(),
        epochs: Vec::new(),
        plain: Plain { shards: 0, bytes: 0, seconds: 0.0, bytes_per_second: 0.0 },
    };
    let text = !args.report.json && !args.report.quiet;
    if text {
        head(&bench, &reader, args.cache.is_some(), output)?;
    }
    let mut coverage = match &args.coverage {
        Some(folder) => Some(Coverage::create(folder, &reader)?),
        None => None,
    };
    let (mut touched, mut told) = (Touched::default(), false);
    for epoch in 0..args.epochs {
        let (row, trouble) = read(&reader, epoch, args, coverage.as_mut(), &mut touched)?;
        if let Some(trouble) = trouble.filter(|_| !std::mem::replace(&mut told, true)) {
            log.note(&format!("the cache was read past: {trouble}"));
        }
        if text {
            output.line(&line(&row, args.cache.is_some()))?;
            let _ = output.flush(); // an epoch may take minutes; a closed pipe shows at the end
        }
        bench.epochs.push(row);
    }
    let most = args.samples.and_then(|_| bench.epochs.last()).map(|row| row.shard_bytes);
    bench.plain = plain(&*store, touched, most.unwrap_or(u64::MAX))?;
    if args.report.json {
        output.json(&bench)?;
    } else if text {
        let Plain { shards, bytes: read, bytes_per_second, .. } = bench.plain;
        output.line(&format!(
            "{:>5}  {:>12}  {:>11}  {:>12}  {} of {} from front to back, one thread",
            "plain",
            "",
            "",
            rate(bytes_per_second),
            bytes(read),
            counted(shards, "shard")
        ))?;
    }
    Ok(Exit::Done)
}

fn options(args: &BenchReadArgs, remote: bool, log: Log) -> ReadOptions {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(4);
    let mut options = ReadOptions::default();
    options.plan = args.order.options();
    options.part = Some(Part { rank: args.rank, world: args.order.world, replicas: 1 });
    options.split = args.order.part.split.clone();
    options.quarantine = args.order.part.quarantine.clone();
    options.s3 = s3::options(&args.s3, s3::Limits::default(), log);
    options.threads = Some(args.threads.unwrap_or(if remote { REMOTE_THREADS } else { cores }));
    options.memory = args.memory.0;
    options.cache = args.cache.as_ref().map(|folder| {
        let mut cache = CacheOptions::new(folder);
        cache.most = args.cache_size.map(|size| size.0);
        cache
    });
    options
}

/// The shards that samples came from, by their number in the plan.
#[derive(Default)]
struct Touched(Vec<Option<String>>);

impl Touched {
    fn add(&mut self, number: u32, path: &str) {
        let number = number as usize;
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        if let Some(slot @ None) = self.0.get_mut(number) {
            *slot = Some(path.to_owned());
        }
    }
}

/// Reads an epoch as a training loop does. Also tells what went wrong with the cache.
fn read(
    reader: &Reader,
    epoch: u64,
    args: &BenchReadArgs,
    mut coverage: Option<&mut Coverage>,
    touched: &mut Touched,
) -> Result<(Row, Option<String>)> {
    memory::forget_peak();
    let batch = args.order.batch.unwrap_or(1);
    let start = Instant::now();
    let mut samples = reader.epoch(epoch);
    let (mut first, mut bytes, mut taken) = (None, 0, 0);
    while taken < args.samples.unwrap_or(u64::MAX)
        && let Some(sample) = samples.next().transpose()?
    {
        first.get_or_insert_with(|| start.elapsed());
        taken += 1;
        bytes += sample.fields().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        touched.add(sample.place().shard, sample.shard());
        if let Some(coverage) = &mut coverage {
            coverage.note(&samples)?;
        }
        if args.compute > 0 && taken % batch == 0 {
            thread::sleep(Duration::from_millis(args.compute));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    if let Some(coverage) = coverage {
        coverage.sync()?;
    }
    let stats = samples.stats();
    let row = Row {
        epoch,
        samples: taken,
        bytes,
        shard_bytes: stats.bytes,
        cached_bytes: stats.cached,
        fetched_bytes: stats.fetched,
        retries: stats.retries,
        seconds,
        first_sample_seconds: first.unwrap_or_default().as_secs_f64(),
        samples_per_second: taken as f64 / seconds,
        bytes_per_second: bytes as f64 / seconds,
        waited: stats.waited.as_secs_f64() / seconds,
        peak_memory: memory::peak(),
    };
    Ok((row, stats.cache_trouble.clone()))
}

/// Reads shards one after the other, up to `most` bytes.
fn plain(store: &dyn Store, touched: Touched, most: u64) -> Result<Plain> {
    let mut piece = vec![0; PIECE];
    let (mut shards, mut bytes) = (0, 0);
    let start = Instant::now();
    for path in touched.0.into_iter().flatten() {
        if bytes >= most {
            break;
        }
        let object = store.open(&path)?;
        shards += 1;
        let mut offset = 0;
        while bytes < most {
            match object.read_at(offset, &mut piece)? as u64 {
                0 => break,
                read => (offset, bytes) = (offset + read, bytes + read),
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Plain { shards, bytes, seconds, bytes_per_second: bytes as f64 / seconds })
}

fn head(bench: &Bench, reader: &Reader, cache: bool, output: &mut Output) -> Result<()> {
    output.line(&format!(
        "{}: {} an epoch, rank {} of {}, {}, shuffle {}",
        bench.dataset,
        counted(reader.plan().samples(), "sample"),
        bench.rank,
        bench.world,
        counted(bench.threads as u64, "thread"),
        bench.shuffle
    ))?;
    if bench.quarantined > 0 {
        output.line(&format!("{} in quarantine", counted(bench.quarantined, "sample")))?;
    }
    output.line(&format!("opened in {}", time(bench.open_seconds)))?;
    output.line(&format!(
        "{:>5}  {:>12}  {:>11}  {:>12}  {:>6}  {:>11}{}",
        "epoch",
        "first sample",
        "samples/s",
        "bytes/s",
        "waited",
        "peak memory",
        if cache { "  from cache" } else { "" }
    ))
}

fn line(row: &Row, cache: bool) -> String {
    // What was fetched was often read from the cache next: not that is what a cache brings.
    let spared = row.shard_bytes.saturating_sub(row.fetched_bytes);
    let share = 100.0 * spared as f64 / row.shard_bytes.max(1) as f64;
    format!(
        "{:>5}  {:>12}  {:>11}  {:>12}  {:>4.0} %  {:>11}{}",
        row.epoch,
        time(row.first_sample_seconds),
        count(row.samples_per_second as u64),
        rate(row.bytes_per_second),
        100.0 * row.waited,
        row.peak_memory.map_or("unknown".into(), bytes),
        if cache { format!("  {share:>8.0} %") } else { String::new() }
    )
}

fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second as u64))
}

fn time(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds:.1} s"),
        _ => format!("{:.1} ms", 1000.0 * seconds),
    }
}

/// What Linux tells of this process.
mod memory {
    use std::fs;

    /// Most memory that was resident since [`forget_peak`], in bytes.
    pub(super) fn peak() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb << 10)
    }

    /// Makes what is resident now the peak. Where that is not allowed, peaks are of the whole run.
    pub(super) fn forget_peak() {
        let _ = fs::write("/proc/self/clear_refs", "5");
    }
}
