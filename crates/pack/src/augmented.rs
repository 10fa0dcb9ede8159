//! SageMaker's augmented manifest as a source: a line is a sample, an attribute a field or a label.
//!
//! The source lists files that are not there under these names: `KEY.FIELD`, one for each line and
//! attribute. So grouping, planning and packing need not know of it.
//!
//! | attribute | field |
//! |---|---|
//! | the only one that ends in `-ref` | the object's extension in lower case: `jpg`, `nii.gz`; the attribute's name if it has none |
//! | one of several that end in `-ref` | name and extension: `image-ref` is `image.jpg`, `mask-ref` is `mask.png` |
//! | text in at least one line | name and `txt` |
//! | numbers, booleans, arrays, objects | name and `json` |
//!
//! The last part of a field's name is what WebDataset readers pick a decoder by; `json` makes `1`
//! a number and `[1,2]` a list. A name is the attribute's in lower case, without `-ref`, with `_`
//! for what is no ASCII letter, digit, `-` or `_`; a second attribute of the same name gets its
//! number among the attributes appended: `a b` and `a_b` are `a_b` and `a_b-2`.

mod labels;
mod names;
#[cfg(test)]
mod tests;

use std::fmt;

use shardpack_manifest::sagemaker::{AugmentedBuilder, AugmentedManifest, Value};
use shardpack_store::{ErrorKind, FileId, Listing, ListingBuilder, Object, Sink, Source};
use xxhash_rust::xxh3::xxh3_64;

use crate::options::Labels;
use crate::{Error, Result};
use names::{FieldName, Keys};

/// How the lines of an augmented manifest become samples.
#[derive(Clone, Debug, Default)]
pub struct AugmentedOptions {
    /// Where the manifest comes from, for messages.
    pub name: String,
    /// Attributes that are labels; they become no fields. Default none.
    pub labels: Vec<String>,
    /// What samples are called.
    pub keys: SampleKeys,
}

/// What the samples of an augmented manifest are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SampleKeys {
    /// As [`Name`](Self::Name) where that can be, else as [`Line`](Self::Line).
    #[default]
    Auto,
    /// The name of the first `-ref` attribute's object, up to its first dot: `s3://b/d/cat.jpg` is
    /// `cat`. Refused when two lines would have the same key.
    Name,
    /// The line's number, from 1: `line-00000012`.
    Line,
}

/// The samples that an augmented manifest describes, as files.
///
/// Beside the names, a file costs 36 bytes here, an object that is referred to 8, and what `inner`
/// lists for it.
///
/// ```
/// use shardpack_manifest::sagemaker::AugmentedManifest;
/// use shardpack_pack::{AugmentedOptions, AugmentedSource, PackOptions, Progress, pack};
/// use shardpack_store::{MemoryStore, MemoryTree, Source};
///
/// let lines = br#"{"source-ref": "s3://b/1.jpg", "caption": "a cat", "class": "cat"}"#;
/// let manifest = AugmentedManifest::parse(lines, &[])?;
/// assert!(manifest.uris().eq(["s3://b/1.jpg"])); // what the inner source must list
/// let inner = MemoryTree::new([("b/1.jpg", "meow")]);
/// let options = AugmentedOptions { labels: vec!["class".into()], ..Default::default() };
/// let source = AugmentedSource::new(manifest, Box::new(inner), options)?;
/// let paths: Vec<_> = source.listing().iter().map(|file| file.display()).collect();
/// assert_eq!(paths, ["1.jpg", "1.caption.txt"]);
///
/// let options = PackOptions { labels: source.labels(), ..Default::default() };
/// let report = pack(&source, &MemoryStore::new(), &options, &Progress::default())?;
/// assert_eq!((report.samples, report.files), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AugmentedSource {
    manifest: AugmentedManifest,
    inner: Box<dyn Source>,
    options: AugmentedOptions,
    /// Attributes that become fields: file number `i` is the `i % fields.len()`-th of row
    /// `i / fields.len()`.
    fields: Vec<usize>,
    /// Attributes that become labels.
    labels: Vec<usize>,
    keys: Keys,
    listing: Listing,
}

