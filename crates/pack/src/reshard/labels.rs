//! Labels that were packed as fields are labels again.

use shardpack_formats::Label;

use crate::labels::as_fields;

/// The fields that labels become where a format has no other place for them.
pub(super) fn is_label_field(name: &str) -> bool {
    matches!(name, "cls" | "cls.json" | "cls.txt")
}

/// Longest body of a label: some thousand numbers.
pub(super) const LONGEST: u64 = 64 << 10;

/// The label that became exactly these fields; none where no label does.
pub(super) fn from_fields(fields: &[(&str, &[u8])]) -> Option<Label> {
    let mut label = Label::default();
    for (name, body) in fields {
        let text = std::str::from_utf8(body).ok()?;
        match *name {
            "cls" => label.values.push(text.parse::<i64>().ok()? as f64),
            "cls.json" => {
                let list = text.strip_prefix('[')?.strip_suffix(']')?;
                label.values = list.split(',').map(|v| v.parse().ok()).collect::<Option<_>>()?;
            }
            _ => label.text = Some(text.to_owned()),
        }
    }
    // Whatever is spelled otherwise ("07", "[1, 2]") would change: it stays the field that it is.
    let mut back = as_fields(&label);
    back.sort_by_key(|(name, _)| *name);
    let same = back.iter().map(|(name, body)| (*name, &body[..])).eq(fields.iter().copied());
    same.then_some(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_a_label_becomes_is_one() {
        let label = |values: &[f64], text: Option<&str>| {
            Some(Label { values: values.to_vec(), text: text.map(str::to_owned) })
        };
        type Fields = &'static [(&'static str, &'static [u8])];
        let cases: [(Fields, Option<Label>); 9] = [
            (&[("cls", b"7")], label(&[7.0], None)),
            (&[("cls", b"7"), ("cls.txt", b"cat")], label(&[7.0], Some("cat"))),
            (&[("cls.json", b"[1,2]")], label(&[1.0, 2.0], None)),
            (&[("cls.json", b"[0.1]")], label(&[0.1], None)),
            (&[("cls.txt", b"")], label(&[], Some(""))),
            (&[("cls", b"07")], None),
            (&[("cls", b"7\n")], None),
            (&[("cls.json", b"[1, 2]")], None),
            (&[("cls.txt", b"\xff")], None),
        ];
        for (fields, want) in cases {
            assert_eq!(from_fields(fields), want, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn labels_come_back(values in prop::collection::vec(-1e18..1e18f64, 0..4), text in any::<Option<String>>()) {
            let label = Label { values, text };
            let mut fields = as_fields(&label);
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<_> = fields.iter().map(|(name, body)| (*name, &body[..])).collect();
            prop_assert_eq!(from_fields(&fields), Some(label));
        }
    }
}
