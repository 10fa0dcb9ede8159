//! Objects of a bucket as files to pack.

use std::sync::Arc;

use rayon::prelude::*;
use shardpack_manifest::sagemaker::PrefixNames;
use tokio::task::JoinSet;

use super::connect::S3;
use super::get::changed;
use super::list::{Found, list};
use super::put::{Target, head};
use super::range::{Pinned, stamp};
use super::uri::S3Uri;
use crate::listing::check_count;
use crate::path::split;
use crate::{Error, FileId, Listing, ListingBuilder, Result, Sink, Source};

/// Why a file is left out, by its path below the prefix; `None` keeps it.
pub type S3Rules<'r> = &'r dyn Fn(&[u8]) -> Option<&'static str>;

/// Objects of S3, as files to pack: those below a prefix, or those that a list names.
///
/// ```no_run
/// use shardpack_store::{S3, S3Options, S3Tree, S3Uri, Source};
///
/// let uri: S3Uri = "s3://pictures/train/".parse()?;
/// let s3 = S3::connect(&uri, S3Options::default())?;
/// let tree = S3Tree::open(s3, &uri, &|_| None)?;
/// println!("{} objects", tree.listing().len());
/// # Ok::<(), shardpack_store::Error>(())
/// ```
#[derive(Debug)]
pub struct S3Tree {
    s3: S3,
    listing: Listing,
    keys: Keys,
    name: String,
}

/// How a file of the listing becomes an address again.
#[derive(Debug)]
enum Keys {
    /// `base` and the file's path.
    Below { bucket: String, base: String },
    /// By number.
    Named(Vec<S3Uri>),
}

impl S3Tree {
    /// Lists the objects whose key starts with the key of `uri`, less those that `rules` leave
    /// out, sorted by folder and then by name as a local tree is, so that the same tree gives the
    /// same dataset wherever it lies.
    ///
    /// Files are named as in a SageMaker channel: without the folder that the prefix names.
    /// Objects of no length whose key ends in a slash stand for folders and are passed over. A
    /// prefix that is both a folder and the beginning of other names is refused.
    pub fn open(s3: S3, uri: &S3Uri, rules: S3Rules<'_>) -> Result<Self> {
        let found = list(&s3, uri.bucket(), uri.key())?;
        let naming = PrefixNames::new(uri.key());
        let base = base(uri, &naming, &found)?;
        let listing = listing(uri, &found, base.len(), rules)?;
        let keys = Keys::Below { bucket: uri.bucket().into(), base };
        Ok(Self { s3, listing, keys, name: uri.to_string() })
    }

    /// The objects that `uris` name, in that order; each is looked at for its length and version.
    /// A file's path is its key, with the bucket in front where there are several.
    pub fn from_uris(s3: S3, uris: Vec<S3Uri>, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check_count(uris.len(), &name)?;
        let heads = s3.wait(heads(&s3, &uris))?;
        let first = uris.first().map(|uri| uri.bucket().to_owned());
        let one_bucket = uris.iter().all(|uri| Some(uri.bucket()) == first.as_deref());
        let mut builder = ListingBuilder::default();
        for (uri, Seen { len, stamp, .. }) in uris.iter().zip(heads) {
            match one_bucket {
                true => builder.path(uri.key().as_bytes(), len, stamp),
                false => {
                    let path = format!("{}/{}", uri.bucket(), uri.key());
                    builder.path(path.as_bytes(), len, stamp);
                }
            }
        }
        let listing = builder.finish(Vec::new());
        if let Some((first, again)) = listing.duplicate() {
            let reason = format!("entries {} and {} name the same object", first + 1, again + 1);
            return Err(Error::invalid(
                format!("{name}: {}", listing.file(again).display()),
                reason,
            ));
        }
        Ok(Self { s3, listing, keys: Keys::Named(uris), name })
    }

    /// The address of a file.
    pub fn uri(&self, file: FileId) -> String {
        self.pinned(file).name()
    }

    fn pinned(&self, id: FileId) -> Pinned {
        let file = self.listing.file(id);
        let (bucket, key) = match &self.keys {
            Keys::Below { bucket, base } => {
                (bucket.clone(), format!("{base}{}", String::from_utf8_lossy(&file.path())))
            }
            Keys::Named(uris) => {
                let uri = &uris[id as usize];
                (uri.bucket().to_owned(), uri.key().to_owned())
            }
        };
        Pinned { bucket, key, len: file.len, stamp: file.stamp, etag: None }
    }
}

