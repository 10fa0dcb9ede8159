//! A dataset with the fields of its overlays.

mod samples;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use shardpack_channel::{InputMode, Place};
use shardpack_manifest::Manifest;
use shardpack_store::Store;

pub use samples::OverlaidSamples;
pub use stream::{OverlaidStream, OverlaidStreamSamples};

use crate::open::{Doors, is_s3, threads};
use crate::plan::{Cursor, Plan, SampleId, Share};
use crate::set::Set;
use crate::stream::Streamed;
use crate::{Channel, Damage, Error, ReadOptions, Reader, Result, Sample, Samples};

/// Least bytes that a dataset or an overlay reads ahead.
const LEAST_MEMORY: u64 = 1 << 20;

/// Reads a dataset together with overlays of it, as `shardpack join --overlay` makes them: its samples,
/// each with the fields of all.
///
/// A plan follows from the lengths of shards and the marks of deletion, and those of an overlay are
/// its base's. So each is read ahead by its own threads, in the same order, and they are laid together
/// step by step; the memory of the base's reader is divided among all, by the lengths of their records. There
/// is one state, the base's: it goes on with other overlays, or none.
///
/// A record that is damaged in one of them is a damaged sample.
///
/// ```
/// use std::sync::Arc;
///
/// # use shardpack_pack::{
/// #     Dataset, Join, Missing, OverlaySource, PackOptions, Progress, With, overlay, pack,
/// # };
/// use shardpack_reader::{Overlaid, ReadOptions, Reader};
/// # use shardpack_store::{MemoryStore, MemoryTree};
///
/// # let packed = |files: &[(&str, &str)]| {
/// #     let store = MemoryStore::new();
/// #     let files = MemoryTree::new(files.iter().copied());
/// #     pack(&files, &store, &PackOptions::default(), &Progress::default()).map(|_| Arc::new(store))
/// # };
/// # let images = packed(&[("1.jpg", "meow"), ("2.jpg", "woof")])?;
/// # let texts = packed(&[("1.txt", "a cat"), ("2.txt", "a dog")])?;
/// # let captions = Arc::new(MemoryStore::new());
/// # let join = Join {
/// #     with: With::Dataset(Box::new(Dataset::open(&*texts)?)),
/// #     name: "texts".to_owned(),
/// #     columns: Vec::new(),
/// #     missing: Missing::Error,
/// #     unused_is_error: false,
/// # };
/// # let (base, none) = ((Dataset::open(&*images)?, "images".to_owned()), Progress::default());
/// # let source = OverlaySource::open(base, join, None, &Default::default(), &none)?;
/// # overlay(&source, &*captions, &PackOptions::default(), &none)?;
/// let options = ReadOptions::default();
/// // From a path or an address: Reader::open("images", options)?, Overlaid::open(base, &["captions"], ...)
/// let base = Reader::of_store(images.clone(), options.clone())?;
/// let reader = Overlaid::of_stores(base, vec![captions], &options)?;
/// for sample in reader.epoch(0) {
///     let sample = sample?;
///     let wanted: &[u8] = if sample.key() == "1" { b"a cat" } else { b"a dog" };
///     assert_eq!(sample.field("txt"), Some(wanted));
///     assert!(sample.field("jpg").is_some());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Overlaid {
    base: Reader,
    overlays: Vec<Reader>,
    /// Of samples, which may be damaged in any of them.
    damage: Damage,
}

/// Where an overlay is, opened.
struct Opened {
    store: Arc<dyn Store>,
    remote: bool,
}

impl Overlaid {
    /// The samples of `base`, from where it starts, with the overlays at these paths or `s3://`
    /// addresses. Of `options`, which `base` was opened with, the cache and the number of threads
    /// count, which each overlay has too.
    ///
    /// Fails with [`Error::Overlay`] for a dataset that is no overlay of `base`, or of what it was
    /// before it was changed, and for two fields of one name; with [`Error::NotFound`] where there is
    /// no manifest, or none of a shard that `base` sees.
    pub fn open(base: Reader, overlays: &[&str], options: &ReadOptions) -> Result<Self> {
        let doors = Doors::of(options);
        let open = |place: &&str| Ok(Opened { store: doors.open(place)?, remote: is_s3(place) });
        Self::over(base, overlays.iter().map(open).collect::<Result<_>>()?, options)
    }

