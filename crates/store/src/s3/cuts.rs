//! Where an object in the making is cut into parts.

use std::ops::Range;

use super::multipart::{MOST_PARTS, part_len};

/// Parts of an object that is being written.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Length of every part but the last, where `ends` does not say.
    part: u64,
    len: Option<u64>,
    ends: Vec<u64>,
}

/// Parts of an object whose length nobody knows yet are so many times as long: 160 GB then fit into
/// the parts there may be.
const UNKNOWN: u64 = 2;

impl Cuts {
    /// Parts of one length, at least `least`.
    pub(super) fn even(len: Option<u64>, least: u64) -> Self {
        let part = len.map_or(UNKNOWN * least, |len| part_len(len, least));
        Self { part, len, ends: Vec::new() }
    }

    /// Parts that end where a range of `copies` starts or ends. Each of these stretches is one part if
    /// it is shorter than two of `least` bytes, and else as many as there are that long.
    pub(super) fn around(len: u64, least: u64, copies: &[Range<u64>]) -> Self {
        let mut cuts = Self::even(Some(len), least);
        let borders = copies.iter().flat_map(|copy| [copy.start, copy.end]).chain([len]);
        let mut start = 0;
        for end in borders.filter(|end| *end <= len) {
            let stretch = end.saturating_sub(start);
            let count = (stretch / cuts.part).max(u64::from(stretch > 0));
            cuts.ends.extend((1..=count).map(|i| start + each(stretch, count, i)));
            start = start.max(end);
        }
        if cuts.ends.len() as u64 > MOST_PARTS {
            cuts.ends.clear(); // then nothing is copied
        }
        cuts
    }

    /// The part that holds the byte at `offset`.
    pub(super) fn at(&self, offset: u64) -> u64 {
        match self.ends.is_empty() {
            true => offset / self.part,
            false => self.ends.partition_point(|end| *end <= offset) as u64,
        }
    }

    /// Where a part lies; the last one of an object of unknown length may end before.
    pub(super) fn range(&self, index: u64) -> Range<u64> {
        let end = |index: u64| match self.ends.get(index as usize) {
            Some(end) => *end,
            None => self.len.unwrap_or(u64::MAX).min((index + 1).saturating_mul(self.part)),
        };
        index.checked_sub(1).map_or(0, end)..end(index)
    }

    /// The parts that make up a range; None where it ends amid one.
    pub(super) fn parts(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let (first, last) = (self.at(range.start), self.at(range.end.checked_sub(1)?));
        let whole = self.range(first).start..self.range(last).end;
        (!range.is_empty() && whole == *range).then_some(first..last + 1)
    }

    /// True for an object of one part.
    pub(super) fn one(&self) -> bool {
        self.len.is_some_and(|len| self.range(0).end == len)
    }
}

/// Where the `i`th of `count` parts of a stretch ends.
fn each(stretch: u64, count: u64, i: u64) -> u64 {
    (u128::from(stretch) * u128::from(i) / u128::from(count)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_where_copies_do() {
        for (len, copies, ends) in [
            (25, &[][..], &[12, 25][..]),
            (25, &[(0, 25)], &[12, 25]),
            (9, &[(0, 9)], &[9]),
            (30, &[(10, 29)], &[10, 29, 30]),
            (61, &[(0, 31), (31, 60)], &[10, 20, 31, 45, 60, 61]),
            (70, &[(12, 25), (36, 47)], &[12, 25, 36, 47, 58, 70]),
        ] {
            let copies: Vec<_> = copies.iter().map(|&(start, end)| start..end).collect();
            let cuts = Cuts::around(len, 10, &copies);
            assert_eq!(cuts.ends, ends, "{len} {copies:?}");
            let mut start = 0;
            for (i, &end) in (0..).zip(ends) {
                assert_eq!(cuts.range(i), start..end);
                assert_eq!((cuts.at(start), cuts.at(end - 1)), (i, i));
                start = end;
            }
            assert_eq!(cuts.one(), ends.len() == 1);
            for copy in &copies {
                let parts = cuts.parts(copy).expect("whole parts");
                assert_eq!(cuts.range(parts.start).start..cuts.range(parts.end - 1).end, *copy);
                assert_eq!(cuts.parts(&(copy.start..copy.end - 1)), None);
            }
        }
    }

    #[test]
    fn even_parts_need_no_table() {
        let known = Cuts::even(Some(25), 10);
        assert_eq!((known.at(9), known.at(10), known.range(2)), (0, 1, 20..25));
        assert!(!known.one() && Cuts::even(Some(10), 10).one());
        let unknown = Cuts::even(None, 10);
        assert_eq!((unknown.at(45), unknown.range(2)), (2, 40..60));
        assert!(!unknown.one());
    }

    #[test]
    fn no_object_has_more_parts_than_there_may_be() {
        let copies: Vec<_> = (0..MOST_PARTS).map(|i| i * 20 + 10..i * 20 + 20).collect();
        let cuts = Cuts::around(MOST_PARTS * 20, 10, &copies);
        assert!(cuts.at(MOST_PARTS * 20 - 1) < MOST_PARTS);
        assert_eq!(cuts.parts(&copies[0]), None);
    }
}
