//! Asks rules.

use serde::Serialize;

use crate::facts::Facts;
use crate::rule::Next;
use crate::{Branch, Check, Rule, Source, Test, Unit};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The rule holds.
    Yes,
    /// It does not.
    No,
    /// Nobody told what it looks at.
    Unknown,
}

/// A rule that was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub id: &'static str,
    /// The question.
    pub asks: &'static str,
    /// What it looks at.
    pub fact: &'static str,
    /// The fact's value, where it is known.
    pub value: Option<f64>,
    /// How it is held against the threshold.
    pub test: Test,
    /// The threshold.
    pub threshold: f64,
    /// What both count.
    pub unit: Unit,
    /// What came of it.
    pub outcome: Outcome,
    /// It stands on the way to the answer; else its answer made no difference.
    pub on_path: bool,
    /// Which answer the way went on with.
    pub taken: bool,
    /// What it means where it holds; rules on the way to a decision lead to other rules instead.
    pub says: Option<&'static str>,
    /// Who says so.
    pub source: Source,
}

impl Finding {
    fn of(rule: &Rule, facts: &Facts<'_>, unknown: bool) -> Self {
        let value = facts.value(rule.fact);
        let holds = value.map(|value| rule.test.holds(value, rule.threshold));
        let outcome = match holds {
            Some(true) => Outcome::Yes,
            Some(false) => Outcome::No,
            None => Outcome::Unknown,
        };
        Self {
            id: rule.id,
            asks: rule.asks,
            fact: rule.fact.name(),
            value,
            test: rule.test,
            threshold: rule.threshold,
            unit: rule.fact.unit(),
            outcome,
            on_path: false,
            taken: holds.unwrap_or(unknown),
            says: None,
            source: rule.source,
        }
    }

    /// The value and the threshold, for people: `59.7 GB < 50 GB: no`.
    pub fn evidence(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Yes => "yes",
            Outcome::No => "no",
            Outcome::Unknown => "unknown",
        };
        match (self.value, self.unit) {
            (None, _) => {
                let taken = if self.taken { "yes" } else { "no" };
                format!("{outcome}: {}; went on as for {taken}", self.fact)
            }
            (Some(_), Unit::Truth) => outcome.into(),
            (Some(value), unit) => format!(
                "{} {} {}: {outcome}",
                unit.show(value),
                self.test.sign(),
                unit.show(self.threshold)
            ),
        }
    }
}

/// Goes from `root` to a decision. With `flip`, the rule of that name is answered the other way.
pub(crate) fn walk<T: Copy>(
    root: &'static Branch<T>,
    facts: &Facts<'_>,
    flip: Option<&str>,
) -> (T, Vec<Finding>) {
    let (mut branch, mut path) = (root, Vec::new());
    loop {
        let mut finding = Finding::of(&branch.rule, facts, branch.unknown);
        finding.on_path = true;
        finding.taken ^= flip == Some(branch.rule.id);
        let next = if finding.taken { &branch.yes } else { &branch.no };
        path.push(finding);
        match next {
            Next::Ask(other) => branch = other,
            Next::Take(decision) => return (*decision, path),
        }
    }
}

/// All rules below `root`, in the order of the text, with those of `path` as they stand there.
pub(crate) fn all<T>(
    root: &'static Branch<T>,
    facts: &Facts<'_>,
    path: Vec<Finding>,
) -> Vec<Finding> {
    let mut branches: Vec<&'static Branch<T>> = Vec::new();
    collect(root, &mut branches);
    let off = branches
        .into_iter()
        .map(|branch| Finding::of(&branch.rule, facts, branch.unknown))
        .filter(|finding| path.iter().all(|on| on.id != finding.id))
        .collect::<Vec<_>>();
    path.into_iter().chain(off).collect()
}

/// Every branch once.
pub(crate) fn collect<T>(branch: &'static Branch<T>, into: &mut Vec<&'static Branch<T>>) {
    if into.iter().any(|known| known.rule.id == branch.rule.id) {
        return;
    }
    into.push(branch);
    for next in [&branch.yes, &branch.no] {
        if let Next::Ask(other) = next {
            collect(other, into);
        }
    }
}

/// What checks find.
pub(crate) fn checks(checks: &'static [Check], facts: &Facts<'_>) -> Vec<Finding> {
    let of = |check: &Check| Finding {
        says: Some(check.says),
        ..Finding::of(&check.rule, facts, false)
    };
    checks.iter().map(of).collect()
}
