//! From a place to a reader: which store, which manifest, which shards, which part of them.

use std::path::Path;
use std::sync::Arc;

use shardpack_channel::{InputMode, Place, RecordWrapper};
use shardpack_dataset::{Dataset, ForeignOptions, MANIFEST};
use shardpack_manifest::{Digest, Manifest};
use shardpack_store::{Cache, CachedStore, LocalOptions, LocalStore, Store};

use crate::pipe::{Pipe, PipeOptions};
use crate::plan::{Hosts, Part, Shuffle, State};
use crate::set::Set;
use crate::stream::{Contents, Objects, Streamed};
use crate::{Channel, ChannelReader, Error, ReadOptions, Reader, Result};

/// Threads on local paths, at most.
const LOCAL_THREADS: usize = 4;
/// Reads under way where each is an answer of a network away.
const REMOTE_THREADS: usize = 16;

impl Reader {
    /// Reads the dataset, or the folder of shards, at a path or an `s3://` address.
    pub fn open(place: &str, options: ReadOptions) -> Result<Self> {
        Self::at(place, options, None)
    }

    /// The same, from where `state` was saved.
    pub fn resume(place: &str, options: ReadOptions, state: &State) -> Result<Self> {
        Self::at(place, options, Some(state))
    }

    fn at(place: &str, options: ReadOptions, state: Option<&State>) -> Result<Self> {
        let remote = is_s3(place);
        let doors = Doors::of(&options);
        let store = doors.open(place)?;
        let beside = Path::new(place).parent().filter(|_| !remote);
        let (manifest, indexes) = doors.find_manifest(Some(&store), beside, &options)?;
        let split = options.split.clone();
        let set = Set::new(manifest, indexes, (store, ""), split.as_deref(), false)?;
        let set = set.without(&options)?;
        let threads = threads(&options, remote);
        Self::new(set, options, threads, state)
    }

    /// Reads the dataset whose `manifest.json` is at the root of `store`.
    pub fn of_store(store: Arc<dyn Store>, options: ReadOptions) -> Result<Self> {
        Self::resume_store(store, options, None)
    }

    /// The same, from where `state` was saved.
    pub fn resume_store(
        store: Arc<dyn Store>,
        options: ReadOptions,
        state: Option<&State>,
    ) -> Result<Self> {
        let store = Doors::of(&options).through(store);
        let manifest = manifest_of(&*store, options.digest)?;
        let indexes = Arc::clone(&store);
        let set = Set::new(manifest, indexes, (store, ""), options.split.as_deref(), false)?;
        let set = set.without(&options)?;
        let threads = threads(&options, false);
        Self::new(set, options, threads, state)
    }
}

impl Channel {
    /// A reader of this channel. Rank and world are those of the container where `options` has
    /// none. Without a manifest, of shards that something else wrote.
    pub fn reader(&self, options: ReadOptions) -> Result<ChannelReader> {
        self.read(options, None)
    }

    /// The same, from where `state` was saved.
    pub fn resume(&self, options: ReadOptions, state: &State) -> Result<ChannelReader> {
        self.read(options, Some(state))
    }

    fn read(&self, mut options: ReadOptions, state: Option<&State>) -> Result<ChannelReader> {
        let part = match options.part {
            Some(part) => part,
            None => Part { replicas: options.replicas, ..self.part()? },
        };
        options.part = Some(part);
        match (&self.place().place, self.mode()) {
            (Place::Path(path), InputMode::Pipe) => self.stream(path, part, options, state),
            (Place::Path(path), mode) => {
                let store = Doors::of(&options).local(path);
                self.seek(store, path.parent(), mode == InputMode::FastFile, options, state)
            }
            (Place::Uri(uri), _) => {
                self.seek(Doors::of(&options).open(uri)?, None, true, options, state)
            }
        }
    }

