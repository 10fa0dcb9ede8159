use std::fs::{self, File};
use std::io::Write as _;

use shardpack_channel::{Assign, ChannelRequest, Distribution, InputMode, Rank};
use shardpack_formats::{DecodeOptions, Record, recordio};
use shardpack_manifest::sagemaker::AugmentedManifest;

use super::*;
use crate::Faults;
use crate::objects::{LocalObjects, Objects};
use crate::survey::Contents;

fn shared(faults: Faults) -> Shared {
    let link = Arc::new(Link::new(faults, Stop::default()));
    let crew = Arc::new(Crew::start(4).unwrap());
    Shared { crew, memory: Memory::new(64 << 20), link, tell: crate::Tell::default() }
}

/// A channel of files `0`, `1`, ... with these bytes.
fn channel(folder: &Path, bodies: &[&[u8]]) -> Surveyed {
    fs::create_dir_all(folder).unwrap();
    for (i, body) in bodies.iter().enumerate() {
        fs::write(folder.join(i.to_string()), body).unwrap();
    }
    let objects: Arc<dyn Objects> = Arc::new(LocalObjects::list(folder).unwrap());
    let files = (0..objects.len()).map(|i| (i, objects.key(i).to_owned())).collect();
    Surveyed {
        request: ChannelRequest::s3("train", "s3://bucket/x/", InputMode::Pipe),
        contents: Contents::Objects { objects, files, folders: Vec::new() },
        rank: Rank { rank: 0, world: 1 },
        assign: Assign::default(),
    }
}

/// Reads whole epochs of a channel.
fn epochs(channel: Surveyed, faults: Faults, count: u64) -> Vec<Vec<u8>> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("train");
    let pipe = Pipe::start(Arc::new(channel), path.clone(), shared(faults)).unwrap();
    let read = |epoch| {
        let mut bytes = Vec::new();
        File::open(fifo_path(&path, epoch)).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(fifo_path(&path, epoch + 1).exists(), "the next is there when one ends");
        bytes
    };
    let all = (0..count).map(read).collect();
    drop(pipe);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "no FIFO is left");
    all
}

fn slow() -> Faults {
    // Anything that makes bytes be counted: they take the longer way.
    Faults { drop_after: Some(u64::MAX), ..Faults::default() }
}

#[test]
fn objects_stand_one_after_another_epoch_after_epoch() {
    let home = tempfile::tempdir().unwrap();
    let long = vec![7; 3 << 20];
    for faults in [Faults::default(), slow()] {
        let channel = channel(home.path(), &[b"one", b"", &long, b"two"]);
        let all = epochs(channel, faults, 3);
        let wanted = [&b"one"[..], &long, b"two"].concat();
        assert!(all.iter().all(|epoch| *epoch == wanted));
    }
}

#[test]
fn a_reader_may_leave_and_the_next_epoch_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let long = vec![7; 8 << 20];
    let channel = channel(home.path(), &[&long]);
    let pipes = tempfile::tempdir().unwrap();
    let path = pipes.path().join("train");
    let pipe = Pipe::start(Arc::new(channel), path.clone(), shared(Faults::default())).unwrap();
    drop(File::open(fifo_path(&path, 0)).unwrap()); // opened and left at once
    let mut one = [0; 1];
    File::open(fifo_path(&path, 1)).unwrap().read_exact(&mut one).unwrap();
    let mut bytes = Vec::new();
    let mut third = File::open(fifo_path(&path, 2)).unwrap();
    third.read_to_end(&mut bytes).unwrap();
    assert!(bytes == long && !fifo_path(&path, 1).exists());
    drop(pipe);
}

#[test]
fn a_stream_is_cut_on_demand() {
    let home = tempfile::tempdir().unwrap();
    let channel = channel(home.path(), &[b"0123456789"]);
    let faults = Faults { drop_after: Some(4), ..Faults::default() };
    assert_eq!(epochs(channel, faults, 2), [b"0123", b"0123"]);
}

#[test]
fn an_epoch_has_its_own_order_and_hosts_share_it() {
    let home = tempfile::tempdir().unwrap();
    let bodies: Vec<Vec<u8>> = (0..20).map(|i| vec![b'a' + i]).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let host = |rank| {
        let mut channel = channel(home.path(), &bodies);
        channel.request.shuffle_seed = Some(5);
        channel.request.s3_mut().unwrap().distribution = Distribution::ShardedByS3Key;
        channel.rank = Rank { rank, world: 2 };
        epochs(channel, Faults::default(), 2)
    };
    let (first, second) = (host(0), host(1));
    assert_ne!(first[0], first[1]);
    for epoch in 0..2 {
        let mut all = [&first[epoch][..], &second[epoch]].concat();
        all.sort_unstable();
        assert_eq!(all, bodies.concat());
    }
}

