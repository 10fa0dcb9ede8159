//! What the inputs hold, shard after shard, as a catalog.

use shardpack_manifest::{Digest, IndexRecord};

use super::catalog::{Catalog, CatalogBuilder, NewField, NewSample, Record};
use super::index::{Input, Looking, ShardIndex, is_label};
use super::join::{Lacking, Other, Settings, Table};
use super::scratch::Scratch;
use super::select::{ByKey, Selection};
use crate::dataset::skipped_rows;
use crate::error::Offenders;
use crate::parallel::each;
use crate::{Error, Result};

/// Goes through the indexes, input after input.
pub(super) struct Lister<'a> {
    selection: &'a Selection,
    by_key: ByKey,
    builder: CatalogBuilder,
    lens: Vec<u64>,
    digest: Digest,
    samples: u64,
    deleted: u64,
    pub(super) fieldless: u64,
    clashing: Offenders,
    skipped: Vec<(String, u64)>,
    /// Samples that have a field already that would be added.
    taken: Offenders,
    /// What is added to the samples.
    pub(super) join: Option<(Other, &'a Settings)>,
    lacking: Lacking,
}

/// What was found.
pub(super) struct Listed {
    pub(super) catalog: Catalog,
    /// Length of what each shard's bodies are read from.
    pub(super) lens: Vec<u64>,
    pub(super) digest: Digest,
    pub(super) samples: u64,
    /// Samples that nothing was added to.
    pub(super) lacking: Lacking,
}

