//! How long a training loop takes to get an image and its label out of a `tf.train.Example`: by
//! prost's messages, and by the view that leaves everything where it is.
//!
//!     cargo run --release -p shardpack-formats --all-features --example decode_example

use std::hint::black_box;
use std::time::{Duration, Instant};

use prost::Message;
use shardpack_formats::tfrecord::{
    BytesList, Example, ExampleView, Feature, Features, FloatList, Int64List, Kind,
};

/// Rounds of which the fastest counts.
const ROUNDS: usize = 9;

/// The features of an image in ImageNet's TFRecords, and an embedding.
fn example(image: usize, floats: usize) -> Vec<u8> {
    let bytes = |v: &[u8]| Kind::BytesList(BytesList { value: vec![v.to_vec().into()] });
    let int = |v| Kind::Int64List(Int64List { value: vec![v] });
    let features = [
        ("embedding", Kind::FloatList(FloatList { value: vec![0.5; floats] })),
        ("image/class/label", int(7)),
        ("image/class/text", bytes(b"cat")),
        ("image/colorspace", bytes(b"RGB")),
        ("image/encoded", bytes(&vec![0xa5; image])),
        ("image/filename", bytes(b"n02123045_1.JPEG")),
        ("image/format", bytes(b"JPEG")),
        ("image/height", int(480)),
        ("image/width", int(640)),
    ];
    let feature =
        features.map(|(name, kind)| (name.to_owned(), Feature { kind: Some(kind) })).into();
    Example { features: Some(Features { feature }) }.encode_to_vec()
}

fn by_prost(payload: &[u8]) -> Option<(usize, i64, f32)> {
    let features = Example::decode(payload).ok()?.features?.feature;
    let kind = |name: &str| features.get(name)?.kind.as_ref();
    match (kind("image/encoded")?, kind("image/class/label")?, kind("embedding")?) {
        (Kind::BytesList(image), Kind::Int64List(label), Kind::FloatList(floats)) => {
            Some((image.value.first()?.len(), *label.value.first()?, floats.value.iter().sum()))
        }
        _ => None,
    }
}

fn by_view(payload: &[u8]) -> Option<(usize, i64, f32)> {
    let example = ExampleView::parse(payload).ok()?;
    let column = |name: &str| example.get(name).ok().flatten();
    let image = column("image/encoded")?.bytes()?.one()?;
    let label = column("image/class/label")?.ints()?.one()?;
    Some((image.len(), label, column("embedding")?.floats()?.iter().sum()))
}

fn time<T: PartialEq>(payload: &[u8], read: impl Fn(&[u8]) -> T) -> Duration {
    const TIMES: u32 = 2000;
    let round = |_| {
        let start = Instant::now();
        for _ in 0..TIMES {
            black_box(read(black_box(payload)));
        }
        start.elapsed() / TIMES
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn main() {
    println!("{:>9} {:>7}  {:>9}  {:>9}  ratio", "image", "floats", "prost", "view");
    for (image, floats) in [(100 << 10, 0), (4 << 10, 0), (4 << 10, 512)] {
        let payload = example(image, floats);
        assert!(by_prost(&payload).is_some() && by_prost(&payload) == by_view(&payload));
        let (prost, view) = (time(&payload, by_prost), time(&payload, by_view));
        let ratio = prost.as_secs_f64() / view.as_secs_f64();
        println!(
            "{image:>9} {floats:>7}  {:>6} ns  {:>6} ns  {ratio:>5.1}",
            prost.as_nanos(),
            view.as_nanos()
        );
    }
}
