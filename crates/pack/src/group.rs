//! Files into samples: which files share a key, and what each is called inside the sample.

use std::borrow::Cow;

use rayon::prelude::*;
use regex::Regex;
use shardpack_formats::Label;
use shardpack_store::{File, FileId, Listing};

use crate::error::Offenders;
use crate::options::{Grouping, Order, PackOptions, Policy};
use crate::{Error, Result};

/// Number of a sample, in key order of its folder.
pub(crate) type SampleId = u32;

/// The samples of a listing. A sample costs 16 bytes beside its files' rows and 4 bytes a file:
/// keys and field names are cut out of the listing's paths each time they are needed.
#[derive(Debug)]
pub(crate) struct Samples<'l> {
    listing: &'l Listing,
    naming: Naming,
    rows: Vec<Row>,
    members: Vec<FileId>,
    /// Distinct labels; number 0 is no label.
    pub(crate) labels: Vec<Label>,
    /// Classes by id, where labels have names.
    pub(crate) classes: Vec<String>,
    /// Header ids given by a `.lst`, by sample; empty without one.
    pub(crate) ids: Vec<u64>,
    /// What was left out, by reason.
    pub(crate) skipped: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    first: u32,
    label: u32,
}

/// How a path is cut into key and field.
#[derive(Debug)]
struct Naming {
    pattern: Option<Regex>,
    bare_field: Option<String>,
}

/// Key and field of one path; the key is a folder and a stem.
struct Cut<'p> {
    stem: &'p str,
    field: &'p str,
}

impl Naming {
    /// Cuts a file's name by the first dot. The stem may be empty (a name that starts with a dot)
    /// and the field too; the caller refuses those.
    fn cut<'p>(&'p self, name: &'p str) -> Option<Cut<'p>> {
        match (name.split_once('.'), &self.bare_field) {
            (Some(("", _)), _) => None,
            (Some((stem, field)), _) => Some(Cut { stem, field }),
            (None, Some(field)) => Some(Cut { stem: name, field }),
            (None, None) => None,
        }
    }
}

