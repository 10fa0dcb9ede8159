//! The files that a manifest names, one by one.

use std::path::{Path, PathBuf};

use shardpack_manifest::sagemaker::local_path;
use shardpack_store::{FileId, Listing, ListingBuilder, LocalTree, S3Tree, S3Uri, Sink, Source};

use super::super::s3;
use super::Opening;
use crate::exit::{Failure, Result};

/// A manifest, for messages about its entries.
pub(super) struct Entries<'a> {
    pub(super) manifest: &'a str,
    /// Where relative paths start; a manifest on S3 has none.
    pub(super) folder: Option<&'a Path>,
    /// Where an entry, counted from 0, stands in the manifest.
    pub(super) place: &'a dyn Fn(usize) -> String,
}

/// Where an entry lies.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    S3(S3Uri),
    Local(String),
}

impl Entries<'_> {
    /// Lists the files, in the order of `names`: URIs, or paths.
    ///
    /// Objects are named by their whole key, as SageMaker's File mode names them, with the bucket
    /// in front where there are several. Local files are named below the manifest's folder when
    /// all of them lie there, else below `/`.
    pub(super) fn open(&self, names: &[String], opening: Opening<'_>) -> Result<Named> {
        if names.is_empty() {
            return Err(Failure::new(format!("{}: names no file", self.manifest)));
        }
        let mut uris: Vec<S3Uri> = Vec::new();
        let mut paths: Vec<String> = Vec::new();
        for (i, name) in names.iter().enumerate() {
            match self.at(name).map_err(|failure| self.name_entry(i, failure))? {
                At::S3(uri) => uris.push(uri),
                At::Local(path) => paths.push(path),
            }
            if !uris.is_empty() && !paths.is_empty() {
                return Err(self.mixed(names, i));
            }
        }
        let duplicate = duplicate(&uris).or_else(|| duplicate(&paths));
        if let Some((first, again)) = duplicate {
            let name = names.get(again).map_or("", |name| name);
            let message = format!("{name}: {} names it already", (self.place)(first));
            return Err(self.name_entry(again, Failure::new(message)).hint("name each file once"));
        }
        let source: Box<dyn Source> = match uris.first() {
            Some(first) => {
                let s3 = s3::connect(first, opening.s3, opening.limits, opening.log)?;
                let tree = S3Tree::from_uris(s3, uris, self.manifest);
                Box::new(tree.map_err(|error| self.renumber(error.into()))?)
            }
            None => {
                let root = self.root(&paths);
                let list = paths.join("\0");
                let depth = opening.limits.io_depth;
                let tree = LocalTree::from_list(root, list.as_bytes(), 0, depth);
                Box::new(tree.map_err(|error| self.renumber(error.into()))?)
            }
        };
        Ok(Named { source, listing: None, name: self.manifest.to_owned() })
    }

    /// The same files under other paths.
    pub(super) fn renamed(&self, source: Named, paths: &[String]) -> Result<Named> {
        let mut listing = ListingBuilder::default();
        for (i, (path, file)) in paths.iter().zip(source.listing().iter()).enumerate() {
            let path = path.trim_start_matches('/');
            if path.is_empty() || path.ends_with('/') {
                let failure = Failure::new("nothing is left of the name behind the prefix")
                    .hint("leave --strip-prefix out");
                return Err(self.name_entry(i, failure));
            }
            listing.path(path.as_bytes(), file.len, file.stamp);
        }
        Ok(Named { listing: Some(listing.finish(Vec::new())), ..source })
    }

    fn at(&self, name: &str) -> Result<At> {
        if name.ends_with('/') {
            return Err(Failure::new(format!("{name}: names a folder"))
                .hint("name the files in it, or pack the folder"));
        }
        if S3Uri::is_one(name) {
            let uri: S3Uri = name.parse()?;
            return match uri.key().is_empty() {
                true => Err(Failure::new(format!("{name}: names no object"))),
                false => Ok(At::S3(uri)),
            };
        }
        match (name.split_once("://"), local_path(name)) {
            (Some(("https" | "http", _)), _) => Err(Failure::new(format!(
                "{name}: files are read from S3 or a local disk, not from a web server"
            ))
            .hint("write s3://bucket/key for an object of S3, or download the files")),
            (Some((scheme, _)), None) => {
                Err(Failure::new(format!("{name}: files are not read from {scheme}://"))
                    .hint("write s3://bucket/key, file:///path or a path"))
            }
            (_, Some(path)) => self.path(name, path).map(At::Local),
            (None, None) => Err(Failure::new(format!("{name}: neither a URI nor a path"))),
        }
    }

    /// The absolute path, without `.` and empty parts.
    fn path(&self, name: &str, path: &str) -> Result<String> {
        let absolute = match (path.starts_with('/'), self.folder) {
            (true, _) => PathBuf::from(path),
            (false, _) if name.starts_with("file://") => {
                return Err(Failure::new(format!("{name}: names no absolute path"))
                    .hint("write file:///path, with three slashes"));
            }
            (false, Some(folder)) => folder.join(path),
            (false, None) => {
                return Err(Failure::new(format!(
                    "{name}: a relative path means nothing in a manifest on S3"
                ))
                .hint("write s3://bucket/key, or an absolute path"));
            }
        };
        let clean: PathBuf = absolute.components().collect();
        match clean.to_str() {
            Some(path) => Ok(path.to_owned()),
            None => Err(Failure::new(format!("{name}: the manifest's folder is no UTF-8"))
                .hint("rename the folder, or write absolute paths")),
        }
    }

    /// The folder that local files are named below.
    fn root(&self, paths: &[String]) -> PathBuf {
        match self.folder {
            Some(folder) if paths.iter().all(|path| Path::new(path).starts_with(folder)) => {
                folder.to_owned()
            }
            _ => PathBuf::from("/"),
        }
    }

    fn mixed(&self, names: &[String], i: usize) -> Failure {
        let name = |i: usize| names.get(i).map_or("", |name| name);
        let message = format!(
            "{}: {} is {} and {} is {}: files on S3 and on a local disk in one manifest",
            self.manifest,
            (self.place)(0),
            name(0),
            (self.place)(i),
            name(i)
        );
        Failure::new(message).hint("pack them apart, or copy the ones to where the others are")
    }

    fn name_entry(&self, i: usize, failure: Failure) -> Failure {
        let message = format!("{}, {}: {}", self.manifest, (self.place)(i), failure.message);
        Failure { message, ..failure }
    }

    /// Stores count entries from 1; people look into the manifest.
    fn renumber(&self, failure: Failure) -> Failure {
        let numbered = failure.message.split_once(": ").and_then(|(place, rest)| {
            let number = place.strip_prefix("entry ").or_else(|| place.strip_prefix("line "))?;
            let number: usize = number.parse().ok()?;
            Some((number.checked_sub(1)?, rest.to_owned()))
        });
        match numbered {
            Some((i, message)) => self.name_entry(i, Failure { message, ..failure }),
            None => {
                Failure { message: format!("{}: {}", self.manifest, failure.message), ..failure }
            }
        }
    }
}

/// Two places that hold the same, the earlier one first.
fn duplicate<T: Ord>(all: &[T]) -> Option<(usize, usize)> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&i| (all.get(i), i));
    let same = order.windows(2).filter_map(|pair| match pair {
        &[a, b] if all.get(a) == all.get(b) => Some((a, b)),
        _ => None,
    });
    same.min_by_key(|&(_, again)| again)
}

/// The files that a manifest names: of that name, and perhaps called otherwise.
pub(super) struct Named {
    source: Box<dyn Source>,
    listing: Option<Listing>,
    name: String,
}

impl Source for Named {
    fn listing(&self) -> &Listing {
        self.listing.as_ref().unwrap_or_else(|| self.source.listing())
    }

    fn fetch(
        &self,
        file: FileId,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> shardpack_store::Result<()> {
        self.source.fetch(file, start, len, sink)
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}
