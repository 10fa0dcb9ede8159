//! The same training loop in the three input modes: real containers' folders, files, FUSE mounts and
//! FIFOs.

mod container;
mod hosts;
mod killed;

use container::{Container, MODES, Mode, digests, packed, shards, whole};

pub(crate) use container::can_mount;

/// What each of two hosts sees of two epochs does not depend on the mode, and both together see
/// every sample once.
#[track_caller]
fn same_in_every_mode(pack: &str) {
    let home = packed(60, &format!("--max-samples 7 {pack}"));
    let shards = shards(&home);
    assert!(shards.len() > 8, "{pack}: {} shards", shards.len());
    let mounts = can_mount();
    let digests = |mode: Mode| {
        [0, 1].map(|host| {
            let name = format!("{mode:?}-{host}");
            let container =
                Container::new(&home, &name, mode, &shards, "FullyReplicated", [host, 2]);
            digests(&container.run("--epochs 2 --seed 5"))
        })
    };
    let files = digests(Mode::File);
    for epoch in 0..2 {
        assert!(files.iter().all(|host| host[epoch].0 == epoch as u64 && host.len() == 2));
        assert_eq!(files[0][epoch].1 + files[1][epoch].1, whole(&home), "{pack}");
        assert_ne!(files[0][epoch].1, files[1][epoch].1);
    }
    for mode in MODES.into_iter().filter(|mode| mounts || *mode != Mode::FastFile) {
        assert_eq!(digests(mode), files, "{pack}: {mode:?}");
    }
}

#[test]
fn webdataset() {
    same_in_every_mode("--format webdataset");
}

#[test]
fn webdataset_compressed() {
    same_in_every_mode("--format webdataset --compress gzip");
    same_in_every_mode("--format webdataset --compress zstd");
}

#[test]
fn tfrecord() {
    same_in_every_mode("--format tfrecord");
}

#[test]
fn tfrecord_compressed() {
    same_in_every_mode("--format tfrecord --compress gzip");
    same_in_every_mode("--format tfrecord --compress zlib");
}

#[test]
fn recordio() {
    same_in_every_mode("--format recordio");
}

#[test]
fn recordio_protobuf() {
    same_in_every_mode("--format recordio-protobuf");
}
