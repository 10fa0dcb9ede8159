//! Maps from names to messages that stay where they are.

use super::{MAX_VALUES, Malformed, Parsed, Span, Spans, Value, wrong_type};

/// Entries that there is room for at once: an image's features are about ten.
const USUAL: usize = 16;

/// A `map<string, Message>`, sorted by name, each name once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries<'a>(Vec<(&'a str, Spans<'a>)>);

impl<'a> Entries<'a> {
    /// Adds the map that is the field `tag` of `message`. [`Entries::sort`] ends it.
    pub(crate) fn add(&mut self, message: Span<'a>, tag: u32) -> Parsed<()> {
        for entry in message.spans(tag) {
            let (mut name, mut value) = ("", None::<Spans<'_>>);
            for field in entry?.fields() {
                match (field?, &mut value) {
                    ((1, Value::Span(span)), _) => name = span.text()?,
                    ((2, Value::Span(span)), None) => value = Some(Spans::new(span)),
                    ((2, Value::Span(span)), Some(value)) => value.push(span)?,
                    ((tag @ (1 | 2), _), _) => return Err(wrong_type(tag)),
                    _ => {}
                }
            }
            if self.0.is_empty() {
                self.0.reserve(USUAL);
            }
            if self.0.len() == MAX_VALUES {
                return Err(Malformed(format!("more than {MAX_VALUES} entries in a map")));
            }
            let nothing = Span { bytes: &[], at: 0 };
            self.0.push((name, value.unwrap_or(Spans::new(nothing))));
        }
        Ok(())
    }

    /// Of entries with the same name the last one counts, as in every protobuf reader; `check` looks
    /// at those that do not, as nobody else will.
    pub(crate) fn sort(&mut self, check: impl Fn(&Spans<'a>) -> Parsed<()>) -> Parsed<()> {
        if self.0.is_sorted_by(|a, b| a.0 < b.0) {
            return Ok(()); // What deterministic writers store.
        }
        self.0.sort_by_key(|entry| entry.0);
        let mut checked = Ok(());
        self.0.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
                checked = std::mem::replace(&mut checked, Ok(())).and_then(|()| check(&later.1));
            }
            same
        });
        checked
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Spans<'a>> {
        let found = self.0.binary_search_by_key(&name, |entry| entry.0).ok()?;
        self.0.get(found).map(|entry| &entry.1)
    }

    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.0.iter().map(|entry| entry.0)
    }
}