impl<'a> Lister<'a> {
    /// Shards have the same numbers in all that is listed of `inputs` and a table.
    pub(super) fn new(
        selection: &'a Selection,
        inputs: &[Input<'_>],
        table: Option<&str>,
    ) -> Result<Self> {
        let (mut builder, mut lens) = (CatalogBuilder::new(), Vec::new());
        for input in inputs {
            for (number, shard) in input.dataset.shards().iter().enumerate() {
                builder.shard(input.shard_name(number));
                lens.push(shard.bytes);
            }
        }
        if let Some(name) = table {
            builder.table(name.to_owned());
            lens.push(0);
        }
        Ok(Self {
            selection,
            by_key: ByKey::new(selection)?,
            builder,
            lens,
            digest: Digest::default(),
            samples: 0,
            deleted: 0,
            fieldless: 0,
            clashing: Offenders::default(),
            skipped: Vec::new(),
            taken: Offenders::default(),
            join: None,
            lacking: Lacking::default(),
        })
    }

    /// Lists the rows of a table as samples of the last shard.
    pub(super) fn table(
        &mut self,
        table: &Table,
        join: &Settings,
        scratch: &Scratch,
    ) -> Result<()> {
        let shard = self.lens.len() as u32 - 1;
        let columns = (&join.columns[..], join.name.as_str());
        let (len, without) = table.list(columns, (shard, scratch), &mut self.builder)?;
        self.lens[shard as usize] = len;
        self.fieldless = without;
        Ok(())
    }

    /// Lists the samples of one input. A few indexes are in memory at a time.
    pub(super) fn input(&mut self, input: &Input<'_>, looking: &Looking<'_>) -> Result<()> {
        if let Some(labels) = input.dataset.manifest().and_then(|m| m.labels.as_ref())
            && !self.selection.drop_labels
        {
            self.builder.classes(&labels.classes, &input.name)?;
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
            let before = self.samples;
            self.samples += 1;
            // Looked for even where the sample is not taken: its row belongs to a sample.
            let found = self.join.as_mut().map(|(other, _)| other.find(record.key));
            if self.by_key.takes(record.key, before) {
                let from =
                    Record { shard: global, number: i as u32, place: (record.offset, record.len) };
                self.sample(shard, &record, (i, from, found), ids)?;
            }
        }
        Ok(())
    }

    /// Lists record `i`. `found` is what can be added to it, if something is to be.
    fn sample(
        &mut self,
        shard: &ShardIndex,
        record: &IndexRecord<'_>,
        (i, from, found): (usize, Record, Option<Option<usize>>),
        ids: bool,
    ) -> Result<()> {
        let any = self.selection.label_fields;
        let carried = shard.label(i, record, any);
        let is_label =
            |name: &str| carried.is_some() && is_label(&shard.names, i as u64, name, any);
        let mut fields = own_fields(self.selection, shard, record, (i, from), is_label);
        if !fields.iter().any(|field| !field.hidden) {
            self.fieldless += 1;
            return Ok(());
        }
        if let (Some((other, _)), Some(found)) = (&self.join, found) {
            match found {
                Some(found) => fields.extend(other.fields(found)),
                None => self.lacking.0.push(self.builder.len()),
            }
        }
        fields.sort_by_key(|field| field.name);
        clash(record.key, from.shard, &fields, (&mut self.clashing, &mut self.taken));
        let label = match self.selection.drop_labels {
            true => Default::default(),
            false => carried.unwrap_or_else(|| record.label.to_label()),
        };
        let id = ids.then_some(record.id);
        self.builder.push(&NewSample { key: record.key, label, id, fields: &fields })
    }

    pub(super) fn finish(mut self) -> Result<Listed> {
        self.clashing.refuse(
            "two fields of a sample would have one name; change --rename, or leave one out",
        )?;
        self.taken.refuse(
            "samples have these fields already; give what is added another name with --column NAME=FIELD or --as json=FIELD, or leave theirs out with --drop-field",
        )?;
        let counted = [
            ("samples that are deleted in the source".to_owned(), self.deleted),
            ("samples without a field that is taken".to_owned(), self.fieldless),
        ];
        self.skipped.extend(counted.into_iter().filter(|(_, count)| *count > 0));
        self.skipped.extend(self.by_key.skipped());
        if let Some((other, settings)) = &self.join {
            self.skipped.extend(other.unused(settings.unused_is_error)?);
        }
        Ok(Listed {
            catalog: self.builder.finish(self.skipped),
            lens: self.lens,
            digest: self.digest,
            samples: self.samples,
            lacking: self.lacking,
        })
    }
}

/// The fields of a record that are taken, and those that are only looked into.
fn own_fields<'r>(
    selection: &'r Selection,
    shard: &'r ShardIndex,
    record: &IndexRecord<'r>,
    (i, from): (usize, Record),
    is_label: impl Fn(&str) -> bool,
) -> Vec<NewField<'r>> {
    let mut fields = Vec::new();
    for (number, field) in (0..).zip(record.fields.clone()) {
        let hidden = !selection.takes(field.name);
        if is_label(field.name) || (hidden && !selection.looks_at(field.name)) {
            continue;
        }
        let name = if hidden { field.name } else { selection.renamed(field.name) };
        let original = match shard.names.is_empty() || name != field.name {
            true => None,
            false => shard.names.get(&(i as u64, field.name.to_owned())),
        };
        fields.push(NewField {
            name,
            hidden,
            from,
            offset: field.offset,
            len: field.len,
            crc32c: field.crc32c,
            number,
            stored: field.name,
            original: original.map(Option::as_deref),
        });
    }
    fields
}

/// Notes two fields of one name: of the source's shard `own`, or one that was added.
fn clash(
    key: &str,
    own: u32,
    fields: &[NewField<'_>],
    (clashing, taken): (&mut Offenders, &mut Offenders),
) {
    let visible: Vec<&NewField<'_>> = fields.iter().filter(|field| !field.hidden).collect();
    let Some(pair) = visible.windows(2).find(|pair| pair[0].name == pair[1].name) else { return };
    match pair.iter().all(|field| field.from.shard == own) {
        true => {
            let (a, b) = (pair[0].stored, pair[1].stored);
            clashing.add(|| format!("{key}: {a} and {b} would be {}", pair[0].name));
        }
        false => taken.add(|| format!("{key}: {}", pair[0].name)),
    }
}
