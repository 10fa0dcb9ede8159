//! From text to expressions: tokens, and one function for each rule of the grammar.

use regex::Regex;

use super::{
    Comparison, DEEPEST_EXPRESSION, ExpressionError, LONGEST_EXPRESSION, Literal, Node, Numeral,
    Of, Operand, Pattern, Step,
};

/// Names that mean something else where a field's could stand.
pub(super) const WORDS: &[&str] = &[
    "and", "contains", "exists", "false", "in", "key", "label", "len", "not", "null", "or", "size",
    "true",
];

/// Whether a name needs no backticks, if it is no word.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(starts_name) && chars.all(goes_on)
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name, or a word of the language.
    Name(String),
    /// A name between backticks.
    Quoted(String),
    Text(String),
    Number(Numeral),
    Sign(&'static str),
    End,
}

/// Longer ones first, so that `<=` is not `<` and something else.
const SIGNS: &[&str] = &["==", "!=", "=~", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "="];

type Result<T> = std::result::Result<T, Wrong>;

/// What is wrong at a byte of the text.
struct Wrong {
    at: usize,
    reason: String,
}

struct Parser<'t> {
    text: &'t str,
    /// The token that is looked at, where it starts, and where the next one does.
    token: Token,
    start: usize,
    next: usize,
    depth: usize,
}

pub(super) fn expression(text: &str) -> std::result::Result<Node, ExpressionError> {
    whole(text, Parser::any)
}

pub(super) fn term(text: &str) -> std::result::Result<Of, ExpressionError> {
    whole(text, Parser::of)
}

/// Parses all of `text` by a rule.
fn whole<'t, T>(
    text: &'t str,
    rule: impl FnOnce(&mut Parser<'t>) -> Result<T>,
) -> std::result::Result<T, ExpressionError> {
    let parsed = || {
        if text.len() > LONGEST_EXPRESSION {
            let reason = format!("longer than {LONGEST_EXPRESSION} bytes");
            return Err(Wrong { at: 0, reason });
        }
        let mut parser = Parser { text, token: Token::End, start: 0, next: 0, depth: 0 };
        parser.advance()?;
        let found = rule(&mut parser)?;
        match parser.token {
            Token::End => Ok(found),
            _ => parser.wrong("expected and, or, or the end"),
        }
    };
    parsed().map_err(|Wrong { at, reason }| {
        let column = text.get(..at).unwrap_or_default().chars().count() + 1;
        ExpressionError { text: text.to_owned(), column, reason }
    })
}

