//! The way to the answer, drawn: a box a question, from top to bottom.

use std::fmt::Write;

use shardpack_advise::{Answer, Finding, Outcome, Unit};

use super::super::advice;
use super::{capital, escape};

/// Units of the drawing; it is as wide as a telephone, and grows no further than that twice.
const WIDTH: usize = 400;
const LINE: usize = 18;
const PADDING: usize = 10;
const GAP: usize = 26;
/// Letters that fit into a box at 13 units a letter's height.
const LETTERS: usize = 52;

/// The drawing.
pub(super) fn draw(answer: &Answer) -> String {
    let (mut shapes, mut y) = (String::new(), 1);
    for finding in answer.rules.iter().filter(|finding| finding.on_path) {
        let mut lines = wrap(finding.asks);
        let asked = lines.len();
        // Of a plain yes or no, the arrow tells enough.
        if finding.unit != Unit::Truth || finding.outcome == Outcome::Unknown {
            lines.extend(wrap(&finding.evidence()));
        }
        y = boxed(&mut shapes, y, &lines, asked, class(finding));
        y = arrow(&mut shapes, y, if finding.taken { "yes" } else { "no" });
    }
    let lines = wrap(&capital(&advice(answer)));
    y = boxed(&mut shapes, y, &lines, lines.len(), "answer");
    format!(
        "<svg class=\"path\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-label=\"The questions that led to the answer\">\n{shapes}</svg>\n",
        y + 1
    )
}

fn class(finding: &Finding) -> &'static str {
    match finding.outcome {
        Outcome::Yes => "yes",
        Outcome::No => "no",
        Outcome::Unknown => "unknown",
    }
}

/// A box at `y`, the first `strong` lines in bold; gives where it ends.
fn boxed(shapes: &mut String, y: usize, lines: &[String], strong: usize, class: &str) -> usize {
    let height = 2 * PADDING + LINE * lines.len() - 4;
    // A String takes all, so these cannot fail.
    let _ = writeln!(
        shapes,
        "<g class=\"{class}\"><rect x=\"1\" y=\"{y}\" width=\"{}\" height=\"{height}\" rx=\"6\"/>",
        WIDTH - 2
    );
    for (i, line) in lines.iter().enumerate() {
        let base = y + PADDING + LINE * i + 11;
        let weight = if i < strong { " class=\"strong\"" } else { "" };
        let _ = writeln!(
            shapes,
            "<text x=\"{}\" y=\"{base}\"{weight}>{}</text>",
            PADDING + 4,
            escape(line)
        );
    }
    shapes.push_str("</g>\n");
    y + height
}

/// An arrow downwards with a word beside it; gives where it ends.
fn arrow(shapes: &mut String, y: usize, word: &str) -> usize {
    let (x, end) = (WIDTH / 2, y + GAP);
    let _ = writeln!(
        shapes,
        "<path d=\"M{x} {y}V{} m-4 -6l4 6l4 -6\"/><text class=\"word\" x=\"{}\" y=\"{}\">{word}</text>",
        end - 1,
        x + 10,
        y + 17
    );
    end
}

/// Words in lines of at most [`LETTERS`], where they have spaces.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_lost_and_no_line_too_long() {
        let text =
            "a question of many words that nobody would ask in earnest, but for a test of it";
        let lines = wrap(text);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= LETTERS));
        assert_eq!(lines.join(" "), text);
    }
}
