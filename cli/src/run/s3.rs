//! Opens what is on S3.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shardpack_store::{S3, S3Options, S3Store, S3Uri, Store};

use crate::args::S3Args;
use crate::exit::{Failure, Result};
use crate::log::Log;

/// Most requests under way where a command has no `--io-depth`.
const IO_DEPTH: usize = 64;

/// What a connection may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) io_depth: usize,
    pub(super) memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { io_depth: IO_DEPTH, memory: S3Options::default().memory }
    }
}

/// The address, if the argument is one; a path is none.
pub(super) fn uri(path: &Path) -> Result<Option<S3Uri>> {
    match path.to_str() {
        Some(text) if S3Uri::is_one(text) => Ok(Some(text.parse()?)),
        Some(text) => match text.split_once("://") {
            None => Ok(None),
            Some((scheme, _)) => Err(Failure::new(format!("{text}: {scheme}:// is not a path"))
                .hint("write a path or s3://bucket/prefix; mount other stores")),
        },
        None => Ok(None),
    }
}

/// Connects. Every request that is sent again is told to `log`.
pub(super) fn connect(uri: &S3Uri, args: &S3Args, limits: Limits, log: Log) -> Result<S3> {
    Ok(S3::connect(uri, options(args, limits, log))?)
}

/// What the command line says of a connection.
pub(super) fn options(args: &S3Args, limits: Limits, log: Log) -> S3Options {
    let defaults = S3Options::default();
    S3Options {
        profile: args.profile.clone(),
        region: args.region.clone(),
        endpoint_url: args.endpoint_url.clone(),
        path_style: args.path_style,
        anonymous: args.no_sign_request,
        request_payer: args.request_payer,
        io_depth: limits.io_depth,
        memory: limits.memory,
        attempts: args.max_attempts,
        stall: Duration::from_secs(args.stall_timeout),
        max_errors: args.max_errors,
        max_requests: args.max_requests.map(|rate| rate.0),
        max_bandwidth: args.max_bandwidth.map(|size| size.0 as f64),
        storage_class: args.storage_class.clone(),
        encryption: args.sse.clone(),
        acl: args.acl.clone(),
        tags: args.tags.clone(),
        on_retry: Some(Arc::new(move |retried| log.retried(retried))),
        ..defaults
    }
}

/// The folder that holds a dataset, and where in it: everything, or one shard.
pub(super) fn place(uri: S3Uri, s3: S3) -> Result<(S3Store, String)> {
    let whole = uri.key().to_owned();
    if !whole.is_empty() && !whole.ends_with('/') {
        let (folder, name) = whole.rsplit_once('/').map_or(("", &*whole), |(f, n)| (f, n));
        let parent: S3Uri = format!("s3://{}/{folder}", uri.bucket()).parse()?;
        let store = S3Store::open(s3.clone(), parent);
        match store.open(name) {
            Ok(_) => return Ok((store, name.to_owned())),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let store = S3Store::open(s3, uri);
    Ok((store, String::new()))
}
