//! `shardpack pack`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum, ValueHint};
use regex::Regex;
use shardpack_formats::{Compression, NAMES, Schema};
use shardpack_pack::{ExpressionError, ForeignIndex, Order, PackOptions, Split, Term};
use shardpack_store::Direct;

use super::{MapArgs, OutputArgs, S3Args, SourceArgs};
use crate::size::ByteSize;

/// Pack the files of SRC into a dataset at DST
///
/// Writes shards, a manifest and an index. Everything is decided from names and sizes before the
/// first byte is read, so the same files and options give the same bytes at any --jobs. Nothing
/// is visible as a dataset until all of it is there; a run that was killed is finished by the same
/// command.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct PackArgs {
    /// A folder, a .tar or a .zip, here or on S3, or s3://bucket/prefix; or what --source-type says
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,
    /// A folder, or s3://bucket/prefix, that is new or empty, or holds the unfinished work of this
    /// very command
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,

    #[command(flatten)]
    pub(crate) files: SourceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) samples: SampleArgs,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    #[command(flatten)]
    pub(crate) shards: ShardArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How records look.
#[derive(Debug, Args)]
#[command(next_help_heading = "Format")]
pub(crate) struct FormatArgs {
    /// Format of the shards
    #[arg(long, value_parser = PossibleValuesParser::new(NAMES), default_value_t = defaults().format)]
    pub(crate) format: String,
    /// How a sample becomes a TFRecord payload
    #[arg(long, value_enum, default_value_t = SchemaArg::Fields)]
    pub(crate) schema: SchemaArg,
    /// Compress whole shards
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Compression::ALL.map(Compression::name)),
        default_value_t = defaults().compression.name().to_owned()
    )]
    pub(crate) compress: String,
    /// Level of the compressor: gzip and zlib 0-9 [default: 6], zstd up to 22 [default: 3]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) level: Option<i32>,
}

/// How files become samples.
#[derive(Debug, Args)]
#[command(next_help_heading = "Samples")]
pub(crate) struct SampleArgs {
    /// Group files by a pattern over their path, with the groups `key` and `field`
    ///
    /// Default: the key is the path up to the first dot of the file's name, the field is the rest.
    /// Example: `^(?<key>.*)_(?<field>image|mask)\.png$`
    #[arg(long, value_name = "REGEX")]
    pub(crate) group: Option<Regex>,
    /// Pack only these fields
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Fields that every sample must have
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) require: Vec<String>,
    /// Samples that lack one
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = PolicyArg::Error)]
    pub(crate) missing: PolicyArg,
    /// Names that no reader can split, or that some reader would misread
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = RefusalArg::Error)]
    pub(crate) bad_names: RefusalArg,
    /// Field of files without an extension, which are bad names otherwise
    #[arg(long, value_name = "FIELD")]
    pub(crate) bare_field: Option<String>,
}

/// Labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Labels")]
pub(crate) struct LabelArgs {
    /// Where labels come from: folder, csv:FILE, jsonl:FILE or lst:FILE
    ///
    /// `folder`: the folder of a sample is its class; the folders that give samples to this run are
    /// numbered from 0 by sorted name, so a filter may move the numbers. `csv`: a table with
    /// a header row. `jsonl`: a JSON object a line. `lst`: MXNet's list of id, labels and path.
    #[arg(long, value_name = "FROM", conflicts_with = "label_attribute")]
    pub(crate) labels: Option<LabelsArg>,
    /// Column or JSON key that names the sample, by key or path [default: the first column]
    #[arg(long, value_name = "NAME", requires = "labels")]
    pub(crate) label_key: Option<String>,
    /// Columns or JSON keys that hold labels [default: all other columns]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "labels")]
    pub(crate) label_column: Vec<String>,
    /// Samples without a label, and labels without a sample
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = PolicyArg::Error)]
    pub(crate) unlabelled: PolicyArg,
}

/// What goes to which shard.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shards")]
pub(crate) struct ShardArgs {
    /// Order of samples: shuffle, shuffle:SEED, key, label or source; of datasets also field:VALUE
    /// and map:FILE
    ///
    /// `field:json.score` sorts by a value of each sample, written as in --where: numbers, then
    /// texts, then booleans; `field:json.score:desc` from the largest on. Samples without such a
    /// value are last, equal ones stand in the order of their keys. `map:FILE`: as the keys in FILE,
    /// one a line; samples that are not in it are last, by key.
    #[arg(long, value_name = "ORDER", default_value_t = SampleOrder::Plain(defaults().order))]
    pub(crate) order: SampleOrder,
    /// Split the dataset by a stable hash of the keys: train=0.9,val=0.1
    #[arg(long, value_name = "NAME=SHARE,...", value_parser = split, value_delimiter = ',')]
    pub(crate) split: Vec<Split>,
    /// Largest shard: 150MB, 150MiB or bytes, before compression
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(defaults().target))]
    pub(crate) target: ByteSize,
    /// Most samples in a shard
    #[arg(long, value_name = "N")]
    pub(crate) max_samples: Option<u64>,
    /// Make the number of shards a multiple of N: hosts times workers
    #[arg(long, value_name = "N", default_value_t = defaults().shard_multiple)]
    pub(crate) shard_multiple: u64,
    /// Names of shards: slim, tfds or a template
    #[arg(long, value_name = "TEMPLATE", default_value_t = defaults().name.to_string())]
    pub(crate) name: String,
    /// Write indexes for other tools
    #[arg(long, value_name = "TOOL,...", value_delimiter = ',', value_parser = index)]
    pub(crate) index: Vec<ForeignIndex>,
    /// Where the shards will be on S3, for the SageMaker files [default: DST, if it is there]
    #[arg(long, value_name = "URI")]
    pub(crate) s3_prefix: Option<String>,
}

