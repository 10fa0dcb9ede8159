//! What is added to each record of a dataset, from its indexes.

use shardpack_formats::{Compression, Label};
use shardpack_manifest::{Base, Digest, Index, IndexRecord, Manifest, SampleHasher};
use shardpack_store::Source;

use super::Over;
use crate::dataset::Dataset;
use crate::error::Offenders;
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::reshard::catalog::{Catalog, CatalogBuilder, NewField, NewSample, Record};
use crate::reshard::index::{Bodies, Input, Looking};
use crate::reshard::join::{Join, Missing, Other, Settings, check_columns};
use crate::reshard::scratch::Scratch;
use crate::reshard::shards::Shards;
use crate::reshard::source::{DatasetSource, SourceOptions, number, other};
use crate::{Error, Result};

/// What a join adds to the samples of a dataset, record by record.
///
/// ```
/// use shardpack_pack::{
///     Dataset, Join, Missing, OverlaySource, PackOptions, Progress, SourceOptions, Table, TableKind,
///     With, overlay, pack,
/// };
/// use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};
///
/// let files = MemoryTree::new([("1.jpg", "meow"), ("2.jpg", "woof")]);
/// let (images, captions, tables) = (MemoryStore::new(), MemoryStore::new(), MemoryStore::new());
/// pack(&files, &images, &PackOptions::default(), &Progress::default())?;
/// tables.put("t.csv", b"key,caption\n1,a cat\n2,a dog\n", PutMode::Create)?;
/// let object = tables.open("t.csv")?.into();
/// let table = Table { object, kind: TableKind::Csv, on: None, as_json: None };
/// let join = Join {
///     with: With::Table(table),
///     name: "t.csv".to_owned(),
///     columns: Vec::new(),
///     missing: Missing::Error,
///     unused_is_error: false,
/// };
///
/// let base = (Dataset::open(&images)?, "images".to_owned());
/// let (place, how) = (Some("../images".to_owned()), SourceOptions::default());
/// let source = OverlaySource::open(base, join, place, &how, &Progress::default())?;
/// overlay(&source, &captions, &PackOptions::default(), &Progress::default())?;
///
/// let made = Dataset::open(&captions)?;
/// let manifest = made.manifest().unwrap();
/// assert!(manifest.fields.keys().eq(["caption.txt"]));
/// let images = Dataset::open(&images)?;
/// assert_eq!(manifest.base.as_ref().unwrap().differs(images.manifest().unwrap()), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OverlaySource<'s>(DatasetSource<'s>);

impl<'s> OverlaySource<'s> {
    /// Lists what `join` adds to each record of `base`, a dataset with the name that messages call it.
    /// `place` is where it is, seen from the overlay.
    ///
    /// Fails as [`DatasetSource::join`] does; with [`Error::Usage`] where the base has no manifest, is an
    /// overlay itself, or has a shard without samples, and for [`Missing::Inner`], as an overlay leaves
    /// no sample out; with [`Error::Refused`] for fields of a name that any sample of the base has.
    pub fn open(
        base: (Dataset<'s>, String),
        join: Join<'s>,
        place: Option<String>,
        options: &SourceOptions,
        progress: &Progress,
    ) -> Result<Self> {
        check_columns(&join.columns)?;
        let manifest = usable(&base.0, &base.1, &join)?.clone();
        progress.enter(Stage::Plan);
        let (inputs, table, settings) = number(vec![base], Some(join));
        let Some((settings, [input, right @ ..])) = settings.as_ref().zip(Some(&inputs[..])) else {
            return Err(Error::Usage("nothing to add".into())); // a join has settings
        };
        let packed = |input: &Input<'_>| {
            input.dataset.shards().iter().any(|shard| shard.compression != Compression::None)
        };
        let scratch = match table.is_some() || right.iter().any(packed) {
            true => Some(Scratch::new(&options.scratch)?),
            false => None,
        };
        let count: usize = inputs.iter().map(|input| input.dataset.shards().len()).sum();
        let shards = Shards::new(count + usize::from(table.is_some()), options.memory / 4);
        let looking = Looking {
            jobs: options.jobs,
            memory: options.memory,
            label_fields: false,
            scratch: scratch.as_ref(),
            shards: &shards,
            bodies: &Bodies::default(),
            progress,
        };
        let (added, lens) = other(right, &inputs, table.as_ref(), settings, &looking)?;
        let mut builder = CatalogBuilder::new();
        for input in &inputs {
            (0..input.dataset.shards().len()).for_each(|i| builder.shard(input.shard_name(i)));
        }
        if table.is_some() {
            builder.table(settings.name.clone());
        }
        let mut records = Records::new(builder, added, settings, &manifest);
        records.of(input, options.jobs, progress)?;
        progress.reset();
        let (samples, digest) = (records.live, records.digest);
        let mut catalog = records.finish()?;
        catalog.over = Some(Over { base: Base::of(&manifest, digest, place), manifest });
        catalog.described = [settings.describe()].into();
        Ok(Self(DatasetSource {
            inputs,
            left: 1,
            catalog,
            shards,
            lens,
            scratch,
            digest,
            samples,
            notes: Vec::new(),
            ids_note: None,
            same_samples: Vec::new(),
        }))
    }

