//! The rules, as data. To change a threshold, change it here; each has a case in `rules/tests.rs`
//! that meets it, and one just below.
//!
//! Three decisions are made one after the other: whether to pack ([`SERIALISE`]), which way the data
//! takes ([`WAY`]), and who gets what ([`DISTRIBUTION`]). Then [`CHECKS`] look for trouble.

mod checks;
mod distribution;
mod serialise;
mod way;

#[cfg(test)]
mod tests;

pub use checks::CHECKS;
pub use distribution::DISTRIBUTION;
pub use serialise::SERIALISE;
pub use way::WAY;

use crate::{Fact, Rule, Source, Test};

/// AWS's guidance on input modes.
const GUIDE: &str = "https://docs.aws.amazon.com/sagemaker/latest/dg/model-access-training-data-best-practices.html";

const fn guide(document: &'static str) -> Source {
    Source { document, url: GUIDE }
}

/// What follows from documented facts without being written in one.
const fn reasoned(document: &'static str) -> Source {
    Source { document, url: "" }
}

/// A question whose answer is yes or no already.
const fn truth(id: &'static str, asks: &'static str, fact: Fact, source: Source) -> Rule {
    Rule { id, asks, fact, test: Test::AtLeast, threshold: 1.0, source }
}
