//! Real FIFOs and writers of every temper.

use std::io::{ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use shardpack_reader::pipe::{Awaited, Pipe, PipeOptions};
use shardpack_reader::plan::{Shuffle, Tail};
use shardpack_reader::stream::Streamed;
use shardpack_reader::{Error, ReadOptions};

use crate::support::*;

/// Short enough to wait for what does not come.
const SHORT: Duration = Duration::from_millis(200);

fn streamed(set: &Set, pipe: Pipe) -> Streamed {
    let mut options: ReadOptions = options(Tail::Mask);
    options.plan.shuffle = Shuffle::Off;
    options.memory = 1; // a batch at a time: the thread must wait for the loop
    Streamed::new(Arc::new(pipe), set.contents(None), part(0, 1), options, None).unwrap()
}

fn first_error(set: &Set, pipe: Pipe) -> Error {
    streamed(set, pipe).epoch(0).find_map(Result::err).expect("an error")
}

#[test]
fn each_epoch_takes_the_next_fifo_made_early_or_late() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let streamed = streamed(&set, fifos.pipe());
    let early = write(&fifos.make(0), set.all(), 1 << 16);
    let path = fifos.path(1);
    let bytes = set.joined(set.shuffled(5));
    // Made only once its epoch is asked for: whichever comes first waits for the other.
    let (ask, asked) = channel();
    let late = thread::spawn(move || {
        asked.recv().unwrap();
        make(&path);
        write(&path, bytes, 1 << 16).join().unwrap()
    });
    for epoch in 0..2 {
        if epoch == 1 {
            ask.send(()).unwrap();
        }
        let mut seen = Seen::default();
        seen.read(&mut streamed.epoch(epoch), usize::MAX);
        seen.whole(&set.manifest);
    }
    early.join().unwrap().unwrap();
    late.join().unwrap().unwrap();
}

#[test]
fn one_byte_at_a_time_is_enough() {
    for format in FORMATS {
        let set = Make::tiny(format).dataset();
        assert!(set.manifest.shards.len() > 1, "{format}");
        let fifos = Fifos::new();
        let writer = write(&fifos.make(0), set.all(), 1);
        let mut seen = Seen::default();
        seen.read(&mut streamed(&set, fifos.pipe()).epoch(0), usize::MAX);
        seen.whole(&set.manifest);
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn what_arrived_is_handed_out_before_the_writer_goes_on() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let path = fifos.make(0);
    let (go_on, told) = channel();
    let bytes = set.all();
    let first = set.shard(0).len();
    let writer = thread::spawn(move || {
        let mut fifo = open(&path);
        fifo.write_all(&bytes[..first]).unwrap();
        told.recv().unwrap();
        fifo.write_all(&bytes[first..]).unwrap();
    });
    let mut samples = streamed(&set, fifos.pipe()).epoch(0);
    let mut seen = Seen::default();
    let burst = set.manifest.shards[0].samples as usize;
    seen.read(&mut samples, burst);
    assert_eq!(seen.steps, [burst as u64]);
    go_on.send(()).unwrap();
    seen.keys.extend(samples.by_ref().map(|sample| (sample.unwrap().key().to_owned(), 1)));
    assert_eq!(seen.keys.len(), 300);
    assert_eq!(samples.digest(), set.manifest.digest);
    writer.join().unwrap();
}

#[test]
fn one_that_is_left_early_is_closed_and_the_next_can_be_read_at_once() {
    let set = Make::new("webdataset").dataset();
    let fifos = Fifos::new();
    let (first, second) = (fifos.make(0), fifos.make(1));
    // More than a pipe and what is read ahead.
    let long = std::iter::repeat_n(set.all(), 20).flatten().collect();
    let writer = write(&first, long, 1 << 16);
    let next = write(&second, set.all(), 1 << 16);
    let streamed = streamed(&set, fifos.pipe());
    let mut samples = streamed.epoch(0);
    assert!(samples.next().unwrap().is_ok());
    drop(samples);
    let mut seen = Seen::default();
    seen.read(&mut streamed.epoch(1), usize::MAX);
    seen.whole(&set.manifest);
    let error = writer.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    next.join().unwrap().unwrap();
}

#[test]
fn a_writer_of_another_process_is_told_by_a_signal() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let path = fifos.make(0);
    let data = fifos.0.path().join("data");
    // Whole shards for longer than a pipe holds, so that the writer is stopped within.
    let copies: Vec<u8> = std::iter::repeat_n(set.all(), 200).flatten().collect();
    std::fs::write(&data, copies).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", r#"exec cat "$0" > "$1""#])
        .args([&data, &path])
        .spawn()
        .unwrap();
    let mut samples = streamed(&set, fifos.pipe()).epoch(0);
    assert!(samples.next().unwrap().is_ok());
    drop(samples);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::PIPE.as_raw()));
}