    /// What it is packed from.
    pub fn as_source(&self) -> &dyn Source {
        &self.0
    }

    pub(super) fn source(&self) -> &DatasetSource<'s> {
        &self.0
    }

    /// What messages call the base.
    pub(super) fn name(&self) -> &str {
        self.0.inputs.first().map_or("", |input| input.name.as_str())
    }

    pub(super) fn over(&self) -> Result<&Over> {
        self.0.catalog().over.as_ref().ok_or_else(|| Error::Usage("it lies over nothing".into()))
    }
}

/// The manifest of a dataset that an overlay may lie over.
fn usable<'d>(base: &'d Dataset<'_>, name: &str, join: &Join<'_>) -> Result<&'d Manifest> {
    let usage = |what: String| Err(Error::Usage(what));
    if join.missing == Missing::Inner {
        return usage(
            "--missing inner: an overlay leaves no sample out; mark those with `shardpack delete`, or make new shards without --overlay".into(),
        );
    }
    let Some(manifest) = base.manifest() else {
        return usage(format!(
            "{name}: an overlay lies over what a manifest tells, and there is none; `shardpack index` makes one"
        ));
    };
    if let Some(below) = &manifest.base {
        let place = below.place.as_deref().unwrap_or("what it lies over");
        return usage(format!("{name}: is an overlay itself; lay this one over {place} as well"));
    }
    match manifest.shards.iter().find(|shard| shard.samples == 0) {
        Some(shard) => usage(format!(
            "{name}: {} has no samples, and such a shard cannot be packed; reshard it first",
            shard.path
        )),
        None => Ok(manifest),
    }
}

/// The records of the base, one after another.
struct Records<'j> {
    builder: CatalogBuilder,
    added: Other,
    join: &'j Settings,
    base: &'j Manifest,
    /// Live samples without a partner.
    lacking: Offenders,
    clashing: Offenders,
    digest: Digest,
    live: u64,
}

impl<'j> Records<'j> {
    fn new(builder: CatalogBuilder, added: Other, join: &'j Settings, base: &'j Manifest) -> Self {
        let (lacking, clashing, digest, live) = Default::default();
        Self { builder, added, join, base, lacking, clashing, digest, live }
    }

    /// Goes through the indexes, a few of which are in memory at a time.
    fn of(&mut self, input: &Input<'_>, jobs: usize, progress: &Progress) -> Result<()> {
        let numbers: Vec<usize> = (0..self.base.shards.len()).collect();
        for numbers in numbers.chunks(jobs.max(1)) {
            let look = |i: usize| shardpack_dataset::index(&input.dataset, numbers[i]);
            let found = each(numbers.len(), jobs, progress, |i| Ok(look(i)?))?;
            for (&number, index) in numbers.iter().zip(found) {
                self.shard(input, number, &index.ok_or_else(|| no_index(input, number))?)?;
            }
        }
        Ok(())
    }

    fn shard(&mut self, input: &Input<'_>, number: usize, index: &Index<'_>) -> Result<()> {
        let mut hasher = SampleHasher::default();
        for (i, record) in (0u32..).zip(index.iter()) {
            let place = Record { shard: number as u32, number: i, place: (0, 0) };
            if input.dataset.is_deleted(number, u64::from(i), record.key) {
                // A row belongs to a live sample; one of its key has it all the same.
                let found = self.added.look(record.key);
                self.record(&record, place, found)?;
                continue;
            }
            self.live += 1;
            self.digest += hasher.digest_record(&record);
            let found = self.added.find(record.key);
            if found.is_none() && self.join.missing == Missing::Error {
                self.lacking
                    .add(|| format!("{:?}: {} record {i}", record.key, input.shard_name(number)));
            }
            self.record(&record, place, found)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &IndexRecord<'_>,
        place: Record,
        found: Option<usize>,
    ) -> Result<()> {
        let mut fields: Vec<NewField<'_>> = match found {
            Some(found) => self.added.fields(found).collect(),
            None => vec![bare(place)],
        };
        fields.sort_by_key(|field| field.name);
        if let Some(field) = fields.iter().find(|field| self.base.fields.contains_key(field.name)) {
            self.clashing.add(|| format!("{}: {}", record.key, field.name));
        }
        let (key, id) = (record.key, Some(record.id));
        self.builder.push(&NewSample { key, label: Label::default(), id, fields: &fields })
    }

    fn finish(self) -> Result<Catalog> {
        let name = &self.join.name;
        self.clashing.refuse(
            "the dataset has fields of these names already, and an overlay replaces none; give what is added another name with --column NAME=FIELD or --as json=FIELD",
        )?;
        self.lacking.refuse(format!(
            "--with {name} has nothing for these samples; --missing left adds nothing to them"
        ))?;
        let unused = self.added.unused(self.join.unused_is_error)?;
        Ok(self.builder.finish(unused))
    }
}

/// Tells the key of a sample that nothing is added to.
fn bare(from: Record) -> NewField<'static> {
    NewField {
        name: "",
        hidden: true,
        from,
        offset: Some(0),
        len: 0,
        crc32c: 0,
        number: 0,
        stored: "",
        original: None,
    }
}

fn no_index(input: &Input<'_>, number: usize) -> Error {
    Error::Shard { shard: input.shard_name(number), reason: "it has no index".into() }
}
