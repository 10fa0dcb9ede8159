//! Labels as f32, which RecordIO's header and SageMaker's label tensor hold.

use crate::{Error, ErrorKind, Label, Result};

use super::frame::MAGIC;

/// Refuses labels that f32 would change beyond rounding a fraction: class ids must stay what they
/// are (all are exact up to 2^24), targets may lose digits but not overflow.
pub(crate) fn check(label: &Label) -> Result<()> {
    let refuse = |reason: String| Err(Error::new(ErrorKind::Label { reason }));
    for &value in &label.values {
        let stored = value as f32;
        if value.is_nan() {
            return refuse("not a number".into());
        }
        if stored.is_infinite() && value.is_finite() {
            return refuse(format!("{value} is over the range of f32"));
        }
        if value.fract() == 0.0 && f64::from(stored) != value {
            return refuse(format!("{value} becomes {stored} as f32: whole numbers must be exact"));
        }
        if stored.to_bits() == MAGIC {
            return refuse(format!("{value} is RecordIO's magic as f32: DALI cannot read it"));
        }
    }
    if label.values.is_empty()
        && let Some(text) = &label.text
    {
        return refuse(format!("{text:?} has no class id, and only numbers are kept; give one"));
    }
    Ok(())
}
