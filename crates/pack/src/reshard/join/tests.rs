//! Tables that are damaged, and datasets whose fields are added.

use std::path::Path;
use std::sync::Arc;

use shardpack_store::{MemoryStore, Object, PutMode, Store};

use super::parquet::rows;
use crate::Error;

fn object(bytes: &[u8]) -> Arc<dyn Object> {
    let store = MemoryStore::new();
    store.put("t", bytes, PutMode::Create).expect("an object");
    store.open("t").expect("an object").into()
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/parquet").join(name);
    std::fs::read(path).expect("testdata")
}

/// Whatever a damaged file gives, it is rows or an error that names the table.
#[test]
fn a_damaged_parquet_is_no_panic() {
    let mut refused = 0;
    for name in ["snappy.parquet", "plain.parquet", "nested.parquet"] {
        let whole = golden(name);
        let (mut damaged, mut count) = (whole.clone(), 0);
        rows(&object(&whole), "t", &mut |_, _| {
            count += 1;
            Ok(())
        })
        .expect("a sound table");
        assert!(count >= 2, "{name}: {count} rows");
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                damaged[at] ^= flip;
                let object = object(&damaged);
                match rows(&object, "t", &mut |_, _| Ok(())) {
                    Ok(()) => {}
                    Err(Error::Usage(told)) => {
                        assert!(told.starts_with("t"), "{told}");
                        refused += 1;
                    }
                    Err(error) => panic!("{name} byte {at}: {error}"),
                }
                damaged[at] ^= flip;
            }
        }
        for len in 0..whole.len() {
            assert!(rows(&object(&whole[..len]), "t", &mut |_, _| Ok(())).is_err(), "{name} {len}");
        }
    }
    assert!(refused > 1000, "{refused}");
}
