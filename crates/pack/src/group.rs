//! Files into samples: which files share a key, and what each is called inside the sample.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use shardpack_formats::Label;
use shardpack_store::{File, FileId, Listing};

use crate::error::Offenders;
use crate::naming::Naming;
use crate::options::{Order, PackOptions, Policy};
use crate::reshard::Catalog;
use crate::{Error, Result};

/// Number of a sample, in key order of its folder.
pub(crate) type SampleId = u32;

/// The samples of a listing. A sample costs 16 bytes beside its files' rows and 4 bytes a file:
/// keys and field names are cut out of the listing's paths each time they are needed.
#[derive(Debug)]
pub(crate) struct Samples<'l> {
    listing: &'l Listing,
    naming: Naming<'l>,
    rows: Vec<Row>,
    members: Vec<FileId>,
    /// Distinct labels; number 0 is no label.
    pub(crate) labels: Vec<Label>,
    /// Ids of classes, where labels have names.
    pub(crate) classes: BTreeMap<String, u64>,
    /// Header ids given by a `.lst`, by sample; empty without one.
    pub(crate) ids: Vec<u64>,
    /// Places given by a source that is arranged, by sample; empty without one.
    places: Vec<u32>,
    /// Samples of an overlay that have no file, and the entry of the listing that tells their key.
    bare: Vec<(SampleId, FileId)>,
    /// What was left out, by reason.
    pub(crate) skipped: Vec<(String, u64)>,
    /// What is known of samples that were packed before.
    pub(crate) catalog: Option<&'l Catalog>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    first: u32,
    label: u32,
}

/// Files looked at by one task: large enough to forget the cost of a task.
const CHUNK: usize = 4096;

/// What one task selected.
#[derive(Default)]
struct Selected {
    members: Vec<FileId>,
    bad: Offenders,
    unwanted: u64,
}

/// Groups the files of a listing into samples.
pub(crate) fn group<'l>(listing: &'l Listing, options: &PackOptions) -> Result<Samples<'l>> {
    let mut samples = Samples {
        listing,
        naming: Naming::new(listing, options),
        rows: Vec::new(),
        members: Vec::new(),
        labels: vec![Label::default()],
        classes: BTreeMap::new(),
        ids: Vec::new(),
        places: Vec::new(),
        bare: Vec::new(),
        skipped: listing.skipped.clone(),
        catalog: None,
    };
    samples.members = samples.select(options)?;
    samples.sort_members();
    samples.find_rows()?;
    samples.require(options)?;
    if samples.rows.is_empty() {
        let left_out: Vec<_> =
            samples.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
        let what = match left_out.is_empty() {
            true => "the source: it is empty".to_string(),
            false => format!("the source; left out: {}", left_out.join(", ")),
        };
        return Err(Error::EmptySource { what });
    }
    Ok(samples)
}

impl<'l> Samples<'l> {
    /// The samples of a dataset, which are grouped already.
    pub(crate) fn of(catalog: &'l Catalog) -> Self {
        let listing = catalog.listing();
        let mut samples = Samples {
            listing,
            naming: Naming::given(catalog.cuts()),
            rows: Vec::with_capacity(catalog.taken()),
            members: Vec::with_capacity(listing.len()),
            labels: catalog.labels().to_vec(),
            classes: catalog.classes().clone(),
            ids: catalog.ids().to_vec(),
            places: catalog.places().to_vec(),
            bare: catalog.bare(),
            skipped: listing.skipped.clone(),
            catalog: Some(catalog),
        };
        for (files, label) in catalog.samples() {
            samples.rows.push(Row { first: samples.members.len() as u32, label });
            samples.members.extend(files);
        }
        samples.members.shrink_to_fit();
        samples
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of files in all samples.
    pub(crate) fn files(&self) -> usize {
        self.members.len()
    }

    /// The files of a sample, sorted by field.
    pub(crate) fn members(&self, sample: SampleId) -> &[FileId] {
        let i = sample as usize;
        let end = self.rows.get(i + 1).map_or(self.members.len(), |row| row.first as usize);
        &self.members[self.rows[i].first as usize..end]
    }

    /// The listing that the samples are made of.
    pub(crate) fn listing(&self) -> &'l Listing {
        self.listing
    }

