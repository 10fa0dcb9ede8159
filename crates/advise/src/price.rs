//! What requests, storage and instances cost.

use serde::{Deserialize, Serialize};

use crate::error::check;
use crate::{Error, Result};

/// Prices in US dollars, with the day and place they held for. They change: read the price list of
/// your region and [override](Prices::parse) them before money depends on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Prices {
    /// Where they hold. Default `us-east-1`.
    pub region: String,
    /// When they were looked up: year and month.
    pub date: String,
    /// Who said so.
    pub source: String,
    /// A thousand GET requests of S3 Standard. Default 0.0004.
    pub s3_get_1000: f64,
    /// A thousand LIST requests of S3 Standard. Default 0.005.
    pub s3_list_1000: f64,
    /// A gigabyte for a month on FSx for Lustre, scratch, SSD. Default 0.14.
    pub fsx_gb_month: f64,
    /// A gigabyte read from EFS, elastic throughput. Default 0.03.
    pub efs_read_gb: f64,
    /// An hour of one training instance. No default: it depends on the instance.
    pub instance_hour: Option<f64>,
}

/// Longest table in bytes: there are eight lines in it.
const LONGEST: usize = 1 << 20;

impl Default for Prices {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            date: "2026-06".into(),
            source: "published summaries of aws.amazon.com/s3/pricing, /fsx/lustre/pricing and \
                     /efs/pricing; not read from a price list of AWS"
                .into(),
            s3_get_1000: 0.0004,
            s3_list_1000: 0.005,
            fsx_gb_month: 0.14,
            efs_read_gb: 0.03,
            instance_hour: None,
        }
    }
}

impl Prices {
    /// A table in JSON: any of the fields, the others keep their defaults.
    ///
    /// Whoever gives a price must give `region`, `date` and `source` as well: a table that mixes
    /// prices of two places would name one of them for both.
    ///
    /// Fails with [`Error::Prices`], which names the place in the text, and with
    /// [`Error::Number`] for a price below 0.
    ///
    /// ```
    /// use shardpack_advise::Prices;
    ///
    /// let prices = Prices::parse(
    ///     br#"{"region": "eu-west-1", "date": "2026-11", "source": "the bill", "instance_hour": 3.8}"#,
    /// )?;
    /// assert_eq!(prices.instance_hour, Some(3.8));
    /// assert_eq!(prices.s3_get_1000, 0.0004);
    /// # Ok::<(), shardpack_advise::Error>(())
    /// ```
    pub fn parse(json: &[u8]) -> Result<Self> {
        if json.len() > LONGEST {
            let reason = format!("{} bytes, and at most {LONGEST} are read", json.len());
            return Err(Error::Prices { reason });
        }
        let failed = |error: serde_json::Error| Error::Prices { reason: error.to_string() };
        let table: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(json).map_err(failed)?;
        for key in ["region", "date", "source"] {
            if !table.contains_key(key) {
                let reason = format!("{key:?} is missing: prices hold somewhere, at some time");
                return Err(Error::Prices { reason });
            }
        }
        // From the text again: from the map, errors would not know their place.
        let prices: Self = serde_json::from_slice(json).map_err(failed)?;
        prices.check()?;
        Ok(prices)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check("s3_get_1000", self.s3_get_1000, true)?;
        check("s3_list_1000", self.s3_list_1000, true)?;
        check("fsx_gb_month", self.fsx_gb_month, true)?;
        check("efs_read_gb", self.efs_read_gb, true)?;
        self.instance_hour.map_or(Ok(()), |price| check("instance_hour", price, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_none_say_why() {
        let head = r#""region": "x", "date": "y", "source": "z""#;
        for (json, why) in [
            ("", "EOF"),
            ("[1]", "invalid type"),
            (r#"{"s3_get_1000": 1}"#, r#""region" is missing"#),
            (&format!(r#"{{{head}, "s3_gett": 1}}"#), "unknown field `s3_gett`"),
            (&format!(r#"{{{head}, "s3_get_1000": "1"}}"#), "line 1 column"),
            (&format!(r#"{{{head}, "efs_read_gb": -1}}"#), "efs_read_gb: -1 is not a number of"),
            (&" ".repeat(LONGEST + 1), "at most 1048576"),
        ] {
            let error = Prices::parse(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains(why), "{json:.40}: {error}");
        }
    }
}
