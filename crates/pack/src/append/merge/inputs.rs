//! Datasets that fit together, and the manifest of the one that they become.

use std::collections::{BTreeMap, BTreeSet};

use shardpack_manifest::{
    Digest, Event, Fingerprint, Labels, Manifest, Order, Row, Shard, Sidecar, Version,
};
use shardpack_store::{PutMode, Store};
use xxhash_rust::xxh3::Xxh3;

use super::super::head::{Place, digest_at};
use super::super::twice::{Twice, twice};
use super::MergeOptions;
use super::copy::copy;
use crate::dataset::Dataset;
use crate::error::Offenders;
use crate::name::Template;
use crate::options::PackOptions;
use crate::plan::WHOLE;
use crate::progress::Progress;
use crate::publish::LABELS;
use crate::reshard::Duplicates;
use crate::sources::sources_path;
use crate::staging::{self, Identity, index_path, staged};
use crate::{Error, Result};

/// A shard of an input, and what it is called in the new dataset.
pub(super) struct Taken {
    input: usize,
    shard: usize,
    split: Option<String>,
    path: String,
}

/// The datasets, which fit together.
pub(super) struct Inputs<'a> {
    all: Vec<(&'a Dataset<'a>, &'a Manifest, &'a str)>,
    classes: BTreeMap<String, u64>,
}

