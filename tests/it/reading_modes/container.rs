//! Training containers: a folder each, with configuration files and channels as SageMaker lays them
//! out, fed by real files, FUSE mounts and FIFOs.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, Mode as Permissions, OFlags, mkfifoat};
use serde_json::{Value, json};
use shardpack_manifest::Digest;

use crate::program::{Home, Ran, Random, Running, fuse_mount, train};

pub(super) const MODES: [Mode; 3] = [Mode::File, Mode::FastFile, Mode::Pipe];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    File,
    FastFile,
    Pipe,
}

/// Whether this machine can mount. Where it cannot it says so, past what the test harness holds back.
pub(crate) fn can_mount() -> bool {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &device {
        let line = format!("SKIPPED: FastFile was not tested: /dev/fuse: {error}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    device.is_ok()
}

/// A dataset in `packed` of two classes, some samples of which hold RecordIO's magic word.
pub(super) fn packed(samples: u64, pack: &str) -> Home {
    let home = Home::new();
    let mut random = Random(11);
    let two = !pack.contains("recordio");
    for i in 0..samples {
        let key = format!("src/{}/{i:04}", if i % 3 == 0 { "cat" } else { "dog" });
        let len = 4 * (50 + random.below(200));
        let mut body = random.bytes(len);
        if i % 7 == 0 {
            body.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
        }
        home.write(&format!("{key}.bin"), body);
        if two {
            home.write(&format!("{key}.txt"), format!("sample {i}\n"));
        }
    }
    home.line(&format!("pack src packed --quiet {pack}")).done();
    home
}

pub(super) fn manifest(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.path("packed/manifest.json")).unwrap()).unwrap()
}

/// The digest of all samples.
pub(super) fn whole(home: &Home) -> Digest {
    manifest(home)["digest"].as_str().expect("a digest").parse().unwrap()
}

/// The dataset's shards, in order.
pub(super) fn shards(home: &Home) -> Vec<PathBuf> {
    let manifest = manifest(home);
    let path = |shard: &Value| format!("packed/{}", shard["path"].as_str().expect("a path"));
    manifest["shards"].as_array().expect("shards").iter().map(|s| home.path(&path(s))).collect()
}

/// A host of a job.
pub(super) struct Container {
    base: PathBuf,
    /// What serves its channel.
    _served: Option<Served>,
}

impl Container {
    /// Host `host` of `hosts` in a folder `name`, whose channel `train` brings these shards.
    pub(super) fn new(
        home: &Home,
        name: &str,
        mode: Mode,
        shards: &[PathBuf],
        distribution: &str,
        [host, hosts]: [usize; 2],
    ) -> Self {
        let input = home.path(name).join("input");
        let (config, data) = (input.join("config"), input.join("data"));
        fs::create_dir_all(&config).unwrap();
        let names: Vec<String> = (1..=hosts).map(|host| format!("algo-{host}")).collect();
        // Sorted as text in one list, and not at all in the other.
        let mut sorted = names.clone();
        sorted.sort();
        let resources = json!({
            "current_group_name": "homogeneousCluster",
            "current_host": names[host],
            "current_instance_type": "ml.p4d.24xlarge",
            "hosts": sorted,
            "instance_groups": [{
                "hosts": names,
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.p4d.24xlarge",
            }],
            "network_interface_name": "eth0",
        });
        let channel = |mode: &str, distribution: &str| {
            json!({
                "TrainingInputMode": mode,
                "S3DistributionType": distribution,
                "RecordWrapperType": "None",
            })
        };
        let channels = json!({
            "train": channel(&format!("{mode:?}"), distribution),
            "manifest": channel("File", "FullyReplicated"),
        });
        fs::write(config.join("resourceconfig.json"), resources.to_string()).unwrap();
        fs::write(config.join("inputdataconfig.json"), channels.to_string()).unwrap();
        copy(&home.path("packed/index"), &data.join("manifest/index"));
        fs::copy(home.path("packed/manifest.json"), data.join("manifest/manifest.json")).unwrap();
        let served = serve(mode, &data.join("train"), &home.path(name).join("objects"), shards);
        Self { base: home.path(name), _served: served }
    }

