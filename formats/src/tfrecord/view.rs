//! A stored `tf.train.Example` as it lies in its record: names are looked up, values are slices.
//!
//! prost's messages stay for writing, and for whoever wants a value that owns its bytes. To read with
//! them is to copy every body and every number, and to build a map with a string for each name: of
//! an image of 100 KB and eight small features 4.0 us where the view takes 0.9, of one of 4 KB 1.3
//! (`examples/decode_example.rs`, both in one run, optimised; 2 slow cores).

use crate::protobuf::{
    ByteStrings, Entries, Malformed, Numbers, Parsed, Span, Spans, Value, wrong_type,
};
use crate::{Error, ErrorKind, Result};

/// A stored `tf.train.Example`, of any schema and any writer. Nothing is copied.
///
/// Takes what protobuf takes: features in any order, messages in several pieces, numbers packed or
/// not; of two features of one name the last. Stricter only where nearly any bytes would pass for
/// an `Example`: a field beside `features` is an error.
///
/// ```
/// use prost::Message;
/// use shardpack_formats::tfrecord::{Example, ExampleView, Feature, Features, Int64List, Kind};
///
/// let label = Feature { kind: Some(Kind::Int64List(Int64List { value: vec![7] })) };
/// let feature = [("image/class/label".into(), label)].into();
/// let payload = Example { features: Some(Features { feature }) }.encode_to_vec();
///
/// let example = ExampleView::parse(&payload)?;
/// let label = example.get("image/class/label")?.and_then(|column| column.ints());
/// assert_eq!(label.and_then(|label| label.one()), Some(7));
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExampleView<'a>(Entries<'a>);

impl<'a> ExampleView<'a> {
    /// Finds the features. Their values are looked at, and proved, when they are asked for.
    ///
    /// Fails with [`Corrupt`](ErrorKind::Corrupt) for bytes that are no `Example`.
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        let mut features = Entries::default();
        let fields = Span::payload(payload).fields();
        let found = fields.map(|field| match field? {
            (1, Value::Span(span)) => features.add(span, 1),
            (2, Value::Span(_)) => Err(Malformed("it is a SequenceExample".into())),
            (tag, _) => Err(Malformed(format!("it has a field {tag}"))),
        });
        let found = found.collect::<Parsed<()>>().and_then(|()| features.sort(one));
        found.map_err(|e| corrupt(format!("no tf.train.Example: {e}")))?;
        Ok(Self(features))
    }

    /// Names of the features, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.0.names()
    }

    /// The values of a feature. None where there is no feature of that name, or one without a list,
    /// which TensorFlow takes for absent too.
    ///
    /// Fails with [`Corrupt`](ErrorKind::Corrupt) where its bytes are no list.
    pub fn get(&self, name: &str) -> Result<Option<Column<'a>>> {
        let Some(feature) = self.0.get(name) else { return Ok(None) };
        column(feature).map_err(|e| corrupt(format!("feature {name:?}: {e}")))
    }
}

/// A stored `tf.train.SequenceExample`. Nothing is copied. Its records are read with
/// [`Schema::Raw`](crate::Schema::Raw).
#[derive(Clone, Debug)]
pub struct SequenceView<'a> {
    context: ExampleView<'a>,
    lists: Entries<'a>,
}

