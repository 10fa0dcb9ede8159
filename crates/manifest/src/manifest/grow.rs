//! Manifests made of others: shards are added and left out, and what is skipped keeps its place.

use std::collections::BTreeMap;

use super::{FieldTotals, Manifest, Shard};
use crate::{Error, Result};

/// A shard and what its index's [`summary`](crate::Index::summary) says of its fields.
pub type Row = (Shard, BTreeMap<String, FieldTotals>);

impl Manifest {
    /// The same dataset of these shards: rows of it that stay, by number, and new ones, which come
    /// behind those of their split. New splits come last. Tombstones go with their shards.
    ///
    /// `left_out` has the fields of the shards that do not stay. Fails when numbers do not rise, or
    /// a tombstone without a place would have to move.
    pub fn rebuilt(
        &self,
        kept: &[usize],
        left_out: &BTreeMap<String, FieldTotals>,
        new: Vec<Row>,
    ) -> Result<Self> {
        if !kept.is_sorted_by(|a, b| a < b) || kept.last().is_some_and(|i| *i >= self.shards.len())
        {
            return Err(
                Error::corrupt("numbers of shards that stay do not rise").in_field("shards")
            );
        }
        let mut rows: Vec<(Option<usize>, Shard)> =
            kept.iter().filter_map(|&i| Some((Some(i), self.shards.get(i)?.clone()))).collect();
        let mut fields = self.without(left_out)?;
        for (shard, of_shard) in new {
            for (name, totals) in &of_shard {
                let sum = fields.entry(name.clone()).or_default();
                *sum = sum.plus(totals)?;
            }
            rows.push((None, shard));
        }
        // Splits stay in their order; a stable sort puts new shards behind the old ones.
        let mut order: Vec<Option<String>> =
            self.splits.iter().map(|split| Some(split.name.clone())).collect();
        for (_, shard) in &rows {
            if !order.contains(&shard.split) {
                order.push(shard.split.clone());
            }
        }
        rows.sort_by_key(|(_, shard)| order.iter().position(|split| *split == shard.split));
        let mut moved = vec![None; self.shards.len()];
        let mut grown = Self::new(self.format.clone(), self.order);
        for (number, (old, shard)) in (0..).zip(rows) {
            if let Some(slot) = old.and_then(|old| moved.get_mut(old)) {
                *slot = Some(number);
            }
            grown.push(shard, &BTreeMap::new())?;
        }
        grown.fields = fields;
        self.carry(&mut grown, &moved)?;
        Ok(Self {
            tool: self.tool.clone(),
            compression: self.compression,
            labels: self.labels.clone(),
            options: self.options.clone(),
            plan: self.plan,
            history: self.history.clone(),
            ..grown
        })
    }

    /// The sums by field without those of some shards.
    fn without(
        &self,
        left_out: &BTreeMap<String, FieldTotals>,
    ) -> Result<BTreeMap<String, FieldTotals>> {
        let mut fields = self.fields.clone();
        for (name, less) in left_out {
            let sum = fields.get_mut(name).and_then(|sum| {
                sum.files = sum.files.checked_sub(less.files)?;
                sum.bytes = sum.bytes.checked_sub(less.bytes)?;
                Some(*sum)
            });
            match sum {
                Some(FieldTotals { files: 0, .. }) => drop(fields.remove(name)),
                Some(_) => {}
                None => {
                    let what = format!("{name:?}: the shards hold more than the dataset");
                    return Err(Error::corrupt(what).in_field("fields"));
                }
            }
        }
        Ok(fields)
    }

    /// Takes the tombstones of the shards that stay over; `moved` has their new numbers.
    fn carry(&self, grown: &mut Self, moved: &[Option<u64>]) -> Result<()> {
        grown.by_place = self.by_place;
        if self.tombstone_places.is_empty() {
            grown.tombstones.clone_from(&self.tombstones);
            return match self.tombstones.is_empty() || moved.iter().all(Option::is_some) {
                true => Ok(()),
                false => Err(Error::corrupt("without places").in_field("tombstones")),
            };
        }
        for (key, &(shard, record)) in self.tombstones.iter().zip(&self.tombstone_places) {
            let number = usize::try_from(shard).ok().and_then(|i| moved.get(i).copied().flatten());
            if let Some(number) = number {
                grown.tombstones.push(key.clone());
                grown.tombstone_places.push((number, record));
            }
        }
        Ok(())
    }

    /// Marks the samples at these places as well: key, number of the shard, number of the record.
    /// Whoever marks a sample whose key another one has must set
    /// [`by_place`](Self::by_place). A place that is marked already stays so.
    pub fn bury(&mut self, dead: impl IntoIterator<Item = (String, (u64, u64))>) {
        let keys = std::mem::take(&mut self.tombstones);
        let places = std::mem::take(&mut self.tombstone_places);
        let mut marks: Vec<(String, (u64, u64))> = keys.into_iter().zip(places).collect();
        marks.extend(dead);
        marks.sort_unstable();
        marks.dedup();
        (self.tombstones, self.tombstone_places) = marks.into_iter().unzip();
    }
}
