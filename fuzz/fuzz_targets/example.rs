//! `tf.train.Example`, `SequenceExample` and `aialgs.data.Record`, read where they lie.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::recordio_protobuf::{RecordView, Values};
use shardpack_formats::tfrecord::{Column, ExampleView, SequenceView};
use shardpack_fuzz::within;

/// Memory in bytes: an entry of a map takes two bytes on the wire and 64 in a list that doubles.
const ALLOWANCE: usize = 8 << 20;

fuzz_target!(|payload: &[u8]| {
    within(ALLOWANCE, || {
        if let Ok(example) = ExampleView::parse(payload) {
            example.names().for_each(|name| drop(example.get(name).map(|found| found.map(walk))));
        }
        if let Ok(sequence) = SequenceView::parse(payload) {
            for steps in sequence.names().filter_map(|name| sequence.steps(name)) {
                steps.for_each(|step| drop(step.map(|found| found.map(walk))));
            }
        }
        if let Ok(record) = RecordView::parse(payload) {
            let features = record.features().map(|name| record.feature(name));
            let labels = record.labels().map(|name| record.label(name));
            for tensor in features.chain(labels).flatten().flatten() {
                assert_eq!(tensor.keys.len(), tensor.keys.iter().count());
                if let Values::Float64(numbers) = tensor.values {
                    assert_eq!(numbers.len(), numbers.iter().count());
                }
            }
        }
    });
});

/// Lists are as long as they say, and what can be copied at once is what comes one by one.
fn walk(column: Column<'_>) {
    match column {
        Column::Bytes(list) => assert_eq!(list.len(), list.iter().count()),
        Column::Ints(list) => assert_eq!(list.len(), list.iter().count()),
        Column::Floats(list) => {
            assert_eq!(list.len(), list.iter().count());
            let packed = list.as_le_bytes().map(|bytes| bytes.as_chunks().0);
            if let Some(packed) = packed {
                let bits = packed.iter().map(|bytes| u32::from_le_bytes(*bytes));
                assert!(bits.eq(list.iter().map(f32::to_bits)));
            }
        }
    }
}
