//! A reader in a process that was forked off: as data loaders make their workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid,
};

use super::*;

/// Runs `work` in a process that is forked off, and ends that.
#[allow(unsafe_code, reason = "no library forks without; the child's threads are its own")]
fn fork(work: impl FnOnce()) -> Pid {
    // SAFETY: between fork and _exit the child takes no lock but those of the code under test,
    // which is what is tested, and the allocator's, which the C library keeps whole.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // A test that failed leaves no children behind that hang.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        let done = catch_unwind(AssertUnwindSafe(work));
        // SAFETY: ends the process; the test harness must not run on in it.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }
    Pid::from_raw(pid).expect("a process")
}

/// Ends the program if the test still runs after two minutes: a parent can hang as well, on what
/// its children do to it.
fn deadline() -> mpsc::Sender<()> {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        if end.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a test of forks hangs");
            std::process::abort();
        }
    });
    ended
}

/// Waits for a child; one that hangs is a failure, not a test that never ends.
#[track_caller]
fn join(pid: Pid) {
    let start = Instant::now();
    loop {
        match waitpid(Some(pid), WaitOptions::NOHANG).expect("a child") {
            Some((_, status)) => return assert_eq!(status.exit_status(), Some(0), "{status:?}"),
            None if start.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            None => {
                kill_process(pid, Signal::KILL).expect("a child");
                let _ = waitpid(Some(pid), WaitOptions::empty());
                panic!("the child hangs");
            }
        }
    }
}

#[test]
fn a_reader_that_was_made_before_works_in_all_children_and_in_the_parent() {
    let (_deadline, server, folder) = (deadline(), server(), tempfile::tempdir().unwrap());
    for folder in [None, Some(folder.path())] {
        let reader = reader(&server, folder);
        let read = |epoch| drop(whole(&reader, &mut reader.epoch(epoch)));
        let children: Vec<Pid> = (0..3).map(|i| fork(|| read(i))).collect();
        read(0);
        children.into_iter().for_each(join);
        // A child's child, of a parent that has read.
        join(fork(|| {
            read(1);
            join(fork(|| read(2)));
            read(3);
        }));
        read(4);
    }
}

/// Threads of the parent are in the middle of requests, and hold what locks they like.
#[test]
fn an_epoch_goes_on_in_a_child() {
    let (_deadline, server, folder) = (deadline(), server(), tempfile::tempdir().unwrap());
    for (round, folder) in [None, Some(folder.path()), None, None].into_iter().enumerate() {
        let reader = reader(&server, folder);
        let mut samples = reader.epoch(round as u64);
        for _ in 0..1 + 9 * round {
            samples.next().unwrap().unwrap();
        }
        let mut child = Some(samples);
        let pid = fork(|| {
            let mut samples = child.take().unwrap();
            whole(&reader, &mut samples);
            drop((samples, reader.clone())); // what is the parent's is not waited for
        });
        whole(&reader, child.as_mut().unwrap());
        join(pid);
    }
}
