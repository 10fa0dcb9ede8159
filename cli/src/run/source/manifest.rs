//! Lists and manifests: files that name the files of a source.

use std::path::Path;

use shardpack_manifest::sagemaker::{AugmentedManifest, ManifestFile};
use shardpack_pack::{AugmentedOptions, AugmentedSource, SampleKeys, read_augmented};
use shardpack_store::{LocalOptions, LocalStore, Object, S3Store, S3Uri, Store};

use super::super::s3;
use super::entries::{Entries, Named};
use super::{Opened, Opening};
use crate::args::SourceTypeArg;
use crate::exit::{Exit, Failure, Result};
use crate::size::ByteSize;

/// Longest list: it is held in memory, at about 100 bytes a file.
const MAX_LIST: u64 = 4 << 30;
/// Longest manifest; the parser's limit is lower.
const MAX_MANIFEST: u64 = 1 << 30;
/// Bytes that are read at a time: few requests to S3.
const PIECE: usize = 16 << 20;

/// A manifest that can be read.
struct Manifest<'a> {
    /// Its whole path or address, for messages; a killed run is known again by it.
    name: String,
    /// Where relative paths in it start; on S3 they have no meaning.
    folder: Option<&'a Path>,
    object: Box<dyn Object>,
}

/// The files that a manifest on S3 names.
pub(super) fn remote(uri: &S3Uri, opening: Opening<'_>) -> Result<Opened> {
    let (folder, key) = uri.key().rsplit_once('/').unwrap_or(("", uri.key()));
    if key.is_empty() {
        return Err(Failure::new(format!(
            "{uri}: names no object, so neither a list nor a manifest"
        ))
        .hint("name the object, or leave --source-type out to pack what is below the prefix"));
    }
    let folder: S3Uri = format!("s3://{}/{folder}", uri.bucket()).parse()?;
    let s3 = s3::connect(uri, opening.s3, opening.limits, opening.log)?;
    let object = S3Store::open(s3, folder).open(key)?;
    open(&Manifest { name: uri.to_string(), folder: None, object }, opening)
}

/// The files that a manifest on a local disk names; its path is absolute.
pub(super) fn local(path: &Path, opening: Opening<'_>) -> Result<Opened> {
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new("/"));
    let key = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::new(format!("{name}: the name is no UTF-8")).hint("rename the file")
    })?;
    let object = LocalStore::open(folder, &LocalOptions::default()).open(key)?;
    open(&Manifest { name, folder: Some(folder), object }, opening)
}

fn open(manifest: &Manifest<'_>, opening: Opening<'_>) -> Result<Opened> {
    match opening.files.source_type {
        SourceTypeArg::Augmented => augmented(manifest, opening),
        SourceTypeArg::Manifest => manifest_file(manifest, opening).map(Opened::from),
        SourceTypeArg::List | SourceTypeArg::Prefix => list(manifest, opening).map(Opened::from),
    }
}

/// One URI or path a line.
fn list(manifest: &Manifest<'_>, opening: Opening<'_>) -> Result<Named> {
    let bytes = read(manifest, MAX_LIST)?;
    let separator = if opening.files.null { 0 } else { b'\n' };
    let (mut lines, mut names) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == separator)) {
        if line.is_empty() {
            continue;
        }
        let name = std::str::from_utf8(line).map_err(|_| {
            Failure::new(format!("{}, line {number}: the name is no UTF-8", manifest.name))
                .hint("--files-from takes such names: give the folder they lie in as SRC")
        })?;
        lines.push(number);
        names.push(name.to_owned());
    }
    let place = |i: usize| format!("line {}", lines.get(i).copied().unwrap_or(0u64));
    entries(manifest, &place).open(&names, opening)
}

/// A prefix and what follows it.
fn manifest_file(manifest: &Manifest<'_>, opening: Opening<'_>) -> Result<Named> {
    let bytes = read(manifest, MAX_MANIFEST)?;
    let file = ManifestFile::parse(&bytes).map_err(|e| Failure::of(&e.in_file(&*manifest.name)))?;
    let names: Vec<String> = file.uris().collect();
    let place = |i: usize| format!("[{}]", i + 1);
    let entries = entries(manifest, &place);
    let source = entries.open(&names, opening)?;
    match opening.files.strip_prefix {
        true => entries.renamed(source, file.suffixes()),
        false => Ok(source),
    }
}

/// A sample a line.
fn augmented(manifest: &Manifest<'_>, opening: Opening<'_>) -> Result<Opened> {
    let labels = opening.files.label_attribute.clone();
    let mut attributes = opening.files.attributes.clone();
    if !attributes.is_empty() {
        let unnamed = labels.iter().filter(|label| !attributes.contains(label));
        attributes.extend(unnamed.cloned().collect::<Vec<_>>());
    }
    let name = manifest.name.clone();
    // What is wrong with a manifest is no damage of a dataset.
    let table = read_augmented(&*manifest.object, &name, &attributes)
        .map_err(|error| Failure { exit: Exit::Failed, ..Failure::from(error) })?;
    let place = |i: usize| match line_of(&table, i) {
        Some(line) => format!("line {line}"),
        None => format!("object {}", i + 1),
    };
    let names: Vec<String> = table.uris().map(str::to_owned).collect();
    let inner = Box::new(entries(manifest, &place).open(&names, opening)?);
    let options = AugmentedOptions { name, labels, keys: SampleKeys::Auto };
    let source = AugmentedSource::new(table, inner, options)?;
    if source.keys() == SampleKeys::Line {
        opening.log.note(&format!(
            "{}: the objects' names cannot tell samples apart, so keys are line numbers",
            manifest.name
        ));
    }
    Ok(Opened { labels: source.labels(), source: Box::new(source) })
}

/// The line that first refers to object number `object`.
fn line_of(table: &AugmentedManifest, object: usize) -> Option<u64> {
    use shardpack_manifest::sagemaker::Value;
    let attributes = table.attributes().len();
    let row = (0..table.len()).find(|&row| {
        (0..attributes).any(|attribute| {
            matches!(table.value(row, attribute), Some(Value::Ref { number, .. }) if number as usize == object)
        })
    })?;
    table.line(row)
}

fn entries<'a>(manifest: &'a Manifest<'_>, place: &'a dyn Fn(usize) -> String) -> Entries<'a> {
    Entries { manifest: &manifest.name, folder: manifest.folder, place }
}

/// All bytes of a manifest.
fn read(manifest: &Manifest<'_>, most: u64) -> Result<Vec<u8>> {
    let (name, len) = (&manifest.name, manifest.object.len());
    if len > most {
        let most = ByteSize(most);
        return Err(Failure::new(format!("{name}: longer than {most}")).hint("pack it in parts"));
    }
    let mut bytes = vec![0; len as usize];
    let mut at = 0;
    for piece in bytes.chunks_mut(PIECE) {
        let read = manifest.object.read_at(at, piece)?;
        if read < piece.len() {
            return Err(Failure::new(format!("{name}: became shorter while it was read"))
                .hint("run again once nothing writes to it any more"));
        }
        at += read as u64;
    }
    Ok(bytes)
}
