//! `walk FOLDER [IO_DEPTH]`: how long listing and sizing a tree takes, and what the list holds.

use std::time::Instant;

use shardpack_store::{LocalTree, Source, WalkOptions};

fn main() -> shardpack_store::Result<()> {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or_else(|| ".".into());
    let io_depth = args.next().and_then(|n| n.parse().ok()).unwrap_or(32);
    let start = Instant::now();
    let tree = LocalTree::open(root, &WalkOptions { io_depth, ..WalkOptions::default() })?;
    let seconds = start.elapsed().as_secs_f64();
    let (files, listing) = (tree.listing().len(), tree.listing());
    let each = |bytes: usize| bytes as f64 / files.max(1) as f64;
    println!("{files} files in {} folders, {seconds:.3} s", listing.dirs());
    println!("{:.1} bytes a file; {:.1} at the peak", each(listing.memory()), each(peak()));
    Ok(())
}

/// Most memory that the process ever had resident, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|kb| kb.trim().trim_end_matches(" kB").parse().ok())
        .map_or(0, |kb: usize| kb << 10)
}