impl<'a> SequenceView<'a> {
    /// Finds the features. Fails with [`Corrupt`](ErrorKind::Corrupt) for bytes that are no
    /// `SequenceExample`.
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        let (mut context, mut lists) = (Entries::default(), Entries::default());
        let fields = Span::payload(payload).fields();
        let found = fields.map(|field| match field? {
            (1, Value::Span(span)) => context.add(span, 1),
            (2, Value::Span(span)) => lists.add(span, 1),
            (tag, _) => Err(Malformed(format!("it has a field {tag}"))),
        });
        let found = found.collect::<Parsed<()>>();
        let found = found.and_then(|()| context.sort(one)).and_then(|()| lists.sort(all_steps));
        found.map_err(|e| corrupt(format!("no tf.train.SequenceExample: {e}")))?;
        Ok(Self { context: ExampleView(context), lists })
    }

    /// Features of the whole sequence.
    pub fn context(&self) -> &ExampleView<'a> {
        &self.context
    }

    /// Names of the features that change from step to step, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.lists.names()
    }

    /// The values of a feature at each step; none at a step where the feature has no list, and none
    /// where there is no feature of that name.
    pub fn steps(
        &self,
        name: &str,
    ) -> Option<impl Iterator<Item = Result<Option<Column<'a>>>> + '_> {
        let steps = steps(self.lists.get(name)?);
        let name = name.to_owned();
        Some(steps.enumerate().map(move |(step, found)| {
            found.map_err(|e| corrupt(format!("feature {name:?}, step {step}: {e}")))
        }))
    }
}

/// The values of a feature.
#[derive(Clone, Debug)]
pub enum Column<'a> {
    /// Byte strings: files, text.
    Bytes(ByteStrings<'a>),
    /// Single-precision numbers.
    Floats(Numbers<'a, f32>),
    /// Whole numbers.
    Ints(Numbers<'a, i64>),
}

impl<'a> Column<'a> {
    /// What it holds, as `feature.proto` calls it: `bytes_list`, `float_list`, `int64_list`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes_list",
            Self::Floats(_) => "float_list",
            Self::Ints(_) => "int64_list",
        }
    }

    /// Its byte strings; none if it holds something else.
    pub fn bytes(self) -> Option<ByteStrings<'a>> {
        match self {
            Self::Bytes(strings) => Some(strings),
            _ => None,
        }
    }

    /// Its single-precision numbers; none if it holds something else.
    pub fn floats(self) -> Option<Numbers<'a, f32>> {
        match self {
            Self::Floats(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// Its whole numbers; none if it holds something else.
    pub fn ints(self) -> Option<Numbers<'a, i64>> {
        match self {
            Self::Ints(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The list in field `tag` of `Feature`.
    fn new(tag: u32, list: Spans<'a>) -> Parsed<Self> {
        Ok(match tag {
            1 => Self::Bytes(ByteStrings::new(list)?),
            2 => Self::Floats(Numbers::new(list, 1)?),
            _ => Self::Ints(Numbers::new(list, 1)?),
        })
    }
}

/// Reads a feature: of its lists the last kind counts, and what stands in a row of that kind is one
/// list, as protobuf has it for a oneof.
fn column<'a>(feature: &Spans<'a>) -> Parsed<Option<Column<'a>>> {
    let mut found: Option<(u32, Spans<'a>)> = None;
    for field in feature.fields() {
        match (field?, &mut found) {
            ((tag @ 1..=3, Value::Span(list)), Some((before, lists))) if tag == *before => {
                lists.push(list)?;
            }
            ((tag @ 1..=3, Value::Span(list)), _) => {
                // A list that is replaced must be one too.
                found.take().map(|(tag, lists)| Column::new(tag, lists)).transpose()?;
                found = Some((tag, Spans::new(list)));
            }
            ((tag @ 1..=3, _), _) => return Err(wrong_type(tag)),
            _ => {}
        }
    }
    found.map(|(tag, lists)| Column::new(tag, lists)).transpose()
}

/// Reads a feature of each step.
fn steps<'s, 'a>(
    list: &'s Spans<'a>,
) -> impl Iterator<Item = Parsed<Option<Column<'a>>>> + use<'s, 'a> {
    list.fields().filter_map(|field| match field {
        Ok((1, Value::Span(step))) => Some(column(&Spans::new(step))),
        Ok((1, _)) => Some(Err(wrong_type(1))),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    })
}

fn one(feature: &Spans<'_>) -> Parsed<()> {
    column(feature).map(drop)
}

fn all_steps(list: &Spans<'_>) -> Parsed<()> {
    steps(list).try_for_each(|step| step.map(drop))
}

fn corrupt(reason: String) -> Error {
    Error::new(ErrorKind::Corrupt { reason })
}

#[cfg(test)]
mod tests;
