//! The whole of `CreateTrainingJob`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use shardpack_manifest::sagemaker::InputMode;

use super::shape::{Shape, count, length, list};
use super::{DataSource, GroupRequest, JobRequest, Report, channel, field, matrix};
use crate::json::{Members, text};
use crate::name::clashes;
use crate::request::Violation;
use crate::{Error, ErrorKind, Result};

/// Keys of `CreateTrainingJob`, version 2017-07-24 of the API, as of botocore 1.44.5.
const JOB: &[&str] = &[
    "AlgorithmSpecification",
    "CheckpointConfig",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "EnableNetworkIsolation",
    "Environment",
    "ExperimentConfig",
    "HyperParameters",
    "InfraCheckConfig",
    "InputDataConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "OutputDataConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "ResourceConfig",
    "RetryStrategy",
    "RoleArn",
    "ServerlessJobConfig",
    "SessionChainingConfig",
    "StoppingCondition",
    "Tags",
    "TensorBoardOutputConfig",
    "TrainingJobName",
    "VpcConfig",
];
const ALGORITHM: &[&str] = &[
    "AlgorithmName",
    "ContainerArguments",
    "ContainerEntrypoint",
    "EnableSageMakerMetricsTimeSeries",
    "MetricDefinitions",
    "TrainingImage",
    "TrainingImageConfig",
    "TrainingInputMode",
];
const RESOURCES: &[&str] = &[
    "InstanceCount",
    "InstanceGroups",
    "InstancePlacementConfig",
    "InstancePreferences",
    "InstanceType",
    "KeepAlivePeriodInSeconds",
    "TrainingPlanArn",
    "VolumeKmsKeyId",
    "VolumeSizeInGB",
];
const GROUP: &[&str] = &["InstanceCount", "InstanceGroupName", "InstanceType"];
const PREFERENCE: &[&str] = &["InstanceCount", "InstanceType", "TrainingPlanArns"];
const CHANNELS: &str = "InputDataConfig";

/// Most channels of a job. Others are not looked at: that they are too many is told.
const MAX_CHANNELS: usize = 20;
/// Most instance groups, and most preferences.
const MAX_GROUPS: usize = 5;

