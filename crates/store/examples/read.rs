//! `read FOLDER [THREADS [IO_DEPTH]]`: lists a tree and reads every file of it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use shardpack_store::{LocalTree, Result, Sink, Source, WalkOptions};

/// Takes every byte and keeps none.
struct Drain(Vec<u8>, u64);

impl Sink for Drain {
    fn space(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.0)
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.1 += n as u64;
        Ok(())
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).and_then(|n| n.parse().ok()).unwrap_or(default);
    let root = args.first().map_or(".", String::as_str);
    let threads = number(1, 2);
    let start = Instant::now();
    let options = WalkOptions { io_depth: number(2, 32), ..WalkOptions::default() };
    let tree = LocalTree::open(root, &options)?;
    let listed = start.elapsed().as_secs_f64();

    let files = tree.listing().len() as u32;
    let (next, bytes) = (AtomicU32::new(0), AtomicU64::new(0));
    let read = || -> Result<()> {
        let mut sink = Drain(vec![0; 1 << 20], 0);
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= files {
                bytes.fetch_add(sink.1, Ordering::Relaxed);
                return Ok(());
            }
            tree.fetch(id, 0, tree.listing().file(id).len, &mut sink)?;
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let crew: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        crew.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let (each, rate) =
        (seconds * 1e6 / f64::from(files), bytes.into_inner() as f64 / seconds / 1e6);
    println!("{files} files listed in {listed:.3} s, read in {seconds:.3} s");
    println!("{each:.2} us a file, {rate:.0} MB/s, {threads} threads");
    Ok(())
}
