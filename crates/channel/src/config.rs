//! `inputdataconfig.json`: which channels there are, and how they arrive.

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;
use shardpack_manifest::sagemaker::{Distribution, InputMode, RecordWrapper, Word};

use crate::json::{Members, shown};
use crate::name::check_name;
use crate::{Error, ErrorKind, Result};

/// What the container is told about a channel. It is not told where the data came from, whether it
/// is shuffled, inflated or from a manifest, or how many objects there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// How it arrives. Default: [`InputMode::File`].
    pub mode: InputMode,
    /// Whether this host sees all objects. Default: [`Distribution::FullyReplicated`].
    pub distribution: Distribution,
    /// Whether SageMaker wraps what it streams. Default: [`RecordWrapper::None`].
    pub wrapper: RecordWrapper,
    /// Media type, if the request named one.
    pub content_type: Option<String>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            mode: InputMode::File,
            distribution: Distribution::FullyReplicated,
            wrapper: RecordWrapper::None,
            content_type: None,
        }
    }
}

/// The channels of a job, by name.
///
/// ```
/// use shardpack_channel::{InputDataConfig, InputMode};
///
/// let config = InputDataConfig::parse(br#"{"train": {"TrainingInputMode": "Pipe"}}"#)?;
/// assert_eq!(config.channel("train")?.mode, InputMode::Pipe);
/// assert_eq!(
///     config.channel("validation").unwrap_err().to_string(),
///     "no channel \"validation\", but train"
/// );
/// # Ok::<(), shardpack_channel::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputDataConfig {
    channels: BTreeMap<String, ChannelConfig>,
}

impl InputDataConfig {
    /// Parses the file. Tolerant of keys that are missing (SDK local mode writes the input mode
    /// and nothing else), unknown or `null`; `{}` is a job without channels.
    ///
    /// Fails with [`ErrorKind::Value`] for a value that is none of the words there are, with
    /// [`ErrorKind::Name`] for a name that no channel can have, and with [`ErrorKind::Json`] or
    /// [`ErrorKind::TooLarge`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut channels = BTreeMap::new();
        for (name, raw) in Members::parse(bytes)?.iter() {
            check_name(name)?;
            channels.insert(name.to_owned(), channel(name, raw)?);
        }
        Ok(Self { channels })
    }

    /// The file as SageMaker writes it: all three keys, and the media type if there is one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let channel = |config: &ChannelConfig| {
            let mut value = json!({
                "TrainingInputMode": config.mode,
                "S3DistributionType": config.distribution,
                "RecordWrapperType": config.wrapper,
            });
            if let (Some(members), Some(text)) = (value.as_object_mut(), &config.content_type) {
                members.insert("ContentType".into(), text.as_str().into());
            }
            value
        };
        let all: serde_json::Map<_, _> =
            self.channels.iter().map(|(name, config)| (name.clone(), channel(config))).collect();
        serde_json::Value::from(all).to_string().into_bytes()
    }

    /// The channel of this name. Fails with [`ErrorKind::Unknown`], which names those there are.
    pub fn channel(&self, name: &str) -> Result<&ChannelConfig> {
        self.channels.get(name).ok_or_else(|| {
            let known = self.channels.keys().cloned().collect();
            Error::new(ErrorKind::Unknown { what: "channel", name: name.into(), known })
        })
    }

    /// All channels, sorted by name. Not every one is a dataset: the SDK brings code in channels
    /// of its own (`code`, `sm_drivers`).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ChannelConfig)> {
        self.channels.iter().map(|(name, config)| (name.as_str(), config))
    }
}

/// Fails with [`ErrorKind::Name`] for names that no channel can have, and passes the rest.
impl TryFrom<BTreeMap<String, ChannelConfig>> for InputDataConfig {
    type Error = Error;

    fn try_from(channels: BTreeMap<String, ChannelConfig>) -> Result<Self> {
        channels.keys().try_for_each(|name| check_name(name))?;
        Ok(Self { channels })
    }
}

fn channel(name: &str, raw: &RawValue) -> Result<ChannelConfig> {
    let members = Members::of(raw).map_err(|_| {
        Error::value(name, shown(raw), "must be an object: {\"TrainingInputMode\": \"File\"}")
    })?;
    let default = ChannelConfig::default();
    let content_type = match members.get("ContentType") {
        Some(raw) => Some(serde_json::from_str(raw.get()).map_err(|_| {
            Error::value(format!("{name}.ContentType"), shown(raw), "must be a text")
        })?),
        None => None,
    };
    Ok(ChannelConfig {
        mode: word(name, &members, "TrainingInputMode")?.unwrap_or(default.mode),
        distribution: word(name, &members, "S3DistributionType")?.unwrap_or(default.distribution),
        wrapper: word(name, &members, "RecordWrapperType")?.unwrap_or(default.wrapper),
        content_type,
    })
}