impl JobRequest {
    /// Parses and checks the JSON of `CreateTrainingJob`: names, types and limits of all that
    /// concerns data, hosts and what the container is told, every combination that is documented
    /// to fail, and channels against each other. The insides of its other keys and the list of
    /// instance types, which grows every month, are passed over.
    ///
    /// Fails with [`ErrorKind::Refused`], which holds all that was found, and with
    /// [`ErrorKind::Json`] or [`ErrorKind::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut report = Report::default();
        let required = ["TrainingJobName", "RoleArn", "OutputDataConfig"];
        let shape = Shape::new("", Members::parse(bytes)?, JOB, &required, &mut report);
        if let Some(name) = shape.text("TrainingJobName", &mut report) {
            job_name(&name, &mut report);
        }
        let mode = algorithm(&shape, &mut report).unwrap_or(InputMode::File);
        let mut job = Self::default();
        resources(&shape, &mut job, &mut report);
        if let Some(raw) = shape.get(CHANNELS) {
            job.channels(raw, mode, &mut report);
        }
        job.hyperparameters = texts(&shape, "HyperParameters", [256, 2500], &mut report);
        job.environment = texts(&shape, "Environment", [512, 512], &mut report);
        for name in job.environment.keys().filter(|name| !is_variable(name)) {
            let at = format!("Environment.{name}");
            let rule = "must be letters, digits and `_`, and not start with a digit";
            report.add(at, name, rule, "rename the variable");
        }
        job.check_groups(&mut report);
        job.check_network(&shape, &mut report);
        retries(&shape, &mut report);
        job.or(report)
    }

    /// Parses and checks the list that is `InputDataConfig`; `mode` is that of channels without
    /// `InputMode`. Instance groups and network are not known here, so not checked.
    pub fn parse_channels(bytes: &[u8], mode: InputMode) -> Result<Self> {
        let mut report = Report::default();
        let raw: &RawValue = serde_json::from_str(text(bytes)?)?;
        let mut job = Self::default();
        job.channels(raw, mode, &mut report);
        job.or(report)
    }

    /// What SageMaker may take, but documents in no way or with a trap.
    pub fn doubts(&self) -> Vec<Violation> {
        let mut report = Report::default();
        for (i, channel) in self.channels.iter().enumerate() {
            let at = format!("{CHANNELS}[{i}]");
            matrix::doubts(channel, &at, &mut report);
            let before = self.channels.iter().take(i);
            let same =
                |name: &str| name != channel.name && name.eq_ignore_ascii_case(&channel.name);
            if let Some(other) = before.map(|other| &other.name).find(|name| same(name)) {
                let rule =
                    format!("shares the variable SM_CHANNEL_{} with {other}", other.to_uppercase());
                report.add(field(&at, "ChannelName"), &channel.name, rule, "rename one of them");
            }
        }
        report.0
    }

    fn or(self, report: Report) -> Result<Self> {
        match report.0.is_empty() {
            true => Ok(self),
            false => Err(Error::new(ErrorKind::Refused { violations: report.0 })),
        }
    }

    /// Reads the channels and checks each, and all against each other.
    fn channels(&mut self, raw: &RawValue, mode: InputMode, report: &mut Report) {
        let entries = list(CHANNELS, raw, report);
        if raw.get().starts_with('[') {
            count(CHANNELS, entries.len(), 1, MAX_CHANNELS, report);
        }
        for (at, raw) in entries.into_iter().take(MAX_CHANNELS) {
            let before = report.0.len();
            let Some(channel) = channel::parse(&at, raw, mode, report) else { continue };
            // A mode or type that is none of the known would be judged as its default.
            let is_known = report.0.len() == before;
            channel::limits(&channel, &at, report);
            if is_known {
                matrix::check(&channel, &at, report);
            }
            if self.channels.iter().any(|other| other.name == channel.name) {
                let at = field(&at, "ChannelName");
                report.add(at, &channel.name, "names two channels", "rename one of them");
            }
            self.channels.push(channel);
        }
        let modes = self.channels.iter().map(|channel| (channel.name.as_str(), channel.mode));
        for clash in clashes(modes) {
            let rule = format!("is the name of a FIFO of the Pipe channel {}", clash.pipe);
            report.add(CHANNELS, clash.directory, rule, "rename one of them");
        }
    }

    /// Channels name only groups that there are.
    fn check_groups(&self, report: &mut Report) {
        let known: Vec<&str> = self.instance_groups.iter().map(|g| g.name.as_str()).collect();
        for (i, channel) in self.channels.iter().enumerate() {
            let Some(source) = channel.s3_source() else { continue };
            for name in source.instance_groups.iter().filter(|name| !known.contains(&name.as_str()))
            {
                let at = format!("{CHANNELS}[{i}].DataSource.S3DataSource.InstanceGroupNames");
                let (rule, advice) = match known.is_empty() {
                    true => ("the job has no instance groups", "leave them out".to_owned()),
                    false => ("no such instance group", format!("known are {}", known.join(", "))),
                };
                report.add(at, name, rule, advice);
            }
        }
    }

    /// File systems are reached over the customer's network.
    fn check_network(&self, shape: &Shape<'_>, report: &mut Report) {
        let keys = ["SecurityGroupIds", "Subnets"];
        if let Some(raw) = shape.get("VpcConfig") {
            let Some(vpc) = Shape::open("VpcConfig", raw, &keys, &keys, report) else { return };
            for (key, most) in keys.into_iter().zip([5, 16]) {
                let names = vpc.texts(key, report);
                if vpc.get(key).is_some() {
                    count(vpc.field(key), names.len(), 1, most, report);
                }
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
                for name in
                    names.iter().filter(|n| n.len() > 32 || n.is_empty() || !n.chars().all(plain))
                {
                    let rule = "must be at most 32 letters, digits and `-`";
                    report.add(vpc.field(key), name, rule, "write the id");
                }
            }
            return;
        }
        let is_mounted = |source: &DataSource| matches!(source, DataSource::FileSystem(_));
        if let Some(channel) = self.channels.iter().find(|channel| is_mounted(&channel.source)) {
            let rule = format!("must be there for the file system of channel {}", channel.name);
            report.add("VpcConfig", "", rule, "set SecurityGroupIds and Subnets");
        }
    }
}

fn job_name(name: &str, report: &mut Report) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let (first, last) = (name.as_bytes().first(), name.as_bytes().last());
    if name.len() > 63 || !name.bytes().all(plain) || !ends(first) || !ends(last) {
        let rule = "must be 1 to 63 letters, digits and `-`, and not start or end in `-`";
        report.add("TrainingJobName", name, rule, "rename the job");
    }
}

