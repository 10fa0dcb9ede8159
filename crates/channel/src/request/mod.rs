//! `CreateTrainingJob`, as far as data is concerned: which requests SageMaker would take.
//!
//! The SDKs check little: required keys, types and least lengths. A wrong word, a name that is too
//! long, FastFile with a manifest all pass there and fail after minutes, or never.

mod channel;
mod job;
mod matrix;
mod shape;

use std::collections::BTreeMap;
use std::fmt;

use shardpack_manifest::sagemaker::{
    AccessMode, CompressionType, DataType, Distribution, FileSystemType, InputMode, RecordWrapper,
};

use crate::json::clipped;

/// A rule that a request breaks, or a doubt about one that it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, with those that lead to it: `InputDataConfig[0].InputMode`.
    pub field: String,
    /// What it holds.
    pub value: String,
    /// The rule.
    pub rule: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, rule, advice } = self;
        write!(f, "{field} is {value:?}: {rule}; {advice}")
    }
}

/// A channel of a request.
///
/// ```
/// use shardpack_channel::{ChannelRequest, DataType, InputMode};
///
/// let mut channel = ChannelRequest::s3("train", "s3://bucket/train/", InputMode::FastFile);
/// assert!(channel.check().is_ok());
/// channel.s3_mut().unwrap().data_type = DataType::ManifestFile;
/// let violations = channel.check().unwrap_err();
/// assert_eq!(
///     violations[0].to_string(),
///     "DataSource.S3DataSource.S3DataType is \"ManifestFile\": FastFile takes S3Prefix only; \
///      set S3DataType to S3Prefix, or InputMode to File or Pipe"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRequest {
    /// `ChannelName`.
    pub name: String,
    /// `DataSource`.
    pub source: DataSource,
    /// `InputMode`, or the job's.
    pub mode: InputMode,
    /// `ContentType`.
    pub content_type: Option<String>,
    /// `CompressionType`.
    pub compression: CompressionType,
    /// `RecordWrapperType`.
    pub wrapper: RecordWrapper,
    /// `ShuffleConfig.Seed`.
    pub shuffle_seed: Option<i64>,
}

/// Where the data of a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// `S3DataSource`.
    S3(S3Source),
    /// `FileSystemDataSource`.
    FileSystem(FileSystemSource),
    /// `DatasetSource`: a dataset of a hub, by its ARN. Never served here.
    Dataset(String),
}

/// `S3DataSource`. Access to models and hubs is checked when it is parsed, and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Source {
    /// `S3DataType`.
    pub data_type: DataType,
    /// `S3Uri`.
    pub uri: String,
    /// `S3DataDistributionType`. Default: [`Distribution::FullyReplicated`].
    pub distribution: Distribution,
    /// `AttributeNames`, in this order.
    pub attribute_names: Vec<String>,
    /// `InstanceGroupNames`: the groups that get the channel; all without names.
    pub instance_groups: Vec<String>,
}

/// `FileSystemDataSource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemSource {
    /// `FileSystemId`.
    pub id: String,
    /// `FileSystemType`.
    pub kind: FileSystemType,
    /// `FileSystemAccessMode`.
    pub access: AccessMode,
    /// `DirectoryPath`.
    pub path: String,
}

impl ChannelRequest {
    /// A channel on S3: an `S3Prefix` that every host gets all of.
    pub fn s3(name: impl Into<String>, uri: impl Into<String>, mode: InputMode) -> Self {
        let source = DataSource::S3(S3Source {
            data_type: DataType::S3Prefix,
            uri: uri.into(),
            distribution: Distribution::FullyReplicated,
            attribute_names: Vec::new(),
            instance_groups: Vec::new(),
        });
        Self::new(name, source, mode)
    }

    /// A channel with nothing else set.
    pub fn new(name: impl Into<String>, source: DataSource, mode: InputMode) -> Self {
        Self {
            name: name.into(),
            source,
            mode,
            content_type: None,
            compression: CompressionType::None,
            wrapper: RecordWrapper::None,
            shuffle_seed: None,
        }
    }

    /// Its source on S3.
    pub fn s3_source(&self) -> Option<&S3Source> {
        match &self.source {
            DataSource::S3(source) => Some(source),
            _ => None,
        }
    }

    /// Its source on S3, to change.
    pub fn s3_mut(&mut self) -> Option<&mut S3Source> {
        match &mut self.source {
            DataSource::S3(source) => Some(source),
            _ => None,
        }
    }

    /// Checks names, lengths and every combination that is documented to fail.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut report = Report::default();
        channel::limits(self, "", &mut report);
        matrix::check(self, "", &mut report);
        match report.0.is_empty() {
            true => Ok(()),
            false => Err(report.0),
        }
    }

    /// What SageMaker may take, but documents in no way or with a trap.
    pub fn doubts(&self) -> Vec<Violation> {
        let mut report = Report::default();
        matrix::doubts(self, "", &mut report);
        report.0
    }
}

/// The parts of `CreateTrainingJob` that a container sees, all of them checked.
///
/// ```
/// use shardpack_channel::{InputMode, JobRequest};
///
/// let error = JobRequest::parse_channels(
///     br#"[{"ChannelName": "train", "S3DistributionType": "FullyReplicated"}]"#,
///     InputMode::File,
/// ).unwrap_err();
/// assert!(error.to_string().starts_with(
///     "InputDataConfig[0].S3DistributionType is \"FullyReplicated\": no such key here; \
///      known are ChannelName, CompressionType, ContentType, "
/// ));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRequest {
    /// `InputDataConfig`.
    pub channels: Vec<ChannelRequest>,
    /// `HyperParameters`.
    pub hyperparameters: BTreeMap<String, String>,
    /// `Environment`.
    pub environment: BTreeMap<String, String>,
    /// `ResourceConfig.InstanceType`.
    pub instance_type: Option<String>,
    /// `ResourceConfig.InstanceCount`.
    pub instance_count: Option<u32>,
    /// `ResourceConfig.InstanceGroups`.
    pub instance_groups: Vec<GroupRequest>,
}

/// An instance group of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// `InstanceGroupName`.
    pub name: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// `InstanceCount`.
    pub count: u32,
}

/// Violations as they are found.
#[derive(Debug, Default)]
struct Report(Vec<Violation>);

impl Report {
    fn add(
        &mut self,
        field: impl Into<String>,
        value: impl AsRef<str>,
        rule: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let (field, value) = (field.into(), clipped(value.as_ref()));
        self.0.push(Violation { field, value, rule: rule.into(), advice: advice.into() });
    }
}

/// The field `name` of what is at `at`.
fn field(at: &str, name: &str) -> String {
    match at {
        "" => name.to_owned(),
        _ => format!("{at}.{name}"),
    }
}

#[cfg(test)]
mod tests;