impl Parser<'_> {
    fn wrong<T>(&self, reason: impl Into<String>) -> Result<T> {
        let reason = reason.into();
        Err(Wrong { at: self.start, reason: format!("{reason}, found {}", self.found()) })
    }

    fn found(&self) -> &str {
        match self.token {
            Token::End => "the end",
            _ => self.text.get(self.start..self.next).unwrap_or_default(),
        }
    }

    /// Takes the token that is looked at, and looks at the next one.
    fn advance(&mut self) -> Result<Token> {
        let rest = self.text.get(self.next..).unwrap_or_default();
        let rest = rest.trim_start();
        self.start = self.text.len() - rest.len();
        let (token, len) = read(rest)
            .map_err(|(at, reason)| Wrong { at: self.start + at, reason: reason.to_owned() })?;
        self.next = self.start + len;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// Takes a word or sign if it is the next one.
    fn take(&mut self, wanted: &str) -> Result<bool> {
        let is = match &self.token {
            Token::Name(name) => name == wanted,
            Token::Sign(sign) => *sign == wanted,
            _ => false,
        };
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        match self.take(wanted)? {
            true => Ok(()),
            false => self.wrong(format!("expected {wanted}")),
        }
    }

    fn any(&mut self) -> Result<Node> {
        self.joined("or", Self::all, Node::Any)
    }

    fn all(&mut self) -> Result<Node> {
        self.joined("and", Self::one, Node::All)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Node>,
        join: fn(Vec<Node>) -> Node,
    ) -> Result<Node> {
        let first = part(self)?;
        let mut nodes = vec![first];
        while self.take(word)? {
            nodes.push(part(self)?);
        }
        Ok(match nodes.len() {
            1 => nodes.remove(0),
            _ => join(nodes),
        })
    }

    fn one(&mut self) -> Result<Node> {
        if self.depth == DEEPEST_EXPRESSION {
            let reason = format!("nested deeper than {DEEPEST_EXPRESSION}");
            return Err(Wrong { at: self.start, reason });
        }
        self.depth += 1;
        let node = self.nested()?;
        self.depth -= 1;
        Ok(node)
    }

    fn nested(&mut self) -> Result<Node> {
        if self.take("not")? {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.take("(")? {
            let node = self.any()?;
            self.expect(")")?;
            return Ok(node);
        }
        if self.take("exists")? {
            return Ok(Node::Exists(self.of()?));
        }
        let of = self.of()?;
        self.test(of)
    }

    fn test(&mut self, of: Of) -> Result<Node> {
        if self.take("in")? {
            return Ok(Node::In(of, self.list()?));
        }
        if self.take("contains")? {
            return Ok(Node::Contains(of, self.literal()?));
        }
        if self.take("=~")? {
            return Ok(Node::Matches(of, self.pattern()?));
        }
        let how = match self.token {
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::Unequal,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::AtMost,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::AtLeast,
            Token::Sign("=") => return self.wrong("write == for equal"),
            _ => {
                return self.wrong("expected a test: ==, !=, <, <=, >, >=, in, contains or =~");
            }
        };
        self.advance()?;
        let is_literal = match &self.token {
            Token::Text(_) | Token::Number(_) => true,
            Token::Name(name) => matches!(name.as_str(), "true" | "false" | "null"),
            _ => false,
        };
        let with = match is_literal {
            true => Operand::Literal(self.literal()?),
            false => Operand::Of(self.of()?),
        };
        Ok(Node::Compare(of, how, with))
    }

    fn list(&mut self) -> Result<Vec<Literal>> {
        self.expect("[")?;
        let mut list = vec![self.literal()?];
        while self.take(",")? {
            list.push(self.literal()?);
        }
        self.expect("]")?;
        Ok(list)
    }

    fn pattern(&mut self) -> Result<Pattern> {
        let Token::Text(text) = &self.token else { return self.wrong("expected a text") };
        let reason = |error: regex::Error| {
            // The last line says what; those before it point into the pattern.
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            format!("no pattern: {}", last.trim_start_matches("error: "))
        };
        let pattern = Regex::new(text).map_err(|e| Wrong { at: self.start, reason: reason(e) })?;
        self.advance()?;
        Ok(Pattern(pattern))
    }

    fn literal(&mut self) -> Result<Literal> {
        let literal = match &self.token {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(number) => Literal::Number(number.clone()),
            Token::Name(name) if name == "true" => Literal::Bool(true),
            Token::Name(name) if name == "false" => Literal::Bool(false),
            Token::Name(name) if name == "null" => Literal::Null,
            _ => return self.wrong("expected a number, a \"text\", true, false or null"),
        };
        self.advance()?;
        Ok(literal)
    }

    fn of(&mut self) -> Result<Of> {
        let field = match &self.token {
            Token::Name(name) => match name.as_str() {
                "key" => return self.advance().map(|_| Of::Key),
                "label" => return self.advance().map(|_| Of::Label),
                "size" => return self.advance().map(|_| Of::Size),
                "len" => return self.len(),
                word if WORDS.contains(&word) => return self.wrong(EXPECTED_TERM),
                name => name.to_owned(),
            },
            Token::Quoted(name) => name.clone(),
            _ => return self.wrong(EXPECTED_TERM),
        };
        self.advance()?;
        Ok(Of::Json { field, steps: self.steps()? })
    }

    fn len(&mut self) -> Result<Of> {
        self.advance()?;
        self.expect("(")?;
        let field = self.name()?;
        self.expect(")")?;
        Ok(Of::Len(field))
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.take(".")? {
                steps.push(Step::Member(self.name()?));
            } else if self.take("[")? {
                let number = match &self.token {
                    Token::Number(number) => number.value.as_u64().and_then(|n| n.try_into().ok()),
                    _ => None,
                };
                let Some(number) = number else {
                    return self.wrong("expected the number of an item, from 0");
                };
                self.advance()?;
                self.expect("]")?;
                steps.push(Step::Item(number));
            } else {
                return Ok(steps);
            }
        }
    }

    /// A name where it can be nothing else, so that words need no backticks.
    fn name(&mut self) -> Result<String> {
        match &self.token {
            Token::Name(name) | Token::Quoted(name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => self.wrong("expected a name, with backticks if it is of other characters"),
        }
    }
}

const EXPECTED_TERM: &str =
    "expected key, label, size, len(FIELD), or a field's name as in json.width";

/// The token that `text` starts with, and its length; or what is wrong how far into it.
fn read(text: &str) -> std::result::Result<(Token, usize), (usize, &'static str)> {
    let Some(first) = text.chars().next() else { return Ok((Token::End, 0)) };
    if starts_name(first) {
        let len = text.find(|c| !goes_on(c)).unwrap_or(text.len());
        return Ok((Token::Name(text[..len].to_owned()), len));
    }
    if first == '"' {
        return read_text(text);
    }
    if first == '`' {
        let Some(name) = text[1..].split('`').next().filter(|n| n.len() + 1 < text.len()) else {
            return Err((0, "no backtick ends this name"));
        };
        return match name {
            "" => Err((0, "a name is empty")),
            name => Ok((Token::Quoted(name.to_owned()), name.len() + 2)),
        };
    }
    if first.is_ascii_digit() || first == '-' {
        let in_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let len = text.find(|c| !in_number(c)).unwrap_or(text.len());
        return match text[..len].parse() {
            Ok(number) => Ok((Token::Number(number), len)),
            Err(_) => Err((0, "no number, as JSON writes them: 256, -0.5, 1e6")),
        };
    }
    match SIGNS.iter().find(|sign| text.starts_with(**sign)) {
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None => Err((0, "a character that means nothing here; texts stand in double quotes")),
    }
}

fn read_text(text: &str) -> std::result::Result<(Token, usize), (usize, &'static str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(value), at + 1)),
            '\\' => match chars.next_if(|(_, c)| matches!(c, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    Err((0, "no quote ends this text"))
}
