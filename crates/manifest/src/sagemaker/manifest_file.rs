//! The file behind `S3DataType: ManifestFile`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::uri::{check_object, check_prefix, check_start};
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

/// The first entry. What else it holds is ignored, as it may come to mean something.
#[derive(Deserialize)]
struct Head {
    prefix: String,
}

impl ManifestFile {
    /// The objects `paths` under `prefix`, an S3 URI that ends with a slash.
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

    /// Checks and parses a file, whoever wrote it. Besides S3, its prefix may name a place on a
    /// local disk: `file:///data/`, `/data/` or `data/`; see [`local_path`](super::local_path).
    ///
    /// Fails with [`ErrorKind::NotThis`] when it is no array that starts with a prefix, and as
    /// damage when it is no JSON. Errors name the entry: `[0]` is the prefix, `[1]` the first
    /// object.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::new(ErrorKind::TooLarge {
                what: "SageMaker manifest",
                len: bytes.len() as u64,
                limit: MAX_BYTES as u64,
            }));
        }
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        if bytes.trim_ascii_start().first().is_some_and(|&b| b != b'[') {
            return Err(not_this("no JSON array"));
        }
        let entries: Vec<&RawValue> = serde_json::from_slice(bytes)?;
        let Some((head, objects)) = entries.split_first() else {
            return Err(not_this("the array is empty"));
        };
        let prefix = head_prefix(head.get())?;
        let suffix = |(i, entry): (usize, &&RawValue)| {
            suffix(entry.get()).map_err(|e| e.in_field(format!("[{}]", i + 1)))
        };
        let suffixes = objects.iter().enumerate().map(suffix).collect::<Result<_>>()?;
        let file = Self { prefix, suffixes };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        check_start(&self.prefix).map_err(|e| e.in_field("[0].prefix"))?;
        if self.suffixes.is_empty() {
            return Err(Error::unsupported(
                "a manifest without objects; list at least one after the prefix",
            ));
        }
        let bucket = |uri: &str| uri.split('/').nth(2).map(str::len);
        let start = self.prefix.contains("://").then(|| bucket(&self.prefix)).flatten();
        for (i, uri) in self.uris().enumerate() {
            let checked = match start.is_some_and(|len| bucket(&uri) != Some(len)) {
                true => Err(Error::name(
                    &*uri,
                    "the bucket's name goes on behind the prefix; end the prefix with a slash",
                )),
                false => check_object(&uri),
            };
            checked.map_err(|e| e.in_field(format!("[{}]", i + 1)))?;
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

    /// Entries that name an object which an earlier one named, each after that earlier one, by
    /// their places in the array: 1 is the first object. What SageMaker does with them is not
    /// documented; whoever packs them would pack a file twice.
    pub fn duplicates(&self) -> Vec<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.suffixes.len()).collect();
        order.sort_by_key(|&i| (self.suffixes.get(i), i));
        let same = order.chunk_by(|&a, &b| self.suffixes.get(a) == self.suffixes.get(b));
        let pairs = same.filter_map(|same| same.split_first());
        let mut found: Vec<_> = pairs
            .flat_map(|(first, again)| again.iter().map(move |again| (first + 1, again + 1)))
            .collect();
        found.sort_by_key(|&(_, again)| again);
        found
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

fn not_this(reason: &str) -> Error {
    Error::new(ErrorKind::NotThis {
        reason: format!(
            "not a SageMaker manifest: {reason}; it is [{{\"prefix\": \"s3://bucket/\"}}, \"key\", ...]"
        ),
    })
}

fn head_prefix(entry: &str) -> Result<String> {
    match entry.starts_with('{') {
        true => match serde_json::from_str(entry) {
            Ok(Head { prefix }) => Ok(prefix),
            Err(_) if !entry.contains("\"prefix\"") => {
                Err(not_this("the first entry has no prefix"))
            }
            Err(error) => Err(Error::corrupt(reason(&error)).in_field("[0]")),
        },
        false => Err(not_this("the first entry is no object with a prefix")),
    }
}

fn suffix(entry: &str) -> Result<String> {
    match entry.as_bytes().first() {
        Some(b'"') => serde_json::from_str(entry).map_err(|e| Error::corrupt(reason(&e))),
        Some(b'{') => Err(Error::unsupported(
            "a second object; the first entry alone has a prefix: write another manifest for it",
        )),
        _ => Err(Error::corrupt("no text; write what follows the prefix between double quotes")),
    }
}

/// What a parser of one entry found, without its place in that entry.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason).to_owned()
}
