//! The format of a log: its lines, whole, cut and damaged.

use super::*;

/// The text of one rank's log of one epoch.
fn text() -> (Job, String) {
    let mut job = Job::new();
    job.run(2, 25, 0);
    let mut files: Vec<_> =
        std::fs::read_dir(job.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text = std::fs::read_to_string(&files[0]).unwrap();
    (job, text)
}

#[test]
fn a_log_is_a_few_short_lines() {
    let (_job, text) = text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "begin, pass, first step, last step: {text}");
    assert!(lines[0].starts_with("coverage=1,rank=0,world=2,replicas=1,started="), "{text}");
    assert!(lines[1].starts_with("pass=0,from=0,steps=25,worker=0,workers=1,batch=1,"), "{text}");
    assert!(lines[2].starts_with("took=1,at=") && lines[3].starts_with("took=25,at="), "{text}");
    assert!(lines[3].len() < 60, "{text}");
}

#[test]
fn a_log_may_be_cut_anywhere() {
    let (_job, text) = text();
    let whole = Log::read("a", text.as_bytes()).unwrap().unwrap();
    let first = text.find('\n').unwrap();
    for len in 0..text.len() {
        let log = Log::read("a", &text.as_bytes()[..len]).unwrap();
        let at_end = len == 0 || text.as_bytes()[len - 1] == b'\n';
        match log {
            None => assert!(len <= first, "{len}"),
            Some(log) => {
                assert_eq!((log.torn, log.part), (!at_end, whole.part), "{len}");
                assert!(log.passes.iter().all(|pass| pass.took < 25), "{len}");
            }
        }
    }
    // The disk of a host that lost power: the end was never written.
    let zeroed = [&text.as_bytes()[..text.len() - 20], &[0; 20]].concat();
    assert!(Log::read("a", &zeroed[..]).unwrap().unwrap().torn);
}

#[test]
fn damage_before_the_last_line_names_the_line() {
    let (_job, text) = text();
    let last = text[..text.len() - 1].rfind('\n').unwrap();
    for at in 0..last {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let line = text[..at].matches('\n').count() as u64 + 1;
        match Log::read("a", &bytes[..]) {
            Err(Error::Log { file, line: found, .. }) => {
                assert_eq!((&*file, found), ("a", line), "byte {at}");
            }
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

/// Reads lines behind right checksums.
fn read(lines: &[&str]) -> crate::Result<Log> {
    let text: String = lines.iter().map(|line| lines::sealed(line)).collect();
    Ok(Log::read("a", text.as_bytes())?.unwrap())
}

#[test]
fn lines_that_make_no_sense_are_refused_behind_right_checksums() {
    let (_job, text) = text();
    let lines: Vec<&str> =
        text.lines().map(|line| line.rsplit_once(",crc32c=").unwrap().0).collect();
    read(&lines).unwrap();
    let (head, pass, last) = (lines[0], lines[1], lines[3]);
    for (lines, line) in [
        (vec![pass, head], 1),
        (vec![head, last], 2),
        (vec![head, head], 2),
        (vec![head, pass, last, lines[2]], 4),
        (vec![head, pass, "took=26,at=5"], 3),
        (vec![head, pass, "took=5"], 3),
        (vec![head, pass, "took=05,at=5"], 3),
        (vec![head, pass, "took=5,at=5,lost="], 3),
        (vec![head, pass, "took=5,at=5,lost=1+x"], 3),
        (vec![head, pass, "took=5,at=5,more=1"], 3),
        (vec![head, "pass=0,from=0,steps=25,worker=1,workers=1,batch=1"], 2),
        (vec![head, "stream=0,from=0,steps=25,skip=0,window=1"], 2),
        (vec![head, pass, "shards=0"], 3),
        (vec![head, "pass=0,from=0,steps=25,worker=0,workers=0,batch=1"], 2),
        (vec![head, "pass=0,from=0,steps=25,worker=0,workers=18446744073709551615,batch=2"], 2),
        (vec![head, "pass=0,from=0,steps=281474976710657,worker=0,workers=1,batch=1"], 2),
        (vec![&head.replace("world=2", "world=0"), pass], 1),
        (vec![&head.replace("rank=0", "rank=2"), pass], 1),
        (vec![&head.replace("samples=50", "samples=0"), pass], 1),
    ] {
        match read(&lines) {
            Err(Error::Log { line: found, .. }) => assert_eq!(found, line, "{lines:?}"),
            other => panic!("{lines:?}: {other:?}"),
        }
    }
    let later = read(&[&head.replace("coverage=1", "coverage=3")]);
    assert!(matches!(later, Err(Error::Version { found: 3, newest: 2 })));
}

#[test]
fn a_log_of_a_stream_has_lines_of_its_own() {
    let (_job, text) = text();
    let head = text.lines().next().unwrap().rsplit_once(",crc32c=").unwrap().0;
    let head = &*head.replace("coverage=1", "coverage=2");
    let host = &*head.replace("started=", "host=1,hosts=3,started=");
    let stream = "stream=2,from=4,steps=20,skip=3,window=64";
    let log = read(&[host, stream, "shards=1+0", "shards=4294967295", "took=5,at=9,lost=8"]);
    let log = log.unwrap();
    let pass = &log.passes[0];
    assert_eq!(log.host, Some(shardpack_channel::Rank { rank: 1, world: 3 }));
    assert_eq!((pass.start, pass.took), (Cursor { epoch: 2, consumed: 4 }, 5));
    assert_eq!(pass.stream.as_ref().unwrap().shards, [1, 0, u32::MAX]);
    // What a reader that was resumed in a stream says of its start.
    let resumed = &*format!("{},streamed=4:2", head.replace("consumed=0", "consumed=10"));
    let log = read(&[resumed]).unwrap();
    assert_eq!((log.state.streamed, log.state.consumed), (None, 10));
    for (lines, line) in [
        (vec![head, "pass=0,from=0,steps=25,worker=0,workers=1,batch=1"], 2),
        (vec![head, "shards=0"], 2),
        (vec![head, "stream=0,from=0,steps=25,skip=26,window=1"], 2),
        (vec![head, "stream=0,from=0,steps=25,skip=0,window=1048577"], 2),
        (vec![head, "stream=0,from=0,steps=25,skip=0"], 2),
        (vec![head, stream, "shards="], 3),
        (vec![head, stream, "shards=1+"], 3),
        (vec![head, stream, "shards=4294967296"], 3),
        (vec![head, stream, "took=2,at=5"], 3),
        (vec![&head.replace("started=", "host=3,hosts=3,started=")], 1),
        (vec![&head.replace("started=", "host=3,started=")], 1),
    ] {
        match read(&lines) {
            Err(Error::Log { line: found, .. }) => assert_eq!(found, line, "{lines:?}"),
            other => panic!("{lines:?}: {other:?}"),
        }
    }
}
