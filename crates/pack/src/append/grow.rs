//! New shards beside those that a dataset has, and a manifest that names both.

use std::collections::HashSet;

use shardpack_manifest::{Event, Fingerprint, Manifest, Row};
use shardpack_store::{ErrorKind, Source, Store};
use xxhash_rust::xxh3::xxh3_128;

use super::head::{Head, Living};
use super::prune;
use crate::context::Context;
use crate::foreign::{self, Beside};
use crate::options::PackOptions;
use crate::pack::{Prepared, identity, write_shards};
use crate::plan::{Plan, ShardPlan, WHOLE};
use crate::progress::Progress;
use crate::reshard::Copies;
use crate::sources::sources_path;
use crate::staging::{self, Identity, STAGING, Unfinished, index_path, staged};
use crate::{Error, Result, difference, publish};

/// A dataset that gets new shards.
pub(super) struct Growth<'a> {
    pub(super) head: &'a Head,
    pub(super) store: &'a dyn Store,
    pub(super) source: &'a dyn Source,
    /// What the store may copy, where the source is the dataset itself.
    pub(super) copies: Option<&'a Copies<'a>>,
    pub(super) options: &'a PackOptions,
    pub(super) progress: &'a Progress,
    pub(super) event: Event,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Grown {
    pub(super) manifest: Manifest,
    /// New shards that an earlier, killed run had sealed.
    pub(super) resumed: usize,
    pub(super) doubts: Vec<String>,
}

impl Growth<'_> {
    /// Packs new shards and publishes what `successor` makes of them: a manifest that has their
    /// rows, and the digest of what is live in it.
    pub(super) fn grow(
        &self,
        (samples, plan, format): Prepared<'_>,
        successor: &dyn Fn(Vec<Row>) -> Result<Living>,
    ) -> Result<Grown> {
        let Self { store, source, copies, options, progress, .. } = *self;
        let mut identity = identity(source, &samples, &plan, options);
        let fingerprint = follow(&self.head.manifest, &plan);
        identity.fingerprint = fingerprint.to_string();
        identity.paths = plan.shards.iter().map(|shard| shard.path.clone()).collect();
        self.check_names(&plan)?;
        let changed = || difference::first(store, &samples, &*format);
        let todo = self.claim(&plan, &identity, &changed)?;
        let doubts = store.doubts(staging::PROBE)?;
        let resumed = plan.shards.len() - todo.len();
        let context = Context {
            source,
            copies,
            store,
            samples: &samples,
            plan: &plan,
            format: &*format,
            options,
            progress,
        };
        write_shards(&context, todo)?;
        let rows = publish::rows(&context)?;
        for shard in &plan.shards {
            settle(store, &shard.path)?;
        }
        let (mut next, live) = successor(rows)?;
        next.plan = Some(fingerprint);
        if let Some(labels) = &mut next.labels {
            labels.classes.extend(context.samples.classes.clone());
        }
        publish::write_labels(store, &next)?;
        foreign::write(&Beside {
            store,
            format: context.format,
            indexes: &options.indexes,
            new: &plan.shards,
            all: &shards_of(&next),
            at: &|path| path.to_owned(),
        })?;
        foreign::write_sagemaker(store, &options.s3_root(), &next)?;
        self.still_mine(&identity)?;
        let manifest =
            self.head.replace(store, (next, live), self.event, plan.shards.len() as u64)?;
        store.remove(STAGING)?;
        Ok(Grown { manifest, resumed, doubts })
    }

    /// Names of new shards are those of no other: they go on from the number of all shards there
    /// ever were, unless somebody named those otherwise.
    fn check_names(&self, plan: &Plan) -> Result<()> {
        let taken: HashSet<&str> =
            self.head.manifest.shards.iter().map(|shard| shard.path.as_str()).collect();
        match plan.shards.iter().find(|shard| taken.contains(shard.path.as_str())) {
            None => Ok(()),
            Some(shard) => Err(Error::Occupied {
                destination: self.store.describe(),
                what: format!(
                    "has a shard {} already, which a new one would be called",
                    shard.path
                ),
            }),
        }
    }

    /// Makes the place ours: shards that are still to be packed.
    fn claim(
        &self,
        plan: &Plan,
        identity: &Identity,
        changed: &dyn Fn() -> Result<Option<String>>,
    ) -> Result<Vec<usize>> {
        let Self { store, head, options, .. } = *self;
        let before = staging::unfinished(store)?;
        let is_mine = |before: &Unfinished| {
            before.identity.as_ref().is_some_and(|before| staging::same(before, identity))
        };
        match &before {
            None => {}
            Some(before) if is_over(before, head) => {}
            Some(before) if options.restart && !is_mine(before) => {
                let paths = before.identity.as_ref().map(|before| &before.paths[..]);
                prune::discard(store, paths.unwrap_or_default(), &prune::named(store, 0)?)?;
                store.sweep("")?;
            }
            Some(before) => {
                return staging::go_on(store, plan, before.identity.as_ref(), identity, changed);
            }
        }
        staging::claim(store, identity, before.as_ref())?;
        // Without locks another run may have published, under these very names, until just now.
        match Head::read(store)?.is(head) {
            true => Ok((0..plan.shards.len()).collect()),
            false => {
                store.remove(STAGING)?;
                Err(changed_meanwhile())
            }
        }
    }

    /// Fails when somebody else took the place: without locks that can be.
    fn still_mine(&self, identity: &Identity) -> Result<()> {
        let now = staging::unfinished(self.store)?.and_then(|now| now.identity);
        match now.is_some_and(|now| staging::same(&now, identity)) {
            true => Ok(()),
            false => Err(changed_meanwhile()),
        }
    }
}

