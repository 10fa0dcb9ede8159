//! The file behind `S3DataType: ManifestFile`.

use serde::Deserialize;

use super::{check_prefix, check_uri};
use crate::{Error, ErrorKind, Result, path};

/// Largest file in bytes that is parsed. The service documents no limit.
const MAX_BYTES: usize = 256 << 20;

/// A prefix and what follows it: each object is their plain concatenation.
///
/// ```
/// use shardpack_manifest::sagemaker::ManifestFile;
///
/// let file = ManifestFile::new("s3://bucket/set/", ["shards/a.tar", "shards/b.tar"])?;
/// assert_eq!(
///     file.to_bytes(),
///     b"[\n{\"prefix\":\"s3://bucket/set/\"},\n\"shards/a.tar\",\n\"shards/b.tar\"\n]\n"
/// );
/// assert_eq!(file.uris().next().unwrap(), "s3://bucket/set/shards/a.tar");
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    prefix: String,
    suffixes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Prefix { prefix: String },
    Suffix(String),
}

impl ManifestFile {
    /// The objects `paths` under `prefix`, a URI that ends with a slash.
    ///
    /// Fails with [`ErrorKind::Name`] for anything else, for paths that are not plain and
    /// relative, and without paths.
    pub fn new<P: Into<String>>(
        prefix: impl Into<String>,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self> {
        let prefix = prefix.into();
        check_prefix(&prefix)?;
        let file = Self { prefix, suffixes: paths.into_iter().map(P::into).collect() };
        file.suffixes.iter().try_for_each(|p| path::check(p))?;
        file.check()?;
        Ok(file)
    }

    /// Checks and parses a file, whoever wrote it.
    ///
    /// Fails with [`ErrorKind::NotThis`] when it is no array that starts with a prefix, and as
    /// damage when it is no JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::new(ErrorKind::TooLarge {
                what: "SageMaker manifest",
                len: bytes.len() as u64,
                limit: MAX_BYTES as u64,
            }));
        }
        let not_this = |reason: &str| {
            let reason = format!("not a SageMaker manifest: {reason}");
            Error::new(ErrorKind::NotThis { reason })
        };
        if bytes.trim_ascii_start().first().is_some_and(|&b| b != b'[') {
            return Err(not_this("no JSON array"));
        }
        let mut entries = serde_json::from_slice::<Vec<Entry>>(bytes)?.into_iter();
        let Some(Entry::Prefix { prefix }) = entries.next() else {
            return Err(not_this("the first entry has no prefix"));
        };
        let suffixes = entries
            .enumerate()
            .map(|(i, entry)| match entry {
                Entry::Suffix(suffix) => Ok(suffix),
                Entry::Prefix { .. } => {
                    let reason = "a second prefix; the first entry alone may have one";
                    Err(Error::unsupported(reason).in_field(format!("[{}]", i + 1)))
                }
            })
            .collect::<Result<_>>()?;
        let file = Self { prefix, suffixes };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        check_uri(&self.prefix).map_err(|e| e.in_field("prefix"))?;
        if self.suffixes.is_empty() {
            return Err(Error::unsupported("a manifest without objects"));
        }
        for (i, uri) in self.uris().enumerate() {
            check_uri(&uri).map_err(|e| e.in_field(format!("[{}]", i + 1)))?;
        }
        Ok(())
    }

    /// What all objects start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What follows the prefix, object by object.
    pub fn suffixes(&self) -> &[String] {
        &self.suffixes
    }

    /// The whole URIs, in order.
    pub fn uris(&self) -> impl ExactSizeIterator<Item = String> {
        self.suffixes.iter().map(|suffix| format!("{}{suffix}", self.prefix))
    }

    /// The file's bytes, one object a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut out = format!("[\n{{\"prefix\":{}}}", quoted(&self.prefix));
        for suffix in &self.suffixes {
            out += ",\n";
            out += &quoted(suffix);
        }
        (out + "\n]\n").into_bytes()
    }
}
