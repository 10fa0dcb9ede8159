//! Words of the API: the values that its enumerations know.

use std::fmt::{Debug, Display};
use std::str::FromStr;

/// A word of the API.
///
/// `Display` and `Serialize` write it as the API does. `FromStr` also takes other capitals, as
/// SageMaker's own readers do; [`exact`](Self::exact) takes what a request may say.
///
/// ```
/// use shardpack_manifest::sagemaker::{InputMode, Word};
///
/// assert_eq!("fastfile".parse::<InputMode>()?, InputMode::FastFile);
/// assert_eq!(InputMode::exact("fastfile"), None);
/// assert_eq!(InputMode::known(), "File, FastFile, Pipe");
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
pub trait Word: Copy + Eq + Debug + Display + FromStr<Err = crate::Error> + 'static {
    /// All there are.
    const ALL: &'static [Self];

    /// As the API spells it.
    fn as_str(self) -> &'static str;

    /// The one that is spelled so.
    fn exact(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text)
    }

    /// All, for messages.
    fn known() -> String {
        let words: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
        words.join(", ")
    }
}

macro_rules! words {
    ($($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::Error;

            /// Fails with [`Name`](crate::ErrorKind::Name), which tells the words there are.
            fn from_str(text: &str) -> crate::Result<Self> {
                let same = |word: &&Self| word.as_str().eq_ignore_ascii_case(text);
                Self::ALL.iter().find(same).copied().ok_or_else(|| {
                    let what = concat!("is no ", stringify!($name));
                    crate::Error::name(text, format!("{what}: {}", Self::known()))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
    )+};
}

words! {
    /// How objects reach the container.
    InputMode {
        /// Copied before the job starts; for a file system, mounted.
        File = "File",
        /// Mounted, read on demand.
        FastFile = "FastFile",
        /// Streamed through a FIFO.
        Pipe = "Pipe",
    }

    /// Which hosts get which objects.
    Distribution {
        /// Every host gets all.
        FullyReplicated = "FullyReplicated",
        /// Every host gets about one n-th of the objects.
        ShardedByS3Key = "ShardedByS3Key",
    }

    /// What the URI of a channel names.
    DataType {
        /// Every object whose key starts with it.
        S3Prefix = "S3Prefix",
        /// A [`ManifestFile`](super::ManifestFile). Not with [`InputMode::FastFile`].
        ManifestFile = "ManifestFile",
        /// An [`AugmentedManifest`](super::AugmentedManifest). With [`InputMode::Pipe`] only.
        AugmentedManifestFile = "AugmentedManifestFile",
        /// Conversations to tune a language model with; no layout of files.
        Converse = "Converse",
    }

    /// Whether SageMaker frames what it streams. [`InputMode::Pipe`] only.
    RecordWrapper {
        /// As it is.
        None = "None",
        /// Each object, or each attribute of an augmented manifest, as one RecordIO record.
        RecordIo = "RecordIO",
    }

    /// Whether SageMaker inflates what it streams. [`InputMode::Pipe`] only.
    CompressionType {
        /// As it is.
        None = "None",
        /// Objects are gzip and reach the container inflated.
        Gzip = "Gzip",
    }

    /// File systems that a channel can mount.
    FileSystemType {
        /// Elastic File System.
        Efs = "EFS",
        /// FSx for Lustre.
        FSxLustre = "FSxLustre",
    }

    /// What the container may do with a mounted file system.
    AccessMode {
        /// Read and write.
        ReadWrite = "rw",
        /// Read.
        ReadOnly = "ro",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled<W: Word + serde::Serialize>(words: &[&str]) {
        assert_eq!(W::known(), words.join(", "));
        for (word, text) in W::ALL.iter().zip(words) {
            assert_eq!(W::exact(text), Some(*word));
            assert_eq!(text.parse::<W>().ok(), Some(*word));
            assert_eq!(text.to_uppercase().parse::<W>().ok(), Some(*word), "{text}");
            assert_eq!(serde_json::to_string(word).ok(), Some(format!("\"{text}\"")));
        }
        assert_eq!(W::exact(""), None);
    }

    #[test]
    fn words_are_spelled_as_the_api_does() {
        spelled::<InputMode>(&["File", "FastFile", "Pipe"]);
        spelled::<Distribution>(&["FullyReplicated", "ShardedByS3Key"]);
        spelled::<DataType>(&["S3Prefix", "ManifestFile", "AugmentedManifestFile", "Converse"]);
        spelled::<RecordWrapper>(&["None", "RecordIO"]);
        spelled::<CompressionType>(&["None", "Gzip"]);
        spelled::<FileSystemType>(&["EFS", "FSxLustre"]);
        spelled::<AccessMode>(&["rw", "ro"]);
    }

    #[test]
    fn unknown_words_name_the_known_ones() {
        let error = "Fifo".parse::<InputMode>().unwrap_err().to_string();
        assert_eq!(error, "name \"Fifo\": is no InputMode: File, FastFile, Pipe");
    }
}
