//! Expressions as text that parses to the same again.

use std::fmt::{self, Display, Formatter, Write};

use super::parse::{WORDS, is_name};
use super::{Comparison, Expression, Literal, Node, Of, Operand, Step, Term};

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(nodes) => joined(f, nodes, " and ", Node::is_joined),
            Self::Any(nodes) => joined(f, nodes, " or ", |n| matches!(n, Self::Any(_))),
            Self::Not(node) => {
                f.write_str("not ")?;
                nested(f, node, node.is_joined())
            }
            Self::Exists(of) => write!(f, "exists {of}"),
            Self::Compare(of, how, Operand::Of(with)) => write!(f, "{of} {how} {with}"),
            Self::Compare(of, how, Operand::Literal(with)) => write!(f, "{of} {how} {with}"),
            Self::In(of, list) => {
                write!(f, "{of} in [")?;
                for (i, literal) in list.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    literal.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Contains(of, literal) => write!(f, "{of} contains {literal}"),
            Self::Matches(of, pattern) => {
                write!(f, "{of} =~ ")?;
                text(f, pattern.0.as_str())
            }
        }
    }
}

impl Node {
    fn is_joined(&self) -> bool {
        matches!(self, Self::All(_) | Self::Any(_))
    }
}

fn joined(
    f: &mut Formatter<'_>,
    nodes: &[Node],
    word: &str,
    nests: impl Fn(&Node) -> bool,
) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { word })?;
        nested(f, node, nests(node))?;
    }
    Ok(())
}

fn nested(f: &mut Formatter<'_>, node: &Node, nests: bool) -> fmt::Result {
    match nests {
        true => write!(f, "({node})"),
        false => node.fmt(f),
    }
}

impl Display for Of {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Label => f.write_str("label"),
            Self::Size => f.write_str("size"),
            Self::Len(field) => {
                f.write_str("len(")?;
                name(f, field)?;
                f.write_str(")")
            }
            Self::Json { field, steps } => {
                name(f, field)?;
                steps.iter().try_for_each(|step| match step {
                    Step::Member(member) => {
                        f.write_str(".")?;
                        name(f, member)
                    }
                    Step::Item(number) => write!(f, "[{number}]"),
                })
            }
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(yes) => yes.fmt(f),
            Self::Number(number) => f.write_str(&number.text),
            Self::Text(value) => text(f, value),
        }
    }
}

fn name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    match is_name(name) && !WORDS.contains(&name) {
        true => f.write_str(name),
        false => write!(f, "`{name}`"),
    }
}

/// A backslash is doubled only where it would escape what follows, so that patterns stay readable.
fn text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && matches!(chars.peek(), None | Some('"' | '\\'));
        if c == '"' || escapes {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