    /// Shards that can be sought.
    fn seek(
        &self,
        store: Arc<dyn Store>,
        above: Option<&Path>,
        remote: bool,
        mut options: ReadOptions,
        state: Option<&State>,
    ) -> Result<ChannelReader> {
        let part = options.part.unwrap_or_default();
        let (manifest, indexes) =
            match Doors::of(&options).find_manifest(Some(&store), above, &options) {
                Err(Error::NotFound(looked)) if options.digest.is_none() => {
                    return foreign(store, part, options, state, looked);
                }
                found => found?,
            };
        let split = self.split(&manifest, &options);
        let sharded = self.is_sharded();
        let set = Set::new(manifest, indexes, (store, ""), split.as_deref(), sharded)?;
        let set = set.without(&options)?;
        if sharded && options.plan.length.is_none() {
            options.plan.length = Some(self.length(&set, part, &options)?);
        }
        let threads = threads(&options, remote);
        Reader::new(set, options, threads, state).map(ChannelReader::Seek)
    }

    /// A FIFO an epoch.
    fn stream(
        &self,
        path: &Path,
        part: Part,
        mut options: ReadOptions,
        state: Option<&State>,
    ) -> Result<ChannelReader> {
        let found = Doors::of(&options).find_manifest(None, path.parent(), &options);
        let contents = match (&self.config().wrapper, found) {
            (RecordWrapper::RecordIo, _) => {
                Contents::Wrapped { fields: options.attributes.clone(), dmlc_parts: false }
            }
            (RecordWrapper::None, Ok((manifest, indexes))) => {
                options.split = self.split(&manifest, &options);
                let host = self.is_sharded().then(|| self.host());
                Contents::Dataset { manifest: Box::new(manifest), indexes, host }
            }
            (RecordWrapper::None, Err(Error::NotFound(looked))) if options.digest.is_none() => {
                match &options.format {
                    Some(name) => {
                        let format = shardpack_formats::open(name, &Default::default())?;
                        Contents::Foreign { format, decode: Default::default() }
                    }
                    None => {
                        return Err(Error::NotFound(format!(
                            "channel {:?} is a Pipe and nothing says what is in it: {looked}; give a \
                         manifest, or the name of the format",
                            self.name()
                        )));
                    }
                }
            }
            (RecordWrapper::None, Err(error)) => return Err(error),
        };
        let pipe = Arc::new(Pipe::new(path, PipeOptions::default()));
        Streamed::new(pipe, contents, part, options, state).map(ChannelReader::Stream)
    }

    /// The split that this channel is of.
    fn split(&self, manifest: &Manifest, options: &ReadOptions) -> Option<String> {
        let named = manifest.splits.iter().any(|split| split.name == self.name());
        options.split.clone().or_else(|| named.then(|| self.name().to_owned()))
    }

    /// Positions of an epoch that all hosts can agree on without asking each other.
    fn length(&self, set: &Set, part: Part, options: &ReadOptions) -> Result<u64> {
        let hosts = Hosts::new(set.all_counts(), self.hosts())?;
        hosts.check(set.rows().count() as u64)?;
        let world = part.world / part.replicas.max(1);
        hosts.length(world, options.plan.batch.unwrap_or(1), options.plan.tail)
    }
}

/// Shards without a manifest: `looked` is where one was looked for.
fn foreign(
    store: Arc<dyn Store>,
    part: Part,
    options: ReadOptions,
    state: Option<&State>,
    looked: String,
) -> Result<ChannelReader> {
    let how = ForeignOptions { format: options.format.clone(), ..Default::default() };
    let found = Dataset::foreign(&*store, "", &how).map_err(|error| match error.into() {
        Error::NotFound(what) => Error::NotFound(format!("{what}; {looked}")),
        error => error,
    })?;
    let format = shardpack_formats::open(found.format(), found.format_options())?;
    let contents = Contents::Foreign { format, decode: found.decode().clone() };
    let seed = (options.plan.shuffle != Shuffle::Off).then_some(options.plan.seed);
    let objects = Arc::new(Objects::new(Arc::clone(&store), &found, seed));
    Streamed::new(objects, contents, part, options, state).map(ChannelReader::Stream)
}