    /// Writes the key of a sample into `key`.
    pub(crate) fn key(&self, sample: SampleId, key: &mut String) {
        key.clear();
        let bare = || {
            let at = self.bare.binary_search_by_key(&sample, |(sample, _)| *sample).ok()?;
            Some(self.bare.get(at)?.1)
        };
        if let Some(file) = self.members(sample).first().copied().or_else(bare) {
            self.naming.append_key(self.listing, file, key);
        }
    }

    /// Label of a sample.
    pub(crate) fn label(&self, sample: SampleId) -> &Label {
        &self.labels[self.rows[sample as usize].label as usize]
    }

    /// Number of a sample's label in [`Samples::labels`].
    pub(crate) fn label_number(&self, sample: SampleId) -> u32 {
        self.rows[sample as usize].label
    }

    /// Gives a sample the label of that number.
    pub(crate) fn set_label(&mut self, sample: SampleId, label: u32) {
        self.rows[sample as usize].label = label;
    }

    /// Folder of a sample's first file.
    pub(crate) fn folder(&self, sample: SampleId) -> Cow<'l, str> {
        let dir = self.members(sample).first().map_or(&b""[..], |f| self.listing.file(*f).dir);
        String::from_utf8_lossy(dir)
    }

    /// Name of the field that a file becomes.
    pub(crate) fn field(&self, file: FileId) -> Cow<'_, str> {
        self.naming.field(self.listing, file)
    }

    /// Files that take part: those whose name can be cut and whose field is wanted.
    fn select(&mut self, options: &PackOptions) -> Result<Vec<FileId>> {
        let chunks: Vec<Selected> = (0..self.listing.len().div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let end = self.listing.len().min((chunk + 1) * CHUNK);
                self.select_from(options, (chunk * CHUNK) as FileId..end as FileId)
            })
            .collect();
        let mut all =
            Selected { members: Vec::with_capacity(self.listing.len()), ..Selected::default() };
        for chunk in chunks {
            all.members.extend(chunk.members);
            all.bad.merge(chunk.bad);
            all.unwanted += chunk.unwanted;
        }
        if all.unwanted > 0 {
            self.skipped.push(("files of other fields (--fields)".into(), all.unwanted));
        }
        match options.bad_names {
            Policy::Skip if all.bad.count() > 0 => {
                self.skipped.push(("files with bad names (--bad-names skip)".into(), all.bad.count()));
            }
            _ => all.bad.refuse(
                "these names cannot be split into a key and a field that every reader agrees on; rename the files, leave them out with --exclude or --bad-names skip, or name the field of files without extension with --bare-field",
            )?,
        }
        Ok(all.members)
    }

    fn select_from(&self, options: &PackOptions, files: std::ops::Range<FileId>) -> Selected {
        let mut selected = Selected::default();
        let mut valid_dir = None;
        for id in files {
            let file = self.listing.file(id);
            if valid_dir.is_none_or(|(dir, _)| dir != file.dir_id) {
                valid_dir = Some((file.dir_id, std::str::from_utf8(file.dir).is_ok()));
            }
            let wanted = |field: Cow<'_, str>| options.fields.iter().any(|f| *f == field);
            match self.complaint(id, &file, valid_dir.is_some_and(|(_, valid)| valid)) {
                Some(why) => selected.bad.add(|| format!("{}: {why}", file.display())),
                None if !options.fields.is_empty() && !wanted(self.field(id)) => {
                    selected.unwanted += 1;
                }
                None => selected.members.push(id),
            }
        }
        selected
    }

    fn complaint(&self, id: FileId, file: &File<'_>, dir_is_utf8: bool) -> Option<&'static str> {
        match file.text {
            None => Some("the name is not UTF-8"),
            Some(_) if !dir_is_utf8 => Some("the folder's name is not UTF-8"),
            Some(name) => self.naming.complaint(id, name),
        }
    }

    /// Brings files of one sample together. A tree's listing is sorted already: names that share
    /// `key.` are neighbours in byte order.
    fn sort_members(&mut self) {
        let listing = self.listing;
        if !self.naming.is_first_dot() {
            let mut keyed: Vec<(String, Cow<'_, str>, FileId)> = self
                .members
                .par_iter()
                .map(|&id| {
                    let mut key = String::new();
                    self.naming.append_key(listing, id, &mut key);
                    (key, self.field(id), id)
                })
                .collect();
            keyed.par_sort();
            let sorted = keyed.into_iter().map(|(_, _, id)| id).collect();
            self.members = sorted;
            return;
        }
        let compare = |a: &FileId, b: &FileId| {
            let (a, b) = (listing.file(*a), listing.file(*b));
            match a.dir_id == b.dir_id {
                true => a.name.cmp(b.name),
                false => (a.dir, a.name).cmp(&(b.dir, b.name)),
            }
        };
        let members = &self.members;
        let sorted = (1..members.len())
            .into_par_iter()
            .with_min_len(CHUNK)
            .all(|i| compare(&members[i - 1], &members[i]).is_le());
        if !sorted {
            self.members.par_sort_by(|a, b| compare(a, b).then(a.cmp(b)));
        }
    }

    /// Cuts the sorted members into samples, and sorts each sample's files by field.
    fn find_rows(&mut self) -> Result<()> {
        let members = &self.members;
        let firsts: Vec<u32> = (0..members.len())
            .into_par_iter()
            .with_min_len(CHUNK)
            .filter(|&i| i == 0 || !self.naming.same_key(self.listing, members[i - 1], members[i]))
            .map(|i| i as u32)
            .collect();
        let rows: Vec<Row> = firsts.into_iter().map(|first| Row { first, label: 0 }).collect();
        let mut members = std::mem::take(&mut self.members);
        let mut duplicates = Offenders::default();
        for (i, row) in rows.iter().enumerate() {
            let end = rows.get(i + 1).map_or(members.len(), |next| next.first as usize);
            let group = &mut members[row.first as usize..end];
            if group.len() > 1 {
                self.sort_fields(group, &mut duplicates);
            }
        }
        members.shrink_to_fit();
        (self.rows, self.members) = (rows, members);
        duplicates.refuse(
            "two files would be the same field of the same sample (readers fold extensions to lower case); rename one of each pair",
        )
    }

    fn sort_fields(&self, group: &mut [FileId], duplicates: &mut Offenders) {
        group.sort_by(|a, b| self.field(*a).cmp(&self.field(*b)).then(a.cmp(b)));
        for pair in group.windows(2) {
            if self.field(pair[0]) == self.field(pair[1]) {
                let path = |id| self.listing.file(id).display();
                duplicates.add(|| format!("{} and {}", path(pair[0]), path(pair[1])));
            }
        }
    }

    /// Applies `--require`.
    fn require(&mut self, options: &PackOptions) -> Result<()> {
        if options.required.is_empty() {
            return Ok(());
        }
        let mut lacking = Offenders::default();
        let mut lacks = vec![false; self.len()];
        let mut key = String::new();
        for (i, lack) in lacks.iter_mut().enumerate() {
            let sample = i as SampleId;
            let fields: Vec<_> = self.members(sample).iter().map(|f| self.field(*f)).collect();
            let missing: Vec<_> =
                options.required.iter().filter(|r| !fields.iter().any(|f| f == *r)).collect();
            if !missing.is_empty() {
                *lack = true;
                lacking.add(|| {
                    self.key(sample, &mut key);
                    format!("{key}: has {}, lacks {}", fields.join(", "), join(&missing))
                });
            }
        }
        match options.missing {
            Policy::Allow => Ok(()),
            Policy::Skip => {
                if lacking.count() > 0 {
                    self.skipped.push(("samples without a required field".into(), lacking.count()));
                    self.retain(|i| !lacks[i]);
                }
                Ok(())
            }
            Policy::Error => lacking.refuse(
                "these samples lack a required field; add the files, or choose --missing skip or allow",
            ),
        }
    }

    /// Keeps the samples that `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let (mut rows, mut members) = (Vec::new(), Vec::new());
        for i in 0..self.len() {
            if keep(i) {
                rows.push(Row { first: members.len() as u32, label: self.rows[i].label });
                members.extend_from_slice(self.members(i as SampleId));
            }
        }
        let mut kept = (0..).map(&keep);
        self.ids.retain(|_| kept.next().unwrap_or(true));
        let mut kept = (0..).map(&keep);
        self.places.retain(|_| kept.next().unwrap_or(true));
        (self.rows, self.members) = (rows, members);
    }

    /// Bytes of memory that listing and samples hold.
    pub(crate) fn memory(&self) -> usize {
        self.listing.memory()
            + self.naming.memory()
            + self.catalog.map_or(0, Catalog::memory)
            + self.rows.capacity() * size_of::<Row>()
            + self.members.capacity() * size_of::<FileId>()
            + self.places.capacity() * size_of::<u32>()
    }

    /// Brings what is known of these samples into the cache. In shuffled order every sample is a
    /// few cache misses one after another; this loop has many of them under way at a time.
    pub(crate) fn touch(&self, samples: &[SampleId]) {
        let mut sum = 0u64;
        for &sample in samples {
            for &file in self.members(sample) {
                let file = self.listing.file(file);
                sum =
                    sum.wrapping_add(file.len + u64::from(file.name.first().copied().unwrap_or(0)));
            }
        }
        std::hint::black_box(sum);
    }

    /// Samples in the order asked for. `hashes` are those of the keys, by sample, for a shuffle.
    pub(crate) fn ordered(&self, order: Order, hashes: Vec<u64>) -> Vec<SampleId> {
        let mut ids: Vec<SampleId> = (0..self.len() as SampleId).collect();
        match order {
            Order::Shuffle(_) => {
                let mut hashed: Vec<(u64, SampleId)> = hashes.into_iter().zip(ids).collect();
                hashed.par_sort_unstable();
                ids = hashed.into_iter().map(|(_, id)| id).collect();
            }
            Order::Key => {
                let key = |id: SampleId| {
                    let mut key = String::new();
                    self.key(id, &mut key);
                    key
                };
                ids.par_sort_by_cached_key(|&id| key(id));
            }
            Order::Label => {
                let ranks = self.label_ranks();
                ids.par_sort_by_cached_key(|&id| {
                    let mut key = String::new();
                    self.key(id, &mut key);
                    (ranks[self.label_number(id) as usize], key)
                });
            }
            Order::Source => {
                let first = |id: &SampleId| self.members(*id).iter().min().copied();
                ids.par_sort_by_key(first);
            }
            Order::Field | Order::Map => {
                ids.par_sort_by_key(|id| self.places.get(*id as usize).copied());
            }
        }
        ids
    }

    /// The place of each label among all: by its numbers, then by its text; no label comes first.
    fn label_ranks(&self) -> Vec<u32> {
        let compare = |a: &u32, b: &u32| {
            let (a, b) = (&self.labels[*a as usize], &self.labels[*b as usize]);
            let numbers = a.values.iter().zip(&b.values).map(|(a, b)| a.total_cmp(b));
            let first = numbers.into_iter().find(|order| order.is_ne());
            first
                .unwrap_or_else(|| a.values.len().cmp(&b.values.len()))
                .then_with(|| a.text.cmp(&b.text))
        };
        let mut sorted: Vec<u32> = (0..self.labels.len() as u32).collect();
        sorted.sort_by(compare);
        let mut ranks = vec![0; sorted.len()];
        let mut rank = 0;
        for pair in sorted.windows(2) {
            rank += u32::from(compare(&pair[0], &pair[1]).is_ne());
            ranks[pair[1] as usize] = rank;
        }
        ranks
    }
}

fn join(names: &[&String]) -> String {
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests;
