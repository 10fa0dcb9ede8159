//! Jobs that break a rule: told before anything is there.

use super::Lab;

#[test]
fn invalid_jobs_are_refused_with_the_rule_and_nothing_is_created() {
    let lab = Lab::new("--format tfrecord");
    let bucket = format!("s3://{}", super::S3Server::BUCKET);
    for (options, rule) in [
        (
            format!("--channel x={bucket}/set/shards/,mode=FastFile,type=ManifestFile"),
            "FastFile takes S3Prefix only",
        ),
        (format!("--channel x={bucket}/set/sha,mode=FastFile"), "no folder"),
        (format!("--channel x={bucket}/set/,mode=Pipe"), "beside the shards"),
        (format!("--channel x={bucket}/nothing/"), "holds no object"),
        (format!("--channel x={bucket}/set/shards/,compression=Gzip"), "only Pipe inflates"),
        (
            format!("--channel x={bucket}/set/shards/,dist=ShardedByS3Key --hosts {}", many(30)),
            "for 30 hosts",
        ),
        (
            format!(
                "--channel x={bucket}/set/shards/,mode=Pipe --channel x_0={bucket}/set/shards/"
            ),
            "FIFO of the Pipe channel",
        ),
    ] {
        for command in [format!("check {options}"), format!("run --root r {options} -- true")] {
            let ran = lab.run(&command, &[]);
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, Some(2), "{command}: {told}");
            assert!(told.contains(rule) && told.contains("(source: "), "{command}: {told}");
            assert!(!lab.home.path("r").exists(), "{command}");
        }
    }
    let ran = lab.run(&format!("check --channel x={bucket}/set/shards/,mode=FastFile"), &[]).done();
    assert!(ran.stdout.starts_with("x: FastFile, 9 of 9 objects"), "{}", ran.stdout);
}

fn many(hosts: usize) -> String {
    (0..hosts).map(|i| format!("h{i}")).collect::<Vec<_>>().join(",")
}

#[test]
fn a_job_in_yaml_is_checked_and_a_dataset_is_emitted() {
    let lab = Lab::new("--format tfrecord");
    let text = format!(
        "TrainingJobName: t\nInputDataConfig:\n- ChannelName: train\n  InputMode: Pipe\n  DataSource:\n    \
         S3DataSource: {{S3DataType: S3Prefix, S3Uri: 's3://{}/set/shards/'}}\n",
        super::S3Server::BUCKET
    );
    lab.home.write("job.yaml", text);
    let report = lab.run("check --json --job job.yaml", &[]).done().json();
    assert_eq!(report["channels"][0]["objects"], 9, "{report}");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    let ran = lab.run("emit packed --uri s3://b-1/set --mode FastFile --sharded", &[]).done();
    assert!(
        ran.stdout
            .contains("TrainingInput(\"s3://b-1/set/shards/\", distribution=\"ShardedByS3Key\""),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("\"InputMode\": \"FastFile\""), "{}", ran.stdout);
}
