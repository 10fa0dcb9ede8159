//! Names and labels, each kept once.

use std::collections::HashMap;

use super::build::narrow;
use crate::Result;

/// Distinct byte strings, numbered in order of first use.
#[derive(Debug, Default)]
pub(super) struct Interner {
    pub(super) heap: Vec<u8>,
    pub(super) ends: Vec<u32>,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Interner {
    pub(super) fn number(&mut self, bytes: &[u8]) -> Result<u32> {
        if let Some(&number) = self.numbers.get(bytes) {
            return Ok(number);
        }
        let number = narrow("distinct names or labels", self.ends.len())?;
        self.heap.extend_from_slice(bytes);
        self.ends.push(narrow("bytes of names or labels", self.heap.len())?);
        self.numbers.insert(bytes.into(), number);
        Ok(number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.heap[start as usize..end as usize])
    }
}
