//! Shards without what is dead in them, and versions that are kept or not.

use super::{PACK, change, read, shards, source, version};
use crate::program::Home;

fn grown(format: &str) -> Home {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK} {format}")).done();
    change(&home);
    home.line("append dst src --sync").done();
    home
}

#[test]
fn only_shards_with_dead_samples_are_rewritten() {
    let formats =
        ["webdataset", "tfrecord", "recordio --fields jpg", "recordio-protobuf --fields jpg"];
    let compressed = ["webdataset --compress zstd", "tfrecord --compress gzip"];
    for format in formats.into_iter().chain(compressed) {
        let home = grown(&format!("--format {format}"));
        let (digest, _) = version(&home, "dst");
        let before = shards(&home.files("dst"));
        let dry = home.line("compact dst --dry-run --json").done().json();
        assert_eq!(shards(&home.files("dst")), before);
        let report = home.line("compact dst --json").done().json();
        assert_eq!(report["dropped"], 9, "{format}");
        assert_eq!((&report["rewritten"], &report["live"]), (&dry["rewritten"], &71.into()));
        assert_eq!(report["digest"].as_str(), Some(&*digest));
        let after = shards(&home.files("dst"));
        assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "{format}");
        let ran = home.line("verify dst --against src --json").done().json();
        assert_eq!((&ran["samples"], &ran["deleted"]), (&71.into(), &0.into()), "{format}");
        home.line(&format!("pack src fresh {PACK} --format {format}")).done();
        home.line("diff dst fresh").done();
        assert_eq!(read(&home, None), digest);
        // The version before is kept; the next time it goes, and what only it had.
        let rewritten = report["rewritten"].as_u64().expect("a number");
        let report = home.line("compact dst --keep 0 --json").done().json();
        assert_eq!(report["removed_shards"].as_u64(), Some(rewritten), "{format}");
        let left = shards(&home.files("dst"));
        assert_eq!(left.len() as u64, after.len() as u64 - rewritten);
        let indexes = home.files("dst/index");
        assert_eq!(indexes.keys().filter(|name| name.ends_with(".index")).count(), left.len());
        assert!(home.files("dst/manifests").is_empty());
        home.line("verify dst --against src").done();
        let again = home.line("compact dst --keep 0").done();
        assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    }
}

#[test]
fn a_pinned_reader_goes_on_as_long_as_its_version_is_kept() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK}")).done();
    let (first, listed) = version(&home, "dst");
    change(&home);
    home.line("append dst src --sync").done();
    let (second, _) = version(&home, "dst");
    home.line("compact dst --keep 2").done();
    assert_eq!(read(&home, Some(&first)), first);
    let now = home.line(&format!("ls dst --long --digest {first}")).done().stdout;
    assert_eq!(now, listed);
    let report = home.line("compact dst --keep 1 --json").done().json();
    assert_eq!(report["removed_versions"], 1);
    let gone = home.line(&format!("ls dst --digest {first}"));
    assert!(gone.stderr.contains("is kept no more"), "{}", gone.stderr);
    // The samples of the second version are those of the third: whoever wants them has them.
    assert_eq!(read(&home, Some(&second)), second);
    home.line("compact dst --keep 0").done();
    assert_eq!(read(&home, Some(&second)), second);
}

#[test]
fn small_shards_become_one_and_empty_ones_none() {
    let home = Home::new();
    source(&home);
    home.line("pack src dst --target 1MB").done();
    for i in 60..64 {
        super::sample(&home, "src", i, 3);
        home.line("append dst src").done();
    }
    assert_eq!(shards(&home.files("dst")).len(), 5);
    assert!(home.line("compact dst --keep 0").done().stdout.contains("removed"));
    let report = home.line("compact dst --merge-small --keep 0 --json").done().json();
    assert_eq!((&report["rewritten"], &report["shards"]), (&5.into(), &1.into()));
    home.line("verify dst --against src").done();
    let keys = home.line("ls dst").done().stdout;
    home.write(
        "keys",
        keys.lines()
            .filter_map(|line| line.split('\t').next())
            .fold(String::new(), |all, key| all + key + "\n"),
    );
    home.line("delete dst --from keys").done();
    let report = home.line("compact dst --keep 0 --json").done().json();
    assert_eq!((&report["rewritten"], &report["shards"]), (&1.into(), &0.into()));
    assert_eq!(shards(&home.files("dst")).len(), 0);
}
