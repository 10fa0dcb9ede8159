//! Files that SageMaker reads: the manifests of `ManifestFile` and `AugmentedManifestFile` channels,
//! and channels for `CreateTrainingJob`. `SPEC.md` beside this file says what is claimed and why.

mod augmented;
mod channel;
mod keys;
mod manifest_file;
mod uri;
mod words;

#[cfg(test)]
mod tests;

pub use augmented::{AugmentedBuilder, AugmentedManifest, Inline, Value};
pub use channel::{Channel, channels, to_json};
pub use keys::PrefixNames;
pub use manifest_file::ManifestFile;
pub use uri::local_path;
pub use words::{
    AccessMode, CompressionType, DataType, Distribution, FileSystemType, InputMode, RecordWrapper,
    Word,
};

/// Where a dataset will be, when nobody said: bucket names have no capital letters, so nothing can
/// be read from or written to this place by accident.
pub const PLACEHOLDER: &str = "s3://BUCKET/PREFIX/";
