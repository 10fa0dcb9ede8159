//! Repeated numbers and their text form.

use std::fmt;

use prost::encoding::decode_varint;

use super::{Parsed, Span, Value, wrong_type};

/// Type of a repeated number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    F32,
    F64,
    I32,
    I64,
    U64,
}

/// One number. `Display` is its text form: the shortest decimal that reads back as the same
/// number, floats with a point or an exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    F32(f32),
    F64(f64),
    Int(i128),
}

impl Number {
    /// The same number as f64, if there is one.
    pub(crate) fn exact(self) -> Option<f64> {
        match self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            Self::Int(v) => Some(v as f64).filter(|f| *f as i128 == v),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(v) => write!(f, "{v:?}"),
            Self::F64(v) => write!(f, "{v:?}"),
            Self::Int(v) => write!(f, "{v}"),
        }
    }
}

/// Hands every number of the repeated field `tag` of `message` to `each`, packed or not.
pub(crate) fn numbers(
    message: Span<'_>,
    tag: u32,
    scalar: Scalar,
    mut each: impl FnMut(Number),
) -> Parsed<()> {
    for field in message.fields() {
        match field? {
            (found, Value::Span(mut packed)) if found == tag => {
                while !packed.bytes.is_empty() {
                    each(number(scalar, packed_value(scalar, &mut packed)?, tag)?);
                }
            }
            (found, value) if found == tag => each(number(scalar, value, tag)?),
            _ => {}
        }
    }
    Ok(())
}

fn packed_value<'a>(scalar: Scalar, packed: &mut Span<'a>) -> Parsed<Value<'a>> {
    Ok(match scalar {
        Scalar::F32 => Value::Fixed32(packed.take_array()?),
        Scalar::F64 => Value::Fixed64(packed.take_array()?),
        _ => Value::Varint(packed.with(decode_varint)?),
    })
}

fn number(scalar: Scalar, value: Value<'_>, tag: u32) -> Parsed<Number> {
    Ok(match (scalar, value) {
        (Scalar::F32, Value::Fixed32(bytes)) => Number::F32(f32::from_le_bytes(bytes)),
        (Scalar::F64, Value::Fixed64(bytes)) => Number::F64(f64::from_le_bytes(bytes)),
        (Scalar::I32, Value::Varint(v)) => Number::Int((v as i32).into()),
        (Scalar::I64, Value::Varint(v)) => Number::Int((v as i64).into()),
        (Scalar::U64, Value::Varint(v)) => Number::Int(v.into()),
        _ => return Err(wrong_type(tag)),
    })
}
