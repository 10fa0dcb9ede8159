//! Opens what `DST` names for reading.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use shardpack_formats::Compression;
use shardpack_manifest::Digest;
use shardpack_pack::{Dataset, Error, ForeignOptions};
use shardpack_store::{LocalOptions, LocalStore, Store};

use super::s3;
use crate::args::{DatasetArgs, S3Args, WorkArgs};
use crate::exit::{Failure, Result};
use crate::log::Log;

/// The store that holds a dataset, and where in it: everything, or one shard.
#[derive(Debug)]
pub(super) struct Place {
    store: Arc<dyn Store>,
    prefix: String,
    options: ForeignOptions,
    /// The version that is meant; none is the head.
    digest: Option<Digest>,
    remote: bool,
}

/// What makes a folder a dataset.
const MANIFEST: &str = "manifest.json";
/// Shards of S3 that are read at a time: one connection carries some 50 to 90 MB/s.
const REMOTE_JOBS: u64 = 8;
/// Memory of each: two windows ahead of the reader, and what it works on.
const REMOTE_JOB: u64 = 32 << 20;

impl Place {
    pub(super) fn of(args: &DatasetArgs, log: Log) -> Result<Self> {
        let digest = args.digest;
        Ok(Self { options: options(args), digest, ..Self::at(&args.path, &args.s3, log)? })
    }

    /// The place that a path or an address names.
    pub(super) fn at(path: &Path, s3: &S3Args, log: Log) -> Result<Self> {
        let options = ForeignOptions::default();
        if let Some(uri) = s3::uri(path)? {
            let connection = s3::connect(&uri, s3, s3::Limits::default(), log)?;
            let (store, prefix) = s3::place(uri, connection)?;
            let store = Arc::new(store);
            return Ok(Self { store, prefix, options, digest: None, remote: true });
        }
        let name = path.display();
        let meta = fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(format!("{name}: no such file or folder"))
                .hint("name a dataset's folder, a folder of shards, or one shard"),
            _ => Failure::from(shardpack_store::Error::io(error, name.to_string())),
        })?;
        let (root, prefix) = if meta.is_dir() { (path, String::new()) } else { one_shard(path)? };
        Ok(Self {
            store: Arc::new(LocalStore::open(root, &LocalOptions::default())),
            prefix,
            options,
            digest: None,
            remote: false,
        })
    }

    /// The same, of shards that may lack a manifest.
    pub(super) fn of_shards(
        path: &Path,
        options: ForeignOptions,
        s3: &S3Args,
        log: Log,
    ) -> Result<Self> {
        Ok(Self { options, ..Self::at(path, s3, log)? })
    }

    /// The store.
    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Shards that are read at a time, unless the user says how many.
    pub(super) fn jobs(&self, work: WorkArgs, local: usize) -> usize {
        let remote = (work.memory.0 / REMOTE_JOB).clamp(1, REMOTE_JOBS) as usize;
        work.jobs.unwrap_or(if self.remote { remote } else { local })
    }

    /// The store of a dataset that has a manifest, for what cannot be done without one.
    pub(super) fn with_manifest(&self) -> Result<Arc<dyn Store>> {
        let hint = "shards that another tool wrote get one from: shardpack index DST";
        if !self.prefix.is_empty() {
            return Err(Failure::new(format!("{}: is one shard, not a dataset", self.prefix))
                .hint("name the folder that has manifest.json"));
        }
        match self.store.open(MANIFEST) {
            Ok(_) => Ok(Arc::clone(&self.store)),
            Err(error) if error.is_not_found() => {
                // Says whether a run is unfinished there.
                let told = Dataset::open(&*self.store).err().map_or(error.into(), Error::from);
                Err(Failure::from(told).hint(hint))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it lies behind a network.
    pub(super) fn is_remote(&self) -> bool {
        self.remote
    }

    /// The dataset, or shards without a manifest.
    pub(super) fn dataset(&self) -> Result<Dataset<'_>> {
        let found = match self.digest {
            Some(digest) if self.prefix.is_empty() => Dataset::pinned(&*self.store, digest),
            _ => Dataset::find(&*self.store, &self.prefix, &self.options),
        };
        Ok(found.map_err(Error::from)?)
    }

    /// Shards without a manifest.
    pub(super) fn foreign(&self) -> Result<Dataset<'_>> {
        if self.digest.is_some() {
            return Err(Failure::new("--digest: shards without a manifest have no versions"));
        }
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
