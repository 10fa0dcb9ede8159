//! A command that maps samples: one process, asked one sample after another.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process_group};

use super::frame::Head;
use super::{Answer, MapCommand, Mapper, Sample, Trouble};
use crate::progress::Progress;

/// How often a thread that waits for an answer looks whether the run is to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long a command that closed stdout has for its last words.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Pipes of this size, where the system grants it: fewer turns for an image.
const PIPE: usize = 1 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// Chunks that are read before anything else is looked at.
const CHUNKS: usize = 16;
/// Lines of stderr that an error shows.
const SAID: usize = 5;
/// Commands that fail before one answers at all, until the run ends whatever `--map-errors` says.
const HOPELESS: u64 = 10;
/// Longest line of stderr that is passed on in one piece, in bytes.
const LINE: usize = 1_000;

/// Asks a command, and starts it anew when it failed.
pub(super) struct Asker<'a> {
    command: &'a MapCommand,
    /// Most bytes of an answer's bodies.
    most: usize,
    /// Stands before what it says.
    number: usize,
    progress: &'a Progress,
    running: Option<Running>,
    trials: &'a Trials,
}

/// How a command fares, over all threads of a run.
#[derive(Debug, Default)]
pub(super) struct Trials {
    answers: AtomicU64,
    /// Commands that failed.
    failures: AtomicU64,
}

impl Trials {
    /// Counts a failure; true when nothing ever answered, which no sample is to blame for.
    fn are_hopeless(&self) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        failures >= HOPELESS && self.answers.load(Relaxed) == 0
    }
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        command: &'a MapCommand,
        most: usize,
        number: usize,
        progress: &'a Progress,
        trials: &'a Trials,
    ) -> Self {
        Self { command, most, number, progress, running: None, trials }
    }

    /// Sends a sample and waits for its answer.
    fn ask(&self, running: &mut Running, head: &[u8], sample: &Sample) -> Result<Answer, Wrong> {
        let mut request = Request::new(head, sample);
        let deadline = Instant::now() + self.command.timeout;
        let (mut bytes, mut answer): (Vec<u8>, Option<Head>) = (Vec::new(), None);
        loop {
            if let Some(head) = &answer
                && bytes.len() >= head.bodies.end
                && request.is_sent()
            {
                break;
            }
            if self.progress.stopped() {
                return Err(Wrong::Stopped);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = self.command.timeout.as_secs_f64();
                return Err(Wrong::Answer(format!("no answer within {seconds} s (--map-timeout)")));
            }
            let ended = running.turn(&mut request, &mut bytes, left.min(TICK))?;
            if answer.is_none() {
                let found = self.command.frame.head(&bytes, sample, self.most);
                answer = found.map_err(Wrong::Answer)?;
            }
            let whole = answer.as_ref().is_some_and(|head| bytes.len() >= head.bodies.end);
            if ended && !whole {
                return Err(Wrong::Ended);
            }
            if ended {
                request.give_up(); // it answered, and wants no more of it
            }
        }
        match answer {
            Some(head) if bytes.len() == head.bodies.end => Ok(head.answer(bytes)),
            Some(head) => {
                let more = bytes.len() - head.bodies.end;
                Err(Wrong::Answer(format!("{more} bytes behind what the answer's lengths say")))
            }
            None => Err(Wrong::Ended),
        }
    }

    fn trouble(&mut self, wrong: Wrong) -> Trouble {
        let Some(running) = self.running.take() else { return Trouble::Stopped };
        let (status, said) = running.end();
        let reason = match wrong {
            Wrong::Stopped => return Trouble::Stopped,
            Wrong::Answer(reason) => reason,
            Wrong::Ended => format!("the command ended in the middle: {}", told(status)),
            Wrong::System(error) => format!("talking to the command: {error}"),
        };
        match self.trials.are_hopeless() {
            false => Trouble::Sample { reason, said },
            true => {
                let reason =
                    format!("{reason}; of {HOPELESS} that were started none ever answered");
                Trouble::Map { reason, said }
            }
        }
    }
}

