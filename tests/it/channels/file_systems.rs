//! EFS and FSx for Lustre as channels: folders that this machine has mounted.

use std::fs;

use serde_json::{Value, json};

use super::{Lab, digests, mounts};
use crate::program::train;

const ID: &str = "fs-0123456789abcdef0";

/// A job with a channel `train` on a file system.
fn job(kind: &str, access: &str, path: &str) -> Value {
    json!({
        "VpcConfig": { "SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"] },
        "InputDataConfig": [{
            "ChannelName": "train",
            "DataSource": { "FileSystemDataSource": {
                "FileSystemId": ID,
                "FileSystemType": kind,
                "FileSystemAccessMode": access,
                "DirectoryPath": path,
            }},
        }],
    })
}

/// Two folders of a file system that is mounted at `mnt`, one with the dataset's shards.
fn lab() -> Lab {
    let lab = Lab::new("--format tfrecord").with_meta();
    for (name, bytes) in lab.home.files("packed/shards") {
        lab.home.write(&format!("mnt/team/shards/{name}"), bytes);
    }
    lab.home.write("mnt/team/other/note", "another folder");
    lab
}

fn mounted() -> String {
    format!("--file-system {ID}=mnt")
}

#[test]
fn a_mounted_folder_is_read_as_files_and_written_to_where_the_job_may() {
    let lab = lab();
    let before = lab.home.files("mnt");
    for (kind, path) in [("EFS", "/team/shards"), ("FSxLustre", "/wxyz/team/shards")] {
        for access in ["ro", "rw"] {
            lab.home.write("job.json", job(kind, access, path).to_string());
            let line = format!("run --quiet --root r --job job.json {}", mounted());
            let training = format!(
                "{line} --channel manifest={} -- {} --channel train --epochs 2",
                lab.home.path("meta").display(),
                train().display()
            );
            let ran = lab.run(&training, &[]).done();
            assert_eq!(digests(&ran), [lab.whole(), lab.whole()], "{kind} {access}");
            let script = "cat $SM_INPUT_CONFIG_DIR/inputdataconfig.json; echo; \
                          touch $SM_CHANNEL_TRAIN/new 2>&1; rm $SM_CHANNEL_TRAIN/new 2>&1";
            let ran = lab.run(&format!("{line} -- sh -c"), &[script]);
            let config = "{\"train\":{\"TrainingInputMode\":\"File\",\
                          \"S3DistributionType\":\"FullyReplicated\",\"RecordWrapperType\":\"None\"}}";
            let (told, errors) = ran.stdout.split_once('\n').expect("lines");
            let same: [Value; 2] = [told, config].map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(same[0], same[1]);
            match access {
                "ro" if is_root() => {
                    assert!(errors.contains("Read-only file system"), "{kind}: {errors}");
                }
                _ => assert_eq!(errors, "", "{kind}"),
            }
            assert!(mounts(&lab.home.path("r")).is_empty());
            assert!(!lab.data("r").join("train").exists());
            assert!(lab.home.files("mnt") == before, "{kind} {access}: its files are as they were");
        }
    }
}

/// Only root may mount a folder a second time, so that nobody can write to it.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_killed_agent_leaves_the_file_system_alone() {
    let lab = lab();
    let before = lab.home.files("mnt");
    lab.home.write("job.json", job("EFS", "ro", "/team").to_string());
    let line = format!("run --quiet --root r --job job.json {} -- sh -c", mounted());
    let mut running = lab.start(&line, &["cat $SM_CHANNEL_TRAIN/other/note > here; sleep 1000"]);
    let here = lab.home.path("here");
    let said = || fs::read_to_string(&here).is_ok_and(|text| text == "another folder");
    assert!(running.until(said), "{}", running.end().stderr);
    assert_eq!(mounts(&lab.home.path("r")).len(), usize::from(is_root()));
    assert!(running.kill());
    lab.until_gone("r");
    assert!(lab.home.files("mnt") == before);
}

#[test]
fn a_path_of_this_machine_needs_no_mount() {
    let lab = lab();
    let path = lab.home.path("mnt/team/other").display().to_string();
    lab.home.write("job.json", job("EFS", "ro", &path).to_string());
    let told = lab.run("check --job job.json", &[]).done().stdout;
    assert_eq!(told, format!("train: File, the folder {path}\n"));
    let line = "run --quiet --root r --job job.json -- sh -c";
    assert_eq!(lab.run(line, &["cat $SM_CHANNEL_TRAIN/note"]).done().stdout, "another folder");
}

#[test]
fn rules_of_paths_and_modes_are_told() {
    let lab = lab();
    let other = |value: Value, at: &str| {
        let mut job = job("EFS", "ro", "/team");
        *job.pointer_mut(at).expect("a place") = value;
        job
    };
    let source = "/InputDataConfig/0/DataSource/FileSystemDataSource";
    let mut fast = job("FSxLustre", "ro", "/wxyz/team");
    fast["InputDataConfig"][0]["InputMode"] = json!("FastFile");
    let mut bare = job("EFS", "ro", "/team");
    bare.as_object_mut().expect("an object").remove("VpcConfig");
    for (job, options, parts) in [
        (job("EFS", "ro", "team"), mounted(), &["DirectoryPath", "must start with /"][..]),
        (job("FSxLustre", "ro", "/"), mounted(), &["DirectoryPath", "the mount name"]),
        (job("EFS", "ro", "/team/../.."), mounted(), &["leads out of", ID]),
        (job("EFS", "ro", "/nowhere"), mounted(), &["channel train", "mnt/nowhere", "no folder"]),
        (job("EFS", "ro", "/no/such"), String::new(), &["--file-system fs-0123456789abcdef0=PATH"]),
        (job("EFS", "ro", "/team"), "--file-system fs-9=mnt".into(), &["fs-9", "no channel", ID]),
        (fast, mounted(), &["InputMode", "FSxLustre is mounted in File mode only"]),
        (bare, mounted(), &["VpcConfig", "for the file system of channel train"]),
        (other(json!("wo"), &format!("{source}/FileSystemAccessMode")), mounted(), &["rw, ro"]),
        (other(json!("fs-12"), &format!("{source}/FileSystemId")), mounted(), &["8 to 18 digits"]),
    ] {
        lab.home.write("job.json", job.to_string());
        for command in ["check", "run --root r"] {
            let rest = if command == "check" { "" } else { " -- true" };
            let ran = lab.run(&format!("{command} --job job.json {options}{rest}"), &[]);
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, Some(2), "{job}: {told}");
            assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in {told}");
            assert!(!lab.home.path("r").exists(), "{job}");
        }
    }
}
