//! One face for both ways of reading: shards that can be sought, and streams that cannot.

use shardpack_manifest::Digest;

use crate::plan::{self, Cursor, Plan, Share, State};
use crate::stream::{Promises, StreamSamples, Streamed};
use crate::{
    Channel, Error, Overlaid, OverlaidSamples, OverlaidStream, OverlaidStreamSamples, ReadOptions,
    Reader, Result, Sample, Samples, Stats, overlay,
};

/// Reads a [`Channel`](crate::Channel), in whichever mode it comes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChannelReader {
    /// Files, mounts and S3.
    Seek(Reader),
    /// FIFOs, and shards without a manifest.
    Stream(Streamed),
    /// Files, mounts and S3, with overlays.
    Overlaid(Overlaid),
    /// FIFOs, with overlays.
    OverlaidStream(OverlaidStream),
}

impl From<Reader> for ChannelReader {
    fn from(reader: Reader) -> Self {
        Self::Seek(reader)
    }
}

impl From<Streamed> for ChannelReader {
    fn from(streamed: Streamed) -> Self {
        Self::Stream(streamed)
    }
}

impl From<Overlaid> for ChannelReader {
    fn from(overlaid: Overlaid) -> Self {
        Self::Overlaid(overlaid)
    }
}

impl From<OverlaidStream> for ChannelReader {
    fn from(overlaid: OverlaidStream) -> Self {
        Self::OverlaidStream(overlaid)
    }
}

impl ChannelReader {
    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    pub fn epoch(&self, epoch: u64) -> ChannelSamples {
        match self {
            Self::Seek(reader) => ChannelSamples::Seek(reader.epoch(epoch)),
            Self::Stream(streamed) => ChannelSamples::Stream(streamed.epoch(epoch)),
            Self::Overlaid(overlaid) => ChannelSamples::Overlaid(overlaid.epoch(epoch)),
            Self::OverlaidStream(overlaid) => ChannelSamples::OverlaidStream(overlaid.epoch(epoch)),
        }
    }

    /// Where it starts: at the first epoch, or where its state was saved.
    pub fn start(&self) -> Cursor {
        match self {
            Self::Seek(reader) => reader.start(),
            Self::Stream(streamed) => streamed.start(),
            Self::Overlaid(overlaid) => overlaid.start(),
            Self::OverlaidStream(overlaid) => overlaid.start(),
        }
    }

    /// The samples of a share of its plan, from where it starts or from the beginning of an epoch.
    pub(crate) fn share(&self, share: Share) -> ChannelSamples {
        match self {
            Self::Seek(reader) => ChannelSamples::Seek(Samples::new(reader.clone(), share)),
            Self::Stream(streamed) => ChannelSamples::Stream(streamed.share(share)),
            Self::Overlaid(overlaid) => ChannelSamples::Overlaid(overlaid.share(share)),
            Self::OverlaidStream(over) => ChannelSamples::OverlaidStream(over.share(share)),
        }
    }

    /// The plan from where it starts, for epochs that are gone through again and again; an error where
    /// nothing says how long an epoch is.
    pub(crate) fn repeated(&self) -> Result<Plan> {
        match self {
            Self::Seek(reader) => Ok(reader.plan().clone()),
            Self::Stream(streamed) => streamed.repeated(),
            Self::Overlaid(overlaid) => Ok(overlaid.plan().clone()),
            Self::OverlaidStream(overlaid) => overlaid.base().repeated(),
        }
    }

    /// What of a state at `cursor` is a number of steps, as a stream dictates the order.
    pub(crate) fn streamed(&self, cursor: Cursor) -> Option<plan::Streamed> {
        match self {
            Self::Seek(_) | Self::Overlaid(_) => None,
            Self::Stream(streamed) => streamed.streamed(cursor),
            Self::OverlaidStream(overlaid) => overlaid.base().streamed(cursor),
        }
    }

