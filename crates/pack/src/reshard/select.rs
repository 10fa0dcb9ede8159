//! Which samples are taken, and what of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use globset::GlobMatcher;
use shardpack_formats::Label;

use super::arrange::Arrangement;
use super::catalog::Catalog;
use super::dedupe::Dedupe;
use super::expression::Expression;
use crate::dataset::glob;
use crate::{Error, Result, hash};

/// What of the sources is taken. Default: everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only samples with these keys, one a line; none takes all.
    pub keys: Option<String>,
    /// Only samples whose key matches one of these globs (`*` crosses no slash, `**` does).
    pub globs: Vec<String>,
    /// Only samples with one of these labels: a class's name, a label's text or one of its numbers.
    pub labels: Vec<String>,
    /// Only these of the samples that the sources have, of the splits that are taken, counted from 0 as
    /// they are stored.
    pub slice: Option<Range<u64>>,
    /// Only these splits of the sources.
    pub splits: Vec<String>,
    /// Only samples for which this holds; fields by the names that they have in the sources, whether
    /// they are taken or not, and before one of this name that is added.
    pub condition: Option<Expression>,
    /// What becomes of samples where a field that the condition or the arrangement looks into is no
    /// JSON.
    pub bad_json: BadJson,
    /// Leaves out all but one, the first by key, of samples that are the same.
    pub dedupe: Option<Dedupe>,
    /// Puts samples in an order that keys and labels alone do not tell.
    pub arrangement: Option<Arrangement>,
    /// Least bytes of a sample's bodies, of the fields that are taken.
    pub min_size: Option<u64>,
    /// Most of them.
    pub max_size: Option<u64>,
    /// Only these fields, by the names that they have in the sources; empty takes all.
    pub fields: Vec<String>,
    /// Fields that are left out.
    pub drop_fields: Vec<String>,
    /// New names of fields: old and new.
    pub rename: Vec<(String, String)>,
    /// Leaves labels and class names behind.
    pub drop_labels: bool,
    /// `cls`, `cls.json` and `cls.txt` of shards that something else wrote are labels too.
    pub label_fields: bool,
    /// What becomes of samples with the same key.
    pub duplicates: Duplicates,
    /// One part of several, by a stable hash of the keys.
    pub fold: Option<Fold>,
    /// At most so many samples of each label, those with the least hash of key and seed.
    pub per_class: Option<u64>,
    /// At most so many samples, chosen the same way.
    pub head: Option<u64>,
    /// Seed of these two choices.
    pub seed: u64,
}

/// What becomes of samples with the same key, whatever their fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// An error that names both, before anything is written.
    #[default]
    Error,
    /// The first one is taken, in the order of the sources.
    First,
    /// The last one is taken.
    Last,
}

/// What becomes of a sample where a field that is looked into is no JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadJson {
    /// An error that names shard, record and key.
    #[default]
    Error,
    /// The condition does not hold, which is counted; in an order by this field it is last.
    Skip,
}

/// A part of the samples, by a stable hash of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The part, from 1.
    pub part: u64,
    /// How many parts there are.
    pub parts: u64,
    /// All the others instead.
    pub rest: bool,
}

/// Seed of the hash that folds go by. Fixed for ever: a new one would move samples from the part
/// that a model is tested on to those that it was trained on.
const FOLD_SEED: u64 = 0x5350_464f_4c44;

impl Selection {
    /// Finds what cannot be meant.
    pub fn check(&self) -> Result<()> {
        let usage = |what: String| Err(Error::Usage(what));
        if let Some(Fold { part, parts, .. }) = self.fold
            && (parts < 2 || part < 1 || part > parts)
        {
            return usage(format!(
                "--fold {part}/{parts}: write K/N, with K from 1 to N and N from 2"
            ));
        }
        if self.min_size.zip(self.max_size).is_some_and(|(min, max)| min > max) {
            return usage("--min-size is over --max-size: no sample is both".into());
        }
        if let Some(Range { start, end }) = self.slice.as_ref().filter(|slice| slice.is_empty()) {
            return usage(format!(
                "--slice {start}..{end}: holds no sample; write FIRST..END, END is not in it"
            ));
        }
        if self.head == Some(0) || self.per_class == Some(0) {
            return usage("--head and --sample-per-class start at 1".into());
        }
        for (i, (old, new)) in self.rename.iter().enumerate() {
            if old.is_empty() || new.is_empty() {
                return usage(format!("--rename {old}={new}: write OLD=NEW"));
            }
            if self.rename[..i].iter().any(|(before, _)| before == old) {
                return usage(format!("--rename: {old} is renamed twice"));
            }
        }
        if let Some(both) = self.fields.iter().find(|field| self.drop_fields.contains(field)) {
            return usage(format!("{both} is in --fields and in --drop-field"));
        }
        // By which name a field was stored, a listing does not tell any more.
        let mixed = |field: &&str| {
            let name = self.renamed(field);
            self.rename.iter().any(|(old, new)| new == name && old != field)
        };
        match self.looked_at().find(mixed) {
            Some(field) => usage(format!(
                "--where and --order look at {field}, which --rename makes another field; rename in a second run"
            )),
            None => Ok(()),
        }
    }

