//! The messages of TensorFlow's `example.proto` and `feature.proto` (package `tensorflow`),
//! written by hand so that no build needs `protoc`. Maps are sorted: encoding is deterministic.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A list of byte strings.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BytesList {
    /// The values.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub value: Vec<Bytes>,
}

/// A list of single-precision numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FloatList {
    /// The values.
    #[prost(float, repeated, packed = "true", tag = "1")]
    pub value: Vec<f32>,
}

/// A list of whole numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Int64List {
    /// The values.
    #[prost(int64, repeated, packed = "true", tag = "1")]
    pub value: Vec<i64>,
}

/// One of three lists, or none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Feature {
    /// The list; none is "feature absent" to TensorFlow's parsers.
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    pub kind: Option<Kind>,
}

/// The list of a [`Feature`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Byte strings.
    #[prost(message, tag = "1")]
    BytesList(BytesList),
    /// Single-precision numbers.
    #[prost(message, tag = "2")]
    FloatList(FloatList),
    /// Whole numbers.
    #[prost(message, tag = "3")]
    Int64List(Int64List),
}

/// Features by name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Features {
    /// The map.
    #[prost(btree_map = "string, message", tag = "1")]
    pub feature: BTreeMap<String, Feature>,
}

/// The payload of nearly every TFRecord file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Example {
    /// Its features.
    #[prost(message, optional, tag = "1")]
    pub features: Option<Features>,
}

/// A feature that changes from step to step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureList {
    /// One feature a step.
    #[prost(message, repeated, tag = "1")]
    pub feature: Vec<Feature>,
}

/// Feature lists by name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeatureLists {
    /// The map.
    #[prost(btree_map = "string, message", tag = "1")]
    pub feature_list: BTreeMap<String, FeatureList>,
}

/// A sequence: features of the whole and features of each step.
///
/// Read its records with [`Schema::Raw`](crate::Schema::Raw) and decode each payload:
///
/// ```
/// use prost::Message;
/// use shardpack_formats::tfrecord::{Feature, Features, SequenceExample};
///
/// let payload = SequenceExample { context: Some(Features::default()), feature_lists: None }
///     .encode_to_vec();
/// let sequence = SequenceExample::decode(&payload[..])?;
/// assert!(sequence.feature_lists.is_none());
/// # Ok::<(), prost::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, prost::Message)]
pub struct SequenceExample {
    /// Features of the whole sequence.
    #[prost(message, optional, tag = "1")]
    pub context: Option<Features>,
    /// Features of each step.
    #[prost(message, optional, tag = "2")]
    pub feature_lists: Option<FeatureLists>,
}
