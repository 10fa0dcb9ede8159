//! What a source is, from its listing alone.

use std::collections::HashMap;
use std::path::Path;

use shardpack_advise::{Data, Error, Home};
use shardpack_pack::Dataset;
use shardpack_store::Source;

use super::super::dataset::Place;
use super::super::{s3, source};
use crate::args::StorageArg;
use crate::args::{DataArgs, S3Args, SourceArgs, SourceTypeArg};
use crate::exit::{Failure, Result};
use crate::log::Log;

/// Reads under way at a time while a tree is listed, as pack has.
const IO_DEPTH: usize = 64;
/// Endings that are told one by one.
const ENDINGS: usize = 8;
/// Endings of shards.
const SHARDS: &[&str] = &["tar", "tfrecord", "tfrecords", "rec", "recordio", "pbr"];

/// What a source is, and what messages call it.
pub(in super::super) struct Found {
    pub(in super::super) data: Data,
    pub(in super::super) name: String,
}

pub(in super::super) fn find(
    args: &DataArgs,
    files: &SourceArgs,
    s3_args: &S3Args,
    log: Log,
) -> Result<Found> {
    let path = &args.source;
    let kind = source::kind(path, files)?;
    let home = home(path, args.storage)?;
    let folder = matches!(kind, source::Kind::Folder | source::Kind::S3);
    let whole = folder && files.source_type == SourceTypeArg::Prefix && files.files_from.is_none();
    if whole && let Some(found) = dataset(path, home, s3_args, log)? {
        return Ok(found);
    }
    let limits = s3::Limits { io_depth: IO_DEPTH, ..s3::Limits::default() };
    let opening = source::Opening { files, s3: s3_args, limits, log };
    let source::Opened { source, .. } = source::open(path, opening)?;
    Ok(loose(&*source, home, files.source_type == SourceTypeArg::Augmented))
}

/// A packed dataset; none where there is no manifest of one.
fn dataset(path: &Path, home: Home, args: &S3Args, log: Log) -> Result<Option<Found>> {
    let place = Place::at(path, args, log)?;
    let store = match place.with_manifest() {
        Ok(store) => store,
        // That it is not there is no trouble; that nobody may look is.
        Err(failure) => match place.store().open("manifest.json") {
            Err(error) if !error.is_not_found() => return Err(failure),
            _ => return Ok(None),
        },
    };
    let dataset = match Dataset::open(&*store) {
        Ok(dataset) => dataset,
        Err(error) => {
            log.note(&format!("not a dataset, so its files are looked at one by one: {error}"));
            return Ok(None);
        }
    };
    let lens = dataset.shards().iter().map(|shard| shard.bytes).collect::<Vec<_>>();
    let mut data = Data::new(home, lens);
    data.formats = vec![(dataset.format().to_owned(), data.files())];
    data.packed = true;
    Ok(Some(Found { data, name: store.describe() }))
}

fn loose(source: &dyn Source, home: Home, augmented: bool) -> Found {
    let mut endings: HashMap<String, u64> = HashMap::new();
    let mut lens = Vec::with_capacity(source.listing().len());
    for file in source.listing().iter() {
        lens.push(file.len);
        *endings.entry(ending(file.name)).or_default() += 1;
    }
    let mut formats: Vec<(String, u64)> = endings.into_iter().collect();
    formats.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let packed = !formats.is_empty() && formats.iter().all(|f| SHARDS.contains(&f.0.as_str()));
    let others: u64 = formats.iter().skip(ENDINGS).map(|format| format.1).sum();
    formats.truncate(ENDINGS);
    if others > 0 {
        formats.push(("others".into(), others));
    }
    let mut data = Data::new(home, lens);
    (data.formats, data.packed, data.augmented) = (formats, packed, augmented);
    Found { data, name: source.describe() }
}

/// What follows the last dot of a name, in small letters; a compression's ending does not count.
fn ending(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let bare = [".gz", ".zst", ".zz"].iter().find_map(|end| name.strip_suffix(end));
    match bare.unwrap_or(&name).rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.is_empty() && ending.len() <= 16 => {
            ending.to_owned()
        }
        _ => "none".into(),
    }
}

/// f_type of a Lustre mount: LL_SUPER_MAGIC in Lustre's `lustre_user.h`.
const LUSTRE: u64 = 0x0BD0_0BD0;
/// f_type of an NFS mount, which is what EFS is: statfs(2).
const NFS: u64 = 0x6969;

/// Where data lives: as told, else by what holds it. Not every Lustre is FSx and not every NFS is
/// EFS; `--storage` is for those.
fn home(path: &Path, told: Option<StorageArg>) -> Result<Home> {
    match told {
        Some(StorageArg::S3) => return Ok(Home::S3),
        Some(StorageArg::Efs) => return Ok(Home::Efs),
        Some(StorageArg::Fsx) => return Ok(Home::Fsx),
        Some(StorageArg::Local) => return Ok(Home::Local),
        None if s3::uri(path)?.is_some() => return Ok(Home::S3),
        None => {}
    }
    let found = rustix::fs::statfs(path).map(|found| found.f_type as u64 & 0xffff_ffff);
    Ok(match found {
        Ok(LUSTRE) => Home::Fsx,
        Ok(NFS) => Home::Efs,
        _ => Home::Local,
    })
}

/// An error with the name of what it is about, and what to do.
pub(in super::super) fn failure(error: &Error, name: &str) -> Failure {
    match error {
        Error::Empty => Failure::new(format!("{name}: {error}"))
            .hint("see --include, --exclude and --hidden for what is left out"),
        Error::Requests { .. } => {
            Failure::new(error.to_string()).hint("make requests larger with --request")
        }
        error => Failure::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::ending;

    #[test]
    fn endings() {
        for (name, want) in [
            ("a.jpg", "jpg"),
            ("A.JPG", "jpg"),
            ("a.tar.gz", "tar"),
            ("a.gz", "none"),
            (".hidden", "none"),
            ("a.", "none"),
            ("plain", "none"),
            ("a.and a whole sentence", "none"),
        ] {
            assert_eq!(ending(name.as_bytes()), want, "{name}");
        }
    }
}