    /// Fields that the condition and the arrangement name.
    fn looked_at(&self) -> impl Iterator<Item = &str> {
        let named = self.condition.iter().flat_map(Expression::named);
        let by = match &self.arrangement {
            Some(Arrangement::Field { by, .. }) => by.field().map(|(field, _)| field),
            _ => None,
        };
        named.chain(by)
    }

    /// Whether a field is looked at.
    pub(super) fn looks_at(&self, field: &str) -> bool {
        self.looked_at().any(|f| f == field)
    }

    /// The choices as flags and values: what a rerun must agree with.
    pub(super) fn describe(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: String| {
            if !value.is_empty() {
                all.insert(name.to_owned(), value);
            }
        };
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let flag = |on: bool| if on { "yes".to_owned() } else { String::new() };
        let keys = self
            .keys
            .as_ref()
            .map(|keys| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(keys.as_bytes())));
        put("keys", keys.unwrap_or_default());
        put("glob", self.globs.join(" "));
        put("label", self.labels.join(","));
        put("split-from", self.splits.join(","));
        put("where", self.condition.as_ref().map(Expression::to_string).unwrap_or_default());
        put("where-errors", flag(self.bad_json == BadJson::Skip));
        put(
            "dedupe",
            match &self.dedupe {
                None => String::new(),
                Some(Dedupe::Content) => "content".to_owned(),
                Some(Dedupe::Field(field)) => format!("field {field}"),
            },
        );
        put(
            "order-by",
            match &self.arrangement {
                None => String::new(),
                Some(Arrangement::Field { by, descending }) => {
                    format!("{by}{}", if *descending { ":desc" } else { "" })
                }
                Some(Arrangement::Map { keys, .. }) => {
                    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(keys.as_bytes()))
                }
            },
        );
        put("min-size", number(self.min_size));
        put("max-size", number(self.max_size));
        put("fields", self.fields.join(","));
        put("drop-field", self.drop_fields.join(","));
        let pairs: Vec<_> = self.rename.iter().map(|(old, new)| format!("{old}={new}")).collect();
        put("rename", pairs.join(","));
        put("drop-labels", flag(self.drop_labels));
        put("label-fields", flag(self.label_fields));
        put(
            "duplicates",
            match self.duplicates {
                Duplicates::Error => String::new(),
                other => format!("{other:?}").to_lowercase(),
            },
        );
        if let Some(Fold { part, parts, rest }) = self.fold {
            put("fold", format!("{part}/{parts}"));
            put("fold-rest", flag(rest));
        }
        put("slice", self.slice.as_ref().map_or_else(String::new, shown));
        put("sample-per-class", number(self.per_class));
        put("head", number(self.head));
        if self.head.is_some() || self.per_class.is_some() {
            put("pick-seed", self.seed.to_string());
        }
        all
    }

    /// Whether a field is taken.
    pub(super) fn takes(&self, field: &str) -> bool {
        (self.fields.is_empty() || self.fields.iter().any(|f| f == field))
            && !self.drop_fields.iter().any(|f| f == field)
    }

    /// The name that a field gets.
    pub(super) fn renamed<'n>(&'n self, field: &'n str) -> &'n str {
        self.rename.iter().find(|(old, _)| old == field).map_or(field, |(_, new)| new)
    }
}

/// Chooses by key, sample by sample, while sources are listed.
pub(super) struct ByKey {
    /// Keys that are wanted, and whether they were met.
    keys: Option<HashMap<String, bool>>,
    globs: Vec<GlobMatcher>,
    fold: Option<Fold>,
    slice: Option<Range<u64>>,
    /// Samples that were left out: by `--slice`, `--keys`, `--glob` and `--fold`.
    dropped: [u64; 4],
}

impl ByKey {
    pub(super) fn new(selection: &Selection) -> Result<Self> {
        let keys = selection.keys.as_ref().map(|keys| {
            keys.lines().filter(|key| !key.is_empty()).map(|key| (key.to_owned(), false)).collect()
        });
        let bad = |error: Error| Error::Usage(format!("--glob: {error}"));
        let globs = selection.globs.iter().map(|g| glob(g).map_err(bad)).collect::<Result<_>>()?;
        let (fold, slice) = (selection.fold, selection.slice.clone());
        Ok(Self { keys, globs, fold, slice, dropped: [0; 4] })
    }