impl<'a> Inputs<'a> {
    pub(super) fn of(inputs: &'a [(Dataset<'a>, String)]) -> Result<Self> {
        let mut all = Vec::new();
        for (dataset, name) in inputs {
            let manifest = dataset.manifest().ok_or_else(|| {
                Error::Usage(format!("{name}: there is no manifest; `shardpack index` makes one"))
            })?;
            all.push((dataset, manifest, name.as_str()));
        }
        let Some(((_, first, name), rest)) = all.split_first() else {
            return Err(Error::Usage("there is no dataset to merge".into()));
        };
        for (_, manifest, other) in rest {
            fits(first, name, manifest, other)?;
        }
        let mut classes: BTreeMap<String, u64> = BTreeMap::new();
        for (_, manifest, name) in &all {
            for (class, &id) in manifest.labels.iter().flat_map(|labels| &labels.classes) {
                let known = classes.iter().find(|(c, i)| *c == class || **i == id);
                match known {
                    Some((other, &at)) if other != class || at != id => {
                        return Err(Error::Usage(format!(
                            "class {class:?} is {id} in {name}, but {other:?} is {at} in a dataset before it: their labels mean different things; pack one of them with the other's ids (--labels csv:FILE with a column of numbers), or leave labels behind with `shardpack reshard --drop-labels`"
                        )));
                    }
                    Some(_) => {}
                    None => drop(classes.insert(class.clone(), id)),
                }
            }
        }
        Ok(Self { all, classes })
    }

    /// All shards in the new order: split by split, input by input.
    pub(super) fn taken(&self, options: &MergeOptions) -> Result<Vec<Taken>> {
        let mut splits: Vec<Option<&str>> = Vec::new();
        for (_, manifest, _) in &self.all {
            for shard in &manifest.shards {
                if !splits.contains(&shard.split.as_deref()) {
                    splits.push(shard.split.as_deref());
                }
            }
        }
        let name = self.name(options)?;
        let mut taken = Vec::new();
        for split in splits {
            let first = taken.len();
            for (input, (_, manifest, _)) in self.all.iter().enumerate() {
                let of_split = manifest.shards.iter().enumerate();
                let of_split = of_split.filter(|(_, shard)| shard.split.as_deref() == split);
                taken.extend(of_split.map(|(shard, row)| Taken {
                    input,
                    shard,
                    split: row.split.clone(),
                    path: String::new(),
                }));
            }
            let (count, ext) = (taken.len() - first, self.extension()?);
            for (number, shard) in taken.iter_mut().skip(first).enumerate() {
                let name = name.render(split.unwrap_or(WHOLE), number, count, &ext);
                shard.path = match split {
                    None => format!("shards/{name}"),
                    Some(split) => format!("shards/{split}/{name}"),
                };
            }
        }
        Ok(taken)
    }

    fn name(&self, options: &MergeOptions) -> Result<Template> {
        let noted = self.all.first().and_then(|(_, manifest, _)| manifest.options.get("name"));
        match (&options.name, noted) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(noted)) => noted.parse(),
            (None, None) => Ok(Template::default()),
        }
    }

    fn extension(&self) -> Result<String> {
        let Some((dataset, manifest, _)) = self.all.first() else { return Ok(String::new()) };
        let format = dataset.codec().extension();
        Ok(match manifest.compression.extension() {
            None => format.to_owned(),
            Some(compressed) => format!("{format}.{compressed}"),
        })
    }

    /// Samples that give way to others of the same key: number of the input, and place there.
    pub(super) fn dead(&self, options: &MergeOptions) -> Result<Vec<(usize, String, Place)>> {
        let datasets: Vec<&Dataset<'_>> = self.all.iter().map(|(dataset, ..)| *dataset).collect();
        let mut dead = Vec::new();
        let mut refused = Offenders::default();
        for Twice { key, places } in twice(&datasets, options.jobs)? {
            let kept = match options.duplicates {
                Duplicates::First => 0,
                Duplicates::Last => places.len().saturating_sub(1),
                Duplicates::Error => {
                    let names: Vec<_> = places
                        .iter()
                        .filter_map(|(input, _)| Some(self.all.get(*input)?.2))
                        .collect();
                    refused.add(|| format!("{key:?}: {}", names.join(", ")));
                    continue;
                }
            };
            let others = places.iter().enumerate().filter(|(i, _)| *i != kept);
            dead.extend(others.map(|(_, (input, place))| (*input, key.clone(), *place)));
        }
        refused.refuse(
            "keys must be unique in a dataset; choose with --duplicates first or last: the others are marked as deleted",
        )?;
        Ok(dead)
    }

    /// The manifest, and how many samples are newly marked as deleted.
    pub(super) fn manifest(
        &self,
        taken: &[Taken],
        dead: &[(usize, String, Place)],
        options: &MergeOptions,
    ) -> Result<(Manifest, u64)> {
        let Some((_, first, _)) = self.all.first() else {
            return Err(Error::Usage("there is no dataset to merge".into()));
        };
        let same_order = self.all.iter().all(|(_, m, _)| m.order == first.order);
        let order = if same_order { first.order } else { Order::Source };
        let mut manifest = Manifest::new(first.format.clone(), order);
        manifest.compression = first.compression;
        manifest.options = self.options(options);
        for shard in taken {
            let row = self.row(shard)?;
            manifest.push(row.0, &row.1)?;
        }
        for (_, source, _) in &self.all {
            for (name, totals) in &source.fields {
                let sum = manifest.fields.entry(name.clone()).or_default();
                sum.files += totals.files;
                sum.bytes = sum.bytes.saturating_add(totals.bytes);
            }
        }
        if !self.classes.is_empty() {
            let classes = self.classes.clone();
            manifest.labels = Some(Labels { map: Some(LABELS.into()), classes });
        }
        let mut live = Digest::default();
        let mut marks = Vec::new();
        for (input, (dataset, source, name)) in self.all.iter().enumerate() {
            if source.tombstone_places.len() != source.tombstones.len() {
                return Err(Error::Usage(format!(
                    "{name}: its tombstones have no places; mark another sample and take that back with `shardpack delete`, which notes them"
                )));
            }
            let mine = dead.iter().filter(|(of, ..)| *of == input);
            let mine = mine.map(|(_, key, place)| (key.clone(), *place));
            let known =
                source.tombstones.iter().cloned().zip(source.tombstone_places.iter().copied());
            let all: Vec<(String, Place)> = known.chain(mine).collect();
            let places: Vec<Place> = all.iter().map(|(_, place)| *place).collect();
            live += source.digest - digest_at(dataset, &places)?;
            for (key, (shard, record)) in all {
                let number = taken.iter().position(|t| (t.input, t.shard as u64) == (input, shard));
                marks.extend(number.map(|number| (key, (number as u64, record))));
            }
        }
        manifest.by_place = !marks.is_empty();
        manifest.bury(marks);
        let shards = manifest.shards.len() as u64;
        let samples = manifest.live();
        let event = Event::Merge;
        manifest.history =
            vec![Version { event, digest: live, samples, shards, new_shards: shards }];
        manifest.plan = Some(self.fingerprint(&manifest));
        manifest.check()?;
        Ok((manifest, dead.len() as u64))
    }

    /// Options that all agree on, so that new samples can be packed as these were.
    fn options(&self, options: &MergeOptions) -> BTreeMap<String, String> {
        let mut sets = self.all.iter().map(|(_, manifest, _)| &manifest.options);
        let mut common = sets.next().cloned().unwrap_or_default();
        for set in sets {
            common.retain(|name, value| set.get(name) == Some(value));
        }
        common.remove("s3-prefix");
        common.remove("index");
        let described = PackOptions {
            format: self.all.first().map(|(_, m, _)| m.format.name.clone()).unwrap_or_default(),
            indexes: options.indexes.clone(),
            s3_prefix: options.s3_prefix.clone(),
            ..PackOptions::default()
        }
        .describe();
        let names = ["index", "s3-prefix"];
        common.extend(described.into_iter().filter(|(name, _)| names.contains(&name.as_str())));
        common.extend(options.name.as_ref().map(|name| ("name".to_owned(), name.to_string())));
        common
    }

    /// The row of a shard under its new name; sums by field are the manifests'.
    fn row(&self, taken: &Taken) -> Result<Row> {
        let row = self.source(taken)?;
        let renamed = |path: String, sidecar: &Sidecar| Sidecar { path, ..sidecar.clone() };
        let shard = Shard {
            path: taken.path.clone(),
            split: taken.split.clone(),
            index: renamed(index_path(&taken.path), &row.index),
            sources: row.sources.as_ref().map(|s| renamed(sources_path(&taken.path), s)),
            ..row.clone()
        };
        Ok((shard, BTreeMap::new()))
    }

    fn source(&self, taken: &Taken) -> Result<&Shard> {
        let row = self.all.get(taken.input).and_then(|(_, m, _)| m.shards.get(taken.shard));
        row.ok_or_else(|| Error::NotFound(format!("{}: there is no such shard", taken.path)))
    }

    fn fingerprint(&self, manifest: &Manifest) -> Fingerprint {
        let mut hash = Xxh3::new();
        for (_, source, _) in &self.all {
            hash.update(&source.sharding().to_u128().to_le_bytes());
        }
        for shard in &manifest.shards {
            hash.update(shard.path.as_bytes());
        }
        for (key, (shard, record)) in manifest.tombstones.iter().zip(&manifest.tombstone_places) {
            hash.update(key.as_bytes());
            hash.update(&[shard.to_le_bytes(), record.to_le_bytes()].concat());
        }
        Fingerprint(hash.digest128())
    }

    pub(super) fn identity(&self, manifest: &Manifest, options: &MergeOptions) -> Identity {
        let describe = |(_, source, name): &(&Dataset<'_>, &Manifest, &str)| {
            format!("{name} (digest {})", source.digest)
        };
        let mut described = self.options(options);
        described.insert("duplicates".into(), format!("{:?}", options.duplicates).to_lowercase());
        let fingerprint = manifest.plan.map(|plan| plan.to_string()).unwrap_or_default();
        Identity {
            version: 1,
            tool: format!("shardpack {}", env!("CARGO_PKG_VERSION")),
            source: self.all.iter().map(describe).collect::<Vec<_>>().join(", "),
            options: described,
            samples: manifest.totals.samples,
            shards: manifest.shards.len() as u64,
            stamps: fingerprint.clone(),
            fingerprint,
            paths: Vec::new(),
        }
    }

    /// Copies a shard and what lies beside it, and proves the copy.
    pub(super) fn copy(
        &self,
        taken: &Taken,
        row: &Shard,
        store: &dyn Store,
        progress: &Progress,
    ) -> Result<()> {
        let source = self.source(taken)?;
        let Some((dataset, _, name)) = self.all.get(taken.input) else { return Ok(()) };
        let from = dataset.store();
        let called = format!("{name}/{}", source.path);
        copy(from, source, &called, store, &staged(store, &row.path), progress)?;
        let pairs = [
            (source.sources.as_ref(), row.sources.as_ref()),
            (Some(&source.index), Some(&row.index)),
        ];
        // The index says that a shard is sealed: last.
        for (from_file, to_file) in pairs {
            let Some((from_file, to_file)) = from_file.zip(to_file) else { continue };
            let bytes = shardpack_dataset::proved(from, from_file, "it")?.map_err(|reason| {
                Error::Shard { shard: format!("{name}/{}", from_file.path), reason }
            })?;
            staging::put(store, &staged(store, &to_file.path), &bytes, PutMode::Replace)?;
        }
        Ok(())
    }
}

