//! Placeholder.
use std::io::Read;
use crate::*;
#[derive(Debug)] pub struct WebDataset;

impl Format for WebDataset {
    fn name(&self) -> &'static str { "webdataset" }
    fn extension(&self) -> &'static str { "x" }
    fn check(&self, _: &SampleShape<'_>) -> Result<()> { Ok(()) }
    fn encoded_len(&self, _: &SampleShape<'_>) -> u64 { 0 }
    fn layout(&self, _: &SampleShape<'_>, _: &mut Layout) {}
    fn decoder<'r>(&self, _: Box<dyn Read + 'r>, _: &DecodeOptions) -> Box<dyn Decoder + 'r> { unimplemented!() }
}