/// Groups the files of a listing into samples.
pub(crate) fn group<'l>(listing: &'l Listing, options: &PackOptions) -> Result<Samples<'l>> {
    let pattern = match &options.grouping {
        Grouping::FirstDot => None,
        Grouping::Pattern(pattern) => Some(pattern.clone()),
    };
    let naming = Naming { pattern, bare_field: options.bare_field.clone() };
    let mut samples = Samples {
        listing,
        naming,
        rows: Vec::new(),
        members: Vec::new(),
        labels: vec![Label::default()],
        classes: Vec::new(),
        ids: Vec::new(),
        skipped: listing.skipped.clone(),
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
        if let Some(&file) = self.members(sample).first() {
            self.append_key(self.listing.file(file), key);
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

    /// Name of the field that a file becomes: lower case, as readers fold it.
    pub(crate) fn field<'s>(&'s self, file: FileId) -> Cow<'s, str> {
        let file = self.listing.file(file);
        let name = std::str::from_utf8(file.name).unwrap_or_default();
        let field = match &self.naming.pattern {
            None => Cow::Borrowed(self.naming.cut(name).map_or("", |cut| cut.field)),
            Some(pattern) => Cow::Owned(capture(pattern, &file).map_or_else(String::new, |c| c.1)),
        };
        match field.bytes().any(|b| b.is_ascii_uppercase()) || !field.is_ascii() {
            true => Cow::Owned(field.to_lowercase()),
            false => field,
        }
    }

    fn append_key(&self, file: File<'_>, key: &mut String) {
        if let Some(pattern) = &self.naming.pattern {
            key.push_str(&capture(pattern, &file).map_or_else(String::new, |c| c.0));
            return;
        }
        let name = std::str::from_utf8(file.name).unwrap_or_default();
        if !file.dir.is_empty() {
            key.push_str(std::str::from_utf8(file.dir).unwrap_or_default());
            key.push('/');
        }
        key.push_str(self.naming.cut(name).map_or(name, |cut| cut.stem));
    }

    /// Files that take part: those whose name can be cut and whose field is wanted.
    fn select(&mut self, options: &PackOptions) -> Result<Vec<FileId>> {
        let mut bad = Offenders::default();
        let mut unwanted = 0u64;
        let mut members = Vec::with_capacity(self.listing.len());
        let mut valid_dir = None;
        for (id, file) in self.listing.iter().enumerate() {
            if valid_dir.is_none_or(|(dir, _)| dir != file.dir_id) {
                valid_dir = Some((file.dir_id, std::str::from_utf8(file.dir).is_ok()));
            }
            match self.complaint(&file, valid_dir.is_some_and(|(_, valid)| valid)) {
                Some(why) => bad.add(|| format!("{}: {why}", file.display())),
                None if !options.fields.is_empty()
                    && !options.fields.iter().any(|f| *f == self.field(id as FileId)) =>
                {
                    unwanted += 1;
                }
                None => members.push(id as FileId),
            }
        }
        if unwanted > 0 {
            self.skipped.push(("files of other fields (--fields)".into(), unwanted));
        }
        match options.bad_names {
            Policy::Skip if bad.count() > 0 => {
                self.skipped.push(("files with bad names (--bad-names skip)".into(), bad.count()));
            }
            _ => bad.refuse(
                "these names cannot be split into a key and a field that every reader agrees on; rename the files, leave them out with --exclude or --bad-names skip, or name the field of files without extension with --bare-field",
            )?,
        }
        Ok(members)
    }

    fn complaint(&self, file: &File<'_>, dir_is_utf8: bool) -> Option<&'static str> {
        let Ok(name) = std::str::from_utf8(file.name) else {
            return Some("the name is not UTF-8");
        };
        if !dir_is_utf8 {
            return Some("the folder's name is not UTF-8");
        }
        match &self.naming.pattern {
            Some(pattern) if capture(pattern, file).is_none() => Some("--group does not match"),
            Some(_) => None,
            None if name.starts_with('.') => Some("the name starts with a dot"),
            None => match self.naming.cut(name) {
                None => Some("the name has no extension"),
                Some(cut) if cut.field.is_empty() => Some("the extension is empty"),
                Some(_) => None,
            },
        }
    }

    /// Brings files of one sample together. A tree's listing is sorted already: names that share
    /// `key.` are neighbours in byte order.
    fn sort_members(&mut self) {
        let listing = self.listing;
        if self.naming.pattern.is_some() {
            let mut keyed: Vec<(String, Cow<'_, str>, FileId)> = self
                .members
                .par_iter()
                .map(|&id| {
                    let mut key = String::new();
                    self.append_key(listing.file(id), &mut key);
                    (key, Cow::Owned(self.field(id).into_owned()), id)
                })
                .collect();
            keyed.par_sort();
            self.members = keyed.into_iter().map(|(_, _, id)| id).collect();
            return;
        }
        let place = |id: &FileId| {
            let file = listing.file(*id);
            (file.dir, file.name)
        };
        if !self.members.is_sorted_by_key(place) {
            self.members.par_sort_by(|a, b| place(a).cmp(&place(b)).then(a.cmp(b)));
        }
    }

    fn find_rows(&mut self) -> Result<()> {
        let mut duplicates = Offenders::default();
        let (mut last, mut key) = (String::new(), String::new());
        let mut rows: Vec<Row> = Vec::new();
        let mut members = std::mem::take(&mut self.members);
        let mut last_file: Option<File<'_>> = None;
        for (i, &id) in members.iter().enumerate() {
            let file = self.listing.file(id);
            let same = match (&self.naming.pattern, last_file) {
                (None, Some(before)) => {
                    before.dir == file.dir && self.stem(before.name) == self.stem(file.name)
                }
                (Some(_), Some(_)) => {
                    key.clear();
                    self.append_key(file, &mut key);
                    key == last
                }
                (_, None) => false,
            };
            if !same {
                rows.push(Row { first: i as u32, label: 0 });
                last.clear();
                self.append_key(file, &mut last);
            }
            last_file = Some(file);
        }
        for (i, row) in rows.iter().enumerate() {
            let end = rows.get(i + 1).map_or(members.len(), |next| next.first as usize);
            let group = &mut members[row.first as usize..end];
            if group.len() < 2 {
                continue;
            }
            group.sort_by(|a, b| self.field(*a).cmp(&self.field(*b)).then(a.cmp(b)));
            for pair in group.windows(2) {
                if self.field(pair[0]) == self.field(pair[1]) {
                    duplicates.add(|| {
                        let path = |id| self.listing.file(id).display();
                        format!("{} and {}", path(pair[0]), path(pair[1]))
                    });
                }
            }
        }
        rows.shrink_to_fit();
        members.shrink_to_fit();
        (self.rows, self.members) = (rows, members);
        duplicates.refuse(
            "two files would be the same field of the same sample (readers fold extensions to lower case); rename one of each pair",
        )
    }

    fn stem<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        name.split(|b| *b == b'.').next().unwrap_or(name)
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
        if !self.ids.is_empty() {
            let mut i = 0;
            self.ids.retain(|_| {
                i += 1;
                keep(i - 1)
            });
        }
        (self.rows, self.members) = (rows, members);
    }

    /// Bytes of memory that listing and samples hold.
    pub(crate) fn memory(&self) -> usize {
        self.listing.memory()
            + self.rows.capacity() * size_of::<Row>()
            + self.members.capacity() * size_of::<FileId>()
    }

    /// Samples in the order asked for.
    pub(crate) fn ordered(&self, order: Order) -> Vec<SampleId> {
        let mut ids: Vec<SampleId> = (0..self.len() as SampleId).collect();
        match order {
            Order::Shuffle(seed) => {
                let mut hashed: Vec<(u64, SampleId)> = ids
                    .par_iter()
                    .map_init(String::new, |key, &id| {
                        self.key(id, key);
                        (crate::hash(key, seed), id)
                    })
                    .collect();
                hashed.par_sort_unstable();
                ids.clear();
                ids.extend(hashed.into_iter().map(|(_, id)| id));
            }
            Order::Key => {
                let key = |id: SampleId| {
                    let mut key = String::new();
                    self.key(id, &mut key);
                    key
                };
                ids.par_sort_by_cached_key(|&id| key(id));
            }
            Order::Source => {
                let first = |id: &SampleId| self.members(*id).iter().min().copied();
                ids.par_sort_by_key(first);
            }
        }
        ids
    }
}

fn capture(pattern: &Regex, file: &File<'_>) -> Option<(String, String)> {
    let path = String::from_utf8(file.path()).ok()?;
    let captures = pattern.captures(&path)?;
    let key = captures.name("key")?.as_str();
    let field = captures.name("field")?.as_str();
    (!key.is_empty() && !field.is_empty()).then(|| (key.into(), field.into()))
}

fn join(names: &[&String]) -> String {
    names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests;
