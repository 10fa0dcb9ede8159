//! Samples transformed before they are planned: by a command, or by what is built in.
//!
//! The plan needs every length before a byte is written, so answers come first, and wait in a
//! scratch folder. There is still one packing path: a [`Mapped`] set of samples is a source like any
//! other.
//!
//! ```text
//! samples -> pieces -> for each: read, ask, write -> journal -> catalog -> plan -> ...
//!            piece.rs           command.rs frame.rs  journal.rs mapped.rs
//! ```
//!
//! - A **piece** is a run of consecutive samples, cut by their number and lengths alone, so that any
//!   number of threads makes the same pieces.
//! - Its **journal** is written when its bodies are complete: what became of each sample, with the
//!   crc32c of each body. A piece that has one is not made again after a run was killed; its name has
//!   the hash of what went in.
//! - Only bodies that changed are written. What stayed is read from the source again when it is
//!   packed, and compared with its crc32c: a filter writes nothing to scratch.
//! - In memory are a sample and its answer for each thread. Reading them is not ahead of asking.

mod command;
mod frame;
#[cfg(feature = "image")]
mod image;
mod journal;
mod mapped;
mod piece;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shardpack_formats::Label;

pub use frame::Frame;
#[cfg(feature = "image")]
pub use image::{Colour, Encoding, ImageOptions};
pub(crate) use mapped::Mapped;

/// A transformation of samples, and what goes with it.
///
/// ```
/// use shardpack_pack::{Map, MapCommand, PackOptions, Progress, Transform, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// // In JSON, a request is an answer that changes nothing.
/// let map = Map::new(Transform::Command(MapCommand::new("cat")));
/// let options = PackOptions { map: Some(map), ..PackOptions::default() };
/// let files = MemoryTree::new([("cat/1.jpg", "meow"), ("dog/2.jpg", "woof")]);
/// let report = pack(&files, &MemoryStore::new(), &options, &Progress::default())?;
/// assert_eq!(report.mapped.map(|mapped| mapped.kept), Some(2));
/// # Ok::<(), shardpack_pack::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Map {
    /// What is done to each sample.
    pub transform: Transform,
    /// What becomes of samples that it fails for. Default: the run ends.
    pub errors: MapErrors,
    /// A local folder for what it made. Default: the system's temporary folder.
    pub scratch: PathBuf,
}

/// What is done to each sample.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transform {
    /// A command is asked.
    Command(MapCommand),
    /// Pictures are resized, cropped and encoded.
    #[cfg(feature = "image")]
    Image(ImageOptions),
}

/// A command that answers for samples, as `map/SPEC.md` of this crate says for its framing.
#[derive(Clone, Debug)]
pub struct MapCommand {
    /// What `sh -c` runs, once for each thread.
    pub command: String,
    /// How it is talked to. Default JSON.
    pub frame: Frame,
    /// How long an answer may take. Default 60 s.
    pub timeout: Duration,
    /// Gets what it says on stderr, line by line. Default: nobody.
    pub tell: Tell,
}

/// What becomes of a sample that a map fails for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapErrors {
    /// It ends the run.
    #[default]
    Fail,
    /// It is left out and counted.
    Skip,
}

/// Gets lines of text, from any thread.
#[derive(Clone)]
pub struct Tell(Arc<dyn Fn(&str) + Send + Sync>);

/// What a map did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MapReport {
    /// Samples that were asked for.
    pub samples: u64,
    /// Samples that are not what they were.
    pub changed: u64,
    /// Samples that stayed as they were.
    pub kept: u64,
    /// Samples that were left out because the map said so.
    pub dropped: u64,
    /// Samples that were left out because the map failed for them.
    pub failed: u64,
    /// The first ten of these, with their reasons.
    pub failures: Vec<String>,
    /// Pieces that an earlier, killed run had made.
    pub resumed_pieces: u64,
}

impl Map {
    /// A map that ends at the first error, with scratch in the system's temporary folder.
    pub fn new(transform: Transform) -> Self {
        Self { transform, errors: MapErrors::Fail, scratch: std::env::temp_dir() }
    }

    /// What decides bytes, as flags and values.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let mut all = match &self.transform {
            Transform::Command(command) => vec![
                ("map-cmd", command.command.clone()),
                ("map-frame", command.frame.name().to_owned()),
            ],
            #[cfg(feature = "image")]
            Transform::Image(options) => options.describe(),
        };
        if self.errors == MapErrors::Skip {
            all.push(("map-errors", "skip".to_owned()));
        }
        all
    }
}

impl Transform {
    /// What asked for it, for messages.
    pub(crate) fn flag(&self) -> &'static str {
        match self {
            Self::Command(_) => "--map-cmd",
            #[cfg(feature = "image")]
            Self::Image(_) => "the image options",
        }
    }
}

impl MapCommand {
    /// A command that is talked to in JSON and has a minute for each answer.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            frame: Frame::default(),
            timeout: Duration::from_secs(60),
            tell: Tell::default(),
        }
    }
}

impl Tell {
    /// Calls `tell` for each line.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn line(&self, text: &str) {
        (self.0)(text);
    }
}

impl Default for Tell {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

/// A sample that a map is asked for, in memory.
#[derive(Debug, Default)]
struct Sample {
    key: String,
    label: Label,
    /// Names and bodies, sorted by name.
    fields: Vec<(String, Vec<u8>)>,
}

/// What a map says of a sample.
#[derive(Debug)]
struct Answer {
    verdict: Verdict,
    /// Bodies are ranges of it.
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Keep,
    Drop,
    /// It cannot be mapped, for this reason.
    Error(String),
    Fields {
        /// All fields from now on, sorted by name; those without a place are as they were.
        fields: Vec<(String, Option<Range<usize>>)>,
        /// Another label.
        label: Option<Label>,
    },
}

/// Why there is no answer.
#[derive(Debug)]
enum Trouble {
    /// With this sample; the next one may be better.
    Sample {
        reason: String,
        /// The last lines that the map wrote to stderr.
        said: Vec<String>,
    },
    /// With the map itself.
    Map { reason: String, said: Vec<String> },
    /// The run is to stop.
    Stopped,
}

/// Transforms samples, one after another. Each thread has its own.
trait Mapper: Send {
    fn map(&mut self, sample: &Sample) -> Result<Answer, Trouble>;
}
