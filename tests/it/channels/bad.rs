//! What users type by mistake: each is told what is wrong, where, and what to write.

use std::fs;

use super::Lab;

#[test]
fn wrong_input_is_named_with_the_way_out_and_nothing_is_created() {
    let lab = Lab::new("--format tfrecord");
    lab.home.write("half.json", "{\"InputDataConfig\": [");
    lab.home.write("other.json", "{\"InputDataConfig\": {}}");
    lab.home.write("text.yaml", "just some text\n");
    lab.home.write("tabs.yaml", "InputDataConfig:\n\t- ChannelName: train\n");
    let bucket = super::S3Server::BUCKET;
    let shards = "x=packed/shards";
    for (line, parts) in [
        // Channels.
        ("check --channel train".to_owned(), &["--channel train", "NAME=SOURCE"][..]),
        ("check --channel train=".into(), &["--channel train=", "has no source", "s3://bucket"]),
        (format!("check --channel {shards},color=red"), &["no key \"color\"", "mode, dist, type"]),
        (format!("check --channel {shards},mode=fastfile"), &["InputMode", "write FastFile"]),
        (format!("check --channel {shards},mode=Fast"), &["InputMode", "File, FastFile, Pipe"]),
        (format!("check --channel {shards},seed=one"), &["seed is no whole number"]),
        (format!("check --channel {shards} --channel {shards}"), &["names two channels"]),
        (format!("check --channel a/b={shards}"), &["ChannelName", "letters, digits"]),
        ("check --channel x=nowhere".into(), &["channel x", "nowhere: not found"]),
        ("check --channel x=s3://none-here/a/".into(), &["channel x", "s3://none-here/a/"]),
        (format!("check --channel x=s3://{bucket}/no/"), &["holds no object", "the right one"]),
        ("check --channel x=gs://bucket/a/".into(), &["gs://bucket/a/", "s3:// or https://"]),
        // Descriptions.
        ("check --job none.json".into(), &["--job none.json: not found"]),
        ("check --job half.json".into(), &["half.json", "line 1"]),
        ("check --job other.json".into(), &["InputDataConfig", "must be a list"]),
        ("check --job text.yaml".into(), &["text.yaml", "CreateTrainingJob"]),
        ("check --job tabs.yaml".into(), &["tabs.yaml", "line 2"]),
        ("check --job packed".into(), &["--job packed"]),
        // Hosts.
        (format!("check --channel {shards} --hosts a,b --current-host c"), &["\"c\"", "a, b"]),
        (format!("check --channel {shards} --hosts a,a"), &["\"a\" stands twice in hosts"]),
        (format!("check --channel {shards} --hosts ,"), &["--hosts has an empty name"]),
        ("check --channel x=~/data".into(), &["--channel x=~/data", "$HOME"]),
        (format!("check --channel {shards} --assign first"), &["--assign", "round-robin"]),
        // Serving.
        (format!("up --channel {shards} --root half.json"), &["half.json", "--root"]),
        (format!("up --channel {shards} --root half.json/x"), &["half.json/x", "--root"]),
        (format!("up --root r --channel {shards} --env-file no/env"), &["--env-file no/env"]),
        (format!("up --root r --channel {shards} --memory much"), &["--memory", "much"]),
        (format!("up --root r --channel {shards} --io-depth 0"), &["--io-depth", "1..=1024"]),
        (format!("up --root r --channel {shards} --bandwidth 0"), &["--bandwidth", "above 0"]),
        (format!("up --root r --channel {shards} --stall soon"), &["--stall", "2.5"]),
        (format!("up --root r --channel {shards} --stall -1"), &["--stall", "2.5"]),
        (format!("up --root r --channel {shards} --latency -1"), &["--latency"]),
        (format!("up --root r --channel {shards} --hyperparameter lr"), &["lr", "NAME=VALUE"]),
        (format!("up --root r --channel {shards} --file-system fs"), &["fs", "ID=PATH"]),
        (format!("run --root r --channel {shards}"), &["CMD"]),
        (format!("run --root r --channel {shards} --grace soon -- true"), &["--grace", "soon"]),
        ("down --root packed".into(), &["packed", "no agent", "--root"]),
        ("down --timeout soon".into(), &["--timeout"]),
        // What a dataset is told as.
        ("emit nowhere".into(), &["nowhere: no such file", "hint: name a dataset"]),
        ("emit src".into(), &["src", "no dataset", "hint:"]),
        ("emit half.json".into(), &["half.json", "hint:"]),
        ("emit packed --mode fast".into(), &["--mode", "fast", "File, FastFile, Pipe"]),
        ("emit packed --uri bucket/set".into(), &["--uri bucket/set", "s3://"]),
    ] {
        let ran = lab.run(&line, &[]);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(2), "{line}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{line}: {parts:?} in {told}");
        assert!(!lab.home.path("r").exists(), "{line}");
    }
    let ran = lab.run("check", &[]).done();
    assert!(ran.stderr.contains("no channels") && ran.stderr.contains("--channel"));
}

#[test]
fn commands_that_cannot_be_run_have_the_shells_codes() {
    let lab = Lab::new("--format tfrecord");
    for (command, code, part) in
        [("no-such-command", 127, "no-such-command: cannot be run"), ("./plain", 126, "./plain")]
    {
        lab.home.write("plain", "no program");
        let line = format!("run --root r --channel x=packed/shards -- {command}");
        let ran = lab.run(&line, &[]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
        let ran = lab.run(&line.replace("run ", "run --json "), &[]);
        let last = ran.stderr.lines().last().unwrap_or_default();
        let told: serde_json::Value = serde_json::from_str(last).expect("a line of JSON");
        assert!(told.to_string().contains(command), "{told}");
    }
}

#[test]
fn what_is_in_the_way_stays_and_is_named() {
    let lab = Lab::new("--format tfrecord");
    for (mode, place, part) in [
        ("File", "train/mine", "mine: is no file of this channel"),
        ("Pipe", "train_0", "is no FIFO"),
        ("FastFile", "train/mine", "holds files, and a mount would hide them"),
    ] {
        if mode == "FastFile" && !crate::reading_modes::can_mount() {
            continue;
        }
        let place = format!("{mode}/input/data/{place}");
        lab.home.write(&place, "precious");
        let line = format!("run --root {mode} --channel train=packed/shards,mode={mode} -- true");
        let ran = lab.run(&line, &[]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        let parts = [&format!("{mode}/input/data/train"), part];
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{parts:?}: {}", ran.stderr);
        assert_eq!(fs::read_to_string(lab.home.path(&place)).expect("a file"), "precious");
    }
}
