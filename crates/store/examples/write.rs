//! `write FOLDER GB buffered|direct|auto [THREADS [PIECE_KIB [SHIFT]]]`: writes 150 MB objects,
//! durable, in pieces that lie SHIFT bytes beside the alignment of the file; then removes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use shardpack_store::{AlignedBuf, BLOCK, Direct, LocalOptions, LocalStore, Result, Store};

const SHARD: u64 = 150_000_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).and_then(|n| n.parse().ok()).unwrap_or(default);
    let direct = match args.get(2).map(String::as_str) {
        Some("buffered") => Direct::Never,
        Some("direct") => Direct::Always,
        _ => Direct::Auto,
    };
    let (shards, threads, piece) =
        (number(1, 1) * 1_000_000_000 / SHARD, number(3, 2), number(4, 4096) << 10);
    let shift = number(5, 0) as usize;
    let options =
        LocalOptions { durable: number(6, 1) == 1, direct, expected_bytes: shards * SHARD };
    let store = LocalStore::open(args.first().map_or(".", String::as_str), &options);
    let next = AtomicU64::new(0);
    let write = || -> Result<()> {
        let mut buffer = AlignedBuf::new(piece as usize + BLOCK);
        buffer.fill(7);
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= shards {
                return Ok(());
            }
            let upload = store.create(&format!("write-bench/{shard:05}.tar"), Some(SHARD))?;
            for at in (0..SHARD).step_by(piece as usize) {
                let len = piece.min(SHARD - at) as usize;
                upload.write_at(at, &buffer[shift..shift + len])?;
            }
            upload.seal(SHARD, None)?;
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let crew: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        crew.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = (shards * SHARD) as f64 / seconds / 1e6;
    println!(
        "{shards} objects in {seconds:.2} s: {rate:.0} MB/s, {threads} threads, direct {}",
        store.is_direct()
    );
    store.remove("write-bench")
}
