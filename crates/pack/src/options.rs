//! What a run is asked to do. Plain values with defaults; `check` finds what cannot go together.

use std::collections::BTreeMap;

use regex::Regex;
use shardpack_formats::{Compression, FormatOptions};

pub use shardpack_manifest::Order;
use shardpack_manifest::sagemaker::{ManifestFile, PLACEHOLDER};

use crate::map::Map;
use crate::name::Template;
use crate::{Error, Result};

/// What to do with a sample that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Stop before anything is written, naming the first ten.
    #[default]
    Error,
    /// Leave it out and count it in the report.
    Skip,
    /// Pack it all the same.
    Allow,
}

/// How files become samples.
#[derive(Clone, Debug, Default)]
pub enum Grouping {
    /// Key = path up to the first dot of the file's name, field = the rest: WebDataset's rule.
    #[default]
    FirstDot,
    /// A pattern over the whole relative path with the groups `key` and `field`.
    Pattern(Regex),
}

/// A named part of the dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Name: `train`. Becomes the folder under `shards/`.
    pub name: String,
    /// Share of the samples, 0 to 1; the shares of a run add up to 1.
    pub fraction: f64,
}

/// Where labels come from.
#[derive(Clone, Debug)]
pub enum Labels {
    /// The folder a sample lies in is its class; ids number the sorted names from 0.
    Folder,
    /// A table with a header row.
    Csv {
        /// The table's bytes.
        table: Vec<u8>,
        /// Its name, for messages.
        name: String,
    },
    /// One JSON object a line.
    JsonLines {
        /// The lines.
        table: Vec<u8>,
        /// Name, for messages.
        name: String,
    },
    /// MXNet's list: id, labels, path. Its ids become the header ids.
    Lst {
        /// The list.
        table: Vec<u8>,
        /// Name, for messages.
        name: String,
    },
}

/// Indexes for other tools, written beside our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForeignIndex {
    /// DALI: wds v1.2 for tars, offset-length text for TFRecord, one global `.idx` for RecordIO.
    Dali,
    /// wids `shardindex.json`.
    Wids,
    /// MXNet `.idx` and `.lst`, one a shard.
    Mxnet,
    /// `.tfindex` of the PyPI package `tfrecord`.
    Tfrecord,
}

/// Options of a pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Name of the format, one of [`shardpack_formats::NAMES`]. Default `webdataset`.
    pub format: String,
    /// Choices within the format.
    pub format_options: FormatOptions,
    /// Whole-shard compression. Default none.
    pub compression: Compression,
    /// Level of the compressor; none is its own default.
    pub level: Option<i32>,
    /// How files become samples.
    pub grouping: Grouping,
    /// Pack only these fields of each sample; empty packs all.
    pub fields: Vec<String>,
    /// Fields that every sample must have.
    pub required: Vec<String>,
    /// What to do with a sample that lacks one. Default error.
    pub missing: Policy,
    /// What to do with a name that cannot be split or that some reader would misread. Default
    /// error; `Allow` is not possible.
    pub bad_names: Policy,
    /// Field name for files without an extension; none makes them a bad name.
    pub bare_field: Option<String>,
    /// Where labels come from. Default none.
    pub labels: Option<Labels>,
    /// Column (or JSON key) of the label table that holds the key or path; none is the first.
    pub label_key: Option<String>,
    /// Columns that hold labels; empty is all others.
    pub label_columns: Vec<String>,
    /// What to do with a sample without a label, or a label without a sample. Default error.
    pub unlabelled: Policy,
    /// Order of samples. Default shuffled with seed 0.
    pub order: Order,
    /// Parts of the dataset; empty is one part.
    pub splits: Vec<Split>,
    /// Largest shard in bytes, every byte of the container counted, before compression.
    /// Default 150,000,000.
    pub target: u64,
    /// Most samples in a shard. Default no limit.
    pub max_samples: Option<u64>,
    /// The number of shards of each split is a multiple of this. Default 1.
    pub shard_multiple: u64,
    /// How shards are named.
    pub name: Template,
    /// Threads that compute. Default: the cores.
    pub jobs: usize,
    /// Most reads in flight. Default 64. More threads than `jobs` run only while reads wait.
    pub io_depth: usize,
    /// Memory for buffers in bytes. Default 512 MiB.
    pub memory: u64,
    /// Indexes for other tools.
    pub indexes: Vec<ForeignIndex>,
    /// Prefix of the shards on S3 for the SageMaker files; none leaves a placeholder.
    pub s3_prefix: Option<String>,
    /// Throw unfinished work of another run away instead of refusing.
    pub restart: bool,
    /// What the dataset has already that these samples are for. Default: it is a new one.
    pub existing: Option<Existing>,
    /// A transformation of every sample, before anything is planned. Default none.
    pub map: Option<Map>,
}