impl Mapper for Asker<'_> {
    fn map(&mut self, sample: &Sample) -> Result<Answer, Trouble> {
        let alone = |reason: String| Trouble::Sample { reason, said: Vec::new() };
        let head = self.command.frame.request(sample).map_err(alone)?;
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(self.command, self.number).map_err(|error| Trouble::Map {
                reason: format!("the command cannot be started by sh: {error}"),
                said: Vec::new(),
            })?,
        };
        let asked = self.ask(&mut running, &head, sample);
        self.running = Some(running);
        match asked {
            Ok(answer) => {
                self.trials.answers.fetch_add(1, Relaxed);
                Ok(answer)
            }
            Err(wrong) => Err(self.trouble(wrong)),
        }
    }
}

impl Drop for Asker<'_> {
    /// The end of stdin is the end of the work; one that stays all the same is killed.
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stdin = None;
            if !self.progress.stopped() {
                running.wait_for_end(self.command.timeout);
            }
            running.end();
        }
    }
}

/// What is wrong with a command.
enum Wrong {
    Answer(String),
    Ended,
    System(std::io::Error),
    Stopped,
}

impl<E: Into<std::io::Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::System(error.into())
    }
}

fn told(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "its exit is not known".to_owned(), |status| status.to_string())
}

/// A request on its way: a head and bodies, none of them copied.
struct Request<'r> {
    parts: VecDeque<&'r [u8]>,
}

impl<'r> Request<'r> {
    fn new(head: &'r [u8], sample: &'r Sample) -> Self {
        let bodies = sample.fields.iter().map(|(_, body)| &body[..]);
        let parts = std::iter::once(head).chain(bodies).filter(|part| !part.is_empty());
        Self { parts: parts.collect() }
    }

    fn is_sent(&self) -> bool {
        self.parts.is_empty()
    }

    fn give_up(&mut self) {
        self.parts.clear();
    }

