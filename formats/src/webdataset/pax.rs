//! PAX extended headers: `length key=value` records that override a header.

/// What the records say of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// The member is a GNU file with holes.
    pub(super) sparse: bool,
}

impl Records {
    /// Takes over the records in `body`; keys of no meaning here are checked and ignored.
    pub(super) fn read(&mut self, mut body: &[u8]) -> Result<(), String> {
        // Some writers fill the rest with NUL.
        while body.first().is_some_and(|b| *b != 0) {
            let (record, rest) = split(body).ok_or("a PAX record does not keep to its length")?;
            self.apply(record)?;
            body = rest;
        }
        Ok(())
    }

    /// An empty value takes an earlier one back.
    fn apply(&mut self, record: &[u8]) -> Result<(), String> {
        let equals = record.iter().position(|b| *b == b'=').ok_or("a PAX record has no `=`")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
            b"size" if value.is_empty() => self.size = None,
            b"size" => {
                self.size = Some(decimal(value).ok_or("the size in a PAX record is not a number")?);
            }
            _ => self.sparse |= key.starts_with(b"GNU.sparse."),
        }
        Ok(())
    }
}

/// Cuts off the first record: `key=value`, without its length and newline.
fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    // No length has more digits than u64::MAX.
    let blank = body.iter().take(21).position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&body[..blank])?).ok()?;
    let (record, rest) = body.split_at_checked(len)?;
    Some((record.get(blank + 1..)?.strip_suffix(b"\n")?, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Records, String> {
        let mut records = Records::default();
        records.read(body).map(|()| records)
    }

    #[test]
    fn records() {
        let read = |body| read(body).expect("records");
        let both = read(b"13 path=a=b\n\n12 size=123\n30 mtime=1453146164.953123768\n");
        assert_eq!((both.path.as_deref(), both.size), (Some(&b"a=b\n"[..]), Some(123)));
        assert_eq!(read(b"").path, None);
        assert_eq!(read(b"10 path=a\n8 path=\n").path, None);
        assert_eq!(read(b"11 size=12\n8 size=\n").size, None);
        assert_eq!(read(b"10 path=a\n\0\0\0").path.as_deref(), Some(&b"a"[..]));
        assert!(read(b"22 GNU.sparse.major=1\n").sparse);
    }

    #[test]
    fn damaged_records() {
        for body in [
            &b"10 path=a"[..],
            b"8 path=a\n",
            b"11 path=a\n",
            b"path=a\n",
            b" path=a\n",
            b"+10 path=a\n",
            b"0 path=a\n",
            b"3 \n",
            b"2 \n",
            b"6 abc\n",
            b"99999999999999999999999 a=b\n",
            b"11 size=-1\n",
            b"12 size=0x1\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert!(read(body).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
    }
}