#[test]
fn one_that_is_left_while_its_writer_is_silent_is_closed_too() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let (first, second) = (fifos.make(0), fifos.make(1));
    let (closed, told) = channel();
    let bytes = set.shard(0);
    let writer = thread::spawn(move || {
        let mut fifo = open(&first);
        fifo.write_all(&bytes).unwrap();
        told.recv().unwrap();
        fifo.write_all(&bytes).unwrap_err().kind()
    });
    let streamed = streamed(&set, fifos.pipe());
    let mut samples = streamed.epoch(0);
    let whole = set.manifest.shards[0].samples as usize;
    assert!(samples.by_ref().take(whole).all(|sample| sample.is_ok()));
    drop(samples); // the thread waits for bytes
    let next = write(&second, set.all(), 1 << 16);
    let mut seen = Seen::default();
    seen.read(&mut streamed.epoch(1), usize::MAX);
    seen.whole(&set.manifest);
    closed.send(()).unwrap();
    assert_eq!(writer.join().unwrap(), ErrorKind::BrokenPipe);
    next.join().unwrap().unwrap();
}

#[test]
fn a_writer_that_dies_is_a_shard_that_is_cut() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let path = fifos.make(0);
    let part = set.joined(0..2).len() + 100;
    let writer = write(&path, set.all()[..part].to_vec(), 1 << 16);
    let error = first_error(&set, fifos.pipe());
    let third = &set.manifest.shards[2].path;
    assert!(matches!(&error, Error::Shard { shard, .. } if shard == third), "{error}");
    writer.join().unwrap().unwrap();
}

#[test]
fn silence_is_an_error_that_says_how_long_and_after_what() {
    let set = Make::new("tfrecord").dataset();
    let wait = |pipe: Pipe| match first_error(&set, pipe) {
        Error::Stalled(stalled) => stalled,
        other => panic!("{other}"),
    };
    let fifos = Fifos::new();
    let stalled = wait(fifos.patient(SHORT, PATIENT));
    assert_eq!((&*stalled.pipe, stalled.awaited), ("train_0", Awaited::Fifo));
    assert!(stalled.waited >= SHORT);

    let path = fifos.make(0);
    let stalled = wait(fifos.patient(SHORT, PATIENT));
    assert_eq!((&*stalled.pipe, stalled.awaited), ("train_0", Awaited::Writer));

    let (done, finished) = channel::<()>();
    let writer = thread::spawn(move || {
        let mut fifo = open(&path);
        fifo.write_all(&[3, 0, 0, 0, 0]).unwrap();
        finished.recv().unwrap_err(); // holds it open until the reader has given up
    });
    let stalled = wait(fifos.patient(PATIENT, SHORT));
    assert_eq!(stalled.awaited, Awaited::Bytes { after: 5 });
    assert!(stalled.waited >= SHORT);
    assert!(stalled.to_string().starts_with("train_0: its writer fell silent after 5 bytes"));
    drop(done);
    writer.join().unwrap();
}

