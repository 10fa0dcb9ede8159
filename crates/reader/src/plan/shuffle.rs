//! How much an epoch is shuffled.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// Largest window in samples. A rank holds a window of each of its lanes in memory.
pub const MAX_WINDOW: u64 = 1 << 20;

/// How an epoch is shuffled. As text: `off`, `exact`, `window:256:shard`, `window:256:64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// Not at all: the dataset's order.
    Off,
    /// Blocks are permuted, then samples within windows: sequential reads of whole blocks.
    Window {
        /// What stays together. Default whole shards.
        block: Block,
        /// Samples of a lane that are permuted among each other, at most [`MAX_WINDOW`].
        /// Default 256.
        window: u64,
    },
    /// A permutation of all samples: random reads.
    Exact,
}

/// What is moved as one piece before windows are permuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Whole shards.
    Shard,
    /// This many samples in a row. Counted through the dataset, so that a block may hold the end of
    /// one shard and the start of the next: then all but the last are equally long, and any place
    /// in an epoch is found without a table.
    Samples(u64),
}

impl Default for Shuffle {
    fn default() -> Self {
        Self::Window { block: Block::Shard, window: 256 }
    }
}

impl Shuffle {
    pub(crate) fn check(self) -> Result<()> {
        let Self::Window { block, window } = self else { return Ok(()) };
        if !(1..=MAX_WINDOW).contains(&window) {
            return Err(Error::usage(format!("window {window}: 1 to {MAX_WINDOW} samples")));
        }
        match block {
            Block::Samples(0) => Err(Error::usage("block 0: at least 1 sample")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Shuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Exact => f.write_str("exact"),
            Self::Window { block: Block::Shard, window } => write!(f, "window:{window}:shard"),
            Self::Window { block: Block::Samples(n), window } => write!(f, "window:{window}:{n}"),
        }
    }
}

impl FromStr for Shuffle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.split(':').collect::<Vec<_>>()[..] {
            ["off"] => Some(Self::Off),
            ["exact"] => Some(Self::Exact),
            ["window", window, "shard"] => {
                window.parse().ok().map(|window| Self::Window { block: Block::Shard, window })
            }
            ["window", window, block] => (window.parse().ok().zip(block.parse().ok()))
                .map(|(window, n)| Self::Window { block: Block::Samples(n), window }),
            _ => None,
        };
        // One spelling for each value: `+1` and `01` are refused.
        match parsed.filter(|shuffle| shuffle.to_string() == text) {
            Some(shuffle) => shuffle.check().map(|()| shuffle),
            None => Err(Error::usage(format!(
                "shuffle {text:?}: `off`, `exact`, `window:SAMPLES:shard` or `window:SAMPLES:BLOCK`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        for good in ["off", "exact", "window:1:shard", "window:1048576:7"] {
            assert_eq!(good.parse::<Shuffle>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "Off",
            "window",
            "window:5",
            "window:0:shard",
            "window:1048577:shard",
            "window:5:0",
        ] {
            assert!(bad.parse::<Shuffle>().is_err(), "{bad}");
        }
        for bad in ["window:05:shard", "window:+5:shard", "window:5:shard:", "window:5:-1", "off:"]
        {
            assert!(bad.parse::<Shuffle>().is_err(), "{bad}");
        }
    }
}
