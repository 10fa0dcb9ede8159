//! Unfinished work at the destination: what is sealed already, and whether it is ours to finish.
//!
//! Until the manifest is there, everything lies under `.shardpack/`, where no reader looks, or,
//! on stores that cannot move it, in its place: a killed run leaves no readable half of a dataset. `.shardpack/plan.json` says which run it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
pub(crate) use shardpack_dataset::{MANIFEST, PLAN, STAGING, index_path, staged};
use shardpack_manifest::{Index, Manifest};
use shardpack_store::{PutMode, Store};

use crate::plan::{Plan, ShardPlan};
use crate::{Error, Result};

/// Written and removed to find out what a server does.
pub(crate) const PROBE: &str = ".shardpack/probe";
/// What identifies a run: another run may finish its work only if all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) version: u32,
    pub(crate) tool: String,
    pub(crate) source: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) samples: u64,
    pub(crate) shards: u64,
    /// Keys, fields, lengths, labels and order.
    pub(crate) fingerprint: String,
    /// Versions of the files.
    pub(crate) stamps: String,
    /// Its shards, where they come beside others: what throwing its work away has to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
}

/// What is at the destination.
#[derive(Debug)]
pub(crate) enum Found {
    /// This very dataset, complete.
    Complete(Box<Manifest>),
    /// Nothing, or work of this very run: shards that still have to be packed.
    Todo(Vec<usize>),
}

/// Looks at the destination and makes it ours. `changed` names what differs between the source and
/// what is sealed, for the error.
pub(crate) fn open(
    store: &dyn Store,
    plan: &Plan,
    identity: &Identity,
    restart: bool,
    changed: &dyn Fn() -> Result<Option<String>>,
) -> Result<Found> {
    let objects = store.list("")?;
    let there = |key: &str| objects.iter().any(|o| o.key == key);
    let occupied = |what: String| Error::Occupied { destination: store.describe(), what };
    if there(MANIFEST) {
        let manifest = Manifest::parse(&read(store, MANIFEST)?)?;
        if manifest.plan.is_some_and(|p| p.to_string() == identity.fingerprint) {
            store.remove(STAGING)?;
            return Ok(Found::Complete(Box::new(manifest)));
        }
        return Err(occupied(
            "holds another dataset; choose an empty folder, or remove that dataset first".into(),
        ));
    }
    if there(PLAN) {
        let before = unfinished(store)?.and_then(|before| before.identity);
        if !restart || before.as_ref().is_some_and(|before| same(before, identity)) {
            return go_on(store, plan, before.as_ref(), identity, changed).map(Found::Todo);
        }
        for leftover in [STAGING, "shards", "index", "sagemaker", "labels.json"] {
            store.remove(leftover)?;
        }
        store.sweep("")?;
    } else if let Some(foreign) = objects.iter().find(|o| !o.key.starts_with(STAGING)) {
        return Err(occupied(format!(
            "is not empty ({} and {} more); choose an empty or new folder",
            foreign.key,
            objects.len() - 1
        )));
    }
    claim(store, identity, None)?;
    Ok(Found::Todo((0..plan.shards.len()).collect()))
}

/// Says which run is at work, in place of one that is over. Fails with the store's
/// [`Exists`](shardpack_store::ErrorKind::Exists) or [`Changed`](shardpack_store::ErrorKind::Changed)
/// when another run was faster.
pub(crate) fn claim(
    store: &dyn Store,
    identity: &Identity,
    over: Option<&Unfinished>,
) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(identity).map_err(|e| Error::Usage(e.to_string()))?;
    match over {
        Some(over) => store.swap(PLAN, &over.bytes, &bytes)?,
        None => store.put(PLAN, &bytes, PutMode::Create)?,
    }
    reread(store, PLAN, &bytes)
}

/// What says that a run is at work, or was when it was killed.
pub(crate) struct Unfinished {
    bytes: Vec<u8>,
    /// That run; none when it cannot be told.
    pub(crate) identity: Option<Identity>,
}

