//! Two whole answers, as programs see them. Other programs read these: a change here is one for
//! them, and belongs into the changelog. `BLESS=1 cargo test -p shardpack-advise golden` writes the
//! files anew; read the difference.

use std::fs;
use std::path::Path;

use crate::{Access, Data, Home, Job, Prices, advise};

#[track_caller]
fn same(name: &str, data: &Data, job: &Job, prices: &Prices) {
    let answer = advise(data, job, prices).expect("an answer");
    let got = serde_json::to_string_pretty(&answer).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &got).expect("a file");
    }
    let want = fs::read_to_string(&path).expect("a golden answer");
    assert!(got == want, "{} differs", path.display());
}

/// AWS's benchmark, of which nothing more is told.
#[test]
fn golden_small_files_on_s3() {
    let mut data = Data::new(Home::S3, vec![39_000; 30_607]);
    data.formats = vec![("jpg".into(), 30_607)];
    same("small-files.json", &data, &Job::default(), &Prices::default());
}

/// Everything is told.
#[test]
fn golden_random_access_to_a_large_set() {
    let mut data = Data::new(Home::S3, [1_000_000_000, 2_000_000_000].repeat(100));
    data.formats = vec![("npy".into(), 200)];
    let job = Job {
        access: Some(Access::Random),
        hosts: 4,
        workers: 8,
        consume: Some(500e6),
        disk: Some(1 << 40),
        memory: Some(1 << 38),
        vpc: Some(true),
        hours: Some(10.0),
        epochs: 3,
        ..Job::default()
    };
    let prices = Prices { instance_hour: Some(4.0), ..Prices::default() };
    same("random-access.json", &data, &job, &prices);
}
