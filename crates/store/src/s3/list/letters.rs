//! Guesses where keys lie, from the letters that they are made of.

use crate::s3::uri::LONGEST_KEY;

/// Letters of keys, in order. A key is then a number in their base, and what halves the numbers
/// between two keys may halve the keys between them: exactly so for random names, for counters
/// after a few more guesses. That a counter has digits alone where it has one was tried, and saved
/// a thirtieth of the requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters(Vec<char>);

/// Letters of a key that count, after those that all keys of a span share. Six of any that Unicode
/// has, times the parts of a span, fit in 128 bits.
const PLACES: u32 = 6;

impl Letters {
    pub(super) fn learn(&mut self, key: &str) {
        for letter in key.chars() {
            if let Err(place) = self.0.binary_search(&letter) {
                self.0.insert(place, letter);
            }
        }
    }

    /// At most `count` keys, in order, that cut the keys after `low` and before `high` into parts;
    /// without `high`, all that start with `prefix`.
    pub(super) fn between(
        &self,
        prefix: &str,
        low: &str,
        high: Option<&str>,
        count: usize,
    ) -> Vec<String> {
        let shared = high.map_or(prefix.len(), |high| shared(low, high));
        let Some((stem, rest)) = low.split_at_checked(shared) else { return Vec::new() };
        let from = self.number(rest);
        let to = match high {
            Some(high) => self.number(high.get(shared..).unwrap_or_default()),
            None => self.base().pow(PLACES),
        };
        let (parts, width) = (count as u128 + 1, to.saturating_sub(from));
        let mut keys: Vec<String> = (1..parts)
            .map(|i| self.key(stem, from + width * i / parts))
            .filter(|key| key.as_str() > low && high.is_none_or(|high| key.as_str() < high))
            .filter(|key| key.len() <= LONGEST_KEY)
            .collect();
        keys.dedup();
        keys
    }

    /// One more than there are letters: a key may end before it has used all places.
    fn base(&self) -> u128 {
        self.0.len() as u128 + 1
    }

    /// The first places of a key as a number.
    fn number(&self, key: &str) -> u128 {
        let mut letters = key.chars();
        (0..PLACES).fold(0, |number, _| {
            let digit = letters.next().map_or(0, |letter| self.0.partition_point(|&l| l <= letter));
            number * self.base() + digit as u128
        })
    }

    /// `stem` and the key of a number, up to the first place without a letter.
    fn key(&self, stem: &str, number: u128) -> String {
        let mut key = stem.to_owned();
        for place in (0..PLACES).rev() {
            let digit = number / self.base().pow(place) % self.base();
            match (digit as usize).checked_sub(1).and_then(|i| self.0.get(i)) {
                Some(&letter) => key.push(letter),
                None => break,
            }
        }
        key
    }
}

/// Bytes of the letters that two keys start with.
fn shared(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(letter, _)| letter.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(keys: &[&str]) -> Letters {
        let mut letters = Letters::default();
        keys.iter().for_each(|key| letters.learn(key));
        letters
    }

    #[test]
    fn keys_are_cut_where_their_letters_say() {
        let hex = letters(&["0123456789abcdef"]);
        for (letters, prefix, low, high, count, keys) in [
            (&hex, "", "000f", None, 3, &["4", "8", "c"][..]),
            (&hex, "in/", "in/000f", None, 1, &["in/8"]),
            (&hex, "", "7000", Some("7fff"), 1, &["78"]),
            (&hex, "", "7", Some("70"), 5, &[]), // nothing fits between them
            (&hex, "", "7", Some("7"), 1, &[]),
            (&Letters::default(), "", "", None, 3, &[]),
        ] {
            let cut = letters.between(prefix, low, high, count);
            let starts = cut.iter().zip(keys).all(|(cut, key)| cut.starts_with(key));
            assert!(starts && cut.len() == keys.len(), "{low} {high:?}: {cut:?}");
        }
    }

    proptest! {
        /// Whatever the keys: bounds lie strictly between the two, each once, in order.
        #[test]
        fn bounds_are_in_order_and_inside(
            seen in proptest::collection::vec("\\PC{0,12}", 0..5),
            prefix in "\\PC{0,4}",
            low in "\\PC{0,12}",
            high in proptest::option::of("\\PC{0,12}"),
            count in 0usize..40,
        ) {
            let mut letters = Letters::default();
            seen.iter().for_each(|key| letters.learn(key));
            let low = format!("{prefix}{low}");
            let high = high.map(|high| format!("{prefix}{high}"));
            let cut = letters.between(&prefix, &low, high.as_deref(), count);
            prop_assert!(cut.len() <= count);
            prop_assert!(cut.is_sorted_by(|a, b| a < b), "{cut:?}");
            for key in &cut {
                prop_assert!(*key > low && high.as_ref().is_none_or(|high| key < high));
                prop_assert!(key.starts_with(&prefix));
            }
        }

        /// A halved span has keys on both sides, where keys are numbers of full width.
        #[test]
        fn counters_are_halved(from in 0u32..400_000, to in 600_000u32..1_000_000) {
            let digits = letters(&["0123456789"]);
            let key = |n: u32| format!("img-{n:06}.jpg");
            let cut = digits.between("", &key(from), Some(&key(to)), 1);
            let middle = key(from + (to - from) / 2);
            prop_assert_eq!(cut.len(), 1);
            let tenth = (to - from) / 10;
            prop_assert!(cut[0] > key(from + tenth) && cut[0] < key(to - tenth), "{} {}", &cut[0], middle);
        }
    }
}
