//! `shardpack join`.

use std::path::Path;
use std::sync::Arc;

use shardpack_pack::{Join, Table, TableKind, With};
use shardpack_store::{LocalOptions, LocalStore, Object, S3Store, S3Uri, Store};

use super::dataset::Place;
use super::{overlay, reshard, s3};
use crate::args::{JoinArgs, S3Args, UnusedArg, WithArgs};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;

pub(super) fn run(args: &JoinArgs, log: Log, output: &mut Output) -> Result<Exit> {
    if args.overlay {
        return overlay::run(args, log, output);
    }
    let sources = std::slice::from_ref(&args.source);
    reshard::anew(sources, &args.destination, &args.anew, Some(&args.with), log, output)
}

/// What `--with` names, opened.
pub(super) struct Added<'a> {
    args: &'a WithArgs,
    other: Other,
}

enum Other {
    Dataset(Place),
    Table(Arc<dyn Object>, TableKind),
}

impl<'a> Added<'a> {
    pub(super) fn open(args: &'a WithArgs, s3: &S3Args, log: Log) -> Result<Self> {
        let other = match kind(&args.with)? {
            Some(kind) => Other::Table(table(&args.with, s3, log)?, kind),
            None => Other::Dataset(dataset(args, s3, log)?),
        };
        Ok(Self { args, other })
    }

    pub(super) fn join(&self) -> Result<Join<'_>> {
        let args = self.args;
        Ok(Join {
            with: match &self.other {
                Other::Dataset(place) => With::Dataset(Box::new(place.dataset()?)),
                Other::Table(object, kind) => With::Table(Table {
                    object: Arc::clone(object),
                    kind: *kind,
                    on: args.on.clone(),
                    as_json: args.as_json.clone(),
                }),
            },
            name: reshard::name(&args.with)?,
            columns: args.column.clone(),
            missing: args.missing.into(),
            unused_is_error: args.unused == UnusedArg::Error,
        })
    }
}

/// How a table is written, by its name; none for a dataset.
fn kind(path: &Path) -> Result<Option<TableKind>> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "csv" => Ok(Some(TableKind::Csv)),
        "jsonl" | "ndjson" => Ok(Some(TableKind::JsonLines)),
        #[cfg(feature = "parquet")]
        "parquet" => Ok(Some(TableKind::Parquet)),
        #[cfg(not(feature = "parquet"))]
        "parquet" => Err(Failure::new(format!(
            "--with {}: this shardpack was built without Parquet",
            path.display()
        ))
        .hint("build it with --features parquet, or write the table as .csv or .jsonl")),
        _ => Ok(None),
    }
}

fn dataset(args: &WithArgs, s3: &S3Args, log: Log) -> Result<Place> {
    let only = |flag: &str| {
        let name = args.with.display();
        Failure::new(format!("{flag} is for tables, and {name} is none"))
            .hint("tables end in .csv, .jsonl or .parquet")
    };
    if args.on.is_some() {
        return Err(only("--on"));
    }
    if args.as_json.is_some() {
        return Err(only("--as"));
    }
    Place::at(&args.with, s3, log)
}

fn table(path: &Path, s3: &S3Args, log: Log) -> Result<Arc<dyn Object>> {
    if let Some(uri) = s3::uri(path)? {
        let connection = s3::connect(&uri, s3, s3::Limits::default(), log)?;
        let (folder, name) = uri.key().rsplit_once('/').unwrap_or(("", uri.key()));
        let parent: S3Uri = format!("s3://{}/{folder}", uri.bucket()).parse()?;
        return Ok(S3Store::open(connection, parent).open(name)?.into());
    }
    let named = |what: String| Failure::new(format!("--with {}: {what}", path.display()));
    let absolute = std::path::absolute(path).map_err(|e| named(e.to_string()))?;
    let (folder, name) = match (absolute.parent(), absolute.file_name().and_then(|n| n.to_str())) {
        (Some(folder), Some(name)) => (folder, name),
        _ => return Err(named("is no file's name in UTF-8".to_owned())),
    };
    Ok(LocalStore::open(folder, &LocalOptions::default()).open(name)?.into())
}
