//! What must hold for every sample index that parses.

use shardpack_manifest::{Index, IndexBuilder, IndexEntry, IndexField, IndexRecord};

/// Records follow each other, their fields lie inside of them, no search panics, and an index
/// written from the records of this one says the same.
pub fn check(index: &Index<'_>) {
    let mut builder = IndexBuilder::default();
    let mut end = 0;
    for (i, record) in index.iter().enumerate() {
        assert!(record.offset >= end, "{} is inside the record before", record.offset);
        end = record.offset + record.len;
        let fields: Vec<IndexField<'_>> = record.fields.clone().collect();
        for field in &fields {
            let inside = |at: u64| record.offset <= at && at + field.len <= end;
            assert!(field.offset.is_none_or(inside), "{field:?} in {record:?}");
        }
        // A hostile order of keys can make a search miss, not err.
        let found = index.position(record.key).and_then(|at| index.get(at));
        assert!(found.is_none_or(|found| found.key == record.key));
        assert!(index.get(i).is_some());
        builder.push(&entry(&record, &record.label.to_label(), &fields)).expect("a sound record");
    }
    assert!(index.position("no such key").is_none() && index.get(index.len()).is_none());
    assert!(end <= index.shard().stream_bytes);
    let (counted, summary) = (builder.summary(), index.summary());
    assert_eq!((counted.samples, counted.files), (summary.samples, summary.files));
    assert_eq!(counted.fields, summary.fields);
    let again = builder.finish(index.shard()).expect("a sound index");
    same(index, &Index::parse(again).expect("an index of our own"));
}

fn entry<'a>(
    record: &IndexRecord<'a>,
    label: &'a shardpack_formats::Label,
    fields: &'a [IndexField<'a>],
) -> IndexEntry<'a> {
    let IndexRecord { key, id, offset, len, crc32c, .. } = *record;
    IndexEntry { key, id, label, offset, len, crc32c, fields }
}

fn same(one: &Index<'_>, other: &Index<'_>) {
    assert_eq!((one.shard(), one.len()), (other.shard(), other.len()));
    for (a, b) in one.iter().zip(other.iter()) {
        let numbers = |r: &IndexRecord<'_>| (r.id, r.offset, r.len, r.crc32c);
        assert_eq!((a.key, numbers(&a)), (b.key, numbers(&b)));
        assert!(a.fields.eq(b.fields));
        let bits = |value: f64| value.to_bits();
        assert!(a.label.values().map(bits).eq(b.label.values().map(bits)));
        assert_eq!(a.label.text(), b.label.text());
    }
}
