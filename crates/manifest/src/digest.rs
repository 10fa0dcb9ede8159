//! Which samples are there, in 16 bytes.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shardpack_formats::Label;
use xxhash_rust::xxh3::xxh3_128;

use crate::hex::{self, hex128};
use crate::index::{IndexField, IndexRecord};
use crate::label;

/// Digest of a set of samples: the sum, modulo 2^128, of one xxh3 hash of 128 bits a sample.
///
/// A sum does not depend on order, so a dataset keeps its digest when it is shuffled, resharded or
/// changes format, and the digests of shards add up to the dataset's. Unlike an exclusive or, a
/// sum sees a sample that is there twice.
///
/// It proves that nothing was lost, doubled, cut or mixed up *by accident*. It proves nothing
/// against somebody who wants to deceive: xxh3 is no cryptographic hash, and bodies enter only by
/// length and crc32c. A wrong body of the right length goes unseen with a chance of one in 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "hex128")] u128);

impl Digest {
    /// The digest with this value.
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// Its value.
    pub const fn to_u128(self) -> u128 {
        self.0
    }
}

impl Add for Digest {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What is left of a set without some of its samples.
impl Sub for Digest {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

impl std::iter::Sum for Digest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::default(), Add::add)
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        hex::parse(text, hex128::DIGITS).map(Self).map_err(crate::Error::corrupt)
    }
}

/// Computes digests of samples with one buffer that it keeps.
///
/// What is hashed, little-endian: key length u32, key, label length u32, label (see SPEC.md of the
/// index), number of fields u32, then for each field in order of its name: name length u32, name,
/// body length u64, crc32c of the body u32. Every part has its length before it, so two different
/// samples never give the same text.
///
/// ```
/// use shardpack_formats::Label;
/// use shardpack_manifest::{IndexField, SampleHasher};
///
/// let jpg = IndexField { name: "jpg", offset: None, len: 3, crc32c: 0x364b_3fb7 };
/// let txt = IndexField { name: "txt", offset: None, len: 0, crc32c: 0 };
/// let mut hasher = SampleHasher::default();
/// let digest = hasher.digest("cat/1", Label::NONE, &[jpg, txt]);
/// assert_eq!(digest, hasher.digest("cat/1", Label::NONE, &[txt, jpg]));
/// assert_ne!(digest, hasher.digest("cat/1", Label::NONE, &[jpg]));
/// ```
#[derive(Debug, Default)]
pub struct SampleHasher {
    bytes: Vec<u8>,
    order: Vec<usize>,
}

impl SampleHasher {
    /// The digest of one sample. Neither its number nor its place in a shard enters.
    pub fn digest(&mut self, key: &str, label: &Label, fields: &[IndexField<'_>]) -> Digest {
        self.head(key, |bytes| label::encode(label, bytes));
        self.fields(fields)
    }

    /// The digest of the sample that an index describes.
    pub fn digest_record(&mut self, record: &IndexRecord<'_>) -> Digest {
        self.head(record.key, |bytes| record.label.encode(bytes));
        let fields = || record.fields.clone();
        if !fields().is_sorted_by_key(|field| field.name) {
            return self.fields(&fields().collect::<Vec<_>>());
        }
        self.u32(fields().len() as u32);
        fields().for_each(|field| self.field(&field));
        Digest(xxh3_128(&self.bytes))
    }

    fn head(&mut self, key: &str, label: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        self.text(key);
        let len_at = self.bytes.len();
        self.u32(0);
        label(&mut self.bytes);
        let len = (self.bytes.len() - len_at - 4) as u32;
        self.bytes[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn fields(&mut self, fields: &[IndexField<'_>]) -> Digest {
        self.u32(fields.len() as u32);
        if fields.is_sorted_by_key(|f| f.name) {
            fields.iter().for_each(|f| self.field(f));
        } else {
            let mut order = std::mem::take(&mut self.order);
            order.clear();
            order.extend(0..fields.len());
            order.sort_by_key(|&i| fields[i].name);
            order.iter().for_each(|&i| self.field(&fields[i]));
            self.order = order;
        }
        Digest(xxh3_128(&self.bytes))
    }

    fn field(&mut self, field: &IndexField<'_>) {
        self.text(field.name);
        self.bytes.extend_from_slice(&field.len.to_le_bytes());
        self.u32(field.crc32c);
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str, len: u64, crc32c: u32) -> IndexField<'_> {
        IndexField { name, offset: Some(512), len, crc32c }
    }

    #[test]
    fn equals_xxhash_of_the_documented_bytes() {
        // Python's xxhash 4.1.0 over the bytes that the documentation of SampleHasher describes.
        let mut hasher = SampleHasher::default();
        let one = hasher.digest("cat/1", Label::NONE, &[field("jpg", 3, 0x364b_3fb7)]);
        assert_eq!(one.to_string(), "b711b1cda55820d691248bb04947f84c");
        let label = Label { values: vec![7.0], text: Some("cat".into()) };
        let fields = [field("txt", 0, 0), field("seg.png", 1 << 33, u32::MAX)];
        let two = hasher.digest("d\u{e9}j\u{e0}/2", &label, &fields);
        assert_eq!(two.to_string(), "982c737a0224314734e0e3e2645a96d2");
        assert_eq!((one + two).to_string(), "4f3e2547a77c521dc6056f92ada28f1e");
        assert_eq!((two + one).to_string().parse::<Digest>().unwrap(), one + two);
    }

    #[test]
    fn text_is_exactly_32_lower_case_digits() {
        let good = "4f3e2547a77c521dc6056f92ada28f1e";
        assert!(good.parse::<Digest>().is_ok());
        for bad in
            ["", "4f", &good.to_uppercase(), &format!("{good}0"), &format!("+{}", &good[1..])]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_part_counts() {
        let mut hasher = SampleHasher::default();
        let seven = Label { values: vec![7.0], text: None };
        let base = ("k", Label::NONE, vec![field("a", 1, 2)]);
        let all: Vec<_> = [
            base.clone(),
            ("l", Label::NONE, vec![field("a", 1, 2)]),
            ("k", &seven, vec![field("a", 1, 2)]),
            ("k", Label::NONE, vec![field("b", 1, 2)]),
            ("k", Label::NONE, vec![field("a", 2, 2)]),
            ("k", Label::NONE, vec![field("a", 1, 3)]),
            ("k", Label::NONE, vec![field("a", 1, 2), field("b", 0, 0)]),
            ("k", Label::NONE, vec![]),
        ]
        .iter()
        .map(|(key, label, fields)| hasher.digest(key, label, fields).to_u128())
        .collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    proptest! {
        #[test]
        fn sums_do_not_see_order_or_sharding(mut digests in prop::collection::vec(any::<u128>(), 0..20), cut in 0usize..20) {
            let all = |d: &[u128]| d.iter().map(|&d| Digest::from_u128(d)).sum::<Digest>();
            let whole = all(&digests);
            let (a, b) = digests.split_at(cut.min(digests.len()));
            prop_assert_eq!(all(a) + all(b), whole);
            digests.reverse();
            prop_assert_eq!(all(&digests), whole);
        }
    }
}
