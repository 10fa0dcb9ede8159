use shardpack_channel::{CompressionType, DataType, Distribution, InputMode, RecordWrapper};

use super::*;

fn flags(channels: &[&str]) -> Result<Job> {
    let channels: Vec<String> = channels.iter().map(|text| (*text).to_owned()).collect();
    Job::with_flags(None, &channels, &BTreeMap::new())
}

fn refused(job: Result<Job>) -> Vec<String> {
    match job {
        Err(Error::Refused(findings)) => findings.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_are_the_channel_that_the_api_would_have() {
    let job = flags(&[
        "train=s3://pictures/a,b/x/,mode=Pipe,dist=ShardedByS3Key,type=AugmentedManifestFile,\
         wrapper=RecordIO,compression=Gzip,seed=-7,attributes=image-ref+class,content-type=a/b",
    ]);
    let channel = &job.unwrap().request.channels[0];
    assert_eq!(channel.mode, InputMode::Pipe);
    assert_eq!(channel.wrapper, RecordWrapper::RecordIo);
    assert_eq!(channel.compression, CompressionType::Gzip);
    assert_eq!((channel.shuffle_seed, channel.content_type.as_deref()), (Some(-7), Some("a/b")));
    let source = channel.s3_source().unwrap();
    assert_eq!(source.uri, "s3://pictures/a,b/x/");
    assert_eq!(source.data_type, DataType::AugmentedManifestFile);
    assert_eq!(source.distribution, Distribution::ShardedByS3Key);
    assert_eq!(source.attribute_names, ["image-ref", "class"]);
}

#[test]
fn flags_that_say_nothing_are_refused() {
    for (text, why) in [
        ("train", "NAME=SOURCE"),
        ("train=", "has no source"),
        ("train=s3://bucket/x/,mood=Pipe", "no key \"mood\""),
        ("train=s3://bucket/x/,seed=x", "no whole number"),
    ] {
        let error = flags(&[text]).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn every_rule_that_is_broken_is_told_with_its_source() {
    let told = refused(flags(&[
        "a b=s3://bucket/x/,mode=FastFile,type=ManifestFile",
        "x=s3://bucket/x/,mode=Pipe",
        "x_0=s3://bucket/x/,mode=Fast",
    ]));
    assert!(told.iter().all(|finding| finding.contains("(source: SageMaker API")), "{told:#?}");
    for part in ["ChannelName is \"a b\"", "FastFile takes S3Prefix only", "InputMode is \"Fast\""]
    {
        assert!(told.iter().any(|finding| finding.contains(part)), "{part}: {told:#?}");
    }
    let told = refused(flags(&["x=s3://bucket/x/,mode=Pipe", "x_0=s3://bucket/x/"]));
    assert!(told[0].contains("FIFO of the Pipe channel x"), "{}", told[0]);
}

#[test]
fn parts_of_a_request_will_do_and_local_paths_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let text = format!(
        "HyperParameters: {{lr: '0.1'}}\nResourceConfig: {{InstanceType: ml.p4d.24xlarge, \
         InstanceCount: 12, VolumeSizeInGB: 1}}\nInputDataConfig:\n- ChannelName: train\n  \
         DataSource: {{S3DataSource: {{S3DataType: S3Prefix, S3Uri: '{path}'}}}}\n"
    );
    let job = Job::parse(text.as_bytes()).unwrap();
    assert_eq!(job.request.hyperparameters["lr"], "0.1");
    assert_eq!(job.local["train"], folder.path());
    let hosts = job.hosts(&[], Some("algo-2")).unwrap();
    // Sorted as texts: algo-1, algo-10, algo-11, algo-12, algo-2.
    assert_eq!((hosts.rank().rank, hosts.rank().world), (4, 12));
    assert_eq!(hosts.current_group().unwrap().name, "homogeneousCluster");
    assert_eq!(hosts.instance_type(), Some("ml.p4d.24xlarge"));
    let list = br#"[{"ChannelName": "x", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b-1/"}}}]"#;
    assert_eq!(Job::parse(list).unwrap().request.channels[0].name, "x");
}

#[test]
fn what_is_no_job_is_told() {
    for (text, why) in [
        ("3", "must be an object"),
        ("{", "EOF while parsing"),
        ("a: [", "neither JSON nor YAML"),
        ("InputDataConfig: 3", "InputDataConfig"),
    ] {
        let error = Job::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