#[test]
fn a_fifo_that_was_used_up_is_passed_over() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let writer = write(&fifos.make(2), set.all(), 1 << 16);
    let pipe = fifos.pipe();
    let mut seen = Seen::default();
    seen.read(&mut streamed(&set, pipe.clone()).epoch(0), usize::MAX);
    seen.whole(&set.manifest);
    assert_eq!(pipe.next(), 3);
    writer.join().unwrap().unwrap();

    // One that nobody will write to any more is removed while it is waited for.
    let fifos = Fifos::new();
    let stale = fifos.make(0);
    let pipe = fifos.pipe();
    let reader = {
        let (set, pipe) = (set.clone(), pipe.clone());
        thread::spawn(move || {
            let mut seen = Seen::default();
            seen.read(&mut streamed(&set, pipe).epoch(0), usize::MAX);
            seen.whole(&set.manifest);
        })
    };
    while pipe.next() == 0 {
        thread::yield_now();
    }
    let writer = write(&fifos.make(1), set.all(), 1 << 16);
    std::fs::remove_file(stale).unwrap();
    reader.join().unwrap();
    writer.join().unwrap().unwrap();
}

#[test]
fn a_second_reader_is_refused_and_the_first_goes_on() {
    let set = Make::new("tfrecord").dataset();
    let fifos = Fifos::new();
    let (path, bytes) = (fifos.make(0), set.all());
    let (go_on, told) = channel();
    let writer = thread::spawn(move || {
        let mut fifo = open(&path);
        fifo.write_all(&bytes[..1000]).unwrap();
        told.recv().unwrap();
        fifo.write_all(&bytes[1000..]).unwrap();
    });
    let reader = streamed(&set, fifos.pipe());
    let mut samples = reader.epoch(0);
    let mut seen = Seen::default();
    seen.read(&mut samples, 1);
    // Another handle, as another process would have it; then the same one, for its next epoch.
    let busy = |error: Error| match error {
        Error::Busy { pipe, holder } => (pipe, holder),
        other => panic!("{other}"),
    };
    let (pipe, holder) = busy(first_error(&set, fifos.pipe()));
    assert_eq!(pipe, "train_0");
    assert_eq!(holder, format!("process {}, reading train_0", std::process::id()));
    let (pipe, holder) = busy(reader.epoch(1).find_map(Result::err).unwrap());
    assert_eq!(pipe, "train_1");
    assert!(holder.contains("not done with train_0"), "{holder}");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fifo::read_in_another_process", "--ignored", "--nocapture"])
        .env(FOLDER, fifos.0.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let holder = format!("train_0: read by process {}", std::process::id());
    assert!(said.contains(&holder), "{said}");
    go_on.send(()).unwrap();
    seen.steps.clear();
    seen.read(&mut samples, usize::MAX);
    assert_eq!(seen.keys.len(), 300);
    assert_eq!(samples.digest(), set.manifest.digest);
    writer.join().unwrap();
}

/// Where the process below reads.
const FOLDER: &str = "SHARDPACK_TEST_FIFOS";

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn read_in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = std::path::PathBuf::from(folder);
    let options = PipeOptions { locks: Some(folder.join("locks")), ..PipeOptions::default() };
    let set = Make::tiny("tfrecord").dataset();
    println!("{}", first_error(&set, Pipe::new(folder.join("train"), options)));
}

#[test]
fn what_is_no_fifo_and_what_is_empty_is_said() {
    let set = Make::new("webdataset").dataset();
    let fifos = Fifos::new();
    std::fs::write(fifos.path(0), "a file").unwrap();
    let error = first_error(&set, fifos.pipe()).to_string();
    assert!(error.contains("train_0 is no FIFO"), "{error}");

    let fifos = Fifos::new();
    let writer = write(&fifos.make(0), Vec::new(), 1);
    let error = first_error(&set, fifos.pipe());
    let first = &set.manifest.shards[0].path;
    assert!(matches!(&error, Error::Shard { shard, .. } if shard == first), "{error}");
    assert!(error.to_string().contains("did not come in train_0, nor did"), "{error}");
    writer.join().unwrap().unwrap();
}
