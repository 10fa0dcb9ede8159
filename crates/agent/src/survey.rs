//! What a job's channels hold: listed once, checked against the rules that need a listing.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardpack_channel::{
    Assign, ChannelRequest, DataSource, DataType, Delivery, Distribution, ErrorKind, InputMode,
    Naming, Rank, ResourceConfig, S3Source, layout,
};
use shardpack_manifest::sagemaker::{AugmentedManifest, ManifestFile, local_path};
use shardpack_store::{Bytes, S3, S3Objects, S3Uri};

use crate::objects::{LocalObjects, Objects};
use crate::{Error, Finding, Job, Result, folder};

/// Largest manifest in bytes.
const MAX_MANIFEST: u64 = 256 << 20;

/// Connects to S3 for a bucket.
pub type Connect<'c> = &'c dyn Fn(&S3Uri) -> shardpack_store::Result<S3>;

/// What AWS leaves open, and how it is decided here.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Which host gets which objects of a `ShardedByS3Key` channel. Default: round-robin.
    pub assign: Assign,
    /// Files of a `ManifestFile` channel are called by what follows the manifest's prefix, not by
    /// the whole key. Default: the whole key, as jobs were seen to do.
    pub suffix_names: bool,
    /// Where file systems are mounted on this machine, by id; a `DirectoryPath` is looked for below.
    /// Default: nowhere, and a `DirectoryPath` is a path of this machine.
    pub file_systems: BTreeMap<String, PathBuf>,
}

/// The channels of this host, listed.
#[derive(Debug)]
pub struct Survey {
    pub(crate) channels: Vec<Surveyed>,
    /// Rules that are broken, and doubts, in the order of channels.
    pub findings: Vec<Finding>,
}

/// What a channel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'s> {
    /// The channel.
    pub name: &'s str,
    /// How it comes.
    pub mode: InputMode,
    /// Objects, or lines of an augmented manifest, that this host gets.
    pub own: usize,
    /// Those of all hosts.
    pub all: usize,
    /// Of a file system, its folder here: nothing of it is listed.
    pub folder: Option<&'s Path>,
}

/// One channel as this host sees it.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) request: ChannelRequest,
    pub(crate) contents: Contents,
    pub(crate) rank: Rank,
    pub(crate) assign: Assign,
}

#[derive(Debug)]
pub(crate) enum Contents {
    /// Objects, and the paths that some of them have.
    Objects { objects: Arc<dyn Objects>, files: Vec<(usize, String)>, folders: Vec<String> },
    /// Lines, and the objects that they refer to.
    Lines { objects: Arc<dyn Objects>, lines: Arc<AugmentedManifest> },
    /// A mounted file system.
    Folder(PathBuf),
}

impl Contents {
    /// How many there are to share among hosts: files or lines.
    pub(crate) fn units(&self) -> usize {
        match self {
            Self::Objects { files, .. } => files.len(),
            Self::Lines { lines, .. } => lines.len(),
            Self::Folder(_) => 0,
        }
    }
}

impl Surveyed {
    /// Numbers of this host's units in the order of an epoch.
    pub(crate) fn order(&self, epoch: u64) -> Vec<usize> {
        let source = self.request.s3_source();
        let delivery = Delivery {
            channel: &self.request.name,
            mode: self.request.mode,
            distribution: source
                .map_or(Distribution::FullyReplicated, |source| source.distribution),
            assign: self.assign,
            seed: self.request.shuffle_seed,
        };
        delivery.objects(self.contents.units(), self.rank, epoch)
    }
}

impl Survey {
    /// Lists every channel that this host gets, and looks at all rules that need that.
    ///
    /// Fails for what cannot be listed; rules that are broken are findings.
    pub fn new(
        job: &Job,
        hosts: &ResourceConfig,
        choices: &Choices,
        connect: Connect<'_>,
    ) -> Result<Self> {
        let mut findings: Vec<Finding> =
            job.request.doubts().into_iter().map(Finding::doubt).collect();
        // An address that stands for a local path is no doubt of the user's making.
        findings.retain(|finding| !finding.violation.value.starts_with("s3://local-path"));
        known(job, choices)?;
        let mut channels = Vec::new();
        let mut lister = Lister { job, choices, connect, lines: BTreeMap::new() };
        for (i, request) in job.request.channels.iter().enumerate() {
            let groups = request.s3_source().map_or(&[][..], |source| &source.instance_groups);
            let Some(rank) = hosts.rank_within(groups)? else { continue };
            let at = format!("InputDataConfig[{i}]");
            let contents = lister.contents(request, &at, &mut findings);
            let contents = contents.map_err(|error| of_channel(error, &request.name))?;
            let Some(contents) = contents else { continue };
            let channel =
                Surveyed { request: request.clone(), contents, rank, assign: choices.assign };
            rules::check(&channel, &at, &mut findings);
            channels.push(channel);
        }
        Ok(Self { channels, findings })
    }

