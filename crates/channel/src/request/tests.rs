mod job;
mod matrix;
mod shape;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{ErrorKind, JobRequest};
use shardpack_manifest::sagemaker::Word;

/// Fields and rules, a line each.
fn said(violations: &[Violation]) -> Vec<String> {
    assert!(violations.iter().all(|v| !v.rule.is_empty() && !v.advice.is_empty()));
    violations.iter().map(|v| format!("{}: {}", v.field, v.rule)).collect()
}

fn parse(value: &Value) -> Result<JobRequest, Vec<Violation>> {
    let text = value.to_string();
    let result = match value {
        Value::Array(_) => JobRequest::parse_channels(text.as_bytes(), InputMode::File),
        _ => JobRequest::parse(text.as_bytes()),
    };
    result.map_err(|error| match error.kind() {
        ErrorKind::Refused { violations } => violations.clone(),
        other => panic!("{other:?}"),
    })
}

fn one_channel() -> Value {
    json!([{
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/train/"}},
    }])
}

fn whole_job() -> Value {
    json!({
        "TrainingJobName": "my-job-1",
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "FastFile"},
        "InputDataConfig": one_channel(),
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30},
        "HyperParameters": {"lr": "0.1"},
        "Environment": {"A_1": "x\ny"},
        "RetryStrategy": {"MaximumRetryAttempts": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    })
}

/// The same JSON with something else at a place (`/a/0/b`): nothing for null.
fn with(mut whole: Value, place: &str, value: Value) -> Value {
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = whole.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
    match (parent, value) {
        (Value::Object(members), Value::Null) => assert!(members.remove(key).is_some(), "{place}"),
        (Value::Object(members), value) => _ = members.insert(key.to_owned(), value),
        (Value::Array(entries), value) => entries.insert(key.parse().unwrap(), value),
        _ => panic!("{place}"),
    }
    whole
}

#[test]
fn requests_are_read() {
    let full = json!([{
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {
            "S3DataType": "AugmentedManifestFile",
            "S3Uri": "s3://b/train.manifest",
            "S3DataDistributionType": "ShardedByS3Key",
            "AttributeNames": ["image-ref", "label"],
            "InstanceGroupNames": ["gpu"],
            "ModelAccessConfig": {"AcceptEula": true},
            "HubAccessConfig": {"HubContentArn": "arn:aws:x"},
        }},
        "ContentType": "application/x-recordio",
        "CompressionType": "Gzip",
        "RecordWrapperType": "RecordIO",
        "InputMode": "Pipe",
        "ShuffleConfig": {"Seed": -3},
    }, {
        "ChannelName": "val",
        "DataSource": {"FileSystemDataSource": {
            "FileSystemId": "fs-01234567",
            "FileSystemType": "FSxLustre",
            "FileSystemAccessMode": "rw",
            "DirectoryPath": "/fsx/val",
        }},
    }]);
    let [train, val] = &parse(&full).unwrap().channels[..] else { panic!("two channels") };
    let source = S3Source {
        data_type: DataType::AugmentedManifestFile,
        uri: "s3://b/train.manifest".into(),
        distribution: Distribution::ShardedByS3Key,
        attribute_names: vec!["image-ref".into(), "label".into()],
        instance_groups: vec!["gpu".into()],
    };
    let wanted = ChannelRequest {
        name: "train".into(),
        source: DataSource::S3(source),
        mode: InputMode::Pipe,
        content_type: Some("application/x-recordio".into()),
        compression: CompressionType::Gzip,
        wrapper: RecordWrapper::RecordIo,
        shuffle_seed: Some(-3),
    };
    assert_eq!(train, &wanted);
    assert_eq!((val.mode, val.s3_source()), (InputMode::File, None));

    let job = parse(&whole_job()).unwrap();
    assert_eq!(job.channels[0].mode, InputMode::FastFile, "the job's");
    assert_eq!((job.instance_type.as_deref(), job.instance_count), (Some("ml.m5.large"), Some(2)));
    assert_eq!(job.hyperparameters["lr"], "0.1");
    assert_eq!(job.environment["A_1"], "x\ny");
    assert_eq!(job.doubts(), []);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let mut job = with(whole_job(), "/InputDataConfig/0/InputMode", json!("Fifo"));
    job = with(job, "/InputDataConfig/0/ChannelName", json!("a/b"));
    job = with(job, "/TrainingJobName", json!("-"));
    let fields: Vec<_> = parse(&job).unwrap_err().into_iter().map(|v| v.field).collect();
    assert_eq!(
        fields,
        ["TrainingJobName", "InputDataConfig[0].InputMode", "InputDataConfig[0].ChannelName"]
    );
    // The matrix is not asked about a mode that is a guess.
    let mut channels = with(one_channel(), "/0/InputMode", json!("pipe"));
    channels = with(channels, "/0/CompressionType", json!("Gzip"));
    assert_eq!(parse(&channels).unwrap_err().len(), 1);
}

#[test]
fn what_is_no_request() {
    for text in ["", "{", "[1", "nul", "\u{0}"] {
        let job = JobRequest::parse(text.as_bytes()).unwrap_err();
        let list = JobRequest::parse_channels(text.as_bytes(), InputMode::File).unwrap_err();
        for error in [job, list] {
            assert!(matches!(error.kind(), ErrorKind::Json { .. }), "{text}: {error}");
        }
    }
    let error = JobRequest::parse_channels(b"{}", InputMode::File).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
}

/// What the manifest's own channels are written as is a request that would be taken.
#[test]
fn channels_of_datasets_pass() {
    use shardpack_manifest::sagemaker::{Channel, to_json};
    for mode in InputMode::ALL {
        let channel = Channel {
            name: "train".into(),
            s3_uri: "s3://b/shards/train/".into(),
            data_type: DataType::S3Prefix,
            distribution: Distribution::ShardedByS3Key,
            content_type: Some("application/x-tfrecord".into()),
            mode: *mode,
            shuffle_seed: (*mode == InputMode::Pipe).then_some(1),
        };
        let text = to_json(&[channel]).unwrap();
        let job = JobRequest::parse_channels(&text, InputMode::File).unwrap();
        assert_eq!(job.channels[0].mode, *mode);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}\",:a-zA-Z0-9]{0,60}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let _ = JobRequest::parse(bytes);
            let _ = JobRequest::parse_channels(bytes, InputMode::Pipe);
        }
    }

    /// Whatever stands at one place of a job, there is an answer, and it names a field.
    #[test]
    fn any_value_anywhere_is_judged(place in prop::sample::select(places()), value in prop::sample::select(vec![
        json!(0), json!(-1), json!(1.5), json!(""), json!("x"), json!("\u{0}"), json!([]), json!({}), json!([[]]), json!([{}]), json!({"a": 1}), json!(true),
    ])) {
        let mut job = whole_job();
        *job.pointer_mut(&place).unwrap() = value;
        if let Err(violations) = parse(&job) {
            prop_assert!(!violations.is_empty());
            prop_assert!(violations.iter().all(|v| !v.field.is_empty()));
        }
    }
}

/// All places of a job.
fn places() -> Vec<String> {
    fn walk(value: &Value, at: &str, places: &mut Vec<String>) {
        let members = value.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v));
        let entries =
            value.as_array().into_iter().flatten().enumerate().map(|(i, v)| (i.to_string(), v));
        for (key, value) in members.chain(entries) {
            let place = format!("{at}/{key}");
            walk(value, &place, places);
            places.push(place);
        }
    }
    let mut all = Vec::new();
    walk(&whole_job(), "", &mut all);
    all
}
