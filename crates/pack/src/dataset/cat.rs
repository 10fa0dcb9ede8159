//! One field's bytes.

use std::io::Write;

use super::Dataset;
use crate::{Error, Result};

/// How a field is read.
#[derive(Clone, Copy, Debug)]
pub struct CatOptions {
    /// Memory for buffers in bytes. Default 512 MiB. A body that fits is checked before its first
    /// byte is written; a larger one while it is written, with an error at the end.
    pub memory: u64,
}

/// Writes the body of `KEY.FIELD`, or of `KEY` where the sample has one field, to `out`; returns
/// its length in bytes.
///
/// Fails with [`Error::NotFound`] naming the nearest keys, or the fields that there are.
pub fn cat(
    _dataset: &Dataset<'_>,
    _name: &str,
    _out: &mut dyn Write,
    _options: &CatOptions,
) -> Result<u64> {
    Err(Error::Usage("cat is being built".into()))
}

impl Default for CatOptions {
    fn default() -> Self {
        Self { memory: super::MEMORY }
    }
}
