//! Heterogeneous clusters: which host gets which channel, and what it is told of the others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Lab;
use crate::program::Ran;

/// Two hosts to train on and ten that feed them; a channel for each group, and one for all.
fn lab() -> Lab {
    let lab = Lab::new("--format tfrecord");
    let channel = |name: &str, groups: &[&str], distribution: &str| {
        let mut source = json!({
            "S3DataType": "S3Prefix",
            "S3Uri": format!("s3://{}/set/shards/", super::S3Server::BUCKET),
            "S3DataDistributionType": distribution,
        });
        if !groups.is_empty() {
            source["InstanceGroupNames"] = json!(groups);
        }
        json!({ "ChannelName": name, "DataSource": { "S3DataSource": source } })
    };
    let group = |name: &str, kind: &str, count: u64| json!({ "InstanceGroupName": name, "InstanceType": kind, "InstanceCount": count });
    let job = json!({
        "ResourceConfig": {
            "InstanceGroups": [group("train", "ml.p4d.24xlarge", 2), group("feed", "ml.c5.xlarge", 10)],
            "VolumeSizeInGB": 10,
        },
        "InputDataConfig": [
            channel("shards", &["train"], "ShardedByS3Key"),
            channel("raw", &["feed"], "FullyReplicated"),
            channel("both", &["feed", "train"], "FullyReplicated"),
            channel("all", &[], "FullyReplicated"),
        ],
    });
    lab.home.write("job.json", job.to_string());
    lab
}

fn on(lab: &Lab, host: &str, script: &str) -> Ran {
    let line = format!("run --quiet --root {host} --job job.json --current-host {host} -- sh -c");
    lab.run(&line, &[script]).done()
}

fn config(lab: &Lab, host: &str, name: &str) -> Value {
    let path = format!("{host}/input/config/{name}.json");
    serde_json::from_slice(&std::fs::read(lab.home.path(&path)).expect("a file")).expect("JSON")
}

#[test]
fn a_host_has_the_channels_of_its_group_alone() {
    let lab = lab();
    let names = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    for (host, group, kind, channels) in [
        ("algo-2", "train", "ml.p4d.24xlarge", ["all", "both", "shards"]),
        ("algo-3", "feed", "ml.c5.xlarge", ["all", "both", "raw"]),
        ("algo-12", "feed", "ml.c5.xlarge", ["all", "both", "raw"]),
    ] {
        let script = "ls $SM_INPUT_DATA_DIR; echo $SM_CURRENT_INSTANCE_GROUP $SM_IS_HETERO; \
                      env | grep -c ^SM_CHANNEL_";
        let ran = on(&lab, host, script);
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines[..3], channels, "{host}");
        assert_eq!(lines[3..], [&*format!("{group} true"), "3"], "{host}");
        assert_eq!(names(&config(&lab, host, "inputdataconfig")), channels);
        let resources = config(&lab, host, "resourceconfig");
        // As real jobs have it: all hosts sorted as texts, groups in the order of the request.
        let hosts: Vec<&str> = "algo-1 algo-10 algo-11 algo-12 algo-2 algo-3 algo-4 algo-5 algo-6 \
                                algo-7 algo-8 algo-9"
            .split_whitespace()
            .collect();
        let mut feed = hosts.clone();
        feed.retain(|host| !["algo-1", "algo-2"].contains(host));
        let wanted = json!({
            "current_group_name": group,
            "current_host": host,
            "current_instance_type": kind,
            "hosts": hosts,
            "instance_groups": [
                { "instance_group_name": "train", "instance_type": "ml.p4d.24xlarge",
                  "hosts": ["algo-1", "algo-2"] },
                { "instance_group_name": "feed", "instance_type": "ml.c5.xlarge", "hosts": feed },
            ],
            "network_interface_name": "eth0",
        });
        assert_eq!(resources, wanted);
    }
}

#[test]
fn objects_are_shared_among_the_hosts_of_the_group() {
    let lab = lab();
    let of = |host: &str| -> BTreeSet<String> {
        on(&lab, host, "ls $SM_CHANNEL_SHARDS").stdout.lines().map(str::to_owned).collect()
    };
    let (first, second) = (of("algo-1"), of("algo-2"));
    let all: BTreeSet<String> = lab.home.names("packed/shards").into_iter().collect();
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(&first | &second, all);
    // Of twelve hosts, each would have had one at most.
    assert!(first.len().abs_diff(second.len()) <= 1 && all.len() > 4);
}

#[test]
fn groups_that_do_not_add_up_are_told() {
    let lab = lab();
    let text = std::fs::read_to_string(lab.home.path("job.json")).expect("a job");
    lab.home.write("other.json", text.replace("[\"feed\"]", "[\"feeders\"]"));
    for (line, parts) in [
        ("check --job other.json", &["InstanceGroupNames", "feeders", "known are train, feed"][..]),
        ("check --job job.json --hosts a,b,c", &["3 hosts", "12"]),
        ("check --job job.json --current-host algo-13", &["algo-13", "algo-9"]),
        (
            "check --channel x=s3://bucket/set/shards/,groups=feed",
            &["InstanceGroupNames", "the job has no instance groups"],
        ),
    ] {
        let ran = lab.run(line, &[]);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{parts:?}: {}", ran.stderr);
    }
}