/// Bytes of a manifest that are read at a time.
const PIECE: usize = 1 << 20;

/// Reads the augmented manifest in `object`, called `name` in messages, in pieces of 1 MiB.
/// `attributes` are those of [`AugmentedBuilder::new`].
pub fn read_augmented(
    object: &dyn Object,
    name: &str,
    attributes: &[String],
) -> Result<AugmentedManifest> {
    let in_file = |error: shardpack_manifest::Error| error.in_file(name);
    let mut builder = AugmentedBuilder::new(attributes).map_err(in_file)?;
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < object.len() {
        let read = object.read_at(at, &mut buffer)?;
        let piece = buffer.get(..read).filter(|piece| !piece.is_empty()).ok_or_else(|| {
            let what = format!("{} bytes when opened, {at} now", object.len());
            shardpack_store::Error::new(ErrorKind::Changed { what }, name)
        })?;
        builder.push(piece).map_err(in_file)?;
        at += read as u64;
    }
    Ok(builder.finish().map_err(in_file)?)
}

impl AugmentedSource {
    /// Lists the samples of `manifest`. `inner` lists the objects of
    /// [`AugmentedManifest::uris`], once each and in that order, in any folders but under the names
    /// that they have there.
    ///
    /// Fails with [`Error::Usage`] when it does not, when an attribute cannot be a label, when no
    /// attribute is left to be a field and for more than 2^32 files, and with [`Error::Refused`]
    /// for [`SampleKeys::Name`] where names are not distinct.
    pub fn new(
        manifest: AugmentedManifest,
        inner: Box<dyn Source>,
        options: AugmentedOptions,
    ) -> Result<Self> {
        check(&manifest, inner.listing(), &options.name)?;
        let labels = labels::attributes(&manifest, &options.labels)?;
        let fields: Vec<usize> =
            (0..manifest.attributes().len()).filter(|a| !labels.contains(a)).collect();
        if fields.is_empty() {
            return Err(Error::Usage(
                "--label-attribute: every attribute is a label, so nothing is left to pack; name more attributes".into(),
            ));
        }
        let files = manifest.len().checked_mul(fields.len());
        if files.is_none_or(|files| u32::try_from(files).is_err()) {
            return Err(Error::Usage(format!(
                "{}: {} lines of {} attributes are more than 2^32 files; split the manifest",
                options.name,
                manifest.len(),
                fields.len()
            )));
        }
        let keys = Keys::new(&manifest, &fields, &options)?;
        let names = FieldName::all(&manifest, &fields, !labels.is_empty());
        let listing = list(&manifest, inner.listing(), &keys, &fields, &names);
        Ok(Self { manifest, inner, options, fields, labels, keys, listing })
    }

    /// The labels that [`AugmentedOptions::labels`] asks for, as a table that
    /// [`PackOptions::labels`](crate::PackOptions::labels) takes; none when it asks for none.
    ///
    /// Its rules hold: numbers stay numbers, a text anywhere makes classes, which are numbered by
    /// their sorted names. Booleans are the classes `false` and `true`; a line whose label is
    /// `null` has none. Line numbers in errors are the manifest's.
    pub fn labels(&self) -> Option<Labels> {
        (!self.labels.is_empty()).then(|| Labels::JsonLines {
            table: labels::table(self),
            name: self.options.name.clone(),
        })
    }

    /// What samples are called, now that it is known: never [`SampleKeys::Auto`].
    pub fn keys(&self) -> SampleKeys {
        match self.keys {
            Keys::Of(_) => SampleKeys::Name,
            Keys::Line => SampleKeys::Line,
        }
    }

    /// What the source was made of.
    pub fn manifest(&self) -> &AugmentedManifest {
        &self.manifest
    }