fn changed_meanwhile() -> Error {
    let what = "another run has published there meanwhile; nothing was changed".to_owned();
    shardpack_store::Error::new(ErrorKind::Changed { what }, staging::MANIFEST).into()
}

/// Whether a run had published when it was killed.
fn is_over(before: &Unfinished, head: &Head) -> bool {
    let identity = before.identity.as_ref();
    let plan = head.manifest.plan.map(|plan| plan.to_string());
    identity.zip(plan).is_some_and(|(before, plan)| before.fingerprint == plan)
}

/// Removes what a run that had published when it was killed left behind.
pub(super) fn clear_up(store: &dyn Store, head: &Head) -> Result<()> {
    match staging::unfinished(store)? {
        Some(before) if is_over(&before, head) => Ok(store.remove(STAGING)?),
        Some(_) => Ok(()),
        // The folder itself may be left; where nothing is locked another run may be making it.
        None if store.locks() => Ok(store.remove(STAGING)?),
        None => Ok(()),
    }
}

/// The fingerprint of a dataset after a plan: of the one before, and of what was planned.
fn follow(manifest: &Manifest, plan: &Plan) -> Fingerprint {
    let before = manifest.plan.map_or(0, |plan| plan.0);
    let both = [before.to_le_bytes(), plan.fingerprint.to_le_bytes()].concat();
    Fingerprint(xxh3_128(&both))
}

/// The shards of a manifest, as planning knows them.
fn shards_of(manifest: &Manifest) -> Vec<ShardPlan> {
    let plan = |shard: &shardpack_manifest::Shard| ShardPlan {
        path: shard.path.clone(),
        split: shard.split.clone().unwrap_or_else(|| WHOLE.into()),
        start: 0,
        end: 0,
        bytes: shard.stream_bytes,
    };
    manifest.shards.iter().map(plan).collect()
}

/// Moves a sealed shard and what lies beside it to their places. A killed run may have moved some.
fn settle(store: &dyn Store, shard: &str) -> Result<()> {
    if !store.moves() {
        return Ok(());
    }
    for path in [shard.to_owned(), sources_path(shard), index_path(shard)] {
        match store.rename(&staged(store, &path), &path) {
            Err(error) if error.is_not_found() => {}
            done => done?,
        }
    }
    Ok(())
}
