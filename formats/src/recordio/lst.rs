//! `.lst` files: the list that `im2rec` packs, `id TAB label … TAB path LF`.

use std::io::{self, BufRead, Read, Write};

use crate::{Error, ErrorKind, Position, Result};

/// Longest line in bytes; a longer one is no list.
const MAX_LINE: u64 = 1 << 20;

/// One image.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Becomes the record's header id and its key in the `.idx` file.
    pub id: u64,
    /// One label or several.
    pub labels: Vec<f64>,
    /// Relative path of the file.
    pub path: String,
}

/// Reads a list line by line, as tolerant as `im2rec.py`: blanks around a line are stripped,
/// columns end at tabs, the last is the path, empty lines are skipped.
///
/// A line that is no entry is an error ([`Corrupt`](crate::ErrorKind::Corrupt), the line's number
/// from 0 as the position's record), and reading may go on after it: `im2rec.py` skips such lines
/// with a message. After a line over 1 MiB or a failed read there are no more.
///
/// ```
/// use shardpack_formats::recordio::lst::Reader;
///
/// let entries: Result<Vec<_>, _> = Reader::new(&b"7\t1.000000\tcat/a.jpg\n"[..]).collect();
/// let entries = entries?;
/// assert_eq!((entries[0].id, &entries[0].labels[..]), (7, &[1.0][..]));
/// assert_eq!(entries[0].path, "cat/a.jpg");
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: Vec<u8>,
    /// Where the next line starts.
    next: Position,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), next: Position::default(), ended: false }
    }

    /// Reads a line and says where it started; none at the end.
    fn read_line(&mut self) -> Result<Option<Position>> {
        self.line.clear();
        let position = self.next;
        let len = self
            .input
            .by_ref()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|source| Error::at(ErrorKind::Io(source), position))? as u64;
        if len > MAX_LINE {
            let kind = ErrorKind::TooLarge { what: "line", len, limit: MAX_LINE };
            return Err(Error::at(kind, position));
        }
        self.next.record += 1;
        self.next.offset += len;
        Ok((len > 0).then_some(position))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.read_line() {
                Ok(Some(_)) if self.line.trim_ascii().is_empty() => {}
                Ok(Some(position)) => return Some(parse(&self.line, position)),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn parse(line: &[u8], position: Position) -> Result<Entry> {
    let corrupt = |reason: String| Error::corrupt(reason, position);
    let line = std::str::from_utf8(line).map_err(|_| corrupt("the line is not UTF-8".into()))?;
    let columns: Vec<&str> = line.trim().split('\t').collect();
    let [id, labels @ .., path] = &columns[..] else {
        return Err(corrupt("the line has one column: id, label and path are wanted".into()));
    };
    if labels.is_empty() {
        return Err(corrupt("the line has two columns: id, label and path are wanted".into()));
    }
    let id = id.trim().parse().map_err(|_| corrupt(format!("{id:?} is no id")))?;
    let label =
        |text: &&str| text.trim().parse().map_err(|_| corrupt(format!("{text:?} is no label")));
    let labels = labels.iter().map(label).collect::<Result<_>>()?;
    Ok(Entry { id, labels, path: (*path).to_owned() })
}

/// Writes one entry, labels in the fewest digits that read back as the same number.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput), with nothing written, for an entry that no
/// reader would give back: no label or one that is not finite, a path that is empty, holds a tab
/// or a line end, or begins or ends with a blank.
pub fn write(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    let Entry { id, labels, path } = entry;
    let refuse = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    if path.is_empty() || path.trim() != path || path.contains(['\t', '\n', '\r']) {
        return refuse(format!(
            "{path:?}: a .lst file cannot keep empty paths, tabs, line ends or blanks at either end"
        ));
    }
    if labels.is_empty() || labels.iter().any(|label| !label.is_finite()) {
        return refuse(format!("{path:?}: a .lst file wants labels, all of them finite"));
    }
    write!(out, "{id}\t")?;
    labels.iter().try_for_each(|label| write!(out, "{label}\t"))?;
    writeln!(out, "{path}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: &[u8]) -> Vec<Result<Entry>> {
        Reader::new(list).collect()
    }

    #[test]
    fn lines_of_im2rec() {
        let list = b"0\t0.000000\ta b.jpg\n\n  12\t1\t2.5\t-3\td/\xc3\xa9.png \r\n7\t1\tlast";
        let entries: Vec<Entry> = read(list).into_iter().map(Result::unwrap).collect();
        let want = [
            Entry { id: 0, labels: vec![0.0], path: "a b.jpg".into() },
            Entry { id: 12, labels: vec![1.0, 2.5, -3.0], path: "d/é.png".into() },
            Entry { id: 7, labels: vec![1.0], path: "last".into() },
        ];
        assert_eq!(entries, want);
    }

    #[test]
    fn a_bad_line_is_an_error_and_the_next_is_read() {
        let bad: &[&[u8]] =
            &[b"one", b"1\ta.jpg", b"x\t1\ta.jpg", b"-1\t1\ta.jpg", b"1\ty\ta.jpg", b"1\t1\t\xff"];
        for line in bad {
            let read = read(&[line, &b"\n1\t1\ta.jpg\n"[..]].concat());
            let [Err(error), Ok(good)] = &read[..] else { panic!("{line:?}: {read:?}") };
            assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
            assert_eq!(error.position(), Some(Position::default()));
            assert_eq!(good.path, "a.jpg");
        }
        let endless = Reader::new(io::BufReader::new(io::repeat(b'1'))).collect::<Vec<_>>();
        let [Err(error)] = &endless[..] else { panic!("{} results", endless.len()) };
        assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        for (path, labels) in [
            ("", &[1.0][..]),
            ("a\tb", &[1.0]),
            ("a\nb", &[1.0]),
            (" a", &[1.0]),
            ("a ", &[1.0]),
            ("a", &[]),
            ("a", &[f64::NAN]),
        ] {
            let entry = Entry { id: 1, labels: labels.to_vec(), path: path.into() };
            let mut out = Vec::new();
            let error = write(&entry, &mut out).unwrap_err();
            assert_eq!((error.kind(), out.len()), (io::ErrorKind::InvalidInput, 0), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            id in any::<u64>(),
            labels in prop::collection::vec(any::<f64>(), 0..4),
            path in "\\PC{0,9}",
        ) {
            let entry = Entry { id, labels, path };
            let mut out = Vec::new();
            if write(&entry, &mut out).is_ok() {
                prop_assert_eq!(read(&out).pop().unwrap().unwrap(), entry);
            }
        }
    }
}
