//! Texts end to end, each kept once.

use std::hash::{BuildHasher, RandomState};

use crate::{Error, ErrorKind, Result};

/// Distinct texts, numbered in order of first use: 8 bytes a text beside its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<u64>,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&str> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before))?;
        self.all.get(*start as usize..*self.ends.get(number)? as usize)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number as u32).unwrap_or_default())
    }

    pub(super) fn memory(&self) -> usize {
        self.all.capacity() + self.ends.capacity() * size_of::<u64>()
    }
}

/// Fills [`Texts`]. Finds what is there by open addressing over the texts themselves: a map of
/// strings would keep each a second time. The hash has a seed of its own in every run, so nobody
/// can write a manifest whose texts collide.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: Texts,
    slots: Vec<u32>, // a power of two, at most half of them taken
    hash: RandomState,
}

/// A slot without a text.
const FREE: u32 = u32::MAX;

impl Interner {
    /// The number of `text`, a new one if it is new.
    pub(super) fn number(&mut self, text: &str) -> Result<u32> {
        if self.slots.len() < 2 * (self.texts.len() + 1) {
            self.grow();
        }
        let slot = self.slot(text);
        let known = self.slots.get(slot).copied().unwrap_or(FREE);
        if known != FREE {
            return Ok(known);
        }
        let number = u32::try_from(self.texts.len()).ok().filter(|&n| n != FREE);
        let number = number.ok_or_else(|| {
            Error::new(ErrorKind::TooLarge {
                what: "different values of a manifest",
                len: self.texts.len() as u64 + 1,
                limit: FREE.into(),
            })
        })?;
        self.texts.all.push_str(text);
        self.texts.ends.push(self.texts.all.len() as u64);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = number;
        }
        Ok(number)
    }

    /// Where `text` is or belongs.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len().saturating_sub(1);
        let mut slot = self.hash.hash_one(text) as usize & mask;
        while let Some(&number) = self.slots.get(slot)
            && number != FREE
            && self.texts.get(number) != Some(text)
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = (2 * self.slots.len()).max(64);
        self.slots = Vec::new(); // freed before its successor is made
        self.slots.resize(slots, FREE);
        for number in 0..self.texts.len() as u32 {
            let slot = self.slot(self.texts.get(number).unwrap_or_default());
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = number;
            }
        }
    }

    pub(super) fn finish(mut self) -> Texts {
        self.texts.all.shrink_to_fit();
        self.texts.ends.shrink_to_fit();
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number() {
        let mut interner = Interner::default();
        let text = |i: u32| format!("{:x}", i % 1000);
        for i in 0..3000 {
            assert_eq!(interner.number(&text(i)).unwrap(), i % 1000);
        }
        assert_eq!(interner.number("").unwrap(), 1000);
        let texts = interner.finish();
        assert_eq!((texts.len(), texts.get(0), texts.get(1000)), (1001, Some("0"), Some("")));
        assert!(texts.iter().take(1000).eq((0..1000).map(text)));
        assert_eq!(texts.get(1001), None);
        assert_eq!(Texts::default().get(0), None);
    }
}
