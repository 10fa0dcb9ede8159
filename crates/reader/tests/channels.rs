//! Channels as containers have them: files in folders, configuration beside them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use shardpack_manifest::{Digest, Manifest};
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::plan::Tail;
use shardpack_reader::{Channel, ChannelReader, Error, ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore, MemoryTree};
use shardpack_testkit::fuse;
use tempfile::TempDir;

/// A container's folder, and its environment.
struct Job {
    base: TempDir,
    env: BTreeMap<&'static str, OsString>,
}

impl Job {
    /// With a channel `train` that holds a dataset's shards and nothing else, and its manifest and
    /// index in the channel `manifest`.
    fn new(config: &str, hosts: &str) -> (Self, Manifest) {
        let job = Self { base: TempDir::new().unwrap(), env: BTreeMap::new() };
        let files: Vec<_> = (0..200).map(|i| (format!("{i}.txt"), format!("{i:0>900}"))).collect();
        let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
        let packed = job.base.path().join("packed");
        let store = LocalStore::open(&packed, &LocalOptions::default());
        let options = PackOptions { target: 30_000, ..PackOptions::default() };
        pack(&files, &store, &options, &Progress::default()).unwrap();
        let (data, configs) = (job.path("input/data"), job.path("input/config"));
        fs::create_dir_all(data.join("manifest")).unwrap();
        fs::create_dir_all(&configs).unwrap();
        fs::rename(packed.join("shards"), data.join("train")).unwrap();
        fs::rename(packed.join("index"), data.join("manifest/index")).unwrap();
        let manifest = fs::read(packed.join("manifest.json")).unwrap();
        fs::write(data.join("manifest/manifest.json"), &manifest).unwrap();
        fs::write(configs.join("inputdataconfig.json"), config).unwrap();
        fs::write(configs.join("resourceconfig.json"), hosts).unwrap();
        let base = job.base.path().as_os_str().to_owned();
        let job = Self { env: [("SAGEMAKER_BASE_DIR", base)].into(), ..job };
        (job, Manifest::parse(&manifest).unwrap())
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.base.path().join(below)
    }

    fn channel(&self, name: &str) -> shardpack_reader::Result<Channel> {
        Channel::find(name, None, &|variable| self.env.get(variable).cloned())
    }

    fn reader(&self) -> shardpack_reader::Result<ChannelReader> {
        let mut options = ReadOptions::default();
        options.plan.tail = Tail::Mask;
        self.channel("train")?.reader(options)
    }
}

const FILE: &str =
    r#"{"train": {"TrainingInputMode": "File"}, "manifest": {"TrainingInputMode": "File"}}"#;
const ONE_HOST: &str = r#"{"current_host": "algo-1", "hosts": ["algo-1"]}"#;

/// Steps, and the digest of the real samples of an epoch.
fn epoch(reader: &ChannelReader) -> (u64, Digest) {
    let mut samples = reader.epoch(0);
    let steps = samples.by_ref().map(Result::unwrap).count() as u64;
    (steps, samples.digest())
}

#[test]
fn a_channel_of_files_is_read_with_the_manifest_of_another_channel() {
    for mode in ["File", "FastFile"] {
        let (job, manifest) = Job::new(&FILE.replace("File", mode), ONE_HOST);
        let channel = job.channel("train").unwrap();
        assert_eq!(format!("{:?}", channel.mode()), mode);
        assert_eq!(epoch(&job.reader().unwrap()), (200, manifest.digest));
    }
}

