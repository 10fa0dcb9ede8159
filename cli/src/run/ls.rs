//! `shardpack ls`.

use shardpack_pack::{Entry, Error as PackError, LsOptions, ls};

use super::dataset::Place;
use crate::args::LsArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;

pub(super) fn run(args: &LsArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let place = Place::of(&args.dataset, log)?;
    let dataset = place.dataset()?;
    let options = LsOptions {
        filter: args.filter.clone(),
        shards: args.shards.clone(),
        memory: args.memory.0,
    };
    let mut failed: Option<Failure> = None;
    let mut first = true;
    let listed = ls(&dataset, &options, &mut |entry| {
        let written = match args.json {
            true => output
                .raw(if first { b"[\n" } else { b",\n" })
                .and_then(|()| output.json_part(entry)),
            false if args.long => output.line(&long(entry)),
            false => output.line(&short(entry)),
        };
        first = false;
        written.map_err(|failure| {
            failed = Some(failure);
            PackError::NotFound("stdout".into()) // ends the listing; what happened is in `failed`
        })
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    // What was listed before damage is of use, and JSON that does not end tells that it is cut.
    listed?;
    if args.json {
        output.raw(if first { b"[]\n" } else { b"\n]\n" })?;
    }
    Ok(Exit::Done)
}

fn short(entry: &Entry<'_>) -> String {
    let bytes: u64 = entry.fields.iter().map(|field| field.bytes).sum();
    let fields: Vec<_> = entry.fields.iter().map(|field| plain(field.name)).collect();
    format!("{}\t{bytes}\t{}", plain(entry.key), fields.join(","))
}

fn long(entry: &Entry<'_>) -> String {
    let field = |f: &shardpack_pack::EntryField<'_>| {
        format!("{}:{}:{:08x}", plain(f.name), f.bytes, f.crc32c)
    };
    let fields: Vec<_> = entry.fields.iter().map(field).collect();
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}",
        plain(entry.shard),
        entry.record,
        entry.offset,
        entry.bytes,
        plain(entry.key),
        fields.join(",")
    )
}

/// A name from a foreign shard may hold anything; on a terminal and in a table it must not.
pub(super) fn plain(name: &str) -> std::borrow::Cow<'_, str> {
    match name.contains(char::is_control) {
        true => name.escape_debug().to_string().into(),
        false => name.into(),
    }
}
