//! What `channels` is for, in one piece: a packed dataset on S3, a training loop that knows nothing
//! of it, each input mode, two hosts, and an end by force.

use std::collections::BTreeSet;

use shardpack_manifest::Digest;
use shardpack_testkit::s3::S3Server;

use super::{Lab, digests, mounts};
use crate::program::train;
use crate::reading_modes::can_mount;

#[test]
fn one_dataset_one_loop_every_mode() {
    let lab = Lab::new("--format tfrecord").with_meta();
    let whole = lab.whole();
    let shards: BTreeSet<String> =
        lab.home.names("packed/shards").iter().map(|name| format!("set/shards/{name}")).collect();
    let modes = ["File", "Pipe"].into_iter().chain(can_mount().then_some("FastFile"));
    for mode in modes {
        // One host sees all, twice the same.
        let ran = lab.train(mode, "", &format!("mode={mode}"), "--epochs 2").done();
        assert_eq!(digests(&ran), [whole, whole], "{mode}");
        lab.fetched();
        // Two hosts: each shard goes to exactly one, and both together are the dataset.
        let (mut sum, mut parts) = (Digest::default(), Vec::new());
        for host in ["algo-1", "algo-2"] {
            let options = format!("--hosts algo-1,algo-2 --current-host {host}");
            let channel = format!("mode={mode},dist=ShardedByS3Key");
            let ran = lab.train(&format!("{mode}-{host}"), &options, &channel, "").done();
            sum += digests(&ran)[0];
            parts.push(lab.fetched());
        }
        assert_eq!(sum, whole, "{mode}");
        assert!(parts[0].is_disjoint(&parts[1]), "{mode}: {parts:?}");
        assert_eq!(&parts[0] | &parts[1], shards, "{mode}");
        // Killed in the middle of an epoch, it leaves nothing: no mount, no FIFO, no process.
        let root = format!("{mode}-killed");
        let state = lab.home.path(&root).join("state").display().to_string();
        let line = format!(
            "run --quiet --root {root} --channel train=s3://{}/set/shards/,mode={mode} --channel \
             manifest={} -- {} --channel train --epochs 1000000 --every 1 --state {state}",
            S3Server::BUCKET,
            lab.home.path("meta").display(),
            train().display(),
        );
        let mut running = lab.start(&line, &[]);
        let trains = || std::path::Path::new(&state).exists();
        assert!(running.until(trains), "{mode}: {}", running.end().stderr);
        assert_eq!(mounts(&lab.home.path(&root)).len(), usize::from(mode == "FastFile"));
        assert!(running.kill());
        lab.until_gone(&root);
        // And the next one finds its way.
        let ran = lab.train(&root, "", &format!("mode={mode}"), "").done();
        assert_eq!(digests(&ran), [whole], "{mode}");
    }
}