    /// Whether a sample is taken, of which so many lie before.
    pub(super) fn takes(&mut self, key: &str, before: u64) -> bool {
        let wanted = match self.keys.as_mut().map(|keys| keys.get_mut(key)) {
            Some(None) => Some(1),
            Some(Some(met)) => {
                *met = true;
                None
            }
            None => None,
        };
        let globbed = || self.globs.is_empty() || self.globs.iter().any(|glob| glob.is_match(key));
        let folded = || {
            self.fold.is_none_or(|Fold { part, parts, rest }| {
                (hash(key, FOLD_SEED) % parts == part - 1) != rest
            })
        };
        let elsewhere = self.slice.as_ref().is_some_and(|slice| !slice.contains(&before));
        let dropped = (elsewhere.then_some(0).or(wanted))
            .or_else(|| (!globbed()).then_some(2))
            .or_else(|| (!folded()).then_some(3));
        if let Some(reason) = dropped {
            self.dropped[reason] += 1;
        }
        dropped.is_none()
    }

    /// What was left out, by reason.
    pub(super) fn skipped(&self) -> Vec<(String, u64)> {
        let missing = self.keys.iter().flatten().filter(|(_, met)| !**met).count() as u64;
        let reasons = [
            "samples elsewhere (--slice)",
            "samples not in --keys",
            "samples of other keys (--glob)",
            "samples of other parts (--fold)",
        ];
        let rows =
            reasons.iter().zip(self.dropped).map(|(reason, count)| ((*reason).to_owned(), count));
        rows.chain([("keys of --keys that no sample has".to_owned(), missing)])
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// A slice as `--slice` takes it; one without an end goes up to the largest number.
fn shown(slice: &Range<u64>) -> String {
    match slice.end {
        u64::MAX => format!("{}..", slice.start),
        end => format!("{}..{end}", slice.start),
    }
}

/// Leaves out the samples of other labels and sizes.
pub(super) fn by_label_and_size(catalog: &mut Catalog, selection: &Selection) {
    if !selection.labels.is_empty() {
        let wanted: Vec<bool> = (catalog.labels().iter())
            .map(|label| selection.labels.iter().any(|w| is_label(label, w, catalog.classes())))
            .collect();
        let other = |i: &usize| !wanted[catalog.label_number(*i) as usize];
        let dropped: Vec<usize> = (0..catalog.len()).filter(other).collect();
        catalog.leave_out("samples of other labels (--label)", dropped);
    }
    let least = selection.min_size.unwrap_or(0);
    let dropped: Vec<usize> = (0..catalog.len()).filter(|i| catalog.bytes(*i) < least).collect();
    catalog.leave_out("samples under --min-size", dropped);
    let most = selection.max_size.unwrap_or(u64::MAX);
    let dropped: Vec<usize> = (0..catalog.len()).filter(|i| catalog.bytes(*i) > most).collect();
    catalog.leave_out("samples over --max-size", dropped);
}

fn is_label(label: &Label, wanted: &str, classes: &BTreeMap<String, u64>) -> bool {
    let number = classes.get(wanted).map(|id| *id as f64).or_else(|| wanted.parse().ok());
    label.text.as_deref() == Some(wanted) || number.is_some_and(|n| label.values.contains(&n))
}

/// Leaves out all but the first samples by hash: of each label, then of all.
pub(super) fn by_hash(catalog: &mut Catalog, selection: &Selection) {
    if selection.per_class.is_none() && selection.head.is_none() {
        return;
    }
    let mut key = String::new();
    let mut order: Vec<(u64, usize)> = Vec::with_capacity(catalog.taken());
    for i in (0..catalog.len()).filter(|i| catalog.is_taken(*i)) {
        catalog.key(i, &mut key);
        order.push((hash(&key, selection.seed), i));
    }
    order.sort_unstable();
    if let Some(most) = selection.per_class {
        let mut counts = HashMap::<u32, u64>::new();
        let mut full = |i: usize| {
            let count = counts.entry(catalog.label_number(i)).or_default();
            *count += 1;
            *count > most
        };
        let dropped: Vec<usize> = order.iter().map(|(_, i)| *i).filter(|i| full(*i)).collect();
        catalog.leave_out("further samples of their label (--sample-per-class)", dropped);
        order.retain(|(_, i)| catalog.is_taken(*i));
    }
    if let Some(most) = selection.head {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let dropped: Vec<usize> = order.iter().skip(most).map(|(_, i)| *i).collect();
        catalog.leave_out("further samples (--head)", dropped);
    }
}
