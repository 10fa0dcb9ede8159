//! What holds in every manifest.

use std::collections::{BTreeMap, HashSet};

use shardpack_formats::{Compression, FormatOptions, NAMES};

use super::{FieldTotals, Labels, Manifest, RecordFormat, Shard, Totals, add};
use crate::{Digest, Error, Result, path};

/// Longest field name, option or key in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Longest name of a split in characters: it becomes the name of a SageMaker channel.
const MAX_SPLIT: usize = 64;

pub(super) fn manifest(manifest: &Manifest) -> Result<()> {
    format(&manifest.format).map_err(|e| e.in_field("format"))?;
    shards(manifest)?;
    sums(manifest)?;
    fields(&manifest.fields, &manifest.totals).map_err(|e| e.in_field("fields"))?;
    splits(manifest)?;
    if let Some(labels) = &manifest.labels {
        classes(labels).map_err(|e| e.in_field("classes"))?;
    }
    for (name, value) in &manifest.options {
        text(name).and(text(value)).map_err(|e| e.in_field("options"))?;
    }
    if let Some(base) = &manifest.base {
        let place = base.place.as_deref().unwrap_or_default();
        base.check(manifest).and(text(place)).map_err(|e| e.in_field("base"))?;
    }
    tombstones(manifest).map_err(|e| e.in_field("tombstones"))?;
    places(manifest).map_err(|e| e.in_field("tombstone_places"))?;
    history(manifest).map_err(|e| e.in_field("history"))
}

fn format(format: &RecordFormat) -> Result<()> {
    if !NAMES.contains(&format.name.as_str()) {
        return Err(Error::unsupported(format!("format {:?}", format.name)));
    }
    let default = FormatOptions::default();
    if format.name != "tfrecord" && format.options.schema != default.schema {
        return Err(Error::unsupported(format!("a schema in format {}", format.name)));
    }
    if format.name != "recordio-protobuf" && format.options.dmlc_parts != default.dmlc_parts {
        return Err(Error::unsupported(format!("joining parts in format {}", format.name)));
    }
    Ok(())
}

fn shards(manifest: &Manifest) -> Result<()> {
    let mut paths = HashSet::new();
    let map = manifest.labels.as_ref().and_then(|l| l.map.as_deref());
    paths.extend(map);
    for (i, shard) in manifest.shards.iter().enumerate() {
        let sources = shard.sources.iter().map(|file| ("sources.path", &file.path));
        let files = [("path", &shard.path), ("index.path", &shard.index.path)];
        for (field, name) in files.into_iter().chain(sources) {
            let place = |e: Error| e.in_field(format!("shards[{i}].{field}"));
            path::check(name).map_err(place)?;
            if !paths.insert(name) {
                return Err(place(Error::name(name.as_str(), "stands twice in the manifest")));
            }
        }
        one_shard(shard, manifest.compression).map_err(|e| e.in_field(format!("shards[{i}]")))?;
    }
    Ok(())
}

fn one_shard(shard: &Shard, compression: Compression) -> Result<()> {
    if compression == Compression::None && shard.stream_bytes != shard.bytes {
        return Err(Error::corrupt(format!(
            "{} bytes, {} before compression, but it is not compressed",
            shard.bytes, shard.stream_bytes
        )));
    }
    if shard.samples == 0 && (shard.files, shard.digest) != (0, Digest::default()) {
        return Err(Error::corrupt("files or a digest without samples"));
    }
    if shard.files == 0 && shard.body_bytes != 0 {
        return Err(Error::corrupt("bytes without files"));
    }
    Ok(())
}

fn sums(manifest: &Manifest) -> Result<()> {
    let mut totals = Totals::default();
    for shard in &manifest.shards {
        totals = totals.plus(&shard.totals()).map_err(|e| e.in_field("totals"))?;
    }
    same("shards", &totals, &manifest.totals).map_err(|e| e.in_field("totals"))?;
    let digest: Digest = manifest.shards.iter().map(|shard| shard.digest).sum();
    match digest == manifest.digest {
        true => Ok(()),
        false => Err(Error::corrupt(format!(
            "{} is not the sum of the shards' digests, {digest}",
            manifest.digest
        ))
        .in_field("digest")),
    }
}

fn same(what: &str, sum: &Totals, stated: &Totals) -> Result<()> {
    for (name, sum, stated) in [
        ("samples", sum.samples, stated.samples),
        ("files", sum.files, stated.files),
        ("body_bytes", sum.body_bytes, stated.body_bytes),
        ("shard_bytes", sum.shard_bytes, stated.shard_bytes),
    ] {
        if sum != stated {
            return Err(Error::corrupt(format!("{name} of the {what} are {sum}, not {stated}")));
        }
    }
    Ok(())
}