fn word<W: Word>(channel: &str, members: &Members<'_>, key: &str) -> Result<Option<W>> {
    let Some(raw) = members.get(key) else { return Ok(None) };
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    let word = text.and_then(|text| text.parse().ok());
    word.map(Some).ok_or_else(|| {
        Error::value(format!("{channel}.{key}"), shown(raw), format!("must be of {}", W::known()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<InputDataConfig> {
        InputDataConfig::parse(text.as_bytes())
    }

    #[test]
    fn files_of_real_jobs() {
        let config = parse(
            r#"{"train": {"ContentType":"application/x-tfrecord","TrainingInputMode":"FastFile","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"},
                "validation": {"TrainingInputMode":"Pipe","S3DistributionType":"FullyReplicated","RecordWrapperType":"RecordIO"}}"#,
        )
        .unwrap();
        let train = ChannelConfig {
            mode: InputMode::FastFile,
            distribution: Distribution::ShardedByS3Key,
            wrapper: RecordWrapper::None,
            content_type: Some("application/x-tfrecord".into()),
        };
        let validation = ChannelConfig {
            mode: InputMode::Pipe,
            wrapper: RecordWrapper::RecordIo,
            ..Default::default()
        };
        assert_eq!(
            config.iter().collect::<Vec<_>>(),
            [("train", &train), ("validation", &validation)]
        );
        let text = r#"{"training":{"RecordWrapperType":"None","S3DistributionType":"FullyReplicated","TrainingInputMode":"File"}}"#;
        let config = parse(text).unwrap();
        assert_eq!(config.channel("training").unwrap(), &ChannelConfig::default());
        assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), text);
    }

    #[test]
    fn what_is_missing_has_its_default() {
        for text in [
            r#"{"t":{}}"#,
            r#"{"t":{"TrainingInputMode":"File"}}"#,
            r#"{"t":{"TrainingInputMode":"file","EnableFFM":true,"ContentType":null}}"#,
            r#"{"t":{"TrainingInputMode":null,"RecordWrapperType":"none"}}"#,
        ] {
            let config = parse(text).unwrap();
            assert_eq!(config.channel("t").unwrap(), &ChannelConfig::default(), "{text}");
        }
        assert_eq!(parse("{}").unwrap().iter().len(), 0);
        let error = parse("{}").unwrap().channel("t").unwrap_err().to_string();
        assert_eq!(error, "no channel \"t\", nor any other");
    }

    #[test]
    fn errors_name_channel_key_value_and_what_is_known() {
        for (text, said) in [
            (
                r#"{"t":{"TrainingInputMode":"Fifo"}}"#,
                r#"t.TrainingInputMode is "Fifo": must be of File, FastFile, Pipe"#,
            ),
            (
                r#"{"t":{"TrainingInputMode":["File"]}}"#,
                r#"t.TrainingInputMode is "[\"File\"]": must be of File, FastFile, Pipe"#,
            ),
            (
                r#"{"t":{"S3DistributionType":"Sharded"}}"#,
                r#"t.S3DistributionType is "Sharded": must be of FullyReplicated, ShardedByS3Key"#,
            ),
            (
                r#"{"t":{"RecordWrapperType":""}}"#,
                r#"t.RecordWrapperType is "": must be of None, RecordIO"#,
            ),
            (r#"{"t":{"ContentType":1}}"#, r#"t.ContentType is "1": must be a text"#),
            (r#"{"t":"File"}"#, r#"t is "File": must be an object: {"TrainingInputMode": "File"}"#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
        for name in ["", "..", ".", "a/b", "a b", &"n".repeat(65)] {
            let error = parse(&format!("{{\"{name}\":{{}}}}")).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Name { name: name.into() });
        }
        let error = parse(r#"{"t":{},"t":{}}"#).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Json { .. }), "{error}");
    }

    fn any_config() -> impl Strategy<Value = ChannelConfig> {
        fn word<W: Word>() -> impl Strategy<Value = W> {
            prop::sample::select(W::ALL)
        }
        (word(), word(), word(), any::<Option<String>>()).prop_map(
            |(mode, distribution, wrapper, content_type)| ChannelConfig {
                mode,
                distribution,
                wrapper,
                content_type,
            },
        )
    }

    proptest! {
        #[test]
        fn configs_come_back(channels in prop::collection::btree_map("[A-Za-z0-9_-]{1,9}", any_config(), 0..5)) {
            let config = InputDataConfig::try_from(channels).unwrap();
            prop_assert_eq!(InputDataConfig::parse(&config.to_bytes()).unwrap(), config);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}\",:a-zA-Z0-9]{0,60}", value in "\\PC{0,20}") {
            let _ = InputDataConfig::parse(&bytes);
            let _ = parse(&text);
            let _ = parse(&format!("{{\"t\":{{\"TrainingInputMode\":{value}}}}}"));
        }
    }
}
