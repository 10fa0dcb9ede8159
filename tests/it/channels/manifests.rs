//! Channels that a manifest on S3 names, in every mode that has them.

use std::collections::BTreeSet;

use serde_json::json;
use shardpack_reader::plan::Shuffle;
use shardpack_reader::{Channel, ReadOptions};
use shardpack_testkit::s3::S3Server;

use super::{Lab, digests};
use crate::program::train;

/// A manifest of the dataset's shards, on S3 beside them.
fn with_manifest() -> Lab {
    let lab = Lab::new("--format tfrecord").with_meta();
    let prefix = format!("s3://{}/set/sha", S3Server::BUCKET);
    let mut entries = vec![json!({ "prefix": prefix })];
    // Addresses are prefix and entry put together, wherever the prefix ends.
    let names = lab.home.names("packed/shards");
    entries.extend(names.iter().map(|name| json!(format!("rds/{name}"))));
    lab.server.put("lists/train.manifest", json!(entries).to_string());
    lab
}

fn line(lab: &Lab, root: &str, options: &str, rest: &str) -> String {
    format!(
        "run --quiet --root {root} --channel manifest={} \
         --channel train=s3://{}/lists/train.manifest,type=ManifestFile,{options} {rest}",
        lab.home.path("meta").display(),
        S3Server::BUCKET
    )
}

#[test]
fn a_manifest_names_the_shards_of_a_copy_and_of_a_stream() {
    let lab = with_manifest();
    let training = format!("-- {} --channel train --epochs 2", train().display());
    for mode in ["File", "Pipe"] {
        let ran = lab.run(&line(&lab, mode, &format!("mode={mode}"), &training), &[]).done();
        assert_eq!(digests(&ran), [lab.whole(), lab.whole()], "{mode}");
    }
    // Two hosts, each its part.
    for mode in ["File", "Pipe"] {
        let mut sum = shardpack_manifest::Digest::default();
        let mut seen: Vec<String> = Vec::new();
        for host in ["algo-1", "algo-2"] {
            let options = format!("mode={mode},dist=ShardedByS3Key");
            let rest = format!("--hosts algo-1,algo-2 --current-host {host} {training}");
            lab.server.forget_calls();
            let root = format!("{mode}-{host}");
            let ran = lab.run(&line(&lab, &root, &options, &rest), &[]).done();
            sum += digests(&ran)[0];
            seen.extend(lab.fetched().into_iter().filter(|key| key.starts_with("set/")));
        }
        assert_eq!(sum, lab.whole(), "{mode}");
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "{mode}: each shard went to one host");
    }
    let line = line(&lab, "r", "mode=FastFile", "-- true");
    let ran = lab.run(&line, &[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("FastFile takes S3Prefix only"));
}

#[test]
fn files_of_a_manifest_have_their_whole_keys_or_what_follows_the_prefix() {
    let lab = with_manifest();
    let shards: BTreeSet<String> = lab.home.names("packed/shards").into_iter().collect();
    for (options, folder) in [("", "set/shards"), ("--suffix-names", "rds")] {
        let root = format!("r{options}");
        lab.run(&line(&lab, &root, "mode=File", &format!("{options} -- true")), &[]).done();
        let found = lab.home.names(&format!("{root}/input/data/train"));
        let wanted: BTreeSet<String> =
            shards.iter().map(|name| format!("{folder}/{name}")).collect();
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{options}");
    }
}

/// Pictures on S3 and lines about them. Some bodies hold RecordIO's magic word.
fn with_lines() -> (Lab, Vec<[Vec<u8>; 3]>) {
    let lab = Lab::new("--format tfrecord");
    let mut samples = Vec::new();
    let mut text = String::new();
    for i in 0..20_u32 {
        let mut body = vec![i as u8; i as usize * 700];
        if i % 3 == 0 {
            body.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
        }
        let key = format!("pictures/{i}.jpg");
        lab.server.put(&key, body.clone());
        let uri = format!("s3://{}/{key}", S3Server::BUCKET);
        let line = json!({ "class": i % 4, "source-ref": uri, "box": [i, 2], "unused": "x" });
        text += &format!("{line}\n");
        samples.push([body, format!("[{i},2]").into(), (i % 4).to_string().into()]);
    }
    lab.server.put("lists/train.lines", text);
    (lab, samples)
}

/// The fields of each sample of an epoch, as training code gets them.
fn read(lab: &Lab, env_file: &str, fields: &[&str], epochs: u64) -> Vec<Vec<Vec<Vec<u8>>>> {
    let environment = lab.environment(env_file);
    let env = |name: &str| environment.get(name).map(Into::into);
    let channel = Channel::find("train", None, &env).expect("a channel");
    let mut options = ReadOptions::default();
    options.plan.shuffle = Shuffle::Off;
    options.attributes = fields.iter().map(|field| (*field).to_owned()).collect();
    let reader = channel.reader(options).expect("a reader");
    let sample = |sample: shardpack_reader::Result<shardpack_reader::Sample>| {
        let sample = sample.expect("a sample");
        fields.iter().map(|field| sample.field(field).expect("a field").to_vec()).collect()
    };
    (0..epochs).map(|epoch| reader.epoch(epoch).map(sample).collect()).collect()
}

