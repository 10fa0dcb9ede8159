//! `shardpack join`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use shardpack_pack::{Column, Missing};

use super::reshard::AnewArgs;

/// Add the fields of another dataset, or the columns of a table, to the samples of SRC by key
///
/// Writes new shards at DST, as `reshard` does and with its options, which say what is taken of SRC.
/// Labels stay those of SRC. Where both sides have a field of one name the run ends before anything is
/// written; --column gives another one, --drop-field leaves that of SRC behind.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct JoinArgs {
    /// A dataset, a folder of shards that something else wrote, or a single shard: a path or s3://...
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,
    /// A folder, or s3://bucket/prefix, that is new or empty, or holds the unfinished work of this
    /// very command
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,

    /// Write only what is added: an overlay of SRC, of which nothing is copied or read but its indexes
    ///
    /// DST is a dataset with a record for each one of SRC, in shards that are cut alike, and its
    /// manifest tells what it lies over; training jobs read both as one. So what says which samples are
    /// taken, in which order and shards, cannot be given, nor --missing inner. With --missing left the
    /// format must keep a record without fields: tfrecord or recordio-protobuf. Change SRC, other than
    /// by `delete`, and the overlay must be made anew.
    #[arg(long)]
    pub(crate) overlay: bool,
    #[command(flatten)]
    pub(crate) with: WithArgs,
    #[command(flatten)]
    pub(crate) anew: AnewArgs,
}

/// What is added.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is added")]
pub(crate) struct WithArgs {
    /// Another dataset, or a table: a .csv with a header row, a .jsonl with an object a line, or a
    /// .parquet; a path or s3://...
    #[arg(long, value_name = "OTHER", value_hint = ValueHint::AnyPath)]
    pub(crate) with: PathBuf,
    /// The table's column that holds the keys [default: key; else the first one of a table with a
    /// header]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) on: Option<String>,
    /// Only these columns, or fields of a dataset, and what they are called; give it again for more
    /// [default: all]
    ///
    /// A column becomes the field NAME.txt where any of its rows holds text, else NAME.json: in lower
    /// case, with _ for what is no letter, digit, - or _. Text becomes a body as it is, everything
    /// else as JSON. Empty cells of a .csv, and null, have no value: such a sample gets no such field.
    #[arg(long, value_name = "NAME[=FIELD]", value_parser = column)]
    pub(crate) column: Vec<Column>,
    /// One field that holds all columns as a JSON object: json, or json=FIELD for another name
    #[arg(long = "as", value_name = "json[=FIELD]", value_parser = as_json)]
    pub(crate) as_json: Option<String>,
    /// Samples that OTHER has nothing for
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = MissingArg::Error)]
    pub(crate) missing: MissingArg,
    /// Rows or samples of OTHER that belong to no sample of SRC
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = UnusedArg::Count)]
    pub(crate) unused: UnusedArg,
}

/// What becomes of samples that nothing can be added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingArg {
    /// Stop before anything is written
    Error,
    /// Leave them out and count them
    Inner,
    /// Take them as they are
    Left,
}

/// What becomes of what belongs to no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnusedArg {
    /// Leave it out and count it
    Count,
    /// Stop before anything is written
    Error,
}

impl From<MissingArg> for Missing {
    fn from(policy: MissingArg) -> Self {
        match policy {
            MissingArg::Error => Self::Error,
            MissingArg::Inner => Self::Inner,
            MissingArg::Left => Self::Left,
        }
    }
}

fn column(text: &str) -> Result<Column, String> {
    let (name, field) = match text.split_once('=') {
        Some((name, field)) => (name, Some(field.to_owned())),
        None => (text, None),
    };
    match name.is_empty() || field.as_ref().is_some_and(String::is_empty) {
        true => Err("write NAME, or NAME=FIELD: caption=caption.txt".into()),
        false => Ok(Column { name: name.to_owned(), field }),
    }
}

fn as_json(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        None if text == "json" => Ok("json".to_owned()),
        Some(("json", field)) if !field.is_empty() => Ok(field.to_owned()),
        _ => Err("write json, or json=FIELD: json=meta.json".into()),
    }
}
