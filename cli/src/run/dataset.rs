//! Opens what `DST` names for reading.

use std::fs;
use std::path::Path;

use shardpack_formats::Compression;
use shardpack_pack::{Dataset, Error, ForeignOptions};
use shardpack_store::{LocalOptions, LocalStore, Store};

use super::s3;
use crate::args::{DatasetArgs, WorkArgs};
use crate::exit::{Failure, Result};
use crate::log::Log;

/// The store that holds a dataset, and where in it: everything, or one shard.
#[derive(Debug)]
pub(super) struct Place {
    store: Box<dyn Store>,
    prefix: String,
    options: ForeignOptions,
    remote: bool,
}

/// Shards of S3 that are read at a time: one connection carries some 50 to 90 MB/s.
const REMOTE_JOBS: u64 = 8;
/// Memory of each: two windows ahead of the reader, and what it works on.
const REMOTE_JOB: u64 = 32 << 20;

impl Place {
    pub(super) fn of(args: &DatasetArgs, log: Log) -> Result<Self> {
        let path = args.path.as_path();
        if let Some(uri) = s3::uri(path)? {
            let connection = s3::connect(&uri, &args.s3, s3::Limits::default(), log)?;
            let (store, prefix) = s3::place(uri, connection)?;
            let options = options(args);
            return Ok(Self { store: Box::new(store), prefix, options, remote: true });
        }
        let name = path.display();
        let meta = fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(format!("{name}: no such file or folder"))
                .hint("DST is a dataset's folder, a folder of shards, or one shard"),
            _ => Failure::from(shardpack_store::Error::io(error, name.to_string())),
        })?;
        let (root, prefix) = if meta.is_dir() { (path, String::new()) } else { one_shard(path)? };
        Ok(Self {
            store: Box::new(LocalStore::open(root, &LocalOptions::default())),
            prefix,
            options: options(args),
            remote: false,
        })
    }

    /// Shards that are read at a time, unless the user says how many.
    pub(super) fn jobs(&self, work: WorkArgs, local: usize) -> usize {
        let remote = (work.memory.0 / REMOTE_JOB).clamp(1, REMOTE_JOBS) as usize;
        work.jobs.unwrap_or(if self.remote { remote } else { local })
    }

    /// The dataset, or shards without a manifest.
    pub(super) fn dataset(&self) -> Result<Dataset<'_>> {
        Ok(Dataset::find(&*self.store, &self.prefix, &self.options).map_err(Error::from)?)
    }

    /// Shards without a manifest.
    pub(super) fn foreign(&self) -> Result<Dataset<'_>> {
        Ok(Dataset::foreign(&*self.store, &self.prefix, &self.options).map_err(Error::from)?)
    }
}

/// A shard's folder and its name there.
fn one_shard(path: &Path) -> Result<(&Path, String)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::new(format!("{}: the name is no UTF-8", path.display())).hint("rename the file")
    })?;
    Ok((folder.unwrap_or(Path::new(".")), name.to_owned()))
}

fn options(args: &DatasetArgs) -> ForeignOptions {
    let foreign = &args.foreign;
    ForeignOptions {
        format: foreign.format.clone(),
        compression: foreign.compress.as_deref().and_then(Compression::from_name),
        schema: foreign.schema.map(Into::into),
        dmlc_parts: foreign.dmlc_parts,
        concatenated: foreign.concatenated,
        missing_end: foreign.missing_end,
    }
}
