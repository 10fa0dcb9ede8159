//! `--order field:...` and `--order map:FILE`: the order of samples by what is in them, or in a file.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::Number;

use super::bodies::{Reading, look_into};
use super::catalog::Catalog;
use super::condition::Fields;
use super::expression::{Scalar, Term};
use super::select::{BadJson, Selection};
use super::source::DatasetSource;
use crate::error::Offenders;
use crate::options::Order;
use crate::{Error, Result};

/// An order that is not known from keys and labels alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// By a value of each sample: numbers, then texts, then booleans; samples without such a value
    /// are last. Samples of equal values stand in the order of their keys.
    Field {
        /// The value.
        by: Term,
        /// From the largest to the smallest, within each kind.
        descending: bool,
    },
    /// As keys are listed; samples that are not listed are last, in the order of their keys.
    Map {
        /// The keys, one a line.
        keys: String,
        /// Where they are from, for messages.
        name: String,
    },
}

impl Arrangement {
    /// What [`PackOptions::order`](crate::PackOptions::order) calls it.
    pub fn order(&self) -> Order {
        match self {
            Self::Field { .. } => Order::Field,
            Self::Map { .. } => Order::Map,
        }
    }
}

/// A value to sort by.
#[derive(Clone, Debug, PartialEq)]
enum Rank {
    Number(Number),
    Text(String),
    Bool(bool),
    Missing,
}

/// Gives every sample that is taken its place.
pub(super) fn arrange(
    source: &mut DatasetSource<'_>,
    selection: &Selection,
    reading: Reading<'_>,
) -> Result<()> {
    let order = match &selection.arrangement {
        None => return Ok(()),
        Some(Arrangement::Field { by, descending }) => {
            by_field(source, selection, (by, *descending), reading)?
        }
        Some(Arrangement::Map { keys, name }) => by_map(source, keys, name)?,
    };
    // Places are counted among the samples that are taken, as the plan counts.
    let mut places = vec![0; source.catalog().len()];
    for (place, sample) in (0..).zip(order) {
        if let Some(slot) = places.get_mut(sample) {
            *slot = place;
        }
    }
    let catalog = source.catalog_mut();
    let taken = (0..catalog.len()).filter(|i| catalog.is_taken(*i));
    catalog.places = taken.map(|i| places[i]).collect();
    Ok(())
}

fn by_field(
    source: &mut DatasetSource<'_>,
    selection: &Selection,
    (by, descending): (&Term, bool),
    reading: Reading<'_>,
) -> Result<Vec<usize>> {
    let catalog = source.catalog();
    let (name, inside) = by.field().map_or((None, false), |(name, inside)| (Some(name), inside));
    let fields = Fields::new(name.into_iter().collect(), selection, catalog);
    let samples: Vec<usize> = (0..catalog.len()).filter(|i| catalog.is_taken(*i)).collect();
    let wanted = |i: usize| if inside { fields.all(catalog, i) } else { Vec::new() };
    let ranks = look_into(source, &samples, reading, wanted, |i, bodies| {
        let json = match fields.parse(source, i, bodies) {
            Ok(json) => json,
            Err(_) if selection.bad_json == BadJson::Skip => return Ok(Rank::Missing),
            Err(error) => return Err(error),
        };
        Ok(fields.with(catalog, i, Some(&json), |facts| Rank::of(by.value(facts))))
    })?;
    let missing = ranks.iter().filter(|rank| **rank == Rank::Missing).count();
    let mut ranked: Vec<(Rank, usize)> = ranks.into_iter().zip(samples).collect();
    ranked.par_sort_unstable_by(|(a, i), (b, j)| {
        a.order(b, descending).then_with(|| by_key(catalog, *i, *j))
    });
    if missing > 0 {
        source
            .notes
            .push(format!("{missing} samples have no value at {by}: they are last, by key"));
    }
    Ok(ranked.into_iter().map(|(_, i)| i).collect())
}

