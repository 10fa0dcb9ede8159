//! Datasets as a source of files.

use std::path::PathBuf;
use std::sync::Arc;

use shardpack_formats::Compression;
use shardpack_manifest::{Digest, Manifest};
use shardpack_store::{Error as StoreError, ErrorKind, FileId, Listing, Object, Sink, Source};

use super::arrange::arrange;
use super::bodies::Reading;
use super::catalog::{Catalog, Place};
use super::condition::by_condition;
use super::dedupe::{SameSamples, dedupe};
use super::index::{Bodies, Input, Looking};
use super::join::{Join, Lacking, Other, Settings, Table, With, check_columns};
use super::list::{Listed, Lister};
use super::merge::merge;
use super::scratch::Scratch;
use super::select::{Selection, by_hash, by_label_and_size};
use super::shards::Shards;
use crate::Result;
use crate::augmented::pour;
use crate::dataset::Dataset;
use crate::progress::{Progress, Stage};

/// How sources are listed and read.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Shards that are looked at side by side. Default: the cores.
    pub jobs: usize,
    /// Memory in bytes for looking at shards, and then a quarter of it for records that must be
    /// decoded. Default 512 MiB.
    pub memory: u64,
    /// Most reads in flight of bodies that are looked into. Default 64.
    pub io_depth: usize,
    /// A local folder for decompressed copies of compressed shards and for the values of a joined
    /// table. Default: the system's temporary folder.
    pub scratch: PathBuf,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            jobs: crate::dataset::cores(),
            memory: crate::dataset::MEMORY,
            io_depth: 64,
            scratch: std::env::temp_dir(),
        }
    }
}

/// The samples of one or more datasets, as files `KEY.FIELD`.
///
/// ```
/// use shardpack_pack::{
///     Dataset, DatasetSource, PackOptions, Progress, Selection, SourceOptions, pack, reshard,
/// };
/// use shardpack_store::{MemoryStore, MemoryTree, Source};
///
/// let files = MemoryTree::new([("cat/1.jpg", "meow"), ("dog/2.jpg", "woof")]);
/// let (tars, records) = (MemoryStore::new(), MemoryStore::new());
/// pack(&files, &tars, &PackOptions::default(), &Progress::default())?;
///
/// let inputs = vec![(Dataset::open(&tars)?, "tars".to_owned())];
/// let (all, how) = (Selection::default(), SourceOptions::default());
/// let source = DatasetSource::open(inputs, &all, &how, &Progress::default())?;
/// assert_eq!(source.listing().len(), 2);
///
/// let options = PackOptions { format: "tfrecord".into(), ..Default::default() };
/// let report = reshard(&source, &records, &options, &Progress::default())?;
/// assert!(report.same);
/// assert_eq!(Dataset::open(&records)?.format(), "tfrecord");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DatasetSource<'s> {
    /// The last one is that of a join, if a dataset is joined.
    pub(super) inputs: Vec<Input<'s>>,
    /// How many of them hold the samples.
    pub(super) left: usize,
    pub(super) catalog: Catalog,
    pub(super) shards: Shards,
    /// Length of what each shard's bodies are read from.
    pub(super) lens: Vec<u64>,
    pub(super) scratch: Option<Scratch>,
    pub(super) digest: Digest,
    /// Samples in the sources, deleted ones left out.
    pub(super) samples: u64,
    /// What is not as it was, and why.
    pub(super) notes: Vec<String>,
    /// Why header ids are not as they were.
    pub(super) ids_note: Option<&'static str>,
    pub(super) same_samples: Vec<SameSamples>,
}