impl Source for S3Tree {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, id: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        let range = self.listing.file(id).range(start, len)?;
        let mut object = self.pinned(id);
        if range.is_empty() {
            let target = Target { bucket: object.bucket.clone(), key: object.key.clone() };
            let now = self.s3.wait(head(self.s3.calls(), &target))?;
            let same = now.len == object.len && object.is_same(now.etag.as_deref());
            return if same { Ok(()) } else { Err(changed(&object, "its ETag or length differs")) };
        }
        self.s3.read(&mut object, range, sink)
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// What the keys of all files start with.
fn base(uri: &S3Uri, naming: &PrefixNames<'_>, found: &Found) -> Result<String> {
    let mut folder = None;
    let mut other = None;
    for entry in found.iter() {
        let (name, inside) = naming.name(entry.key);
        let cut = entry.key.len() - name.len();
        let place = if inside { &mut folder } else { &mut other };
        place.get_or_insert((cut, entry.key));
        if let (Some((_, a)), Some((_, b))) = (folder, other) {
            return Err(Error::invalid(
                uri.to_string(),
                format!(
                    "is a folder and the beginning of other keys ({a}, {b}); end it in / to take the folder"
                ),
            ));
        }
    }
    let cut = folder.or(other);
    Ok(cut.map_or_else(String::new, |(cut, key)| key[..cut].to_owned()))
}

/// The listing of what was found, as a local tree's: by folder, then by name.
fn listing(uri: &S3Uri, found: &Found, base: usize, rules: S3Rules<'_>) -> Result<Listing> {
    check_count(found.len(), &uri.to_string())?;
    let mut skipped: Vec<(String, u64)> = Vec::new();
    let mut skip = |why: &str| match skipped.iter_mut().find(|(reason, _)| reason == why) {
        Some((_, count)) => *count += 1,
        None => skipped.push((why.to_owned(), 1)),
    };
    let mut files: Vec<u32> = Vec::with_capacity(found.len());
    let mut names = 0;
    let path = |i: u32| &found.get(i as usize).key.as_bytes()[base..];
    for (i, entry) in (0..).zip(found.iter()) {
        let path = path(i);
        if path.is_empty() || path.ends_with(b"/") {
            if entry.len > 0 {
                skip("objects whose key ends in /");
            }
            continue;
        }
        // No path tells `in//a` from `in/a`.
        if path.starts_with(b"/") {
            skip("objects with // behind the prefix");
            continue;
        }
        match rules(path) {
            Some(why) => skip(why),
            None => {
                names += split(path).1.len();
                files.push(i);
            }
        }
    }
    files.par_sort_by(|a, b| split(path(*a)).cmp(&split(path(*b))));
    let mut builder = ListingBuilder::default();
    builder.reserve(files.len(), names);
    let mut last: Option<(&[u8], u32)> = None;
    for i in files {
        let entry = found.get(i as usize);
        let (folder, name) = split(path(i));
        let dir = match last {
            Some((same, dir)) if same == folder => dir,
            _ => builder.dir(folder),
        };
        last = Some((folder, dir));
        builder.file(dir, name, entry.len, entry.stamp);
    }
    Ok(builder.finish(skipped))
}

/// What is to be known of an object before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) len: u64,
    /// Hash of its ETag.
    pub(super) stamp: u64,
    /// When it was written: see [`Head`](super::put::Head).
    pub(super) modified: u32,
}

/// Length, version and time of each object.
pub(super) async fn heads(s3: &S3, uris: &[S3Uri]) -> Result<Vec<Seen>> {
    /// Requests handed to the runtime at a time; the pace of reads is what limits them.
    const BATCH: usize = 1024;
    let mut all = Vec::with_capacity(uris.len());
    for (batch, uris) in uris.chunks(BATCH).enumerate() {
        let mut tasks = JoinSet::new();
        for (i, uri) in uris.iter().enumerate() {
            let target = Target { bucket: uri.bucket().into(), key: uri.key().into() };
            let calls = Arc::clone(s3.calls());
            tasks.spawn(async move {
                let found = head(&calls, &target).await.map_err(|error| {
                    error.rename(|name| format!("entry {}: {name}", batch * BATCH + i + 1))
                })?;
                let stamp = found.etag.as_deref().map_or(0, stamp);
                Ok::<_, Error>((i, Seen { len: found.len, stamp, modified: found.modified }))
            });
        }
        let mut found = vec![Seen::default(); uris.len()];
        while let Some(done) = tasks.join_next().await {
            let (i, seen) = done.map_err(|e| Error::io(std::io::Error::other(e), "S3"))??;
            found[i] = seen;
        }
        all.extend(found);
    }
    Ok(all)
}
