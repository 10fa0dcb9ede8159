//! SageMaker's AugmentedManifestFile, whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within_worth;
use shardpack_manifest::sagemaker::{AugmentedBuilder, AugmentedManifest, Value};

fuzz_target!(|bytes: &[u8]| {
    let whole = within_worth(bytes, || AugmentedManifest::parse(bytes, &[]));
    let pieces = in_pieces(bytes);
    assert_eq!(
        whole.as_ref().err().map(ToString::to_string),
        pieces.as_ref().err().map(ToString::to_string)
    );
    let (Ok(whole), Ok(pieces)) = (whole, pieces) else { return };
    let uris: Vec<&str> = whole.uris().collect();
    for row in 0..whole.len() {
        for attribute in 0..whole.attributes().len() {
            let value = whole.value(row, attribute);
            assert_eq!(value, pieces.value(row, attribute));
            match value.expect("every line has every attribute") {
                Value::Ref { uri, number } => assert_eq!(uris[number as usize], uri),
                Value::Inline(value) => assert!(
                    !value.json().contains('\n') && value.text().len() <= value.json().len()
                ),
            }
        }
        assert!(row == 0 || whole.line(row - 1) < whole.line(row));
    }
});

fn in_pieces(bytes: &[u8]) -> shardpack_manifest::Result<AugmentedManifest> {
    let mut builder = AugmentedBuilder::new::<String>([])?;
    bytes.chunks(7).try_for_each(|piece| builder.push(piece))?;
    builder.finish()
}
