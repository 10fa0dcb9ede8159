//! Checksums in JSON: lower-case hexadecimal of fixed width, so that equal values are equal text
//! and no reader rounds them to 53 bits.

/// Parses exactly `digits` lower-case hexadecimal digits.
pub(crate) fn parse(text: &str, digits: usize) -> Result<u128, String> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != digits || !text.bytes().all(lower) {
        return Err(format!("{text:?} is not {digits} lower-case hexadecimal digits"));
    }
    u128::from_str_radix(text, 16).map_err(|e| e.to_string())
}

macro_rules! serde_hex {
    ($name:ident, $int:ty) => {
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            pub(crate) const DIGITS: usize = 2 * size_of::<$int>();

            pub(crate) fn serialize<S: Serializer>(v: &$int, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&format_args!("{v:0DIGITS$x}"))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$int, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                let value = super::parse(&text, DIGITS).map_err(D::Error::custom)?;
                <$int>::try_from(value).map_err(D::Error::custom)
            }
        }
    };
}

serde_hex!(hex64, u64);
serde_hex!(hex128, u128);
