//! RecordIO-protobuf, parts joined as MXNet joins them; written as SageMaker writes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_formats::{DecodeOptions, recordio_protobuf::RecordIoProtobuf};
use shardpack_fuzz::records;

fuzz_target!(|stream: &[u8]| {
    let (reader, writer) = (RecordIoProtobuf::new(true), RecordIoProtobuf::new(false));
    records::check(&reader, &writer, stream, &DecodeOptions::default());
});