    /// The same with the overlays whose `manifest.json` is at the root of these stores.
    pub fn of_stores(
        base: Reader,
        overlays: Vec<Arc<dyn Store>>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let doors = Doors::of(options);
        let open = |store| Opened { store: doors.through(store), remote: false };
        Self::over(base, overlays.into_iter().map(open).collect(), options)
    }

    /// The same with overlays that are channels: all of the overlay's folder, manifest and indexes
    /// included, in mode File or FastFile. [`ChannelReader::overlaid`](crate::ChannelReader::overlaid)
    /// takes a Pipe as the base, too.
    ///
    /// Fails with [`Error::Usage`] for an overlay that is a channel of FIFOs: nothing says that it brings
    /// its records in the order of the base's.
    pub fn of_channels(base: Reader, overlays: &[Channel], options: &ReadOptions) -> Result<Self> {
        Self::over(base, channels(overlays, options)?, options)
    }

    fn over(base: Reader, overlays: Vec<Opened>, options: &ReadOptions) -> Result<Self> {
        let rows = base.set().numbers().collect();
        let readers = over((base.manifest(), rows, base.plan()), overlays, options)?;
        Ok(Self::divided(base, readers))
    }

    /// Divides the memory of the base's reader among all.
    fn divided(base: Reader, overlays: Vec<Reader>) -> Self {
        let mean = |reader: &Reader| u128::from(reader.set().mean());
        let (memory, all) = (base.memory(), mean(&base) + overlays.iter().map(mean).sum::<u128>());
        let part = |reader: Reader| {
            let part = u128::from(memory) * mean(&reader) / all;
            reader.strict(u64::try_from(part).unwrap_or(memory).max(LEAST_MEMORY.min(memory)))
        };
        let (base, damage) = part(base);
        let overlays = overlays.into_iter().map(|reader| part(reader).0).collect();
        Self { base, overlays, damage }
    }

    /// The reader of the dataset that the overlays lie over.
    pub fn base(&self) -> &Reader {
        &self.base
    }

    /// The plan: the base's.
    pub fn plan(&self) -> &Plan {
        self.base.plan()
    }

    /// Where it starts: at the first epoch, or where the base's state was saved.
    pub fn start(&self) -> Cursor {
        self.base.start()
    }

    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    pub fn epoch(&self, epoch: u64) -> OverlaidSamples {
        OverlaidSamples::new(self, self.base.share(epoch))
    }

    /// The samples of a share of its plan.
    pub(crate) fn share(&self, share: Share) -> OverlaidSamples {
        OverlaidSamples::new(self, share)
    }

    /// The part of a worker process: see [`Share::worker`](crate::plan::Share::worker).
    pub fn worker(
        &self,
        epoch: u64,
        worker: u64,
        workers: u64,
        batch: u64,
    ) -> Result<OverlaidSamples> {
        let share = self.base.share(epoch).worker(worker, workers, batch)?;
        Ok(OverlaidSamples::new(self, share))
    }

    /// The sample at a place.
    pub fn get(&self, sample: SampleId) -> Result<Sample> {
        let over = self.overlays.iter().map(|overlay| overlay.get(sample)).collect();
        together(self.base.get(sample), over)
    }

    /// The samples at these places, in this order; read in the order in which they are stored, and
    /// those that lie close together at once.
    pub fn get_many(&self, samples: &[SampleId]) -> Result<Vec<Sample>> {
        let base = self.base.get_many(samples)?;
        let over = self.overlays.iter().map(|overlay| overlay.get_many(samples));
        let mut over: Vec<_> = over.map(|found| Ok(found?.into_iter())).collect::<Result<_>>()?;
        let one = |sample| {
            together(Ok(sample), over.iter_mut().filter_map(|o| o.next().map(Ok)).collect())
        };
        base.into_iter().map(one).collect()
    }

    /// The place of the sample called `key`: a binary search in the index of each shard.
    pub fn find(&self, key: &str) -> Result<Option<SampleId>> {
        self.base.find(key)
    }

    /// The key of the sample at a place, from the base's index.
    pub fn key(&self, sample: SampleId) -> Result<String> {
        self.base.key(sample)
    }

    /// The samples of each: the base's, and the overlays'.
    fn all(&self, share: &Share) -> (Samples, Vec<Samples>) {
        let samples = |reader: &Reader| Samples::new(reader.clone(), share.clone());
        (samples(&self.base), self.overlays.iter().map(samples).collect())
    }
}

