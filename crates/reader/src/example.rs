//! A sample's features by name and type, as TensorFlow and SageMaker store them.

use std::fmt;

use shardpack_formats::recordio_protobuf::{RecordView, Tensor};
use shardpack_formats::tfrecord::{ByteStrings, Column, ExampleView, Numbers, SequenceView};

use crate::{Error, Result, Sample};

/// The features of a TFRecord's sample. Nothing is copied: values are slices of what was read, and
/// go out of scope with the sample.
///
/// Errors name the sample, its shard and the feature.
#[derive(Clone, Debug)]
pub struct Example<'a> {
    sample: &'a Sample,
    view: ExampleView<'a>,
}

impl Sample {
    /// Its features as they are stored, whatever the schema and whoever wrote them: by their names
    /// in the `tf.train.Example`, which [`fields`](Self::fields) may tell otherwise.
    ///
    /// Fails with [`Error::Usage`] for other formats, with [`Error::Damaged`] for a payload that is
    /// no `Example`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use shardpack_pack::{PackOptions, Progress, pack};
    /// # use shardpack_reader::{ReadOptions, Reader};
    /// # use shardpack_store::{MemoryStore, MemoryTree};
    /// # let files = MemoryTree::new([("cat/1.jpg", "meow"), ("dog/1.jpg", "woof")]);
    /// # let store = MemoryStore::new();
    /// let options = PackOptions { format: "tfrecord".into(), ..PackOptions::default() };
    /// pack(&files, &store, &options, &Progress::default())?;
    ///
    /// let reader = Reader::of_store(Arc::new(store), ReadOptions::default())?;
    /// for sample in reader.epoch(0) {
    ///     let sample = sample?;
    ///     let example = sample.example()?;
    ///     assert_eq!(example.bytes("jpg")?.one().unwrap().len(), 4);
    ///     assert!(example.ints("label").is_err());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn example(&self) -> Result<Example<'_>> {
        let payload = self.payload_of("tfrecord")?;
        let view = ExampleView::parse(payload).map_err(|error| self.damaged(error.to_string()))?;
        Ok(Example { sample: self, view })
    }

    /// Its features as a `tf.train.SequenceExample`, of shards with schema `raw`. Fails as
    /// [`example`](Self::example) does.
    pub fn sequence(&self) -> Result<SequenceView<'_>> {
        let payload = self.payload_of("tfrecord")?;
        SequenceView::parse(payload).map_err(|error| self.damaged(error.to_string()))
    }

    /// Its tensors as SageMaker's `aialgs.data.Record` has them. Fails as
    /// [`example`](Self::example) does; [`tensor`](Self::tensor) gives one of them.
    pub fn record(&self) -> Result<RecordView<'_>> {
        let payload = self.payload_of("recordio-protobuf")?;
        RecordView::parse(payload).map_err(|error| self.damaged(error.to_string()))
    }

    /// A feature of SageMaker's `aialgs.data.Record`; a plain vector is called `values`.
    ///
    /// Fails with [`Error::Feature`] where there is none of that name, else as
    /// [`example`](Self::example) does.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let tensor = self.record()?.feature(name);
        let tensor = tensor.map_err(|error| self.damaged(error.to_string()))?;
        tensor.ok_or_else(|| self.fault(name, FeatureFault::Missing))
    }

    fn payload_of(&self, format: &str) -> Result<&[u8]> {
        match self.format() == format {
            true => self.payload(),
            false => Err(Error::usage(format!(
                "sample {:?} of {}: no {format}, but {}",
                self.key(),
                self.shard(),
                if self.format().is_empty() { "wrapped bytes" } else { self.format() }
            ))),
        }
    }

    fn fault(&self, feature: &str, fault: FeatureFault) -> Error {
        let (shard, key) = (self.shard().to_owned(), self.key().to_owned());
        Error::Feature { shard, key, feature: feature.to_owned(), fault }
    }
}

impl<'a> Example<'a> {
    /// Names of the features, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.view.names()
    }

    /// The values of a feature; none where there is none of that name, or one without values of any
    /// type. Fails with [`Error::Damaged`] where its bytes are no list.
    pub fn get(&self, name: &str) -> Result<Option<Column<'a>>> {
        self.view.get(name).map_err(|error| self.sample.damaged(error.to_string()))
    }

    /// A feature's byte strings. Fails with [`Error::Feature`] where it is missing or of another
    /// type.
    pub fn bytes(&self, name: &str) -> Result<ByteStrings<'a>> {
        self.typed(name, "bytes_list", Column::bytes)
    }

    /// A feature's whole numbers. Fails with [`Error::Feature`] where it is missing or of another
    /// type.
    pub fn ints(&self, name: &str) -> Result<Numbers<'a, i64>> {
        self.typed(name, "int64_list", Column::ints)
    }

    /// A feature's single-precision numbers. Fails with [`Error::Feature`] where it is missing or of
    /// another type.
    pub fn floats(&self, name: &str) -> Result<Numbers<'a, f32>> {
        self.typed(name, "float_list", Column::floats)
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &'static str,
        take: impl FnOnce(Column<'a>) -> Option<T>,
    ) -> Result<T> {
        let fault = |fault| self.sample.fault(name, fault);
        let column = self.get(name)?.ok_or_else(|| fault(FeatureFault::Missing))?;
        let found = column.kind();
        take(column).ok_or_else(|| fault(FeatureFault::Type { found, wanted }))
    }
}

/// How a feature is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureFault {
    /// There is none of that name.
    Missing,
    /// It holds something else.
    Type {
        /// What it holds, as `feature.proto` calls it: `int64_list`.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
}

impl fmt::Display for FeatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Type { found, wanted } => write!(f, "is a {found}, not a {wanted}"),
        }
    }
}