/// What a dataset has that new samples go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Shards that it ever had: names of new ones go on from here.
    pub shards: u64,
    /// Ids of samples start here, in formats that have them.
    pub first_id: u64,
    /// Its classes, which keep their ids; new ones get the next.
    pub classes: BTreeMap<String, u64>,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            format: "webdataset".into(),
            format_options: FormatOptions::default(),
            compression: Compression::None,
            level: None,
            grouping: Grouping::FirstDot,
            fields: Vec::new(),
            required: Vec::new(),
            missing: Policy::Error,
            bad_names: Policy::Error,
            bare_field: None,
            labels: None,
            label_key: None,
            label_columns: Vec::new(),
            unlabelled: Policy::Error,
            order: Order::Shuffle(0),
            splits: Vec::new(),
            target: 150_000_000,
            max_samples: None,
            shard_multiple: 1,
            name: Template::default(),
            jobs: std::thread::available_parallelism().map_or(2, usize::from),
            io_depth: 64,
            memory: 512 << 20,
            indexes: Vec::new(),
            s3_prefix: None,
            restart: false,
            existing: None,
            map: None,
        }
    }
}

/// Least memory for buffers: the smallest buffer for one thread and some slack.
const LEAST_MEMORY: u64 = 16 << 20;

impl PackOptions {
    /// Finds options that cannot be used, alone or together.
    pub fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Error::Usage(text));
        if self.target < 4096 {
            return usage(format!(
                "--target {}: smaller than the framing of one sample; use 4096 bytes or more",
                self.target
            ));
        }
        if self.jobs == 0 || self.io_depth == 0 || self.shard_multiple == 0 {
            return usage("--jobs, --io-depth and --shard-multiple start at 1".into());
        }
        if self.max_samples == Some(0) {
            return usage("--max-samples starts at 1".into());
        }
        if self.memory < LEAST_MEMORY {
            return usage(format!("--memory {}: the least is 16MiB", self.memory));
        }
        if self.bad_names == Policy::Allow {
            return usage("--bad-names: error or skip".into());
        }
        if let Err(error) = ManifestFile::new(self.s3_root(), ["shard"]) {
            return usage(format!("--s3-prefix: {error}"));
        }
        self.check_compression()?;
        self.check_splits()?;
        self.check_indexes()
    }

    /// What is planned without writing anything must be known without mapping anything.
    pub(crate) fn check_dry(&self) -> Result<()> {
        match &self.map {
            None => Ok(()),
            Some(_) => Err(Error::Usage(
                "--dry-run: lengths are only known once samples are mapped; leave the map out to see the plan without it".into(),
            )),
        }
    }

    /// Where the dataset's root is, or will be, on S3, with its final slash.
    pub(crate) fn s3_root(&self) -> String {
        match &self.s3_prefix {
            None => PLACEHOLDER.into(),
            Some(prefix) => format!("{}/", prefix.trim_end_matches('/')),
        }
    }

    fn check_compression(&self) -> Result<()> {
        let fits = match self.compression {
            Compression::None => true,
            Compression::Gzip => matches!(self.format.as_str(), "webdataset" | "tfrecord"),
            Compression::Zlib => self.format == "tfrecord",
            Compression::Zstd => self.format == "webdataset",
        };
        if fits {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "--compress {:?}: readers of {} know no such shards; webdataset takes gzip and zstd, tfrecord gzip and zlib",
            self.compression, self.format
        )))
    }

    fn check_splits(&self) -> Result<()> {
        for (i, split) in self.splits.iter().enumerate() {
            let fine = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if split.name.is_empty() || !split.name.chars().all(fine) {
                return Err(Error::Usage(format!(
                    "--split {:?}: a name of letters, digits, - and _",
                    split.name
                )));
            }
            if self.splits[..i].iter().any(|s| s.name == split.name) {
                return Err(Error::Usage(format!("--split: {} is named twice", split.name)));
            }
            if !(split.fraction > 0.0 && split.fraction <= 1.0) {
                return Err(Error::Usage(format!(
                    "--split {}={}: a share above 0 and up to 1",
                    split.name, split.fraction
                )));
            }
        }
        let sum: f64 = self.splits.iter().map(|s| s.fraction).sum();
        if !self.splits.is_empty() && (sum - 1.0).abs() > 1e-6 {
            return Err(Error::Usage(format!("--split: the shares add up to {sum}, not to 1")));
        }
        Ok(())
    }

    fn check_indexes(&self) -> Result<()> {
        for index in &self.indexes {
            let (name, fits) = match index {
                ForeignIndex::Dali => ("dali", self.format != "recordio-protobuf"),
                ForeignIndex::Wids => ("wids", self.format == "webdataset"),
                ForeignIndex::Mxnet => ("mxnet", self.format == "recordio"),
                ForeignIndex::Tfrecord => ("tfrecord", self.format == "tfrecord"),
            };
            if !fits {
                return Err(Error::Usage(format!(
                    "--index {name}: that tool reads no {} shards",
                    self.format
                )));
            }
            if self.compression != Compression::None {
                return Err(Error::Usage(format!(
                    "--index {name}: offsets are of no use inside compressed shards; drop --compress or --index"
                )));
            }
        }
        Ok(())
    }
}

