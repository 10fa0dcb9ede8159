//! `shardpack reshard`.

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum, ValueHint};
use shardpack_formats::{Compression, NAMES};
use shardpack_pack::{Dedupe, Duplicates, Expression, Fold};

use super::pack::{RefusalArg, RunArgs, SchemaArg, ShardArgs};
use super::{MapArgs, OutputArgs, S3Args};
use crate::size::ByteSize;

/// Pack the samples of datasets anew: another size, order or format, several as one, a part of them
///
/// Keys, fields, labels, class ids, the names that files had and RecordIO's header ids stay what they
/// are, as far as the format has a place for them; what it has none for is refused before anything is
/// written, with the option that resolves it. Every body is compared with the crc32c that the
/// source's index has, and the digest of the result with that of the samples taken. From S3 to S3,
/// long runs of records that stay as they are and beside each other (--order source, the same format)
/// are copied by S3, from shards of which it tells the CRC-64/NVME that the manifest has. All else is as
/// with `pack`: the same bytes at any --jobs, nothing visible before all of it is there, and a run
/// that was killed is finished by the same command.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct ReshardArgs {
    /// Datasets, folders of shards that something else wrote, or single shards: paths or s3://...
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath, required = true, num_args = 1..)]
    pub(crate) sources: Vec<PathBuf>,
    /// A folder, or s3://bucket/prefix, that is new or empty, or holds the unfinished work of this
    /// very command
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,

    #[command(flatten)]
    pub(crate) anew: AnewArgs,
}

/// What `reshard` and `join` have in common.
#[derive(Debug, Args)]
pub(crate) struct AnewArgs {
    #[command(flatten)]
    pub(crate) format: TargetArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    #[command(flatten)]
    pub(crate) shards: ShardArgs,
    #[command(flatten)]
    pub(crate) foreign: StrangerArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How records look from now on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Format")]
pub(crate) struct TargetArgs {
    /// Format of the shards [default: that of the first SRC]
    #[arg(long, value_parser = PossibleValuesParser::new(NAMES))]
    pub(crate) format: Option<String>,
    /// How a sample becomes a TFRecord payload [default: fields; without --format as in the first SRC]
    #[arg(long, value_enum)]
    pub(crate) schema: Option<SchemaArg>,
    /// Compress whole shards
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Compression::ALL.map(Compression::name)),
        default_value_t = Compression::None.name().to_owned()
    )]
    pub(crate) compress: String,
    /// Level of the compressor: gzip and zlib 0-9 [default: 6], zstd up to 22 [default: 3]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) level: Option<i32>,
}

/// Which samples are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which samples")]
pub(crate) struct SelectArgs {
    /// Samples with the same key in several SRC, or twice in one; `last`: the later SRC wins
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = DuplicatesArg::Error)]
    pub(crate) duplicates: DuplicatesArg,
    /// Only these splits of SRC
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) split_from: Vec<String>,
    /// Only samples FIRST to END, as `shardpack ls` lists them, counted from 0 over all SRC; END is not
    /// among them, and either may be left out: 0..1000, 1000..
    #[arg(long, value_name = "FIRST..END", value_parser = slice)]
    pub(crate) slice: Option<Range<u64>>,
    /// Only the keys in FILE, one a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,
    /// Only keys that match; `*` crosses no slash, `**` does; give it again for more
    #[arg(long, value_name = "GLOB")]
    pub(crate) glob: Vec<String>,
    /// Only samples with this label: a class's name, a label's text or number; give it again for more
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true)]
    pub(crate) label: Vec<String>,
    /// Only samples for which EXPR holds: 'json.width >= 256 and not label == "dog"'
    ///
    /// `key`, `label`, `size` (bytes of all fields taken), `len(FIELD)`, and values in fields that hold
    /// JSON: `json.tags[0]`, with backticks around other names: `` `meta.json`.width ``. Fields have
    /// their names in SRC and need not be taken. Tests are ==, !=, <, <=, >, >=, `in [1, 2]`,
    /// `contains "cat"` (a list, an object's member, a part of a text), `=~ "regex"` and
    /// `exists json.width`; joined by `and`, `or`, `not` and parentheses. What is not there is equal
    /// to nothing. Bodies are read only of samples that the other options leave.
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) condition: Option<Expression>,
    /// Samples where a field that --where or --order looks into is no JSON
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = RefusalArg::Error)]
    pub(crate) where_errors: RefusalArg,
    /// Of samples with the same bytes take the first by key: `content` (all fields, and the label), or
    /// a field's name
    #[arg(long, value_name = "content|FIELD", value_parser = dedupe)]
    pub(crate) dedupe: Option<Dedupe>,
    /// Write a JSON object a line for each group of the same samples, before anything is packed
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "dedupe")]
    pub(crate) dedupe_report: Option<PathBuf>,
    /// Only samples whose fields have so many bytes in all, or more
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_size: Option<ByteSize>,
    /// Only samples whose fields have so many bytes in all, or fewer
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,
    /// Part K of N by a stable hash of the keys, from 1: 1/5
    #[arg(long, value_name = "K/N", value_parser = fold)]
    pub(crate) fold: Option<(u64, u64)>,
    /// All but that part
    #[arg(long, requires = "fold")]
    pub(crate) fold_rest: bool,
    /// At most N samples of each label, by a stable hash of the keys
    #[arg(long, value_name = "N")]
    pub(crate) sample_per_class: Option<u64>,
    /// At most N samples, by a stable hash of the keys
    #[arg(long, value_name = "N")]
    pub(crate) head: Option<u64>,
    /// Seed of that hash: another seed, other samples
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) pick_seed: u64,
    /// Keys or fields that the format's readers would misread
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = RefusalArg::Error)]
    pub(crate) bad_names: RefusalArg,
}