    /// Where the bytes of a file are.
    fn value(&self, file: FileId) -> Option<Value<'_>> {
        let (file, width) = (file as usize, self.fields.len());
        let attribute = *self.fields.get(file.checked_rem(width)?)?;
        self.manifest.value(file / width, attribute)
    }
}

impl Source for AugmentedSource {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(
        &self,
        id: FileId,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> shardpack_store::Result<()> {
        match self.value(id) {
            Some(Value::Ref { number, .. }) => self.inner.fetch(number, start, len, sink),
            Some(Value::Inline(value)) => {
                let text = value.text();
                let end = start.checked_add(len).and_then(|end| usize::try_from(end).ok());
                let bytes = end.and_then(|end| text.as_bytes().get(start as usize..end));
                bytes.map(|bytes| pour(bytes, sink)).unwrap_or_else(|| self.outside(id, start, len))
            }
            None => self.outside(id, start, len),
        }
    }

    fn describe(&self) -> String {
        match self.options.name.is_empty() {
            true => format!("an augmented manifest of {}", self.inner.describe()),
            false => self.options.name.clone(),
        }
    }
}

impl AugmentedSource {
    fn outside(&self, id: FileId, start: u64, len: u64) -> shardpack_store::Result<()> {
        let file = self.listing.file(id);
        let reason = format!("no bytes {start}+{len} in a value of {}", file.len);
        Err(shardpack_store::Error::new(ErrorKind::Invalid { reason }, file.display()))
    }
}

impl fmt::Debug for AugmentedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<_> = self.manifest.attributes().collect();
        f.debug_struct("AugmentedSource")
            .field("attributes", &attributes)
            .field("lines", &self.manifest.len())
            .finish_non_exhaustive()
    }
}

/// Moves bytes into a sink.
pub(crate) fn pour(mut bytes: &[u8], sink: &mut dyn Sink) -> shardpack_store::Result<()> {
    while !bytes.is_empty() {
        let space = sink.space()?;
        let (head, tail) = bytes.split_at(space.len().min(bytes.len()));
        for (to, from) in space.iter_mut().zip(head) {
            *to = *from;
        }
        bytes = tail;
        sink.advance(head.len())?;
    }
    Ok(())
}

/// Refuses a listing of other objects, or in another order: images would get each other's labels.
fn check(manifest: &AugmentedManifest, objects: &Listing, name: &str) -> Result<()> {
    let (wanted, listed) = (manifest.uris().len(), objects.len());
    if wanted != listed {
        return Err(Error::Usage(format!(
            "{name}: refers to {wanted} objects, of which {listed} were listed"
        )));
    }
    let mut pairs = manifest.uris().zip(objects.iter());
    match pairs.find(|(uri, file)| names::base(uri).as_bytes() != file.name) {
        Some((uri, file)) => {
            Err(Error::Usage(format!("{name}: {uri} was listed as {}", file.display())))
        }
        None => Ok(()),
    }
}

/// The files of all lines, in the manifest's order.
fn list(
    manifest: &AugmentedManifest,
    objects: &Listing,
    keys: &Keys,
    fields: &[usize],
    names: &[FieldName],
) -> Listing {
    let mut builder = ListingBuilder::default();
    let root = builder.dir(b"");
    builder.reserve(manifest.len() * fields.len(), 0);
    let mut name = String::new();
    for row in 0..manifest.len() {
        for (&attribute, field) in fields.iter().zip(names) {
            name.clear();
            keys.append(manifest, row, &mut name);
            name.push('.');
            let (len, stamp) = match manifest.value(row, attribute) {
                Some(Value::Ref { uri, number }) => {
                    field.append(uri, &mut name);
                    let file = objects.file(number);
                    (file.len, file.stamp)
                }
                Some(Value::Inline(value)) => {
                    field.append("", &mut name);
                    let text = value.text();
                    (text.len() as u64, xxh3_64(text.as_bytes()))
                }
                None => continue, // there is one in every row
            };
            builder.file(root, name.as_bytes(), len, stamp);
        }
    }
    builder.finish(Vec::new())
}
