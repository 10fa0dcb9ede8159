//! One training loop in each input mode, from S3.

use std::fs;

use shardpack_manifest::Digest;

use super::{Lab, digests, mounts};
use crate::reading_modes::can_mount;

fn modes() -> Vec<&'static str> {
    let fast = can_mount().then_some("FastFile");
    ["File", "Pipe"].into_iter().chain(fast).collect()
}

#[test]
fn epochs_are_equal_in_every_mode() {
    for pack in ["--format tfrecord", "--format webdataset"] {
        let lab = Lab::new(pack).with_meta();
        for mode in modes() {
            let ran = lab.train(mode, "", &format!("mode={mode}"), "--epochs 2").done();
            assert_eq!(digests(&ran), [lab.whole(), lab.whole()], "{mode} {pack}");
            assert!(mounts(&lab.data(mode)).is_empty(), "{mode}");
            let fifos = fs::read_dir(lab.data(mode))
                .unwrap()
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("train_"));
            assert_eq!(fifos.count(), 0, "{mode}");
        }
        // The same root in other modes, one after another.
        for mode in modes() {
            let ran = lab.train("same", "", &format!("mode={mode}"), "").done();
            assert_eq!(digests(&ran), [lab.whole()], "{mode} {pack}");
        }
    }
}

#[test]
fn two_hosts_cover_every_shard_once() {
    let lab = Lab::new("--format tfrecord").with_meta();
    for mode in modes() {
        let mut sum = Digest::default();
        for host in ["algo-1", "algo-2"] {
            let options = format!("--hosts algo-1,algo-2 --current-host {host}");
            let channel = format!("mode={mode},dist=ShardedByS3Key");
            let ran = lab.train(&format!("{mode}-{host}"), &options, &channel, "").done();
            let [digest] = digests(&ran)[..] else { panic!("{}", ran.stdout) };
            assert_ne!(digest, lab.whole(), "{mode}: one host saw all");
            sum += digest;
        }
        assert_eq!(sum, lab.whole(), "{mode}");
    }
}

/// Bytes of each mode, and the errors of a file system that cannot be written to.
#[test]
fn a_mount_shows_the_objects_and_takes_no_writes() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new("--format tfrecord");
    let script = "cd $SM_CHANNEL_TRAIN && ls | wc -l && cat * | cksum && (echo x > new) 2>/dev/null; \
                  echo $? && rm -f * 2>/dev/null; echo $? && cat nothing 2>/dev/null; echo $?";
    let source = format!("train=s3://{}/set/shards/,mode=FastFile", super::S3Server::BUCKET);
    let ran =
        lab.run(&format!("run --quiet --root r --channel {source} -- sh -c"), &[script]).done();
    let wanted = lab
        .run(
            "run --quiet --root w --channel train=packed/shards -- sh -c",
            &["cd $SM_CHANNEL_TRAIN && ls | wc -l && cat * | cksum"],
        )
        .done();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..2], wanted.stdout.lines().collect::<Vec<_>>()[..]);
    assert!(lines[2..].iter().all(|code| *code != "0"), "{lines:?}");
}

#[test]
fn files_of_a_mount_have_the_times_of_their_objects() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new("--format tfrecord");
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    lab.server.put_at("old/a.tfrecord", "records", at(1_000_000_000));
    lab.server.put_at("old/b/c.tfrecord", "records", at(1_234_567_890));
    let line = format!(
        "run --quiet --root r --channel train=s3://{}/old/,mode=FastFile -- sh -c",
        super::S3Server::BUCKET
    );
    let script = "cd $SM_CHANNEL_TRAIN && stat -c '%Y %Z %s %n' a.tfrecord b/c.tfrecord && find . \
                  -type f -newermt 2001-09-10";
    let ran = lab.run(&line, &[script]).done();
    let wanted = "1000000000 1000000000 7 a.tfrecord\n1234567890 1234567890 7 b/c.tfrecord\n\
                  ./b/c.tfrecord\n";
    assert_eq!(ran.stdout, wanted);
}

#[test]
fn the_command_has_its_own_exit_code_and_environment() {
    let lab = Lab::new("--format tfrecord");
    let line = "run --quiet --root r --channel train=packed/shards,mode=Pipe --hyperparameter lr=0.1 -- sh -c";
    let ran = lab
        .run(line, &["echo $SM_HP_LR $SM_CURRENT_HOST; cat $SM_INPUT_CONFIG_DIR/*.json; exit 7"]);
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("0.1 algo-1\n{\"lr\":\"0.1\"}"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\"TrainingInputMode\":\"Pipe\""), "{}", ran.stdout);
    assert_eq!(lab.run(line, &["kill -9 $$"]).code, Some(137));
    let none =
        lab.run("run --quiet --root r --channel train=packed/shards -- /no/such/command", &[]);
    assert_eq!(none.code, Some(127), "{}", none.stderr);
}

/// Objects of several requests, and what trouble makes of them.
#[test]
fn long_objects_are_whole_in_every_mode_and_cut_on_demand() {
    let lab = Lab::new("--format tfrecord");
    let body: Vec<u8> =
        (0..5_000_003u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    lab.server.put("long/a.bin", body.clone());
    lab.home.write("a.bin", &body);
    let wanted = lab
        .run("run --quiet --root w --channel x=a.bin -- sh -c", &["cat $SM_CHANNEL_X/* | cksum"])
        .done();
    let source = format!("x=s3://{}/long/", super::S3Server::BUCKET);
    for mode in modes() {
        let read = if mode == "Pipe" { "cat ${SM_CHANNEL_X}_0" } else { "cat $SM_CHANNEL_X/*" };
        let line = format!("run --quiet --root {mode} --channel {source},mode={mode} -- sh -c");
        assert_eq!(
            lab.run(&line, &[&format!("{read} | cksum")]).done().stdout,
            wanted.stdout,
            "{mode}"
        );
        if mode != "File" {
            let line = line.replace("--quiet", "--quiet --drop-after 3000000 --bandwidth 100MB");
            let cut = lab.run(&line, &[&format!("{read} 2>/dev/null | wc -c")]).done();
            let len: u64 = cut.stdout.trim().parse().unwrap();
            assert!((1..=3_000_000).contains(&len), "{mode}: {len}");
        }
    }
    // What is there is not fetched again: the server is asked for the listing alone.
    lab.server.forget_calls();
    let line = format!("run --quiet --root File --channel {source} -- true");
    lab.run(&line, &[]).done();
    assert_eq!(lab.server.call_count(), 1);
}