/// The run whose unfinished work is there, if any is.
pub(crate) fn unfinished(store: &dyn Store) -> Result<Option<Unfinished>> {
    match read(store, PLAN) {
        Ok(bytes) => {
            let identity = serde_json::from_slice(&bytes).ok();
            Ok(Some(Unfinished { bytes, identity }))
        }
        Err(Error::Store(error)) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether two runs are the same.
pub(crate) fn same(before: &Identity, now: &Identity) -> bool {
    differences(before, now).is_empty()
}

/// Goes on with the work of `before` if that was this very run: shards that are not sealed.
pub(crate) fn go_on(
    store: &dyn Store,
    plan: &Plan,
    before: Option<&Identity>,
    identity: &Identity,
    changed: &dyn Fn() -> Result<Option<String>>,
) -> Result<Vec<usize>> {
    let mut differences = match before {
        Some(before) => differences(before, identity),
        None => vec!["the unfinished run's plan.json is not readable".into()],
    };
    if differences.is_empty() {
        // What the killed run was writing would be published with the folders it lies in.
        store.sweep("")?;
        return unsealed(store, plan);
    }
    let same_run = |before: &Identity| {
        (&before.source, &before.options) == (&identity.source, &identity.options)
    };
    if before.is_some_and(|b| same_run(b) && b.fingerprint != identity.fingerprint) {
        differences.extend(changed()?.map(|change| format!("among what is sealed, {change}")));
    }
    Err(Error::Different { destination: store.describe(), differences })
}

/// Names what differs between two runs, as flags where it is one.
fn differences(before: &Identity, now: &Identity) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, before: &str, now: &str| {
        if before != now {
            found.push(format!("{what}: {before} then, {now} now"));
        }
    };
    compare("shardpack", &before.tool, &now.tool);
    compare("source", &before.source, &now.source);
    let names: std::collections::BTreeSet<_> =
        before.options.keys().chain(now.options.keys()).collect();
    for name in names {
        let value = |run: &Identity| run.options.get(name).cloned().unwrap_or("not given".into());
        compare(&format!("--{name}"), &value(before), &value(now));
    }
    compare("samples", &before.samples.to_string(), &now.samples.to_string());
    if found.is_empty() && before.fingerprint != now.fingerprint {
        found.push("the source: files were added, removed, renamed or changed their length".into());
    }
    if found.is_empty() && before.stamps != now.stamps {
        found.push("the source: files were written since (same names and lengths)".into());
    }
    if found.is_empty() && before != now {
        found.push("the version of the plan".into());
    }
    found
}

/// Shards of the plan that are not sealed: a shard is sealed once its index is there and tells the
/// length that the shard has.
fn unsealed(store: &dyn Store, plan: &Plan) -> Result<Vec<usize>> {
    let objects: BTreeMap<String, u64> =
        store.list("")?.into_iter().map(|o| (o.key, o.len)).collect();
    let mut todo = Vec::new();
    for (i, shard) in plan.shards.iter().enumerate() {
        let there = |path: &str| objects.get(&staged(store, path)).or_else(|| objects.get(path));
        let index = match there(&index_path(&shard.path)) {
            Some(_) => sealed_index(store, shard)?,
            None => None,
        };
        let sealed = match (index, there(&shard.path)) {
            (Some(bytes), Some(len)) => Index::parse(bytes).is_ok_and(|index| {
                index.shard().bytes == *len && index.len() == shard.end - shard.start
            }),
            _ => false,
        };
        if !sealed {
            todo.push(i);
        }
    }
    Ok(todo)
}

/// The bytes of a sealed shard's index, staged or already published.
pub(crate) fn sealed_index(store: &dyn Store, shard: &ShardPlan) -> Result<Option<Vec<u8>>> {
    sealed(store, &index_path(&shard.path))
}

/// The bytes of a file beside a sealed shard, staged or already published; none without one.
pub(crate) fn sealed(store: &dyn Store, path: &str) -> Result<Option<Vec<u8>>> {
    let staged = staged(store, path);
    let elsewhere = (staged != path).then_some(path);
    for path in [&*staged].into_iter().chain(elsewhere) {
        match read(store, path) {
            Ok(bytes) => return Ok(Some(bytes)),
            // Damaged where it lies: as good as none, and written again.
            Err(Error::Store(error)) if error.is_not_found() || error.is_damaged() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// How often an object that a server did not keep as it was sent is sent.
pub(crate) const TRIES: usize = 3;

/// Writes a whole small object. Where it lies behind a network it is read back: what a manifest
/// vouches for, and the manifest itself, must be there as it was written. What is not is removed, and
/// written again: readers of the version before may need what it took the place of.
pub(crate) fn put(store: &dyn Store, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
    let write = || {
        store.put(key, bytes, mode)?;
        reread(store, key, bytes)
    };
    for _ in 1..TRIES {
        match write() {
            Err(Error::Shard { .. }) => {} // it does not read back as it was written
            done => return done,
        }
    }
    write()
}

/// Fails for an object that a network does not bring back as it was written, and removes it.
fn reread(store: &dyn Store, key: &str, bytes: &[u8]) -> Result<()> {
    if store.moves() {
        return Ok(());
    }
    let reason = match read(store, key) {
        Ok(there) if there == bytes => return Ok(()),
        Ok(_) => "reads back as other bytes".to_owned(),
        Err(Error::Store(error)) if error.is_not_found() => "is not there".to_owned(),
        Err(Error::Store(error)) if error.is_changed() || error.is_damaged() => error.to_string(),
        Err(error) => return Err(error),
    };
    store.remove(key)?;
    let reason = format!("{reason} after it was written; run the same command again");
    Err(Error::Shard { shard: key.into(), reason })
}

/// Reads a whole small object.
pub(crate) fn read(store: &dyn Store, key: &str) -> Result<Vec<u8>> {
    Ok(shardpack_dataset::read(store, key)?)
}
