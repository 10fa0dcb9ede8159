//! The manifest's JSON: pretty, but one line a shard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardpack_formats::{Compression, FormatOptions, NAMES, Schema};

use super::{
    Base, FieldTotals, Fingerprint, Labels, Manifest, RecordFormat, Shard, Split, Tool, Totals,
    Version,
};
use crate::lines::Lines;
use crate::seal;
use crate::{Digest, Error, ErrorKind, Result};

const KIND: &str = "shardpack-dataset";
/// The version in which tombstones go by keys, which older readers know.
const PLAIN: u64 = 1;

/// As much as tells whether the rest can be understood.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Wire {
    tool: Tool,
    format: WireFormat,
    compression: String,
    order: String,
    digest: Digest,
    totals: Totals,
    fields: BTreeMap<String, FieldTotals>,
    #[serde(default)]
    splits: Vec<Split>,
    label_map: Option<String>,
    classes: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    plan: Option<Fingerprint>,
    base: Option<Base>,
    shards: Vec<Shard>,
    #[serde(default)]
    tombstones: Vec<String>,
    #[serde(default)]
    tombstone_places: Vec<(u64, u64)>,
    #[serde(default)]
    history: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
struct WireFormat {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<String>,
}

/// Parses without [`Manifest::check`].
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest> {
    if bytes.len() > Manifest::MAX_BYTES {
        return Err(too_large(bytes.len()));
    }
    let not_this = || {
        let reason = format!("not a shardpack manifest: no \"kind\": \"{KIND}\"");
        Error::new(ErrorKind::NotThis { reason })
    };
    if bytes.trim_ascii_start().first().is_some_and(|&b| b != b'{') {
        return Err(not_this());
    }
    let head: Head = serde_json::from_slice(bytes)?;
    if head.kind.as_deref() != Some(KIND) {
        return Err(not_this());
    }
    let version = match head.version {
        Some(found @ PLAIN..=Manifest::VERSION) => found,
        Some(found) if found > Manifest::VERSION => {
            return Err(Error::new(ErrorKind::Version { found, newest: Manifest::VERSION }));
        }
        _ => return Err(Error::corrupt("no version").in_field("version")),
    };
    seal::check(bytes)?;
    let wire: Wire = serde_json::from_slice(bytes)?;
    Ok(Manifest {
        tool: wire.tool,
        format: wire.format.read().map_err(|e| e.in_field("format"))?,
        compression: compression(&wire.compression).map_err(|e| e.in_field("compression"))?,
        order: wire.order.parse().map_err(|e: Error| e.in_field("order"))?,
        digest: wire.digest,
        totals: wire.totals,
        fields: wire.fields,
        splits: wire.splits,
        labels: labels(wire.label_map, wire.classes)?,
        options: wire.options,
        plan: wire.plan,
        base: wire.base,
        shards: wire.shards,
        tombstones: wire.tombstones,
        tombstone_places: wire.tombstone_places,
        by_place: version > PLAIN,
        history: wire.history,
    })
}

fn labels(map: Option<String>, classes: Option<BTreeMap<String, u64>>) -> Result<Option<Labels>> {
    match (map, classes) {
        (None, None) => Ok(None),
        (map, Some(classes)) => Ok(Some(Labels { map, classes })),
        (Some(_), None) => {
            Err(Error::corrupt("a map of labels without classes").in_field("label_map"))
        }
    }
}

pub(super) fn to_bytes(manifest: &Manifest) -> Result<Vec<u8>> {
    let mut out = Lines::new();
    out.field("kind", &KIND)?;
    out.field("version", &if manifest.by_place { Manifest::VERSION } else { PLAIN })?;
    out.field("tool", &manifest.tool)?;
    out.field("format", &WireFormat::write(&manifest.format))?;
    out.field("compression", &compression_name(manifest.compression))?;
    out.field("order", &manifest.order.to_string())?;
    out.field("digest", &manifest.digest)?;
    out.field("totals", &manifest.totals)?;
    out.map("fields", &manifest.fields)?;
    out.list("splits", &manifest.splits)?;
    if let Some(labels) = &manifest.labels {
        if let Some(map) = &labels.map {
            out.field("label_map", map)?;
        }
        out.map("classes", &labels.classes)?;
    }
    out.map("options", &manifest.options)?;
    if let Some(plan) = &manifest.plan {
        out.field("plan", plan)?;
    }
    if let Some(base) = &manifest.base {
        out.field("base", base)?;
    }
    out.list("shards", &manifest.shards)?;
    if !manifest.tombstones.is_empty() {
        out.list("tombstones", &manifest.tombstones)?;
    }
    if !manifest.tombstone_places.is_empty() {
        out.list("tombstone_places", &manifest.tombstone_places)?;
    }
    if !manifest.history.is_empty() {
        out.list("history", &manifest.history)?;
    }
    Ok(seal::close(out))
}

const COMPRESSIONS: [(&str, Compression); 4] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zlib", Compression::Zlib),
    ("zstd", Compression::Zstd),
];
const SCHEMAS: [(&str, Schema); 3] =
    [("fields", Schema::Fields), ("image", Schema::Image), ("raw", Schema::Raw)];
const PARTS: [(&str, bool); 2] = [("sagemaker", false), ("dmlc", true)];

fn compression(name: &str) -> Result<Compression> {
    by_name(&COMPRESSIONS, "compression", name)
}

fn compression_name(value: Compression) -> String {
    name_of(&COMPRESSIONS, value)
}

fn by_name<T: Copy>(table: &[(&str, T)], what: &str, name: &str) -> Result<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        Error::unsupported(format!("{what} {name:?}; known: {}", known.join(", ")))
    })
}

fn name_of<T: PartialEq>(table: &[(&str, T)], value: T) -> String {
    table.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name).to_owned()
}

impl WireFormat {
    fn read(self) -> Result<RecordFormat> {
        if !NAMES.contains(&self.name.as_str()) {
            let known = NAMES.join(", ");
            return Err(Error::unsupported(format!("format {:?}; known: {known}", self.name)));
        }
        let mut options = FormatOptions::default();
        if let Some(schema) = &self.schema {
            options.schema = by_name(&SCHEMAS, "schema", schema)?;
        }
        if let Some(parts) = &self.parts {
            options.dmlc_parts = by_name(&PARTS, "parts", parts)?;
        }
        Ok(RecordFormat { name: self.name, options })
    }

    /// Says what the format has a choice in, and nothing else.
    fn write(format: &RecordFormat) -> Self {
        let FormatOptions { schema, dmlc_parts, .. } = format.options;
        Self {
            name: format.name.clone(),
            schema: (format.name == "tfrecord").then(|| name_of(&SCHEMAS, schema)),
            parts: (format.name == "recordio-protobuf").then(|| name_of(&PARTS, dmlc_parts)),
        }
    }
}

pub(super) fn too_large(len: usize) -> Error {
    let limit = Manifest::MAX_BYTES as u64;
    Error::new(ErrorKind::TooLarge { what: "manifest", len: len as u64, limit })
}