/// What keeps two datasets from being one.
fn fits(first: &Manifest, name: &str, manifest: &Manifest, other: &str) -> Result<()> {
    let differ = |what: &str, a: String, b: String| {
        Err(Error::Usage(format!(
            "{name} and {other} differ in {what}: {a} and {b}; `shardpack reshard` makes one dataset of both, by packing them anew"
        )))
    };
    if first.format.name != manifest.format.name {
        return differ("format", first.format.name.clone(), manifest.format.name.clone());
    }
    if first.format != manifest.format {
        let said = |m: &Manifest| format!("{:?}", m.format.options.schema).to_lowercase();
        return differ("schema or dialect", said(first), said(manifest));
    }
    if first.compression != manifest.compression {
        let said = |m: &Manifest| m.compression.name().to_owned();
        return differ("compression", said(first), said(manifest));
    }
    let splits =
        |m: &Manifest| -> BTreeSet<String> { m.splits.iter().map(|s| s.name.clone()).collect() };
    if splits(first).is_empty() != splits(manifest).is_empty() {
        let said =
            |m: &Manifest| if m.splits.is_empty() { "not split" } else { "split" }.to_owned();
        return differ("splits", said(first), said(manifest));
    }
    if first.plan.is_some() != manifest.plan.is_some() {
        let said = |m: &Manifest| if m.plan.is_some() { "packed" } else { "indexed" }.to_owned();
        return differ("origin", said(first), said(manifest));
    }
    Ok(())
}
