//! The commands: what each does in the bucket, by the library, as its waits are shorter.

use shardpack_pack::{
    AdoptOptions, AppendOptions, CompactOptions, Dataset, DatasetSource, DeleteOptions,
    DiffOptions, Error, ForeignOptions, Join, Map, MapCommand, MergeOptions, Missing, Order,
    OverlaySource, PackOptions, Progress, Selection, SourceOptions, Table, TableKind, Transform,
    VerifyOptions, With, adopt, append, compact, delete, diff, lies_over, merge, overlay, pack,
    reshard, verify,
};
use shardpack_store::{S3Tree, Store};

use super::{World, uri};

type Run = fn(&World) -> Result<(), Error>;

/// A command that writes.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Where the dataset is that it changes or makes.
    pub(super) place: &'static str,
    pub(super) run: Run,
}

const fn command(name: &'static str, place: &'static str, run: Run) -> Command {
    Command { name, place, run }
}

pub(super) const COMMANDS: [Command; 10] = [
    command("append", "one/", |world| appended(world, "one/", "grown/", false)),
    command("append --sync", "one/", |world| appended(world, "one/", "changed/", true)),
    command("compact", "dead/", compacted),
    command("delete", "one/", deleted),
    command("merge", "dst/", merged),
    command("join", "dst/", joined),
    command("join --overlay", "dst/", |world| laid_over(world, "dst/")),
    command("reshard", "dst/", resharded),
    command("reshard --map-cmd", "dst/", mapped),
    command("index", "theirs/", indexed),
];

/// What is in the bucket before.
pub(super) const MAKE: [(&str, Run); 5] = [
    ("one", |world| packed(world, "src/", "one/")),
    ("two", |world| packed(world, "more/", "two/")),
    ("over", |world| laid_over(world, "over/")),
    ("dead", |world| packed(world, "src/", "dead/")),
    ("dead, changed", |world| appended(world, "dead/", "changed/", true)),
];

/// A command that only reads, and what it tells.
pub(super) type Read = fn(&World) -> Result<String, Error>;

pub(super) const READS: [(&str, Read); 2] = [("verify --over", proved), ("diff", compared)];

fn options() -> PackOptions {
    PackOptions { max_samples: Some(2), jobs: 2, ..PackOptions::default() }
}

fn packed(world: &World, from: &str, to: &str) -> Result<(), Error> {
    let source = S3Tree::open(world.s3(), &uri(from), &|_| None)?;
    pack(&source, &world.store(to), &options(), &Progress::default()).map(|_| ())
}

fn appended(world: &World, to: &str, from: &str, sync: bool) -> Result<(), Error> {
    let source = S3Tree::open(world.s3(), &uri(from), &|_| None)?;
    let options = AppendOptions { sync, jobs: 2, ..AppendOptions::default() };
    append(&source, &world.store(to), &options, &Progress::default()).map(|_| ())
}

/// Versions and shards before it go as well.
fn compacted(world: &World) -> Result<(), Error> {
    let options = CompactOptions { keep: 0, jobs: 2, ..CompactOptions::default() };
    compact(&world.store("dead/"), &options, &Progress::default()).map(|_| ())
}

fn deleted(world: &World) -> Result<(), Error> {
    let options = DeleteOptions { jobs: 2, ..DeleteOptions::default() };
    delete(&world.store("one/"), &["ü/2".into()], &options).map(|_| ())
}

fn merged(world: &World) -> Result<(), Error> {
    let (one, two) = (world.store("one/"), world.store("two/"));
    let inputs = [(Dataset::open(&one)?, one.describe()), (Dataset::open(&two)?, two.describe())];
    let options = MergeOptions { jobs: 2, ..MergeOptions::default() };
    merge(&inputs, &world.store("dst/"), &options, &Progress::default()).map(|_| ())
}

fn table(world: &World) -> Result<Join<'static>, Error> {
    let object = world.store("").open("t.csv")?.into();
    let table = Table { object, kind: TableKind::Csv, on: None, as_json: None };
    Ok(Join {
        with: With::Table(table),
        name: "t.csv".into(),
        columns: Vec::new(),
        missing: Missing::Error,
        unused_is_error: true,
    })
}

fn joined(world: &World) -> Result<(), Error> {
    let (one, progress) = (world.store("one/"), Progress::default());
    let inputs = vec![(Dataset::open(&one)?, one.describe())];
    let (all, how) = (Selection::default(), SourceOptions::default());
    let source = DatasetSource::join(inputs, table(world)?, &all, &how, &progress)?;
    reshard(&source, &world.store("dst/"), &options(), &progress).map(|_| ())
}

fn laid_over(world: &World, to: &str) -> Result<(), Error> {
    let (one, progress) = (world.store("one/"), Progress::default());
    let base = (Dataset::open(&one)?, one.describe());
    let (place, how) = (Some("../one".into()), SourceOptions::default());
    let source = OverlaySource::open(base, table(world)?, place, &how, &progress)?;
    overlay(&source, &world.store(to), &options(), &progress).map(|_| ())
}

/// Nearly all of it by copies.
fn resharded(world: &World) -> Result<(), Error> {
    let (one, two, progress) = (world.store("one/"), world.store("two/"), Progress::default());
    let inputs =
        vec![(Dataset::open(&one)?, one.describe()), (Dataset::open(&two)?, two.describe())];
    let (all, how) = (Selection::default(), SourceOptions::default());
    let source = DatasetSource::open(inputs, &all, &how, &progress)?;
    let options = PackOptions { order: Order::Source, max_samples: Some(4), ..options() };
    reshard(&source, &world.store("dst/"), &options, &progress).map(|_| ())
}

/// In a request's lines, of which every second one is a body.
fn mapped(world: &World) -> Result<(), Error> {
    let (one, progress) = (world.store("one/"), Progress::default());
    let inputs = vec![(Dataset::open(&one)?, one.describe())];
    let (all, how) = (Selection::default(), SourceOptions::default());
    let source = DatasetSource::open(inputs, &all, &how, &progress)?;
    let upper = MapCommand::new("sed -u 'n; s/text/TEXT/'");
    let scratch = world.scratch.path().to_owned();
    let map = Map { scratch, ..Map::new(Transform::Command(upper)) };
    let options = PackOptions { map: Some(map), ..options() };
    reshard(&source, &world.store("dst/"), &options, &progress).map(|_| ())
}

fn indexed(world: &World) -> Result<(), Error> {
    let store = world.store("theirs/");
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default())?;
    let options = AdoptOptions { jobs: 2, ..AdoptOptions::default() };
    adopt(&dataset, &options, &Progress::default()).map(|_| ())
}

fn proved(world: &World) -> Result<String, Error> {
    let (over, one) = (world.store("over/"), world.store("one/"));
    let (over, one) = (Dataset::open(&over)?, Dataset::open(&one)?);
    let mut report = verify(&over, &VerifyOptions::default(), &Progress::default())?;
    lies_over(&over, &one, 2, &mut report)?;
    match report.is_whole() {
        true => Ok(format!("{} {:?}", report.digest, report.over)),
        false => Err(Error::NotFound(format!("{:?}", report.damage))),
    }
}

fn compared(world: &World) -> Result<String, Error> {
    let (one, dead) = (world.store("one/"), world.store("dead/"));
    let options = DiffOptions { jobs: 2, ..DiffOptions::default() };
    let (one, dead) = (Dataset::open(&one)?, Dataset::open(&dead)?);
    let report = diff(&one, &dead, &options, &Progress::default())?;
    Ok(format!("{report:?}"))
}
