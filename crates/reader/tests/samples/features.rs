//! Features by name and type.

use std::sync::Arc;

use shardpack_dataset::{Dataset, ForeignOptions};
use shardpack_formats::{DecodeOptions, FieldShape, Label, SampleShape, encode};
use shardpack_pack::{AdoptOptions, Progress, adopt};
use shardpack_reader::plan::Part;
use shardpack_reader::stream::{Contents, Streamed};
use shardpack_reader::{Error, FeatureFault, ReadOptions, Reader, Sample};
use shardpack_store::{MemoryStore, PutMode, Store};

use crate::support::{Joined, both, packed, thirty};

const TENSORFLOW: &[u8] = include_bytes!("../../../../testdata/tfrecord/golden/example.tfrecord");
const SEQUENCE: &[u8] = include_bytes!("../../../../testdata/tfrecord/golden/sequence.tfrecord");
const MXNET: &[u8] = include_bytes!("../../../../testdata/recordio/golden/images.rec");
const SPARSE: &[u8] =
    include_bytes!("../../../../testdata/recordio-protobuf/golden/sparse-f32.pbr");

/// The samples of a shard that another tool wrote: in a stream without a manifest, in a FIFO, and
/// with an index that was made of it. Sorted by place.
fn foreign(name: &str, shard: &[u8]) -> Vec<(&'static str, Vec<Sample>)> {
    let store = Arc::new(MemoryStore::new());
    store.put(&format!("shards/{name}"), shard, PutMode::Create).unwrap();
    let found = Dataset::foreign(&*store, "", &ForeignOptions::default()).unwrap();
    let format = || shardpack_formats::open(found.format(), found.format_options()).unwrap();
    let read = |source: Arc<dyn shardpack_reader::stream::Source>| {
        let contents = Contents::Foreign { format: format(), decode: found.decode().clone() };
        let options = ReadOptions::default();
        let reader = Streamed::new(source, contents, Part::default(), options, None).unwrap();
        sorted(reader.epoch(0).map(|sample| sample.unwrap()).collect())
    };
    let objects = shardpack_reader::stream::Objects::new(store.clone(), &found, None);
    let alone = read(Arc::new(objects));
    let fifo = read(Arc::new(Joined(shard.to_vec())));
    adopt(&found, &AdoptOptions::default(), &Progress::default()).unwrap();
    let reader = Reader::of_store(store.clone(), ReadOptions::default()).unwrap();
    let indexed = sorted(reader.epoch(0).map(|sample| sample.unwrap()).collect());
    vec![("objects", alone), ("FIFO", fifo), ("indexed", indexed)]
}

fn sorted(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(Sample::place);
    samples
}

#[test]
fn tensorflows_features_have_their_types_however_they_are_read() {
    for (way, samples) in foreign("a.tfrecord", TENSORFLOW) {
        assert_eq!(samples.len(), 4, "{way}");
        let image = samples[0].example().unwrap();
        assert_eq!(
            image.bytes("image/encoded").unwrap().one(),
            Some(&b"\xff\xd8first"[..]),
            "{way}"
        );
        assert_eq!(image.ints("image/class/label").unwrap().one(), Some(7), "{way}");
        let all = samples[1].example().unwrap();
        assert_eq!(all.names().collect::<Vec<_>>(), ["bytes", "float", "int64"], "{way}");
        let floats: Vec<u32> = all.floats("float").unwrap().iter().map(f32::to_bits).collect();
        assert_eq!(floats, [0.5f32, -0.0, 3.0].map(f32::to_bits), "{way}");
        let ints: Vec<i64> = all.ints("int64").unwrap().iter().collect();
        assert_eq!(ints, [0, -1, i64::MAX, i64::MIN], "{way}");
        assert!(samples[3].example().unwrap().names().next().is_none(), "{way}");
    }
    for (way, samples) in foreign("a.tfrecord", SEQUENCE) {
        let sequence = samples[0].sequence().unwrap();
        assert_eq!(sequence.steps("frames").unwrap().count(), 2, "{way}");
        let error = samples[0].example().unwrap_err();
        assert!(matches!(&error, Error::Damaged(at) if at.reason.contains("Sequence")), "{error}");
    }
}

#[test]
fn our_own_features_are_there_under_the_names_that_tensorflow_sees() {
    for sample in
        both(&packed("tfrecord", &thirty()), &ReadOptions::default()).into_iter().flatten()
    {
        let example = sample.example().unwrap();
        assert_eq!(example.bytes("jpg").unwrap().one(), sample.field("jpg"));
        assert_eq!(example.bytes("__key__").unwrap().one(), Some(sample.key().as_bytes()));
        let label = example.ints("__label__").unwrap().one().unwrap();
        assert_eq!(sample.labels().collect::<Vec<_>>(), [label as f32]);
    }
}

