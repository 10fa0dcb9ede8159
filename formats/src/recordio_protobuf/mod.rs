//! Placeholder.
use std::io::Read;
use crate::*;
#[derive(Debug)] pub struct RecordIoProtobuf;
impl RecordIoProtobuf { pub fn new(_: bool) -> Self { Self } }
impl Format for RecordIoProtobuf {
    fn name(&self) -> &'static str { "recordio-protobuf" }
    fn extension(&self) -> &'static str { "x" }
    fn check(&self, _: &SampleShape<'_>) -> Result<()> { Ok(()) }
    fn encoded_len(&self, _: &SampleShape<'_>) -> u64 { 0 }
    fn layout(&self, _: &SampleShape<'_>, _: &mut Layout) {}
    fn decoder<'r>(&self, _: Box<dyn Read + 'r>, _: &DecodeOptions) -> Box<dyn Decoder + 'r> { unimplemented!() }
}
