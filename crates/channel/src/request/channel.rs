//! One channel: its keys and its limits.

use serde_json::value::RawValue;
use shardpack_manifest::sagemaker::{
    CompressionType, DataType, Distribution, FileSystemType, InputMode, RecordWrapper,
};

use super::shape::{Shape, count, length};
use super::{ChannelRequest, DataSource, FileSystemSource, Report, S3Source, field};
use crate::name::{MAX_NAME, check_name};

const CHANNEL: &[&str] = &[
    "ChannelName",
    "CompressionType",
    "ContentType",
    "DataSource",
    "InputMode",
    "RecordWrapperType",
    "ShuffleConfig",
];
const SOURCES: &[&str] = &["S3DataSource", "FileSystemDataSource", "DatasetSource"];
const S3: &[&str] = &[
    "AttributeNames",
    "HubAccessConfig",
    "InstanceGroupNames",
    "ModelAccessConfig",
    "S3DataDistributionType",
    "S3DataType",
    "S3Uri",
];
const FILE_SYSTEM: &[&str] =
    &["DirectoryPath", "FileSystemAccessMode", "FileSystemId", "FileSystemType"];

/// Reads a channel. What is wrong in itself is reported; none if too little is right to go on.
pub(super) fn parse(
    at: &str,
    raw: &RawValue,
    default: InputMode,
    report: &mut Report,
) -> Option<ChannelRequest> {
    let shape = Shape::open(at, raw, CHANNEL, &["ChannelName", "DataSource"], report)?;
    let seed = shape.get("ShuffleConfig").and_then(|raw| {
        let at = shape.field("ShuffleConfig");
        let config = Shape::open(&at, raw, &["Seed"], &["Seed"], report)?;
        config.whole("Seed", report)
    });
    let name = shape.text("ChannelName", report);
    let content_type = shape.text("ContentType", report);
    let compression = shape.word("CompressionType", report);
    let wrapper = shape.word("RecordWrapperType", report);
    let mode = shape.word("InputMode", report);
    let source = source(&shape.field("DataSource"), shape.get("DataSource")?, report);
    Some(ChannelRequest {
        name: name?,
        source: source?,
        mode: mode.unwrap_or(default),
        content_type,
        compression: compression.unwrap_or(CompressionType::None),
        wrapper: wrapper.unwrap_or(RecordWrapper::None),
        shuffle_seed: seed,
    })
}

fn source(at: &str, raw: &RawValue, report: &mut Report) -> Option<DataSource> {
    let shape = Shape::open(at, raw, SOURCES, &[], report)?;
    let set: Vec<(&str, &RawValue)> =
        SOURCES.iter().filter_map(|key| Some((*key, shape.get(key)?))).collect();
    let [(key, raw)] = set[..] else {
        let keys: Vec<&str> = set.iter().map(|(key, _)| *key).collect();
        let advice = format!("set one of {}", SOURCES.join(", "));
        report.add(at, keys.join(", "), "must be exactly one source", advice);
        return None;
    };
    let at = shape.field(key);
    match key {
        "S3DataSource" => s3(&at, raw, report).map(DataSource::S3),
        "FileSystemDataSource" => file_system(&at, raw, report).map(DataSource::FileSystem),
        _ => {
            let shape = Shape::open(&at, raw, &["DatasetArn"], &["DatasetArn"], report)?;
            shape.text("DatasetArn", report).map(DataSource::Dataset)
        }
    }
}

fn s3(at: &str, raw: &RawValue, report: &mut Report) -> Option<S3Source> {
    let shape = Shape::open(at, raw, S3, &["S3DataType", "S3Uri"], report)?;
    if let Some(raw) = shape.get("ModelAccessConfig") {
        let at = shape.field("ModelAccessConfig");
        Shape::open(&at, raw, &["AcceptEula"], &["AcceptEula"], report)
            .map(|access| access.flag("AcceptEula", report));
    }
    if let Some(raw) = shape.get("HubAccessConfig") {
        let at = shape.field("HubAccessConfig");
        let key = "HubContentArn";
        let arn = Shape::open(&at, raw, &[key], &[key], report);
        if let Some(arn) = arn.and_then(|access| access.text(key, report)) {
            length(field(&at, key), &arn, 0, 255, report);
        }
    }
    let distribution = shape.word("S3DataDistributionType", report);
    let attribute_names = shape.texts("AttributeNames", report);
    let instance_groups = shape.texts("InstanceGroupNames", report);
    let (data_type, uri) = (shape.word("S3DataType", report), shape.text("S3Uri", report));
    Some(S3Source {
        data_type: data_type?,
        uri: uri?,
        distribution: distribution.unwrap_or(Distribution::FullyReplicated),
        attribute_names,
        instance_groups,
    })
}

