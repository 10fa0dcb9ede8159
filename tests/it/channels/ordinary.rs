//! Agents of a user who is not root, at a root of their own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Lab, digests, mounts};
use crate::program::{Ran, Running, binary, train};

/// Nobody, by number, where these tests are root's.
const NOBODY: u32 = 65534;

/// The lab, and programs and a folder that anybody may use.
struct Ordinary {
    lab: Lab,
    program: PathBuf,
    train: PathBuf,
}

impl Ordinary {
    fn new() -> Self {
        let lab = Lab::new("--format tfrecord").with_meta();
        let home = lab.home.path("");
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
        open(&home).expect("a folder");
        let copy = |from: &Path, name: &str| {
            let to = home.join(name);
            let linked = fs::hard_link(from, &to).or_else(|_| fs::copy(from, &to).map(drop));
            linked.and_then(|()| open(&to)).expect("a program");
            to
        };
        let (program, train) = (copy(binary(), "shardpack"), copy(train(), "train"));
        fs::create_dir(home.join("mine")).expect("a folder");
        if is_root() {
            chown(home.join("mine"), Some(NOBODY), Some(NOBODY)).expect("an owner");
        }
        Self { lab, program, train }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.lab.home.path("mine")).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(self.lab.server.environment());
        for name in ["SM_CHANNEL_TRAIN", "SAGEMAKER_BASE_DIR", "RANK", "WORLD_SIZE", "LOCAL_RANK"] {
            command.env_remove(name);
        }
        command
    }

    /// `channels ...`, as nobody.
    fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.command(&self.program);
        command.arg("channels").args(args);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Running::from(command.spawn().expect("the program runs")).end()
    }

    fn train(&self, mode: &str) -> Ran {
        let source = format!("train=s3://{}/set/shards/,mode={mode}", super::S3Server::BUCKET);
        let meta = format!("manifest={}", self.lab.home.path("meta").display());
        let train = self.train.display().to_string();
        let args = ["run", "--quiet", "--root", mode, "--channel", &source, "--channel", &meta];
        self.run(&[&args[..], &["--", &train, "--channel", "train", "--epochs", "2"]].concat())
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether nobody may mount here: the device is open to all, and a helper is there.
fn nobody_mounts() -> bool {
    let device = fs::metadata("/dev/fuse").is_ok_and(|found| found.permissions().mode() & 0o6 == 6);
    device && has_helper()
}

fn has_helper() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/bin", "/sbin"].map(PathBuf::from));
    folders.into_iter().any(|f| ["fusermount3", "fusermount"].iter().any(|n| f.join(n).exists()))
}

#[test]
fn copies_and_streams_need_no_root_and_mounts_say_what_they_need() {
    let ordinary = Ordinary::new();
    let whole = ordinary.lab.whole();
    for mode in ["File", "Pipe"] {
        let ran = ordinary.train(mode).done();
        assert_eq!(digests(&ran), [whole, whole], "{mode}");
    }
    let owner = fs::metadata(ordinary.lab.home.path("mine/File/input/config")).expect("a folder");
    assert!(!is_root() || owner.uid() == NOBODY, "nobody made it");
    let ran = ordinary.train("FastFile");
    if nobody_mounts() {
        assert_eq!(digests(&ran.done()), [whole, whole]);
        assert!(mounts(&ordinary.lab.home.path("mine")).is_empty());
    } else {
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        let parts = ["FastFile needs FUSE", "root"];
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
        assert!(!ordinary.lab.home.path("mine/FastFile").exists(), "nothing was created");
    }
}

/// With the device open to all, and nobody to help: in a space of mounts of its own, where the
/// device is another.
#[test]
fn a_missing_helper_is_named_before_anything_is_there() {
    if !is_root() || has_helper() {
        return;
    }
    let ordinary = Ordinary::new();
    let script = "mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse || exit 77\n\
                  exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
    let mut command = ordinary.command(Path::new("unshare"));
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&ordinary.program);
    let source = format!("x=s3://{}/set/shards/,mode=FastFile", super::S3Server::BUCKET);
    command.args(["channels", "run", "--root", "r", "--channel", &source, "--", "true"]);
    let Ok(child) = command.spawn() else { return };
    let ran = Running::from(child).end();
    if ran.code == Some(77) {
        eprintln!("SKIPPED: no other device here: {}", ran.stderr);
        return;
    }
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no fusermount3"), "{}", ran.stderr);
    assert!(!ordinary.lab.home.path("mine/r").exists());
}

#[test]
fn a_root_that_belongs_to_another_is_named_with_the_way_out() {
    let ordinary = Ordinary::new();
    if !is_root() {
        return;
    }
    let theirs = ordinary.lab.home.path("theirs");
    fs::create_dir(&theirs).expect("a folder");
    let root = theirs.join("ml").display().to_string();
    let source = format!("x=s3://{}/set/shards/", super::S3Server::BUCKET);
    let ran = ordinary.run(&["run", "--root", &root, "--channel", &source, "--", "true"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let parts = [&*root, "ermission denied", "--root"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
}