impl PackOptions {
    /// The options that decide bytes, as flags and values: what a rerun must agree with. Threads,
    /// memory and the like are not among them.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: String| {
            if !value.is_empty() {
                all.insert(name.to_string(), value);
            }
        };
        put("format", self.format.clone());
        if self.format == "tfrecord" {
            put("schema", format!("{:?}", self.format_options.schema).to_lowercase());
        }
        put("compress", self.compression.name().into());
        put("level", self.level.map(|l| l.to_string()).unwrap_or_default());
        if let Grouping::Pattern(pattern) = &self.grouping {
            put("group", pattern.to_string());
        }
        put("fields", self.fields.join(","));
        put("require", self.required.join(","));
        put("missing", policy(self.missing, Policy::Error));
        put("bad-names", policy(self.bad_names, Policy::Error));
        put("bare-field", self.bare_field.clone().unwrap_or_default());
        if let Some(labels) = &self.labels {
            put("labels", labels.describe());
            put("unlabelled", policy(self.unlabelled, Policy::Error));
            put("label-key", self.label_key.clone().unwrap_or_default());
            put("label-column", self.label_columns.join(","));
        }
        put("order", self.order.to_string());
        let share = |s: &Split| format!("{}={}", s.name, s.fraction);
        put("split", self.splits.iter().map(share).collect::<Vec<_>>().join(","));
        put("target", self.target.to_string());
        put("max-samples", self.max_samples.map(|m| m.to_string()).unwrap_or_default());
        put("shard-multiple", self.shard_multiple.to_string());
        put("name", self.name.to_string());
        let first = self.existing.as_ref().map(|existing| existing.shards.to_string());
        put("first-shard", first.unwrap_or_default());
        let name = |i: &ForeignIndex| format!("{i:?}").to_lowercase();
        put("index", self.indexes.iter().map(name).collect::<Vec<_>>().join(","));
        put("s3-prefix", self.s3_prefix.as_ref().map(|_| self.s3_root()).unwrap_or_default());
        for (flag, value) in self.map.iter().flat_map(Map::describe) {
            put(flag, value);
        }
        all
    }
}

/// A policy as its flag spells it; nothing when it is the default.
fn policy(policy: Policy, default: Policy) -> String {
    match policy == default {
        true => String::new(),
        false => format!("{policy:?}").to_lowercase(),
    }
}

impl Labels {
    /// Kind and, for tables, a hash of the bytes: a table edited between two runs is another table.
    fn describe(&self) -> String {
        let hashed = |kind: &str, table: &[u8]| {
            format!("{kind}:{:032x}", xxhash_rust::xxh3::xxh3_128(table))
        };
        match self {
            Self::Folder => "folder".into(),
            Self::Csv { table, .. } => hashed("csv", table),
            Self::JsonLines { table, .. } => hashed("jsonl", table),
            Self::Lst { table, .. } => hashed("lst", table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_do_not_fit_say_why() {
        let split = |name: &str, fraction| Split { name: name.into(), fraction };
        type Change = Box<dyn Fn(&mut PackOptions)>;
        let cases: Vec<(&str, Change)> = vec![
            ("--target", Box::new(|o| o.target = 100)),
            ("start at 1", Box::new(|o| o.jobs = 0)),
            ("--max-samples", Box::new(|o| o.max_samples = Some(0))),
            ("16MiB", Box::new(|o| o.memory = 1 << 20)),
            ("--bad-names", Box::new(|o| o.bad_names = Policy::Allow)),
            ("--compress", Box::new(|o| o.compression = Compression::Zlib)),
            ("add up", Box::new(move |o| o.splits = vec![split("a", 0.5), split("b", 0.4)])),
            ("twice", Box::new(move |o| o.splits = vec![split("a", 0.5), split("a", 0.5)])),
            ("share", Box::new(move |o| o.splits = vec![split("a", 0.0), split("b", 1.0)])),
            ("letters", Box::new(move |o| o.splits = vec![split("a/b", 1.0)])),
            ("--s3-prefix", Box::new(|o| o.s3_prefix = Some("bucket/no-scheme".into()))),
            ("--index mxnet", Box::new(|o| o.indexes = vec![ForeignIndex::Mxnet])),
            (
                "compressed",
                Box::new(|o| {
                    o.indexes = vec![ForeignIndex::Dali];
                    o.compression = Compression::Gzip;
                }),
            ),
        ];
        assert!(PackOptions::default().check().is_ok());
        for (want, change) in cases {
            let mut options = PackOptions::default();
            change(&mut options);
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
    }

    #[test]
    fn only_what_decides_bytes_is_described() {
        let options =
            PackOptions { jobs: 7, io_depth: 9, memory: 1 << 30, ..PackOptions::default() };
        assert_eq!(options.describe(), PackOptions::default().describe());
        let other = PackOptions { order: Order::Shuffle(1), ..PackOptions::default() };
        assert_ne!(other.describe(), PackOptions::default().describe());
    }
}
