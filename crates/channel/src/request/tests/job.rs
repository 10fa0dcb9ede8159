//! Channels against each other, and the rest of a job.

use super::*;

#[test]
fn channels_against_each_other() {
    let named = |names: &[(&str, &str)]| {
        let channels = names.iter().map(|(name, mode)| {
            json!({
                "ChannelName": name,
                "InputMode": mode,
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/"}},
            })
        });
        Value::from_iter(channels)
    };
    let many: Vec<String> = (0..21).map(|i| format!("c{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "File")).collect();
    for (channels, rule) in [
        (&many[..20], None),
        (&many[..], Some("must have 1 to 20 entries")),
        (&[], Some("must have 1 to 20 entries")),
        (&[("a", "File"), ("a", "Pipe")], Some("names two channels")),
        (&[("x_3", "File"), ("x", "Pipe")], Some("is the name of a FIFO of the Pipe channel x")),
        (&[("x", "Pipe"), ("x_0", "Pipe"), ("y_0", "File")], None),
    ] {
        let found = parse(&named(channels)).err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|v| v.rule.as_str()).collect();
        assert_eq!(found, Vec::from_iter(rule), "{channels:?}");
    }
    let doubts = parse(&named(&[("a", "File"), ("A", "File")])).unwrap().doubts();
    assert_eq!(
        said(&doubts),
        ["InputDataConfig[1].ChannelName: shares the variable SM_CHANNEL_A with a"]
    );
}

#[test]
fn the_rest_of_a_job() {
    let texts = |count: usize, len: usize| {
        let pairs = (0..count).map(|i| (format!("k{i}"), json!("v".repeat(len))));
        Value::Object(pairs.collect())
    };
    let group =
        |name: &str| json!({"InstanceGroupName": name, "InstanceType": "t", "InstanceCount": 1});
    let groups = |names: &[&str]| json!({"InstanceGroups": names.iter().map(|n| group(n)).collect::<Value>()});
    let mount = json!({"FileSystemDataSource": {
        "FileSystemId": "fs-01234567", "FileSystemType": "EFS",
        "FileSystemAccessMode": "ro", "DirectoryPath": "/",
    }});
    let mounted = json!([{"ChannelName": "t", "InputMode": "File", "DataSource": mount}]);
    let vpc = |groups: usize, nets: usize| json!({"SecurityGroupIds": vec!["sg-1"; groups], "Subnets": vec!["subnet-1"; nets]});
    for (place, value, said) in [
        ("/TrainingJobName", json!(null), Some("TrainingJobName: must be there")),
        ("/TrainingJobName", json!("a".repeat(63)), None),
        ("/TrainingJobName", json!("a".repeat(64)), Some("TrainingJobName: must be 1 to 63")),
        ("/TrainingJobName", json!("a_b"), Some("TrainingJobName: must be 1 to 63")),
        ("/RoleArn", json!(null), Some("RoleArn: must be there")),
        ("/OutputDataConfig", json!(null), Some("OutputDataConfig: must be there")),
        ("/InputDataConfig", json!(null), None),
        ("/InputDataConfig", json!({}), Some("InputDataConfig: must be a list")),
        ("/TrainingJobArn", json!("x"), Some("TrainingJobArn: no such key here")),
        (
            "/AlgorithmSpecification/TrainingInputMode",
            json!(null),
            Some("AlgorithmSpecification.TrainingInputMode: must be there"),
        ),
        (
            "/AlgorithmSpecification/TrainingInputMode",
            json!("Fifo"),
            Some("AlgorithmSpecification.TrainingInputMode: must be of File"),
        ),
        (
            "/AlgorithmSpecification/Image",
            json!("x"),
            Some("AlgorithmSpecification.Image: no such key here"),
        ),
        ("/HyperParameters", texts(100, 2500), None),
        ("/HyperParameters", texts(101, 1), Some("HyperParameters: must have 0 to 100 entries")),
        (
            "/HyperParameters",
            texts(1, 2501),
            Some("HyperParameters.k0: a value must be at most 2500"),
        ),
        ("/HyperParameters/n", json!(3), Some("HyperParameters.n: must be a text")),
        ("/Environment", texts(100, 512), None),
        ("/Environment", texts(101, 1), Some("Environment: must have 0 to 100 entries")),
        ("/Environment", texts(1, 513), Some("Environment.k0: a value must be at most 512")),
        ("/Environment/1A", json!("x"), Some("Environment.1A: must be letters")),
        ("/Environment/A-B", json!("x"), Some("Environment.A-B: must be letters")),
        (
            "/RetryStrategy/MaximumRetryAttempts",
            json!(31),
            Some("RetryStrategy.MaximumRetryAttempts: must be 1 to 30"),
        ),
        (
            "/RetryStrategy/MaximumRetryAttempts",
            json!(0),
            Some("RetryStrategy.MaximumRetryAttempts: must be 1 to 30"),
        ),
        ("/ResourceConfig/KeepAlivePeriodInSeconds", json!(21600), None),
        (
            "/ResourceConfig/KeepAlivePeriodInSeconds",
            json!(21601),
            Some("ResourceConfig.KeepAlivePeriodInSeconds: must be 0 to 21600"),
        ),
        (
            "/ResourceConfig/InstanceCount",
            json!(-1),
            Some("ResourceConfig.InstanceCount: must be 0 to"),
        ),
        (
            "/ResourceConfig/InstanceGroups",
            json!([]),
            Some("ResourceConfig: must say in exactly one way"),
        ),
        (
            "/ResourceConfig",
            json!({"InstanceCount": 1}),
            Some("ResourceConfig: must say in exactly one way"),
        ),
        ("/ResourceConfig", json!({"InstancePreferences": [{"InstanceType": "t"}]}), None),
        (
            "/ResourceConfig",
            json!({"InstancePreferences": [{"Type": "t"}]}),
            Some("ResourceConfig.InstancePreferences[0].Type: no such key here"),
        ),
        ("/ResourceConfig", groups(&["a", "b", "c", "d", "e"]), None),
        (
            "/ResourceConfig",
            groups(&["a", "b", "c", "d", "e", "f"]),
            Some("ResourceConfig.InstanceGroups: must have 0 to 5"),
        ),
        (
            "/ResourceConfig",
            groups(&["a", "a"]),
            Some("ResourceConfig.InstanceGroups[1].InstanceGroupName: names two groups"),
        ),
        (
            "/ResourceConfig",
            groups(&[""]),
            Some("ResourceConfig.InstanceGroups[0].InstanceGroupName: must be one line of 1 to 64"),
        ),
        (
            "/ResourceConfig",
            json!({"InstanceGroups": [{}]}),
            Some("ResourceConfig.InstanceGroups[0].InstanceCount: must be there"),
        ),
        ("/VpcConfig", vpc(5, 16), None),
        ("/VpcConfig", vpc(6, 16), Some("VpcConfig.SecurityGroupIds: must have 1 to 5")),
        ("/VpcConfig", vpc(5, 17), Some("VpcConfig.Subnets: must have 1 to 16")),
        ("/VpcConfig", vpc(0, 1), Some("VpcConfig.SecurityGroupIds: must have 1 to 5")),
        (
            "/VpcConfig",
            json!({"Subnets": ["s"]}),
            Some("VpcConfig.SecurityGroupIds: must be there"),
        ),
        (
            "/InputDataConfig",
            mounted.clone(),
            Some("VpcConfig: must be there for the file system of channel t"),
        ),
    ] {
        let found = super::said(&parse(&with(whole_job(), place, value)).err().unwrap_or_default());
        match said {
            None => assert_eq!(found, Vec::<String>::new(), "{place}"),
            Some(said) => assert!(found.first().is_some_and(|f| f.starts_with(said)), "{found:?}"),
        }
    }
    let job = with(with(whole_job(), "/InputDataConfig", mounted), "/VpcConfig", vpc(1, 1));
    assert!(parse(&job).is_ok());
}

#[test]
fn channels_name_groups_that_there_are() {
    let place = "/InputDataConfig/0/DataSource/S3DataSource/InstanceGroupNames";
    let job = with(whole_job(), place, json!(["gpu"]));
    let at = "InputDataConfig[0].DataSource.S3DataSource.InstanceGroupNames";
    assert_eq!(said(&parse(&job).unwrap_err()), [format!("{at}: the job has no instance groups")]);
    let group = json!({"InstanceGroupName": "cpu", "InstanceType": "t", "InstanceCount": 2});
    let resources = |name: &str| json!({"InstanceGroups": [with(json!([group.clone()]), "/0/InstanceGroupName", json!(name))[0]]});
    let other = parse(&with(job.clone(), "/ResourceConfig", resources("cpu"))).unwrap_err();
    assert_eq!(other[0].advice, "known are cpu");
    let job = parse(&with(job, "/ResourceConfig", resources("gpu"))).unwrap();
    let wanted = GroupRequest { name: "gpu".into(), instance_type: "t".into(), count: 2 };
    assert_eq!(job.instance_groups, [wanted]);
}
