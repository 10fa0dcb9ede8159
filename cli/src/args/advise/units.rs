//! Rates and times as people write them.

use std::str::FromStr;

use crate::size::ByteSize;

/// Bytes a second: `500MB/s`, `1GiB/s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(pub(crate) f64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.strip_suffix("/s").ok_or("write a rate: 500MB/s")?;
        let ByteSize(bytes) = size.parse()?;
        match bytes {
            0 => Err("a rate above 0 is needed".into()),
            bytes => Ok(Self(bytes as f64)),
        }
    }
}

/// Seconds: `20ms`, `1.5s`, `250us`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds(pub(crate) f64);

/// Longer than any network takes: a slip of the unit.
const LONGEST: f64 = 86_400.0;

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `s` ends all of them, so it comes last.
        let units = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
        let split = |(unit, scale)| Some((text.strip_suffix(unit)?, scale));
        let (number, scale) =
            units.into_iter().find_map(split).ok_or("write a time: 20ms, 1.5s, 250us")?;
        let number: f64 = number.trim_end().parse().map_err(|_| "write a time: 20ms, 1.5s")?;
        let seconds = number * scale;
        match (0.0..=LONGEST).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err("a time from 0s to 86400s is needed".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times() {
        assert_eq!("500MB/s".parse(), Ok(Speed(5e8)));
        assert_eq!("1GiB/s".parse(), Ok(Speed(1_073_741_824.0)));
        for text in ["500MB", "-1MB/s", "0B/s", "/s", "1M/s", ""] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        for (text, seconds) in [("20ms", 0.02), ("1.5s", 1.5), ("250us", 250e-6), ("0s", 0.0)] {
            let parsed: Seconds = text.parse().expect(text);
            assert!((parsed.0 - seconds).abs() < 1e-12, "{text}");
        }
        for text in ["20", "-1ms", "nans", "infs", "ms", "", "1h", "90000s"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