#[test]
fn errors_name_sample_shard_and_feature() {
    for (way, samples) in foreign("a.tfrecord", TENSORFLOW) {
        let example = samples[1].example().unwrap();
        let (found, wanted) = ("int64_list", "float_list");
        for (error, want) in [
            (example.floats("int64").unwrap_err(), FeatureFault::Type { found, wanted }),
            (example.bytes("image").unwrap_err(), FeatureFault::Missing),
        ] {
            let text = error.to_string();
            let Error::Feature { shard, key, fault, .. } = error else { panic!("{way}: {text}") };
            assert_eq!((fault, &*key), (want, samples[1].key()), "{way}");
            assert!(shard == samples[1].shard() && text.contains(&shard), "{way}: {text}");
        }
        assert!(example.get("image").unwrap().is_none());
    }
    let tar = both(&packed("webdataset", &thirty()), &ReadOptions::default());
    for sample in tar.into_iter().flatten() {
        let (example, payload) = (sample.example().unwrap_err(), sample.payload().unwrap_err());
        assert!(
            matches!(example, Error::Usage(text) if text.contains("no tfrecord, but webdataset"))
        );
        assert!(matches!(payload, Error::Usage(text) if text.contains(sample.key())));
    }
}

/// The index proves fields; what stands around them is proved when it is asked for.
#[test]
fn damage_around_the_fields_is_noticed_by_who_asks_for_them() {
    let store = packed("tfrecord", &thirty());
    let path = crate::support::manifest(&store).shards[0].path.clone();
    let mut shard = shardpack_dataset::read(&*store, &path).unwrap();
    let at = shard.windows(9).position(|bytes| bytes == b"__label__").unwrap();
    shard[at] = b'?';
    store.put(&path, &shard, PutMode::Replace).unwrap();
    let reader = Reader::of_store(store, ReadOptions::default()).unwrap();
    let samples: Vec<Sample> = reader.epoch(0).collect::<Result<_, _>>().unwrap();
    let errors: Vec<Error> = samples.iter().filter_map(|s| s.example().err()).collect();
    assert_eq!(errors.len(), 1);
    assert!(matches!(&errors[0], Error::Damaged(at) if at.shard == path && at.record == 0));
}

#[test]
fn recordio_has_its_labels_and_ids() {
    // The ids and labels of images.rec, as mxnet.tsv has them.
    let table = include_str!("../../../../testdata/recordio/golden/mxnet.tsv");
    let rows: Vec<(u64, Vec<f32>)> = table
        .lines()
        .filter(|line| line.starts_with("images.rec"))
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let labels = cells[4].split(',').map(|label| label.parse().unwrap());
            (cells[2].parse().unwrap(), labels.collect())
        })
        .collect();
    assert!(rows.len() > 2 && rows.iter().any(|(_, labels)| labels.len() > 1));
    for (way, samples) in foreign("a.rec", MXNET) {
        let found: Vec<(u64, Vec<f32>)> =
            samples.iter().map(|sample| (sample.id(), sample.labels().collect())).collect();
        assert_eq!(found, rows, "{way}");
    }
    for sample in
        both(&packed("recordio", &thirty()), &ReadOptions::default()).into_iter().flatten()
    {
        let class: f32 = sample.key()[..1].parse().unwrap();
        assert_eq!(sample.labels().collect::<Vec<_>>(), [class]);
        assert!(sample.payload().unwrap().ends_with(sample.field("jpg").unwrap()));
        assert_eq!(sample.payload().unwrap()[8..16], sample.id().to_le_bytes());
    }
}

#[test]
fn sagemakers_tensors_are_numbers_with_keys_and_shape() {
    use shardpack_formats::recordio_protobuf::Values;
    for (way, samples) in foreign("a.pbr", SPARSE) {
        let tensor = samples[0].tensor("values").unwrap();
        let Values::Float32(numbers) = &tensor.values else { panic!("{way}: {tensor:?}") };
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [5.0, 7.0], "{way}");
        assert_eq!(tensor.keys.iter().collect::<Vec<_>>(), [1, 3], "{way}");
        assert_eq!(tensor.shape.one(), Some(4), "{way}");
        assert_eq!(samples[0].labels().collect::<Vec<_>>(), [3.0], "{way}");
        let error = samples[0].tensor("x").unwrap_err();
        assert!(matches!(error, Error::Feature { fault: FeatureFault::Missing, .. }), "{way}");
    }
}

#[test]
fn an_image_in_several_fields_is_one_example() {
    let fields = [FieldShape { name: "jpg", len: 3 }, FieldShape { name: "txt", len: 2 }];
    let label = Label { values: vec![0.5, 2.0], text: Some("cat".into()) };
    let shape = SampleShape { key: "a", id: 0, fields: &fields, label: &label, splits: &[] };
    let format = shardpack_formats::open("tfrecord", &Default::default()).unwrap();
    let mut shard = Vec::new();
    encode(&*format, &shape, &[b"JPG", b"hi"], &mut shard).unwrap();
    let contents = Contents::Foreign { format, decode: DecodeOptions::default() };
    let source = Arc::new(Joined(shard));
    let options = ReadOptions::default();
    let reader = Streamed::new(source, contents, Part::default(), options, None).unwrap();
    let sample = reader.epoch(0).next().unwrap().unwrap();
    let example = sample.example().unwrap();
    assert_eq!(example.bytes("txt").unwrap().one(), Some(&b"hi"[..]));
    assert_eq!(example.floats("__label__").unwrap().iter().collect::<Vec<_>>(), [0.5, 2.0]);
    assert_eq!(example.bytes("__label_text__").unwrap().one(), Some(&b"cat"[..]));
    assert_eq!(sample.labels().collect::<Vec<_>>(), [0.5, 2.0]);
}
