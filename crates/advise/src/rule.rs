//! What a rule is: a fact, a threshold, where both come from, and what follows.

use serde::Serialize;

use crate::Fact;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Document and section.
    pub document: &'static str,
    /// Its address; empty for reasoning of this crate.
    pub url: &'static str,
}

/// How a fact is held against a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Test {
    /// Less than the threshold.
    #[serde(rename = "<")]
    Below,
    /// The threshold, or less.
    #[serde(rename = "<=")]
    AtMost,
    /// The threshold, or more.
    #[serde(rename = ">=")]
    AtLeast,
    /// More than the threshold.
    #[serde(rename = ">")]
    Above,
}

impl Test {
    /// Whether it holds.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
        }
    }

    /// As a sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Above => ">",
        }
    }
}

/// One question with a number in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// The question, for people.
    pub asks: &'static str,
    /// What is looked at.
    pub fact: Fact,
    /// How.
    pub test: Test,
    /// Against what, in the fact's unit.
    pub threshold: f64,
    /// Who says so.
    pub source: Source,
}

/// A rule on the way to a decision.
#[derive(Debug)]
pub struct Branch<T: 'static> {
    /// The question.
    pub rule: Rule,
    /// What follows where it holds.
    pub yes: Next<T>,
    /// What follows where it does not.
    pub no: Next<T>,
    /// Which of the two is taken where the fact is unknown: the one that needs less.
    pub unknown: bool,
}

/// What follows a question.
#[derive(Debug)]
pub enum Next<T: 'static> {
    /// Another one.
    Ask(&'static Branch<T>),
    /// The decision.
    Take(T),
}

/// A rule that decides nothing, and warns where it holds.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The question.
    pub rule: Rule,
    /// What it means where it holds, and what to do.
    pub says: &'static str,
}
