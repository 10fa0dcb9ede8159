//! A training loop without the training. It is told nothing of how the samples arrive: the digest of
//! an epoch is the same from files, mounts, pipes and S3. Over all ranks they add up to the digest
//! in the manifest: every sample was seen exactly once.
//!
//!     cargo run --release --example train -- --channel train                (in a container)
//!     cargo run --release --example train -- DATASET --epochs 2             (anywhere)
//!     cargo run --release --example train -- DATASET --state checkpoint     (goes on after kill -9)
//!     cargo run --release --example train -- DATASET --overlay CAPTIONS     (with its fields, too)
//!
//! `scripts/modes.sh` runs it in each input mode. Rank and world are the launcher's or the
//! container's: `RANK=1 WORLD_SIZE=4` by hand.

use std::error::Error;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shardpack_manifest::Digest;
use shardpack_reader::coverage::Coverage;
use shardpack_reader::plan::{State, Tail};
use shardpack_reader::{Channel, ChannelReader, ChannelSamples, ReadOptions, Sample};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let job = Job::from_args()?;
    let saved = job.state.as_deref().map(Saved::load).transpose()?.flatten();
    let begin = Instant::now();
    let channel = match &job.place {
        Some(place) => Channel::at(&job.channel, place)?,
        None => Channel::open(&job.channel)?,
    };
    let reader = match &saved {
        Some(saved) => channel.resume(job.options.clone(), &saved.state)?,
        None => channel.reader(job.options.clone())?,
    };
    let reader = job.lay_over(reader)?;
    let log = |folder| Coverage::create(folder, &reader);
    let mut coverage = job.coverage.as_ref().map(log).transpose()?;
    let start = reader.start();
    // What this rank saw of the epoch before it was stopped.
    let mut before = saved.filter(|_| start.consumed > 0).map(|saved| saved.digest);

    for epoch in start.epoch..job.epochs {
        let before = before.take().unwrap_or_default();
        let mut samples = reader.epoch(epoch);
        let (mut steps, mut bytes) = (0, 0);
        while let Some(sample) = samples.next() {
            bytes += train(&sample?, job.compute);
            steps += 1;
            if steps == 1 {
                eprintln!("first sample after {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
            }
            if let Some(log) = &mut coverage {
                log.note(&samples)?;
            }
            // The end of the epoch is saved below, once the stream has proved whole.
            if steps % job.every == 0 && samples.left() != Some(0) {
                job.save(&samples, before, &mut coverage)?;
            }
        }
        println!("epoch {epoch}: digest {}", before + samples.digest());
        let (time, waited) = (begin.elapsed().as_secs_f64(), samples.stats().waited.as_secs_f64());
        eprintln!(
            "{steps} samples, {bytes} bytes; {time:.3} s so far, {waited:.3} s of this epoch waiting"
        );
        job.save(&samples, before, &mut coverage)?;
    }
    Ok(())
}

/// A step of a model that looks at every byte and learns nothing.
fn train(sample: &Sample, compute: Duration) -> usize {
    std::thread::sleep(compute);
    sample.fields().map(|(_, bytes)| bytes.len()).sum()
}

/// What the command line says.
struct Job {
    channel: String,
    place: Option<String>,
    /// Overlays: channels by name, or places.
    overlays: Vec<String>,
    epochs: u64,
    /// The checkpoint, and the steps between two.
    state: Option<PathBuf>,
    every: u64,
    coverage: Option<PathBuf>,
    compute: Duration,
    options: ReadOptions,
}

impl Job {
    fn from_args() -> Result<Self> {
        let mut options = ReadOptions::default();
        options.plan.tail = Tail::Mask; // what pads the last step is not counted
        let mut job = Self {
            channel: "train".into(),
            place: None,
            overlays: Vec::new(),
            epochs: 1,
            state: None,
            every: 100,
            coverage: None,
            compute: Duration::ZERO,
            options,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match &*arg {
                "--channel" => job.channel = value()?,
                "--overlay" => job.overlays.push(value()?),
                "--epochs" => job.epochs = value()?.parse()?,
                "--state" => job.state = Some(value()?.into()),
                "--every" => job.every = value()?.parse::<u64>()?.max(1),
                "--coverage" => job.coverage = Some(value()?.into()),
                "--compute-us" => job.compute = Duration::from_micros(value()?.parse()?),
                "--manifest" => job.options.manifest = Some(value()?),
                "--threads" => job.options.threads = Some(value()?.parse()?),
                "--seed" => job.options.plan.seed = value()?.parse()?,
                "--shuffle" => job.options.plan.shuffle = value()?.parse()?,
                _ if arg.starts_with('-') => return Err(format!("no option {arg}").into()),
                _ => job.place = Some(arg),
            }
        }
        Ok(job)
    }

    /// The reader with the fields of overlays.
    fn lay_over(&self, reader: ChannelReader) -> Result<ChannelReader> {
        if self.overlays.is_empty() {
            return Ok(reader);
        }
        // A channel of the container where there is no dataset of its own, as with the dataset itself.
        let open = |overlay: &String| match self.place {
            Some(_) => Channel::at("overlay", overlay),
            None => Channel::open(overlay),
        };
        let overlays =
            self.overlays.iter().map(open).collect::<shardpack_reader::Result<Vec<_>>>()?;
        Ok(reader.overlaid(&overlays, &self.options)?)
    }

    /// Saves where the next run goes on. What it will not read again is in the coverage log before.
    fn save(
        &self,
        samples: &ChannelSamples,
        before: Digest,
        coverage: &mut Option<Coverage>,
    ) -> Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        if let Some(coverage) = coverage {
            coverage.sync()?;
        }
        let state = samples.state().ok_or("shards without a manifest: nothing can be saved")?;
        Saved { state, digest: before + samples.digest() }.save(path)
    }
}

/// A checkpoint: the model's would stand in the same file.
struct Saved {
    state: State,
    digest: Digest,
}

impl Saved {
    /// None where nothing was saved yet.
    fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (state, digest) = text.trim_end().split_once('\n').ok_or("no checkpoint")?;
        Ok(Some(Self { state: state.parse()?, digest: digest.parse()? }))
    }

    /// In one step: whatever happens, the file is the old one or the new one.
    fn save(&self, path: &Path) -> Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{}\n{}", self.state, self.digest)?;
        file.sync_all()?;
        Ok(fs::rename(new, path)?)
    }
}
