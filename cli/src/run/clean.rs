//! `shardpack clean`.

use shardpack_store::{LocalOptions, LocalStore, S3Store, Store};

use super::s3;
use crate::args::CleanArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::size::counted;

pub(super) fn run(args: &CleanArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let name = args.path.display();
    let Some(uri) = s3::uri(&args.path)? else {
        if args.dry_run {
            return Err(Failure::new("--dry-run: unfinished files of a folder are not listed")
                .hint("they are called .shardpack-unfinished-*; find them with find"));
        }
        let store = LocalStore::open(&args.path, &LocalOptions::default());
        let _lock = store.lock("")?;
        let removed = counted(store.sweep("")?, "unfinished file");
        output.line(&format!("removed {removed} from {name}"))?;
        return Ok(Exit::Done);
    };
    let store = S3Store::open(s3::connect(&uri, &args.s3, s3::Limits::default(), log)?, uri);
    let unfinished = store.unfinished()?;
    for upload in &unfinished {
        output.line(upload)?;
    }
    let number = match args.dry_run {
        true => unfinished.len() as u64,
        false => store.sweep("")?,
    };
    let verb = if args.dry_run { "would end" } else { "ended" };
    output.line(&format!("{verb} {} at {name}", counted(number, "unfinished upload")))?;
    Ok(Exit::Done)
}