fn fields(fields: &BTreeMap<String, FieldTotals>, totals: &Totals) -> Result<()> {
    let (mut files, mut bytes) = (0, 0);
    for (name, field) in fields {
        text(name)?;
        files = add(files, field.files)?;
        bytes = add(bytes, field.bytes)?;
    }
    match (files, bytes) == (totals.files, totals.body_bytes) {
        true => Ok(()),
        false => Err(Error::corrupt(format!(
            "{files} files of {bytes} bytes, but the shards hold {} of {} bytes",
            totals.files, totals.body_bytes
        ))),
    }
}

/// Splits cut the shards into runs: no shard in none or in two.
fn splits(manifest: &Manifest) -> Result<()> {
    let mut names = HashSet::new();
    let mut next = 0;
    for (i, split) in manifest.splits.iter().enumerate() {
        let place = |e: Error| e.in_field(format!("splits[{i}]"));
        split_name(&split.name).map_err(place)?;
        if !names.insert(&split.name) {
            return Err(place(Error::name(&split.name, "stands twice in the manifest")));
        }
        let shards = manifest.shards_of(&split.name).unwrap_or_default();
        if split.first_shard != next || split.shards == 0 || shards.len() as u64 != split.shards {
            return Err(place(Error::corrupt(format!(
                "{} shards from number {}, but {} have a split before it and there are {}",
                split.shards,
                split.first_shard,
                next,
                manifest.shards.len()
            ))));
        }
        next += split.shards;
        let mut totals = Totals::default();
        for shard in shards {
            totals = totals.plus(&shard.totals()).map_err(place)?;
            if shard.split.as_ref() != Some(&split.name) {
                let found = shard.split.as_deref().unwrap_or("no split");
                return Err(place(Error::corrupt(format!("{} is in {found}", shard.path))));
            }
        }
        same("shards", &totals, &split.totals).map_err(place)?;
    }
    let covered = if manifest.splits.is_empty() {
        manifest.shards.iter().all(|shard| shard.split.is_none())
    } else {
        next == manifest.shards.len() as u64
    };
    match covered {
        true => Ok(()),
        false => Err(Error::corrupt("shards outside of every split").in_field("splits")),
    }
}

fn split_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let good = !name.is_empty() && name.len() <= MAX_SPLIT && name.bytes().all(plain);
    match good && name != "." && name != ".." {
        true => Ok(()),
        false => Err(Error::name(name, "a split has 1 to 64 letters, digits, `.`, `_` and `-`")),
    }
}

fn classes(labels: &Labels) -> Result<()> {
    if let Some(map) = &labels.map {
        path::check(map)?;
    }
    let mut ids = HashSet::new();
    for (name, id) in &labels.classes {
        text(name)?;
        if !ids.insert(id) {
            return Err(Error::corrupt(format!("class {name:?} shares its id {id}")));
        }
    }
    Ok(())
}

fn tombstones(manifest: &Manifest) -> Result<()> {
    let keys = &manifest.tombstones;
    if keys.len() as u64 > manifest.totals.samples {
        return Err(Error::corrupt("more keys than samples"));
    }
    let rise = |a: &String, b: &String| a < b || (manifest.by_place && a == b);
    if !keys.is_sorted_by(rise) {
        return Err(Error::corrupt("keys are not sorted, or one stands twice"));
    }
    keys.iter().try_for_each(|key| text(key))
}

/// Places are of all tombstones or of none.
fn places(manifest: &Manifest) -> Result<()> {
    let places = &manifest.tombstone_places;
    let needed = manifest.by_place || !places.is_empty();
    if needed && places.len() != manifest.tombstones.len() {
        let (places, keys) = (places.len(), manifest.tombstones.len());
        return Err(Error::corrupt(format!("{places} places of {keys} tombstones")));
    }
    let mut seen = HashSet::new();
    for &(shard, record) in places {
        let there = usize::try_from(shard).ok().and_then(|shard| manifest.shards.get(shard));
        if there.is_none_or(|shard| record >= shard.samples) || !seen.insert((shard, record)) {
            let what = format!("shard {shard}, record {record} is not there, or stands twice");
            return Err(Error::corrupt(what));
        }
    }
    Ok(())
}

/// The last version is this one.
fn history(manifest: &Manifest) -> Result<()> {
    let Some(last) = manifest.history.last() else { return Ok(()) };
    let live = manifest.live();
    if (last.samples, last.shards) != (live, manifest.shards.len() as u64) {
        return Err(Error::corrupt(format!(
            "the last version has {} samples in {} shards, the manifest {live} in {}",
            last.samples,
            last.shards,
            manifest.shards.len()
        )));
    }
    match manifest.tombstones.is_empty() && last.digest != manifest.digest {
        true => Err(Error::corrupt(format!(
            "the last version has digest {}, the manifest {}",
            last.digest, manifest.digest
        ))),
        false => Ok(()),
    }
}

fn text(text: &str) -> Result<()> {
    match text.len() <= MAX_TEXT {
        true => Ok(()),
        false => Err(Error::new(crate::ErrorKind::TooLarge {
            what: "name, option or key",
            len: text.len() as u64,
            limit: MAX_TEXT as u64,
        })),
    }
}