/// A stream with overlays.
pub(crate) fn stream(
    base: Streamed,
    overlays: &[Channel],
    options: &ReadOptions,
) -> Result<OverlaidStream> {
    let Some((known, plan)) = base.known() else {
        return Err(Error::usage(
            "these shards have no manifest, and an overlay lies over what a manifest tells; give it",
        ));
    };
    let rows = known.wanted().to_vec();
    let readers = over((&known.manifest, rows, plan), channels(overlays, options)?, options)?;
    Ok(OverlaidStream::new(base, readers, options.damage))
}

/// Opens overlays that are channels.
fn channels(overlays: &[Channel], options: &ReadOptions) -> Result<Vec<Opened>> {
    let doors = Doors::of(options);
    let open = |channel: &Channel| match (&channel.place().place, channel.mode()) {
        (Place::Path(_), InputMode::Pipe) => Err(Error::usage(format!(
            "channel {:?} is a Pipe, and an overlay must be sought in: set its input mode to File or \
             FastFile",
            channel.name()
        ))),
        (Place::Path(path), mode) => {
            let remote = mode == InputMode::FastFile;
            Ok(Opened { store: doors.local(path), remote })
        }
        (Place::Uri(uri), _) => Ok(Opened { store: doors.open(uri)?, remote: true }),
    };
    overlays.iter().map(open).collect()
}

/// Readers of overlays of a dataset, of which these rows of the manifest are read by this plan.
fn over(
    (base, rows, plan): (&Manifest, Vec<usize>, &Plan),
    overlays: Vec<Opened>,
    options: &ReadOptions,
) -> Result<Vec<Reader>> {
    let mut names: BTreeSet<String> = base.fields.keys().cloned().collect();
    let read = |Opened { store, remote }: Opened| {
        let set = lay(base, &store, &mut names)?.only(&rows)?;
        Ok(Reader::beside(set, plan.clone(), threads(options, remote)))
    };
    overlays.into_iter().map(read).collect()
}

/// The shards of an overlay. `names` are of the fields that there are; its own come to them.
fn lay(base: &Manifest, store: &Arc<dyn Store>, names: &mut BTreeSet<String>) -> Result<Set> {
    let place = store.describe();
    let manifest = match shardpack_dataset::manifest(&**store) {
        Err(shardpack_dataset::Error::Store(error)) if error.is_not_found() => {
            return Err(Error::NotFound(format!(
                "{place}: no manifest.json; an overlay is read with all that is in its folder"
            )));
        }
        found => found?,
    };
    let wrong = |reason: String| Error::Overlay { overlay: place.clone(), reason };
    let Some(over) = &manifest.base else {
        return Err(wrong("is none: `shardpack join --overlay` makes one".into()));
    };
    if let Some(reason) = over.differs(base) {
        return Err(wrong(reason));
    }
    for name in manifest.fields.keys() {
        if !names.insert(name.clone()) {
            return Err(wrong(format!(
                "its field {name:?} is there already; make it anew with another name: --column NAME=FIELD"
            )));
        }
    }
    Set::new(manifest, Arc::clone(store), (Arc::clone(store), ""), None, true)
}

/// A sample and its records in overlays as one. An error that ends reading comes before damage.
fn together(base: Result<Sample>, over: Vec<Result<Sample>>) -> Result<Sample> {
    let (mut whole, mut damaged) = (Vec::with_capacity(over.len()), None);
    let mut take = |found| match found {
        Ok(sample) => Ok(Some(sample)),
        Err(error @ Error::Damaged(_)) => {
            damaged.get_or_insert(error);
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let base = take(base)?;
    for found in over {
        whole.extend(take(found)?);
    }
    let base = match (base, damaged) {
        (Some(base), None) => base,
        (_, Some(damaged)) => return Err(damaged),
        (None, None) => return Err(Error::usage("a sample that was not read")),
    };
    if let Some(other) = whole.iter().find(|over| over.key() != base.key()) {
        let SampleId { ordinal, .. } = base.place();
        return Err(Error::Overlay {
            overlay: other.shard().to_owned(),
            reason: format!(
                "record {ordinal} is {:?} and lies over {:?}, record {ordinal} of {}; make the \
                 overlay anew",
                other.key(),
                base.key(),
                base.shard()
            ),
        });
    }
    Ok(base.under(whole.into()))
}