fn algorithm(shape: &Shape<'_>, report: &mut Report) -> Option<InputMode> {
    let at = "AlgorithmSpecification";
    let algorithm = Shape::open(at, shape.get(at)?, ALGORITHM, &["TrainingInputMode"], report)?;
    algorithm.word("TrainingInputMode", report)
}

fn resources(shape: &Shape<'_>, job: &mut JobRequest, report: &mut Report) {
    let at = "ResourceConfig";
    let Some(raw) = shape.get(at) else { return };
    let Some(shape) = Shape::open(at, raw, RESOURCES, &[], report) else { return };
    let kinds = ["InstanceType", "InstanceGroups", "InstancePreferences"];
    let set: Vec<&str> = kinds.into_iter().filter(|key| shape.get(key).is_some()).collect();
    if set.len() != 1 {
        let advice = format!("set one of {}", kinds.join(", "));
        report.add(at, set.join(", "), "must say in exactly one way which instances", advice);
    }
    job.instance_type = shape.text("InstanceType", report);
    job.instance_count = natural(&shape, "InstanceCount", u32::MAX, report);
    natural(&shape, "VolumeSizeInGB", u32::MAX, report);
    natural(&shape, "KeepAlivePeriodInSeconds", 21_600, report);
    let [groups, preferences] =
        ["InstanceGroups", "InstancePreferences"].map(|key| (key, shape.list(key, report)));
    for (key, entries) in [&groups, &preferences] {
        count(shape.field(key), entries.len(), 0, MAX_GROUPS, report);
    }
    for (at, raw) in preferences.1.into_iter().take(MAX_GROUPS) {
        Shape::open(&at, raw, PREFERENCE, &["InstanceType"], report);
    }
    for (at, raw) in groups.1.into_iter().take(MAX_GROUPS) {
        let Some(group) = Shape::open(&at, raw, GROUP, GROUP, report) else { continue };
        let name = group.text("InstanceGroupName", report);
        let instance_type = group.text("InstanceType", report);
        let count = natural(&group, "InstanceCount", u32::MAX, report);
        let (Some(name), Some(instance_type), Some(count)) = (name, instance_type, count) else {
            continue;
        };
        length(group.field("InstanceGroupName"), &name, 1, 64, report);
        if job.instance_groups.iter().any(|other| other.name == name) {
            let at = group.field("InstanceGroupName");
            report.add(at, &name, "names two groups", "rename one of them");
        }
        job.instance_groups.push(GroupRequest { name, instance_type, count });
    }
}

fn retries(shape: &Shape<'_>, report: &mut Report) {
    let (at, key) = ("RetryStrategy", "MaximumRetryAttempts");
    let Some(raw) = shape.get(at) else { return };
    let Some(strategy) = Shape::open(at, raw, &[key], &[key], report) else { return };
    if let Some(number) = strategy.whole(key, report).filter(|n| !(1..=30).contains(n)) {
        report.add(strategy.field(key), number.to_string(), "must be 1 to 30", "change it");
    }
}

/// A whole number from 0.
fn natural(shape: &Shape<'_>, key: &str, most: u32, report: &mut Report) -> Option<u32> {
    let number = shape.whole(key, report)?;
    let fits = u32::try_from(number).ok().filter(|number| *number <= most);
    if fits.is_none() {
        let rule = format!("must be 0 to {most}");
        report.add(shape.field(key), number.to_string(), rule, "change it");
    }
    fits
}

/// A map of at most 100 texts; `longest` are the limits of keys and values in characters.
fn texts(
    shape: &Shape<'_>,
    key: &str,
    longest: [usize; 2],
    report: &mut Report,
) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let map = shape.get(key).and_then(|raw| Shape::map(key, raw, report));
    let Some(map) = map else { return texts };
    count(key, map.keys().count(), 0, 100, report);
    for (name, text) in map.all_texts(report) {
        for (what, text, longest) in [("key", &name, longest[0]), ("value", &text, longest[1])] {
            if text.chars().count() > longest {
                let rule = format!("a {what} must be at most {longest} characters");
                report.add(map.field(&name), text, rule, "shorten it");
            }
        }
        texts.insert(name, text);
    }
    texts
}

fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}