    /// The reader of shards that can be sought: for lookups, and for workers.
    ///
    /// Fails with [`Error::Usage`] for a stream, and with overlays.
    pub fn seek(self) -> Result<Reader> {
        match self {
            Self::Seek(reader) => Ok(reader),
            Self::Overlaid(_) | Self::OverlaidStream(_) => {
                Err(Error::usage("a reader of one dataset is asked for, and this one has overlays"))
            }
            Self::Stream(_) => Err(Error::usage(
                "a reader that can seek is asked for, and this channel is a stream: a Pipe, or \
                 shards without a manifest; read it in order, set its input mode to File or \
                 FastFile, or give its manifest",
            )),
        }
    }

    /// The same samples with the fields of overlays of the dataset, as `shardpack join --overlay` makes
    /// them: channels in mode File or FastFile that hold all of an overlay's folder. Of `options`, which
    /// this reader was opened with, the cache, threads and damage count.
    ///
    /// Fails as [`Overlaid::of_channels`] does, and with [`Error::Usage`] for shards without a manifest.
    pub fn overlaid(self, overlays: &[Channel], options: &ReadOptions) -> Result<Self> {
        match self {
            Self::Seek(reader) => {
                Overlaid::of_channels(reader, overlays, options).map(Self::Overlaid)
            }
            Self::Stream(streamed) => {
                overlay::stream(streamed, overlays, options).map(Self::OverlaidStream)
            }
            Self::Overlaid(_) | Self::OverlaidStream(_) => {
                Err(Error::usage("there are overlays already; give all of them at once"))
            }
        }
    }

    /// What holds for its samples in this mode.
    pub fn promises(&self) -> Promises {
        match self {
            Self::Seek(_) | Self::Overlaid(_) => Promises::SOUGHT,
            Self::Stream(streamed) => streamed.promises(),
            Self::OverlaidStream(overlaid) => overlaid.promises(),
        }
    }
}

/// A rank's samples of one epoch.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a training loop has one of them")]
#[non_exhaustive]
pub enum ChannelSamples {
    /// Of files, mounts and S3.
    Seek(Samples),
    /// Of FIFOs, and of shards without a manifest.
    Stream(StreamSamples),
    /// Of files, mounts and S3, with overlays.
    Overlaid(OverlaidSamples),
    /// Of FIFOs, with overlays.
    OverlaidStream(OverlaidStreamSamples),
}

impl ChannelSamples {
    /// What to save to go on behind the samples so far; none without a manifest.
    pub fn state(&self) -> Option<State> {
        match self {
            Self::Seek(samples) => Some(samples.state()),
            Self::Stream(samples) => samples.state(),
            Self::Overlaid(samples) => Some(samples.state()),
            Self::OverlaidStream(samples) => samples.state(),
        }
    }

    /// Samples that are left, padding included; none without a manifest.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Seek(samples) => Some(samples.left()),
            Self::Stream(samples) => samples.left(),
            Self::Overlaid(samples) => Some(samples.left()),
            Self::OverlaidStream(samples) => samples.left(),
        }
    }

    /// What was read, and what was waited for.
    pub fn stats(&self) -> &Stats {
        match self {
            Self::Seek(samples) => samples.stats(),
            Self::Stream(samples) => samples.stats(),
            Self::Overlaid(samples) => samples.stats(),
            Self::OverlaidStream(samples) => samples.stats(),
        }
    }

    /// Sum of the digests of the real samples so far.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Seek(samples) => samples.digest(),
            Self::Stream(samples) => samples.digest(),
            Self::Overlaid(samples) => samples.digest(),
            Self::OverlaidStream(samples) => samples.digest(),
        }
    }
}

impl Iterator for ChannelSamples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        match self {
            Self::Seek(samples) => samples.next(),
            Self::Stream(samples) => samples.next(),
            Self::Overlaid(samples) => samples.next(),
            Self::OverlaidStream(samples) => samples.next(),
        }
    }
}