impl<'s> DatasetSource<'s> {
    /// Lists the samples of `inputs`, each with the name that messages call it, that `selection`
    /// takes.
    ///
    /// Nothing but indexes is read of datasets that have them, each distinct label that is a field,
    /// and the bodies that `selection` looks into. Shards without are decoded from end to end. Fails
    /// with [`Shard`] or [`Record`] at damage, with [`Refused`] for keys of several samples, and with
    /// [`Usage`] for a selection that cannot be.
    ///
    /// [`Shard`]: crate::Error::Shard
    /// [`Record`]: crate::Error::Record
    /// [`Refused`]: crate::Error::Refused
    /// [`Usage`]: crate::Error::Usage
    pub fn open(
        inputs: Vec<(Dataset<'s>, String)>,
        selection: &Selection,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<Self> {
        Self::open_with(inputs, None, selection, options, progress)
    }

    /// The same, with the fields that `join` adds. The selection says what is taken of `inputs`, and
    /// may look into what is added.
    ///
    /// Fails with [`Refused`] for keys that the other side has twice, for fields that samples
    /// have already, and for samples or rows without a partner where that is an error; with
    /// [`Usage`] for a table that is none.
    ///
    /// ```
    /// use shardpack_pack::{
    ///     Dataset, DatasetSource, Join, Missing, PackOptions, Progress, Selection, SourceOptions, Table,
    ///     TableKind, With, pack,
    /// };
    /// use shardpack_store::{MemoryStore, MemoryTree, PutMode, Source, Store};
    ///
    /// let files = MemoryTree::new([("1.jpg", "meow"), ("2.jpg", "woof")]);
    /// let store = MemoryStore::new();
    /// pack(&files, &store, &PackOptions::default(), &Progress::default())?;
    /// let tables = MemoryStore::new();
    /// tables.put("t.csv", b"key,caption\n1,a cat\n", PutMode::Create)?;
    ///
    /// let table = Table {
    ///     object: tables.open("t.csv")?.into(),
    ///     kind: TableKind::Csv,
    ///     on: None,
    ///     as_json: None,
    /// };
    /// let join = Join {
    ///     with: With::Table(table),
    ///     name: "t.csv".to_owned(),
    ///     columns: Vec::new(),
    ///     missing: Missing::Left,
    ///     unused_is_error: false,
    /// };
    /// let inputs = vec![(Dataset::open(&store)?, "images".to_owned())];
    /// let (all, how) = (Selection::default(), SourceOptions::default());
    /// let source = DatasetSource::join(inputs, join, &all, &how, &Progress::default())?;
    /// let mut names: Vec<String> = source.listing().iter().map(|file| file.display()).collect();
    /// names.sort();
    /// assert_eq!(names, ["1.caption.txt", "1.jpg", "2.jpg"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Refused`]: crate::Error::Refused
    /// [`Usage`]: crate::Error::Usage
    pub fn join(
        inputs: Vec<(Dataset<'s>, String)>,
        join: Join<'s>,
        selection: &Selection,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<Self> {
        check_columns(&join.columns)?;
        Self::open_with(inputs, Some(join), selection, options, progress)
    }

    fn open_with(
        inputs: Vec<(Dataset<'s>, String)>,
        join: Option<Join<'s>>,
        selection: &Selection,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<Self> {
        selection.check()?;
        progress.enter(Stage::Plan);
        let left = inputs.len();
        let (inputs, table, settings) = number(inputs, join);
        let shards = || inputs.iter().flat_map(|input| input.dataset.shards());
        let packed = shards().any(|shard| shard.compression != Compression::None);
        let scratch = match packed || table.is_some() {
            true => Some(Scratch::new(&options.scratch)?),
            false => None,
        };
        let shards =
            Shards::new(shards().count() + usize::from(table.is_some()), options.memory / 4);
        let looking = Looking {
            jobs: options.jobs,
            memory: options.memory,
            label_fields: selection.label_fields,
            scratch: scratch.as_ref(),
            shards: &shards,
            bodies: &Bodies::default(),
            progress,
        };
        let added = match &settings {
            Some(settings) => {
                Some(other(&inputs[left..], &inputs, table.as_ref(), settings, &looking)?)
            }
            None => None,
        };
        let table_name = table.as_ref().and(settings.as_ref()).map(|s| s.name.as_str());
        let mut lister = Lister::new(selection, &inputs, table_name)?;
        let (other, lens) = added.unzip();
        lister.join = other.zip(settings.as_ref());
        for input in &inputs[..left] {
            lister.input(input, &looking)?;
        }
        let mut listed = lister.finish()?;
        progress.reset();
        if let Some(lens) = lens {
            // The other side's shards are the last ones.
            let own: usize = inputs[..left].iter().map(|i| i.dataset.shards().len()).sum();
            listed.lens.truncate(own);
            listed.lens.extend(lens.into_iter().skip(own));
        }
        let Listed { catalog, digest, samples, lens, lacking } = listed;
        let mut source = Self {
            inputs,
            left,
            catalog,
            shards,
            lens,
            scratch,
            digest,
            samples,
            notes: Vec::new(),
            ids_note: None,
            same_samples: Vec::new(),
        };
        source.choose(selection, settings.map(|join| (join, lacking)), options, progress)?;
        Ok(source)
    }

    /// Leaves out what the selection does not take, and arranges the rest.
    fn choose(
        &mut self,
        selection: &Selection,
        join: Option<(Settings, Lacking)>,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<()> {
        let reading = Reading { depth: options.io_depth, memory: options.memory / 4, progress };
        merge(&mut self.catalog, selection.duplicates)?;
        by_label_and_size(&mut self.catalog, selection);
        by_condition(self, selection, reading)?;
        let mut described = selection.describe();
        if let Some((join, lacking)) = join {
            lacking.settle(&mut self.catalog, &join)?;
            described.extend([join.describe()]);
            self.notes.push(format!("fields were added from {}", join.name));
        }
        dedupe(self, selection.dedupe.as_ref(), reading)?;
        by_hash(&mut self.catalog, selection);
        settle_ids(self);
        arrange(self, selection, reading)?;
        self.catalog.described = described;
        Ok(())
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// Digest of all samples of the sources that are not deleted.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Groups of samples that are the same, of which one was taken, in the order of keys: what
    /// [`Selection::dedupe`] found.
    pub fn same_samples(&self) -> &[SameSamples] {
        &self.same_samples
    }

    /// Number of shards that are read.
    pub(super) fn shard_count(&self) -> usize {
        self.lens.len()
    }

    /// Opens what the bodies of a shard are read from.
    pub(super) fn object(&self, shard: u32) -> shardpack_store::Result<Arc<dyn Object>> {
        let len = self.lens[shard as usize];
        match &self.scratch {
            Some(scratch) if self.catalog.table == Some(shard) => {
                let place = (scratch.store(), &*Scratch::key(shard));
                self.shards.open(shard, place, len, self.catalog.name(shard))
            }
            scratch => {
                let (input, number) = self.input(shard);
                input.open(number, (&self.shards, scratch.as_ref()), len)
            }
        }
    }

    /// Fails when a source's manifest is no longer what it was: samples may have been deleted, or
    /// all of it written anew.
    pub(super) fn unchanged(&self) -> Result<()> {
        for input in &self.inputs {
            let Some(then) = input.dataset.manifest() else { continue };
            let bytes =
                shardpack_dataset::read(input.dataset.store(), shardpack_dataset::MANIFEST)?;
            if Manifest::parse(&bytes).ok().as_ref() != Some(then) {
                let what = "its manifest is not the one that was read".to_owned();
                let name = format!("{}/{}", input.name, shardpack_dataset::MANIFEST);
                return Err(StoreError::new(ErrorKind::Changed { what }, name).into());
            }
        }
        Ok(())
    }

    /// The input that a shard belongs to, and its number there.
    pub(super) fn input(&self, shard: u32) -> (&Input<'s>, usize) {
        let at = self.inputs.partition_point(|input| input.first <= shard).saturating_sub(1);
        // An input without shards starts where the next one does.
        (&self.inputs[at], (shard - self.inputs[at].first) as usize)
    }
}

/// Numbers the shards of all inputs, those of a joined dataset last.
pub(super) fn number<'s>(
    inputs: Vec<(Dataset<'s>, String)>,
    join: Option<Join<'s>>,
) -> (Vec<Input<'s>>, Option<Table>, Option<Settings>) {
    let mut all = inputs;
    let (mut table, mut settings) = (None, None);
    if let Some(Join { with, name, columns, missing, unused_is_error }) = join {
        match with {
            With::Dataset(dataset) => all.push((*dataset, name.clone())),
            With::Table(rows) => table = Some(rows),
        }
        settings = Some(Settings { name, columns, missing, unused_is_error });
    }
    let mut first = 0;
    let number = |(dataset, name): (Dataset<'s>, String)| {
        let input = Input { first, name, dataset };
        first += input.dataset.shards().len() as u32;
        input
    };
    (all.into_iter().map(number).collect(), table, settings)
}

/// Lists what is added: the samples of `right`, or the rows of a table. Gives the lengths of all
/// shards too.
pub(super) fn other(
    right: &[Input<'_>],
    inputs: &[Input<'_>],
    table: Option<&Table>,
    settings: &Settings,
    looking: &Looking<'_>,
) -> Result<(Other, Vec<u64>)> {
    let selection = settings.selection();
    let mut lister = Lister::new(&selection, inputs, table.map(|_| settings.name.as_str()))?;
    let word = match (table, looking.scratch) {
        (Some(table), Some(scratch)) => {
            lister.table(table, settings, scratch)?;
            "rows"
        }
        _ => {
            right.iter().try_for_each(|input| lister.input(input, looking))?;
            "samples"
        }
    };
    let without = lister.fieldless;
    let listed = lister.finish()?;
    Ok((Other::new(listed.catalog, (&settings.name, word), without)?, listed.lens))
}

/// Header ids are carried where every input has them and no two samples share one.
fn settle_ids(source: &mut DatasetSource<'_>) {
    let had = source.inputs.iter().take(source.left).any(|i| i.dataset.format() == "recordio");
    let catalog = &mut source.catalog;
    let keep = !catalog.ids().is_empty() && !catalog.ids_collide();
    catalog.settle_ids(keep);
    source.ids_note = (had && !keep)
        .then_some("header ids are given anew: not all samples have one of their own");
}

impl Source for DatasetSource<'_> {
    fn listing(&self) -> &Listing {
        self.catalog.listing()
    }

    /// Whether a body is the one that was listed only its crc32c can tell: packing compares it. A
    /// body whose record is decoded was compared already.
    fn fetch(
        &self,
        file: FileId,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> shardpack_store::Result<()> {
        let listed = self.listing().file(file);
        if start.checked_add(len).is_none_or(|end| end > listed.len) {
            let reason = format!("no bytes {start}+{len} in a field of {}", listed.len);
            return Err(StoreError::new(ErrorKind::Invalid { reason }, listed.display()));
        }
        let shard = self.catalog.shard(file);
        let object = self.object(shard)?;
        let (whole, stored) = match self.catalog.place(file) {
            Place::At(offset) => {
                let (at, end) = (offset + start, offset + start + len);
                let ended = shardpack_store::pour_at(&*object, at..end, sink)?;
                return match ended == end {
                    true => Ok(()),
                    false => {
                        let reason = format!("the shard ends at {ended}, before the body does");
                        Err(self.catalog.broken(file, reason).into_store())
                    }
                };
            }
            Place::In(whole, stored) => (whole, stored),
        };
        let object = (&*object, self.catalog.name(shard));
        let take = |body: &[u8]| {
            let range = start as usize..(start + len) as usize;
            pour(body.get(range).unwrap_or_default(), sink)
        };
        let crc = listed.stamp as u32;
        let (input, _) = self.input(shard);
        match self.shards.decoded(&input.dataset, object, (whole, stored), crc, take)? {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.catalog.broken(file, reason).into_store()),
        }
    }

    /// Each source with the digest of its samples: what a killed run must agree with.
    fn describe(&self) -> String {
        let each = self.inputs.iter().map(|input| match input.dataset.manifest() {
            Some(manifest) => format!("{} (digest {})", input.name, manifest.digest),
            None => format!("{} (no manifest)", input.name),
        });
        each.collect::<Vec<_>>().join(", ")
    }
}
