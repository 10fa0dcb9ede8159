//! Rules that only a listing shows.

use std::path::Path;

use shardpack_channel::{CompressionType, Distribution, InputMode, Layout, RecordWrapper};
use shardpack_manifest::sagemaker::ManifestFile;

use super::{Contents, Surveyed};
use crate::Finding;
use crate::objects::Objects;

const GUIDE: &str = "Developer Guide, Access Training Data";
const PREFIX: &str = "SageMaker API, S3DataSource";
const OURS: &str = "shardpack";
/// Most bytes of a RecordIO payload: a length has 29 bits.
const MAX_RECORD: u64 = (1 << 29) - 1;

/// How shards end, before what a compression adds.
const SHARDS: &[&str] = &["tar", "tfrecord", "tfrecords", "rec", "recordio", "pbr"];
const COMPRESSED: &[&str] = &["gz", "zst", "zz", "zlib"];

fn uri(at: &str) -> String {
    format!("{at}.DataSource.S3DataSource.S3Uri")
}

/// FastFile's prefix is no folder.
pub(super) fn prefix(at: &str, prefix: &str, reason: &str) -> Finding {
    Finding::listed(true, GUIDE, uri(at), prefix, reason, "name a folder or exactly one key")
}

/// No manifest, or one that SageMaker would not take: no prefix first, two buckets.
pub(super) fn manifest(at: &str, name: &str, reason: &str) -> Finding {
    let advice =
        "write [{\"prefix\": \"s3://bucket/prefix/\"}, \"key\", ...]: one bucket, one prefix";
    Finding::listed(true, PREFIX, uri(at), name, reason, advice)
}

pub(super) fn duplicates(manifest: &ManifestFile, at: &str) -> Option<Finding> {
    let (first, again) = manifest.duplicates().into_iter().next()?;
    let rule = format!("entry {again} of the manifest names the object of entry {first} again");
    Some(Finding::listed(false, OURS, uri(at), manifest.prefix(), rule, "name it once"))
}

/// Objects that the container does not see, and names by two rules.
pub(super) fn left_out(
    mode: InputMode,
    found: &Layout<'_>,
    objects: &dyn Objects,
    at: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((first, why)) = found.left_out.first() {
        let count = found.left_out.len();
        let rule = format!("{count} objects have no place in a folder; the first {why}");
        let is_broken = mode == InputMode::File;
        let advice = "rename the objects, or take another prefix";
        findings.push(Finding::listed(is_broken, OURS, uri(at), objects.key(*first), rule, advice));
    }
    if let Some((inside, outside)) = found.mixed {
        let rule = format!("is the folder of {inside:?} and the beginning of {outside:?}");
        findings.push(Finding::listed(false, OURS, uri(at), inside, rule, "end the prefix in /"));
    }
    findings
}

/// What a channel's objects are, beside each other and beside its hosts.
pub(super) fn check(channel: &Surveyed, at: &str, findings: &mut Vec<Finding>) {
    if matches!(channel.contents, Contents::Folder(_)) {
        return;
    }
    let units = channel.contents.units();
    let source = channel.request.s3_source();
    let address = source.map_or("", |source| source.uri.as_str());
    let is_sharded = source.is_some_and(|s| s.distribution == Distribution::ShardedByS3Key);
    if units == 0 {
        let advice = "look whether it is the right one: a job would fail";
        findings.push(Finding::listed(true, PREFIX, uri(at), address, "holds no object", advice));
    } else if is_sharded && units < channel.rank.world as usize {
        let rule = format!("{units} objects for {} hosts: some get nothing", channel.rank.world);
        let field = format!("{at}.DataSource.S3DataSource.S3DataDistributionType");
        let advice = "make at least one shard for each host, better a multiple";
        findings.push(Finding::listed(true, PREFIX, field, "ShardedByS3Key", rule, advice));
    }
    let Contents::Objects { objects, files, .. } = &channel.contents else { return };
    let is_pipe = channel.request.mode == InputMode::Pipe;
    if is_pipe || is_sharded {
        findings.extend(side_files(files.iter().map(|(i, _)| objects.key(*i)), is_pipe, at));
    }
    if channel.request.wrapper == RecordWrapper::RecordIo
        && channel.request.compression == CompressionType::None
    {
        findings.extend(long_records(&**objects, files, at));
    }
}

/// Manifests and indexes among shards: only one host gets each of them, and in a pipe they stand
/// between records.
fn side_files<'k>(
    keys: impl Iterator<Item = &'k str> + Clone,
    is_pipe: bool,
    at: &str,
) -> Option<Finding> {
    let mut others = keys.clone().filter(|key| !is_shard(key));
    let first = others.next()?;
    if !keys.clone().any(is_shard) {
        return None; // no shards: files of any kind
    }
    let count = 1 + others.count();
    let what = if is_pipe { "are streamed among the records" } else { "go to one host each" };
    let rule = format!("{count} objects beside the shards {what}");
    let advice = "keep shards in a folder of their own, and bring the rest in another channel";
    Some(Finding::listed(true, OURS, uri(at), first, rule, advice))
}

fn is_shard(key: &str) -> bool {
    let path = Path::new(key);
    let extension = |path: &Path| path.extension().and_then(|e| e.to_str()).map(str::to_owned);
    let known = |path: &Path, of: &[&str]| extension(path).is_some_and(|e| of.contains(&&*e));
    let plain = path.file_stem().map(Path::new).filter(|_| known(path, COMPRESSED));
    // `part-r-00001` and `x.tfrecord-00001-of-00010` are shards of other tools.
    let numbered = key.rsplit('/').next().is_some_and(|name| {
        SHARDS.iter().any(|end| name.contains(&format!(".{end}-"))) || name.starts_with("part-")
    });
    known(plain.unwrap_or(path), SHARDS) || numbered
}

fn long_records(objects: &dyn Objects, files: &[(usize, String)], at: &str) -> Option<Finding> {
    let (long, _) = files.iter().find(|(i, _)| objects.size(*i) > MAX_RECORD)?;
    let rule = format!("{} bytes; a RecordIO record holds {MAX_RECORD}", objects.size(*long));
    let field = format!("{at}.RecordWrapperType");
    let advice = "leave RecordWrapperType out: shards have records already";
    Some(Finding::listed(true, "MXNet RecordIO", field, objects.key(*long), rule, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_from_what_lies_beside_them() {
        for key in [
            "a.tar",
            "x/b.tfrecord",
            "c.rec.gz",
            "d.tar.zst",
            "t.tfrecord-00001-of-00002",
            "part-r-0",
        ] {
            assert!(is_shard(key), "{key}");
        }
        for key in ["manifest.json", "a.tar.index", "x.gz", "labels.json", "tar", "a.jpg"] {
            assert!(!is_shard(key), "{key}");
        }
        let told = |keys: &[&str]| {
            side_files(keys.iter().copied(), true, "").map(|finding| finding.violation.value)
        };
        assert_eq!(told(&["a.tar", "index/a.index", "m.json"]).as_deref(), Some("index/a.index"));
        assert_eq!(told(&["a.jpg", "m.json"]), None);
        assert_eq!(told(&["a.tar", "b.tar"]), None);
    }
}