    /// The training loop, which is told no mode.
    pub(super) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(train());
        command.args(["--channel", "train"]).args(args.split_whitespace());
        command.env("SAGEMAKER_BASE_DIR", &self.base);
        for variable in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SM_CHANNEL_TRAIN"]
        {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(super) fn start(&self, args: &str) -> Running {
        self.command(args).spawn().unwrap().into()
    }

    pub(super) fn run(&self, args: &str) -> Ran {
        self.start(args).end().done()
    }
}

/// The digests that a loop printed, by epoch.
pub(super) fn digests(ran: &Ran) -> Vec<(u64, Digest)> {
    let line = |line: &str| {
        let (epoch, digest) = line.strip_prefix("epoch ")?.split_once(": digest ")?;
        Some((epoch.parse().ok()?, digest.parse().ok()?))
    };
    ran.stdout.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// What brings the samples while a loop runs.
enum Served {
    Mount(Child),
    Pipe { fifos: Vec<PathBuf>, writer: Option<JoinHandle<()>>, over: Arc<AtomicBool> },
}

/// FIFOs that are there, one for each of as many epochs.
const EPOCHS: u64 = 4;

fn serve(mode: Mode, channel: &Path, objects: &Path, shards: &[PathBuf]) -> Option<Served> {
    let files = if mode == Mode::File { channel } else { objects };
    if mode != Mode::Pipe {
        fs::create_dir_all(files).unwrap();
        for shard in shards {
            fs::copy(shard, files.join(shard.file_name().unwrap())).unwrap();
        }
    }
    match mode {
        Mode::File => None,
        Mode::FastFile => {
            fs::create_dir_all(channel).unwrap();
            let mut mount = Command::new(fuse_mount());
            mount.args([objects, channel]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut mount = mount.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(mount.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "mounted\n");
            Some(Served::Mount(mount))
        }
        Mode::Pipe => Some(Served::pipe(channel, shards.to_vec())),
    }
}

impl Served {
    /// One FIFO an epoch, in each of which the shards come in the same order, one after the other.
    fn pipe(channel: &Path, shards: Vec<PathBuf>) -> Self {
        let fifo = |epoch| channel.with_file_name(format!("train_{epoch}"));
        let fifos: Vec<PathBuf> = (0..EPOCHS).map(fifo).collect();
        for fifo in &fifos {
            mkfifoat(CWD, fifo, Permissions::RUSR | Permissions::WUSR).unwrap();
        }
        let over = Arc::new(AtomicBool::new(false));
        let (paths, stop) = (fifos.clone(), Arc::clone(&over));
        let writer = thread::spawn(move || {
            for path in paths {
                let Ok(mut fifo) = OpenOptions::new().write(true).open(&path) else { return };
                // A reader that is gone is an epoch that is over.
                let _ = shards.iter().try_for_each(|shard| fifo.write_all(&fs::read(shard)?));
                drop(fifo);
                let _ = fs::remove_file(path);
                if stop.load(Relaxed) {
                    return;
                }
            }
        });
        Self::Pipe { fifos, writer: Some(writer), over }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        match self {
            Self::Mount(mount) => {
                drop(mount.stdin.take()); // it unmounts
                let _ = mount.wait();
            }
            Self::Pipe { fifos, writer, over } => {
                over.store(true, Relaxed);
                let writer = writer.take().expect("a writer");
                // It waits for a reader of its FIFO, whichever that is by now.
                while !writer.is_finished() {
                    fifos.iter().for_each(|fifo| drop(look(fifo)));
                    thread::yield_now();
                }
                let _ = writer.join();
            }
        }
    }
}

/// Opens a FIFO as a reader that does not wait.
fn look(fifo: &Path) -> Option<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(fifo).ok()
}
