//! Datasets as a source of files.

use std::path::PathBuf;

use shardpack_formats::Compression;
use shardpack_manifest::{Digest, Manifest};
use shardpack_store::{Error as StoreError, ErrorKind, FileId, Listing, Sink, Source};

use super::catalog::{Catalog, CatalogBuilder, NewField, NewSample, Place};
use super::index::{Bodies, Input, Looking, ShardIndex, is_label};
use super::merge::merge;
use super::scratch::Scratch;
use super::select::{ByKey, Selection, by_hash, by_label_and_size};
use super::shards::Shards;
use crate::augmented::pour;
use crate::dataset::{Dataset, skipped_rows};
use crate::error::Offenders;
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::{Error, Result};

/// How sources are listed and read.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Shards that are looked at side by side. Default: the cores.
    pub jobs: usize,
    /// Memory in bytes for looking at shards, and then a quarter of it for records that must be
    /// decoded. Default 512 MiB.
    pub memory: u64,
    /// A local folder for decompressed copies of compressed shards. Default: the system's temporary
    /// folder.
    pub scratch: PathBuf,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            jobs: crate::dataset::cores(),
            memory: crate::dataset::MEMORY,
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
    pub(super) inputs: Vec<Input<'s>>,
    catalog: Catalog,
    shards: Shards,
    /// Length of what each shard's bodies are read from.
    lens: Vec<u64>,
    scratch: Option<Scratch>,
    pub(super) digest: Digest,
    /// Samples in the sources, deleted ones left out.
    pub(super) samples: u64,
    /// What is not as it was, and why.
    pub(super) notes: Vec<String>,
}

