//! A label as bytes: the form in which the index stores it and the digest hashes it.
//!
//! `count u32 · has_text u32 · count × f64 · text`, little-endian; no bytes at all without a label.

use shardpack_formats::Label;

/// A label that lies in an index.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LabelRef<'a> {
    values: &'a [[u8; 8]],
    text: Option<&'a str>,
}

impl<'a> LabelRef<'a> {
    /// Class ids or targets.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        self.values.iter().map(|v| f64::from_le_bytes(*v))
    }

    /// Name of the class.
    pub fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// True when there is neither a number nor a text.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.text.is_none()
    }

    /// A copy that stands alone.
    pub fn to_label(&self) -> Label {
        Label { values: self.values().collect(), text: self.text.map(str::to_owned) }
    }

    /// Appends its bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        head(self.values.len(), self.text, out);
        out.extend_from_slice(self.values.as_flattened());
        out.extend_from_slice(self.text.unwrap_or_default().as_bytes());
    }

    /// Reads what [`encode`] wrote; none when the bytes are anything else.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (count, rest) = bytes.split_first_chunk()?;
        let (has_text, rest) = rest.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (values, text) = rest.split_at_checked(count.checked_mul(8)?)?;
        let text = match u32::from_le_bytes(*has_text) {
            0 if text.is_empty() && count > 0 => None,
            1 => Some(std::str::from_utf8(text).ok()?),
            _ => return None,
        };
        Some(Self { values: values.as_chunks().0, text })
    }
}

/// Appends a label's bytes. Labels of 2^32 values do not exist in memory.
pub(crate) fn encode(label: &Label, out: &mut Vec<u8>) {
    if label.is_empty() {
        return;
    }
    head(label.values.len(), label.text.as_deref(), out);
    for value in &label.values {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(label.text.as_deref().unwrap_or_default().as_bytes());
}

fn head(values: usize, text: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(&(values as u32).to_le_bytes());
    out.extend_from_slice(&u32::from(text.is_some()).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back(values in prop::collection::vec(any::<f64>(), 0..5), text in any::<Option<String>>()) {
            let label = Label { values, text };
            let mut bytes = Vec::new();
            encode(&label, &mut bytes);
            let back = LabelRef::decode(&bytes).unwrap();
            prop_assert_eq!(back.is_empty(), label.is_empty());
            let bits = |l: &Label| l.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back.to_label()), bits(&label));
            prop_assert_eq!(back.text(), label.text.as_deref());
            let mut again = Vec::new();
            back.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }

        #[test]
        fn one_label_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(label) = LabelRef::decode(&bytes) {
                let mut again = Vec::new();
                encode(&label.to_label(), &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
