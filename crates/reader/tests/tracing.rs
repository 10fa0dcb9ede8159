//! Spans and events, as a subscriber gets them. Alone in its program: a subscriber is for all
//! threads, and there is one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use shardpack_formats::DecodeOptions;
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::pipe::{Pipe, PipeOptions};
use shardpack_reader::plan::Part;
use shardpack_reader::stream::{Contents, Streamed};
use shardpack_reader::{Damage, ReadOptions, Reader};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A span or an event: its name, the names of the spans around it, its fields.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: String,
    inside: Vec<String>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.name = format!("{value:?}"),
            name => drop(self.fields.insert(name, format!("{value:?}"))),
        }
    }
}

/// Keeps everything that the reader tells.
#[derive(Debug, Default)]
struct Keeper {
    spans: Mutex<BTreeMap<u64, Seen>>,
    events: Mutex<Vec<Seen>>,
    next: AtomicU64,
}

thread_local! {
    static ENTERED: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Keeper {
    fn inside(&self, explicit: Option<&Id>) -> Vec<String> {
        let ids = match explicit {
            Some(id) => vec![id.into_u64()],
            None => ENTERED.with_borrow(Vec::clone),
        };
        let spans = self.spans.lock().unwrap();
        ids.iter().filter_map(|id| Some(spans.get(id)?.name.clone())).collect()
    }

    /// Those of a name whose fields hold all of `fields`.
    fn spans(&self, name: &str, fields: &[(&str, &str)]) -> Vec<Seen> {
        found(self.spans.lock().unwrap().values(), name, fields)
    }

    fn events(&self, name: &str, fields: &[(&str, &str)]) -> Vec<Seen> {
        found(self.events.lock().unwrap().iter(), name, fields)
    }
}

fn found<'s>(
    all: impl Iterator<Item = &'s Seen>,
    name: &str,
    fields: &[(&str, &str)],
) -> Vec<Seen> {
    let holds = |seen: &&Seen| {
        let has = |(field, part): &(&str, &str)| {
            seen.fields.get(field).is_some_and(|value| value.contains(part))
        };
        seen.name == name && fields.iter().all(has)
    };
    all.filter(holds).cloned().collect()
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("shardpack_reader")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let inside = self.inside(span.parent());
        let mut seen = Seen { name: span.metadata().name().into(), inside, ..Seen::default() };
        span.record(&mut seen);
        let id = self.next.fetch_add(1, Relaxed) + 1;
        self.spans.lock().unwrap().insert(id, seen);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(seen) = self.spans.lock().unwrap().get_mut(&span.into_u64()) {
            values.record(seen);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut seen = Seen { inside: self.inside(event.parent()), ..Seen::default() };
        event.record(&mut seen);
        self.events.lock().unwrap().push(seen);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

fn keeper() -> &'static Arc<Keeper> {
    static KEEPER: OnceLock<Arc<Keeper>> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let keeper = Arc::new(Keeper::default());
        tracing::subscriber::set_global_default(Arc::clone(&keeper)).unwrap();
        keeper
    })
}

/// A dataset of twenty samples in shards called `name`; the body of one is damaged.
fn dataset(name: &str) -> Arc<MemoryStore> {
    let files: Vec<_> = (0..20).map(|i| (format!("{i:02}.txt"), vec![b'.'; 100])).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let name = format!("{name}-{{shard:05}}.{{ext}}").parse().unwrap();
    let options = PackOptions { name, max_samples: Some(10), ..PackOptions::default() };
    let store = MemoryStore::new();
    pack(&files, &store, &options, &Progress::default()).unwrap();
    let path = &store.list("shards").unwrap()[0].key.clone();
    let mut shard = shardpack_dataset::read(&store, path).unwrap();
    shard[512] = b'!'; // behind the first header
    store.put(path, &shard, PutMode::Replace).unwrap();
    Arc::new(store)
}

#[test]
fn epochs_shards_reads_and_damage_are_told() {
    let keeper = keeper();
    for threads in [0, 2] {
        let name = format!("sought{threads}");
        let mut options = ReadOptions::default();
        options.threads = Some(threads);
        options.damage = Damage::Skip { most: 1 };
        options.part = Some(Part { rank: 0, world: 1, replicas: 1 });
        let epoch = 40 + threads as u64;
        let reader = Reader::of_store(dataset(&name), options).unwrap();
        let mut samples = reader.epoch(epoch);
        assert_eq!(samples.by_ref().filter(Result::is_ok).count(), 20);
        let number = epoch.to_string();
        let spans = keeper.spans("epoch", &[("epoch", &number), ("rank", "0"), ("world", "1")]);
        assert_eq!(spans.len(), 1, "{threads} threads");
        let opened = keeper.spans("open", &[("shard", &name), ("bytes", "")]);
        assert_eq!(opened.len(), 2, "{threads} threads");
        let reads = keeper.spans("read", &[("shard", &name)]);
        let bytes: u64 =
            reads.iter().map(|read| read.fields["bytes"].parse::<u64>().unwrap()).sum();
        assert_eq!(bytes, samples.stats().bytes, "{threads} threads");
        for seen in opened.iter().chain(&reads) {
            assert_eq!(seen.inside.first().map(String::as_str), Some("epoch"), "{seen:?}");
        }
        let damaged = keeper.events("damaged sample", &[("error", &name)]);
        assert_eq!((damaged.len(), &*damaged[0].inside[0]), (1, "epoch"));
        let windows = keeper.events("window", &[]);
        assert!(windows.iter().all(|window| window.fields.contains_key("bytes")));
        assert!(!windows.is_empty());
    }
}

#[test]
fn a_wait_for_a_fifo_is_told() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("traced_0");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let writer = std::thread::spawn(move || {
        let record = b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0efoo\x61\x8a\xbe\xfe";
        let mut fifo = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
        std::io::Write::write_all(&mut fifo, record).unwrap();
    });
    let mut schema = shardpack_formats::FormatOptions::default();
    schema.schema = shardpack_formats::Schema::Raw;
    let format = shardpack_formats::open("tfrecord", &schema).unwrap();
    let contents = Contents::Foreign { format, decode: DecodeOptions::default() };
    let waits = PipeOptions { start: Duration::from_secs(60), ..PipeOptions::default() };
    let pipe = Arc::new(Pipe::new(folder.path().join("traced"), waits));
    let options = ReadOptions::default();
    let reader = Streamed::new(pipe, contents, Part::default(), options, None).unwrap();
    assert_eq!(reader.epoch(77).filter(Result::is_ok).count(), 1);
    writer.join().unwrap();
    let waits = keeper.spans("wait", &[("channel", "traced"), ("pipe", "traced_0")]);
    assert_eq!((waits.len(), &*waits[0].inside[0]), (1, "epoch"));
    assert_eq!(keeper.spans("epoch", &[("epoch", "77")]).len(), 1);
    assert_eq!(keeper.events("shard", &[("shard", "traced_0")]).len(), 1);
}
