//! Expressions over a sample: `json.width >= 256 and not (label == "dog")`.
//!
//! ```text
//! expression = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" expression ")" | "exists" term | test
//! test       = term ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) ( term | literal )
//!            | term "in" "[" literal { "," literal } "]"
//!            | term "contains" literal
//!            | term "=~" text
//! term       = "key" | "label" | "size" | "len" "(" name ")" | name { "." name | "[" number "]" }
//! literal    = number | text | "true" | "false" | "null"
//! name       = a letter or "_", then letters, digits, "_" and "-"; or anything between backticks
//! text       = anything between double quotes; \" is a quote, \\ a backslash
//! ```
//!
//! - `key` is the sample's key, `size` the bytes of its fields, `len(jpg)` those of one. Any other
//!   name is that of a field that holds JSON; members and items of it follow. Backticks are for
//!   names with other characters: `` `meta.json`.width ``, and for fields called like a word of this
//!   language.
//! - `label` is all that the label is: its numbers, its text, and the names of its classes. A test
//!   holds if it holds for one of them.
//! - Numbers compare by value, texts by their bytes. A value of another kind, and one that is not
//!   there, is equal to nothing, and neither less nor greater: `json.width < 9` leaves out samples
//!   without a width, and so does `>=`. `!=` is the opposite of `==` in any case.
//! - `contains` looks for an item of a list, a member of an object, or a part of a text.
//! - In a text a backslash before any other character stands for itself: `"\d+"`.
//! - `not` binds closest, then `and`, then `or`.

mod evaluate;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde_json::Number;

pub(super) use evaluate::{Facts, Forms, Scalar};

/// A condition on samples. It has the form of the module's grammar.
///
/// ```
/// use shardpack_pack::Expression;
///
/// let expression: Expression = r#"json.width>=256 and not(label == "dog")"#.parse()?;
/// assert_eq!(expression.to_string(), r#"json.width >= 256 and not label == "dog""#);
///
/// let error = "json.width >= and".parse::<Expression>().unwrap_err();
/// assert_eq!(error.column(), 15);
/// # Ok::<(), shardpack_pack::ExpressionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

/// A value of a sample: what an expression tests, and what samples can be sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term(Of);

/// Longest text of an expression in bytes: what a person writes, many times over.
pub const LONGEST_EXPRESSION: usize = 64 << 10;
/// How deep parentheses and `not` may nest.
pub const DEEPEST_EXPRESSION: usize = 64;

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Two or more.
    All(Vec<Node>),
    /// Two or more.
    Any(Vec<Node>),
    Not(Box<Node>),
    Exists(Of),
    Compare(Of, Comparison, Operand),
    In(Of, Vec<Literal>),
    Contains(Of, Literal),
    Matches(Of, Pattern),
}

/// A value of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Key,
    Label,
    Size,
    Len(String),
    Json { field: String, steps: Vec<Step> },
}

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Of(Of),
    Literal(Literal),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Number(Numeral),
    Text(String),
}

/// A number as it was spelled, which is what is printed, and as the parser of bodies reads it: that is
/// fast and not exact to the last bit of a double, but the same spelling gives the same number.
#[derive(Clone, Debug)]
struct Numeral {
    text: String,
    value: Number,
}

impl PartialEq for Numeral {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for Numeral {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> serde_json::Result<Self> {
        Ok(Self { text: text.to_owned(), value: text.parse()? })
    }
}

/// A pattern; two are equal when they are spelled alike.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    text: String,
    column: usize,
    reason: String,
}

impl ExpressionError {
    /// Where it goes wrong: the character's number, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ExpressionError {
    /// The reason; then, if it is one line, the text and a mark below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.reason)?;
        match self.text.chars().any(char::is_control) || self.text.len() > 200 {
            true => Ok(()),
            false => write!(f, "\n  {}\n  {:>width$}", self.text, '^', width = self.column),
        }
    }
}

impl std::error::Error for ExpressionError {}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        parse::expression(text).map(Self)
    }
}

impl FromStr for Term {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        parse::term(text).map(Self)
    }
}

impl Expression {
    /// Fields whose bodies it looks into.
    pub(super) fn fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.0.each_of(&mut |of, inside| {
            if let (Of::Json { field, .. }, true) = (of, inside) {
                fields.insert(field.as_str());
            }
        });
        fields
    }

    /// Fields that it names, looked into or not.
    pub(super) fn named(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.0.each_of(&mut |of, _| fields.extend(of.field()));
        fields
    }

    /// Whether it holds; none where that depends on bodies that `facts` has not.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        self.0.holds(facts)
    }
}

impl Term {
    /// The field that it names, and whether its body must be read.
    pub(super) fn field(&self) -> Option<(&str, bool)> {
        Some((self.0.field()?, matches!(self.0, Of::Json { .. })))
    }

    /// Its first value; none where there is none.
    pub(super) fn value<'f>(&self, facts: &Facts<'f>) -> Option<Scalar<'f>> {
        self.0.values(facts)?.into_iter().next()
    }
}

impl Of {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Len(field) | Self::Json { field, .. } => Some(field),
            Self::Key | Self::Label | Self::Size => None,
        }
    }
}

impl Node {
    /// Calls `see` with every term, and whether the field's body is looked into.
    fn each_of<'n>(&'n self, see: &mut dyn FnMut(&'n Of, bool)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|n| n.each_of(see)),
            Self::Not(node) => node.each_of(see),
            Self::Exists(of) => {
                let inside = matches!(of, Of::Json { steps, .. } if !steps.is_empty());
                see(of, inside);
            }
            Self::Compare(of, _, with) => {
                see(of, true);
                if let Operand::Of(of) = with {
                    see(of, true);
                }
            }
            Self::In(of, _) | Self::Contains(of, _) | Self::Matches(of, _) => see(of, true),
        }
    }
}
