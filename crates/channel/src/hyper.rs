//! `hyperparameters.json`: texts that hold JSON.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::json::{Members, clipped};
use crate::{Error, Result};

/// The hyperparameters of a job. Each value is a text, and that text is JSON as the SDK writes it
/// (`"0.1"`, `"\"adam\""`) or plain as people do (`"adam"`).
///
/// ```
/// use shardpack_channel::Hyperparameters;
///
/// let all = Hyperparameters::parse(br#"{"lr": "0.1", "optimizer": "adam", "layers": "[3, 4]"}"#)?;
/// assert_eq!(all.get::<f64>("lr")?, Some(0.1));
/// assert_eq!(all.get::<String>("optimizer")?.as_deref(), Some("adam"));
/// assert_eq!(all.get::<Vec<u32>>("layers")?, Some(vec![3, 4]));
/// assert_eq!(all.get::<u32>("epochs")?, None);
/// # Ok::<(), shardpack_channel::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hyperparameters(BTreeMap<String, String>);

impl Hyperparameters {
    /// Parses the file. A value that is no text, as in `SM_HPS`, is taken as its own JSON.
    ///
    /// Fails with [`ErrorKind::Json`](crate::ErrorKind::Json) when it is no object, and with
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let members = Members::parse(bytes)?;
        let value = |raw: &str| serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
        Ok(Self(members.iter().map(|(key, raw)| (key.to_owned(), value(raw.get()))).collect()))
    }

    /// The value of a hyperparameter, read as JSON; a text that is no JSON of this type is tried
    /// as the text that it is. `None` when it is not there.
    ///
    /// Fails with [`ErrorKind::Value`](crate::ErrorKind::Value) for a value of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        let found = serde_json::from_str(text)
            .or_else(|error| serde_json::from_value(text.as_str().into()).map_err(|_| error));
        found.map(Some).map_err(|error| Error::value(name, clipped(text), error.to_string()))
    }

    /// The text of a hyperparameter, as the file has it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and texts, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_texts_that_hold_json() {
        let all = Hyperparameters::parse(
            br#"{"n":"3","f":"true","s":"\"adam\"","raw":"adam","l":"[1,2]","num":7,"o":{"a":1},"digits":"123"}"#,
        )
        .unwrap();
        assert_eq!(all.get::<u64>("n").unwrap(), Some(3));
        assert_eq!(all.get::<bool>("f").unwrap(), Some(true));
        assert_eq!(all.get::<String>("s").unwrap().as_deref(), Some("adam"));
        assert_eq!(all.get::<String>("raw").unwrap().as_deref(), Some("adam"));
        assert_eq!(all.get::<String>("digits").unwrap().as_deref(), Some("123"));
        assert_eq!(all.get::<Vec<u8>>("l").unwrap(), Some(vec![1, 2]));
        assert_eq!(all.get::<u64>("num").unwrap(), Some(7));
        assert_eq!(all.get::<BTreeMap<String, u8>>("o").unwrap().unwrap().len(), 1);
        assert_eq!(all.text("s"), Some("\"adam\""));
        assert_eq!(all.iter().len(), 8);
        let error = all.get::<u64>("raw").unwrap_err().to_string();
        assert!(error.starts_with("raw is \"adam\": expected value"), "{error}");
        let error = all.get::<u8>("l").unwrap_err().to_string();
        assert!(error.starts_with("l is \"[1,2]\": invalid type"), "{error}");
        for text in ["", "[]", "{\"a\":\"1\",\"a\":\"2\"}"] {
            assert!(Hyperparameters::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(texts in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5)) {
            let all = Hyperparameters::parse(serde_json::to_string(&texts).unwrap().as_bytes()).unwrap();
            for (name, text) in &texts {
                prop_assert_eq!(all.text(name), Some(text.as_str()));
                prop_assert!(all.get::<serde_json::Value>(name).is_ok());
                let _ = all.get::<u8>(name);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Hyperparameters::parse(&bytes);
        }
    }
}
