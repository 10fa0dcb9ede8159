//! Keys and types of a channel.

use super::*;

#[test]
fn a_channel_of_the_wrong_shape() {
    let source = "InputDataConfig[0].DataSource.S3DataSource";
    for (place, value, field, rule) in [
        ("/0/ChannelName", json!(null), "InputDataConfig[0].ChannelName", "must be there"),
        ("/0/ChannelName", json!(7), "InputDataConfig[0].ChannelName", "must be a text"),
        ("/0/DataSource", json!(null), "InputDataConfig[0].DataSource", "must be there"),
        ("/0/DataSource", json!({}), "InputDataConfig[0].DataSource", "must be exactly one source"),
        (
            "/0/DataSource/DatasetSource",
            json!({"DatasetArn": "arn"}),
            "InputDataConfig[0].DataSource",
            "must be exactly one source",
        ),
        ("/0/DataSource/S3DataSource", json!([]), source, "must be an object"),
        ("/0/DataSource/S3DataSource/S3Uri", json!(null), ".S3Uri", "must be there"),
        ("/0/DataSource/S3DataSource/S3DataType", json!(null), ".S3DataType", "must be there"),
        (
            "/0/DataSource/S3DataSource/S3DataType",
            json!("s3prefix"),
            ".S3DataType",
            "must be of S3Prefix, ManifestFile, AugmentedManifestFile, Converse",
        ),
        (
            "/0/DataSource/S3DataSource/S3DistributionType",
            json!("FullyReplicated"),
            ".S3DistributionType",
            "no such key here",
        ),
        (
            "/0/DataSource/S3DataSource/S3DataDistributionType",
            json!("Sharded"),
            ".S3DataDistributionType",
            "must be of FullyReplicated, ShardedByS3Key",
        ),
        (
            "/0/DataSource/S3DataSource/AttributeNames",
            json!(["a", 1]),
            ".AttributeNames",
            "must be a list of texts",
        ),
        (
            "/0/DataSource/S3DataSource/ModelAccessConfig",
            json!({"AcceptEula": "yes"}),
            ".ModelAccessConfig.AcceptEula",
            "must be true or false",
        ),
        (
            "/0/DataSource/S3DataSource/HubAccessConfig",
            json!({}),
            ".HubAccessConfig.HubContentArn",
            "must be there",
        ),
        ("/0/EnableFFM", json!(true), ".EnableFFM", "no such key here"),
        ("/0/InputMode", json!("Fifo"), ".InputMode", "must be of File, FastFile, Pipe"),
        ("/0/InputMode", json!("pipe"), ".InputMode", "must be of File, FastFile, Pipe"),
        ("/0/CompressionType", json!("gzip"), ".CompressionType", "must be of None, Gzip"),
        ("/0/RecordWrapperType", json!(""), ".RecordWrapperType", "must be of None, RecordIO"),
        ("/0/ShuffleConfig", json!({}), ".ShuffleConfig.Seed", "must be there"),
        ("/0/ShuffleConfig", json!(1), ".ShuffleConfig", "must be an object"),
        (
            "/0/ShuffleConfig",
            json!({"Seed": 9223372036854775808u64}),
            ".ShuffleConfig.Seed",
            "must be a whole number of 64 bits",
        ),
        ("/1", json!("train"), "InputDataConfig[1]", "must be an object"),
    ] {
        let violations = parse(&with(one_channel(), place, value)).unwrap_err();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].field.ends_with(field), "{violations:?}");
        assert_eq!(violations[0].rule, rule, "{violations:?}");
    }
    let violations = parse(&with(one_channel(), "/0/InputMode", json!("pipe"))).unwrap_err();
    assert_eq!(violations[0].advice, "write Pipe");
    let twice = br#"[{"ChannelName": "a", "ChannelName": "b"}]"#;
    let error = JobRequest::parse_channels(twice, InputMode::File).unwrap_err().to_string();
    assert!(error.contains("\"ChannelName\" stands twice"), "{error}");
    let null = br#"[{"ChannelName": "a", "InputMode": null, "DataSource": {"DatasetSource": {"DatasetArn": "a"}}}]"#;
    let error = JobRequest::parse_channels(null, InputMode::File).unwrap_err().to_string();
    assert!(
        error.contains("InputDataConfig[0].InputMode is \"null\": must have a value"),
        "{error}"
    );
}
