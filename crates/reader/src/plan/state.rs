//! A checkpoint of the plan: a few numbers, as JSON or as one line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shardpack_manifest::Digest;

use super::{Cursor, MAX_LANES, MAX_SAMPLES, Shuffle};
use crate::{Error, Result};

/// The version that this release writes, and the newest it reads.
pub(crate) const VERSION: u64 = 1;
/// Longest text of a state in bytes, far above any real one.
pub(crate) const MAX_TEXT: usize = 4096;

/// What to save with a model to go on later, in any world. Small, whatever the dataset.
///
/// As text `plan=1,dataset=...,consumed=5120` on one line, as JSON an object of the same names.
/// Both are read back only if every value is there, in range and in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct State {
    /// Digest that the shards were given.
    pub dataset: Digest,
    /// Changes with lengths of shards, tombstones and subset.
    pub layout: u64,
    /// Samples of an epoch.
    pub samples: u64,
    /// Positions of an epoch.
    pub length: u64,
    /// Seed of every order.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Lanes of an epoch.
    pub lanes: u64,
    /// How it is shuffled.
    pub shuffle: Shuffle,
    /// Positions of the epoch that were handed out.
    pub consumed: u64,
    /// Set where that is only their number, because a stream dictated the order.
    pub streamed: Option<Streamed>,
}

/// How far the ranks came in an epoch whose order a stream dictated. Positions below `base` were
/// handed out; those from there to `consumed` stand for as many samples: each of `world` ranks took
/// first of its stream as many as it has of these positions, every `world`-th.
///
/// As text `BASE:WORLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Positions that were handed out before the stream was begun.
    pub base: u64,
    /// Ranks, without replicas.
    pub world: u64,
}

impl State {
    /// How far it came.
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, consumed: self.consumed }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// From JSON.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        from_json(json)
    }

    pub(crate) fn check(&self) -> Result<()> {
        for (name, value, least, most) in [
            ("samples", self.samples, 1, MAX_SAMPLES),
            ("length", self.length, 1, MAX_SAMPLES),
            ("epoch", self.epoch, 0, MAX_SAMPLES),
            ("lanes", self.lanes, 1, MAX_LANES),
            // Endless epochs do not heed the length.
            ("consumed", self.consumed, 0, self.length.max(self.samples)),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::state(format!("{name} {value}: {least} to {most}")));
            }
        }
        if let Some(Streamed { base, world }) = self.streamed
            && (!(1..=MAX_LANES).contains(&world) || base > self.consumed)
        {
            let consumed = self.consumed;
            return Err(Error::state(format!("streamed {base}:{world} up to {consumed}")));
        }
        self.shuffle.check().map_err(|e| Error::state(e.to_string()))
    }

    /// An error that names what differs from the state of another plan, but for how far it came.
    pub(crate) fn same_as(&self, now: &Self) -> Result<()> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, then: &dyn fmt::Display, now: &dyn fmt::Display| {
            let (then, now) = (then.to_string(), now.to_string());
            if then != now {
                differences.push(format!("{name}: {then} then, {now} now"));
            }
        };
        compare("dataset", &self.dataset, &now.dataset);
        compare("samples", &self.samples, &now.samples);
        compare("length of an epoch", &self.length, &now.length);
        compare("seed", &self.seed, &now.seed);
        compare("lanes", &self.lanes, &now.lanes);
        compare("shuffle", &self.shuffle, &now.shuffle);
        let layout = "layout (lengths of shards, tombstones, subset)";
        compare(layout, &hex(self.layout), &hex(now.layout));
        let delivery = |streamed: Option<Streamed>| match streamed {
            None => "shards that can be sought".to_owned(),
            Some(Streamed { world, .. }) => format!("streams of {world} ranks"),
        };
        compare("delivery within the epoch", &delivery(self.streamed), &delivery(now.streamed));
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::Different { differences }),
        }
    }
}

fn hex(value: u64) -> String {
    format!("{value:016x}")
}

/// A state's fields as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "plan")]
    version: u64,
    dataset: Digest,
    layout: String,
    samples: u64,
    length: u64,
    seed: u64,
    epoch: u64,
    lanes: u64,
    shuffle: String,
    consumed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streamed: Option<String>,
}

impl From<State> for Wire {
    fn from(state: State) -> Self {
        let State { dataset, samples, length, seed, epoch, lanes, consumed, .. } = state;
        Self {
            version: VERSION,
            dataset,
            layout: hex(state.layout),
            samples,
            length,
            seed,
            epoch,
            lanes,
            shuffle: state.shuffle.to_string(),
            consumed,
            streamed: state.streamed.map(|streamed| streamed.to_string()),
        }
    }
}

