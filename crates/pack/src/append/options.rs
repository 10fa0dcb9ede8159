//! How a dataset was packed, from its manifest.

use std::collections::BTreeMap;

use regex::Regex;
use shardpack_manifest::Manifest;
use shardpack_store::Store;

use super::head::Head;
use super::unknown;
use crate::options::{Existing, ForeignIndex, Grouping, Labels, PackOptions, Policy, Split};
use crate::{Error, Result};

/// What appending is asked to do. How samples are packed the manifest says.
#[derive(Clone, Debug)]
pub struct AppendOptions {
    /// Make the dataset hold what the source holds: changed samples are replaced, those that the
    /// source has no more are marked as deleted. Default false.
    pub sync: bool,
    /// Look at everything, and write nothing. Default false.
    pub dry_run: bool,
    /// Throw unfinished work of another run away instead of refusing. Default false.
    pub restart: bool,
    /// Where labels come from: needed for a dataset whose labels came from a table, as the manifest
    /// does not hold it. Default: as the dataset was packed.
    pub labels: Option<Labels>,
    /// Threads that compute. Default: the cores.
    pub jobs: usize,
    /// Most reads in flight. Default 64.
    pub io_depth: usize,
    /// Memory for buffers in bytes. Default 512 MiB.
    pub memory: u64,
}

impl Default for AppendOptions {
    fn default() -> Self {
        let PackOptions { jobs, io_depth, memory, .. } = PackOptions::default();
        let labels = None;
        Self { sync: false, dry_run: false, restart: false, labels, jobs, io_depth, memory }
    }
}

/// The options that packing notes, in [`PackOptions::describe`].
const KNOWN: &[&str] = &[
    "format",
    "schema",
    "compress",
    "level",
    "group",
    "fields",
    "require",
    "missing",
    "bad-names",
    "bare-field",
    "labels",
    "unlabelled",
    "label-key",
    "label-column",
    "order",
    "split",
    "target",
    "max-samples",
    "shard-multiple",
    "name",
    "index",
    "s3-prefix",
];

impl AppendOptions {
    /// The options that new shards of a dataset are packed with.
    pub(super) fn pack(&self, manifest: &Manifest, store: &dyn Store) -> Result<PackOptions> {
        let noted = &manifest.options;
        if let Some(name) = noted.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(unknown(
                store,
                &format!(
                    "it was made with --{name}, which files cannot be packed with; pack them, and put both together with `shardpack reshard`"
                ),
            ));
        }
        let mut options = packed_with(manifest, store)?;
        options.labels = self.labels(manifest, store)?;
        options.jobs = self.jobs;
        options.io_depth = self.io_depth;
        options.memory = self.memory;
        options.restart = self.restart;
        Ok(options)
    }

    fn labels(&self, manifest: &Manifest, store: &dyn Store) -> Result<Option<Labels>> {
        let noted = manifest.options.get("labels").map(String::as_str);
        let kind = noted.map(|noted| noted.split_once(':').map_or(noted, |(kind, _)| kind));
        match (kind, &self.labels) {
            (Some("folder"), None) => Ok(Some(Labels::Folder)),
            (Some(kind), None) => Err(unknown(
                store,
                &format!(
                    "labels came from a table ({kind}): name the one that labels the samples of SRC with --labels {kind}:FILE"
                ),
            )),
            (None, None) if manifest.labels.is_some() => Err(unknown(
                store,
                "it has classes, and nothing says where labels of new samples come from: say it with --labels",
            )),
            (None, Some(_)) if manifest.labels.is_none() => {
                Err(unknown(store, "it was packed without labels, so new samples can have none"))
            }
            (_, labels) => Ok(labels.clone()),
        }
    }
}

/// The options of the run that packed a dataset, less labels and what decides no byte.
pub(super) fn packed_with(manifest: &Manifest, store: &dyn Store) -> Result<PackOptions> {
    if manifest.plan.is_none() {
        return Err(unknown(
            store,
            "its shards were indexed, not packed, so nobody knows how they were made; `shardpack reshard` makes a dataset of them that grows",
        ));
    }
    let noted = &manifest.options;
    let defaults = PackOptions::default();
    let options = PackOptions {
        format: manifest.format.name.clone(),
        format_options: manifest.format.options.clone(),
        compression: manifest.compression,
        level: number(noted, "level")?.map(|level: i32| level),
        grouping: match noted.get("group") {
            None => Grouping::FirstDot,
            Some(pattern) => {
                Grouping::Pattern(Regex::new(pattern).map_err(|_| unreadable("group", pattern))?)
            }
        },
        fields: list(noted, "fields"),
        required: list(noted, "require"),
        missing: policy(noted, "missing")?,
        bad_names: policy(noted, "bad-names")?,
        bare_field: noted.get("bare-field").cloned(),
        label_key: noted.get("label-key").cloned(),
        label_columns: list(noted, "label-column"),
        unlabelled: policy(noted, "unlabelled")?,
        order: manifest.order,
        splits: list(noted, "split").iter().map(|text| split(text)).collect::<Result<_>>()?,
        target: number(noted, "target")?.unwrap_or(defaults.target),
        max_samples: number(noted, "max-samples")?,
        shard_multiple: number(noted, "shard-multiple")?.unwrap_or(defaults.shard_multiple),
        name: noted.get("name").map_or(Ok(defaults.name.clone()), |name| name.parse())?,
        indexes: list(noted, "index").iter().map(|text| index(text)).collect::<Result<_>>()?,
        s3_prefix: noted.get("s3-prefix").cloned(),
        existing: Some(Existing {
            shards: Head::shards_ever(manifest),
            first_id: 0,
            classes: manifest.labels.clone().map(|labels| labels.classes).unwrap_or_default(),
        }),
        ..defaults
    };
    let splits: Vec<&str> = options.splits.iter().map(|split| split.name.as_str()).collect();
    match manifest.splits.iter().find(|split| !splits.contains(&split.name.as_str())) {
        None => Ok(options),
        Some(split) => Err(unknown(
            store,
            &format!("nothing says which samples are in its split {:?}", split.name),
        )),
    }
}

type Noted = BTreeMap<String, String>;

fn unreadable(name: &str, value: &str) -> Error {
    Error::Usage(format!(
        "the manifest's option {name} is {value:?}, which this release cannot read"
    ))
}

fn list(noted: &Noted, name: &str) -> Vec<String> {
    let items = noted.get(name).map(|value| value.split(',').map(str::to_owned).collect());
    items.unwrap_or_default()
}

fn number<T: std::str::FromStr>(noted: &Noted, name: &str) -> Result<Option<T>> {
    let Some(value) = noted.get(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| unreadable(name, value))
}

fn policy(noted: &Noted, name: &str) -> Result<Policy> {
    match noted.get(name).map(String::as_str) {
        None => Ok(Policy::Error),
        Some("skip") => Ok(Policy::Skip),
        Some("allow") => Ok(Policy::Allow),
        Some(other) => Err(unreadable(name, other)),
    }
}

fn split(text: &str) -> Result<Split> {
    let parts = text.split_once('=');
    let split = parts
        .and_then(|(name, share)| Some(Split { name: name.into(), fraction: share.parse().ok()? }));
    split.ok_or_else(|| unreadable("split", text))
}

fn index(text: &str) -> Result<ForeignIndex> {
    match text {
        "dali" => Ok(ForeignIndex::Dali),
        "wids" => Ok(ForeignIndex::Wids),
        "mxnet" => Ok(ForeignIndex::Mxnet),
        "tfrecord" => Ok(ForeignIndex::Tfrecord),
        _ => Err(unreadable("index", text)),
    }
}