pub(crate) fn threads(options: &ReadOptions, remote: bool) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    options.threads.unwrap_or_else(|| match remote {
        true => REMOTE_THREADS,
        false => cores().min(LOCAL_THREADS),
    })
}

/// The store at a path or an `s3://` address, without a cache.
pub(crate) fn open(place: &str, options: &ReadOptions) -> Result<Arc<dyn Store>> {
    if is_s3(place) {
        return s3(place, options);
    }
    match place.split_once("://") {
        Some((scheme, _)) => Err(Error::usage(format!(
            "{place}: {scheme}:// is not a path; write a path or s3://bucket/prefix"
        ))),
        None => Ok(local(Path::new(place))),
    }
}

/// Whether it is an address on S3, and no path.
pub(crate) fn is_s3(place: &str) -> bool {
    place.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"))
}

#[cfg(feature = "s3")]
fn s3(place: &str, options: &ReadOptions) -> Result<Arc<dyn Store>> {
    use shardpack_store::{S3, S3Store, S3Uri};

    let uri: S3Uri = place.parse()?;
    let s3 = S3::connect(&uri, options.s3.clone())?;
    Ok(Arc::new(S3Store::open(s3, uri)))
}

#[cfg(not(feature = "s3"))]
fn s3(place: &str, _: &ReadOptions) -> Result<Arc<dyn Store>> {
    Err(Error::usage(format!(
        "{place}: this program was built without S3; build shardpack-reader with its feature `s3`"
    )))
}

fn local(path: &Path) -> Arc<dyn Store> {
    Arc::new(LocalStore::open(path, &LocalOptions::default()))
}

/// Opens stores: straight, or through a cache.
pub(crate) struct Doors<'o> {
    cache: Option<Cache>,
    options: &'o ReadOptions,
}

impl<'o> Doors<'o> {
    pub(crate) fn of(options: &'o ReadOptions) -> Self {
        Self { cache: options.cache.as_ref().map(Cache::new), options }
    }

    pub(crate) fn through(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match &self.cache {
            Some(cache) => Arc::new(CachedStore::new(store, cache.clone())),
            None => store,
        }
    }

    pub(crate) fn open(&self, place: &str) -> Result<Arc<dyn Store>> {
        Ok(self.through(open(place, self.options)?))
    }

    pub(crate) fn local(&self, path: &Path) -> Arc<dyn Store> {
        self.through(local(path))
    }

    /// The manifest of these shards, and the store that it is in: where the options say, with the
    /// shards, in the folder above them, or in the channel beside theirs that is called `manifest`.
    fn find_manifest(
        &self,
        shards: Option<&Arc<dyn Store>>,
        above: Option<&Path>,
        options: &ReadOptions,
    ) -> Result<(Manifest, Arc<dyn Store>)> {
        if let Some(place) = &options.manifest {
            let folder = place.strip_suffix(MANIFEST).unwrap_or(place);
            let store = self.open(if folder.is_empty() { "." } else { folder })?;
            return Ok((manifest_of(&*store, options.digest)?, store));
        }
        let above = above.into_iter().flat_map(|above| [above.to_owned(), above.join("manifest")]);
        let stores = shards.cloned().into_iter().chain(above.map(|path| self.local(&path)));
        let mut looked = Vec::new();
        for store in stores {
            match manifest_of(&*store, options.digest) {
                Err(Error::Store(error)) if error.is_not_found() => looked.push(store.describe()),
                found => return Ok((found?, store)),
            }
        }
        Err(Error::NotFound(format!("no {MANIFEST}: looked in {}", looked.join(", "))))
    }
}

/// The manifest of a version, or of the dataset as it is now.
fn manifest_of(store: &dyn Store, digest: Option<Digest>) -> Result<Manifest> {
    Ok(match digest {
        Some(digest) => shardpack_dataset::pinned(store, digest)?,
        None => shardpack_dataset::manifest(store)?,
    })
}