impl TryFrom<Wire> for State {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        if wire.version != VERSION {
            return Err(version_error(wire.version));
        }
        let Wire { dataset, samples, length, seed, epoch, lanes, consumed, .. } = wire;
        let layout = u64::from_str_radix(&wire.layout, 16).ok();
        let layout = layout
            .filter(|&layout| hex(layout) == wire.layout)
            .ok_or_else(|| Error::state(format!("layout {:?}: 16 digits", wire.layout)))?;
        let shuffle = wire.shuffle.parse().map_err(|e: Error| Error::state(e.to_string()))?;
        let streamed = wire.streamed.as_deref().map(str::parse).transpose()?;
        let state = Self {
            dataset,
            layout,
            samples,
            length,
            seed,
            epoch,
            lanes,
            shuffle,
            consumed,
            streamed,
        };
        state.check().map(|()| state)
    }
}

/// `plan=1,dataset=4f...,layout=...,samples=...,length=...,seed=...,epoch=...,lanes=...,`
/// `shuffle=...,consumed=...`, and `,streamed=...` where it is.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, layout, samples, length, seed, epoch, lanes, shuffle, .. } = self;
        write!(f, "plan={VERSION},dataset={dataset},layout={layout:016x},samples={samples},")?;
        write!(f, "length={length},seed={seed},epoch={epoch},lanes={lanes},")?;
        write!(f, "shuffle={shuffle},consumed={}", self.consumed)?;
        self.streamed.map_or(Ok(()), |streamed| write!(f, ",streamed={streamed}"))
    }
}

impl fmt::Display for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.base, self.world)
    }
}

impl FromStr for Streamed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(base, world)| {
            Some(Self { base: base.parse().ok()?, world: world.parse().ok()? })
        });
        parsed
            .filter(|parsed| parsed.to_string() == text)
            .ok_or_else(|| Error::state(format!("streamed {text:?}: BASE:WORLD")))
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        too_long(text.len())?;
        let mut parts = text.split(',');
        let mut next = |name: &str| {
            let part = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
            part.ok_or_else(|| Error::state(format!("`{name}=` is not where it belongs")))
        };
        let number = |name: &str, text: &str| {
            let value = text.parse::<u64>().ok().filter(|value| value.to_string() == text);
            value.ok_or_else(|| Error::state(format!("{name} {text:?} is not a number")))
        };
        let version = number("plan", next("plan")?)?;
        if version != VERSION {
            return Err(version_error(version));
        }
        let digest = next("dataset")?;
        let dataset = digest
            .parse()
            .map_err(|e: shardpack_manifest::Error| Error::state(format!("dataset: {e}")))?;
        let layout = next("layout")?.to_owned();
        let mut numbered = |name: &str| number(name, next(name)?);
        let (samples, length) = (numbered("samples")?, numbered("length")?);
        let (seed, epoch, lanes) = (numbered("seed")?, numbered("epoch")?, numbered("lanes")?);
        let shuffle = next("shuffle")?.to_owned();
        let consumed = number("consumed", next("consumed")?)?;
        let mut rest = parts.peekable();
        let streamed = rest.next_if(|part| part.starts_with("streamed="));
        let streamed = streamed.and_then(|part| part.strip_prefix("streamed="));
        if let Some(more) = rest.next() {
            return Err(Error::state(format!("{more:?} after its end")));
        }
        Self::try_from(Wire {
            version,
            dataset,
            layout,
            samples,
            length,
            seed,
            epoch,
            lanes,
            shuffle,
            consumed,
            streamed: streamed.map(str::to_owned),
        })
    }
}

fn version_error(found: u64) -> Error {
    match found > VERSION {
        true => Error::Version { found, newest: VERSION },
        false => Error::state(format!("version {found}")),
    }
}

fn too_long(len: usize) -> Result<()> {
    match len > MAX_TEXT {
        true => Err(Error::state(format!("{len} bytes: at most {MAX_TEXT}"))),
        false => Ok(()),
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    // Numbers and text only: nothing that JSON cannot say.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a versioned value. The version comes first: a later one may have other fields.
pub(crate) fn from_json<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Head {
        plan: u64,
    }
    let bad = |e: serde_json::Error| Error::state(e.to_string());
    let Head { plan } = serde_json::from_slice(json).map_err(bad)?;
    if plan != VERSION {
        return Err(version_error(plan));
    }
    serde_json::from_slice(json).map_err(bad)
}
