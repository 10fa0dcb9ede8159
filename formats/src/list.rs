//! The list of formats: the one place that names them all.

use crate::{Error, ErrorKind, Format, Result};

/// Names of the formats built in, as the command line and manifests spell them.
pub const NAMES: &[&str] = &[
    #[cfg(feature = "webdataset")]
    "webdataset",
    #[cfg(feature = "tfrecord")]
    "tfrecord",
    #[cfg(feature = "recordio")]
    "recordio",
    #[cfg(feature = "recordio-protobuf")]
    "recordio-protobuf",
];

/// How a sample becomes a TFRecord payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// `tf.train.Example` with one bytes feature a field, plus `__key__`. Loses nothing.
    #[default]
    Fields,
    /// `tf.train.Example` with the keys that image pipelines expect: `image/encoded`, ….
    Image,
    /// The payload is the only field's bytes; no protobuf. Reading names the field `data`.
    Raw,
}

/// Choices that are part of a format's identity; they stand in the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormatOptions {
    /// TFRecord only.
    pub schema: Schema,
    /// RecordIO-protobuf only, reading: parts of a split record are joined as MXNet joins them
    /// (with the magic between them) instead of SageMaker's plain concatenation. Default false.
    pub dmlc_parts: bool,
}

/// The format called `name`.
#[cfg_attr(not(any(feature = "tfrecord", feature = "recordio-protobuf")), allow(unused_variables))]
pub fn open(name: &str, options: &FormatOptions) -> Result<Box<dyn Format>> {
    match name {
        #[cfg(feature = "webdataset")]
        "webdataset" => Ok(Box::new(crate::webdataset::WebDataset)),
        #[cfg(feature = "tfrecord")]
        "tfrecord" => Ok(Box::new(crate::tfrecord::TfRecord::new(options.schema))),
        #[cfg(feature = "recordio")]
        "recordio" => Ok(Box::new(crate::recordio::RecordIo)),
        #[cfg(feature = "recordio-protobuf")]
        "recordio-protobuf" => {
            Ok(Box::new(crate::recordio_protobuf::RecordIoProtobuf::new(options.dmlc_parts)))
        }
        _ => Err(Error::new(ErrorKind::Unsupported {
            what: format!("format {name:?}; known formats: {}", NAMES.join(", ")),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_opens_its_format() {
        for name in NAMES {
            assert_eq!(open(name, &FormatOptions::default()).unwrap().name(), *name);
        }
        let error = open("zip", &FormatOptions::default()).unwrap_err();
        assert!(error.to_string().contains(&NAMES.join(", ")), "{error}");
    }
}