#[test]
fn replicated_shards_are_divided_by_rank_of_the_host() {
    // Sorted as text, algo-10 is the second of the hosts.
    let hosts = (1..=10).map(|i| format!("\"algo-{i}\"")).collect::<Vec<_>>().join(",");
    let mut sum = Digest::default();
    for host in 1..=10 {
        let resources = format!(r#"{{"current_host": "algo-{host}", "hosts": [{hosts}]}}"#);
        let (job, manifest) = Job::new(FILE, &resources);
        let part = job.channel("train").unwrap().part().unwrap();
        assert_eq!(part.rank, [0, 2, 3, 4, 5, 6, 7, 8, 9, 1][host - 1]);
        let (steps, digest) = epoch(&job.reader().unwrap());
        assert_eq!(steps, 20);
        sum += digest;
        assert!(host < 10 || sum == manifest.digest);
    }
}

#[test]
fn sharded_hosts_read_what_they_see_in_equal_steps() {
    let config =
        r#"{"train": {"TrainingInputMode": "FastFile", "S3DistributionType": "ShardedByS3Key"}}"#;
    let mut sum = Digest::default();
    let mut all_steps = Vec::new();
    let mut whole = Digest::default();
    for host in 0..2 {
        let resources =
            format!(r#"{{"current_host": "algo-{}", "hosts": ["algo-1", "algo-2"]}}"#, host + 1);
        let (job, manifest) = Job::new(config, &resources);
        whole = manifest.digest;
        let mut shards: Vec<_> = fs::read_dir(job.path("input/data/train"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        shards.sort();
        for path in shards.iter().skip(1 - host).step_by(2) {
            fs::remove_file(path).unwrap(); // the other host's
        }
        let (steps, digest) = epoch(&job.reader().unwrap());
        all_steps.push(steps);
        sum += digest;
    }
    assert_eq!(sum, whole);
    assert_eq!(all_steps[0], all_steps[1]);
}

#[test]
fn a_host_with_too_few_shards_is_told() {
    let config = r#"{"train": {"S3DistributionType": "ShardedByS3Key"}}"#;
    let hosts = r#"{"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]}"#;
    let (job, _) = Job::new(config, hosts);
    let error = job.reader().unwrap_err(); // sees all of them
    assert!(matches!(error, Error::Uneven { .. }), "{error}");
}

#[test]
fn missing_parts_are_named() {
    let (job, _) = Job::new(FILE, ONE_HOST);
    let error = job.channel("validation").unwrap_err();
    assert!(matches!(error, Error::Channel(_)), "{error}");
    let shard = fs::read_dir(job.path("input/data/train")).unwrap().next().unwrap().unwrap();
    fs::remove_file(shard.path()).unwrap();
    let error = job.reader().unwrap_err().to_string();
    assert!(error.contains(shard.file_name().to_str().unwrap()), "{error}");
    fs::remove_dir_all(job.path("input/data/train")).unwrap();
    let error = job.channel("train").unwrap_err().to_string();
    assert!(error.contains("from SAGEMAKER_BASE_DIR"), "{error}");
}

#[test]
fn a_path_stands_in_for_a_channel() {
    let (job, manifest) = Job::new("{}", ONE_HOST);
    let place = job.path("input/data/train");
    let place = place.to_str().unwrap();
    let channel = Channel::find("train", Some(place), &|_| None).unwrap();
    let reader = channel.reader(ReadOptions::default()).unwrap();
    assert_eq!(epoch(&reader).1, manifest.digest);
    assert_eq!(reader.seek().unwrap().manifest().digest, manifest.digest);
    let reader = Reader::open(place, ReadOptions::default()).unwrap();
    assert_eq!(epoch(&ChannelReader::Seek(reader)).1, manifest.digest);
    let error =
        Reader::open(Path::new(place).join("none").to_str().unwrap(), ReadOptions::default())
            .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn a_folder_stands_in_for_a_channel_of_fifos() {
    let (job, manifest) = Job::new(&FILE.replace("File", "Pipe"), ONE_HOST);
    let place = job.path("input/data/train");
    let env = |variable: &str| job.env.get(variable).cloned();
    let channel = Channel::find("train", place.to_str(), &env).unwrap();
    assert_eq!(format!("{:?}", channel.mode()), "File");
    assert_eq!(epoch(&channel.reader(ReadOptions::default()).unwrap()).1, manifest.digest);
    // What is no folder is where FIFOs will be.
    let fifos = job.path("input/data/other");
    let channel = Channel::find("train", fifos.to_str(), &env).unwrap();
    assert_eq!(format!("{:?}", channel.mode()), "Pipe");
}

/// What FastFile is to a container: a mount that lists once and answers each call late.
#[test]
fn a_mount_is_listed_once_and_each_shard_opened_once() {
    let (job, manifest) = Job::new(&FILE.replace("File", "FastFile"), ONE_HOST);
    let (train, shards) = (job.path("input/data/train"), job.path("objects"));
    fs::rename(&train, &shards).unwrap();
    fs::create_dir(&train).unwrap();
    let session = match fuse::mount(&shards, &train, Duration::from_millis(1)) {
        Ok(session) => session,
        Err(error) => return eprintln!("skipped: no FUSE here: {error}"),
    };
    let reader = job.reader().unwrap();
    assert_eq!(epoch(&reader), (200, manifest.digest));
    let calls = fs::read_to_string(train.join(".calls")).unwrap();
    let opens = format!("open {}\n", manifest.shards.len());
    assert!(calls.contains("list 1\n") && calls.contains(&opens), "{calls}");
    drop(reader);
    drop(session);
}

/// Streams all shards through the FIFO of epoch 0, as SageMaker does.
fn stream(job: &Job, shards: &Path) -> std::thread::JoinHandle<std::io::Result<()>> {
    let fifo = job.path("input/data/train_0");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let mut shards: Vec<_> = fs::read_dir(shards).unwrap().map(|e| e.unwrap().path()).collect();
    shards.sort();
    std::thread::spawn(move || {
        let mut fifo = fs::OpenOptions::new().write(true).open(fifo)?;
        shards.iter().try_for_each(|path| std::io::Write::write_all(&mut fifo, &fs::read(path)?))
    })
}

#[test]
fn the_same_loop_reads_the_same_samples_from_a_pipe() {
    let (job, manifest) = Job::new(&FILE.replacen("File", "Pipe", 1), ONE_HOST);
    let (train, shards) = (job.path("input/data/train"), job.path("objects"));
    fs::rename(&train, &shards).unwrap();
    let writer = stream(&job, &shards);
    let reader = job.reader().unwrap();
    assert!(matches!(reader, ChannelReader::Stream(_)));
    assert_eq!(epoch(&reader), (200, manifest.digest));
    writer.join().unwrap().unwrap();
}

#[test]
fn shards_without_a_manifest_are_read_with_fewer_promises() {
    let (job, _) = Job::new(FILE, ONE_HOST);
    fs::remove_dir_all(job.path("input/data/manifest")).unwrap();
    let reader = job.reader().unwrap();
    assert!(!reader.promises().checked);
    assert_eq!(reader.epoch(0).map(Result::unwrap).count(), 200);
    let error = reader.seek().unwrap_err().to_string();
    assert!(error.contains("this channel is a stream"), "{error}");
    let (job, _) = Job::new(&FILE.replacen("File", "Pipe", 1), ONE_HOST);
    fs::remove_dir_all(job.path("input/data/manifest")).unwrap();
    let error = job.reader().unwrap_err().to_string();
    assert!(error.contains("is a Pipe and nothing says what is in it"), "{error}");
}