impl<'s> DatasetSource<'s> {
    /// Lists the samples of `inputs`, each with the name that messages call it, that `selection`
    /// takes.
    ///
    /// Nothing but indexes is read of datasets that have them (and each distinct label that is a
    /// field). Shards without are decoded from end to end. Fails with [`Error::Shard`] or
    /// [`Error::Record`] at damage, with [`Error::Refused`] for keys of several samples, and with
    /// [`Error::Usage`] for a selection that cannot be.
    pub fn open(
        inputs: Vec<(Dataset<'s>, String)>,
        selection: &Selection,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<Self> {
        selection.check()?;
        progress.enter(Stage::Plan);
        let mut first = 0;
        let inputs: Vec<Input<'s>> = (inputs.into_iter())
            .map(|(dataset, name)| {
                let input = Input { first, name, dataset };
                first += input.dataset.shards().len() as u32;
                input
            })
            .collect();
        let shards = || inputs.iter().flat_map(|input| input.dataset.shards());
        let scratch = match shards().any(|shard| shard.compression != Compression::None) {
            true => Some(Scratch::new(&options.scratch)?),
            false => None,
        };
        let shards = Shards::new(shards().count(), options.memory / 4);
        let mut lister = Lister::new(selection)?;
        let looking = Looking {
            jobs: options.jobs,
            memory: options.memory,
            label_fields: selection.label_fields,
            scratch: scratch.as_ref(),
            shards: &shards,
            bodies: &Bodies::default(),
            progress,
        };
        for input in &inputs {
            lister.input(input, &looking)?;
        }
        let Listed { mut catalog, lens, digest, samples } = lister.finish()?;
        progress.reset();
        merge(&mut catalog, selection.duplicates)?;
        by_label_and_size(&mut catalog, selection);
        by_hash(&mut catalog, selection);
        let notes = settle_ids(&mut catalog, &inputs);
        catalog.described = selection.describe();
        Ok(Self { inputs, catalog, shards, lens, scratch, digest, samples, notes })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Digest of all samples of the sources that are not deleted.
    pub fn digest(&self) -> Digest {
        self.digest
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
    fn input(&self, shard: u32) -> (&Input<'s>, usize) {
        let at = self.inputs.partition_point(|input| input.first <= shard).saturating_sub(1);
        // An input without shards starts where the next one does.
        (&self.inputs[at], (shard - self.inputs[at].first) as usize)
    }
}

/// Header ids are carried where every input has them and no two samples share one.
fn settle_ids(catalog: &mut Catalog, inputs: &[Input<'_>]) -> Vec<String> {
    let had = inputs.iter().any(|input| input.dataset.format() == "recordio");
    let keep = !catalog.ids().is_empty() && !catalog.ids_collide();
    catalog.settle_ids(keep);
    match had && !keep {
        true => vec!["header ids are given anew: not all samples have one of their own".into()],
        false => Vec::new(),
    }
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
        let (input, number) = self.input(shard);
        let scratch = (&self.shards, self.scratch.as_ref());
        let object = input.open(number, scratch, self.lens[shard as usize])?;
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

/// Goes through the indexes, input after input.
struct Lister<'a> {
    selection: &'a Selection,
    by_key: ByKey,
    builder: CatalogBuilder,
    lens: Vec<u64>,
    digest: Digest,
    samples: u64,
    deleted: u64,
    fieldless: u64,
    clashing: Offenders,
    skipped: Vec<(String, u64)>,
}

struct Listed {
    catalog: Catalog,
    lens: Vec<u64>,
    digest: Digest,
    samples: u64,
}

impl<'a> Lister<'a> {
    fn new(selection: &'a Selection) -> Result<Self> {
        Ok(Self {
            selection,
            by_key: ByKey::new(selection)?,
            builder: CatalogBuilder::new(),
            lens: Vec::new(),
            digest: Digest::default(),
            samples: 0,
            deleted: 0,
            fieldless: 0,
            clashing: Offenders::default(),
            skipped: Vec::new(),
        })
    }

    /// Lists the samples of one input. A few indexes are in memory at a time.
    fn input(&mut self, input: &Input<'_>, looking: &Looking<'_>) -> Result<()> {
        let shards = input.dataset.shards();
        if let Some(labels) = input.dataset.manifest().and_then(|m| m.labels.as_ref())
            && !self.selection.drop_labels
        {
            self.builder.classes(&labels.classes, &input.name)?;
        }
        for (number, shard) in shards.iter().enumerate() {
            self.builder.shard(input.shard_name(number));
            self.lens.push(shard.bytes);
        }
        let wanted = self.splits(input)?;
        let mut skipped = Vec::new();
        for numbers in wanted.chunks(looking.jobs.max(1)) {
            let work = |i: usize| input.look(numbers[i], looking);
            let found = each(numbers.len(), looking.jobs, looking.progress, work)?;
            for (&number, shard) in numbers.iter().zip(found) {
                self.shard(input, number, &shard)?;
                skipped.push(shard.skipped);
            }
        }
        self.skipped.extend(skipped_rows(&skipped));
        Ok(())
    }

    /// Numbers of the shards whose split is wanted.
    fn splits(&self, input: &Input<'_>) -> Result<Vec<usize>> {
        let shards = input.dataset.shards();
        let wanted = &self.selection.splits;
        let is_wanted = |split: &Option<String>| {
            wanted.is_empty() || split.as_ref().is_some_and(|split| wanted.contains(split))
        };
        let numbers: Vec<usize> =
            (0..shards.len()).filter(|i| is_wanted(&shards[*i].split)).collect();
        if numbers.is_empty() && !shards.is_empty() {
            let mut there: Vec<&str> = shards.iter().filter_map(|s| s.split.as_deref()).collect();
            there.dedup();
            let there = match there.is_empty() {
                true => "it is not split".to_owned(),
                false => format!("it has {}", there.join(", ")),
            };
            return Err(Error::NotFound(format!(
                "--split-from {}: {} has no such split; {there}",
                wanted.join(","),
                input.name
            )));
        }
        Ok(numbers)
    }

    fn shard(&mut self, input: &Input<'_>, number: usize, shard: &ShardIndex) -> Result<()> {
        let global = input.first + number as u32;
        self.lens[global as usize] = shard.len;
        let name = input.shard_name(number);
        let is_deleted = |i: usize, key: &str| input.dataset.is_deleted(number, i as u64, key);
        self.digest += shard.digest(&name, |i, key| !is_deleted(i, key))?;
        let ids = input.dataset.format() == "recordio";
        for (i, record) in shard.index.iter().enumerate() {
            if is_deleted(i, record.key) {
                self.deleted += 1;
                continue;
            }
            self.samples += 1;
            if !self.by_key.takes(record.key) {
                continue;
            }
            let any = self.selection.label_fields;
            let carried = shard.label(i, &record, any);
            let is_field =
                |name: &str| carried.is_none() || !is_label(&shard.names, i as u64, name, any);
            let mut fields = Vec::new();
            for (number, field) in (0..).zip(record.fields.clone()) {
                if !is_field(field.name) || !self.selection.takes(field.name) {
                    continue;
                }
                let name = self.selection.renamed(field.name);
                let original = match shard.names.is_empty() || name != field.name {
                    true => None,
                    false => shard.names.get(&(i as u64, field.name.to_owned())),
                };
                fields.push(NewField {
                    name,
                    offset: field.offset,
                    len: field.len,
                    crc32c: field.crc32c,
                    number,
                    stored: field.name,
                    original: original.map(Option::as_deref),
                });
            }
            fields.sort_by_key(|field| field.name);
            if let Some(pair) = fields.windows(2).find(|pair| pair[0].name == pair[1].name) {
                let (a, b) = (pair[0].stored, pair[1].stored);
                self.clashing
                    .add(|| format!("{}: {a} and {b} would be {}", record.key, pair[0].name));
            }
            if fields.is_empty() {
                self.fieldless += 1;
                continue;
            }
            let label = match self.selection.drop_labels {
                true => Default::default(),
                false => carried.unwrap_or_else(|| record.label.to_label()),
            };
            self.builder.push(&NewSample {
                key: record.key,
                label,
                id: ids.then_some(record.id),
                shard: global,
                record: i as u32,
                place: (record.offset, record.len),
                fields: &fields,
            })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Listed> {
        self.clashing.refuse(
            "two fields of a sample would have one name; change --rename, or leave one out",
        )?;
        let counted = [
            ("samples that are deleted in the source".to_owned(), self.deleted),
            ("samples without a field that is taken".to_owned(), self.fieldless),
        ];
        self.skipped.extend(counted.into_iter().filter(|(_, count)| *count > 0));
        self.skipped.extend(self.by_key.skipped());
        let catalog = self.builder.finish(self.skipped);
        Ok(Listed { catalog, lens: self.lens, digest: self.digest, samples: self.samples })
    }
}