/// How the work is done; decides no byte of the dataset.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Show the plan and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Throw away what another unfinished run left at DST
    #[arg(long)]
    pub(crate) restart: bool,
    /// Threads that compute [default: the cores]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Most reads in flight
    #[arg(long, value_name = "N", default_value_t = defaults().io_depth)]
    pub(crate) io_depth: usize,
    /// Memory for buffers; the plan takes up to 100 bytes a file on top
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(defaults().memory))]
    pub(crate) memory: ByteSize,
    /// Do not wait for the disk: faster, but a power cut may lose shards that count as sealed
    #[arg(long)]
    pub(crate) no_fsync: bool,
    /// Write past the page cache: auto, always or never; auto does when the run is larger than it
    #[arg(long, value_name = "WHEN", value_parser = direct, default_value = "auto")]
    pub(crate) direct_io: Direct,
}

/// What becomes of a sample that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyArg {
    /// Stop before anything is written
    Error,
    /// Leave it out and count it
    Skip,
    /// Pack it all the same
    Allow,
}

/// What becomes of a name that cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RefusalArg {
    /// Stop before anything is written
    Error,
    /// Leave it out and count it
    Skip,
}

/// How a sample becomes a TFRecord payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaArg {
    /// tf.train.Example with one bytes feature a field; loses nothing
    Fields,
    /// tf.train.Example with image/encoded, image/class/label and so on
    Image,
    /// The only field's bytes, without protobuf
    Raw,
}

impl From<SchemaArg> for Schema {
    fn from(schema: SchemaArg) -> Self {
        match schema {
            SchemaArg::Fields => Self::Fields,
            SchemaArg::Image => Self::Image,
            SchemaArg::Raw => Self::Raw,
        }
    }
}

/// Where labels come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelsArg {
    Folder,
    Csv(PathBuf),
    JsonLines(PathBuf),
    Lst(PathBuf),
}

impl FromStr for LabelsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "folder" => Ok(Self::Folder),
            Some(("csv", file)) if !file.is_empty() => Ok(Self::Csv(file.into())),
            Some(("jsonl", file)) if !file.is_empty() => Ok(Self::JsonLines(file.into())),
            Some(("lst", file)) if !file.is_empty() => Ok(Self::Lst(file.into())),
            _ => Err("write folder, csv:FILE, jsonl:FILE or lst:FILE".into()),
        }
    }
}

/// The library's defaults are the command's.
fn defaults() -> PackOptions {
    PackOptions::default()
}

/// In which order samples are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SampleOrder {
    Plain(Order),
    Field { by: Term, descending: bool },
    Map(PathBuf),
}

impl FromStr for SampleOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(field) = text.strip_prefix("field:") {
            let (by, descending) = match field.strip_suffix(":desc") {
                Some(by) => (by, true),
                None => (field, false),
            };
            let by = by.parse().map_err(|e: ExpressionError| e.to_string())?;
            return Ok(Self::Field { by, descending });
        }
        match (text, text.strip_prefix("map:")) {
            (_, Some(file)) if !file.is_empty() => Ok(Self::Map(file.into())),
            ("shuffle", _) => Ok(Self::Plain(Order::Shuffle(0))),
            // Only with what it is by.
            ("field" | "map", _) => Err(ORDERS.into()),
            _ => text.parse().map(Self::Plain).map_err(|_| ORDERS.into()),
        }
    }
}

const ORDERS: &str = "write shuffle, shuffle:SEED (a number from 0 to 2^64-1), key, label or source; of datasets also field:json.NAME, field:json.NAME:desc or map:FILE";

impl fmt::Display for SampleOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(order) => order.fmt(f),
            Self::Field { by, descending } => {
                write!(f, "field:{by}{}", if *descending { ":desc" } else { "" })
            }
            Self::Map(file) => write!(f, "map:{}", file.display()),
        }
    }
}

fn split(text: &str) -> Result<Split, String> {
    let parts = text.split_once('=');
    let split = parts
        .and_then(|(name, share)| Some(Split { name: name.into(), fraction: share.parse().ok()? }));
    split.ok_or_else(|| "write NAME=SHARE, separated by commas: train=0.9,val=0.1".into())
}

pub(super) fn index(text: &str) -> Result<ForeignIndex, String> {
    match text {
        "dali" => Ok(ForeignIndex::Dali),
        "wids" => Ok(ForeignIndex::Wids),
        "mxnet" => Ok(ForeignIndex::Mxnet),
        "tfrecord" => Ok(ForeignIndex::Tfrecord),
        _ => Err("known tools: dali, wids, mxnet, tfrecord".into()),
    }
}

fn direct(text: &str) -> Result<Direct, String> {
    match text {
        "auto" => Ok(Direct::Auto),
        "always" => Ok(Direct::Always),
        "never" => Ok(Direct::Never),
        _ => Err("write auto, always or never".into()),
    }
}
