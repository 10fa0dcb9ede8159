//! What became of each sample of a piece, as JSON lines: a head that proves the rest, and a line a
//! sample.

use serde::{Deserialize, Serialize};
use shardpack_formats::{Label, crc32c};

/// A sample after its map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) became: Became,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// Its label, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<RowLabel>,
    /// Sorted by name; none where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<RowField>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Became {
    Kept,
    Changed,
    Dropped,
    Failed,
}

/// The numbers as their bits: text would round them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowLabel {
    values: Vec<u64>,
    text: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowField {
    pub(super) name: String,
    pub(super) len: u64,
    pub(super) crc32c: u32,
    pub(super) at: At,
}

/// Where the body of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum At {
    /// In the source: the number of the file among the sample's.
    Source(u32),
    /// At an offset of the piece.
    Piece(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    rows: usize,
    /// Length of the piece's bodies.
    bodies: u64,
    /// Of the lines behind this one.
    crc32c: u32,
}

const VERSION: u32 = 1;

impl From<&Label> for RowLabel {
    fn from(label: &Label) -> Self {
        let values = label.values.iter().map(|value| value.to_bits()).collect();
        Self { values, text: label.text.clone() }
    }
}

impl From<&RowLabel> for Label {
    fn from(label: &RowLabel) -> Self {
        let values = label.values.iter().map(|bits| f64::from_bits(*bits)).collect();
        Self { values, text: label.text.clone() }
    }
}

/// The lines of a piece whose bodies have `bodies` bytes.
pub(super) fn write(rows: &[Row], bodies: u64) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    let head = Head { version: VERSION, rows: rows.len(), bodies, crc32c: crc32c(&lines) };
    let mut all = serde_json::to_vec(&head)?;
    all.push(b'\n');
    all.extend(lines);
    Ok(all)
}

/// The rows, and the length of the bodies; none where it is not whole.
pub(super) fn read(bytes: &[u8]) -> Option<(Vec<Row>, u64)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(bytes.get(..end)?).ok()?;
    let lines = bytes.get(end + 1..)?;
    if head.version != VERSION || head.crc32c != crc32c(lines) {
        return None;
    }
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows: Vec<Row> = lines.map(serde_json::from_slice).collect::<Result<_, _>>().ok()?;
    (rows.len() == head.rows).then_some((rows, head.bodies))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let label = Label { values: vec![0.1, -0.0, 1e300], text: Some("é\n".into()) };
        let field = |name: &str, at| RowField { name: name.into(), len: 7, crc32c: 9, at };
        let row = |became, fields| Row {
            key: "a\"b".into(),
            became,
            why: (became == Became::Failed).then(|| "no JPEG".into()),
            label: (became == Became::Changed).then(|| (&label).into()),
            fields,
        };
        vec![
            row(
                Became::Changed,
                vec![field("jpg", At::Piece(1 << 40)), field("txt", At::Source(1))],
            ),
            row(Became::Kept, vec![field("jpg", At::Source(0))]),
            row(Became::Dropped, vec![]),
            row(Became::Failed, vec![]),
        ]
    }

    #[test]
    fn what_was_written_is_read() {
        for rows in [rows(), vec![]] {
            let bytes = write(&rows, 70).expect("JSON");
            assert_eq!(read(&bytes), Some((rows, 70)));
        }
        let label = Label::from(rows()[0].label.as_ref().expect("a label"));
        assert_eq!(label.values[1].to_bits(), (-0.0f64).to_bits());
        assert_eq!(label.values[0].to_bits(), 0.1f64.to_bits());
    }

    #[test]
    fn a_journal_that_is_not_whole_is_none() {
        let bytes = write(&rows(), 70).expect("JSON");
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "cut at {cut}");
        }
        let head = bytes.iter().position(|byte| *byte == b'\n').expect("a line");
        for at in head + 1..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(read(&other), None, "flipped at {at}");
        }
    }
}