fn by_map(source: &mut DatasetSource<'_>, keys: &str, name: &str) -> Result<Vec<usize>> {
    let mut lines = HashMap::<&str, usize>::new();
    let mut twice = Offenders::default();
    for (line, key) in (1..).zip(keys.lines()).filter(|(_, key)| !key.is_empty()) {
        if let Some(before) = lines.insert(key, line) {
            twice.add(|| format!("{key}: lines {before} and {line}"));
        }
    }
    twice.refuse(format!("--order map:{name} has these keys twice; remove one of each pair"))?;
    let catalog = source.catalog();
    let mut key = String::new();
    let mut samples = Vec::with_capacity(catalog.taken());
    let mut listed = 0;
    for i in 0..catalog.len() {
        catalog.key(i, &mut key);
        let line = lines.get(key.as_str()).copied();
        listed += usize::from(line.is_some());
        if catalog.is_taken(i) {
            samples.push((line.unwrap_or(usize::MAX), i));
        }
    }
    let others = samples.iter().filter(|(line, _)| *line == usize::MAX).count();
    samples.par_sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| by_key(catalog, *i, *j)));
    if others > 0 {
        source.notes.push(format!("{others} samples are not in {name}: they are last, by key"));
    }
    let unknown = lines.len().saturating_sub(listed);
    if unknown > 0 {
        source.notes.push(format!("{unknown} keys of {name} belong to no sample"));
    }
    Ok(samples.into_iter().map(|(_, i)| i).collect())
}

fn by_key(catalog: &Catalog, a: usize, b: usize) -> Ordering {
    let (mut first, mut second) = (String::new(), String::new());
    catalog.key(a, &mut first);
    catalog.key(b, &mut second);
    first.cmp(&second)
}

/// Refuses options that say another order than the source was arranged in, and samples that were
/// not.
pub(super) fn agrees(catalog: &Catalog, order: Order) -> Result<()> {
    let arranged = !catalog.places.is_empty();
    match arranged == matches!(order, Order::Field | Order::Map) {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "--order {order}: the source's samples were {}",
            if arranged { "arranged otherwise" } else { "not arranged so" }
        ))),
    }
}

impl Rank {
    fn of(value: Option<Scalar<'_>>) -> Self {
        match value {
            Some(Scalar::Number(number)) => Self::Number(number),
            Some(Scalar::Text(text)) => Self::Text(text.to_owned()),
            Some(Scalar::Bool(yes)) => Self::Bool(yes),
            Some(Scalar::Null | Scalar::Whole(_)) | None => Self::Missing,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::Missing => 3,
        }
    }

    fn order(&self, other: &Self, descending: bool) -> Ordering {
        let within = match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                number(a).0.total_cmp(&number(b).0).then_with(|| number(a).1.cmp(&number(b).1))
            }
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => return self.kind().cmp(&other.kind()),
        };
        if descending { within.reverse() } else { within }
    }
}

/// A number as a double and, where it is a whole one that a double may not tell from its neighbours,
/// exactly. Sorting needs an order of all numbers, which comparing some as doubles and some exactly
/// is none.
fn number(number: &Number) -> (f64, Option<i128>) {
    let value = number.as_f64().unwrap_or_default() + 0.0; // -0 is 0
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    (value, whole.filter(|n| n.unsigned_abs() > 1 << 53))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_in_order_and_only_values_turn_around() {
        let number = |text: &str| Rank::Number(text.parse().unwrap());
        let text = |text: &str| Rank::Text(text.to_owned());
        let up = [
            number("-1e300"),
            number("-0.0"),
            number("3"),
            number("3.5"),
            number("9007199254740992"),
            number("9007199254740993"),
            number("18446744073709551615"),
            text(""),
            text("10"),
            text("9"),
            Rank::Bool(false),
            Rank::Bool(true),
            Rank::Missing,
        ];
        for (i, a) in up.iter().enumerate() {
            for (j, b) in up.iter().enumerate() {
                assert_eq!(a.order(b, false), i.cmp(&j), "{a:?} {b:?}");
                let down = if a.kind() == b.kind() { j.cmp(&i) } else { i.cmp(&j) };
                assert_eq!(a.order(b, true), down, "{a:?} {b:?}");
            }
        }
        assert_eq!(number("-0.0").order(&number("0"), false), Ordering::Equal);
        assert_eq!(number("3").order(&number("3.0"), false), Ordering::Equal);
    }
}
