//! The ways that data can take to the training code.

use serde::{Serialize, Serializer};
use shardpack_manifest::sagemaker::InputMode;

/// A storage and the input mode that brings its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// S3, all of it downloaded before training starts.
    File,
    /// S3, mounted; bytes come when they are read.
    FastFile,
    /// S3, streamed through FIFOs.
    Pipe,
    /// FSx for Lustre, mounted.
    Fsx,
    /// EFS, mounted.
    Efs,
}

impl Way {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::File, Self::FastFile, Self::Pipe, Self::Fsx, Self::Efs];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::FastFile => "fastfile",
            Self::Pipe => "pipe",
            Self::Fsx => "fsx",
            Self::Efs => "efs",
        }
    }

    /// The way of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// Where the bytes lie.
    pub fn storage(self) -> &'static str {
        match self {
            Self::File | Self::FastFile | Self::Pipe => "S3",
            Self::Fsx => "FSx for Lustre",
            Self::Efs => "EFS",
        }
    }

    /// The channel's input mode. Mounts of file systems are File channels that download nothing.
    pub fn input_mode(self) -> InputMode {
        match self {
            Self::File | Self::Fsx | Self::Efs => InputMode::File,
            Self::FastFile => InputMode::FastFile,
            Self::Pipe => InputMode::Pipe,
        }
    }

    /// For people: `S3, FastFile`.
    pub fn title(self) -> &'static str {
        match self {
            Self::File => "S3, File",
            Self::FastFile => "S3, FastFile",
            Self::Pipe => "S3, Pipe",
            Self::Fsx => "FSx for Lustre",
            Self::Efs => "EFS",
        }
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
