//! Which sources and options go with which input mode.

use shardpack_manifest::sagemaker::{
    CompressionType, DataType, Distribution, InputMode, RecordWrapper,
};

use super::{ChannelRequest, DataSource, Report, S3Source, field};

/// Reports what is documented to fail, and the two cases of FastFile (Gzip, RecordIO) that are
/// not documented and cannot work: a mount shows objects as they are.
pub(super) fn check(channel: &ChannelRequest, at: &str, report: &mut Report) {
    let source = field(at, "DataSource");
    match &channel.source {
        DataSource::S3(s3) => s3_source(s3, channel.mode, &field(&source, "S3DataSource"), report),
        DataSource::FileSystem(file_system) => {
            if channel.mode != InputMode::File {
                report.add(
                    field(at, "InputMode"),
                    channel.mode.to_string(),
                    format!("{} is mounted in File mode only", file_system.kind),
                    "set InputMode to File: nothing is copied",
                );
            }
        }
        DataSource::Dataset(arn) => report.add(
            field(&source, "DatasetSource"),
            arn,
            "a dataset of a hub has no layout of files that is documented",
            "use S3DataSource",
        ),
    }
    if channel.mode != InputMode::Pipe {
        streamed_only(channel, at, report);
    }
}

fn s3_source(source: &S3Source, mode: InputMode, at: &str, report: &mut Report) {
    let mut refuse = |rule: &str, advice: &str| {
        report.add(field(at, "S3DataType"), source.data_type.to_string(), rule, advice);
    };
    match (source.data_type, mode) {
        (DataType::ManifestFile, InputMode::FastFile) => refuse(
            "FastFile takes S3Prefix only",
            "set S3DataType to S3Prefix, or InputMode to File or Pipe",
        ),
        (DataType::AugmentedManifestFile, InputMode::File | InputMode::FastFile) => {
            refuse("an augmented manifest is streamed only", "set InputMode to Pipe");
        }
        (DataType::Converse, _) => refuse(
            "Converse is data to tune language models with, not a layout of files",
            "set S3DataType to S3Prefix",
        ),
        _ => {}
    }
    if source.data_type != DataType::AugmentedManifestFile && !source.attribute_names.is_empty() {
        report.add(
            field(at, "AttributeNames"),
            source.attribute_names.join(", "),
            "attributes are those of an augmented manifest",
            "leave them out, or set S3DataType to AugmentedManifestFile",
        );
    }
}

/// Options that act on a stream.
fn streamed_only(channel: &ChannelRequest, at: &str, report: &mut Report) {
    let mode = channel.mode;
    if channel.compression != CompressionType::None {
        report.add(
            field(at, "CompressionType"),
            channel.compression.to_string(),
            format!("{mode} delivers objects as they are: only Pipe inflates"),
            "leave it out and inflate in the container, or set InputMode to Pipe",
        );
    }
    if channel.wrapper != RecordWrapper::None {
        report.add(
            field(at, "RecordWrapperType"),
            channel.wrapper.to_string(),
            format!("{mode} delivers objects as they are: only Pipe wraps them"),
            "leave it out, or set InputMode to Pipe",
        );
    }
}

/// Reports what may be taken, but is not documented or has a trap.
pub(super) fn doubts(channel: &ChannelRequest, at: &str, report: &mut Report) {
    if let Some(seed) = channel.shuffle_seed {
        let rule = match (&channel.source, channel.mode) {
            (DataSource::FileSystem(_), _) => "is not documented for file systems",
            (_, InputMode::FastFile) => "is not documented for FastFile",
            (_, InputMode::File) => {
                "a copy has no order: with File it shows only in which host gets what"
            }
            (_, InputMode::Pipe) => "",
        };
        if !rule.is_empty() {
            let at = field(at, "ShuffleConfig.Seed");
            report.add(at, seed.to_string(), rule, "leave it out and shuffle when reading");
        }
    }
    if let DataSource::S3(source) = &channel.source {
        s3_doubts(channel, source, at, report);
    }
}

fn s3_doubts(channel: &ChannelRequest, source: &S3Source, at: &str, report: &mut Report) {
    let wrapper = field(at, "RecordWrapperType");
    let at = &field(at, "DataSource.S3DataSource");
    let is_fast_file = channel.mode == InputMode::FastFile;
    if is_fast_file && source.distribution == Distribution::ShardedByS3Key {
        report.add(
            field(at, "S3DataDistributionType"),
            source.distribution.to_string(),
            "is not documented for FastFile",
            "check that each host sees its part only",
        );
    }
    if is_fast_file && !source.uri.ends_with('/') {
        report.add(
            field(at, "S3Uri"),
            &source.uri,
            "FastFile takes a folder or exactly one key, and refuses the beginning of names",
            "end a folder in /",
        );
    }
    if source.data_type != DataType::AugmentedManifestFile {
        return;
    }
    if channel.wrapper == RecordWrapper::None {
        report.add(
            wrapper,
            channel.wrapper.to_string(),
            "attributes run together: nothing tells where one ends",
            "set RecordWrapperType to RecordIO",
        );
    }
    let names = &source.attribute_names;
    let twice =
        names.iter().enumerate().find(|(i, name)| names.iter().take(*i).any(|n| n == *name));
    if let Some((i, name)) = twice {
        let at = format!("{}[{i}]", field(at, "AttributeNames"));
        report.add(at, name, "an attribute twice is not documented", "name it once");
    }
}