fn file_system(at: &str, raw: &RawValue, report: &mut Report) -> Option<FileSystemSource> {
    let shape = Shape::open(at, raw, FILE_SYSTEM, FILE_SYSTEM, report)?;
    let (id, path) = (shape.text("FileSystemId", report), shape.text("DirectoryPath", report));
    let kind = shape.word("FileSystemType", report);
    let access = shape.word("FileSystemAccessMode", report);
    Some(FileSystemSource { id: id?, kind: kind?, access: access?, path: path? })
}

/// Names, lengths and patterns of one channel.
pub(super) fn limits(channel: &ChannelRequest, at: &str, report: &mut Report) {
    if check_name(&channel.name).is_err() {
        let rule =
            format!("must be 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`, and no folder's");
        report.add(field(at, "ChannelName"), &channel.name, rule, "rename the channel");
    }
    if let Some(text) = &channel.content_type {
        length(field(at, "ContentType"), text, 0, 256, report);
    }
    let at = field(at, "DataSource");
    match &channel.source {
        DataSource::S3(source) => s3_limits(source, &field(&at, "S3DataSource"), report),
        DataSource::FileSystem(source) => {
            file_system_limits(source, &field(&at, "FileSystemDataSource"), report);
        }
        DataSource::Dataset(arn) => {
            length(field(&field(&at, "DatasetSource"), "DatasetArn"), arn, 1, 2048, report);
        }
    }
}

fn s3_limits(source: &S3Source, at: &str, report: &mut Report) {
    let uri = &source.uri;
    let place = uri.strip_prefix("s3://").or_else(|| uri.strip_prefix("https://"));
    if place.is_none_or(|place| place.is_empty() || place.starts_with('/')) {
        let rule = "must start with s3:// or https:// and a bucket";
        report.add(field(at, "S3Uri"), uri, rule, "write s3://bucket/prefix/");
    }
    length(field(at, "S3Uri"), uri, 0, 1024, report);
    let lists = [
        ("AttributeNames", &source.attribute_names, 16, 256),
        ("InstanceGroupNames", &source.instance_groups, 5, 64),
    ];
    for (key, names, most, longest) in lists {
        count(field(at, key), names.len(), 0, most, report);
        for (i, name) in names.iter().enumerate() {
            length(format!("{}[{i}]", field(at, key)), name, 1, longest, report);
        }
    }
    if source.data_type == DataType::AugmentedManifestFile && source.attribute_names.is_empty() {
        let rule = "an augmented manifest delivers the attributes that are named, and no others";
        report.add(field(at, "AttributeNames"), "", rule, "name at least one");
    }
}

fn file_system_limits(source: &FileSystemSource, at: &str, report: &mut Report) {
    let digits = source.id.strip_prefix("fs-").unwrap_or_default();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !(8..=18).contains(&digits.len()) || !digits.bytes().all(hex) {
        let rule = "must be fs- and 8 to 18 digits of 0-9 and a-f";
        report.add(field(at, "FileSystemId"), &source.id, rule, "write fs-0123456789abcdef0");
    }
    length(field(at, "DirectoryPath"), &source.path, 0, 4096, report);
    let (rule, advice) = match source.kind {
        FileSystemType::Efs if source.path.starts_with('/') => return,
        FileSystemType::Efs => ("must start with /", "write /folder"),
        FileSystemType::FSxLustre if source.path.len() > 1 && source.path.starts_with('/') => {
            return;
        }
        FileSystemType::FSxLustre => {
            ("must start with / and the mount name of the file system", "write /fsx/folder")
        }
    };
    report.add(field(at, "DirectoryPath"), &source.path, rule, advice);
}
