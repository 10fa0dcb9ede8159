//! The messages of SageMaker's `record.proto` (package `aialgs.data`), written by hand so that no
//! build needs `protoc`. Maps are sorted: encoding is deterministic.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A vector of single-precision numbers; with keys, a sparse one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Float32Tensor {
    /// The numbers.
    #[prost(float, repeated, packed = "true", tag = "1")]
    pub values: Vec<f32>,
    /// Where they stand, if not all are stored.
    #[prost(uint64, repeated, packed = "true", tag = "2")]
    pub keys: Vec<u64>,
    /// Dimensions; a sparse tensor must have them.
    #[prost(uint64, repeated, packed = "true", tag = "3")]
    pub shape: Vec<u64>,
}

/// A vector of double-precision numbers; with keys, a sparse one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Float64Tensor {
    /// The numbers.
    #[prost(double, repeated, packed = "true", tag = "1")]
    pub values: Vec<f64>,
    /// Where they stand, if not all are stored.
    #[prost(uint64, repeated, packed = "true", tag = "2")]
    pub keys: Vec<u64>,
    /// Dimensions; a sparse tensor must have them.
    #[prost(uint64, repeated, packed = "true", tag = "3")]
    pub shape: Vec<u64>,
}

/// A vector of whole numbers; with keys, a sparse one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Int32Tensor {
    /// The numbers.
    #[prost(int32, repeated, packed = "true", tag = "1")]
    pub values: Vec<i32>,
    /// Where they stand, if not all are stored.
    #[prost(uint64, repeated, packed = "true", tag = "2")]
    pub keys: Vec<u64>,
    /// Dimensions; a sparse tensor must have them.
    #[prost(uint64, repeated, packed = "true", tag = "3")]
    pub shape: Vec<u64>,
}

/// Byte strings, such as files.
///
/// The message is called `Bytes` in `record.proto`; that name is taken in Rust.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BytesValue {
    /// The byte strings.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub value: Vec<Bytes>,
    /// Their media type: `image/jpeg`.
    #[prost(string, optional, tag = "2")]
    pub content_type: Option<String>,
}

/// A feature or a label.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// What it holds, if anything.
    #[prost(oneof = "Kind", tags = "2, 3, 7, 9")]
    pub kind: Option<Kind>,
}

/// What a [`Value`] holds.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Single-precision numbers.
    #[prost(message, tag = "2")]
    Float32Tensor(Float32Tensor),
    /// Double-precision numbers.
    #[prost(message, tag = "3")]
    Float64Tensor(Float64Tensor),
    /// Whole numbers.
    #[prost(message, tag = "7")]
    Int32Tensor(Int32Tensor),
    /// Byte strings.
    #[prost(message, tag = "9")]
    Bytes(BytesValue),
}

/// One sample: `aialgs.data.Record`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RecordMessage {
    /// Features by name; a plain vector is called `values`.
    #[prost(btree_map = "string, message", tag = "1")]
    pub features: BTreeMap<String, Value>,
    /// Labels by name; a plain one is called `values`.
    #[prost(btree_map = "string, message", tag = "2")]
    pub label: BTreeMap<String, Value>,
    /// Key of the sample.
    #[prost(string, optional, tag = "3")]
    pub uid: Option<String>,
    /// Free text, not used in training.
    #[prost(string, optional, tag = "4")]
    pub metadata: Option<String>,
    /// Free text.
    #[prost(string, optional, tag = "5")]
    pub configuration: Option<String>,
}