    /// Fails with [`Error::Refused`] when a rule is broken.
    pub fn check(&self) -> Result<()> {
        let broken: Vec<_> = self.findings.iter().filter(|f| f.is_broken).cloned().collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::Refused(broken)) }
    }

    /// What each channel holds.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.channels.iter().map(|channel| Held {
            name: &channel.request.name,
            mode: channel.request.mode,
            own: channel.order(0).len(),
            all: channel.contents.units(),
            folder: match &channel.contents {
                Contents::Folder(path) => Some(path),
                _ => None,
            },
        })
    }
}

struct Lister<'j> {
    job: &'j Job,
    choices: &'j Choices,
    connect: Connect<'j>,
    /// Connections, by bucket.
    lines: BTreeMap<String, S3>,
}

impl Lister<'_> {
    fn contents(
        &mut self,
        request: &ChannelRequest,
        at: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Contents>> {
        let source = match &request.source {
            DataSource::S3(source) => source,
            DataSource::FileSystem(source) => {
                let mounted = self.choices.file_systems.get(&source.id);
                let path = folder::find(source, mounted.map(PathBuf::as_path))?;
                return match path.is_dir() {
                    true => Ok(Some(Contents::Folder(absolute(&path)?))),
                    false => Err(Error::job(format!(
                        "channel {}: {} of {} would be {} here, which is no folder; say where the \
                         file system is mounted: --file-system {}=PATH",
                        request.name,
                        source.path,
                        source.id,
                        path.display(),
                        source.id
                    ))),
                };
            }
            DataSource::Dataset(_) => return Ok(None), // refused before
        };
        let local = self.job.local.get(&request.name);
        match (source.data_type, local) {
            (DataType::S3Prefix, Some(path)) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let prefix = if path.is_file() { name } else { "" };
                let objects = Arc::new(LocalObjects::list(path)?);
                lay_out(request, objects, &Naming::prefix(prefix), at, findings)
            }
            (DataType::S3Prefix, None) => {
                let uri: S3Uri = source.uri.parse()?;
                let objects = Arc::new(S3Objects::list(self.s3(&uri)?, &uri)?);
                lay_out(request, objects, &Naming::prefix(uri.key()), at, findings)
            }
            (DataType::ManifestFile, local) => {
                let manifest = match ManifestFile::parse(&self.manifest(source, local)?) {
                    Ok(manifest) => manifest,
                    Err(error) => {
                        findings.push(rules::manifest(at, &source.uri, &error.to_string()));
                        return Ok(None);
                    }
                };
                self.named_by(request, &manifest, at, findings)
            }
            _ => {
                let bytes = self.manifest(source, local)?;
                let names: Vec<&str> = source.attribute_names.iter().map(String::as_str).collect();
                let lines = AugmentedManifest::parse(&bytes, &names)
                    .map_err(|error| Error::Manifest { name: source.uri.clone(), source: error })?;
                let uris: Vec<String> = lines.uris().map(str::to_owned).collect();
                let objects = self.named(&uris)?;
                Ok(Some(Contents::Lines { objects, lines: Arc::new(lines) }))
            }
        }
    }

    fn named_by(
        &mut self,
        request: &ChannelRequest,
        manifest: &ManifestFile,
        at: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Contents>> {
        findings.extend(rules::duplicates(manifest, at));
        let uris: Vec<String> = manifest.uris().collect();
        let objects = self.named(&uris)?;
        let prefix = match local_path(manifest.prefix()) {
            Some(path) => {
                absolute(Path::new(path))?.to_string_lossy().trim_start_matches('/').to_owned()
            }
            None => manifest.prefix().parse::<S3Uri>()?.key().to_owned(),
        };
        let naming = if self.choices.suffix_names { Naming::Below(&prefix) } else { Naming::Key };
        lay_out(request, objects, &naming, at, findings)
    }

    /// The objects of a list: on S3 or here, but not of both.
    fn named(&mut self, uris: &[String]) -> Result<Arc<dyn Objects>> {
        let paths: Option<Vec<&str>> = uris.iter().map(|uri| local_path(uri)).collect();
        if let Some(paths) = paths.filter(|paths| !paths.is_empty()) {
            let paths: Vec<PathBuf> =
                paths.into_iter().map(|path| absolute(Path::new(path))).collect::<Result<_>>()?;
            return Ok(Arc::new(LocalObjects::named(&paths)?));
        }
        let uris: Vec<S3Uri> =
            uris.iter().map(|uri| uri.parse()).collect::<shardpack_store::Result<_>>()?;
        match uris.first() {
            Some(first) => Ok(Arc::new(S3Objects::named(self.s3(first)?, uris.clone())?)),
            None => Ok(Arc::new(LocalObjects::named(&[])?)),
        }
    }

    fn s3(&mut self, uri: &S3Uri) -> Result<S3> {
        if let Some(line) = self.lines.get(uri.bucket()) {
            return Ok(line.clone());
        }
        let line = (self.connect)(uri)?;
        self.lines.insert(uri.bucket().to_owned(), line.clone());
        Ok(line)
    }

    /// The bytes of a manifest.
    fn manifest(&mut self, source: &S3Source, local: Option<&PathBuf>) -> Result<Vec<u8>> {
        let objects: Box<dyn Objects> = match local {
            Some(path) => Box::new(LocalObjects::list(path)?),
            None => {
                let uri: S3Uri = source.uri.parse()?;
                Box::new(S3Objects::named(self.s3(&uri)?, vec![uri])?)
            }
        };
        let size = objects.size(0);
        if objects.len() != 1 || size > MAX_MANIFEST {
            let reason = format!("{}: a manifest is one file of 256 MiB at most", source.uri);
            return Err(Error::job(reason));
        }
        let mut bytes = Vec::new();
        objects.fetch(0, 0, size, &mut Bytes::new(&mut bytes))?;
        Ok(bytes)
    }
}