#[test]
fn lines_come_as_samples_with_their_attributes_together() {
    let (lab, samples) = with_lines();
    let fields = ["source-ref", "box", "class"];
    let source = format!(
        "train=s3://{}/lists/train.lines,type=AugmentedManifestFile,mode=Pipe,wrapper=RecordIO,\
         attributes=source-ref+box+class",
        S3Server::BUCKET
    );
    let plain: Vec<Vec<Vec<u8>>> = samples.iter().map(|sample| sample.to_vec()).collect();
    lab.run(&format!("up --detach --quiet --root a --env-file a.env --channel {source}"), &[])
        .done();
    let two = read(&lab, "a.env", &fields, 2);
    assert!(two == [plain.clone(), plain.clone()]);
    lab.run("down --quiet --root a", &[]).done();
    // Shuffled: another order each epoch, and no line is torn apart.
    let up = format!("up --detach --quiet --root b --env-file b.env --channel {source},seed=9");
    lab.run(&up, &[]).done();
    let epochs = read(&lab, "b.env", &fields, 2);
    lab.run("down --quiet --root b", &[]).done();
    assert!(epochs[0] != epochs[1] && epochs[0] != plain);
    for epoch in epochs {
        let (found, wanted): (BTreeSet<_>, BTreeSet<_>) =
            (epoch.iter().cloned().collect(), plain.iter().cloned().collect());
        assert!(found == wanted && epoch.len() == plain.len());
    }
    // Two hosts share the lines.
    let mut both = Vec::new();
    for host in ["algo-1", "algo-2"] {
        let up = format!(
            "up --detach --quiet --root {host} --env-file {host}.env --hosts algo-1,algo-2 \
             --current-host {host} --channel {source},dist=ShardedByS3Key"
        );
        lab.run(&up, &[]).done();
        both.extend(read(&lab, &format!("{host}.env"), &fields, 1).remove(0));
        lab.run(&format!("down --quiet --root {host}"), &[]).done();
    }
    let mut wanted = plain;
    both.sort();
    wanted.sort();
    assert!(both == wanted);
}

#[test]
fn objects_of_a_manifest_are_records_of_their_own() {
    let (lab, samples) = with_lines();
    let mut entries = vec![json!({ "prefix": format!("s3://{}/pictures/", S3Server::BUCKET) })];
    entries.extend((0..20).rev().map(|i| json!(format!("{i}.jpg"))));
    lab.server.put("lists/pictures.manifest", json!(entries).to_string());
    let up = format!(
        "up --detach --quiet --root r --env-file env --channel \
         train=s3://{}/lists/pictures.manifest,type=ManifestFile,mode=Pipe,wrapper=RecordIO",
        S3Server::BUCKET
    );
    lab.run(&up, &[]).done();
    let wanted: Vec<_> = samples.iter().rev().map(|sample| vec![sample[0].clone()]).collect();
    assert!(read(&lab, "env", &["data"], 1) == [wanted]);
    lab.run("down --quiet --root r", &[]).done();
}

#[test]
fn manifests_that_mislead_are_told() {
    let (lab, _) = with_lines();
    let put = |key: &str, text: &str| lab.server.put(&format!("lists/{key}"), text.to_owned());
    let bucket = S3Server::BUCKET;
    put(
        "two",
        &format!("[{{\"prefix\": \"s3://{bucket}/\"}}, {{\"prefix\": \"s3://other/\"}}, \"a\"]"),
    );
    put("bare", "[\"a\", \"b\"]");
    put("gone", &format!("[{{\"prefix\": \"s3://{bucket}/pictures/\"}}, \"0.jpg\", \"none.jpg\"]"));
    put("half", "{\"source-ref\": \"s3://bucket/a\", ");
    put("quotes", "{'source-ref': 's3://bucket/a'}\n");
    let lines = "type=AugmentedManifestFile,mode=Pipe,wrapper=RecordIO,attributes=source-ref";
    for (source, parts) in [
        ("lists/two,type=ManifestFile".to_owned(), &["lists/two", "prefix"][..]),
        ("lists/bare,type=ManifestFile".into(), &["lists/bare", "prefix"]),
        ("lists/gone,type=ManifestFile".into(), &["entry 2", "pictures/none.jpg", "not found"]),
        ("lists/none,type=ManifestFile".into(), &["lists/none", "not found"]),
        (format!("lists/half,{lines}"), &["lists/half", "line 1"]),
        (format!("lists/quotes,{lines}"), &["lists/quotes", "line 1"]),
        (format!("lists/train.lines,{lines}+label"), &["lists/train.lines", "line 1", "label"]),
    ] {
        let ran = lab.run(&format!("check --channel x=s3://{bucket}/{source}"), &[]);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(2), "{source}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in {told}");
    }
}
