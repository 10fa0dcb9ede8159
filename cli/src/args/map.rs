//! What is done to each sample before it is packed.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use shardpack_pack::{Frame, MapErrors};

use super::Seconds;

/// What is done to each sample.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transform samples")]
pub(crate) struct MapArgs {
    /// Ask CMD for each sample: other fields, another label, or leave it out
    ///
    /// `sh -c CMD` is started once for each of --jobs, gets samples on stdin one after another, and
    /// answers each on stdout. crates/pack/src/map/SPEC.md has the bytes, examples/caption.py a
    /// command. It must give the same answer to the same sample, always. What changed waits in
    /// --scratch until it is packed; after a killed run what is there is not asked for again
    /// (--restart does, for a CMD that was changed).
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString)]
    pub(crate) map_cmd: Option<String>,
    /// How requests and answers are framed
    #[arg(long, value_name = "HOW", value_enum, default_value_t = FrameArg::Json)]
    pub(crate) map_frame: FrameArg,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) map_timeout: Seconds,
    /// Samples that the map fails for
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = MapErrorsArg::Fail)]
    pub(crate) map_errors: MapErrorsArg,
    /// A local folder for mapped samples, copies of compressed shards, which are read decompressed, and
    /// values of a joined table: all of them lie there until the end [default: the system's temporary
    /// folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Run")]
    pub(crate) scratch: Option<PathBuf>,
    #[cfg(feature = "image")]
    #[command(flatten)]
    pub(crate) image: ImageArgs,
}

/// How a command is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrameArg {
    /// A line of JSON, then the bodies
    Json,
    /// Texts that end with NUL, then the bodies
    Nul,
}

/// What becomes of a sample that a map fails for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MapErrorsArg {
    /// Stop; nothing is published
    Fail,
    /// Leave it out and count it
    Skip,
}

impl From<FrameArg> for Frame {
    fn from(frame: FrameArg) -> Self {
        match frame {
            FrameArg::Json => Self::Json,
            FrameArg::Nul => Self::Nul,
        }
    }
}

impl From<MapErrorsArg> for MapErrors {
    fn from(errors: MapErrorsArg) -> Self {
        match errors {
            MapErrorsArg::Fail => Self::Fail,
            MapErrorsArg::Skip => Self::Skip,
        }
    }
}

/// What is done to pictures: fields called `jpg`, `jpeg`, `png` or `webp`.
#[cfg(feature = "image")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Transform pictures")]
pub(crate) struct ImageArgs {
    /// Shrink pictures until the shorter edge has N pixels
    ///
    /// Pictures (fields called jpg, jpeg, png or webp) are turned upright as EXIF says, cropped,
    /// resized and encoded, in this order, and lose their metadata; one that is as asked for already
    /// stays byte for byte.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(crate) resize: Option<u32>,
    /// Enlarge smaller ones, too, as im2rec does
    #[arg(long, requires = "resize")]
    pub(crate) resize_up: bool,
    /// Cut out the square in the middle, before anything is resized
    #[arg(long)]
    pub(crate) center_crop: bool,
    /// Encode every picture anew: JPEG's quality, 1 to 100 [default: 95, where one must be encoded]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: Option<u8>,
    /// Format of pictures: jpg or png [default: jpg, where another option asks for pictures]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) encoding: Option<EncodingArg>,
    /// Colours of pictures: rgb or grey [default: as they are]
    #[arg(long, value_name = "COLOUR", value_enum)]
    pub(crate) color: Option<ColourArg>,
    /// Most pixels of a picture; one that claims more is an error before it is decoded
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    pub(crate) max_pixels: u64,
}

/// Format of pictures.
#[cfg(feature = "image")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingArg {
    /// JPEG
    Jpg,
    /// PNG
    Png,
}

/// Colours of pictures.
#[cfg(feature = "image")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourArg {
    /// Three channels of 8 bits
    Rgb,
    /// One channel of 8 bits
    Grey,
}