/// What of a sample is taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "What of them")]
pub(crate) struct FieldArgs {
    /// Only these fields, by their names in SRC; labels are none
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// All but these fields
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) drop_field: Vec<String>,
    /// Another name for a field: image/encoded=jpg
    #[arg(long, value_name = "OLD=NEW,...", value_delimiter = ',', value_parser = pair)]
    pub(crate) rename: Vec<(String, String)>,
    /// Leave labels and class names behind
    #[arg(long)]
    pub(crate) drop_labels: bool,
    /// `cls`, `cls.json` and `cls.txt` are labels in tars that something else wrote too, so that
    /// other formats carry them as labels
    #[arg(long)]
    pub(crate) label_fields: bool,
}

/// How shards without a manifest are read; a manifest knows better.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shards without a manifest")]
pub(crate) struct StrangerArgs {
    /// Their format [default: by name and first bytes]
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(NAMES))]
    pub(crate) from_format: Option<String>,
    /// Their compression [default: by name and first bytes]
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Compression::ALL.map(Compression::name))
    )]
    pub(crate) from_compress: Option<String>,
    /// TFRecord: what a payload is [default: by the first record]
    #[arg(long, value_name = "SCHEMA", value_enum)]
    pub(crate) from_schema: Option<SchemaArg>,
    /// recordio-protobuf: join the parts of a split record as MXNet does
    #[arg(long)]
    pub(crate) dmlc_parts: bool,
    /// A tar may go on after its end blocks
    #[arg(long)]
    pub(crate) concatenated: bool,
    /// A tar may lack its end blocks
    #[arg(long)]
    pub(crate) missing_end: bool,
}

/// What becomes of samples with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DuplicatesArg {
    /// Stop before anything is written
    Error,
    /// Take the first
    First,
    /// Take the last
    Last,
}

impl From<DuplicatesArg> for Duplicates {
    fn from(policy: DuplicatesArg) -> Self {
        match policy {
            DuplicatesArg::Error => Self::Error,
            DuplicatesArg::First => Self::First,
            DuplicatesArg::Last => Self::Last,
        }
    }
}

impl SelectArgs {
    pub(crate) fn fold(&self) -> Option<Fold> {
        self.fold.map(|(part, parts)| Fold { part, parts, rest: self.fold_rest })
    }
}

fn dedupe(text: &str) -> Result<Dedupe, String> {
    match text {
        "" => Err("write content, or the name of a field".into()),
        "content" => Ok(Dedupe::Content),
        field => Ok(Dedupe::Field(field.to_owned())),
    }
}

fn fold(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(k, n)| Some((u64::from_str(k).ok()?, u64::from_str(n).ok()?)));
    numbers.ok_or_else(|| "write K/N, with K from 1 to N: 1/5".into())
}

fn slice(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str, empty: u64| match text {
        "" => Some(empty),
        text => u64::from_str(text).ok(),
    };
    let ends = text.split_once("..");
    let slice = ends.and_then(|(first, end)| Some(number(first, 0)?..number(end, u64::MAX)?));
    slice.ok_or_else(|| "write FIRST..END: 0..1000, 1000.. or ..1000".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(old, new)| (old.to_owned(), new.to_owned()));
    pair.ok_or_else(|| "write OLD=NEW, separated by commas: png=image.png".into())
}