    /// Sends what the pipe takes.
    fn send(&mut self, to: &mut ChildStdin) -> std::io::Result<()> {
        while let Some(part) = self.parts.front_mut() {
            match to.write(part) {
                Ok(sent) => {
                    *part = part.get(sent..).unwrap_or_default();
                    if part.is_empty() {
                        self.parts.pop_front();
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It reads no more: whether it answered its stdout tells.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                    self.give_up();
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The process, and who watches over it.
struct Running {
    child: Child,
    group: Pid,
    guard: Guard,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    words: Words,
}

impl Running {
    fn start(command: &MapCommand, number: usize) -> std::io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", &command.command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us, who let the sample in hand end; and all its processes end at once.
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let prepared = (|| {
            let none = || std::io::Error::other("a pipe is missing");
            let (stdin, stdout) = (stdin.ok_or_else(none)?, stdout.ok_or_else(none)?);
            let stderr = stderr.ok_or_else(none)?;
            ioctl_fionbio(&stdin, true)?;
            ioctl_fionbio(&stdout, true)?;
            ioctl_fionbio(&stderr, true)?;
            let _ = fcntl_setpipe_size(&stdin, PIPE); // small pipes do as well
            let _ = fcntl_setpipe_size(&stdout, PIPE);
            Ok((stdin, stdout, stderr, Guard::over(group)?))
        })();
        match prepared {
            Ok((stdin, stdout, stderr, guard)) => {
                let words = Words::new(command.tell.clone(), format!("map {number}: "));
                let (stdin, stderr) = (Some(stdin), Some(stderr));
                Ok(Self { child, group, guard, stdin, stdout, stderr, words })
            }
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Waits until something can be sent or read, and does it. True when stdout has ended.
    fn turn(
        &mut self,
        request: &mut Request<'_>,
        bytes: &mut Vec<u8>,
        wait: Duration,
    ) -> std::io::Result<bool> {
        let mut ready = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        if let Some(stderr) = &self.stderr {
            ready.push(PollFd::new(stderr, PollFlags::IN));
        }
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !request.is_sent()) {
            ready.push(PollFd::new(stdin, PollFlags::OUT));
        }
        wait_for(&mut ready, wait)?;
        drop(ready);
        if let Some(stdin) = self.stdin.as_mut().filter(|_| !request.is_sent()) {
            request.send(stdin)?;
        }
        self.listen()?;
        fill(&mut self.stdout, bytes)
    }

    /// Passes on what stderr has.
    fn listen(&mut self) -> std::io::Result<()> {
        if let Some(stderr) = &mut self.stderr {
            let mut text = Vec::new();
            let ended = fill(stderr, &mut text)?;
            self.words.add(&text);
            if ended {
                self.stderr = None;
            }
        }
        Ok(())
    }

    /// Waits until it has closed stdout and stderr, as its end does.
    fn wait_for_end(&mut self, most: Duration) {
        let (deadline, mut nothing) = (Instant::now() + most, Request { parts: VecDeque::new() });
        let mut ended = false;
        while !(ended && self.stderr.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let turned = match ended {
                true => self.turn_stderr(left),
                false => self.turn(&mut nothing, &mut Vec::new(), left),
            };
            match turned {
                Ok(now) => ended = now || ended,
                Err(_) => return,
            }
        }
    }

    /// Waits for stderr alone: a stdout that has ended is always ready.
    fn turn_stderr(&mut self, wait: Duration) -> std::io::Result<bool> {
        if let Some(stderr) = &self.stderr {
            wait_for(&mut [PollFd::new(stderr, PollFlags::IN)], wait)?;
        }
        self.listen()?;
        Ok(true)
    }

    /// Ends it with all its processes: how it ended, and its last words.
    fn end(mut self) -> (Option<ExitStatus>, Vec<String>) {
        self.stdin = None;
        self.wait_for_end(LAST_WORDS);
        let _ = kill_process_group(self.group, Signal::KILL);
        // Until the child is waited for nobody else gets its number, so the guard goes first.
        self.guard.dismiss();
        let status = self.child.wait().ok();
        let _ = self.listen();
        (status, self.words.last())
    }
}

fn wait_for(ready: &mut [PollFd<'_>], wait: Duration) -> std::io::Result<()> {
    // Rounded up, so that the last millisecond is no busy one.
    let wait = wait + Duration::from_millis(1);
    let wait = Timespec {
        tv_sec: wait.as_secs().min(3_600) as i64,
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    match poll(ready, Some(&wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Appends what a pipe has; true at its end. Not for ever: a command may write faster than we read.
fn fill(from: &mut impl Read, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    for _ in 0..CHUNKS {
        let filled = bytes.len();
        bytes.resize(filled + CHUNK, 0);
        let read = from.read(bytes.get_mut(filled..).unwrap_or_default());
        bytes.truncate(filled + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

/// What a command says on stderr, in lines.
struct Words {
    tell: super::Tell,
    prefix: String,
    line: Vec<u8>,
    last: VecDeque<String>,
}

impl Words {
    fn new(tell: super::Tell, prefix: String) -> Self {
        Self { tell, prefix, line: Vec::new(), last: VecDeque::new() }
    }

    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b'\n' => self.end_line(),
                byte => self.line.push(byte),
            }
            if self.line.len() >= LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        self.tell.line(&format!("{}{line}", self.prefix));
        if self.last.len() == SAID {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn last(&mut self) -> Vec<String> {
        if !self.line.is_empty() {
            self.end_line();
        }
        std::mem::take(&mut self.last).into()
    }
}

/// A shell that waits at the end of a pipe which only we hold, and ends a group when we are gone,
/// even by SIGKILL. Between the start of the command and its own there is a moment in which nobody
/// watches; then the end of stdin still tells the command.
struct Guard {
    child: Child,
    line: Option<ChildStdin>,
}

impl Guard {
    fn over(group: Pid) -> std::io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", "read -r end || kill -s KILL -- \"-$1\"", "guard"])
            .arg(group.as_raw_nonzero().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// Sends it away.
    fn dismiss(&mut self) {
        if let Some(mut line) = self.line.take() {
            // One that was killed guards nothing.
            let _ = line.write_all(b"end\n");
        }
        let _ = self.child.wait();
    }
}
