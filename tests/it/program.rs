//! The program as its users run it, and trees for it to pack.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary: `$SHARDPACK`, else built here, once.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SHARDPACK") {
        Some(binary) => fs::canonicalize(&binary).expect("$SHARDPACK names the binary"),
        None => build(["--bin", "shardpack"]),
    })
}

/// The reader's example of a training loop.
pub(crate) fn train() -> &'static Path {
    static TRAIN: OnceLock<PathBuf> = OnceLock::new();
    TRAIN.get_or_init(|| build(["--example", "train"]))
}

/// What mounts a folder as FastFile would.
pub(crate) fn fuse_mount() -> &'static Path {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    MOUNT.get_or_init(|| build(["--bin", "fuse-mount"]))
}

fn build(target: [&str; 2]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells this test of its package would make ring, which asks for it, build anew.
    let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
            command.env_remove(name);
        }
    }
    let output = command
        // The whole workspace chosen, so that dependencies are built as they are for the tests.
        .args(["build", "--workspace"])
        .args(target)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "it does not build");
    let messages = String::from_utf8(output.stdout).expect("UTF-8");
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(executable).next_back().expect("cargo names the binary")
}

/// What a run left.
pub(crate) struct Ran {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// A folder of its own, and the program run in it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, body: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, body).expect("a file");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("the program runs"))
    }

    /// The same, with the arguments in one line.
    pub(crate) fn line(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn start(&self, line: &str) -> Running {
        let args: Vec<&str> = line.split_whitespace().collect();
        self.command(&args).spawn().expect("the program runs").into()
    }

    /// Bytes of every file below a folder, hidden ones included, by path. Nothing may be at work in it.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(folder);
        let read = |name: String| {
            let bytes = fs::read(root.join(&name)).expect("a file");
            (name, bytes)
        };
        self.names(folder).into_iter().map(read).collect()
    }

    /// The paths of these files, also while somebody makes and removes some.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let root = self.path(folder);
        let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below").display().to_string();
                    found.push(name);
                }
            }
        }
        found
    }
}

/// A file system of its own in a folder of its own, until dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// None without the right to mount; `options` are those of tmpfs.
    pub(crate) fn mount(home: &Home, name: &str, options: &str) -> Option<Self> {
        let (path, options) = (home.path(name), std::ffi::CString::new(options).ok()?);
        fs::create_dir(&path).ok()?;
        mount("tmpfs", &path, "tmpfs", MountFlags::empty(), options.as_c_str()).ok()?;
        Some(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A program that runs; killed when it is dropped.
pub(crate) struct Running(Option<Child>);

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("not ended")
    }

    /// Waits for something to happen; false when the program ended first.
    pub(crate) fn until(&mut self, mut event: impl FnMut() -> bool) -> bool {
        loop {
            if event() {
                return true;
            }
            if self.child().try_wait().expect("a child").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
    }

    pub(crate) fn id(&mut self) -> u32 {
        self.child().id()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_child(self.child());
        let _ = kill_process(pid, signal); // it may have ended by itself
    }

    pub(crate) fn end(mut self) -> Ran {
        let child = self.0.take().expect("not ended");
        Ran::of(child.wait_with_output().expect("a child"))
    }

    /// Kills it; true when it had not ended by itself.
    pub(crate) fn kill(mut self) -> bool {
        self.signal(Signal::KILL);
        self.child().wait().expect("a child").signal().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Numbers that look random: splitmix64, the same from the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
