//! A stored `aialgs.data.Record` as it lies in its record: tensors are slices.

use crate::protobuf::{
    ByteStrings, Element, Entries, Malformed, Numbers, Parsed, Span, Spans, Value, wrong_type,
};
use crate::{Error, ErrorKind, Result};

/// A stored `aialgs.data.Record`: tensors of features and labels by name. Nothing is copied.
///
/// ```
/// use prost::Message;
/// use shardpack_formats::recordio_protobuf::{
///     Float32Tensor, Kind, RecordMessage, RecordView, Value, Values,
/// };
///
/// let tensor = Float32Tensor { values: vec![0.5, 2.0], ..Default::default() };
/// let value = Value { kind: Some(Kind::Float32Tensor(tensor)) };
/// let message = RecordMessage { features: [("values".into(), value)].into(), ..Default::default() };
/// let payload = message.encode_to_vec();
///
/// let record = RecordView::parse(&payload)?;
/// let tensor = record.feature("values")?.expect("a feature");
/// let Values::Float32(numbers) = tensor.values else { panic!("other numbers") };
/// assert_eq!(numbers.iter().collect::<Vec<_>>(), [0.5, 2.0]);
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordView<'a> {
    features: Entries<'a>,
    labels: Entries<'a>,
}

impl<'a> RecordView<'a> {
    /// Finds features and labels. Their values are looked at, and proved, when they are asked for.
    ///
    /// Fails with [`Corrupt`](ErrorKind::Corrupt) for bytes that are no `Record`; as strict with
    /// fields that it does not have as [the format](super::RecordIoProtobuf).
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        let (mut features, mut labels) = (Entries::default(), Entries::default());
        let payload = Span::payload(payload);
        let mut parse = || {
            for field in payload.fields() {
                match field? {
                    (1..=2, Value::Span(_)) => {}
                    (3..=5, Value::Span(text)) => drop(text.text()?),
                    (tag @ 1..=5, _) => return Err(wrong_type(tag)),
                    (tag, _) => return Err(Malformed(format!("it has a field {tag}"))),
                }
            }
            features.add(payload, 1)?;
            labels.add(payload, 2)?;
            features.sort(one)?;
            labels.sort(one)
        };
        parse().map_err(|e| corrupt(format!("no aialgs.data.Record: {e}")))?;
        Ok(Self { features, labels })
    }

    /// Names of the features, sorted. A plain vector is called `values`.
    pub fn features(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.features.names()
    }

    /// Names of the labels, sorted. A plain one is called `values`.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.labels.names()
    }

    /// A feature; none where there is none of that name, or one that holds nothing.
    ///
    /// Fails with [`Corrupt`](ErrorKind::Corrupt) where its bytes are no tensor.
    pub fn feature(&self, name: &str) -> Result<Option<Tensor<'a>>> {
        let tensor = self.features.get(name).map(tensor).transpose();
        tensor.map(Option::flatten).map_err(|e| corrupt(format!("feature {name:?}: {e}")))
    }

    /// A label; none where there is none of that name, or one that holds nothing.
    ///
    /// Fails with [`Corrupt`](ErrorKind::Corrupt) where its bytes are no tensor.
    pub fn label(&self, name: &str) -> Result<Option<Tensor<'a>>> {
        let tensor = self.labels.get(name).map(tensor).transpose();
        tensor.map(Option::flatten).map_err(|e| corrupt(format!("label {name:?}: {e}")))
    }
}

/// A feature or a label.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Its values; of a sparse tensor those that are stored.
    pub values: Values<'a>,
    /// Where they stand in a sparse tensor; empty for a dense one.
    pub keys: Numbers<'a, u64>,
    /// Dimensions; empty where they were not stored, for a vector.
    pub shape: Numbers<'a, u64>,
}

/// The values of a [`Tensor`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Values<'a> {
    /// Single precision.
    Float32(Numbers<'a, f32>),
    /// Double precision.
    Float64(Numbers<'a, f64>),
    /// Whole numbers.
    Int32(Numbers<'a, i32>),
    /// Byte strings, such as files. They have neither keys nor shape.
    Bytes(ByteStrings<'a>),
}

/// Reads a value: of what it holds the last kind counts, and what stands in a row of that kind is
/// one message, as protobuf has it for a oneof.
fn tensor<'a>(value: &Spans<'a>) -> Parsed<Option<Tensor<'a>>> {
    let mut found: Option<(u32, Spans<'a>)> = None;
    for field in value.fields() {
        match (field?, &mut found) {
            ((tag @ (2 | 3 | 7 | 9), Value::Span(piece)), Some((before, pieces)))
                if tag == *before =>
            {
                pieces.push(piece)?;
            }
            ((tag @ (2 | 3 | 7 | 9), Value::Span(piece)), _) => {
                found.take().map(|(tag, pieces)| Tensor::new(tag, pieces)).transpose()?;
                found = Some((tag, Spans::new(piece)));
            }
            ((tag @ (2 | 3 | 7 | 9), _), _) => return Err(wrong_type(tag)),
            _ => {}
        }
    }
    found.map(|(tag, pieces)| Tensor::new(tag, pieces)).transpose()
}

impl<'a> Tensor<'a> {
    /// What is in field `tag` of `Value`.
    fn new(tag: u32, pieces: Spans<'a>) -> Parsed<Self> {
        if tag == 9 {
            let media = pieces.iter().flat_map(|piece| piece.spans(2));
            media.into_iter().try_for_each(|media| media?.text().map(drop))?;
            let (keys, shape) = (Numbers::default(), Numbers::default());
            return Ok(Self { values: Values::Bytes(ByteStrings::new(pieces)?), keys, shape });
        }
        Ok(Self {
            keys: Numbers::new(pieces.clone(), 2)?,
            shape: Numbers::new(pieces.clone(), 3)?,
            values: match tag {
                2 => Values::Float32(numbers(pieces)?),
                3 => Values::Float64(numbers(pieces)?),
                _ => Values::Int32(numbers(pieces)?),
            },
        })
    }
}

fn numbers<T: Element>(pieces: Spans<'_>) -> Parsed<Numbers<'_, T>> {
    Numbers::new(pieces, 1)
}

fn one(value: &Spans<'_>) -> Parsed<()> {
    tensor(value).map(drop)
}

fn corrupt(reason: String) -> Error {
    Error::new(ErrorKind::Corrupt { reason })
}

#[cfg(test)]
mod tests;