fn records(stream: &[u8]) -> Vec<Vec<u8>> {
    let options = DecodeOptions::default();
    // As SageMaker's readers join what is split, so nothing may be.
    let mut decoder = recordio::payloads(Box::new(stream), &options, false);
    let (mut record, mut all) = (Record::default(), Vec::new());
    while decoder.read(&mut record).unwrap() {
        all.push(record.sample.field("data").unwrap().to_vec());
    }
    all
}

#[test]
fn gzip_is_inflated_object_by_object_and_objects_are_wrapped() {
    let home = tempfile::tempdir().unwrap();
    let gzip = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut writer = Compression::Gzip.writer(None, Box::new(&mut out)).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        out
    };
    let magic = 0xced7_230a_u32.to_le_bytes();
    let two = [gzip(b"two "), gzip(&magic)].concat(); // several members are one stream
    let bodies: [&[u8]; 3] = [&gzip(b"one "), b"", &two];
    let plain = {
        let mut channel = channel(home.path(), &bodies);
        channel.request.compression = CompressionType::Gzip;
        epochs(channel, Faults::default(), 1)
    };
    assert_eq!(plain[0], [&b"one two "[..], &magic].concat());
    let mut wrapped = channel(home.path(), &bodies);
    wrapped.request.compression = CompressionType::Gzip;
    wrapped.request.wrapper = RecordWrapper::RecordIo;
    let wrapped = epochs(wrapped, Faults::default(), 1);
    assert_eq!(records(&wrapped[0]), [b"one ".to_vec(), vec![], [&b"two "[..], &magic].concat()]);
}

#[test]
fn an_object_is_a_record_whether_it_is_spliced_or_fetched() {
    let home = tempfile::tempdir().unwrap();
    let magic = 0xced7_230a_u32.to_le_bytes();
    // Longer than a fetched piece, with a magic word across the end of the first, and at the ends.
    let mut long: Vec<u8> = (0..(9 << 20) + 3).map(|i: u32| (i % 251) as u8).collect();
    for at in [0, (8 << 20) - 4, 8 << 20, (9 << 20) - 4] {
        long[at..at + 4].copy_from_slice(&magic);
    }
    let bodies: [&[u8]; 4] = [b"cat", &long, b"", &magic];
    let streams = [Faults::default(), slow()].map(|faults| {
        let mut channel = channel(home.path(), &bodies);
        channel.request.wrapper = RecordWrapper::RecordIo;
        epochs(channel, faults, 2)
    });
    assert!(streams[0] == streams[1], "the same bytes either way");
    assert!(records(&streams[0][1]) == bodies);
}

#[test]
fn lines_come_attribute_by_attribute() {
    let home = tempfile::tempdir().unwrap();
    for (name, body) in [("cat", "meow"), ("dog", "wuff")] {
        fs::write(home.path().join(name), body).unwrap();
    }
    let text = "{\"image-ref\":\"s3://b/cat\",\"class\":1,\"box\":[1, 2]}\n\
                {\"class\":\"dog\",\"image-ref\":\"s3://b/dog\",\"box\":{}}\n";
    let lines = AugmentedManifest::parse(text.as_bytes(), &["class", "image-ref", "box"]).unwrap();
    let paths = ["cat", "dog"].map(|name| home.path().join(name));
    let objects: Arc<dyn Objects> = Arc::new(LocalObjects::named(&paths).unwrap());
    let mut request = ChannelRequest::s3("train", "s3://b/lines", InputMode::Pipe);
    request.wrapper = RecordWrapper::RecordIo;
    let contents = Contents::Lines { objects, lines: Arc::new(lines) };
    let (rank, assign) = (Rank { rank: 0, world: 1 }, Assign::default());
    let all = epochs(Surveyed { request, contents, rank, assign }, Faults::default(), 1);
    let wanted = ["1", "meow", "[1,2]", "dog", "wuff", "{}"];
    assert_eq!(records(&all[0]), wanted.map(|text| text.as_bytes().to_vec()));
}

#[test]
fn a_writer_whose_fifos_were_removed_ends() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("train");
    let channel = channel(&home.path().join("source"), &[b"x"]);
    let pipe = Pipe::start(Arc::new(channel), path.clone(), shared(Faults::default())).unwrap();
    // By then it waits for a reader of the first one.
    while pipe.at.is_idle() {
        std::thread::yield_now();
    }
    remove_all(&path);
    drop(pipe);
}

#[test]
fn something_else_in_the_place_of_a_fifo_is_told() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("train_1"), "mine").unwrap();
    let channel = channel(&home.path().join("source"), &[b"x"]);
    let path = home.path().join("train");
    let error = Pipe::start(Arc::new(channel), path, shared(Faults::default())).unwrap_err();
    assert!(matches!(error, Error::InTheWay { .. }), "{error}");
}
