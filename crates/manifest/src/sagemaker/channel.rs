//! Channels: the entries of `InputDataConfig`.

use serde::Serialize;
use shardpack_formats::Compression;

use super::uri::{check_prefix, check_uri};
use super::{DataType, Distribution, InputMode};
use crate::{Error, Manifest, Result, Shard};

/// Longest name of a channel in characters.
const MAX_NAME: usize = 64;
/// Most channels of a job.
const MAX_CHANNELS: usize = 20;
/// The channel of a dataset that is not split.
const DEFAULT_NAME: &str = "train";

/// One channel of `CreateTrainingJob`.
///
/// Two members of the API are never set: `CompressionType`, so that every mode delivers the bytes
/// that were packed (Gzip would inflate them in Pipe mode, is refused in File mode, and the
/// container is not told), and `RecordWrapperType`, which would wrap records a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where its objects are.
    pub s3_uri: String,
    /// What that URI names.
    pub data_type: DataType,
    /// Which hosts get which objects.
    pub distribution: Distribution,
    /// Media type that the container is told; at most 256 characters.
    pub content_type: Option<String>,
    /// How objects reach the container.
    pub mode: InputMode,
    /// Seed for a new order of the objects at the start of every epoch. Pipe mode only: in the
    /// others a container cannot see an order of objects.
    pub shuffle_seed: Option<u64>,
}

/// One channel a split, or the channel `train` of a dataset that is not split. `prefix` is the URI
/// of the dataset's root, with a final slash.
///
/// A channel takes every object below its prefix, so a split's shards must have a folder to
/// themselves: [`Unsupported`](crate::ErrorKind::Unsupported) otherwise.
pub fn channels(
    manifest: &Manifest,
    prefix: &str,
    mode: InputMode,
    distribution: Distribution,
) -> Result<Vec<Channel>> {
    check_prefix(prefix)?;
    let channel = |name: &str, shards: &[Shard]| {
        let folder = folder_of(manifest, shards).map_err(|e| e.in_field(name))?;
        Ok(Channel {
            name: name.to_owned(),
            s3_uri: format!("{prefix}{folder}"),
            data_type: DataType::S3Prefix,
            distribution,
            content_type: content_type(manifest).map(str::to_owned),
            mode,
            shuffle_seed: None,
        })
    };
    if manifest.splits.is_empty() {
        return Ok(vec![channel(DEFAULT_NAME, &manifest.shards)?]);
    }
    let shards = |name| manifest.shards_of(name).unwrap_or_default();
    manifest.splits.iter().map(|split| channel(&split.name, shards(&split.name))).collect()
}

/// The folder, with its final slash, that holds these shards and nothing else of the dataset.
fn folder_of<'m>(manifest: &'m Manifest, shards: &'m [Shard]) -> Result<&'m str> {
    let folder_of = |path: &'m str| path.rfind('/').and_then(|slash| path.get(..=slash));
    let first = shards.first().ok_or_else(|| Error::unsupported("a channel without shards"))?;
    let folder = folder_of(&first.path)
        .ok_or_else(|| Error::unsupported("a channel on the folder that holds the manifest"))?;
    let inside = shards.iter().filter(|shard| folder_of(&shard.path) == Some(folder)).count();
    let others = manifest.labels.iter().filter_map(|labels| labels.map.as_ref());
    let all = (manifest.shards.iter())
        .flat_map(|shard| [&shard.path, &shard.index.path])
        .chain(others)
        .filter(|path| path.starts_with(folder))
        .count();
    match (inside, all) == (shards.len(), shards.len()) {
        true => Ok(folder),
        false => Err(Error::unsupported(format!(
            "a channel on {folder}: it must hold all shards of one split and nothing else"
        ))),
    }
}

/// What is delivered is only of the format's type when it is not compressed.
fn content_type(manifest: &Manifest) -> Option<&'static str> {
    match (manifest.format.name.as_str(), manifest.compression) {
        ("tfrecord", Compression::None) => Some("application/x-tfrecord"),
        ("recordio", Compression::None) => Some("application/x-recordio"),
        ("recordio-protobuf", Compression::None) => Some("application/x-recordio-protobuf"),
        _ => None,
    }
}

/// `InputDataConfig` as JSON, in the API's spelling.
///
/// Fails with [`Name`](crate::ErrorKind::Name) or [`Unsupported`](crate::ErrorKind::Unsupported)
/// where the API documents that it would refuse: names, lengths, counts, and combinations.
pub fn to_json(channels: &[Channel]) -> Result<Vec<u8>> {
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        let count = channels.len();
        return Err(Error::unsupported(format!("{count} channels; a job has 1 to {MAX_CHANNELS}")));
    }
    for (i, channel) in channels.iter().enumerate() {
        channel.check().map_err(|e| e.in_field(&channel.name))?;
        if channels.iter().take(i).any(|other| other.name == channel.name) {
            return Err(Error::name(&channel.name, "names two channels"));
        }
    }
    let wire: Vec<_> = channels.iter().map(Wire::from).collect();
    let mut bytes = serde_json::to_vec_pretty(&wire)?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl Channel {
    fn check(&self) -> Result<()> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(plain) {
            let reason = "a channel has 1 to 64 letters, digits, `.`, `_` and `-`";
            return Err(Error::name(&self.name, reason));
        }
        check_uri(&self.s3_uri)?;
        if self.content_type.as_ref().is_some_and(|t| t.chars().count() > 256) {
            return Err(Error::unsupported("a content type of more than 256 characters"));
        }
        match (self.mode, self.data_type) {
            (_, other @ (DataType::AugmentedManifestFile | DataType::Converse)) => {
                return Err(Error::unsupported(format!(
                    "a channel of type {other} is never written"
                )));
            }
            (InputMode::FastFile, DataType::ManifestFile) => {
                return Err(Error::unsupported("FastFile with a manifest: it takes S3Prefix only"));
            }
            (InputMode::FastFile, DataType::S3Prefix) => check_prefix(&self.s3_uri)?,
            _ => {}
        }
        match (self.mode, self.shuffle_seed) {
            (_, Some(seed)) if i64::try_from(seed).is_err() => {
                Err(Error::unsupported("a seed of 2^63 or more: the API has a signed long"))
            }
            (InputMode::File | InputMode::FastFile, Some(_)) => {
                Err(Error::unsupported("a shuffle seed outside of Pipe mode"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wire<'a> {
    channel_name: &'a str,
    data_source: DataSource<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    input_mode: InputMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffle_config: Option<ShuffleConfig>,
}

#[derive(Serialize)]
struct DataSource<'a> {
    #[serde(rename = "S3DataSource")]
    s3: S3DataSource<'a>,
}

#[derive(Serialize)]
struct S3DataSource<'a> {
    #[serde(rename = "S3DataType")]
    data_type: DataType,
    #[serde(rename = "S3Uri")]
    uri: &'a str,
    #[serde(rename = "S3DataDistributionType")]
    distribution: Distribution,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShuffleConfig {
    seed: u64,
}

impl<'a> From<&'a Channel> for Wire<'a> {
    fn from(channel: &'a Channel) -> Self {
        Self {
            channel_name: &channel.name,
            data_source: DataSource {
                s3: S3DataSource {
                    data_type: channel.data_type,
                    uri: &channel.s3_uri,
                    distribution: channel.distribution,
                },
            },
            content_type: channel.content_type.as_deref(),
            input_mode: channel.mode,
            shuffle_config: channel.shuffle_seed.map(|seed| ShuffleConfig { seed }),
        }
    }
}
