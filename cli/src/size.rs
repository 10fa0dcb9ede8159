//! Sizes and counts as people write and read them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `150MB` is 150,000,000, `150MiB` is 157,286,400, `4096` is itself.
///
/// Letters may be of either case. A bare `150M` is refused: half of all tools mean 10^6 by it and
/// the other half 2^20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

/// Units, larger first, powers of 1000 before those of 1024: the order in which a size is shown.
const UNITS: &[(&str, u64)] = &[
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim_start());
        let scale = match unit {
            "" => 1,
            unit => UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, scale)| *scale)
                .ok_or_else(|| unknown_unit(number, unit))?,
        };
        scaled(number, scale)
            .map(Self)
            .ok_or_else(|| format!("a whole number of bytes below 2^64 is needed; {GRAMMAR}"))
    }
}

const GRAMMAR: &str = "write 150MB (10^6), 150MiB (2^20), 1.5GB, or plain bytes: 150000000";

fn unknown_unit(number: &str, unit: &str) -> String {
    let units = ["k", "m", "g", "t"];
    match units.iter().find(|known| known.eq_ignore_ascii_case(unit)) {
        Some(_) => {
            let unit = unit.to_uppercase();
            format!(
                "{number}{unit} could be {number}{unit}B (powers of 1000) or {number}{unit}iB (powers of 1024); write which"
            )
        }
        None => format!("{unit:?} is no unit; {GRAMMAR}"),
    }
}

/// `number` times `scale`, exactly: no floating point, or 0.29 GB would not be 290 MB.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    let divisor = 10u128.checked_pow(fraction.len() as u32)?;
    let fraction = fraction.parse::<u64>().ok()? as u128 * scale as u128;
    if !fraction.is_multiple_of(divisor) {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(u64::try_from(fraction / divisor).ok()?)
}

/// The shortest exact way to write it.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact =
            UNITS.iter().find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale));
        let (unit, scale) = exact.unwrap_or(&("B", 1));
        match *scale {
            1 => write!(f, "{}", self.0),
            scale => write!(f, "{}{unit}", self.0 / scale),
        }
    }
}

/// Bytes to three digits: `1.23 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    for (unit, scale) in UNITS.iter().take(4) {
        if bytes >= *scale {
            let value = bytes as f64 / *scale as f64;
            let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
            return format!("{value:.digits$} {unit}");
        }
    }
    format!("{bytes} bytes")
}

/// A count with a comma every three digits: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 shard`, `2 shards`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly() {
        for (text, want) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("150MB", 150_000_000),
            ("150 mb", 150_000_000),
            ("150MiB", 157_286_400),
            ("1.5GB", 1_500_000_000),
            ("0.29GB", 290_000_000),
            ("1.5KiB", 1536),
            ("2kB", 2000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(want)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_grammar() {
        for (text, why) in [
            ("", "150MB"),
            ("MB", "150MB"),
            ("-5MB", "150MB"),
            ("1e6", "no unit"),
            ("150MBit", "no unit"),
            ("150M", "150MiB (powers of 1024)"),
            ("2g", "2GB (powers of 1000)"),
            ("1.5", "whole number"),
            ("0.0001kB", "whole number"),
            ("1..5MB", "whole number"),
            ("20000000TB", "below 2^64"),
            ("١٢MB", "150MB"),
            ("1.00000000000000000000000000000000000000001MB", "whole number"),
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_come_back_as_they_were_written() {
        for text in ["150MB", "512MiB", "1GB", "4096", "1kB", "0", "3TB", "157286401"] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        assert_eq!(ByteSize(150_000_000).to_string(), "150MB");
        assert_eq!(ByteSize(512 << 20).to_string(), "512MiB");
    }

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_234), "1.23 kB");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(bytes(123_456_789_000), "123 GB");
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "shard"), "1 shard");
        assert_eq!(counted(1000, "shard"), "1,000 shards");
    }
}
