//! Whether an expression holds for a sample.
//!
//! Bodies are dear, so an expression is evaluated twice: first with what indexes tell, where a test
//! on a body is neither true nor false, and only where that leaves it open with the bodies.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Number, Value};
use shardpack_formats::Label;

use super::{Comparison, Literal, Node, Of, Operand, Step};

/// What is known of a sample.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Facts<'f> {
    pub(in super::super) key: &'f str,
    pub(in super::super) label: Option<&'f Forms>,
    /// Bytes of its fields.
    pub(in super::super) size: u64,
    /// Its fields and their lengths.
    pub(in super::super) fields: &'f [(String, u64)],
    /// The fields that were read, by name; none while none was.
    pub(in super::super) json: Option<&'f BTreeMap<String, Value>>,
}

/// All that a label is.
#[derive(Debug, Default)]
pub(in super::super) struct Forms {
    numbers: Vec<Number>,
    texts: Vec<String>,
}

impl Forms {
    /// What `label` is where classes have these names.
    pub(in super::super) fn new(label: &Label, names: &HashMap<u64, &str>) -> Self {
        let class = |value: &f64| {
            let whole = value.fract() == 0.0 && (0.0..9e15).contains(value);
            whole.then(|| names.get(&(*value as u64))).flatten()
        };
        let mut texts: Vec<String> = label.text.iter().cloned().collect();
        texts.extend(label.values.iter().filter_map(class).map(|name| (*name).to_owned()));
        texts.dedup();
        let numbers = label.values.iter().filter_map(|value| Number::from_f64(*value)).collect();
        Self { numbers, texts }
    }
}

/// A value that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Scalar<'v> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'v str),
    /// A list or an object.
    Whole(&'v Value),
}

impl<'v> Scalar<'v> {
    fn of(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => Self::Whole(value),
        }
    }

    fn literal(literal: &'v Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(yes) => Self::Bool(*yes),
            Literal::Number(number) => Self::Number(number.value.clone()),
            Literal::Text(text) => Self::Text(text),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => order(a, b) == Some(Ordering::Equal),
            (a, b) => a == b,
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => order(a, b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn contains(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Text(text), Self::Text(part)) => text.contains(part),
            (Self::Whole(Value::Array(items)), wanted) => {
                items.iter().any(|item| Scalar::of(item).equals(wanted))
            }
            (Self::Whole(Value::Object(members)), Self::Text(name)) => members.contains_key(*name),
            _ => false,
        }
    }
}

/// By value: whole numbers exactly, others as far as doubles tell.
fn order(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

impl Of {
    /// What it is of a sample: nothing, one value, or the several that a label is. None where the
    /// body was not read.
    pub(super) fn values<'f>(&self, facts: &Facts<'f>) -> Option<Vec<Scalar<'f>>> {
        let len = |name: &str| facts.fields.iter().find(|(n, _)| n == name).map(|(_, len)| *len);
        let number = |n: u64| Scalar::Number(n.into());
        Some(match self {
            Self::Key => vec![Scalar::Text(facts.key)],
            Self::Size => vec![number(facts.size)],
            Self::Len(field) => len(field).map(number).into_iter().collect(),
            Self::Label => {
                let texts = facts.label.iter().flat_map(|forms| &forms.texts);
                let numbers = facts.label.iter().flat_map(|forms| &forms.numbers);
                let numbers = numbers.cloned().map(Scalar::Number);
                numbers.chain(texts.map(|text| Scalar::Text(text))).collect()
            }
            Self::Json { field, .. } if len(field).is_none() => Vec::new(),
            Self::Json { field, steps } => {
                let value = facts.json?.get(field)?;
                let found = steps.iter().try_fold(value, |value, step| match step {
                    Step::Member(name) => value.as_object()?.get(name),
                    Step::Item(number) => value.as_array()?.get(*number),
                });
                found.map(Scalar::of).into_iter().collect()
            }
        })
    }
}

impl Node {
    pub(super) fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let some = |of: &Of, test: &dyn Fn(&Scalar<'_>) -> bool| {
            of.values(facts).map(|values| values.iter().any(test))
        };
        match self {
            Self::All(nodes) => settled(nodes, facts, false),
            Self::Any(nodes) => settled(nodes, facts, true),
            Self::Not(node) => node.holds(facts).map(|holds| !holds),
            Self::Exists(Of::Json { field, steps }) if steps.is_empty() => {
                Some(facts.fields.iter().any(|(name, _)| name == field))
            }
            Self::Exists(of) => some(of, &|_| true),
            Self::Compare(of, how, with) => compared(of, *how, with, facts),
            Self::In(of, list) => {
                some(of, &|value| list.iter().any(|l| value.equals(&Scalar::literal(l))))
            }
            Self::Contains(of, literal) => {
                some(of, &|value| value.contains(&Scalar::literal(literal)))
            }
            Self::Matches(of, pattern) => {
                some(of, &|value| matches!(value, Scalar::Text(text) if pattern.0.is_match(text)))
            }
        }
    }
}

/// `settles` is the value of one that decides about all.
fn settled(nodes: &[Node], facts: &Facts<'_>, settles: bool) -> Option<bool> {
    let mut open = false;
    for node in nodes {
        match node.holds(facts) {
            Some(holds) if holds == settles => return Some(settles),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!settles)
}

fn compared(of: &Of, how: Comparison, with: &Operand, facts: &Facts<'_>) -> Option<bool> {
    let left = of.values(facts)?;
    let right = match with {
        Operand::Of(of) => of.values(facts)?,
        Operand::Literal(literal) => vec![Scalar::literal(literal)],
    };
    let any = |test: &dyn Fn(&Scalar<'_>, &Scalar<'_>) -> bool| {
        left.iter().any(|a| right.iter().any(|b| test(a, b)))
    };
    let ordered = |test: fn(Ordering) -> bool| any(&|a, b| a.compare(b).is_some_and(test));
    Some(match how {
        Comparison::Equal => any(&|a, b| a.equals(b)),
        Comparison::Unequal => !any(&|a, b| a.equals(b)),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::AtMost => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::AtLeast => ordered(Ordering::is_ge),
    })
}