/// The same error, with the channel that has it.
fn of_channel(error: Error, channel: &str) -> Error {
    match error {
        Error::Store(error) => {
            Error::Store(error.rename(|name| format!("channel {channel}: {name}")))
        }
        Error::Manifest { name, source } => {
            Error::Manifest { name: format!("channel {channel}: {name}"), source }
        }
        error => error,
    }
}

/// Every file system that is said to be mounted is one of the job's.
fn known(job: &Job, choices: &Choices) -> Result<()> {
    let ids = job.request.channels.iter().filter_map(|channel| match &channel.source {
        DataSource::FileSystem(source) => Some(&*source.id),
        _ => None,
    });
    let ids: BTreeSet<&str> = ids.collect();
    let Some(other) = choices.file_systems.keys().find(|id| !ids.contains(id.as_str())) else {
        return Ok(());
    };
    let ids: Vec<&str> = ids.into_iter().collect();
    let known = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    Err(Error::job(format!("--file-system {other}: no channel is on it; the job's are: {known}")))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(error, path))
}

/// Gives objects their paths. None where a rule is broken, which is told.
fn lay_out(
    request: &ChannelRequest,
    objects: Arc<dyn Objects>,
    naming: &Naming<'_>,
    at: &str,
    findings: &mut Vec<Finding>,
) -> Result<Option<Contents>> {
    let keys = (0..objects.len()).map(|i| (objects.key(i), objects.size(i)));
    let found = match layout(request.mode, naming, keys) {
        Ok(found) => found,
        Err(error) => match error.kind() {
            ErrorKind::Prefix { prefix, reason } => {
                findings.push(rules::prefix(at, prefix, reason));
                return Ok(None);
            }
            _ => return Err(error.into()),
        },
    };
    findings.extend(rules::left_out(request.mode, &found, &*objects, at));
    let files = found.files.iter().map(|(i, path)| (*i, (*path).to_owned())).collect();
    let folders = found.folders.iter().map(|(_, path)| (*path).to_owned()).collect();
    drop(found);
    Ok(Some(Contents::Objects { objects, files, folders }))
}
