//! File mode, killed in the middle again and again: what is there stays, and only the rest comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shardpack_testkit::s3::S3Server;

use super::Lab;
use crate::program::{Home, Random};

/// Ends the name of a file that is not whole yet.
const UNFINISHED: &str = ".shardpack-unfinished";

/// Objects of no, one and several requests.
fn lab() -> (Lab, BTreeMap<String, Vec<u8>>) {
    let lab = Lab { home: Home::new(), server: S3Server::start() };
    let mut random = Random(3);
    let mut objects = BTreeMap::new();
    for i in 0..24 {
        let len = [0, 1, 5_000, 200_000][i % 4];
        objects.insert(format!("{:02}/{i}.bin", i % 3), random.bytes(len));
    }
    objects.insert("long.bin".into(), vec![7; 20 << 20]);
    for (name, bytes) in &objects {
        lab.server.put(&format!("set/{name}"), bytes.clone());
    }
    lab.server.latency(Duration::from_millis(3)); // so that there are moments to kill it at
    (lab, objects)
}

#[test]
fn a_killed_download_goes_on_where_it_was() {
    let (lab, objects) = lab();
    let line = format!("run --quiet --io-depth 3 --channel x=s3://{}/set/", S3Server::BUCKET);
    let mut random = Random(17);
    let (mut kills, mut went_on) = (0, 0);
    for round in 0..4 {
        let root = format!("r{round}");
        let mut whole: BTreeSet<String> = BTreeSet::new();
        loop {
            lab.server.forget_calls();
            let mut running = lab.start(&format!("{line} --root {root} -- true"), &[]);
            let moment = 2 + random.below(9) as usize;
            let killed = running.until(|| lab.server.call_count() >= moment) && running.kill();
            let again: Vec<String> = lab.fetched().into_iter().collect();
            let again = again.iter().filter_map(|key| key.strip_prefix("set/"));
            let again: Vec<&str> = again.filter(|name| whole.contains(*name)).collect();
            assert!(again.is_empty(), "{again:?} were there and came again");
            went_on += usize::from(!whole.is_empty());
            // Whatever has its name is whole.
            let there = lab.home.files(&format!("{root}/input/data/x"));
            whole = there.keys().filter(|name| !name.ends_with(UNFINISHED)).cloned().collect();
            for name in &whole {
                assert!(there[name] == objects[name], "{name} is not what it is called");
            }
            if !killed {
                assert!(there == objects, "all is there, and nothing else");
                break;
            }
            kills += 1;
            assert!(kills < 200, "it does not come on");
        }
    }
    assert!(kills > 10 && went_on > 8, "{kills} kills, {went_on} runs that found something");
}
